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
# (chapter-slices)=
# # From scans to labelled slices
#
# A segmentation model never sees a patient. It sees small grey squares, and what it can learn was
# decided before the first of them reached it: by the unit of the grey, the way up, the {term}`slices <slice>` that
# were kept, and whose slices went into the test. This chapter makes those decisions in the open,
# and measures what the worst of them costs.
#
# **Goals.** After this chapter you will be able to
#
# - **read** a CT slice: say what its grey values mean, and choose a window that shows what you seek;
# - **bring** any scan into one orientation, and tell from its header which way up it lies;
# - **cut** scans into the slices that SAM-Mix learns from, and name what the rule leaves out;
# - **split** a cohort by patient, and count the patients behind a number of labelled slices;
# - **measure** how far a threshold gets, and how much a leak between splits pretends to be worth.
#
# *You need:* Python and a little NumPy; no deep learning yet. *Time:* an hour to read and try, two
# minutes to run.

# %% tags=["parameters"]
PROFILE = "pocket"

# %%
import numpy as np
import pandas as pd
from myst_nb import glue

from samnb.data import survey
from samnb.data.layouts import list_scans, open_scan
from samnb.evaluation import simple
from samnb.evaluation.metrics import dice
from samnb.reports import pictures, style
from samnb.studies import cohorts as cohort
from samnb.studies import load_profile

style.use()
profile = load_profile(PROFILE)

# %% [markdown]
# The profile says how much of everything there is. Its {term}`cohorts <cohort>` are
# {term}`phantoms <phantom>` unless it says otherwise: made-up patients, drawn by a program from a
# seed and written to disk with the folders, file names and label values of the real data sets. The
# code below reads the real ones without a change.

# %%
names = list(profile.data.cohorts)
scans = {name: cohort.cohort_scans(profile, name) for name in names}
for name, (first, *others) in scans.items():
    print(f"{name}: {first.patient} and {len(others)} more")

# %% [markdown]
# ## What a CT measures
#
# A CT scanner turns an X-ray tube around the patient and computes how strongly each small block of
# the body, a *voxel*, absorbs the rays. It does so on the scale of {term}`Hounsfield units <HU>`,
# which is pinned to two things every hospital has: air is at −1000 and water at 0. So a CT number
# means the same everywhere, which is rare among medical images; MR has no such unit.
#
# Where do the organs lie on that scale? The second cohort has a mask for each of them, so we can
# ask. Each point below is the median of one organ in one patient.

# %%
organs = "gallbladder stomach pancreas liver spleen kidney_left aorta"
folder = cohort.cohort_folder(profile, "totalsegmentator")
medians = {}
for organ in organs.split():
    files = list_scans("totalsegmentator", folder, organ)
    medians[organ] = [survey.target_hu(scan) for scan in files]

# %% mystnb={"figure": {"caption": "Organs on the Hounsfield scale: one point per patient. The shaded band is the window in which SAM-Mix looks. The liver overlaps with most of its neighbours, so no pair of grey values cuts it out.", "name": "fig-organs"}, "image": {"alt": "Strip plot of median Hounsfield units, one row per organ. Gallbladder and stomach lie low; pancreas, liver, spleen, kidney and aorta overlap widely, the vessels and kidneys reaching highest."}}
figure, axes = style.panels(panel_height=3.2)
window = profile.data.slices
low, high = pictures.window_range(window.window_width, window.window_center)
pictures.strip(axes, medians, band=(low, high))
style.label(axes, "median of the organ (HU)")

# %% [markdown]
# The aorta and the kidneys scatter most. That is the {term}`contrast phase`: an iodine solution was
# injected into a vein, and what lights up depends on how long the scanner waited. One organ's value
# thus says when the picture was taken as much as what is in it.
#
# ## A window makes it visible
#
# The scale is far wider than the eye, or an image file, can resolve: it runs over thousands of
# units, while liver and spleen may differ by twenty. A {term}`window` of a given width and centre
# picks a range, maps it to black and white, and cuts off the rest.

