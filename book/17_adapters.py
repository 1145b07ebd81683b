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
# (chapter-adapters)=
# # Adapters
#
# A clinic wants SAM to know its scans. But it must be able to say what exactly was changed, and to take
# it back. Can a network be taught without touching one of its weights? Med-SA {cite}`wu2023medsa`, the
# third paper of this book, puts small layers *between* those of SAM: adapters {cite}`houlsby2019adapters`.

# %% tags=["parameters"]
PROFILE = "pocket"

# %% tags=["hide-input"]
import pandas as pd
import torch
from myst_nb import glue
from torch.utils.flop_counter import FlopCounterMode

from samnb.evaluation.metrics import dice
from samnb.method import Batch
from samnb.networks.sam.bottleneck import Adapter
from samnb.networks.sam.lora import add_lora, count_parameters
from samnb.networks.sam.med_adapters import (
    MedAdapterSettings,
    add_med_adapters,
    is_adapter,
)
from samnb.networks.sam.model import SAM_SIZES, build_sam, encode
from samnb.networks.sam.prompting import Prompts, decode
from samnb.networks.sam.settings import LoraSettings
from samnb.networks.sam.weights import load_sam
from samnb.prompts.boxes import box_of, middle_click
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
side, size = slices.side, SAM_SIZES["pocket"]
narrow = size.width // MedAdapterSettings().bottleneck

# %% [markdown]
# **What we found**
#
# - With a {term}`bottleneck` of one sixteenth of the width, the adapters in the image encoder of SAM's
#   largest size have {glue:text}`adapters-vit-h` parameters. That is the paper's "13 M", and
#   {glue:text}`adapters-share` % of SAM. Those in the decoder add {glue:text}`adapters-decoder`.
# - Fresh adapters change nothing: {glue:text}`adapters-same` of {glue:text}`adapters-asked` masks of
#   test {term}`slices <slice>` have the same {term}`logits <logit>`, to the last bit.
# - After {glue:text}`adapters-steps` steps on {glue:text}`adapters-taught` slices of brain
#   {term}`phantoms <phantom>`, the {term}`pocket SAM` answers a click in the middle of a tumour (an
#   {term}`oracle prompt`) with a mean {term}`Dice` of {glue:text}`adapters-after` in place of
#   {glue:text}`adapters-before`, on one slice of each of {glue:text}`adapters-patients` other
#   patients. This shows that adapters learn; it is too small to compare systems by.

# %% mystnb={"figure": {"caption": "A block of the image encoder. The upper path is SAM's own and frozen; each adapter is a narrow detour below it, and only the detours learn.", "name": "fig-adapters-encoder"}, "image": {"alt": "Boxes from left to right: tokens enter the frozen attention; its result goes on as it is and through a first adapter, and both are added to the tokens; then the frozen MLP and a second, scaled adapter stand beside each other, and their results are added too."}} tags=["hide-input"]
figure = med_sa_diagrams.encoder_block(size.width, narrow)

# %% [markdown]
# **Goals.** After this chapter you will be able to
#
# - **write** an adapter, and say what it has and lacks beside LoRA;
# - **place** Med-SA's adapters in SAM's encoder and decoder;
# - **check** that fresh adapters give SAM's own masks, bit for bit;
# - **count** their parameters at any size, without a computer;
# - **teach** SAM with them, and take it back.
#
# *You need:* [chapter 2](chapter-prompting), [chapter 4](chapter-lora). *Time:* half an hour to read and
# try, two minutes to run.
#
# ## A narrow detour
#
# An adapter takes what a layer has computed, for every {term}`token` alone: down to a fraction of the
# width, ReLU, and up again. The result is *added*:
#
# $$ y = a + U\,\mathrm{ReLU}(D\,a), \qquad D: \tfrac{d}{16} \times d, \quad U: d \times \tfrac{d}{16}. $$
#
# ```{literalinclude} ../samnb/networks/sam/bottleneck.py
# :pyobject: Adapter
# ```
#
# The up-projection $U$ begins with zeros, so a new adapter adds nothing. The down-projection is random:
# were both zero, neither matrix would ever get a gradient.

