# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags,mystnb
#     formats: ipynb,py:percent
#     notebook_metadata_filter: jupytext,kernelspec
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# (chapter-hyper)=
# # Weights from a prompt
#
# A doctor clicks on a tumour. To SAM this click is one more {term}`token`: something that fixed layers work
# on. Could the click rather decide *which layers* look at the image? In Med-SA {cite}`wu2023medsa` a part of
# the decoder's weights is made from the prompt, anew for each question. The paper calls this part
# {term}`HyP-Adpt`, after the hyper-networks of {cite}`ha2016hypernetworks`.

# %% tags=["parameters"]
PROFILE = "pocket"

# %% tags=["hide-input"]
import pandas as pd
import torch
from myst_nb import glue
from torch.nn import functional as F

from samnb.base.errors import SamnbError
from samnb.evaluation.metrics import dice
from samnb.method import Batch
from samnb.networks.sam.hyper_prompt import PROMPTINGS, Hyper
from samnb.networks.sam.lora import count_parameters
from samnb.networks.sam.med_adapters import (
    MedAdapterSettings,
    add_med_adapters,
)
from samnb.networks.sam.model import SAM_SIZES, encode
from samnb.networks.sam.prompting import Prompts, decode
from samnb.networks.sam.weights import load_sam
from samnb.prompts.boxes import middle_click
from samnb.prompts.lessons import corrected, first_prompts
from samnb.reports import med_sa_diagrams, style
from samnb.reports.prompted import show_prompted
from samnb.studies import cohorts as cohort
from samnb.studies import load_profile
from samnb.systems.med_sa import MedSa, MedSaSettings

# %% tags=["hide-input"]
style.use()
profile = load_profile(PROFILE, "cheap-lunch-brats")
slices = cohort.cohort_slices(profile, "brats")
split = cohort.cohort_split(profile, "brats")
side, settings = slices.side, MedAdapterSettings()
width = SAM_SIZES["pocket"].prompt_width
length = width // settings.bottleneck

# %% [markdown]
# **What we found**, with the {term}`pocket SAM` and {glue:text}`hyper-steps` steps of training on brain
# {term}`phantoms <phantom>`, too few to compare systems by:
#
# - A click makes three matrices of {glue:text}`hyper-length` × {glue:text}`hyper-length` numbers for each of
#   the decoder's two blocks. A click {glue:text}`hyper-far` pixels away makes matrices that differ by
#   {glue:text}`hyper-moved` % of their size; a click at the same place that says *not here* differs by
#   {glue:text}`hyper-negative` %.
# - With weights made from a click in another patient's tumour, {glue:text}`hyper-lied` of
#   {glue:text}`hyper-rows` masks change, by {glue:text}`hyper-pixels` pixels at most; the mean {term}`Dice`
#   changes by {glue:text}`hyper-lie`. So far, what a click does is done by SAM's own tokens.
# - At SAM's own width the adapter without a prompt has {glue:text}`hyper-count-none` parameters, with the
#   prompt added {glue:text}`hyper-count-addition`, concatenated {glue:text}`hyper-count-concatenation`, and as
#   HyP-Adpt {glue:text}`hyper-count-hyper`. Most of the difference is the reduction that all three share.
#
# Which of the four makes the best masks, [chapter 20](chapter-med-sa-results) asks of several seeds.

# %% mystnb={"figure": {"caption": "HyP-Adpt. The prompt becomes three small matrices, and what lies in the adapter's bottleneck goes through them one after the other.", "name": "fig-hyper-flow"}, "image": {"alt": "Two paths of boxes from left to right that join. Above, tokens are projected down to the bottleneck. Below, the prompt's tokens are reduced to a short embedding, from which generators make three matrices. They join in a box where the embedding is multiplied with each matrix in turn, normalised and cut by ReLU; then it is projected up again."}} tags=["hide-input"]
figure = med_sa_diagrams.hyper_prompt(width, length, settings.places)