# %%
patient = scans["lits"][0]
scan = open_scan(patient)
level = survey.fullest_slice(scan)
values, masks = survey.canonical_planes(scan, [level])

# %%
windows = {"lung": (1500, -600), "SAM-Mix": (400, 40), "bone": (1800, 400)}
shown, titles = [], []
for name, (width, center) in windows.items():
    shown.append(pictures.window(values[0], width, center))
    titles.append(f"{name}: {width} HU at {center}")

# %% mystnb={"figure": {"caption": "One slice under three windows. Nothing was computed in between: each shows another range of the same numbers.", "name": "fig-windows"}, "image": {"alt": "The same axial CT slice three times. The lung window shows soft tissue as even light grey, the middle window separates liver, vessels, fat and muscle, the bone window shows only the skeleton in detail."}}
figure = pictures.show_slices(shown, titles)

# %% [markdown]
# The middle one is SAM-Mix's, and ours: a width of 400 HU at 40 HU. After it, every value lies
# between zero and one. The window is the first decision that cannot be undone: what it cut off, no
# model will find again.
#
# ```{note}
# SAM-Mix's published preprocessing clips to this window, but then divides by the range of the whole
# data set, so that its images use a small part of the scale between zero and one. Here the window
# itself is stretched to the full scale, as the paper's text describes.
# ```
#
# ## Which way up?
#
# A scan is an array. Nothing in an array says where the patient's head is; that is in the header, in
# the {term}`affine` matrix. Its axes are named by where they point: `RAS` means that the first index
# grows towards the patient's **r**ight, the second to the front (**a**nterior), the third to the head
# (**s**uperior); `L`, `P` and `I` are the opposites. How do the scans of a cohort lie?

# %%
tables = {}
for name, files in scans.items():
    tables[name] = survey.survey(files, window.middle)
lits = tables["lits"]
lits["orientation"].value_counts().to_frame("scans")

# %% [markdown]
# {glue:text}`orientations` different orientations in one data set. Whoever plots `array[:, :, k]`
# gets patients on their face, on their side and in a mirror. Below, the upper row does just that;
# the lower row first brings the scans into one {term}`canonical orientation`.

# %% tags=["remove-input"]
glue("orientations", int(lits["orientation"].nunique()), display=False)

# %%
examples = lits.groupby("orientation", sort=True).head(1).index[:4]
as_stored, upright = [], []
for row in examples:
    scan = open_scan(scans["lits"][row])
    z = survey.fullest_slice(scan)
    as_stored.append(survey.stored_plane(scan, z))
    upright.append(survey.canonical_planes(scan, [z])[0][0])

# %% mystnb={"figure": {"caption": "Four scans of one cohort, as their arrays lie on disk (top) and in canonical orientation (bottom). R and L are the patient's sides: the liver is on the left of every picture below, as radiologists look at it.", "name": "fig-orientation"}, "image": {"alt": "Two rows of four axial slices. In the top row the bodies lie on their sides or mirrored, the spine pointing in different directions. In the bottom row every spine is at the bottom and every liver on the left."}}
pairs = [pictures.window(plane) for plane in [*as_stored, *upright]]
stored = [f"stored: {code}" for code in lits["orientation"][examples]]
figure = pictures.show_slices(pairs, stored + ["canonical"] * 4, columns=4)
for axes in figure.axes[4:]:
    pictures.mark_sides(axes)

# %% [markdown]
# Why does it matter to a network that could learn both? Because few labels are the point of this
# book. With five labelled slices there is no example to spend on learning that livers may also be on
# the right. And a flip as *augmentation* is no way round: it teaches that the side means nothing,
# when it means most.
#
# ## Two cohorts, and how they differ
#
# The papers train on one {term}`cohort` and test, besides, on another that training never saw: the
# {term}`cross-domain` test. What is different about it? Here are both through the same window.

