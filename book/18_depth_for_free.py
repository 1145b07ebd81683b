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
# (chapter-depth)=
# # Depth for free
#
# Whoever reads a scan scrolls: what is unclear in one {term}`slice` is often clear from the next. SAM sees
# one picture at a time. Can it be made to look at the neighbours without learning a new attention? Med-SA
# {cite}`wu2023medsa` lets the *same* attention run once more, over depth. It calls this
# {term}`SD-Trans`.

# %% tags=["parameters"]
PROFILE = "pocket"

# %% tags=["hide-input"]
import time
from itertools import product

import numpy as np
import pandas as pd
import torch
from myst_nb import glue
from torch.utils.flop_counter import FlopCounterMode

# %% tags=["hide-input"]
from samnb.networks.sam.lora import count_parameters
from samnb.networks.sam.med_adapters import (
    MedAdapterSettings,
    add_med_adapters,
    is_adapter,
)
from samnb.networks.sam.model import SAM_SIZES, build_sam, encode
from samnb.networks.sam.prompting import Prompts, decode
from samnb.networks.sam.space_depth import (
    encode_in_patches,
    encode_volumes,
    slices_of,
)
from samnb.networks.sam.weights import load_sam
from samnb.reports import med_sa_diagrams, style
from samnb.reports.pictures import show_slice
from samnb.studies import cohorts as cohort
from samnb.studies import load_profile

# %% tags=["hide-input"]
style.use()
profile = load_profile(PROFILE, "cheap-lunch-brats")
slices = cohort.cohort_slices(profile, "brats")
split = cohort.cohort_split(profile, "brats")
side, pocket = slices.side, SAM_SIZES["pocket"]
grid, DEPTH, MIDDLE = side // pocket.patch, 8, 4

# %% [markdown]
# **What we found**
#
# - In parameters it is free: with and without attention over depth, {glue:text}`depth-learned` learn in
#   the pocket encoder. In work it is not: at ViT-B and 1024 pixels a volume needs {glue:text}`depth-more` %
#   more multiplications than its slices one by one, and a step of training of the
#   {term}`pocket SAM` keeps {glue:text}`depth-memory` % more in memory.
# - One slice made bright changes what the encoder says of {glue:text}`depth-reached` of the other
#   {glue:text}`depth-others` slices, as soon as the adapters are more than zero. Before that, and
#   without attention over depth, it changes none.
# - After one block the news has reached the same place of the other slices only; after two it is
#   everywhere.
# - A volume of one slice is a picture: the same numbers, bit for bit.
#
# Whether depth makes better masks is another question. It is answered by training, in the results.

# %% mystnb={"figure": {"caption": "A block's attention, twice with the same weights: over the places of a slice, and over the slices of a place.", "name": "fig-depth-flow"}, "image": {"alt": "Boxes from left to right: a volume of tokens is arranged in two ways, as slices of places and as places of slices; both go through the same frozen attention; the results are added and go into the first adapter."}} tags=["hide-input"]
figure = med_sa_diagrams.space_and_depth(DEPTH, grid * grid, pocket.width)

# %% [markdown]
# **Goals.** After this chapter you will be able to
#
# - **write** attention over depth as a transposition;
# - **see** which token looks at which;
# - **test** with one bright slice how far news travels, in blocks and in slices;
# - **count** what it costs.
#
# *You need:* [chapter 17](chapter-adapters). *Time:* half an hour to read and try, two minutes to run.
#
# ## A transposition
#
# Attention mixes the {term}`tokens <token>` of a set, whatever they stand for. SAM's sets are the places of
# a slice. Put the axes in another order, and the sets are the slices of a place:
#
# $$ D \times N \times L \;\longrightarrow\; N \times D \times L, $$
#
# with $D$ slices, $N$ places and $L$ numbers in a token. In the code the same `self.attn` is called:
#
# ```{literalinclude} ../samnb/networks/sam/space_depth.py
# :pyobject: AdaptedBlock._over_depth
# ```
#
# The volume here is a stack of neighbouring slices of a brain {term}`phantom`, around its largest tumour.

