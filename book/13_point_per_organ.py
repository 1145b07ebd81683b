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
# (chapter-points)=
# # A point per organ
#
# If a doctor clicks once on each organ of each {term}`slice`, how good are the masks, and how much of that
# is the doctor's work? Cheap Lunch {cite}`feng2023cheaplunch`, the second paper of this book, is
# measured in this way. So before we teach anything, we look at the way itself: at what a point says,
# and at what it gives away.

# %% tags=["parameters"]
PROFILE = "pocket"

# %% tags=["hide-input"]
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import torch
from myst_nb import glue

from samnb.evaluation.answers import exclusive
from samnb.evaluation.metrics import dice
from samnb.evaluation.protocols import measure_volumes
from samnb.networks.sam.model import encode
from samnb.networks.sam.prompting import Prompts, decode
from samnb.networks.sam.weights import load_sam
from samnb.prompts.users import find_user
from samnb.reports import pictures, style
from samnb.reports.diagram import Box, flow
from samnb.reports.lunch_silence import told_where_absent
from samnb.reports.prompted import show_points, target_legend, tint
from samnb.runs.run import Run
from samnb.runs.runner import make_record
from samnb.studies import cohorts as cohort
from samnb.studies import load_profile
from samnb.systems.prompted_sam import PromptedSam

# %% tags=["hide-input"]
style.use()
profile = load_profile(PROFILE, "cheap-lunch-synapse")
slices = cohort.cohort_slices(profile, "synapse")
test = slices.rows_of(cohort.cohort_split(profile, "synapse").test)
organs = list(slices.targets)
side, liver = slices.side, organs.index("liver")
EXACT = cv2.DIST_L2, cv2.DIST_MASK_PRECISE

# %% tags=["hide-input"]
record = make_record(Run(profile, "sam", 0, profile.seeds[0]))
scans = record.scans
by_user = scans.groupby("user")["dice"].mean()
of_patients = scans.pivot_table(
    index="patient", columns="user", values="dice"
)
centre, chance = by_user["point"], by_user["random point"]
better = int((of_patients["point"] > of_patients["random point"]).sum())
absent = 1 - (slices.labels[test] == 1).mean()
glue("points-centre", f"{centre:.2f}", display=False)
glue("points-chance", f"{chance:.2f}", display=False)
glue("points-better", better, display=False)
glue("points-patients", len(of_patients), display=False)
glue("points-absent", f"{100 * absent:.0f}", display=False)

# %% [markdown]
# **What we found**, on {term}`phantoms <phantom>` with the {term}`pocket SAM`, which has learned
# nothing of bodies:
#
# - With one point in the middle of each of eight organs its mean {term}`Dice` over scans and organs is
#   {glue:text}`points-centre`; with a random point of the organ {glue:text}`points-chance`. The middle
#   is better in {glue:text}`points-better` of {glue:text}`points-patients` patients.
# - {glue:text}`points-absent` % of all pairs of a test slice and an organ have no such organ. Whoever
#   points knows this and is silent there; a system that works alone has to find it out.
# - So the point is an {term}`oracle prompt`: where, which organ, and whether there is one at all. This
#   book marks such numbers and never ranks them with those of systems that nobody prompts.

# %% mystnb={"figure": {"caption": "One question for each organ: the slice is encoded once, the mask decoder answers as often as somebody points.", "name": "fig-points-flow"}, "image": {"alt": "Boxes from left to right: a slice enters the image encoder; someone who knows the organs gives one point for each; the mask decoder answers each point with a mask; the masks are joined so that each pixel has one organ."}} tags=["hide-input"]
figure = flow(
    [
        [
            Box("slice", f"1 × {side} × {side}"),
            Box("someone", "knows the organs", "prompt"),
        ],
        [
            Box("image encoder", "once", "frozen"),
            Box("a point each", f"{len(organs)} × (x, y)", "prompt"),
        ],
        [Box("mask decoder", f"{len(organs)} times", "frozen")],
        [Box("one organ a pixel", "largest logit")],
    ],
    [
        ("slice", "image encoder"),
        ("someone", "a point each"),
        ("image encoder", "mask decoder"),
        ("a point each", "mask decoder"),
        ("mask decoder", "one organ a pixel"),
    ],
)

# %% [markdown]
# **Goals.** After this chapter you will be able to
#
# - **place** a point as the paper does, by the distance transform;
# - **prompt** for many organs at once, and settle who gets a pixel that several claim;
# - **name** the three things that a point of the truth gives away;
# - **measure** one of them: what it is worth to know that an organ is absent.
#
# *You need:* [chapter 2](chapter-prompting). *Time:* half an hour to read and try, two minutes to run.
#
# ## A belly with eight organs
#
# The {term}`cohort` is drawn and stored like Synapse (BTCV): thirty CT scans of the abdomen with
# thirteen organs, of which the papers measure eight. Here is the test slice that shows most of them.