# %% [markdown]
# **Goals.** After this chapter you will be able to
#
# - **write** HyP-Adpt's two equations as two lines of code;
# - **bring** prompts of different lengths to one;
# - **move** a click, and see which weights it makes;
# - **give** a lesson of clicks and boxes, as an interactive network is taught;
# - **count** what four ways to tell an adapter the prompt cost.
#
# *You need:* [chapter 17](chapter-adapters). *Time:* half an hour to read and try, two minutes to run.
#
# ## Two equations
#
# A hyper-network makes the weights of another network. Here it is as small as one can be: a projection and
# a reshape. From the prompt's short embedding $p$, for $i = 1, 2, 3$:
#
# $$ W_i = \mathrm{Re}(M_i(p)), \qquad e \leftarrow \mathrm{ReLU}(\mathrm{Norm}(e\, W_i)). $$
#
# $M_i$ turns $L$ numbers into $L \cdot L$, $\mathrm{Re}$ writes them as a matrix. In the code the two
# equations are the two lines of the loop:
#
# ```{literalinclude} ../samnb/networks/sam/hyper_prompt.py
# :pyobject: Hyper
# ```
#
# A plain adapter's {term}`bottleneck` has a single ReLU, between *down* and *up*. HyP-Adpt has three layers
# there, and none of their weights is stored: two questions about one image go through two networks.
#
# Norm divides by the spread of the $L$ numbers. So it does not matter how *large* a matrix is, only where it
# points (exercise 1).
#
# ## Prompts of one length
#
# A click is one token and one that closes the list; a box is two, its corners. Three clicks are four. The
# paper says that prompts are "concatenated and reduced". For a projection all must have one length, so
# there are as many places as a prompt may have tokens, and empty ones are zero:
#
# ```{literalinclude} ../samnb/networks/sam/hyper_prompt.py
# :pyobject: Reduction.forward
# ```

# %%
sam = load_sam("pocket", side).eval()
torch.manual_seed(0)
adapter = Hyper(width, settings.bottleneck, settings.places)

# %%
at = torch.tensor([[[60.0, 50.0]]])  # x, y
three_at = at + torch.tensor([[[0.0, 0], [9, 4], [-7, 5]]])
one, three = torch.ones(1, 1), torch.ones(1, 3)
box = torch.tensor([[50.0, 40, 70, 60]])
said = {
    "a click": (at, one),
    "three clicks": (three_at, three),
    "a box": None,
}

# %%
rows = {}
with torch.no_grad():
    for name, clicks in said.items():
        corners = None if clicks else box
        tokens, _ = sam.prompt_encoder(clicks, corners, None)
        short = adapter.reduction(tokens)
        made = adapter.generators[0](short).reshape(-1, length, length)
        rows[name] = [tuple(x.shape) for x in (tokens, short, made)]
pd.DataFrame(rows, ["tokens", "reduced", "a matrix"]).T

# %% [markdown]
# What is too long is refused, with the reason, and not cut:

# %%
try:
    adapter.reduction(torch.zeros(1, settings.places + 1, width))
except SamnbError as refusal:
    print(refusal)

# %% [markdown]
# ## Four ways to tell
#
# The paper compares HyP-Adpt with simpler ways (its table 3). All are here, under one name each. Their
# parameters in one block of the decoder of SAM's own sizes, whose width is 256:

# %%
counted = {}
for name, kind in PROMPTINGS.items():
    with torch.device("meta"):
        parts = kind(256, settings.bottleneck, settings.places)
    counted[name] = {
        "all": count_parameters(parts).total,
        "reduction": sum(
            value.numel()
            for part, value in parts.named_parameters()
            if part.startswith("reduction")
        ),
    }

# %%
counts = pd.DataFrame(counted).T.rename_axis("the prompt enters by")
counts["the rest"] = counts["all"] - counts["reduction"]
counts.map("{:,}".format)

# %% tags=["hide-input"]
for name, number in counts["all"].items():
    glue(f"hyper-count-{name}", f"{number:,}", display=False)
glue("hyper-length", length, display=False)

# %% [markdown]
# | | what the prompt can do to $e$ |
# |---|---|
# | none | nothing; SAM's own tokens know it anyway |
# | addition | shift it: every token by the same vector |
# | concatenation | shift it too: a layer on $[e, p]$ is a layer on $e$ plus one on $p$ |
# | hyper | turn it: every token through other matrices |
#
# Before the ReLU, addition and concatenation are the same kind of thing. Only HyP-Adpt multiplies what the
# image's tokens say with what the prompt says.
#
# ## A lesson
#
# How is such a network taught? By playing a user. A lesson begins with a random click in the target, or with
# a noisy box around it; the network answers; then somebody clicks *in its error*: a positive click on
# something that is missing, a negative one on something that is too much. One to three such clicks, each on
# the answer to all before it; every answer counts in the loss.
#
# ```{literalinclude} ../samnb/systems/prompt_taught.py
# :pyobject: PromptTaught.forward
# ```

# %%
table = slices.index.loc[slices.rows_of(split.train)]
few = table.groupby("patient")["mask_pixels"].idxmax().to_numpy()[:12]
shown, outlined = (torch.from_numpy(part) for part in slices.load(few))
adapted = add_med_adapters(load_sam("pocket", side), settings)
method = MedSa(adapted, MedSaSettings())