# %%
rows = slices.rows_of(split.test)
largest = rows[slices.index["mask_pixels"].to_numpy()[rows].argmax()]
stack = np.arange(largest - MIDDLE, largest - MIDDLE + DEPTH)
assert len(set(slices.index["scan"].iloc[stack])) == 1  # one patient's
images, masks = (torch.from_numpy(part) for part in slices.load(stack))
volume = images.transpose(0, 1)[None]
volume.shape  # volumes, channels, slices, rows, columns

# %% [markdown]
# Fresh adapters add nothing, so there would be nothing to see. A network for this chapter's tests needs
# adapters that do something; what, does not matter. They get random weights.

# %%
kinds = {}
for depth in ("none", "joined", "own"):
    sam = add_med_adapters(
        load_sam("pocket", side), MedAdapterSettings(depth=depth)
    )
    torch.manual_seed(0)
    with torch.no_grad():
        for name, value in sam.named_parameters():
            if is_adapter(name):
                value.normal_(0, 0.1)
    kinds[depth] = sam.eval()

# %%
learned = {
    name: count_parameters(sam.image_encoder).trainable
    for name, sam in kinds.items()
}
pd.Series(learned, name="parameters that learn, encoder").to_frame()

# %% tags=["hide-input"]
assert learned["none"] == learned["joined"]
glue("depth-learned", f"{learned['joined']:,}", display=False)

# %% [markdown]
# *none* lets slices know nothing of each other; *joined* is the paper's: the two results are added, and
# go through one adapter. *own* gives depth an adapter to itself, as the released code does; only that one
# has more to learn.
#
# ## Who looks at whom
#
# Take one token of one slice as it leaves a block, and ask with its gradient which tokens that entered have
# a part in it.