# %%
shown = (slices.labels[test] == 1).sum(axis=1)
row = test[
    np.lexsort((slices.index["mask_pixels"].to_numpy()[test], shown))[-1]
]
image, masks = (torch.from_numpy(part) for part in slices.load([row]))
truth = masks.bool()

# %% [markdown]
# ## Where to point
#
# The paper takes the point *furthest from the margin* of the organ. That is the maximum of the
# {term}`distance transform`: each pixel of the organ gets its distance to the nearest pixel outside. One
# detail decides what happens at the image's border: whether what lies beyond it counts as outside. Here
# it does.

# %%
user = find_user("point")
prompts = user.prompts(truth, ["a slice"])
points, labels = prompts.points[0, :, 0], prompts.labels[0, :, 0]
pd.DataFrame(points.int().numpy(), index=organs, columns=["x", "y"])

# %% mystnb={"figure": {"caption": "Left, the organs of one slice, each with its point. Right, the distance transform of the liver: brighter is deeper, and the star stands where it is deepest.", "name": "fig-points"}, "image": {"alt": "Left, an abdominal slice with up to eight outlined organs and a star in each. Right, the liver alone, brightest in its middle, where the star is."}} tags=["hide-input"]
figure, (left, right) = style.panels(columns=2)
pictures.show_slice(left, image[0, 0].numpy(), title="eight organs")
for outline, colour in zip(truth[0], style.TARGETS, strict=True):
    left.contour(outline, levels=[0.5], colors=colour, linewidths=1.2)
show_points(left, points, labels, size=9)
depth = cv2.distanceTransform(masks[0, liver].numpy(), *EXACT)
pictures.show_slice(right, depth / depth.max(), title="depth in the liver")
show_points(right, points[[liver]], labels[[liver]])
target_legend(figure, organs)

# %% [markdown]
# ## One question for each organ
#
# The image encoder sees the slice once. Then the mask decoder answers eight points, each on its own.
# For a single point SAM gives three masks, of which the one with the highest score counts.

# %%
sam = load_sam("pocket", side=side).eval()
asked = torch.nonzero(labels == 1)[:, 0]
same_image = torch.zeros(len(asked), dtype=torch.long)
clicks = Prompts(
    same_image, points=points[asked, None], labels=labels[asked, None]
)
with torch.no_grad():
    answer = decode(sam, encode(sam, image), clicks)
logits = answer.at_side(side).best_of_three()[0]

# %% [markdown]
# The answers know nothing of each other. Some claim the same pixels:

# %%
claims = (logits > 0).sum(dim=0)
glue("points-claimed", int((claims > 1).sum()), display=False)
glue("points-most", int(claims.max()), display=False)

# %% [markdown]
# {glue:text}`points-claimed` pixels are claimed by several organs, one of them by
# {glue:text}`points-most`. An organ's pixel is no other's, so the largest {term}`logit` gets it.

# %%
joined = exclusive(logits[None])[0]
scores = pd.DataFrame(
    {
        "alone": dice((logits > 0).numpy(), truth[0, asked].numpy()),
        "each pixel once": dice(joined.numpy(), truth[0, asked].numpy()),
    },
    index=[organs[number] for number in asked.tolist()],
)
scores.round(2)

# %% mystnb={"figure": {"caption": "The frozen pocket SAM's answers to eight points, joined. Colours are organs as in the figure before.", "name": "fig-points-joined"}, "image": {"alt": "Left, the abdominal slice with the outlines of its organs. Right, the same slice with SAM's answers as coloured areas; several are far from the outlines."}} tags=["hide-input"]
figure, (left, right) = style.panels(columns=2)
pictures.show_slice(left, image[0, 0].numpy(), title="truth")
pictures.show_slice(right, image[0, 0].numpy(), title="answers")
for place, number in enumerate(asked.tolist()):
    tint(left, truth[0, number].numpy(), style.TARGETS[number])
    tint(right, joined[place].numpy(), style.TARGETS[number])

# %% [markdown]
# This SAM knows edges and shapes, not organs. A point in the aorta may well mean the vertebra beside it.
# What teaching changes is the subject of [chapter 15](chapter-lunch).
#
# ## The middle, or anywhere
#
# The paper gives each system the middle of the organ in its tables 1 to 4, and a random pixel of it in
# tables 5 and 6. Both users are in the record, slice by slice and organ by organ.

# %%
table = scans.pivot_table(
    index="target", columns="user", values="dice", sort=False
)
table.loc["mean"] = table.mean()
table.rename_axis("organ").round(2)

# %% [markdown]
# The middle is the easier question. A random pixel often lies near the border, where it could mean the
# neighbour as well. A person does neither: people click roughly in the middle, and not on the same pixel
# twice.
#
# ## What a point gives away
#
# | a point of the truth says | so the system need not |
# |---|---|
# | that the organ is in this slice | decide where an organ begins and ends |
# | where it is | find it |
# | which organ is meant | tell organs apart |
#
# The first of these is easily forgotten. Take a system that works alone, here SAMed
# {cite}`zhang2023samed`, and let somebody who knows tell it *only* in which slices each organ is. Its
# masks stay what they are; where the organ is absent they are thrown away.