# %%
chosen = [files for name in names for files in scans[name][:4]]
titles = [files.patient for files in chosen]
planes = [survey.fullest_plane(files) for files in chosen]
outlines = [mask for _, mask in planes]

# %% mystnb={"figure": {"caption": "The two cohorts, four patients each, with the outline of the liver in green. Top: LiTS-like. Bottom: TotalSegmentator-like, with other scanners, phases, fields of view and diseases.", "name": "fig-cohorts"}, "image": {"alt": "Two rows of four abdominal CT slices with the liver outlined in green on the left of each. The lower row is noisier, cropped closer to the body, and the livers differ more in brightness."}}
shown = [pictures.window(image) for image, _ in planes]
figure = pictures.show_slices(shown, titles, outlines, columns=4)

# %% [markdown]
# The eye is quickly satisfied; a table is not. The {term}`spacing` between slices, the share of the
# slices that show liver, and the brightness of the liver itself:

# %%
summary = {name: survey.summary(table) for name, table in tables.items()}
pd.DataFrame(summary).rename(columns=style.COHORT_NAMES)

# %% mystnb={"figure": {"caption": "Median Hounsfield units of the liver, one step per patient. A model that has learned how bright a liver is will be surprised by the second cohort.", "name": "fig-shift"}, "image": {"alt": "Two step curves of the cumulative share of patients over the liver's median Hounsfield units. The LiTS-like curve, solid, rises steeply; the TotalSegmentator-like curve, dashed, begins lower and spreads wider."}}
figure, axes = style.panels(panel_height=2.8)
for name, table in tables.items():
    axes.ecdf(table["target_hu"].dropna(), **style.look(name))
style.label(axes, "median of the liver (HU)", "share of patients", True)

# %% [markdown]
# ## From scans to slices
#
# SAM-Mix works on {term}`slices <slice>`. Each goes through the window, is resized to a small square
# (bilinearly; its mask by the nearest neighbour, so that no new labels appear), and gets an
# *image-level label*: is there any liver in it? And the paper keeps only the middle of each scan: the
# fraction below, half of it to either side of the centre.

# %%
side = window.side
print(
    f"the middle {window.middle:.0%} of each scan, {side} × {side} pixels"
)

# %%
steps = {}
for name, files in scans.items():
    steps[name] = 100 * survey.presence_by_height(files)
heights = np.linspace(0, 100, len(steps["lits"]))

# %% mystnb={"figure": {"caption": "Where the liver is: share of the scans that show it, by height in the scan. The band is what the rule keeps.", "name": "fig-middle"}, "image": {"alt": "Two curves over the height of the scan from bottom to top, low at both ends and high in between. A shaded band marks the middle of the scan, where both curves are high."}}
figure, axes = style.panels(panel_height=2.8)
for name, share in steps.items():
    axes.plot(heights, share, **style.look(name))
half = 50 * window.middle
axes.axvspan(50 - half, 50 + half, color=style.FAINT)
style.label(
    axes, "height (%, from the feet up)", "scans with liver (%)", True
)

# %% [markdown]
# The rule is cheap and needs no label, and more of the slices that it keeps show liver. That is also
# less innocent than it looks: what it leaves out is, for the most part, slices *without* liver.

# %%
free = {name: survey.target_free(table) for name, table in tables.items()}
shares = pd.DataFrame(free, index=["of all slices", "of the middle"]).T
shares.rename(index=style.COHORT_NAMES).map("{:.1%} are free".format)

# %% tags=["remove-input"]
glue("free-all", f"{free['lits'][0]:.0%}", display=False)
glue("free-middle", f"{free['lits'][1]:.0%}", display=False)