# %%
HERE = (MIDDLE, 9 * grid // 16, 5 * grid // 16)  # slice, row, column
x = torch.randn(DEPTH, grid, grid, pocket.width)
x.requires_grad_(True)
seen = {}
for name, depth, blocks in (
    ("each slice alone", "none", 1),
    ("with depth, one block", "joined", 1),
    ("with depth, two blocks", "joined", 2),
):
    y = x
    for block in kinds[depth].image_encoder.blocks[:blocks]:
        y = block(y, DEPTH)
    (pull,) = torch.autograd.grad(y[HERE].sum(), x)
    seen[name] = (pull.abs().sum(dim=-1) > 0).numpy()

# %%
pd.DataFrame({name: part.sum(axis=(1, 2)) for name, part in seen.items()}).T

# %% mystnb={"figure": {"caption": "Tokens, blue, that have a part in the starred token of one slice. Columns are the slices of a volume, rows are kinds of blocks.", "name": "fig-depth-seen"}, "image": {"alt": "Three rows of small grids, one grid for each slice. First row: all of the starred slice is blue, no other. Second row: the starred slice is blue, and in every other slice the one token at the same place. Third row: everything is blue."}} tags=["hide-input"]
blue = {name: np.where(part, 0.6, np.nan) for name, part in seen.items()}
figure = med_sa_diagrams.slice_grids(blue, HERE)

# %% [markdown]
# The second row is SD-Trans: a token looks at all of its own slice, and through the others at one place
# only, like a needle. Two blocks suffice for all to reach all, by way of the token at the other end of the
# needle. Attention over the whole volume at once would do it in one, and need a matrix as large as the
# number of slices squared is larger.
#
# ## One bright slice
#
# Gradients say what is possible. Now the test itself: a square of one slice becomes bright, and everything
# is computed anew.

# %%
bright = volume.clone()
_, row, column = (pocket.patch * place for place in HERE)
token = np.s_[row : row + pocket.patch, column : column + pocket.patch]
bright[0, 0, MIDDLE][token] = 1  # exactly one token
plain = load_sam("pocket", side)
fresh = add_med_adapters(plain, MedAdapterSettings()).eval()
cases = {
    "fresh adapters": (fresh, DEPTH),
    "no depth": (kinds["none"], DEPTH),
    "depth": (kinds["joined"], DEPTH),
    "depth, patches of four slices": (kinds["joined"], 4),
}

# %%
news = {}
with torch.no_grad():
    for name, (sam, thickness) in cases.items():
        before = encode_in_patches(sam, volume, thickness)
        after = encode_in_patches(sam, bright, thickness)
        changed = (before != after).any(dim=1).flatten(1)
        news[name] = changed.float().mean(dim=1).numpy()

# %%
table = pd.DataFrame(news).T.rename_axis(columns="slice")
table.map("{:.0%}".format)

# %% tags=["hide-input"]
others = table.loc["depth"].drop(MIDDLE)
assert (
    table.loc[["fresh adapters", "no depth"]].drop(columns=MIDDLE) == 0
).all(axis=None)
glue("depth-reached", int((others > 0).sum()), display=False)
glue("depth-others", len(others), display=False)

# %% [markdown]
# The table has the share of each slice's embedding that is no longer the same. Without depth the news stays
# where it is; with fresh adapters too, since depth reaches a block through its adapter alone. With depth it
# reaches all slices. In the last row the volume is cut into patches of four, which is how thick volumes
# become affordable: the news stops at the patch's edge. That is a choice with a price, and the test
# shows it.
#
# How fast does it travel? The same, block after block:

# %%
encoder, pair = kinds["joined"].image_encoder, []
with torch.no_grad():
    for content in (volume, bright):
        pixels = (slices_of(content) * 255 - sam.pixel_mean) / sam.pixel_std
        x, steps = encoder.patch_embed(pixels) + encoder.pos_embed, []
        for block in encoder.blocks:
            x = block(x, DEPTH)
            steps.append(x)
        pair.append(torch.stack(steps))

# %%
moved = (pair[1] - pair[0]).norm(dim=-1) / pair[0].norm(dim=-1)

# %% mystnb={"figure": {"caption": "How much each token changes because of one bright square in one slice (framed; the star is on the square): columns are slices, rows are blocks. Black is nothing, each lighter tone is more, on a logarithmic scale from a millionth to all of the token.", "name": "fig-depth-news"}, "image": {"alt": "Rows of small grids. After the first block the marked slice has changed everywhere, and every other slice in one token at the place of the square. After the second block all tokens of all slices have changed a little. After the last block the change is spread, strongest in the marked slice."}} tags=["hide-input"]
strength = moved.clamp(min=1e-6).log10().numpy()
parts = {
    f"after block {number + 1}": strength[number]
    for number in (0, 1, len(strength) - 1)
}
figure = med_sa_diagrams.slice_grids(parts, HERE, "inferno", (-6, 0))
colours = figure.axes[0].collections[0]
bar = figure.colorbar(
    colours, ax=figure.axes, shrink=0.6, ticks=[-6, -3, 0]
)
bar.set_ticklabels(["none", "a thousandth", "all of it"], fontsize=8)

# %% [markdown]
# The needle again, in the first row: outside its own slice, the bright square is seen in one token. Then the
# attention of each slice spreads it.
#
# And the pixels? A click in the middle of every slice, before and after:

# %%
x, y = np.argwhere(masks[MIDDLE, 0].numpy()).mean(axis=0)[::-1].round()
here = torch.tensor([[[x, y]]]).float().expand(DEPTH, 1, 2)
said = Prompts(
    torch.arange(DEPTH), points=here, labels=torch.ones(DEPTH, 1).long()
)

# %%
with torch.no_grad():
    answers = [
        decode(kinds["joined"], encode_volumes(kinds["joined"], each), said)
        for each in (volume, bright)
    ]

# %% tags=["nbval-ignore-output"]
before, after = (one.at_side(side).single()[0] for one in answers)
change = (after - before).abs()
least = (change > 0).flatten(1).float().mean(dim=1).min()
print(f"at least {least:.2%} of each slice's pixels change")

# %% mystnb={"figure": {"caption": "Above, three slices of the volume; the middle one has the bright square. Below, how much the logit of each pixel changes, brighter is more.", "name": "fig-depth-pixels"}, "image": {"alt": "Above, three neighbouring brain slices with a tumour, one with a small white square. Below, three maps: the logits change in all three slices, most in the one with the square."}} tags=["hide-input"]
shown = (MIDDLE - 2, MIDDLE, MIDDLE + 2)
figure, panels = style.panels(2, len(shown), panel_height=2.2)
for column, number in zip(panels.T, shown, strict=True):
    show_slice(
        column[0], bright[0, 0, number].numpy(), title=f"slice {number}"
    )
    column[1].imshow(
        change[number].sqrt(), cmap="inferno", vmax=change.max().sqrt()
    )
    column[1].set_axis_off()

# %% [markdown]
# Hardly a pixel of any slice has kept its {term}`logit`, in these three and in the others: the network is one of volumes now.
# That its adapters are random makes the *size* of these changes meaningless. That there are any is what the
# construction gives; what they are good for has to be learned.
#
# ## One slice is a picture
#
# With one slice there is nothing behind or before. The attention over depth would have sets of one token,
# and add that token's value to itself, which is not nothing. Here it is left out then, so that one network
# serves pictures and volumes:

# %%
with torch.no_grad():
    alone = encode_volumes(kinds["joined"], volume[:, :, [MIDDLE]])
    picture = encode(kinds["joined"], volume[:, :, MIDDLE])
torch.equal(alone, picture)

# %% [markdown]
# ## Is it free?
#
# In parameters, yes. In multiplications: the second attention has queries, keys, values and a projection for
# every token, like the first; only its matrix of scores is small. Counted without weights, at ViT-B's own
# side, and as a step of training takes them here, in seconds:

# %%
work = {"pocket": {}, "vit_b": {}}
for size, depth in product(work, kinds):
    with torch.device("meta"):
        sam = add_med_adapters(
            build_sam(size), MedAdapterSettings(depth=depth)
        )
        pixels = torch.zeros(DEPTH, 3, *[SAM_SIZES[size].side] * 2)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        sam.image_encoder(pixels, DEPTH)
    work[size][depth] = counter.get_total_flops() / 2e9 / DEPTH

# %%
work = pd.DataFrame(work)

# %% [markdown]
# A step forward keeps what it will need on the way back. How much that is can be measured at the moment
# when PyTorch puts it aside; the seconds are the
# processor's, of three steps the quickest.

# %% tags=["nbval-ignore-output"]
memory = {}
for depth, sam in kinds.items():
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda value, kept=kept: kept.append(value) or value,
        lambda value: value,
    ):
        encode_volumes(sam, volume)
    stored = (value.untyped_storage() for value in kept)
    sizes = {block.data_ptr(): block.nbytes() for block in stored}
    memory[depth] = sum(sizes.values()) / 1e6

