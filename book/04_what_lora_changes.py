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
# (chapter-lora)=
# # What LoRA changes
#
# A foundation model is large, and a hospital's labels are few. To train all of the one on the other
# would be slow, and would forget more than it learns. {term}`LoRA` {cite}`hu2022lora` leaves the
# model alone and adds, beside some of its layers, a correction of very low rank. SAM-Mix, Cheap
# Lunch and M-SAM all rest on it. This chapter takes it apart on a model small enough to try things.
#
# **Goals.** After this chapter you will be able to
#
# - **write down** what LoRA adds to a layer, and count its parameters without a computer;
# - **place** it: query and value, all of the fused layer, encoder or decoder;
# - **check** that a fresh adapter changes nothing, and that a merged one gives the same masks;
# - **train** adapters on a few labelled slices, and compare ranks and labels fairly;
# - **doubt** a published parameter count.
#
# *You need:* [chapter 2](chapter-prompting). *Time:* an hour to read and try, a few minutes to run.

# %% tags=["parameters"]
PROFILE = "pocket"

# %%
import tempfile
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from myst_nb import glue

# %%
from samnb.evaluation.metrics import dice
from samnb.networks.sam.adapters import load_adapter, save_adapter
from samnb.networks.sam.lora import add_lora, count_parameters, merge
from samnb.networks.sam.settings import LoraSettings
from samnb.networks.sam.weights import load_sam
from samnb.prompts.box_prompted import segment_in_boxes

# %%
from samnb.prompts.boxes import box_of
from samnb.reports import charts, pictures, style
from samnb.reports.parameters import parameter_table
from samnb.studies import cohorts as cohort
from samnb.studies import load_profile
from samnb.training.adaptation import teach_with_boxes

style.use()
profile = load_profile(PROFILE)
side = profile.data.slices.side

# %% [markdown]
# ## A correction of low rank
#
# A layer computes $y = W x$ with $W$ of shape $d \times d$. LoRA freezes $W$ and learns
#
# $$ y = W x + \frac{\alpha}{r}\, B A\, x, \qquad A: r \times d, \quad B: d \times r. $$
#
# $A$ begins random, $B$ with zeros. So the product is zero, and a fresh adapter changes nothing: the
# first step of training starts from the model as it was. The rank $r$ says in how many directions
# the layer may change; $\alpha$ scales the change.
#
# SAM's encoder makes query, key and value in one *fused* layer. LoRA goes to the query and the value
# rows of it. That is $4\,r\,d$ numbers in each block. Let the code count:

# %%
sam = load_sam("pocket", side=side)
lora = profile.sam.lora
blocks, width = (
    len(sam.image_encoder.blocks),
    sam.image_encoder.pos_embed.shape[-1],
)
adapted = add_lora(load_sam("pocket", side=side), lora)

# %%
count = count_parameters(adapted)
print(
    f"by hand {4 * lora.rank * width * blocks:,},",
    f"counted {count.trainable:,}",
)
print(f"of {count.total:,}: {count.trainable / count.total:.1%}")

# %% [markdown]
# ## Nothing, at first
#
# "Changes nothing" is a claim that can be tested to the last bit. We take every fourth test {term}`slice` with
# liver, which saves time and loses little, since neighbours are alike:

# %%
slices = cohort.cohort_slices(profile, "lits")
split = cohort.cohort_split(profile, "lits")
rows = slices.rows_of(split.test)
rows = rows[slices.index["mask_pixels"].to_numpy()[rows] >= 20][::4]
images, masks = (
    torch.from_numpy(values) for values in slices.load(rows, target=0)
)
boxes = box_of(masks.bool())

# %%
before = segment_in_boxes(sam.eval(), images, boxes)
assert torch.equal(before, segment_in_boxes(adapted.eval(), images, boxes))
glue(
    "frozen",
    f"{dice(before.numpy(), masks.numpy()).mean():.3f}",
    display=False,
)

# %% [markdown]
# All masks equal. Their mean {term}`Dice`, with exact boxes and without any training, is
# {glue:text}`frozen`: where everything below starts. Boxes of the truth are an {term}`oracle prompt`,
# here and in the rest of the chapter: we want to see the adapter work, not the box.
#
# ## Teach it
#
# A few labelled slices, boxes drawn by a shaking hand, Dice loss, and only $A$ and $B$ learn. The
# labelled slices are the nested subsets of [chapter 1](chapter-slices); all runs take the same number
# of steps.

# %%
subsets = cohort.labelled_subsets(profile, "lits")
counts = sorted(subsets)
known = {
    count: [
        torch.from_numpy(values)
        for values in slices.load(subset.rows, target=0)
    ]
    for count, subset in subsets.items()
}
recipe = {"settings": profile.adaptation, "seed": profile.seed}
print(recipe["settings"])

# %% tags=["nbval-ignore-output"]
by_labels = {"0": dice(before.numpy(), masks.numpy())}
taught = {
    labels: teach_with_boxes(
        add_lora(load_sam("pocket", side=side), lora),
        *known[labels],
        **recipe,
    )
    for labels in counts
}

