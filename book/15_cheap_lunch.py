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
# (chapter-lunch)=
# # Cheap Lunch
#
# A hospital has a handful of {term}`slices <slice>` with outlined tumours, and no time to outline more. Can SAM be
# taught from them, so that one click on a tumour is answered with its outline? Cheap Lunch
# {cite}`feng2023cheaplunch` joins two cheap things: images made of the few ([the chapter
# before](chapter-synthesis)), and {term}`LoRA`, here in the mask decoder too.

# %% tags=["parameters"]
PROFILE = "pocket"

# %% tags=["hide-input"]
import pandas as pd
import torch
from myst_nb import glue

from samnb.evaluation.metrics import dice
from samnb.method import Batch
from samnb.networks.sam.class_tokens import adapt, give_target_token
from samnb.networks.sam.lora import count_parameters
from samnb.networks.sam.model import build_sam, encode
from samnb.networks.sam.prompting import Prompts, decode
from samnb.networks.sam.settings import LoraSettings
from samnb.networks.sam.weights import load_sam
from samnb.prompts.users import find_user
from samnb.reports import style
from samnb.reports.diagram import Box, flow
from samnb.reports.lunch_findings import in_numbers
from samnb.reports.lunch_tests import compared
from samnb.reports.prompted import show_prompted
from samnb.runs import records
from samnb.runs.run import Run
from samnb.runs.runner import load_method, make_record
from samnb.studies import cohorts as cohort
from samnb.studies import load_profile
from samnb.systems import cheap_lunch

# %% tags=["hide-input"]
style.use()
profile = load_profile(PROFILE, "cheap-lunch-brats")
slices = cohort.cohort_slices(profile, "brats")
split = cohort.cohort_split(profile, "brats")
few, *_, most = sorted(profile.data.labelled)
seed = profile.seeds[0]
side = slices.side

# %% tags=["hide-input"]
for system in ("sam", "cheap_lunch"):
    for labels in (
        [0] if system == "sam" else [*profile.data.labelled, None]
    ):
        for one in profile.seeds[:1] if system == "sam" else profile.seeds:
            make_record(Run(profile, system, labels, one))
cases = records.load_cases(profile, "scans", "point")
cases = cases[cases["change"] == ""]
of = {name: rows for name, rows in cases.groupby("system")}
all_of_it = compared(of["Cheap Lunch"], of[f"Cheap Lunch-{most}"])
for name, rows in {
    "sam": of["SAM"], "few": of[f"Cheap Lunch-{few}"],
    "most": of[f"Cheap Lunch-{most}"], "full": of["Cheap Lunch"],
}.items():  # fmt: skip
    glue(f"lunch-{name}", f"{rows['dice'].mean():.2f}", display=False)
glue("lunch-few-number", few, display=False)
glue("lunch-most-number", most, display=False)
glue("lunch-all", in_numbers(all_of_it), display=False)

# %% [markdown]
# **What we found**, on brain {term}`phantoms <phantom>` with the {term}`pocket SAM`, one point of the
# truth per slice (an {term}`oracle prompt`), mean {term}`Dice` of the whole tumour over test scans:
#
# - The frozen SAM reaches {glue:text}`lunch-sam`. Taught from {glue:text}`lunch-few-number` labelled
#   slices it reaches {glue:text}`lunch-few`, from {glue:text}`lunch-most-number`
#   {glue:text}`lunch-most`, from all training slices with tumour {glue:text}`lunch-full`.
# - All slices against {glue:text}`lunch-most-number`: {glue:text}`lunch-all`.
# - A small share of the parameters is trained; how small, and what the paper's own number of them
#   really counts, is worked out below.

# %% mystnb={"figure": {"caption": "What learns in Cheap Lunch. LoRA enters the image encoder and all seven attention layers of the mask decoder; mask tokens, hyper-networks and upscaling learn as a whole.", "name": "fig-lunch-flow"}, "image": {"alt": "Boxes from left to right: a slice enters the image encoder, which has LoRA; a random point of the tumour enters the frozen prompt encoder; the mask decoder, with LoRA, gives two masks, background and target; their loss with the truth is cross-entropy plus Dice."}} tags=["hide-input"]
figure = flow(
    [
        [
            Box("slice", f"1 × {side} × {side}"),
            Box("random pixel", "of a random class", "prompt"),
        ],
        [
            Box("image encoder", "LoRA on q, v", "trained"),
            Box("prompt encoder", "2 tokens", "frozen"),
        ],
        [Box("mask decoder", "LoRA on q, v", "trained")],
        [Box("two masks", "background, target", "trained")],
        [Box("CE + 0.8 Dice", "with the truth", "truth")],
    ],
    [
        ("slice", "image encoder"),
        ("random pixel", "prompt encoder"),
        ("image encoder", "mask decoder"),
        ("prompt encoder", "mask decoder"),
        ("mask decoder", "two masks"),
        ("two masks", "CE + 0.8 Dice"),
    ],
)