# %% tags=["nbval-ignore-output"]
seconds = {}
for depth, sam in kinds.items():
    times = []
    for _ in range(3):
        began = time.process_time()
        encode_volumes(sam, volume).square().mean().backward()
        times.append(time.process_time() - began)
    seconds[depth] = min(times)

# %% tags=["nbval-ignore-output"]
costs = {
    "ViT-B: thousand million multiplications a slice": work["vit_b"],
    "pocket SAM: the same": work["pocket"],
    "pocket SAM: MB kept in a step": memory,
    "pocket SAM: seconds of a step": seconds,
}
costs = pd.DataFrame(costs).T.rename_axis(columns="depth")
costs.round(2)

# %% tags=["hide-input", "nbval-ignore-output"]
more = 100 * (costs["joined"] / costs["none"] - 1)
names = ("more", "more-pocket", "memory", "seconds")
for name, value in zip(names, more, strict=True):
    glue(f"depth-{name}", f"{value:.0f}", display=False)

# %% [markdown]
# So the title is the paper's promise with a question mark behind it. ViT-B multiplies
# {glue:text}`depth-more` % more, the pocket SAM {glue:text}`depth-more-pocket` %: its slices are small, so
# the attention's matrix of scores, which depth hardly enlarges, is a smaller part of its work. A step of the
# pocket SAM took {glue:text}`depth-seconds` % longer here, and kept {glue:text}`depth-memory` % more.
# `python bench/med_sa.py` measures each kind in a process of its own, with the peak of the memory. The
# greater price stands in no table: all slices of a volume must be in memory together.
#
# ## What the paper leaves open
#
# | the paper does not say | here |
# |---|---|
# | how depth begins, so that SAM is not disturbed | it reaches the block through an adapter, which is zero at first |
# | what becomes of SAM's local attention (squares of 14 × 14 tokens) | depth takes its places from the whole grid, before it is cut |
# | which relative positions two slices have | those of two rows, from SAM's own table |
# | what one slice alone does | nothing over depth |
# | how many slices a volume has, in training and in the test | patches of a few, as thick in both |
#
# In the released code the second point is a mistake: it cuts into squares first, and then mixes neighbouring
# *squares* where it means slices, unless there is only one.
#
# ## What we would do
#
# Run the bright-slice test on any network that claims to be one of volumes, before training it: it takes
# a minute, and finds mixed-up axes that no loss curve shows. Choose the patch by what a radiologist scrolls:
# a few slices of thick CT, more of thin ones. And weigh the price: the same seconds would buy a larger 2D
# network.
#
# ## Exercises
#
# ### Exercise 1: the order of the slices
#
# Turn the volume upside down. Does a slice of the pocket SAM notice that what was above is now below?

