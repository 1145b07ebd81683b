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
# (chapter-sampp)=
# # SAM-PP: SAM as post-processing
#
# The simplest way to join a classifier and SAM is one after the other. First the classifier learns,
# from one bit for each {term}`slice`. Its boxes are then fixed, and SAM learns to segment in them, from
# 5, 50 or 100 slices with masks. The paper calls this SAM-PP, and it is the comparison that SAM-Mix
# has to win.
#
# **Goals.** After this chapter you will be able to
#
# - **describe** the two stages and what each of them is allowed to see;
# - **read** a run's record: scores, seeds, time and settings;
# - **tell** apart what the box costs and what the mask costs, with a {term}`ceiling`;
# - **judge** a mean Dice over slices of which some have no liver.
#
# *You need:* [chapter 5](chapter-maps). *Time:* forty minutes to read and try, a few minutes to run.

# %% tags=["parameters"]
PROFILE = "pocket"

# %%
import pandas as pd
import torch
from myst_nb import glue

from samnb.method import of_target, segment
from samnb.prompts.boxes import active_pixels
from samnb.reports import cams, style
from samnb.reports.paper import published
from samnb.reports.printing import styled
from samnb.reports.tables import segmentation_table
from samnb.runs import records
from samnb.runs.run import Run
from samnb.runs.runner import load_method, make_record
from samnb.studies import cohorts as cohort

# %%
from samnb.studies import load_profile

style.use()
profile = load_profile(PROFILE)
side = profile.data.slices.side
most = max(profile.data.labelled)

# %% [markdown]
# ## Two stages
#
# | | sees | learns |
# |---|---|---|
# | stage one | the image labels of all training slices | the classifier |
# | stage two | the masks of 0, 5, 50 or 100 slices | {term}`LoRA` in SAM, in boxes of the finished classifier |
# | test | the image alone | nothing |
#
# The second stage is short enough to be read whole:
#
# ```{literalinclude} ../samnb/systems/sam_pp.py
# :pyobject: SamPP
# ```
#
# Three things the paper leaves open. It does not say what trains in SAM beside the low-rank matrices;
# here it is what the profile names, printed below. It does not say whether boxes are shaken while SAM
# learns; here they are, so that it does not come to trust them to the pixel. It does not say which of
# SAM's masks counts; here it is the single one, since a box is a clear prompt.

# %%
print(
    profile.sam.lora, "| trained whole:", profile.sam.trained or "nothing"
)
print(profile.prompting)
print(profile.mix)
print(profile.learning["sam"])

# %% [markdown]
# ## A run and its record
#
# Everything this book measures is a *run*: a system, a number of labels and a seed. A run that was
# made before is loaded; one that was not is made here and now. What is kept of it is its record.

# %% tags=["nbval-ignore-output"]
record = make_record(
    Run(profile, "sam_pp", labels=most, seed=profile.seeds[0])
)
kept = ("name", "labels", "seed", "device", "precision", "commit")
print({name: record.facts[name] for name in kept})
print(
    {name: round(value) for name, value in record.facts["seconds"].items()}
)
record.slices.drop(columns=["target", "user"]).head(3).round(2)

# %% [markdown]
# One row for each test slice: whether there is liver (`label`), what the classifier thought
# (`presence`), the scores, and where it looked. All tables below are made of such rows. (Two columns
# are left out, since they say the same everywhere: the target, and who prompted, here nobody.)
#
# ## With no, few and more masks

# %%
wanted = [("classifier", 0)]
wanted += [("sam_pp", labels) for labels in (0, *profile.data.labelled)]
for system, labels in wanted:
    for seed in profile.seeds:
        make_record(Run(profile, system, labels, seed))

# %%
cases = records.load_cases(profile)
names = cases["system"].str.startswith(("SAM-PP", "CAM"))
cases = cases[names & (cases["change"] == "")]
cohorts = [name for name in profile.data.splits]
seeds = profile.seeds

# %% [markdown]
# In-domain, on the test patients of the {term}`cohort` that trained it. *CAM alone* is the thresholded
# {term}`map <class activation map>` taken as a mask, before any SAM. The last columns are the paper's, on the real LiTS with the real SAM:
# another world, so look at the order and not at the level.

# %% tags=["nbval-ignore-output"]
table = segmentation_table(cases, cohorts[0], published(1), seeds)
styled(table, "In-domain: LiTS-like phantoms, pocket SAM")

# %% [markdown]
# {term}`Cross-domain <cross-domain>`, on another cohort that nobody has trained on:

# %% tags=["nbval-ignore-output"]
cross = segmentation_table(cases, cohorts[1], published(2), seeds)
styled(cross, "Cross-domain: TotalSegmentator-like phantoms, pocket SAM")

# %% [markdown]
# ## A mean over what?
#
# Many test slices hold no liver. An empty mask is right there and scores one. So a system that
# segments nothing at all has a {term}`Dice` as high as the share of such slices. Beside the mean over all
# slices, look at the mean over those with liver:

# %% tags=["nbval-ignore-output"]
with_liver = cases[cases["label"] == 1]
compared = pd.DataFrame(
    {
        "all slices": cases.groupby(["cohort", "system"])["dice"].mean(),
        "with liver": with_liver.groupby(["cohort", "system"])[
            "dice"
        ].mean(),
    }
)
compared.round(3)

# %%
empty = cases.drop_duplicates(["cohort", "scan", "slice"])
free = 1 - empty.groupby("cohort")["label"].mean()
glue("silent", f"{free[cohorts[0]]:.2f}", display=False)