# %% [markdown]
# **Goals.** After this chapter you will be able to
#
# - **give** SAM's decoder two mask tokens, so that a fresh model answers as SAM does;
# - **count** what LoRA in encoder and decoder trains, and check the paper's count;
# - **write** one step of the training: a class, a pixel, two masks, a loss;
# - **train** it in minutes and see what it has learned.
#
# *You need:* [chapter 4](chapter-lora), [chapter 13](chapter-points), [chapter
# 14](chapter-synthesis). *Time:* half an hour to read and try, about three minutes to run.
#
# ## Two masks in place of four
#
# SAM's decoder has four mask {term}`tokens <token>`. Each becomes a small filter (by a hyper-network of its own),
# and the filter, run over the upscaled image, gives the {term}`logits <logit>` of one mask. Cheap Lunch has two:
# *background* and *target*; a {term}`softmax` over the two decides a pixel. The paper does not say how
# they begin. Here the target's token is SAM's own for the single mask, and the background's filter is
# zero. Then the softmax says *target* exactly where SAM's logit is above zero:
#
# ```{literalinclude} ../samnb/networks/sam/class_tokens.py
# :pyobject: give_target_token
# ```

# %%
rows = slices.rows_of(split.test)
pixels = slices.index["mask_pixels"].to_numpy()[rows]
row = rows[pixels.argmax()]
image, mask = (torch.from_numpy(part) for part in slices.load([row]))
said = find_user("point").prompts(mask.bool(), ["a slice"])
asked = Prompts(
    torch.tensor([0]), points=said.points[:, 0], labels=said.labels[:, 0]
)

# %%
sam = load_sam("pocket", side=side).eval()
fresh = load_sam("pocket", side=side).eval()
give_target_token(fresh.mask_decoder)
with torch.no_grad():
    before = decode(sam, encode(sam, image), asked).single()[0]
    two = decode(fresh, encode(fresh, image), asked).logits
torch.allclose(two[:, 1] - two[:, 0], before, atol=1e-4)

# %% [markdown]
# ## What learns
#
# Rank four, on queries and values, in each block of the image encoder and in the seven attention layers
# of the decoder. Beside that the decoder's tokens, hyper-networks and upscaling as a whole. At the
# paper's size, ViT-B at 512 pixels:

# %%
with torch.device("meta"):
    base = build_sam("vit_b", 512)
    give_target_token(base.mask_decoder)
    parts = tuple(f"mask_decoder.{part}" for part in cheap_lunch.HEADS)
    adapt(base, LoraSettings(rank=4, alpha=4, decoder=True), parts, seed=0)

# %%
trained = {
    "LoRA, image encoder": r"image_encoder.*lora_",
    "LoRA, mask decoder": r"mask_decoder.*lora_",
    "mask tokens": r"mask_tokens",
    "hyper-networks": r"output_hypernetworks_mlps",
    "upscaling": r"output_upscaling",
}

# %%
named = pd.Series(
    {
        name: value.numel()
        for name, value in base.named_parameters()
        if value.requires_grad
    }
)
counts = pd.Series(
    {
        part: named[named.index.str.contains(pattern)].sum()
        for part, pattern in trained.items()
    }
)
counts["all"] = count_parameters(base).trainable
counts["of SAM"] = count_parameters(base).total
counts.map("{:,.0f}".format).rename("parameters").to_frame()

# %%
glue("lunch-trained", f"{counts['all'] / 1e6:.2f}", display=False)
glue(
    "lunch-share",
    f"{100 * counts['all'] / counts['of SAM']:.2f}",
    display=False,
)