# %% [markdown]
# In the LiTS-like cohort {glue:text}`free-all` of all slices are free of liver, of the kept ones
# {glue:text}`free-middle`. Whoever reports a {term}`Dice` over the middle slices does not say how often the
# model finds a liver in a chest. Both numbers belong in a report; the paper's protocol is the
# second.
#
# `samnb data prepare` does all of this once and keeps the result as memory-mapped arrays beside a
# table; here we ask for it by name, and it is made if it is missing.

# %%
slices = {name: cohort.cohort_slices(profile, name) for name in names}
index = slices["lits"].index
index[["patient", "slice", "label", "mask_pixels", "spacing_z"]].head(3)

# %% [markdown]
# ## Split by patient
#
# Neighbouring slices of one patient are all but the same picture. If one is in the training set and
# the next in the test, the test asks what the model remembers, not what it has learned. So a
# {term}`split` deals out **patients**. Here a fixed rule does it: patients are ordered by a hash of
# the seed and their name, so that a scan added later moves nobody else.

# %%
splits = {name: cohort.cohort_split(profile, name) for name in names}
rows = []
for name, split in splits.items():
    for part, patients in split.parts().items():
        count = len(slices[name].rows_of(patients))
        rows.append((style.COHORT_NAMES[name], part, len(patients), count))
table = pd.DataFrame(rows, columns=["cohort", "part", "patients", "slices"])
table[table["patients"] > 0].set_index(["cohort", "part"])

# %% [markdown]
# Labels are what is scarce. The papers count them in slices: five, fifty, a hundred. The subsets are
# nested, so that more labels never means other labels. But a labelled slice is not a patient:

# %%
subsets = cohort.labelled_subsets(profile, "lits")
people = {count: len(subset.patients) for count, subset in subsets.items()}
people = pd.Series(people, name="patients they come from")
people.rename_axis(index="labelled slices").to_frame()

# %% [markdown]
# Fifty slices of fifty patients teach more than fifty slices of one. The paper does not say how many
# patients its slices come from; here it is on record. A {term}`leak` is not a warning in this
# package but an error:

# %%
from samnb.base.errors import LeakError
from samnb.data.splits import assert_disjoint

train, test = splits["lits"].train, splits["lits"].test
try:
    assert_disjoint({"train": [*train, test[0]], "test": test})
except LeakError as error:
    print(error.what)
    print("Remedy:", error.remedy)

# %% [markdown]
# ## How far does a threshold go?
#
# Before any learning: the liver has its range of Hounsfield units, so why not take all pixels in it?
# We give the idea a good start. The range is read from the masks of *all* training slices, and its
# width is the one that works best on them. Then we keep only the largest piece, since the liver is
# one; and, as a last try, cut the narrow bridges to its neighbours before. The measure is
# {term}`Dice`, the overlap of two masks.

# %%
with_liver = np.flatnonzero(index["label"] == 1)
train_rows = np.intersect1d(with_liver, slices["lits"].rows_of(train))
test_rows = np.intersect1d(with_liver, slices["lits"].rows_of(test))

# %%
images, masks = slices["lits"].load(train_rows, target=0)
limits = simple.best_range(images[:, 0], masks)
bottom, top = (low + value * (high - low) for value in limits)
print(f"liver: {bottom:.0f} to {top:.0f} HU")

# %%
images, masks = slices["lits"].load(test_rows, target=0)
found = simple.threshold(images[:, 0], *limits)
largest = simple.largest_pieces(found)
steps = {"all in range": found, "largest piece": largest}
steps["bridges cut first"] = simple.largest_pieces(simple.opened(found))
scores = {name: dice(mask, masks) for name, mask in steps.items()}
scores = pd.DataFrame(scores)
scores.agg(["mean", "median", "min", "max"]).T.map("{:.2f}".format)

# %% tags=["remove-input"]
glue("threshold", f"{scores['largest piece'].mean():.2f}", display=False)
glue("opened", f"{scores['bridges cut first'].mean():.2f}", display=False)

