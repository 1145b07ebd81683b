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
# (chapter-prompting)=
# # Prompting SAM
#
# The Segment Anything Model {cite}`kirillov2023sam` does not know what a liver is. It knows what a
# *thing* is: shown a place in a picture, it answers with the thing that is there. All of this book
# rests on that bargain. Somebody, or something, has to say where; SAM says how far. This chapter
# asks one model about one patient, in every way it can be asked, and measures how much the answer
# depends on the question.
#
# **Goals.** After this chapter you will be able to
#
# - **trace** a picture and a prompt through SAM's three parts, and say what each of them costs;
# - **prompt** with points, boxes and earlier masks, many at a time;
# - **explain** why one click gets three answers, and read the score that comes with each;
# - **measure** how the quality of a box decides the quality of a mask;
# - **tell** an oracle prompt from an honest one.
#
# *You need:* [chapter 1](chapter-slices). *Time:* an hour to read and try, two minutes to run.

# %% tags=["parameters"]
PROFILE = "pocket"

# %%
import numpy as np
import pandas as pd
import torch
from myst_nb import glue

from samnb.evaluation.metrics import dice
from samnb.networks.sam.model import encode
from samnb.networks.sam.prompting import Prompts, decode
from samnb.networks.sam.weights import load_sam
from samnb.prompts.box_prompted import segment_in_boxes
from samnb.prompts.boxes import box_of, middle_click
from samnb.prompts.users import find_user
from samnb.reports import charts, pictures, prompted, style
from samnb.runs.run import Run
from samnb.runs.runner import make_record
from samnb.studies import cohorts as cohort
from samnb.studies import load_profile

style.use()
profile = load_profile(PROFILE)
side = profile.data.slices.side

# %% [markdown]
# ## Three parts
#
# The model here is this book's own {term}`pocket SAM`: SAM's classes, built small, and trained from
# nothing on pictures of shapes ([the next chapter](chapter-pocket) shows how). It has never seen an
# image of a body, not even a {term}`phantom`. What it can do here is therefore {term}`zero-shot`.

# %%
sam = load_sam("pocket", side=side).eval()
parts = {
    "image encoder": sam.image_encoder,
    "prompt encoder": sam.prompt_encoder,
}
parts["mask decoder"] = sam.mask_decoder
sizes = {
    name: sum(p.numel() for p in part.parameters())
    for name, part in parts.items()
}
pd.Series(sizes, name="parameters").map("{:,}".format).to_frame()

# %% [markdown]
# The **image encoder**, a vision transformer {cite}`dosovitskiy2021vit`, is large and slow, and knows nothing of prompts: it turns the picture into a
# grid of feature vectors, the *embedding*, once. The **prompt encoder** turns a click or the corners
# of a box into a vector each. The **mask decoder** is a small transformer in which the two look at
# each other, and answers with masks. So the expensive part is done once per picture, and every
# further question costs next to nothing: that is what made SAM a tool to click with.
#
# Our patient is the first test patient of the LiTS-like {term}`cohort`, in the {term}`slice` with the most liver.

# %%
slices = cohort.cohort_slices(profile, "lits")
patient = cohort.cohort_split(profile, "lits").test[0]
rows = slices.rows_of([patient])
row = rows[slices.index["mask_pixels"].to_numpy()[rows].argmax()]
image, mask = (
    torch.from_numpy(values) for values in slices.load([row], target=0)
)
liver = mask.bool()

# %%
with torch.no_grad():
    embedding = encode(sam, image)
print("picture", tuple(image.shape), "-> embedding", tuple(embedding.shape))

# %% [markdown]
# To see an embedding, project its vectors on their three main directions and take these as red,
# green and blue. Places that the encoder finds alike get like colours.