# %%
learns = [value for value in method.parameters() if value.requires_grad]
optimiser = torch.optim.Adam(learns, 3e-3)

# %% tags=["nbval-ignore-output"]
torch.manual_seed(0)  # of clicks and boxes
losses = []
for step in range(20):
    some = [(3 * step + place) % len(few) for place in range(3)]
    nothing = torch.zeros(0, 1).long()
    batch = Batch(shown[:0], nothing, shown[some], outlined[some])
    optimiser.zero_grad()
    loss = method(batch)["loss"]
    loss.backward()
    optimiser.step()
    losses.append(loss.item())

# %% tags=["nbval-ignore-output"]
adapted = adapted.eval()
first, last = sum(losses[:5]) / 5, sum(losses[-5:]) / 5
print(f"loss {first:.2f} at first, {last:.2f} at last")

# %% [markdown]
# Two lessons after the training, on test patients, one of which begins with a click and one with a box.

# %%
table = slices.index.loc[slices.rows_of(split.test)]
rows = table.groupby("patient")["mask_pixels"].idxmax().to_numpy()
images, masks = (torch.from_numpy(part) for part in slices.load(rows))
truth = masks[:, 0].bool()
with torch.no_grad():
    embeddings = encode(adapted, images)

# %% tags=["nbval-ignore-output"]
torch.manual_seed(3)
pupils = torch.tensor([2, 5]).clamp(max=len(truth) - 1)  # two patients
prompts = first_prompts(pupils, truth[pupils], boxes=0)
boxed = first_prompts(pupils, truth[pupils], boxes=1).boxes
prompts.boxes[1], prompts.labels[1, 0] = boxed[1], -1

# %% tags=["nbval-ignore-output"]
lesson = []
with torch.no_grad():
    for _ in range(4):
        answer = decode(adapted, embeddings, prompts).at_side(side)
        found = answer.single()[0] > 0
        lesson.append((prompts, found))
        prompts = corrected(prompts, found, truth[pupils])

# %% mystnb={"figure": {"caption": "Two lessons, from left to right: what is said so far (yellow: a star is here, a cross is not here), the answer (red), the truth (green).", "name": "fig-hyper-lessons"}, "image": {"alt": "Two rows of four pictures of a brain slice with a tumour. Above, a star in the tumour and, from picture to picture, one more star or cross where the red answer differs from the green outline. Below, the same beginning with a yellow box."}} tags=["hide-input", "nbval-ignore-output"]
figure, panels = style.panels(2, len(lesson))
for turn, (prompts, found) in enumerate(lesson):
    for number, axes in enumerate(panels[:, turn]):
        own = truth[pupils[number]].numpy()
        boxes = prompts.boxes[number]
        show_prompted(
            axes,
            images[pupils[number], 0].numpy(),
            found[number].numpy(),
            box=None if boxes.isnan().any() else boxes,
            points=prompts.points[number],
            labels=prompts.labels[number],
            truth=own,
            title=f"Dice {dice(found[[number]].numpy(), own[None])[0]:.2f}",
        )
        y, x = truth[pupils[number]].nonzero().float().mean(dim=0).tolist()
        axes.set(xlim=(x - 32, x + 32), ylim=(y + 32, y - 32))

# %% [markdown]
# A click in the error need not help: it is one pixel, anywhere in what is wrong, and the network has had a few
# dozen lessons. What it learns in them is to take notice of a user who is not satisfied.
#
# ## Move the click
#
# Now to the weights. A click walks from the middle of a tumour to the right. At every step the first block's
# adapter is asked for its matrices:

# %%
knows = adapted.mask_decoder.transformer.layers[0].prompt_adapter
start = middle_click(truth[pupils[:1]])
steps = torch.arange(0, 41, 2)
path = start + steps[:, None] * torch.tensor([1.0, 0.0])

# %%
here, not_here = torch.ones(len(path), 1), torch.zeros(1, 1)
with torch.no_grad():
    tokens, _ = sam.prompt_encoder((path[:, None], here), None, None)
    no, _ = sam.prompt_encoder((path[:1, None], not_here), None, None)
    made = [
        generator(knows.reduction(torch.cat([tokens, no])))
        for generator in knows.generators
    ]

# %%
made = torch.stack(made, dim=1).unflatten(2, (length, length))
made.shape  # clicks, matrices, rows, columns

