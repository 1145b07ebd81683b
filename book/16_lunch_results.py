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
# (chapter-lunch-results)=
# # Results and claims of Cheap Lunch
#
# If a doctor outlines a handful of slices, and later clicks once on each organ, is that enough? And do
# images made of those few slices teach more than the slices themselves? This page has the six tables of
# the paper {cite}`feng2023cheaplunch` beside ours, and takes its sentences one by one.

# %% tags=["parameters"]
PROFILE = "pocket"

# %% tags=["hide-input"]
import pandas as pd
from IPython.display import Markdown

from samnb.base.paths import results_root
from samnb.evaluation.protocols import by_public_rule
from samnb.reports import (
    claims,
    lunch,
    lunch_figures,
    lunch_findings,
    style,
)
from samnb.reports.claims_lunch import audit_lunch, checkpoint
from samnb.reports.files import write_figure
from samnb.reports.lunch_budget import with_more_steps
from samnb.reports.lunch_points import where_maps_point
from samnb.reports.lunch_real import real_slices, real_table
from samnb.reports.lunch_silence import with_silence
from samnb.reports.lunch_study import read_study, shown_slices
from samnb.reports.lunch_synthesis import (
    by_images,
    shown_share,
    without_transforms,
)

# %% tags=["hide-input"]
from samnb.reports.lunch_tests import (
    FIRST,
    SECOND,
    all_tests,
    compared,
    in_words,
    orders,
    users_compared,
)
from samnb.reports.paper_lunch import published_lunch
from samnb.reports.printing import styled
from samnb.reports.synthesis_gain import synthesis_gain
from samnb.reports.tables import write_table
from samnb.runs.records import all_records
from samnb.runs.run import apply_changes
from samnb.studies import load_profile