# %%
torch.manual_seed(0)
one = Adapter(size.width, bottleneck=16)
a = torch.randn(5, size.width)
one.down(a).shape, one(a).shape, bool((one(a) == 0).all())

# %% [markdown]
# ## Beside LoRA
#
# | | {term}`LoRA` | adapter |
# |---|---|---|
# | corrects | a weight: $W + BA$ | what a layer has computed |
# | bends | no: a matrix beside a matrix | yes: the ReLU in its middle |
# | can be merged into SAM | yes, and then costs nothing | no, it stays a layer of its own |
# | fresh | adds nothing, $B$ is zero | adds nothing, $U$ is zero |
#
# What the last but one row costs can be counted: the multiplications for one slice through the pocket
# SAM's encoder.

# %%
kinds = {
    "SAM": load_sam("pocket", side),
    "with LoRA": add_lora(load_sam("pocket", side), LoraSettings(rank=4)),
    "with adapters": add_med_adapters(
        load_sam("pocket", side), MedAdapterSettings()
    ),
}

# %%
rows = {}
for name, sam in kinds.items():
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        sam.image_encoder(torch.zeros(1, 3, side, side))
    learned = count_parameters(sam.image_encoder).trainable
    rows[name] = {
        "parameters learned": 0 if name == "SAM" else learned,
        "million multiplications": counter.get_total_flops() / 2e6,
    }
costs = pd.DataFrame(rows).T
costs["more, %"] = 100 * (costs.iloc[:, 1] / costs.iloc[0, 1] - 1)
costs.map("{:,.1f}".format).replace(r"\.0$", "", regex=True)

# %% [markdown]
# An adapter costs little when the network answers, and LoRA that has been merged nothing at all. The
# numbers of parameters are no comparison: either can be made as large as one likes.
#
# ## Where they sit
#
# In each block of the image encoder there are two, as in the figure above: one behind the attention,
# before its residual; one beside the MLP, scaled by $s$, as {cite}`chen2022adaptformer` found it best.
# In the code, `self._over_depth` is for volumes; it is [the next chapter's](chapter-depth) subject.
#
# ```{literalinclude} ../samnb/networks/sam/space_depth.py
# :pyobject: AdaptedBlock.forward
# ```
#
# In each of the decoder's two blocks there are three:

# %% mystnb={"figure": {"caption": "A block of the mask decoder with its three adapters. The first one knows the prompt.", "name": "fig-adapters-decoder"}, "image": {"alt": "Boxes from left to right: the tokens of masks and prompts attend to one another; then comes a first adapter that takes the prompt from a box below; then the tokens look at the image; then the frozen MLP with the second adapter beside it; then the image looks at the tokens; last the third adapter, on the image."}} tags=["hide-input"]
figure = med_sa_diagrams.decoder_block()

# %% [markdown]
# ```{literalinclude} ../samnb/networks/sam/med_adapters.py
# :pyobject: AdaptedTwoWayBlock.forward
# ```
#
# How the first one knows the prompt is the subject of [chapter 19](chapter-hyper). The released code of
# Med-SA has none of the decoder's adapters; it trains the whole mask decoder instead.
#
# ## Nothing, at first
#
# One slice of each test patient, the one with the largest tumour; a click in the middle of it, and a
# tight box. Both networks are asked, and the logits compared.

# %%
table = slices.index.loc[slices.rows_of(split.test)]
rows = table.groupby("patient")["mask_pixels"].idxmax().to_numpy()
images, masks = (torch.from_numpy(part) for part in slices.load(rows))
truth = masks[:, 0].bool()

# %%
each = torch.arange(len(rows))
click = Prompts(
    each,
    points=middle_click(truth)[:, None],
    labels=torch.ones_like(each)[:, None],
)
box = Prompts(each, boxes=box_of(truth))

# %%
sam, adapted = kinds["SAM"].eval(), kinds["with adapters"].eval()
same = []
with torch.no_grad():
    for said in (click, box):
        before = decode(sam, encode(sam, images), said).logits
        after = decode(adapted, encode(adapted, images), said).logits
        same += (before == after).flatten(2).all(dim=2).flatten().tolist()