# %%
grid = embedding.shape[-1]
vectors = embedding[0].flatten(1).T
scores = (vectors - vectors.mean(0)) @ torch.linalg.svd(
    vectors - vectors.mean(0)
)[2][:3].T
low, high = scores.quantile(0.02, dim=0), scores.quantile(0.98, dim=0)
colours = ((scores - low) / (high - low)).clamp(0, 1).reshape(grid, grid, 3)

# %% mystnb={"figure": {"caption": "A slice and its embedding: one coloured cell per feature vector. Nobody told the encoder about organs; it groups what looks alike.", "name": "fig-embedding"}, "image": {"alt": "Left, an abdominal CT slice with the liver outlined in green. Right, a coarse coloured grid of the same slice, in which body, background and several organs have colours of their own."}}
figure, (left, right) = style.panels(columns=2)
pictures.show_slice(
    left, image[0, 0].numpy(), truth=liver[0].numpy(), title="the slice"
)
pictures.show_slice(right, colours.numpy(), title="its embedding")
# %% [markdown]
# ## One click, three answers
#
# A click in the middle of the liver. What did we mean: this bright spot, the organ, the whole body?
# SAM was trained not to guess. It answers with **three masks**, and with a *score* for each: the
# {term}`IoU` that it believes the mask to have with what was meant. A fourth output, the *single*
# mask, is for prompts that leave no doubt.

# %%
click = middle_click(liver)
prompt = Prompts(
    image=torch.tensor([0]),
    points=click[:, None],
    labels=torch.tensor([[1]]),
)
with torch.no_grad():
    answer = decode(sam, embedding, prompt).at_side(side)
three, predicted = answer.three()
three = (three[0] > 0).numpy()

# %% mystnb={"figure": {"caption": "One click (star) and SAM's three answers, with the score that SAM gives each (predicted IoU) and the true overlap with the liver.", "name": "fig-three"}, "image": {"alt": "The same slice three times with a yellow star in the liver. Each panel has a red mask of a different extent, titled with its predicted score and its Dice with the liver."}}
figure, axes = style.panels(columns=3)
for number, (panel, found) in enumerate(zip(axes, three, strict=True)):
    overlap = dice(found[None], liver.numpy())[0]
    title = f"mask {number + 1}: score {predicted[0, number]:.2f}"
    title += f", Dice {overlap:.2f}"
    prompted.show_prompted(
        panel, image[0, 0].numpy(), found, None, click, [1], title=title
    )
# %% [markdown]
# The three are not the same mask in three qualities: each was trained to catch another reading of
# the click, parts, wholes, and what lies between. Whoever takes the one with the highest score lets
# the model choose the reading.
#
# ## A box leaves less doubt
#
# A box says where the thing begins and where it ends. SAM-Mix uses boxes for that reason. Here is
# one that fits the liver exactly, which is easy to draw when you know the truth: it is an
# {term}`oracle prompt`, and everything made with it must say so.

# %%
box = box_of(liver)
with torch.no_grad():
    boxed = decode(
        sam, embedding, Prompts(torch.tensor([0]), boxes=box)
    ).at_side(side)
logits, score = boxed.single()
found = (logits > 0).numpy()

# %% mystnb={"figure": {"caption": "The exact box, the mask SAM answers with (red), and the truth (green). Right: the logits behind the mask, which is where they are above zero.", "name": "fig-box"}, "image": {"alt": "Left, the slice with a yellow box around the liver and a red mask filling most of it. Right, a map of the logits, high inside the liver and low outside."}}
figure, (left, right) = style.panels(columns=2)
title = f"score {score[0]:.2f}, Dice {dice(found, liver.numpy())[0]:.2f}"
truth = liver[0].numpy()
prompted.show_prompted(
    left, image[0, 0].numpy(), found[0], box[0], truth=truth, title=title
)
reach = logits.abs().max()
drawn = right.imshow(logits[0], cmap="RdBu_r", vmin=-reach, vmax=reach)
right.set(title="logits", xticks=[], yticks=[])
right.grid(visible=False)
bar = figure.colorbar(drawn, ax=right, shrink=0.7)
# %% [markdown]
# ## Many questions at once
#
# Prompts of one picture share its embedding, and prompts of many pictures fit into one pass. The
# package's own forward loops over the pictures; `decode` does not, and gives the same numbers. Ask
# at every node of a lattice, and drop the half of all answers that SAM itself rates lower: the picture
# falls apart into parts and wholes, without a word from us.