# %% [markdown]
# Silence alone would earn {glue:text}`silent` in-domain. The paper does not say whether its means
# include slices without liver.
#
# ## What the box costs
#
# Give the same SAM the box of the truth, an {term}`oracle prompt`, and nothing else changes. What it
# gains is what the box had cost; what is still missing is SAM's own. The trained SAM alone is a system
# that a user asks, so this number has a record like any other:

# %% tags=["nbval-ignore-output"]
seed, user = profile.seeds[0], 'users=["box 1"]'
asked = {
    "box from the map": Run(profile, "sam_pp", most, seed),
    "box from the truth": Run(
        profile, "sam_pp_prompted", most, seed, (user,)
    ),
}
reached = {}
for who, run in asked.items():
    table = make_record(run).slices
    liver = (table["cohort"] == cohorts[0]) & (table["label"] == 1)
    reached[who] = table.loc[liver, "dice"].mean()
pd.Series(
    reached, name=f"Dice, test slices with liver, {most} masks, first seed"
).round(3)

# %% [markdown]
# One slice on its way through all stages:

# %% tags=["nbval-ignore-output"]
slices = cohort.cohort_slices(profile, cohorts[0])
rows = slices.rows_of(cohort.cohort_split(profile, cohorts[0]).test)
rows = rows[slices.index["mask_pixels"].to_numpy()[rows] >= 20][::4]
images, masks = (
    torch.from_numpy(values) for values in slices.load(rows, target=0)
)
method = load_method(Run(profile, "sam_pp", most, seed)).eval()
answer = of_target(segment(method, images))

# %% mystnb={"figure": {"caption": "Every stage for one test slice: the slice, the map, the active pixels and their box, SAM's three masks with the scores it gives itself, the mask that counts, the truth.", "name": "fig-sampp-stages"}, "image": {"alt": "Eight pictures of the same abdominal slice, from the plain slice over map and box to the masks and the true outline of the liver."}} tags=["nbval-ignore-output"]
middle = len(rows) // 2
active = active_pixels(answer.cams, profile.prompting.threshold, side)
figure = cams.show_answer(
    images[middle, 0].numpy(),
    masks[middle].numpy(),
    active[middle].numpy(),
    answer,
    middle,
)

# %% [markdown]
# The gap is smaller than a look at the boxes makes one fear. A SAM that has learned from masks takes the
# box as a hint that there is something, and finds the liver by its looks: its masks leave the box where
# the box is wrong. What stage two cannot mend is a slice that stage one called free of liver. There is
# no box then, and SAM is not even asked. [Chapter 7](chapter-sammix) counts such slices.
#
# ## Exercises
#
# ### Exercise 1: trust in the score
#
# Set `choice="best"` in the profile's `mix`, so that the alternative with the highest predicted {term}`IoU`
# counts. Does it help?
#
# ```{admonition} Solution
# :class: dropdown
# `make_record(Run(profile, "sam_pp", 50, 1, ("mix.choice=best",)))` and compare its `summary`. The scores were
# learned on generic shapes with boxes around them; here boxes are often not around the liver, so the
# score is a guess about another question.
# ```
#
# ### Exercise 2: a wider box
#
# A box that cuts the liver hurts more than one that is too wide. Try `prompting.margin=0.2`.
#
# ```{admonition} Solution
# :class: dropdown
# `make_record(Run(profile, "sam_pp", 50, 1, ("prompting.margin=0.2",)))`. The classifier is not trained anew:
# a margin changes what becomes of a map, not what was learned.
# ```
#
# ### Exercise 3: which slices
#
# Sort `record.slices` by Dice and look at the worst with liver. Was it called free of liver, was the
# box wrong, or was the mask?
#
# ```{admonition} Solution
# :class: dropdown
# `presence` below one half: called free of liver. `box_iou` small: the box. Neither: the mask. Count
# them; that is where to work next.
# ```

# %% [markdown]
# ## Check yourself
#
# Answer in a sentence or two, best aloud or on paper, before you open the answer.
#
# **1.** Stage two gets a hundred masks instead of five. Which failures cannot become fewer?
#
# ```{admonition} Answer
# :class: dropdown
# Slices with liver that the classifier called free. Nothing is drawn there, whatever SAM has
# learned, because stage one is fixed by then.
# ```
#
# **2.** System A has the higher mean Dice over all slices, system B over those with liver. How is
# that possible, and which is better?
#
# ```{admonition} Answer
# :class: dropdown
# A is silent more often. That is right on slices without liver, where it earns full marks, and
# wrong on some with liver. Which one is better depends on what a false alarm and a miss cost where
# it is to be used. One mean cannot say it.
# ```
#
# **3.** With the box of the truth the Dice hardly rises. Where would you work next?
#
# ```{admonition} Answer
# :class: dropdown
# Not at the boxes: a perfect box is the most that they could become. What is still missing is SAM's
# own, or lies in slices where nobody asked SAM.
# ```
#
# **4.** The boxes of the map are imprecise anyway. Why are they shaken as well while SAM learns?
#
# ```{admonition} Answer
# :class: dropdown
# The classifier has learned from those very slices, so its boxes on them may be better, or wrong in
# a more regular way, than on a new patient. SAM should be prepared for worse boxes than the ones it
# learns in.
# ```

# %% [markdown]
# ## What you did
#
# You
#
# - **described** two stages, of which the second cannot mend the first;
# - **read** records, and tables made of nothing else;
# - **told** apart box and mask, by giving one of them from the truth;
# - **judged** a mean by what silence would earn.
#
# **Next:** both at once.