# %% tags=["hide-input"]
glue("adapters-same", sum(same), display=False)
glue("adapters-asked", len(same), display=False)

# %% [markdown]
# {glue:text}`adapters-same` of {glue:text}`adapters-asked` masks are the same in all their logits (SAM
# answers each prompt with four). One thing had to be arranged for this. Behind its third adapter the
# paper puts another norm. SAM has a norm there already, and to normalise twice is not nothing. Here the
# second norm fades in: a learned share, which begins at zero. With the share at one, as the paper's
# figure has it, and nothing learned:

# %%
shares = [
    layer.image_norm.share
    for layer in adapted.mask_decoder.transformer.layers
]
with torch.no_grad():
    for share in shares:
        share.fill_(1)
    whole = decode(adapted, encode(adapted, images), box).single()[0] > 0
    for share in shares:
        share.zero_()

# %%
alike = dice(whole.numpy(), (before[:, 0] > 0).numpy())
print(f"Dice with SAM's own masks: {alike.mean():.2f}")

# %% tags=["hide-input"]
glue("adapters-norm", f"{alike.mean():.2f}", display=False)

# %% [markdown]
# The masks would then agree with SAM's own by a Dice of {glue:text}`adapters-norm` only: the training
# would begin by mending what the construction broke.
#
# ## Counted
#
# An adapter of width $d$ and bottleneck $d/k$ has $2\,d\,(d/k)$ weights and $d/k + d$ biases. SAM's
# largest size has a width of 1280, and 32 blocks with two adapters each. No weights are needed to count:
# on the device *meta*, layers have shapes and nothing else.