# %% [markdown]
# {glue:text}`lunch-trained` million, {glue:text}`lunch-share` % of SAM. The paper prints another number,
# with the unit of a count; [chapter 16](chapter-lunch-results) shows that it is the size of a checkpoint
# file in megabytes, and of which network.
#
# ## One step
#
# A batch has images and the masks of all their classes. Of each image one class is drawn among those in
# it, and of that class one pixel, which becomes the point:
#
# ```{literalinclude} ../samnb/systems/cheap_lunch.py
# :pyobject: CheapLunch.forward
# ```
#
# The paper's loss is $L = \lambda_1 L_{CE} + \lambda_2 L_{Dice}$, with
# $\lambda_1 = 1$ and $\lambda_2 = 0.8$. It does not say which form of Dice. Here it is that of SAMed's
# code, on which Cheap Lunch builds: squared denominators, background included, over the whole batch.

# %%
exemplars = cohort.labelled_rows(profile, "brats", few)
images, masks = (torch.from_numpy(part) for part in slices.load(exemplars))
torch.manual_seed(0)  # classes and pixels are drawn
method = cheap_lunch.CheapLunch(fresh, profile.cheap_lunch, exclusive=False)
nothing = images[:0]
batch = Batch(nothing, torch.zeros(0, 1), images, masks)
{name: round(value.item(), 3) for name, value in method(batch).items()}

# %% [markdown]
# ## A training
#
# The rate rises for a few steps and then falls exponentially, to a hundredth (the paper says neither how
# long nor how far). There are no validation patients: the paper has none, so the last step's weights
# count.

# %%
profile.learning["cheap_lunch"]

# %% tags=["nbval-ignore-output"]
run = Run(profile, "cheap_lunch", most, seed)
record = make_record(run)
learned = load_method(run)

# %%
{name: round(value) for name, value in record.facts["seconds"].items()}

# %% mystnb={"figure": {"caption": "The loss of this training, on images synthesised of the exemplars, step by step.", "name": "fig-lunch-loss"}, "image": {"alt": "A curve that falls steeply at first and then levels off."}} tags=["hide-input"]
figure, axes = style.panels(columns=1, panel_height=2.6)
history = pd.DataFrame(record.facts["history"])
axes.plot(history["step"], history["loss"])
style.label(axes, "step", "loss")

# %% [markdown]
# The loss falls early and then scatters: each step draws other points. The same slice as above, the same point, before and after:

# %% mystnb={"figure": {"caption": "One point, before and after the training. Green is the truth.", "name": "fig-lunch-before-after"}, "image": {"alt": "Two pictures of the same brain slice with a star in a bright tumour; left, the frozen SAM's red mask covers much more or less than the green outline; right, the trained model's mask follows it closely."}} tags=["hide-input"]
device = next(learned.parameters()).device
with torch.no_grad():
    after = learned.answer(image.to(device), said).masks[0, 0].cpu().numpy()
first = (
    torch.nn.functional.interpolate(
        before[None], (side, side), mode="bilinear"
    )[0, 0]
    > 0
)
figure, panels = style.panels(columns=2)
for axes, found, name in zip(
    panels, (first.numpy(), after), ("before", "after"), strict=True
):
    score = dice(found[None], mask[0].numpy())[0]
    show_prompted(
        axes,
        image[0, 0].numpy(),
        found,
        points=said.points[0, 0],
        labels=said.labels[0, 0],
        truth=mask[0, 0].numpy(),
        title=f"{name}: Dice {score:.2f}",
    )

# %% [markdown]
# ## Does the decoder need it?
#
# The authors write that LoRA in the decoder did better than other ways, without numbers. With the same
# exemplars, but with LoRA in the image encoder alone (tokens, hyper-networks and upscaling still learn):

# %%
for one in profile.seeds:
    make_record(
        Run(profile, "cheap_lunch", most, one, ("sam.lora.decoder=false",))
    )
with_changes = records.load_cases(profile, "scans", "point")
plain = with_changes["system"] == f"Cheap Lunch-{most}"
without = with_changes[
    plain & (with_changes["change"] == "sam.lora.decoder=false")
]
decoder = compared(of[f"Cheap Lunch-{most}"], without)
glue("lunch-decoder", in_numbers(decoder), display=False)
in_numbers(decoder)