# %% mystnb={"figure": {"caption": "The three matrices that a click makes: in the middle of a tumour, some pixels to the right of it, far to the right, and the middle again with the word 'not here'. Blue is negative, red positive.", "name": "fig-hyper-matrices"}, "image": {"alt": "Four columns of three small square heat maps. Neighbouring clicks have similar maps, the far click and the negative click other ones."}} tags=["hide-input", "nbval-ignore-output"]
picked = {"the middle": 0, "8 pixels": 4, "40 pixels": 20, "not here": -1}
figure, panels = style.panels(3, len(picked), panel_height=1.25)
largest = made.abs().max().item()
for column, (name, number) in zip(panels.T, picked.items(), strict=True):
    for place, axes in enumerate(column):
        axes.imshow(
            made[number, place], cmap="RdBu_r", vmin=-largest, vmax=largest
        )
        axes.set(xticks=[], yticks=[])
        axes.grid(visible=False)
    column[0].set_title(name, fontsize=10)
for place, axes in enumerate(panels[:, 0]):
    axes.set_ylabel(f"W{'₁₂₃'[place]}")

# %% tags=["hide-input", "nbval-ignore-output"]
size = made[0].flatten(1).norm(dim=1)
far = 100 * (made - made[0]).flatten(2).norm(dim=2) / size
glue("hyper-far", int(steps[-1]), display=False)
glue("hyper-moved", f"{far[-2].mean():.0f}", display=False)
glue("hyper-negative", f"{far[-1].mean():.0f}", display=False)
glue("hyper-steps", len(losses), display=False)

# %% mystnb={"figure": {"caption": "How far the matrices are from those of the first click, as a share of their size. The dotted lines: a click at the first place that says 'not here'.", "name": "fig-hyper-moved"}, "image": {"alt": "Three rising curves over the distance of the click, and three dotted horizontal lines."}} tags=["hide-input", "nbval-ignore-output"]
figure, axes = style.panels(columns=1, panel_height=2.6)
for number, colour in enumerate(style.SERIES[:3]):
    name = f"W{'₁₂₃'[number]}"
    axes.plot(steps, far[:-1, number], "o-", ms=3, color=colour, label=name)
    axes.axhline(far[-1, number], color=colour, linestyle=":")
style.label(axes, "pixels to the right", "change, %", legend=True)

# %% [markdown]
# The weights follow the click smoothly, since a place reaches them by sines and cosines, and a linear map. At
# the end of the way they have changed by {glue:text}`hyper-moved` %, for the word *not here* by
# {glue:text}`hyper-negative` %. So there is something that the prompt does to the weights. Does it matter for
# the mask?
#
# ## Tell it something else
#
# The decoder gets the right click. Its HyP-Adpts get a click in another patient's tumour, and make their
# weights of that:

# %%
count = len(rows)
click = Prompts(
    torch.arange(count),
    points=middle_click(truth)[:, None],
    labels=torch.ones(count, 1).long(),
)

# %%
layers = adapted.mask_decoder.transformer.layers
with torch.no_grad():
    honest = decode(adapted, embeddings, click).at_side(side).single()[0]
    hooks = [
        layer.prompt_adapter.register_forward_pre_hook(
            lambda _, said: (said[0], said[1].roll(1, dims=0))
        )
        for layer in layers
    ]
    lied = decode(adapted, embeddings, click).at_side(side).single()[0]
for hook in hooks:
    hook.remove()

# %% tags=["nbval-ignore-output"]
other = (honest > 0) != (lied > 0)
scores = {
    name: dice((logits > 0).numpy(), truth.numpy())
    for name, logits in {"honest": honest, "told another": lied}.items()
}

# %% tags=["nbval-ignore-output"]
result = pd.DataFrame(scores).assign(pixels=other.flatten(1).sum(dim=1))
result.rename(columns={"pixels": "pixels that differ"}).describe().loc[
    ["mean", "min", "max"]
].round(2)

# %% tags=["hide-input", "nbval-ignore-output"]
drop = (result["honest"] - result["told another"]).mean()
glue("hyper-lied", int((result["pixels"] > 0).sum()), display=False)
glue("hyper-rows", count, display=False)
glue("hyper-lie", f"{abs(drop):.3f}", display=False)
glue("hyper-pixels", int(result["pixels"].max()), display=False)