# %%
blocks, d, k = SAM_SIZES["vit_h"].depth, SAM_SIZES["vit_h"].width, 16
by_hand = blocks * 2 * (2 * d * (d // k) + d // k + d)

# %%
rows = []
for name in ("vit_b", "vit_l", "vit_h"):
    for k in (16, 4):
        with torch.device("meta"):
            large = add_med_adapters(
                build_sam(name), MedAdapterSettings(bottleneck=k)
            )
        encoder = count_parameters(large.image_encoder).trainable
        decoder = count_parameters(large.mask_decoder).trainable
        own = count_parameters(large).total - encoder - decoder
        rows.append((name, f"1/{k}", encoder, decoder, own))

# %%
names = ["SAM", "bottleneck", "encoder", "decoder", "SAM's own"]
counts = pd.DataFrame(rows, columns=names).set_index(names[:2])
counts["encoder, % of SAM"] = 100 * counts["encoder"] / counts["SAM's own"]
counts.map("{:,.1f}".format).replace(r"\.0$", "", regex=True)

# %% tags=["hide-input"]
paper = counts.loc[("vit_h", "1/16")]
wide = counts.loc[("vit_h", "1/4")]
assert by_hand == paper["encoder"]
glue("adapters-vit-h", f"{paper['encoder']:,.0f}", display=False)
glue("adapters-share", f"{paper['encoder, % of SAM']:.1f}", display=False)
glue("adapters-decoder", f"{paper['decoder']:,.0f}", display=False)
glue("adapters-wide", f"{wide['encoder'] / 1e6:.1f}", display=False)

# %% [markdown]
# The paper prints 13 million beside its network, and says two in a hundred. Two adapters in each block
# and a sixteenth of the width give {glue:text}`adapters-vit-h`, which is what we build. The paper does not
# give the sixteenth; it follows from the number. The released code takes a quarter, which would be
# {glue:text}`adapters-wide` million with two adapters in a block. The decoder's share is small, because
# the decoder is.
#
# ## A few steps
#
# What learns? The lessons are those of [chapter 19](chapter-hyper): a click or a box, then clicks in the
# error, and the loss of every answer. Here they are given on a few slices only, each of another
# training patient.

# %%
table = slices.index.loc[slices.rows_of(split.train)]
few = table.groupby("patient")["mask_pixels"].idxmax().to_numpy()[:12]
shown, outlined = (torch.from_numpy(part) for part in slices.load(few))

# %%
nothing = torch.zeros(0, 1).long()
method = MedSa(adapted, MedSaSettings())
learns = [value for value in method.parameters() if value.requires_grad]
optimiser = torch.optim.Adam(learns, 3e-3)

# %%
own = {
    name: value.clone()
    for name, value in adapted.named_parameters()
    if not is_adapter(name)
}

# %% tags=["nbval-ignore-output"]
losses = []
torch.manual_seed(0)  # of clicks and boxes
for step in range(30):
    some = [(3 * step + place) % len(few) for place in range(3)]
    batch = Batch(shown[:0], nothing, shown[some], outlined[some])
    optimiser.zero_grad()
    loss = method(batch)["loss"]
    loss.backward()
    optimiser.step()
    losses.append(loss.item())

# %% mystnb={"figure": {"caption": "The loss of a few steps, in which nothing but adapters learns.", "name": "fig-adapters-loss"}, "image": {"alt": "A curve that falls over the steps and scatters, because every step draws other clicks and boxes."}} tags=["hide-input", "nbval-ignore-output"]
figure, axes = style.panels(columns=1, panel_height=2.4)
axes.plot(losses)
style.label(axes, "step", "loss")

# %% [markdown]
# The loss falls and scatters: each step draws other clicks. The same clicks as before, on the test
# patients, which no step has seen:

# %% tags=["hide-input", "nbval-ignore-output"]
found = {}
with torch.no_grad():
    for name, network in {"before": sam, "after": adapted.eval()}.items():
        answer = decode(network, encode(network, images), click)
        found[name] = answer.at_side(side).single()[0] > 0

# %% tags=["hide-input", "nbval-ignore-output"]
scores = {
    name: dice(mask.numpy(), truth.numpy()) for name, mask in found.items()
}
for name, values in scores.items():
    glue(f"adapters-{name}", f"{values.mean():.2f}", display=False)
glue("adapters-steps", len(losses), display=False)
glue("adapters-taught", len(few), display=False)
glue("adapters-patients", len(truth), display=False)

# %% tags=["nbval-ignore-output"]
pd.DataFrame(scores).describe().loc[["mean", "min", "max"]].round(2)

# %% mystnb={"figure": {"caption": "The patient whose answer changed most, chosen by this rule. Red is the answer to the click, green the truth.", "name": "fig-adapters-before-after"}, "image": {"alt": "Two pictures of the same brain slice with a star in a bright tumour; left the frozen SAM's red mask, right that of the SAM with trained adapters, nearer to the green outline."}} tags=["hide-input", "nbval-ignore-output"]
most = abs(scores["after"] - scores["before"]).argmax()
figure, panels = style.panels(columns=2)
for axes, (name, mask) in zip(panels, found.items(), strict=True):
    show_prompted(
        axes,
        images[most, 0].numpy(),
        mask[most].numpy(),
        points=click.points[most],
        labels=click.labels[most],
        truth=truth[most].numpy(),
        title=f"{name}: Dice {scores[name][most]:.2f}",
    )

# %% [markdown]
# The mean Dice went from {glue:text}`adapters-before` to {glue:text}`adapters-after`. And SAM itself?

# %%
kept = {name: value for name, value in adapted.named_parameters()}
all(torch.equal(kept[name], value) for name, value in own.items())

# %% [markdown]
# Not one of its weights has moved. What was learned is in the adapters, which are saved in a file of their
# own (`samnb.networks.sam.med_adapter_files`); without them SAM is what it was.
#
# ## What the paper leaves open
#
# | the paper does not say | here |
# |---|---|
# | the length of the bottleneck | a sixteenth of the width, from its 13 million |
# | how an adapter begins | up-projection zero, down-projection random |
# | the scale $s$ | one half, as in the released code |
# | whether the first adapter has a residual of its own | yes, so that a fresh one changes nothing |
# | how the decoder's last norm begins | at SAM's own output, by a share that is learned |
# | whether the mask decoder learns as well | no: the text freezes SAM (the released code trains it) |
#
# ## What we would do
#
# If one SAM shall serve many hospitals or organs, keep SAM once and an adapter file for each: megabytes
# in place of gigabytes, and a change that can be taken back. If speed at the bedside counts, and one
# correction is all there is, LoRA merges and costs nothing. Before any training, check that the fresh
# network answers as the old one does: a difference there is a bug, or a choice that should be written
# down.
#
# ## Exercises
#
# ### Exercise 1: the released code's count
#
# The released code has three adapters in each block of the encoder (the third is for depth), ReLU's
# place is taken by GELU, and a quarter of the width. How many parameters are that in ViT-B? Count by
# hand, then check.

# %% tags=["hide-cell"]
settings = MedAdapterSettings(bottleneck=4, depth="own")
with torch.device("meta"):
    released = add_med_adapters(build_sam("vit_b"), settings)
d = SAM_SIZES["vit_b"].width
by_hand = 12 * 3 * (2 * d * (d // 4) + d // 4 + d)
# The same: GELU has no parameters, and where an adapter sits does not
# matter. It is a fifth less than the paper's number, at a far smaller SAM.
by_hand, count_parameters(released.image_encoder).trainable

# %% [markdown]
# ### Exercise 2: half of it taken back
#
# Silence the trained adapters of the encoder, then those of the decoder. Which half has learned what
# matters here?

# %% tags=["hide-cell", "nbval-ignore-output"]
learned = {
    name: value.clone() for name, value in adapted.state_dict().items()
}
silent = {}
for part in ("image_encoder", "mask_decoder"):
    muted = {
        name: value * (not (is_adapter(name) and name.startswith(part)))
        for name, value in learned.items()
    }
    adapted.load_state_dict(muted)
    with torch.no_grad():
        answer = decode(adapted, encode(adapted, images), click)
    mask = answer.at_side(side).single()[0] > 0
    silent[f"without {part}'s"] = dice(mask.numpy(), truth.numpy()).mean()
adapted.load_state_dict(learned)
# After so few steps nearly all of the gain is the decoder's: without the
# encoder's adapters little is lost, without the decoder's most of it.
pd.Series(silent | {"both": scores["after"].mean()}).round(2).to_frame(
    "Dice"
)

# %% [markdown]
# ### Exercise 3: why not merge?
#
# LoRA's correction can be added to the weight $W$ once and for all. Why can an adapter's not?
#
# ```{admonition} Solution
# :class: dropdown
# $W + BA$ is a matrix again. With a ReLU between $D$ and $U$ there is no matrix that does the same for
# every input: where the sign in the bottleneck changes, so does what is added. Without the ReLU it could
# be merged, $(I + UD)\,W$, and would be a kind of LoRA.
# ```
#
# ## Check yourself
#
# **1.** Why is only the up-projection zero at the start, and not both?
#
# ```{admonition} Answer
# :class: dropdown
# The gradient of each is a product with the other. With both zero, both gradients are zero, and neither
# matrix would ever move. With one zero, that one moves in the first step.
# ```
#
# **2.** The paper updates two in a hundred of the parameters. Is a training step fifty times cheaper?
#
# ```{admonition} Answer
# :class: dropdown
# No. The whole network runs forward, and the gradient still travels back through its frozen layers to the
# first adapter. What is saved is the optimiser's memory, and the gradients of frozen weights.
# ```
#
# **3.** Two networks are the same bit for bit before the training. What does this rule out afterwards?
#
# ```{admonition} Answer
# :class: dropdown
# That a difference comes from how the adapters were put in. All of it was learned.
# ```

# %% [markdown]
# ## What you did
#
# You
#
# - **wrote** an adapter and set it beside LoRA;
# - **placed** the adapters of Med-SA;
# - **checked** that they begin as nothing;
# - **counted** them, and found the paper's number;
# - **taught** with them, and saw that SAM had not moved.
#
# ## Further reading
#
# - The paper: [Wu and others, Medical SAM adapter](https://doi.org/10.1016/j.media.2025.103547), its later form in a journal; this book follows [the first](https://doi.org/10.48550/arXiv.2304.12620).
# - Where adapters come from: [Houlsby and others, Parameter-efficient transfer learning](https://doi.org/10.48550/arXiv.1902.00751).
# - Beside the MLP, with a scale: [Chen and others, AdaptFormer](https://doi.org/10.48550/arXiv.2205.13535).
#
# **Next:** [depth for free](chapter-depth).