# %%
most = max(profile.data.labelled)
samed = make_record(Run(profile, "samed_s", most, profile.seeds[0]))
(answers,) = samed.answers.values()

# %%
told = told_where_absent(answers, slices)
both = {"alone": answers, "told where it is absent": told}
measured = {
    name: measure_volumes(each, slices, "synapse")[1]
    for name, each in both.items()
}
gain = pd.DataFrame(
    {
        name: rows.groupby("target", sort=False)["dice"].mean()
        for name, rows in measured.items()
    }
).rename_axis("organ")
gain.loc["mean"] = gain.mean()
gain.round(3)

# %% tags=["hide-input"]
alone, with_absence = gain.loc["mean"]
glue("points-gain", f"{with_absence - alone:.3f}", display=False)
glue("points-most-labels", most, display=False)

# %% [markdown]
# Presence alone is worth {glue:text}`points-gain` of mean Dice to SAMed with
# {glue:text}`points-most-labels` labelled slices, before anybody has said where or which. A comparison
# of an automatic system with a prompted one measures this too.

# %% [markdown]
# ## What the paper leaves open
#
# | the paper does not say | here |
# |---|---|
# | what is outside at the image's border | beyond it is outside |
# | which pixel, where several are deepest | the first, row by row |
# | who gets a pixel that several organs claim | the largest logit |
# | which of SAM's masks counts {term}`zero-shot` | the one with the highest score |
# | whether an organ without a point can be answered | it stays empty |
#
# ## What we would do
#
# Report prompted numbers with the words *one point of the truth per organ and slice* in the same
# sentence. Beside them give the number of points: in this test set it is what a person would have to
# click.

# %%
shown = (slices.labels[test] == 1).sum()
per_scan = shown / slices.index.loc[test, "scan"].nunique()
glue("points-clicks", f"{per_scan:.0f}", display=False)

# %% [markdown]
# That is {glue:text}`points-clicks` clicks for one scan.
#
# ## Exercises
#
# ### Exercise 1: three points
#
# Give three points to each organ. Which organs gain most?

# %% tags=["hide-cell"]
method = PromptedSam(sam, exclusive=True)
three = find_user("3 points").prompts(truth, ["a slice"])
found = {"one point": prompts, "three points": three}
answers = {
    name: method.answer(method.begin(image), said)
    for name, said in found.items()
}
gained = {
    name: dice(answer.masks[0, asked].numpy(), truth[0, asked].numpy())
    for name, answer in answers.items()
}
# One slice: organs of which one point says too little gain, others may
# lose.
pd.DataFrame(gained, index=scores.index).round(2)

# %% [markdown]
# ### Exercise 2: the second deepest
#
# Move every point by five pixels to the right and ask again. How much does the Dice change?

# %% tags=["hide-cell"]
aside = replace(prompts, points=prompts.points + torch.tensor([5.0, 0.0]))
moved = method.answer(method.begin(image), aside).masks[0, asked]
# Large organs hardly notice. The point of a small one may now lie outside
# of it, and SAM answers about something else.
pd.DataFrame(
    {
        "deepest": gained["one point"],
        "five pixels aside": dice(moved.numpy(), truth[0, asked].numpy()),
        "pixels of the organ": truth[0, asked].sum(dim=(1, 2)).numpy(),
    },
    index=scores.index,
).round(2)

# %% [markdown]
# ### Exercise 3: silence for nothing
#
# What would a system score that never answers, if each slice and each organ counted alike?

# %% tags=["hide-cell"]
# Two empty masks have Dice one, so silence earns the share of absent pairs.
# This is why the papers on many organs measure whole scans.
print(f"{(slices.labels[test] != 1).mean():.2f}")

# %% [markdown]
# ## Check yourself
#
# **1.** Two systems have the same Dice; one is prompted, one works alone. Which is better?
#
# ```{admonition} Answer
# :class: dropdown
# They answer different questions. The one that works alone has also found where and whether. If
# nobody will click, only its number counts.
# ```
#
# **2.** Why can a prompted system have no false alarm in a slice without the organ?
#
# ```{admonition} Answer
# :class: dropdown
# Nobody points there, so nothing is answered. The user has decided it.
# ```
#
# **3.** Why does the largest logit decide, and not the largest score?
#
# ```{admonition} Answer
# :class: dropdown
# The score is one number for the whole mask; the logit is said of this pixel. A large organ with a
# high score would else swallow its neighbours.
# ```

# %% [markdown]
# ## What you did
#
# You
#
# - **placed** points by the distance transform;
# - **prompted** for eight organs and settled their claims;
# - **named** what a point gives away, and
# - **measured** what knowing about absence is worth.
#
# **Next:** [making images from five](chapter-synthesis).