# %%
places = torch.arange(8, side, 16.0)
lattice = torch.cartesian_prod(places, places)
questions = Prompts(
    torch.zeros(len(lattice), dtype=torch.long),
    points=lattice[:, None],
    labels=torch.ones(len(lattice), 1, dtype=torch.long),
)
with torch.no_grad():
    answers, certainty = (
        decode(sam, embedding, questions).at_side(side).best_of_three()
    )
kept = (answers[certainty > certainty.median()] > 0).numpy()

# %%
kept = kept[np.argsort(-kept.sum(axis=(1, 2)))]
palette = np.random.default_rng(profile.seed).uniform(
    0.2, 1, (len(kept), 3)
)
painted = np.repeat(image[0, 0].numpy()[..., None], 3, axis=2)
for colour, thing in zip(palette, kept, strict=True):
    painted[thing] = 0.5 * painted[thing] + 0.5 * colour

# %% mystnb={"figure": {"caption": "Everything at once: one click at every node of a lattice, all in one pass. Large masks are painted first, small ones on top.", "name": "fig-everything"}, "image": {"alt": "Left, the slice with a regular lattice of dots. Right, the slice with many coloured regions, among them body outline, liver and other organs."}}
figure, (left, right) = style.panels(columns=2)
pictures.show_slice(
    left, image[0, 0].numpy(), title=f"{len(lattice)} clicks"
)
dots = left.plot(*lattice.T, ".", color=style.PROMPT)
pictures.show_slice(right, painted, title=f"{len(kept)} masks kept")
# %% [markdown]
# ## What a box is worth
#
# An exact box is a gift. A classifier's box will be off. How far off may it be? Who prompts at test time
# is a *user* (`samnb/prompts/users.py`): made up, and an {term}`oracle <oracle prompt>`, since it knows the truth.
# Each says the same to every system, slice by slice. The users of boxes move the edges of the exact box at
# random until it overlaps the exact one by an {term}`IoU` of exactly one, three quarters, one half.

# %%
test = cohort.cohort_split(profile, "lits").test
rows = slices.rows_of(test)
rows = rows[slices.labels[rows, 0] == 1]
images, masks = (
    torch.from_numpy(values) for values in slices.load(rows, target=0)
)
masks = masks.bool()

# %%
index = slices.index.loc[rows]
names = [
    f"lits:{scan}:{number}"
    for scan, number in zip(index["scan"], index["slice"], strict=True)
]
qualities = {
    overlap: find_user(f"box {overlap:g}")
    .prompts(masks[:, None], names)
    .boxes[:, 0]
    for overlap in (1.0, 0.75, 0.5)
}

# %% [markdown]
# SAM is asked by all users of the profile, in both cohorts; the answers lie in a record, as those of every
# system do, and the record says who asked.

# %%
record = make_record(
    Run(profile, "sam", 0, profile.seeds[0]), progress=False
)
cases = record.slices[record.slices["cohort"] == "lits"]
by_user = cases.pivot_table("dice", index=["scan", "slice"], columns="user")
asked = list(zip(index["scan"], index["slice"], strict=True))
table = by_user.loc[asked, list(profile.users)]
table.agg(["mean", "median", "std"]).T.map("{:.2f}".format)