# %% tags=["nbval-ignore-output"]
by_labels |= {
    str(labels): dice(
        segment_in_boxes(model, images, boxes).numpy(), masks.numpy()
    )
    for labels, model in taught.items()
}
table = pd.DataFrame(by_labels)

# %% tags=["nbval-ignore-output"]
table.agg(["mean", "median", "std"]).T.rename_axis("labelled slices").round(
    3
)

# %% mystnb={"figure": {"caption": "Dice on the test patients of the LiTS-like cohort, exact boxes, by the number of labelled slices that the adapter learned from. Zero is the SAM as it came.", "name": "fig-labels"}, "image": {"alt": "Box plots of Dice over four numbers of labelled slices. The box without labels is lowest and widest; with labels the boxes rise and narrow."}}
figure, axes = style.panels(panel_height=3)
charts.box_plot(axes, table)
style.label(axes, "labelled slices", "Dice")
# %% tags=["nbval-ignore-output"]
most = counts[-1]
gain = table[str(most)].mean() - table["0"].mean()
glue("gain", f"{gain:+.3f}", display=False)

# %% [markdown]
# With the most labels the mean changes by {glue:text}`gain`. Compare the rows of the table: nearly all
# of it comes with the first few slices, and more of them add little here. With a box of the truth the
# adapter need not learn where the liver is, only what belongs to it.