# %% [markdown]
# With minus without, in Dice: {glue:text}`lunch-decoder`.
#
# ## What the paper leaves open
#
# | the paper does not say | here |
# |---|---|
# | how the two mask tokens begin | target: SAM's single mask; background: zero |
# | the side of the images, steps, batch | the side of SAM's grid at this size; in the profile |
# | the form of Dice, and at which side | squared, with background, over the batch; at the image's side |
# | how long the warm-up, how far the decay | in the profile; to a hundredth |
# | whether the prompt encoder learns | it does not |
# | what an image without any class teaches | nothing; none is shown |
# | how weights are chosen without validation | the last step's |
#
# ## What we would do
#
# Teach from every slice that somebody has outlined anyway; the curve over exemplars
# ([chapter 16](chapter-lunch-results)) says where more of them stop to pay. If nobody will click later,
# do not stop here: the point has to come from somewhere ([chapter 5](chapter-maps)).
#
# ## Exercises
#
# ### Exercise 1: a random pixel, or the middle
#
# While it learns, the point is any pixel of the class. Why not its middle, as in the test?
#
# ```{admonition} Solution
# :class: dropdown
# The middle is always the same pixel for the same mask: from few exemplars the model would see few
# points, all deep inside, and be lost when a person clicks near the edge. The tables with random
# points test exactly this.
# ```
#
# ### Exercise 2: only cross-entropy
#
# Train with `cheap_lunch.dice=0`. What changes, and for which tumours?

# %% tags=["hide-cell"]
plain = make_record(
    Run(profile, "cheap_lunch", most, seed, ("cheap_lunch.dice=0",))
)
told = {
    name: each.scans[each.scans["user"] == "point"]
    for name, each in {
        "both losses": record,
        "cross-entropy": plain,
    }.items()
}
# Cross-entropy counts pixels, so one would expect small tumours to suffer
# without Dice. With a point that names the tumour they do not have to; and
# with one seed a hundredth is no difference.
middle = told["both losses"]["truth_voxels"].median()
pd.DataFrame(
    {
        name: rows["dice"].groupby(rows["truth_voxels"] > middle).mean()
        for name, rows in told.items()
    }
).rename({False: "smaller tumours", True: "larger tumours"}).round(3)

# %% [markdown]
# ### Exercise 3: rank one
#
# Train with `sam.lora.rank=1 sam.lora.alpha=1`. How many parameters are left, and how much Dice?

# %% tags=["hide-cell"]
with torch.device("meta"):
    thin = build_sam("vit_b", 512)
    give_target_token(thin.mask_decoder)
    adapt(thin, LoraSettings(rank=1, alpha=1, decoder=True), parts, seed=0)

# %% tags=["hide-cell"]
one = make_record(
    Run(
        profile,
        "cheap_lunch",
        most,
        seed,
        ("sam.lora.rank=1", "sam.lora.alpha=1"),
    )
)
# LoRA shrinks to a quarter; the hyper-networks stay as they are, and are
# the larger part.
pd.DataFrame(
    {
        "trained at ViT-B": [
            counts["all"],
            count_parameters(thin).trainable,
        ],
        "Dice here, one seed": [
            found.scans.groupby("user")["dice"].mean()["point"]
            for found in (record, one)
        ],
    },
    index=["rank four", "rank one"],
)

# %% [markdown]
# ## Check yourself
#
# **1.** Why does a filter of zeros for the background leave SAM's answer as it is?
#
# ```{admonition} Answer
# :class: dropdown
# Its logit is zero everywhere, so the target wins exactly where its own logit is above zero, which is
# SAM's own rule.
# ```
#
# **2.** Can the background's hyper-network learn if its last layer is zero?
#
# ```{admonition} Answer
# :class: dropdown
# Yes. The gradient of the last layer depends on what flows into it, which is not zero. After one step
# it is not zero itself, and the layers before it learn too.
# ```
#
# **3.** All training slices have a tumour. What does this model say of a slice without?
#
# ```{admonition} Answer
# :class: dropdown
# Nobody points there, so it is not asked. Asked all the same it would answer with something: it was
# never shown that a point can mean nothing.
# ```

# %% [markdown]
# ## What you did
#
# You
#
# - **gave** SAM two mask tokens without changing an answer;
# - **counted** what is trained;
# - **wrote** a step, and
# - **trained** from a handful of slices, and looked.
#
# **Next:** [all systems side by side](chapter-lunch-results).