# %% tags=["hide-cell"]
with torch.no_grad():
    upright = encode_volumes(kinds["joined"], volume)
    turned = encode_volumes(kinds["joined"], volume.flip(2)).flip(0)
# No, but for rounding. Attention without positions sees a set: this SAM
# knows that slices are neighbours of one volume, and not which is next.
torch.allclose(upright, turned, atol=1e-3)

# %% [markdown]
# ### Exercise 2: and a SAM with relative positions?
#
# SAM's larger sizes add to every score what the distance of two rows says. Do they notice?

# %% tags=["hide-cell"]
torch.manual_seed(0)
block = build_sam("vit_b", 64).image_encoder.blocks[:1]
(tables,) = (part.attn.rel_pos_h for part in block)
torch.nn.init.normal_(tables)  # as if learned; a new SAM's are zero
tokens = torch.randn(1, DEPTH, 1, SAM_SIZES["vit_b"].width)
with torch.no_grad():
    upright = block[0].attn(tokens)
    turned = block[0].attn(tokens.flip(1)).flip(1)
# Yes: rows below and rows above have entries of their own in the table, and
# over depth they stand for slices below and above.
torch.allclose(upright, turned, atol=1e-3)

# %% [markdown]
# ### Exercise 3: a needle, or everything?
#
# How large is the matrix of scores, per head, for eight slices of 64 × 64 tokens: within slices, over depth,
# and over the whole volume at once?

# %% tags=["hide-cell"]
places = 64 * 64
# Within slices 134 million scores, over depth a quarter of a million, over
# all at once more than a thousand million: eight times the first.
{
    "within slices": DEPTH * places**2,
    "over depth": places * DEPTH**2,
    "all at once": (DEPTH * places) ** 2,
}

# %% [markdown]
# ## Check yourself
#
# **1.** Why does a fresh Med-SA pass the test with *no* changes in other slices, although the attention over
# depth is computed?
#
# ```{admonition} Answer
# :class: dropdown
# Its result enters the block through an adapter alone, and the adapter's last layer is zero.
# ```
#
# **2.** SAM's attention was trained on places of pictures. Why should it be of any use over depth?
#
# ```{admonition} Answer
# :class: dropdown
# It has learned to look for tokens that resemble or complete each other, which is a sensible question about
# neighbouring slices too. That it *is* of use is a claim; the adapters learn how much of it to take.
# ```
#
# **3.** A network of volumes is tested with patches of eight slices. Which slices are at a disadvantage?
#
# ```{admonition} Answer
# :class: dropdown
# The first and the last of a patch: they have neighbours on one side only.
# ```

# %% [markdown]
# ## What you did
#
# You
#
# - **wrote** attention over depth as a transposition;
# - **saw** the needle with which a token looks through the slices;
# - **tested** how far one bright slice is noticed, and
# - **counted** what is free and what is not.
#
# ## Further reading
#
# - The paper: [Wu and others, Medical SAM adapter](https://doi.org/10.48550/arXiv.2304.12620).
# - What a transformer attends to, and at what cost: [Dosovitskiy and others, An image is worth 16 × 16 words](https://doi.org/10.48550/arXiv.2010.11929).
# - Space and time in turns, for films: [Bertasius and others, Is space-time attention all you need?](https://doi.org/10.48550/arXiv.2102.05095)
#
# **Next:** [weights from a prompt](chapter-hyper).