# %% tags=["hide-input"]
style.use()
brain = read_study(PROFILE, "cheap-lunch-brats")
belly = read_study(PROFILE, "cheap-lunch-synapse")
studies = {study.cohort: study for study in (brain, belly)}
cases = {name: study.cases for name, study in studies.items()}
labelled = {name: study.labelled for name, study in studies.items()}
audit = audit_lunch(cases, labelled)
tables, figures = {}, {}
few, most = brain.labelled[0], brain.labelled[-1]
middle = brain.labelled[len(brain.labelled) // 2]
seed = brain.profile.seeds[0]

# %% [markdown]
# **What we found**, on {term}`phantoms <phantom>` with the {term}`pocket SAM`. Every number with a point
# is of an {term}`oracle prompt`: somebody who knows the truth has said in which slices the target is,
# where, and which it is. Differences are in {term}`Dice`, the first minus the second. One that other
# patients or other seeds could turn round is called a tie. In brackets stands the interval over patients.

# %% tags=["hide-input"]
names = {name: study.profile.name for name, study in studies.items()}
said = lunch_findings.findings(cases, labelled, audit)
said += lunch_findings.missing_records(cases, names)
Markdown("\n".join(f"- {sentence}" for sentence in said))

# %% mystnb={"figure": {"caption": "Dice over test scans and targets against the number of exemplars. Line: mean over seeds; band: their deviation; dots: seeds. Filled markers: systems told where each target is, by a point in its middle; hollow ones work alone, and are not ranked with the others. Horizontal: trained on all slices, or the frozen SAM.", "name": "fig-lunch-results-exemplars"}, "image": {"alt": "Two panels, brain tumour and eight organs, with Dice on a common axis and the number of exemplars on a logarithmic one; curves for Cheap Lunch with and without synthesis and for SAMed, and horizontal levels for the frozen SAM and for training on all slices."}} tags=["hide-input"]
families = ["SAM", "SAMed_s", "Cheap Lunch without synthesis",
            "Cheap Lunch", "Cheap Lunch, self-pointed"]  # fmt: skip
asked = {name: lunch.asked(each, "point") for name, each in cases.items()}
drawn = {
    name: each[each["system"].map(lunch.family_of).isin(families)]
    for name, each in asked.items()
}
figures["exemplars"] = lunch_figures.exemplar_curves(drawn)

# %% [markdown]
# Compare the two filled curves of a panel: that is the paper's question about synthesis. Their distance to
# the upper level is what the slices nobody has outlined would still give. The distance from a filled to
# a hollow curve is no gain of a method; it is mostly what the point gives away
# ([chapter 13](chapter-points)).
#
# **Goals.** After this chapter you will be able to
#
# - **read** a table in which some rows were told the answer's place and others were not;
# - **say** what a rule for empty masks does to a mean distance;
# - **separate** what synthesis does from what more slices, or a point, would do;
# - **check** a table by its own arithmetic before you believe its text.
#
# *You need:* [chapter 15](chapter-lunch). *Time:* three quarters of an hour to read, five minutes to run.
#
# ## How we measure
#
# As the paper does: every target once per scan, then the mean over scans and targets. HD95 is the
# distance that ninety-five of a hundred border points stay below, first of the one border to the other,
# then the other way, and the larger of both. The papers give it in voxels, whatever a voxel's size; in
# the folded tables it is also in millimetres. The ± is over seeds: three trainings that differ only in chance.
# The interval is over patients: test patients are drawn anew, with repetition, ten thousand times (a
# *bootstrap interval*).
#
# Ours and the paper's stand in one row, but they are of two worlds: real scans and the real SAM there,
# {term}`phantoms <phantom>` and a small SAM here. Compare orders and differences, not levels. Our numbers of
# exemplars on brain tumours are smaller, because there are fewer slices: the *shares* are the paper's,
# and rows are matched by them. On organs the numbers are the paper's own.
#
# ## Table 1: brain tumour, a point in its middle

# %% tags=["hide-input"]
for number in (1, 3, 5):
    tables[f"table-{number}"] = lunch.lunch_table(
        brain.cases, published_lunch(number), brain.labelled,
        brain.training, brain.profile.seeds,
    )  # fmt: skip
for number in (2, 4, 6):
    tables[f"table-{number}"] = lunch.lunch_table(
        belly.cases, published_lunch(number), belly.labelled,
        belly.training, belly.profile.seeds,
    )  # fmt: skip
caption = "bold, underlined: best and second of a track, without all slices"
styled(lunch.overview(tables["table-1"]), f"Table 1 ({caption})")

# %% [markdown]
# The column *Track* comes first in reading: *oracle* rows were told where the tumour is, *automatic* ones
# were not. The paper prints both in one column and compares them. A dash in our columns is a run that
# has no record. Everything else that was measured, with the public code's rule and millimetres:

# %% tags=["hide-output"]
styled(tables["table-1"], "Table 1, all columns")

# %% [markdown]
# ## Table 2: eight organs, a point in the middle of each

# %%
styled(lunch.overview(tables["table-2"]), f"Table 2 ({caption})")

# %% [markdown]
# Look at the rows of SAMed and of Cheap Lunch with the same exemplars. On organs the gap is wide: eight
# organs must be found and told apart, and the point does both. But the automatic rows are also stopped
# early: Attention U-Net and SAMed begin with much that is new, and a few hundred steps are not enough for
# eight organs, even with all slices ([below](lunch-longer)). They are no measure of what these networks can
# do. By organ, ours and below it the paper's:

# %% tags=["hide-output"]
tables["organs-2"] = lunch.organ_table(
    belly.cases, published_lunch(2), belly.labelled
)
styled(tables["organs-2"], "Table 2 by organ, Dice")

# %% tags=["hide-output"]
styled(tables["table-2"], "Table 2, all columns")

# %% [markdown]
# ## Tables 3 and 4: with synthesis and without
#
# The same exemplars, the same number of steps. Without synthesis each step sees the exemplars themselves,
# with it images that were made of them.

# %%
styled(lunch.overview(tables["table-3"]), f"Table 3, tumour ({caption})")

# %%
styled(lunch.overview(tables["table-4"]), f"Table 4, organs ({caption})")

# %% tags=["hide-output"]
tables["organs-4"] = lunch.organ_table(
    belly.cases, published_lunch(4), belly.labelled
)
styled(tables["organs-4"], "Table 4 by organ, Dice")

# %% [markdown]
# All rows are told where, so these two tables are fair in themselves. Whether a difference is more than
# chance is tested below, pair by pair.
#
# ## Tables 5 and 6: a random point
#
# The same models, asked with any pixel of the target in place of its middle.

# %%
styled(lunch.overview(tables["table-5"]), f"Table 5, tumour ({caption})")

# %%
styled(lunch.overview(tables["table-6"]), f"Table 6, organs ({caption})")

# %% tags=["hide-output"]
tables["organs-6"] = lunch.organ_table(
    belly.cases, published_lunch(6), belly.labelled
)
styled(tables["organs-6"], "Table 6 by organ, Dice")

# %% [markdown]
# What the middle is worth, system by system, is a difference on the same patients:

# %%
users = {name: users_compared(each) for name, each in cases.items()}
pd.concat(users).round(3)

# %% [markdown]
# In the paper a random point costs tumours nothing, and organs up to some points of Dice. Training draws
# random pixels, so it is the middle that is new to the model, not the edge.
#
# ## Two rules for empty masks
#
# What is the distance between a mask and nothing? Here it is the image's diagonal: a missed organ is the
# worst case. The public code that Cheap Lunch builds on says zero, so a missed organ makes the mean
# distance *smaller*. Which rule the paper's numbers follow it does not say.

# %%
for name, each in cases.items():
    tables[f"{name}-rules"] = lunch.two_rules(each, "point")
styled(tables["brats-rules"], "Brain tumour: both rules, in voxels")

# %%
styled(tables["synapse-rules"], "Eight organs: both rules, in voxels")

# %% [markdown]
# *Missed* are the targets of a scan that got no mask at all. Where it is zero both rules agree but for
# organs that a patient lacks, such as a removed gallbladder: an answer there is an error here, and a full
# mark by the public rule, silence the other way round. Whoever compares distances of two papers has to
# ask for this rule first.
#
# ## Is it luck?
#
# Pairs that were written down before any run, the same patients in both. The interval is over patients,
# *seeds ±* is what two other seeds would change. *p* is of a Wilcoxon signed-rank test, which looks only
# at the patients' ranks of differences; Holm's correction pays for the number of pairs.

# %%
for name, each in asked.items():
    tables[f"{name}-tests"] = all_tests(each, labelled[name])
in_words(tables["brats-tests"])

# %%
in_words(tables["synapse-tests"])

# %% [markdown]
# The last column speaks: *the first*, *the second*, or *a tie*. A pair of an oracle with a system that
# works alone has numbers, but no winner. The same for HD95, where the smaller number is the better:

# %% tags=["hide-output"]
for name, each in asked.items():
    tables[f"{name}-tests-hd"] = all_tests(
        each, labelled[name], "hd95_voxels"
    )
pd.concat({name: in_words(tables[f"{name}-tests-hd"], 2) for name in cases})

# %% [markdown]
# ## Figures 2 and 3: the same slices, every system
#
# Of all test {term}`slices <slice>` you see the best, the median and the worst of Cheap Lunch with the
# middle number of exemplars (of slices that show at least half as many organs as the richest one), and one
# without any target. A star is the point that a system was given.

# %% mystnb={"figure": {"caption": "Brain tumour (the paper's Figure 2). Green: truth; red: answer; star: the point of the truth. Rows: best, median and worst slice of Cheap Lunch with the middle number of exemplars, and a slice without tumour.", "name": "fig-lunch-results-brain"}, "image": {"alt": "Rows of brain slices, one column for the truth and one for each system; the true tumour is outlined in green and the answer in red, a star marks the given point, and the Dice stands below."}} tags=["hide-input"]
if tumours := shown_slices(brain, seed):
    figures["figure-2"] = lunch_figures.answer_grid(tumours)
else:
    print(f"No record of Cheap Lunch-{middle} with seed {seed} is here.")

# %% mystnb={"figure": {"caption": "Eight organs (the paper's Figure 3). Each colour an organ; stars: the points that were given. Rows as in the figure before. Below each, the mean Dice of the organs in the slice.", "name": "fig-lunch-results-belly"}, "image": {"alt": "Rows of abdominal slices, one column for the truth and one for each system, organs tinted in eight colours with a legend below; stars mark the given points."}} tags=["hide-input"]
if organs := shown_slices(belly, seed):
    figures["figure-3"] = lunch_figures.answer_grid(organs)
else:
    print(f"No record of Cheap Lunch with seed {seed} is here.")

# %% [markdown]
# In the row without a target the oracle's columns are empty because nobody pointed, not because a model
# knew. SAMed's column shows what a model says that has to know it itself. Confusions of organs, such as
# the left kidney in the colour of the right one, can only happen where no point says which organ is
# meant.
#
# ## What nobody pointing costs
#
# A classifier that has learned from image labels says whether there is a tumour, and the maximum of its
# {term}`activation map <class activation map>` is the point ([chapter 5](chapter-maps)). Then the whole
# is automatic. To be fair to SAMed, it is shown a second time with the same classifier: where that sees
# no tumour, SAMed's mask is thrown away too.

# %%
own, better = "Cheap Lunch, self-pointed", "Cheap Lunch, mirrored"
systems = [f"{own}-{most}", f"{better}-{most}"]
points = where_maps_point(brain.made, systems, brain.slices, "brats")
tables["points"] = points
rows = [f"{name}, seed {number}" for name, number in points.index]
styled(points.set_axis(rows), "Where the map points")

# %% [markdown]
# Read the rows of *self-pointed*. The AUC is of *whether*: take a slice with a tumour and one without, how
# often does the first have the higher probability? The classifiers know that, two of three very well. But
# of *where* they know little: hardly any point lies in the tumour. It lies aside, for all seeds down and to
# the right, for each by another way. The rows of *mirrored* show why. Their point is the mean of four, one
# for the image and one for each of its mirror images, turned back. A way aside that belongs to the tumours
# would be turned back with them and stay; here nearly all of it cancels, so it belongs to the filters.
# Training never corrects it, because the average over the image (Eq. 2) is the same wherever the evidence
# stands. The third seed shows the limit: its points have no common way left, and still lie far away, each
# in another place.
#
# Four questions need no label and no training. That their mean is a better point than one map's maximum, or
# than the maximum of the averaged map, was seen on training patients that were kept aside
# (`bench/mirrors.py`):
#
# ```{literalinclude} ../samnb/systems/mirrored.py
# :pyobject: MirrorPointed.points
# ```

# %% tags=["hide-input"]
alone = [brain.cases]
for count in (few, most):
    alone.append(
        with_silence(
            brain.made,
            f"SAMed_s-{count}",
            f"{own}-{count}",
            brain.slices,
            "brats",
        )
    )
together = lunch.asked(pd.concat(alone, ignore_index=True), "point")
counted = together["system"].str.extract(r"-(\d+)$")[0]
together = together[counted.isin([str(few), str(most)])]

# %%
shown = ["SAMed_s", "SAMed_s, with the same silence"]
tables["alone"] = lunch.system_table(
    together, ["Cheap Lunch", own, better, *shown]
)
styled(tables["alone"], "Brain tumour, fewest and most exemplars")

# %% [markdown]
# The oracle's row minus an automatic one is the price of the point: points beside the tumour, slices in
# which the classifier does not see it, and false alarms. The ± of the automatic rows is large because the
# third seed's classifier is so much poorer; so a mean that is higher by less than that can still be a tie.
# The classifier has seen an image label of every training slice, which are cheap but not nothing. For eight
# organs there is no such row: one map shows one target, so there the method stays what the paper says of
# it, no automatic one.
#
# ## Is lunch cheap for everybody?
#
# If images made of exemplars help, they should help any network. The Attention U-Net
# {cite}`oktay2018attention` of the paper's table 2 learns from all slices; here it also gets the exemplars
# that Cheap Lunch gets, and the images made of them. All its rows are stopped early, so only the difference
# between them says something.

# %%
tables["everybody"] = lunch.system_table(
    asked["synapse"],
    ["Attention U-Net", "Attention U-Net without synthesis", "SAMed_s"],
)
styled(tables["everybody"], "Eight organs, systems that work alone")

# %% [markdown]
# The systems of the first part of this book find one organ, the liver, in slices with liver and without.
# SAM-Mix and U-Net get the labelled slices of [chapter 10](chapter-results), or images made of them; all
# else is the same. Nobody prompts.

# %% tags=["hide-input"]
tables["everybody-liver"] = synthesis_gain(load_profile(PROFILE))
liver = tables["everybody-liver"]
better = liver["better"].replace(
    {FIRST: "with synthesis", SECOND: "without"}
)
liver.assign(better=better).round(3)

# %% [markdown]
# *Labelled* is the mean Dice over all test slices when the labelled slices themselves teach, *made* when
# images of them do, *spread* what two other seeds would change. The backgrounds ask for something more
# than masks: somebody has to have said which slices have no liver. SAM-Mix's classifier is given that
# anyway; U-Net is not, unless it learns from such images. So its gain, where there is one, is not of the
# pasting alone.

# %% [markdown]
# (lunch-longer)=
# ## Is SAMed only short of time?
#
# Cheap Lunch and SAMed learn for the same number of steps, which is small. What has to begin anew, such as
# the mask {term}`tokens <token>` of SAMed, may need more of them than what begins as SAM. So SAMed
# was once trained four times as long:

# %%
tables["longer"] = with_more_steps(cases)
styled(tables["longer"].reset_index("cohort"), "Most exemplars, one seed")

# %% [markdown]
# The difference is longer minus tables, with its interval over patients. Where it is above zero, the
# tables stop it early, and the distance between it and Cheap Lunch is partly a distance in time.
#
# ## How many images, and which transforms?
#
# One seed each, so only large differences mean something.

# %% tags=["hide-input"]
images = by_images(
    brain.cases, f"Cheap Lunch-{middle}", brain.profile.synthesis.images
)
title = f"{middle} exemplars of tumours, seed {seed}"

# %% mystnb={"figure": {"caption": "Dice on test scans against the number of synthetic images made of the same exemplars, one seed, the same number of steps. Bars: interval over patients.", "name": "fig-lunch-results-images"}, "image": {"alt": "Points with bars joined by a line: Dice for the exemplars themselves and for growing numbers of synthetic images made of them."}} tags=["hide-input"]
if len(images) > 1:
    figures["images"] = lunch_figures.images_curve(images, title)
else:
    print("The runs with other numbers of images have no records here.")

# %% [markdown]
# The bars overlap where patients differ more than numbers of images do; but all points are of the same
# patients, so the pairs are what counts. For transforms some training patients were kept aside, and
# nothing was looked at on the test patients. The shaded band is what two seeds of the same setting would
# differ by, on the test patients.

# %% tags=["hide-input"]
watched = [record for record in brain.made if record.facts["validation"]]
share = 1.0
if watched:
    changes = watched[0].facts["changes"]
    kept_aside = [each for each in changes if each.startswith("data.")]
    share = shown_share(
        apply_changes(brain.profile, tuple(kept_aside)), "brats"
    )
tables["transforms"] = without_transforms(watched, share)
same = asked["brats"]
same = same[same["system"] == f"Cheap Lunch-{middle}"]
of_seeds = same.groupby("seed")["dice"].mean()
spread = of_seeds.std(ddof=1) * 2**0.5
tables["transforms"].round(3)

# %% mystnb={"figure": {"caption": "Dice over validation slices with tumour when one transform is switched off, against all transforms; one seed. Band: the spread between two seeds.", "name": "fig-lunch-results-transforms"}, "image": {"alt": "Horizontal bars to the left or right of zero, one for each transform that was switched off, with a grey band around zero."}} tags=["hide-input"]
if len(tables["transforms"]) > 1:
    figures["transforms"] = lunch_figures.transform_chart(
        tables["transforms"], spread
    )
else:
    print("The runs with a transform switched off have no records here.")

# %% [markdown]
# A bar to the left is a transform that is missed. Bars inside the band are ties, and with one seed even
# those outside are hints.
#
# ## Sentence by sentence
#
# Each claim stands in a file, in our words, with a rule, as in [chapter 11](chapter-claims). One verdict is
# new, because here we have seeds and patients: *a tie*. The left column asks the paper's own numbers, the
# right one our runs.

# %%
claims.verdict_counts(audit)

# %% mystnb={"figure": {"caption": "Every claim, tested on the paper's own numbers (left) and on our runs (right).", "name": "fig-lunch-results-claims"}, "image": {"alt": "A list of claims with two signs each: a disc where the claim holds, a diamond where it holds in another reading, a square for a tie, a cross where it does not hold, a dash where it cannot be tested."}} tags=["hide-input"]
figures["claims"] = claims.claims_chart(audit)

# %% tags=["hide-output"]
claims.claims_page(audit)

# %% [markdown]
# Three things stand out of the paper's own numbers.
#
# **Parameters or megabytes?** The number that the paper gives as millions of trained parameters is
# the size of a file. The small SAMed with nine {term}`tokens <token>`, on which Cheap Lunch builds, trains this much:

# %%
size = checkpoint()
pd.Series(
    {
        "parameters, million": size["trained_millions"],
        "their bytes, MiB": size["trained_mebibytes"],
        "a file of them, MiB": size["file_mebibytes"],
        "parameters, % of ViT-B": size["trained_share"],
        "file, % of ViT-B's file": size["file_share"],
    }
).round(2)

# %% [markdown]
# The third and the last row are the paper's numbers, to the digit. That the file is of this network is
# our inference.
#
# **A table that does not add up.** In tables 2 and 4 the printed mean is the mean of the eight printed
# organs, in every row. In table 6 it is not, in half of the rows. We cannot tell whether the mean or an
# organ is wrong (or a digit of the copy that we read).
#
# **What a point explains.** That points matter more for organs is true of the numbers: the gap between
# Cheap Lunch and SAMed is wider there. But the two differ in more than a point (loss, learning rate,
# tokens, what is silent), so the gap is not the point's worth. [Chapter 13](chapter-points) measures a
# part of that directly.
#
# ## Which of the paper's orders hold here, and why not
#
# What can make an order differ, before one blames a method:
#
# | there | here | so one may expect |
# |---|---|---|
# | patients of many hospitals | phantoms of one generator | few exemplars say more of all others, so synthesis has less to add |
# | SAM has seen millions of photographs | the pocket SAM has seen shapes | the frozen SAM is far weaker here, above all on organs |
# | thousands of steps | a few hundred | what learns slowly, such as fresh tokens, is behind |
# | one training | several seeds | differences of the paper may be inside its own spread, which it does not print |
#
# (lunch-real)=
# ## And on real images?
#
# The same systems with the same settings learn from real images, of the sets of [chapter
# 12](chapter-reality): FLAIR slices of brain tumours of one institution, tested on other patients of it
# and on those of another one; and four organs of the belly in MR volumes, with four patients to test on.
# Of these pictures only numbers may be shown.

# %%
real = load_profile("real", "cheap-lunch-brain")
slices = real_slices(all_records(real), real)
for name in real.data.cohorts:
    tables[f"real-{name}"] = real_table(slices, name)
styled(tables["real-du"], "Real brains, other patients of the institution")

# %% [markdown]
# *Dice* is over the slices with tumour. *All slices* counts an empty answer to an empty slice as one, so
# whoever is silent gets much of it. Read the oracle's rows first: two slices that somebody has outlined, and
# a point in each slice with tumour, come close to all slices. Then the automatic ones. SAMed finds tumours
# in more than four of five slices that have none, until all slices teach it. A mask from the map's own point
# hardly ever touches a tumour (*missed*), one from the mirrored point seldom: on real brains this is no method
# yet. [Chapter 12](chapter-reality) says of its maps, too, how often they hit.

# %%
styled(tables["real-cs"], "Real brains, another institution")

# %% [markdown]
# Another institution costs nothing here: nearly every row is higher than above. Its tumours may be the easier
# ones; the numbers do not say that a change of scanner is harmless.

# %%
mr = read_study("real", "cheap-lunch-organs")
systems = [*families, "Attention U-Net"]
tables["real-mr"] = lunch.system_table(
    lunch.asked(mr.cases, "point"), systems
)
styled(tables["real-mr"], "Four real organs in MR volumes, four patients")

# %% [markdown]
# One exemplar, a single slice with all four organs, comes within a few hundredths of all slices, if the
# user points in every slice. What works alone needs all of them, and Attention U-Net was stopped long
# before it knew three of the organs.
#
# Now all pairs of *Is it luck?*, counted by question, on phantoms and on real images (of brains over the
# slices with tumour):

# %%
for name in real.data.cohorts:
    shown = slices["cohort"].eq(name) & slices["label"].eq(1)
    tables[f"real-{name}-tests"] = all_tests(
        slices[shown], real.data.labelled
    )
tables["real-mr-tests"] = all_tests(
    lunch.asked(mr.cases, "point"), mr.labelled
)
sets = {
    "brats": "phantom tumours",
    "synapse": "phantom organs",
    "real-du": "real brains, in-site",
    "real-cs": "real brains, cross-site",
    "real-mr": "real organs",
}
tables["orders"] = orders(
    {title: tables[f"{name}-tests"] for name, title in sets.items()}
)
tables["orders"]

# %%
pairs = pd.concat({
    title: tables[f"{name}-tests"].loc[["With synthesis or without?"]]
    for name, title in sets.items()
}).droplevel(1)  # fmt: skip
in_words(pairs)

# %% [markdown]
# Two orders do not hang on our phantoms: few exemplars with a point are far above the frozen SAM, and all
# slices are a little better still. The one that the paper is about does. On phantoms synthesis never wins;
# on real images it wins, or at least does not lose, where there are fewest exemplars (one slice of organs,
# two of a brain), and loses or ties where there are more. That is what one would hope of it: images made of
# few examples help while there are few. With four patients to test on, the organs alone could not say so.
#
# ## What the paper leaves open
#
# | the paper does not say | here |
# |---|---|
# | deviation over trainings | several seeds, shown |
# | whether HD95 is in voxels or mm, and its rule for empty masks | voxels as its code base; both rules shown |
# | how exemplars are drawn on brain tumours, and if once | once, at random, the same for all systems |
# | whether 36 exemplars are one, two or three per volume (its headings say all three) | two |
# | the size, steps and batch of training | in the profile |
# | how a hospital would get the point | a user who knows, and beside it a map |
#
# ## What we would do
#
# Choose by who will click. If a person will sit there anyway and correct masks, a SAM taught from a
# dozen slices is quick to have, and one click per organ is little; measure it with points beside the
# middle. If nobody will click, compare with systems that work alone, at the same labels, and look at
# missed targets before any mean. If a classifier's map has to point, ask it about the mirror images too.
# Make images of exemplars only after the plain exemplars with ordinary
# augmentation, on patients of your own that you kept aside. And label more slices before you tune
# anything: the curve above says what they give.
#
# ## Exercises
#
# Each solution below is a cell that runs; open it after you have tried.
#
# ### Exercise 1: percent or points
#
# The text says how much better DSC is with 18 exemplars than SAM's, in percent. Recompute it from table 2
# in both readings. Which one was printed?

# %% tags=["hide-cell"]
second = published_lunch(2).set_index(["system", "exemplars"])["dice"]
own, other = second["Cheap Lunch", "18"], second["SAM", ""]
# The printed number is the difference in points; in percent of SAM's it
# would be more.
{
    "points": f"{100 * (own - other):.2f}",
    "percent": f"{100 * (own / other - 1):.1f}",
}

# %% [markdown]
# ### Exercise 2: the perfect coward
#
# A system never answers. What are its mean Dice and HD95 by our rule, and by the public one? Start from
# the test scans of any system.

# %% tags=["hide-cell"]
# Two scans of one organ; the diagonal of an image stands for "missed
# altogether".
coward = pd.DataFrame(
    {
        "dice": [0.0, 0.0],
        "hd95_voxels": [180.0, 180.0],
        "truth_voxels": [900, 1200],
        "answer_voxels": [0, 0],
    }
)
# Dice is zero by both rules; the distance is the worst by ours, and by the
# public one the best.
pd.DataFrame(
    {
        "ours": coward[["dice", "hd95_voxels"]].mean(),
        "public": by_public_rule(coward)[["dice", "hd95_voxels"]].mean(),
    }
)

# %% [markdown]
# ### Exercise 3: the number that does not fit
#
# In table 6, one row prints the same value for two organs. Which value of the second organ would make the
# row's mean right?

# %% tags=["hide-cell"]
sixth = published_lunch(6)
names = sixth.attrs["organs"]
row = sixth[sixth["exemplars"] == "1"].iloc[0]
others = [name for name in names if name != "stomach"]
# Close to what table 2 has for this organ, so a slip of the pen is likely.
print(f"{100 * (len(names) * row['dice'] - row[others].sum()):.2f}")

# %% [markdown]
# ### Exercise 4: a fair pair
#
# Which two rows of table 1 can be compared without any reservation, and what do they say?

# %% tags=["hide-cell"]
# Rows of one track: Cheap Lunch with the most and with the fewest
# exemplars, say.
pair = [
    same
    for name in (most, few)
    if len(
        same := asked["brats"][
            asked["brats"]["system"] == f"Cheap Lunch-{name}"
        ]
    )
]
if len(pair) == 2:
    print(lunch_findings.in_numbers(compared(*pair)))

# %% [markdown]
# ## All of it as files

# %%
folder = "lunch-" + PROFILE
for name, table in tables.items():
    if len(table):
        write_table(table, name, results_root() / "tables" / folder)
write_table(
    audit.set_index("name"), "claims", results_root() / "tables" / folder
)
for name, figure in figures.items():
    write_figure(figure, name, results_root() / "figures" / folder)
print(f"{len(tables) + 1} tables, {len(figures)} figures")

# %% [markdown]
# ## Check yourself
#
# **1.** A prompted system has no false alarm in any slice without the organ. Is it more specific than one
# that works alone?
#
# ```{admonition} Answer
# :class: dropdown
# One cannot know. Nobody asked it there: the user has decided that the slice is empty, and the user
# knows the truth.
# ```
#
# **2.** With more exemplars a Dice falls a little, in one training each. What do you need before you say
# that more labels hurt?
#
# ```{admonition} Answer
# :class: dropdown
# Other seeds, and other draws of exemplars. One training of each can differ by chance alone, and a table
# without ± does not say by how much.
# ```
#
# **3.** Two papers report HD95 on the same {term}`cohort`. Name three things that must agree before you
# compare.
#
# ```{admonition} Answer
# :class: dropdown
# Whether it is measured by slice or by scan; in voxels or in millimetres, and on which grid; and what an
# empty mask counts.
# ```
#
# **4.** Why are more synthetic images of the same exemplars not the same as more exemplars?
#
# ```{admonition} Answer
# :class: dropdown
# They vary what the transforms vary: place, size, greys. A tumour of another shape, or a patient with
# another anatomy, is in none of them.
# ```

# %% [markdown]
# ## What you did
#
# You
#
# - **read** six tables in two tracks;
# - **saw** what a rule for empty masks does to a distance;
# - **tested** pairs on the same patients, and called ties by their name;
# - **checked** a paper by its own arithmetic.
#
# ## Further reading
#
# - The paper: [Feng, Zhu and Yu, Cheap lunch for medical image segmentation](https://doi.org/10.1007/978-3-031-76160-7_2).
# - Where the synthesis comes from: [En and Guo, Exemplar learning for medical image segmentation](https://doi.org/10.48550/arXiv.2204.01713).
# - The small SAM that it builds on: [Zhang and Liu, Customized segment anything model](https://doi.org/10.48550/arXiv.2304.13785).
# - Which metric for which question: [Maier-Hein and others, Metrics reloaded](https://doi.org/10.1038/s41592-023-02151-z), and [Reinke and others, what goes wrong with metrics](https://doi.org/10.1038/s41592-023-02150-0).
# - The interval we use: [Efron, Better bootstrap confidence intervals](https://doi.org/10.1080/01621459.1987.10478410).
#
# **Next:** [adapters](chapter-adapters), the third paper; or go back to [the reality check](chapter-reality)
# and ask which of these answers you would expect to survive real images.