# %% mystnb={"figure": {"caption": "What the box is worth: the same slice, the same SAM, three boxes. Title: overlap of the box with the exact one, and Dice of the mask.", "name": "fig-box-quality"}, "image": {"alt": "One slice three times with boxes of falling quality around the liver. The red mask follows the box: it loses parts the box cuts off and gains parts of neighbours the box includes."}}
middle = int(np.argsort(table["box 0.5"].to_numpy())[len(rows) // 2])
figure, axes = style.panels(columns=3)
for panel, (overlap, boxes) in zip(axes, qualities.items(), strict=True):
    one = slice(middle, middle + 1)
    found = segment_in_boxes(sam, images[one], boxes[one])[0].numpy()
    known = table[f"box {overlap:g}"].iloc[middle]
    title = f"box {overlap:g}: Dice {known:.2f}"
    picture, truth = images[middle, 0].numpy(), masks[middle].numpy()
    prompted.show_prompted(
        panel, picture, found, boxes[middle], truth=truth, title=title
    )
# %% [markdown]
# The slice shown is the one whose {term}`Dice` with the worst box is the median. Over all test slices with
# liver, with one point, three points at once, and six clicks, each of the later ones where the answer before
# was most wrong:


# %% mystnb={"figure": {"caption": "Dice over all test slices with liver, by prompt. All of these are oracle prompts: they were made from the truth.", "name": "fig-prompts"}, "image": {"alt": "Six box plots of Dice, one for each user who prompts: boxes of overlap one, three quarters and one half, one point, three points, six clicks."}}
figure, axes = style.panels(panel_height=3.2)
charts.box_plot(axes, table)
style.label(axes, "who prompts", "Dice")
# %%
glue("box-exact", f"{table['box 1'].mean():.2f}", display=False)
glue("box-half", f"{table['box 0.5'].mean():.2f}", display=False)
glue("one-click", f"{table['point'].mean():.2f}", display=False)
glue("six-clicks", f"{table['6 clicks'].mean():.2f}", display=False)

# %% [markdown]
# With an exact box this SAM reaches a mean Dice of {glue:text}`box-exact`, with boxes that overlap
# by one half {glue:text}`box-half`; one point gives {glue:text}`one-click`, six clicks
# {glue:text}`six-clicks`. Keep the slope in mind: a method that finds its own boxes inherits it.
# In [chapter 1](chapter-slices) a threshold needed no prompt at all.
#
# ## Does SAM know how good it is?
#
# The score costs nothing and needs no truth. If it can be trusted, a program can tell good masks
# from bad ones on scans that nobody labelled.

# %%
with torch.no_grad():
    halves = qualities[0.5]
    prompts = Prompts(torch.arange(len(images)), boxes=halves)
    everything = decode(sam, encode(sam, images), prompts).at_side(side)
logits, scores = everything.single()
both = ((logits > 0) & masks).sum(dim=(1, 2))
true = both / ((logits > 0) | masks).sum(dim=(1, 2))

# %% mystnb={"figure": {"caption": "Predicted against true IoU, one point per test slice, boxes of IoU one half. On the dashed line the model would know itself perfectly.", "name": "fig-scores"}, "image": {"alt": "Scatter plot of predicted IoU over true IoU with a dashed diagonal. The cloud rises along the diagonal and scatters widely around it."}}
figure, axes = style.panels(panel_height=4)
axes.plot([0, 1], [0, 1], "--", color=style.INK, linewidth=1)
axes.plot(true, scores, "o", markersize=4, alpha=0.5)
axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
style.label(axes, "true IoU", "predicted IoU")
# %%
glue("score-gap", f"{(scores - true).abs().mean():.2f}", display=False)
glue("score-order", f"{np.corrcoef(scores, true)[0, 1]:.2f}", display=False)

# %% [markdown]
# On average the score is off by {glue:text}`score-gap`; its correlation with the truth is
# {glue:text}`score-order`. It was learned on shapes, and a liver is not one of them: the order of
# the scores says more than their value.
#
# ## Exercises
#
# ### Exercise 1: the wrong corner
#
# What does SAM answer to a box whose corners are given in the wrong order? Predict, then try it.
#
# ```{admonition} Solution
# :class: dropdown
# Nothing: `decode` refuses it with a sentence that says what is wrong, because SAM itself would
# answer with a mask that looks like one. Exchange the columns of `box` (`box[:, [2, 3, 0, 1]]`) to
# see the error.
# ```
#
# ### Exercise 2: the mask as a prompt
#
# The {term}`logits <logit>` of one answer can be the prompt of the next. Give the answer to the box of overlap one
# half back to SAM, with the same box. Does the mask get better? And once more?

# %% tags=["hide-cell"]
embeddings, numbers = (
    encode(sam, images[:32]).detach(),
    torch.arange(len(images[:32])),
)
earlier = None
for turn in range(3):
    prompts = Prompts(numbers, boxes=qualities[0.5][:32], masks=earlier)
    with torch.no_grad():
        answer = decode(sam, embeddings, prompts)
    earlier = answer.logits[:, :1]
    found = answer.at_side(side).single()[0] > 0
    overlap = dice(found.numpy(), masks[:32].numpy()).mean()
    print(f"turn {turn + 1}: Dice {overlap:.3f}")

# %% [markdown]
# ```{admonition} Solution
# :class: dropdown
# The hidden cell above tries it. SAM was trained to get its own mask back *together with a new
# click*. Without news it mostly agrees with itself.
# ```
#
# ### Exercise 3: an honest box
#
# All prompts above looked at the truth. Make a box that does not: the bounding box of the
# threshold's largest piece from [chapter 1](chapter-slices). How does SAM's Dice compare with the
# threshold's own?
#
# ```{admonition} Solution
# :class: dropdown
# `simple.threshold(images[:, 0].numpy(), *limits, largest_only=True)` gives masks, `box_of` their
# boxes. Where the piece spills into a neighbour the box is too large, and you saw what that costs.
# It is the poor relative of SAM-Mix, which gets its boxes from a classifier.
# ```

# %% [markdown]
# ## Check yourself
#
# Answer in a sentence or two, best aloud or on paper, before you open the answer.
#
# **1.** You want to ask fifty questions about one slice. What is computed once, and what fifty
# times?
#
# ```{admonition} Answer
# :class: dropdown
# The embedding once: the image encoder knows nothing of prompts. Prompt encoder and mask decoder
# run for each question, and they are the small parts.
# ```
#
# **2.** You click into the middle of the liver, and the mask with the highest score is a single
# vessel. Has SAM made a mistake?
#
# ```{admonition} Answer
# :class: dropdown
# Not by its own rules. The click lies on the vessel *and* in the liver, and one click does not say
# which is meant. The other two answers may hold the liver; a box or a second click would have said
# so.
# ```
#
# **3.** A paper calls its method automatic. At test time it shakes the box of the truth a little,
# "as a detector would". What is wrong?
#
# ```{admonition} Answer
# :class: dropdown
# The box still comes from the truth: it says that there is something to find, where, and how large
# it is. No shaking takes that back. It is an oracle prompt, and the number is a {term}`ceiling`,
# not a result.
# ```
#
# **4.** SAM's own score is off, but better masks mostly get higher scores. What can you use it for,
# and what not?
#
# ```{admonition} Answer
# :class: dropdown
# Use the order: to pick the masks that a person should look at first. Do not use the value: it must
# not be reported as the expected quality on images nobody has labelled.
# ```

# %% [markdown]
# ## What you did
#
# You
#
# - **traced** a slice through image encoder, prompt encoder and mask decoder, and saw that only the
#   first is dear;
# - **prompted** with clicks, boxes, a lattice, and SAM's own masks, all in single passes;
# - **explained** three masks as three readings of one click, and read their scores;
# - **measured** how the mask suffers with the box, and what a few clicks mend;
# - **told** oracle prompts from honest ones, and marked every number that rests on the former.
#
# **Next:** where this small model came from, and how you can make your own.