# %%
order = (table[str(most)] - table["0"]).argsort().to_numpy()
picked = [order[0], order[len(order) // 2], order[-1]]
after = segment_in_boxes(
    taught[most], images[picked], boxes[picked]
).numpy()

# %%
titles = [
    f"{name}: {by_labels[name][row]:.2f}"
    for name in ("0", str(most))
    for row in picked
]

# %% mystnb={"figure": {"caption": "Three test slices (the least, the median and the largest gain), before (top) and after the adapter (bottom). Truth green, prediction red and dashed.", "name": "fig-lora-slices"}, "image": {"alt": "Two rows of three liver slices. In the top row the red outline strays from the green one; in the bottom row it follows it more closely, most of all in the right-hand column."}}
figure = pictures.show_slices(
    [*images[picked, 0].numpy()] * 2,
    titles,
    [*masks[picked].numpy()] * 2,
    [*before[picked].numpy(), *after],
    columns=3,
)

# %% [markdown]
# ## How low may the rank be?
#
# The same labels and steps, other ranks and places. $\alpha$ follows $r$, so that the scale stays one.

# %%
middle = counts[len(counts) // 2]
others = {
    "rank 1": LoraSettings(1, 1.0),
    "rank 16": LoraSettings(16, 16.0),
    "all of qkv": replace(lora, encoder="qkv"),
    "and decoder": replace(lora, decoder=True),
}

# %%
placed = {f"rank {lora.rank}": taught[middle]}
placed |= {
    name: teach_with_boxes(
        add_lora(load_sam("pocket", side=side), settings),
        *known[middle],
        **recipe,
    )
    for name, settings in others.items()
}

# %% tags=["nbval-ignore-output"]
by_place = pd.DataFrame(
    {
        name: dice(
            segment_in_boxes(model, images, boxes).numpy(), masks.numpy()
        )
        for name, model in placed.items()
    }
)
compared = by_place.agg(["mean", "std"]).T

# %% tags=["nbval-ignore-output"]
compared.insert(
    0,
    "trained",
    [count_parameters(model).trainable for model in placed.values()],
)
compared.round(3)

# %% mystnb={"figure": {"caption": "Dice by rank and placement, with equally many labels and steps. One seed: small differences say nothing.", "name": "fig-ranks"}, "image": {"alt": "Five box plots of Dice: rank one is lowest and widest, the others are alike, with the fewest low points where the decoder is adapted too."}}
figure, axes = style.panels(panel_height=3)
charts.box_plot(axes, by_place)
style.label(axes, "LoRA", "Dice")
# %% [markdown]
# ## Keep it, merge it
#
# An adapter is saved alone, in PEFT's own format, with a card that names the base it belongs to:
# the hash of its weights. On any other base it would be noise, and loading it there is an error.

# %% tags=["nbval-ignore-output"]
with tempfile.TemporaryDirectory() as folder:
    card = {
        "data": "LiTS-like phantoms",
        "labels": most,
        "metrics": {"dice": table[str(most)].mean()},
    }
    save_adapter(taught[most], Path(folder), card)
    written = sum(file.stat().st_size for file in Path(folder).iterdir())
    again = load_adapter(load_sam("pocket", side=side), Path(folder)).eval()

# %% tags=["nbval-ignore-output"]
assert torch.equal(
    segment_in_boxes(again, images, boxes),
    segment_in_boxes(taught[most], images, boxes),
)
print(f"{written / 2**10:.0f} KiB on disk")

# %% [markdown]
# And since $W x + \frac{\alpha}{r} B A x = (W + \frac{\alpha}{r} B A)\,x$, the adapter can be *merged* into the
# weights, after which the model is a plain SAM again, as fast as before:

# %%
plain = merge(again)
same = (
    segment_in_boxes(plain, images, boxes)
    == segment_in_boxes(taught[most], images, boxes)
).float()
print(f"equal pixels after merging: {same.mean():.5f}")
print(f"parameters: {count_parameters(plain).total:,}")

# %% [markdown]
# ## Counting, and doubting
#
# How much do the papers train? Counted by building the models (without memory for their weights),
# beside what the papers print:

# %%
counted = parameter_table()
official = counted[counted["SAM"] != "pocket"].set_index(
    ["SAM", "LoRA in", "rank"]
)
official.round({"percent": 2, "MB": 2})

# %%
claim = counted[counted["papers"].str.startswith("Cheap Lunch")].iloc[0]
glue("cheap-parameters", f"{claim['trainable'] / 1e6:.2f}", display=False)
glue("cheap-megabytes", f"{claim['MB']:.2f}", display=False)

# %% [markdown]
# Look at the row beside *Cheap Lunch* {cite}`feng2023cheaplunch`: low-rank corrections in encoder and
# decoder are {glue:text}`cheap-parameters` million numbers, or {glue:text}`cheap-megabytes` MB. The
# paper's figure is larger, and the percentage it prints fits a *file* of SAM in megabytes better than
# its count of parameters. Megabytes and millions are easily mixed up. Count for yourself.
#
# ## Exercises
#
# ### Exercise 1: by hand
#
# ViT-B has 12 blocks of width 768. How many numbers does LoRA of rank 8 train in it, on query and
# value? Check with the table.
#
# ```{admonition} Solution
# :class: dropdown
# $4 \cdot 8 \cdot 768 \cdot 12$, four per rank and channel: $A$ and $B$, for query and for value. The
# table's row for ViT-B, *encoder*, rank 8 says the same.
# ```
#
# ### Exercise 2: the wrong base
#
# Save an adapter, and load it onto a SAM with random weights. What happens, and why is that better
# than a model that works badly?
#
# ```{admonition} Solution
# :class: dropdown
# `load_adapter(build_sam("pocket", side), folder)` raises an error that names the base it wants. A
# wrong base gives masks that look merely poor, and nobody would look for the cause there.
# ```
#
# ### Exercise 3: only the box
#
# How much of the gain is the liver, and how much is getting used to shaken boxes? Teach with
# `BoxPrompted(sam, jitter=0)` and test with boxes of {term}`IoU` one half from [chapter 2](chapter-prompting).
#
# ```{admonition} Solution
# :class: dropdown
# A model that was always given exact boxes learns to trust them, and fills or obeys the box where it
# should look at the picture. Shaking the boxes in training is the cheapest insurance against that.
# ```

# %% [markdown]
# ## Check yourself
#
# Answer in a sentence or two, best aloud or on paper, before you open the answer.
#
# **1.** $B$ begins with zeros and $A$ at random. What happens if both begin with zeros? And if both
# are random?
#
# ```{admonition} Answer
# :class: dropdown
# With two zeros nothing ever moves: the gradient of each contains the other as a factor. With two
# random matrices the product is random too, so training starts from a damaged model instead of the
# one that was bought so dearly.
# ```
#
# **2.** You double the rank and leave $\alpha$ as it is. What else have you changed?
#
# ```{admonition} Answer
# :class: dropdown
# The scale of the correction, which is $\alpha / r$: it is halved. A difference between the two
# runs may come from that as well. Hence $\alpha$ follows $r$ in the comparison above.
# ```
#
# **3.** More labels add little in this chapter. Do a handful of labelled slices suffice to segment
# livers?
#
# ```{admonition} Answer
# :class: dropdown
# That does not follow. Here the box of the truth says that there is a liver, and where. The adapter
# learned how a liver ends, not how one is found. The next chapters take the box away.
# ```
#
# **4.** You send an adapter to a colleague. What must go with it?
#
# ```{admonition} Answer
# :class: dropdown
# Which base it belongs to, to the byte; rank, scale and place; and how images are prepared, since a
# {term}`window` is as much a part of the model as its weights. The card and the base's hash are for
# that.
# ```
#
# **5.** When would you rather not merge?
#
# ```{admonition} Answer
# :class: dropdown
# If several tasks share one base, each with its own adapter; or if training will go on. Merged
# weights are fast and plain, but the correction cannot be taken out of them again, unless one kept
# it.
# ```

# %% [markdown]
# ## What you did
#
# You
#
# - **wrote down** LoRA's correction and counted it by hand and by code;
# - **placed** it on query and value, on the whole fused layer, and in the decoder too;
# - **checked** to the bit that a fresh adapter changes nothing, and that merging keeps the masks;
# - **trained** adapters on nested sets of labelled slices, with equal steps;
# - **doubted** a parameter count, with a reason.
#
# **Next:** boxes that nobody draws.