# %% [markdown]
# {glue:text}`hyper-lied` of {glue:text}`hyper-rows` masks change, by {glue:text}`hyper-pixels` pixels at
# most, and the mean Dice by {glue:text}`hyper-lie`. The right click still goes through SAM's own tokens, and
# after so few steps that is what counts. The test separates the two ways in any network of this kind: it
# asks what is lost when only the weights are wrong. That weights *differ* from prompt to prompt, as in the
# figures before, says nothing about their use.
#
# ## What the paper leaves open
#
# | the paper does not say | here |
# |---|---|
# | how prompts of different lengths are reduced | side by side in eight places, empty ones zero, one projection |
# | how long the embeddings are | all of the bottleneck's length, so all matrices are square |
# | whether the three layers have biases or a residual | no |
# | where a corrective click goes | any pixel of the error |
# | how many clicks a lesson has, and what share begins with boxes | one to three; one half |
# | whether SAM's own mask goes back in as a prompt | no |
#
# The released code has no HyP-Adpt; what is here was built from two equations and a figure.
#
# ## What we would do
#
# Before believing that generated weights help, run the test above on the trained network: if another prompt's
# weights do as well, a plain adapter would do. And teach with the prompts that users will give. Clicks in the
# error cost a forward pass each, but a network that has never been corrected does not know what a second
# click means.
#
# ## Exercises
#
# ### Exercise 1: ten times as large
#
# Multiply a generated matrix by ten. What changes after Norm and ReLU?

# %% tags=["hide-cell", "nbval-ignore-output"]
torch.manual_seed(0)
e, W = torch.randn(5, length), made[0, 0]
once = F.relu(F.layer_norm(e @ W, (length,)))
tenfold = F.relu(F.layer_norm(e @ (10 * W), (length,)))
# Nothing, but for the small number that keeps Norm from dividing by zero:
# the largest difference is this.
round((once - tenfold).abs().max().item(), 3)

# %% [markdown]
# ### Exercise 2: the order of clicks
#
# Give two clicks in the one order and in the other. Does SAM care? Does Med-SA?

# %% tags=["hide-cell"]
second = middle_click(truth[pupils[:1]]) + torch.tensor([[6.0, 4.0]])
pair = torch.stack([start, second], dim=1)
unequal = {}
for name, network in {"SAM": sam, "Med-SA": adapted}.items():
    answers = []
    for points in (pair, pair.flip(1)):
        asked = Prompts(
            pupils[:1], points=points, labels=torch.ones(1, 2).long()
        )
        with torch.no_grad():
            seen = encode(network, images)
            answers.append(decode(network, seen, asked).logits)
    unequal[name] = not torch.allclose(*answers, atol=1e-3)
# SAM attends to its tokens as to a set: the order means nothing. The
# reduction has a place for each token, so in Med-SA it does.
pd.Series(unequal, name="the order matters").to_frame()

# %% [markdown]
# ### Exercise 3: twenty clicks
#
# A user may click twenty times. How many places are needed, and how many parameters do they cost at SAM's
# width?

# %% tags=["hide-cell"]
with torch.device("meta"):
    longer = Hyper(256, settings.bottleneck, places=21)
# Twenty tokens and one that closes the list. Nearly all of the growth is in
# the reduction, which has weights of its own for each place.
count_parameters(longer).total, int(counts.loc["hyper", "all"])

# %% [markdown]
# ## Check yourself
#
# **1.** In which sense does HyP-Adpt multiply, where addition adds?
#
# ```{admonition} Answer
# :class: dropdown
# Each number in the matrices is a function of the prompt, and is multiplied with a number of the embedding.
# With addition the prompt's numbers meet the embedding's only in a sum.
# ```
#
# **2.** All matrices of a fresh network are random, and depend on the prompt. Why does it still answer as SAM?
#
# ```{admonition} Answer
# :class: dropdown
# The up-projection behind them is zero, as in every adapter here.
# ```
#
# **3.** Why is a lesson's next click drawn in the error, and not in the target?
#
# ```{admonition} Answer
# :class: dropdown
# That is what a user does who sees the answer. And only there can the network learn that a click may say no.
# ```

# %% [markdown]
# ## What you did
#
# You
#
# - **wrote** two equations as two lines;
# - **brought** clicks and boxes to one length;
# - **moved** a click and watched the weights it makes;
# - **gave** lessons with corrections, and
# - **counted** four ways to tell an adapter what was asked.
#
# ## Further reading
#
# - The paper: [Wu and others, Medical SAM adapter](https://doi.org/10.48550/arXiv.2304.12620).
# - Networks that make weights: [Ha, Dai and Le, HyperNetworks](https://doi.org/10.48550/arXiv.1609.09106).
# - Clicks in the error: [Mahadevan, Voigtlaender and Leibe, Iteratively trained interactive segmentation](https://doi.org/10.48550/arXiv.1805.04398).
# - Medical images and boxes alone: [Ma and others, Segment anything in medical images](https://doi.org/10.1038/s41467-024-44824-z).
#
# **Next:** [results and claims of Med-SA](chapter-med-sa-results).