# %% mystnb={"figure": {"caption": "The threshold on three test slices: the worst, the median, and the best by Dice. The green line is the truth, the red area the largest piece within the range.", "name": "fig-threshold"}, "image": {"alt": "Three abdominal slices. In the first the red area lies in the muscles and misses the liver; in the second it covers much of the liver with gaps and leaks into neighbours; in the third it nearly fills the green outline."}}
best_last = scores["largest piece"].sort_values()
rows = best_last.index[[0, len(best_last) // 2, -1]]
titles = [f"Dice {value:.2f}" for value in best_last[rows]]
shown = images[rows, 0], titles, masks[rows], largest[rows]
figure = pictures.show_slices(*shown, filled=True)

# %% [markdown]
# A mean Dice of {glue:text}`threshold` over the test slices with liver, {glue:text}`opened` with the
# bridges cut. That is the mark below which nothing in this book deserves to be called a method.
# Muscle, spleen and vessels share the liver's greys ({numref}`fig-organs`), and where they touch it
# no range and no rule about pieces tells them apart.
#
# ## What a leak is worth
#
# Now the cost of the wrong split, as a number. Our "model" learns nothing at all: to segment a slice
# it looks up the most similar training slice and **copies its mask**. We judge it twice on slices
# that were left out: once dealt out by patient, once by slice.

# %%
images, masks = slices["lits"].load(with_liver, target=0)
small = simple.thumbnails(images[:, 0])
owners = index["patient"].to_numpy()[with_liver]

# %%
groups = {"by patient": owners, "by slice": np.arange(len(owners))}
leak = pd.DataFrame()
for name, group in groups.items():
    draws = simple.held_out_draws(group, 0.25, draws=20, seed=profile.seed)
    leak[name] = [simple.copy_score(small, masks, *draw) for draw in draws]
leak.agg(["mean", "std"]).T.map("{:.3f}".format)

# %% tags=["remove-input"]
by_patient, by_slice = leak["by patient"].mean(), leak["by slice"].mean()
glue("by-patient", f"{by_patient:.2f}", display=False)
glue("by-slice", f"{by_slice:.2f}", display=False)
glue("leak", f"{by_slice - by_patient:.2f}", display=False)

# %% mystnb={"figure": {"caption": "The same copying, judged with two kinds of splits; one point per draw of the split. Only the upper row says anything about the next patient.", "name": "fig-leak"}, "image": {"alt": "Strip plot of the mean Dice of mask copying over repeated splits. The points of the split by slice lie far to the right, at much higher Dice, than those of the split by patient; the two groups do not overlap."}}
figure, axes = style.panels(panel_height=2.0)
pictures.strip(axes, leak)
style.label(axes, "mean Dice of copied masks")

# %% [markdown]
# Split by slice, copying scores {glue:text}`by-slice`; split by patient, {glue:text}`by-patient`.
# The difference of {glue:text}`leak` is pure leak: nothing was learned in either case. A gap of that
# size would win any comparison of methods, and no seed, interval or test of significance would have
# given it away.
#
# ## Exercises
#
# ### Exercise 1: another window
#
# Which window would you choose to see whether there is gas in the stomach? Show the slice of
# {numref}`fig-windows` in it.
#
# ```{admonition} Solution
# :class: dropdown
# Gas is near −1000 HU, so the window must reach down there and still tell fluid from wall: the lung
# window does, and so does any wide one with a low centre.
#
#     pictures.show_slices([pictures.window(values[0], 1200, -500)], ["gas"])
# ```
#
# ### Exercise 2: how fast does the leak grow?
#
# Perhaps a little leak does no harm? Give the copying model, besides the training patients, every
# twentieth slice of the test patients, then every tenth, fifth and second, and judge it on the
# others.

# %% tags=["hide-cell"]
[(train, test)] = simple.held_out_draws(owners, 0.25, 1, profile.seed)
for step in (20, 10, 5, 2):
    leaked = test[::step]
    others = np.setdiff1d(test, leaked)
    known = np.concatenate([train, leaked])
    score = simple.copy_score(small, masks, known, others)
    print(f"one slice in {step:2} leaked: Dice {score:.3f}")

# %% [markdown]
# ```{admonition} Solution
# :class: dropdown
# The hidden cell above does it. A few slices of each test patient buy much of the difference, since
# each is the nearest neighbour of those around it. There is no harmless leak.
# ```
#
# ### Exercise 3: the threshold elsewhere
#
# Use the range found above on the TotalSegmentator-like cohort. What do you expect from
# {numref}`fig-shift`, and what comes out?

# %% tags=["hide-cell"]
other = slices["totalsegmentator"]
shown = np.flatnonzero(other.index["label"] == 1)
images, masks = other.load(shown, target=0)
found = simple.largest_pieces(simple.threshold(images[:, 0], *limits))
print(f"Dice on the other cohort: {dice(found, masks).mean():.2f}")

# %% [markdown]
# ```{admonition} Solution
# :class: dropdown
# The hidden cell above measures it. Livers that are darker, for want of contrast or for fat, fall
# out of the range altogether: a small foretaste of every {term}`cross-domain` table to come.
# ```

# %% [markdown]
# ## Check yourself
#
# Answer in a sentence or two, best aloud or on paper, before you open the answer.
#
# **1.** A colleague stretches every scan from its own smallest to its own largest value, and uses
# no window. What is lost?
#
# ```{admonition} Answer
# :class: dropdown
# The unit. A metal clip, or a table in the field of view, changes the largest value and with it the
# grey of every organ. The same liver then has another grey in each scan, and what a network learns
# about brightness in one scan is wrong in the next.
# ```
#
# **2.** The image is resized smoothly, its mask by the nearest neighbour. What would a smoothly
# resized mask contain?
#
# ```{admonition} Answer
# :class: dropdown
# Values between the labels. On the border between background and label 2 there would be ones, and
# label 1 may be another organ. A mask is a list of names, and names have no averages.
# ```
#
# **3.** Two scans in your data set are of the same person, taken half a year apart, under two
# names. Where must they go?
#
# ```{admonition} Answer
# :class: dropdown
# Into the same part of the split. The rule is about persons, not files. Two names for one person
# are the leak that no program finds by itself: look at the header's data, or ask those who
# collected the scans.
# ```
#
# **4.** A reviewer suspects that a result is too good, and asks for more seeds and a test of
# significance. The split was by slice. Will that find the fault?
#
# ```{admonition} Answer
# :class: dropdown
# No. Every seed has the same leak, so the results agree with each other, and the difference to
# honest methods is highly significant. Only another split tells.
# ```
#
# **5.** A system was trained and tested on the middle of each scan. May it be run on whole scans?
#
# ```{admonition} Answer
# :class: dropdown
# Perhaps, but nobody has measured it. It has seen few slices without liver, and none from the ends
# of a scan; and no number of the report says how often it finds a liver there.
# ```

# %% [markdown]
# ## What you did
#
# You
#
# - **read** CT slices: Hounsfield units from air to bone, and windows that show one thing and lose
#   another;
# - **brought** scans of many orientations into one, and saw what their headers said about it;
# - **cut** them into slices, and named what keeping the middle leaves out: most of what is free of
#   liver;
# - **split** by patient, and counted the patients behind five, fifty and a hundred labelled slices;
# - **measured** a threshold, the mark to beat, and a leak that was worth more than most methods.
#
# **Next:** a model that has seen a billion masks, and not one liver.
#
# **Further reading:** LiTS {cite}`bilic2023lits` and TotalSegmentator
# {cite}`wasserthal2023totalsegmentator` describe the data sets; SAM-Mix {cite}`ward2025sammix` the
# preparation followed here.
