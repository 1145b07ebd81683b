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
# (chapter-results)=
# # Results
#
# All runs side by side: the tables and figures of the SAM-Mix paper {cite}`ward2025sammix`, made from
# our records. Nothing is trained here. Every number comes from a record, and a system without one is
# simply not in the table.
#
# The paper's numbers stand in columns of their own. They come from real CT and the real SAM; ours come
# from {term}`phantoms <phantom>` and the {term}`pocket SAM`. So compare orders, and differences
# between systems, but not levels.
#
# **Goals.** After this chapter you will be able to
#
# - **read** a table of results: what its deviation says, what its interval says, and what neither says;
# - **compare** systems over labels, cohorts and costs at once;
# - **test** a difference on the patients it was measured on, and say how many it takes;
# - **choose** pictures by a rule, so that they show what the numbers say;
# - **sort** failures by their cause.
#
# *You need:* [chapter 7](chapter-sammix). *Time:* forty minutes to read, a minute to run.

# %% tags=["parameters"]
PROFILE = "pocket"

# %%
import pandas as pd

from samnb.base.paths import results_root
from samnb.reports import boxes, curves, failures, gallery, grids, style
from samnb.reports.files import write_figure
from samnb.reports.paper import published, table_of
from samnb.reports.precision import by_system, equality, precision_pairs

# %%
from samnb.reports.printing import styled
from samnb.reports.significance import significance_map
from samnb.reports.systems import in_order, shown_name, with_variants
from samnb.reports.tables import (
    cost_table,
    difference_matrix,
    segmentation_table,
    significance_matrix,
    smallest_p,
    write_table,
)
from samnb.runs import records
from samnb.studies import cohorts as cohort
from samnb.studies import load_profile

# %%
style.use()
profile = load_profile(PROFILE)
cohorts = list(profile.data.splits)
middle = sorted(profile.data.labelled)[len(profile.data.labelled) // 2]
made = records.automatic_records(profile)
cases = with_variants(records.load_cases(profile))
scans = with_variants(records.load_cases(profile, "scans"))
tables, figures = {}, {}

# %% [markdown]
# ## What the numbers come from
#
# One row for each system: its records, and the code and machine that made them. More than one commit
# in a row means that runs were made at different times; a run whose code or data has changed in a
# way that matters is made anew by the pipeline.

# %% tags=["nbval-ignore-output"]
facts = pd.DataFrame(
    [
        {"System": name, **record.facts}
        for record in made
        if (name := shown_name(record.facts))
    ]
)
origin = facts.groupby("System")[["seed", "commit", "device"]].agg(
    lambda found: ", ".join(str(value) for value in sorted(set(found)))
)
origin.loc[in_order(origin.index)]

# %% [markdown]
# ## Table 1: in-domain
#
# Test patients of the cohort that trained the systems, every slice kept counts. The best of each column
# is bold, the second underlined. Behind the ± stands the deviation over seeds: how much the mean
# changes if one trains again. The interval is about patients: how much it would change with others. It
# is drawn by bootstrap over patients, and is the wider one nearly always. HD is measured in pixels of
# the model's grid.

# %% tags=["nbval-ignore-output"]
for name in cohorts:
    paper = published(table_of(name))
    tables[f"{name}-slices"] = segmentation_table(
        cases, name, paper, profile.seeds
    )
styled(tables[f"{cohorts[0]}-slices"], "Table 1, ours and the paper's")

# %% [markdown]
# ## Table 2: cross-domain
#
# The same systems, not trained again, on a cohort they have not seen: other scanner, other
# {term}`contrast phase`, other {term}`spacing`. That is {term}`cross-domain`.

# %% tags=["nbval-ignore-output"]
styled(tables[f"{cohorts[-1]}-slices"], "Table 2, ours and the paper's")

# %% [markdown]
# ## By scan, in millimetres
#
# The paper measures slice by slice. A clinic measures a liver. Below, the kept slices of a scan are one
# volume, and distances are in mm with the scan's spacing. Empty slices weigh nothing here, so a system
# that gains by silence loses its gain.

# %% tags=["nbval-ignore-output"]
for name in cohorts:
    tables[f"{name}-scans"] = segmentation_table(
        scans, name, seeds=profile.seeds
    )
styled(tables[f"{cohorts[0]}-scans"], "In-domain, by scan")

# %% tags=["nbval-ignore-output"]
styled(tables[f"{cohorts[-1]}-scans"], "Cross-domain, by scan")

# %% [markdown]
# ## Figure 2: how the cases are spread
#
# A mean hides who pays for it. Every point is a patient.

# %% mystnb={"figure": {"caption": "Dice by patient, in-domain and cross-domain, mean over seeds. Box: quartiles; line: median; diamond: mean; whiskers: one and a half box lengths; every point a patient.", "name": "fig-results-boxes"}, "image": {"alt": "Two panels of horizontal box plots of Dice, one row for each system, with one point for each test patient; in-domain on the left, cross-domain on the right."}} tags=["nbval-ignore-output"]
figures["figure-2"] = boxes.case_boxes(cases, cohorts)

# %% [markdown]
# ## Figures 3 and 4: the same slices, every system
#
# Records keep the answers to a few test slices, spread evenly through the test set and chosen before
# any system was trained. Of these three are shown: the one that the best system (by its mean Dice
# in-domain, with the first seed) segments best, the median, and the one it segments worst. Not by taste, and not against
# anyone: rows are chosen by the winner's own failures as well. One column for each family, trained
# on all masks or on the middle number of labelled slices.

# %%
seed = profile.seeds[0]
first = cases[cases["seed"] == seed]
best = failures.best_system(first, cohorts[0])
examined = failures.best_system(first, cohorts[0], prompted=True)
columns = gallery.one_of_each(first["system"].unique(), middle)
wanted = list(dict.fromkeys([*columns, best, examined]))
shown = {
    name: gallery.pictured(
        made, cohort.cohort_slices(profile, name), name, wanted, seed
    )
    for name in cohorts
}

# %%
rows, titles = {}, {}
for name, kept in shown.items():
    chosen = grids.chosen_rows(kept.truths, kept.masks[best])
    rows[name] = list(chosen.values())
    titles[name] = [
        f"{rule}: {kept.scans[row]}, slice {kept.numbers[row]}"
        for rule, row in chosen.items()
    ]

# %% mystnb={"figure": {"caption": "In-domain (the paper's Figure 3). Green: truth; red: the system's answer; Dice below each. Rows: best, median and worst slice of the best system.", "name": "fig-results-grid-in"}, "image": {"alt": "Three rows of abdominal slices, one column for each system, with the true liver outlined in green and the answer in red; the Dice of each is printed below it."}} tags=["nbval-ignore-output"]
kept, picked = shown[cohorts[0]], rows[cohorts[0]]
masks = {name: kept.masks[name][picked] for name in columns}
figures["figure-3"] = grids.qualitative_grid(
    kept.images[picked], kept.truths[picked], masks, titles[cohorts[0]]
)

# %% mystnb={"figure": {"caption": "Cross-domain (the paper's Figure 4), drawn by the same rule.", "name": "fig-results-grid-cross"}, "image": {"alt": "Three rows of abdominal slices of the second cohort, one column for each system, truth outlined in green, answer in red, Dice below."}} tags=["nbval-ignore-output"]
kept, picked = shown[cohorts[-1]], rows[cohorts[-1]]
masks = {name: kept.masks[name][picked] for name in columns}
figures["figure-4"] = grids.qualitative_grid(
    kept.images[picked], kept.truths[picked], masks, titles[cohorts[-1]]
)

# %% [markdown]
# ## What a label is worth
#
# The question behind the paper: how many slices must someone outline? The steeper a curve, the more the
# next mask is worth; where it is flat, more outlines buy nothing. Horizontal lines are systems that
# were given every mask.

# %% mystnb={"figure": {"caption": "Dice against the number of slices with masks. Line: mean over seeds; band: their deviation; points: the seeds; horizontal: systems trained on all masks.", "name": "fig-results-labels"}, "image": {"alt": "Two panels, in-domain and cross-domain, with a curve of Dice over the number of labelled slices for each family of systems and horizontal lines for those trained on all masks."}} tags=["nbval-ignore-output"]
figures["label-efficiency"] = curves.label_efficiency(cases, cohorts)

# %% [markdown]
# ## Is it luck?
#
# A Wilcoxon signed-rank test on pairs: the same patient, two systems. Holm's correction pays for every
# pair that is tested, so one system of each family is compared, chosen before looking. The next
# number is the smallest corrected p that so few patients and so many pairs can give at all. Above
# the level of one in twenty, an empty matrix would say nothing about the systems.

# %% tags=["nbval-ignore-output"]
patients = cases.groupby("cohort")["patient"].nunique()[cohorts]
least = {
    name: smallest_p(count, len(columns))
    for name, count in patients.items()
}
pd.DataFrame({"patients": patients, "smallest p": least})

# %% tags=["nbval-ignore-output"]
matrices = {
    name: (
        significance_matrix(cases, name, systems=columns),
        difference_matrix(cases, name, systems=columns),
    )
    for name in cohorts
    if len(columns) > 1  # else there is no pair
}
for name, (p_values, _) in matrices.items():
    tables[f"{name}-significance"] = p_values

# %% mystnb={"figure": {"caption": "In-domain: median difference in Dice over patients, row minus column. Filled where the corrected p is below one in twenty.", "name": "fig-results-significance-in"}, "image": {"alt": "A square of systems against systems with the median difference in Dice in each cell; blue where the row is better, brown where it is worse, unfilled where it may be luck."}} tags=["nbval-ignore-output"]
if matrices:
    figures["significance-in"] = significance_map(*matrices[cohorts[0]])

# %% mystnb={"figure": {"caption": "Cross-domain: the same.", "name": "fig-results-significance-cross"}, "image": {"alt": "The same square of systems against systems for the second cohort, with the median differences in Dice and fills where they are significant."}} tags=["nbval-ignore-output"]
if matrices:
    figures["significance-cross"] = significance_map(*matrices[cohorts[-1]])

# %% [markdown]
# (section-half)=
# ## Half the digits
#
# Where the processor is fast in it, the loop computes in bfloat16: eight bits say how large a
# number is, and only eight how exact. The tables above are of that. Is anything lost? Systems of every
# kind were trained once more in float32, with every seed. A pair is one system with one seed in both:

# %% tags=["nbval-ignore-output"]
pairs = precision_pairs(made, cohorts)
for name in cohorts:
    tables[f"{name}-precision"] = by_system(pairs, name)
styled(tables[f"{cohorts[0]}-precision"], "In-domain, Dice")

# %% tags=["nbval-ignore-output"]
styled(tables[f"{cohorts[-1]}-precision"], "Cross-domain, Dice")

# %% [markdown]
# No pair is equal: rounding alone sends a training down another path, as another seed does. The question
# is whether the precision moves the results *more* than a seed does, or always to the same side. So the
# rule was this, written when only the soft form had been run in both: take the mean difference over all
# pairs with its bootstrap interval (systems are drawn, each with its seeds); if the whole interval is
# narrower than the deviation between seeds, to either side, the two precisions are called equal.

# %% tags=["nbval-ignore-output"]
tables["precision"] = equality(pairs)
print(f"{len(pairs)} pairs in {len(cohorts)} cohorts")
styled(tables["precision"].drop(columns="pairs"))

# %% [markdown]
# The last column is the answer. Single systems may still lie a deviation apart or more: with three seeds
# and this many rows some must. Mind the signs too, since a drift of most rows to one side would be worth
# a second look. In-domain most are negative, by a hundredth or so: if the precisions differ at all, then
# float32 is not the better one, and the choice of a seed decides more.
#
# ## What it costs
#
# Parameters and multiply-adds are the same on every machine. Seconds and memory are not: compare them
# only within this table, and only if its rows name the same device. The seconds of SAM-PP do not
# include those of its classifier, which is trained once for all its numbers of labels.

# %% tags=["nbval-ignore-output"]
tables["costs"] = cost_table([record.facts for record in made])
styled(tables["costs"])

# %% [markdown]
# ## Where it goes wrong
#
# A failure is a slice whose Dice is below one half. Its reason is computed, in this order: a mask where
# no liver is (*false alarm*); the classifier took the slice for free of liver and nothing was drawn
# (*called free*); the box has little in common with the tight box of the truth (*box*); otherwise
# the drawing itself (*mask*). A system without boxes is never blamed for one.
#
# ```{literalinclude} ../samnb/reports/failures.py
# :pyobject: reasons
# ```

# %% tags=["nbval-ignore-output"]
for name in cohorts:
    tables[f"{name}-failures"] = failures.failure_table(cases, name)
(100 * tables[f"{cohorts[0]}-failures"]).round(1)

# %% tags=["nbval-ignore-output"]
(100 * tables[f"{cohorts[-1]}-failures"]).round(1)

# %% [markdown]
# Those were percentages of all slices of a cohort, first in-domain, then cross-domain. And here are
# faces to them: the worst of the kept slices, of both cohorts, as the best of the systems answered
# them that put SAM into a box. A slice above the line of failure is called fine, and shown if there
# are not enough worse ones.

# %% tags=["nbval-ignore-output"]
worst = failures.pictured_cases(shown, cases, examined, seed)
print(examined)
worst[["cohort", "scan", "slice", "dice", "reason"]].head(6).round(2)

# %% mystnb={"figure": {"caption": "The worst kept slices of the best system with boxes, with the reason and the numbers it rests on: Dice, the classifier's probability p that there is liver, IoU of the box. Green: truth; red: answer; yellow: box.", "name": "fig-results-failures"}, "image": {"alt": "Six abdominal slices with the true liver in green, the answer tinted red and the box in yellow; above each the reason of the failure, its Dice, the probability and the overlap of the box."}} tags=["nbval-ignore-output"]
figures["failures"] = failures.failure_gallery(shown, worst, examined)

# %% [markdown]
# ## All of it as files
#
# Tables with every digit as CSV and as printed in LaTeX, figures as SVG and PNG. They lie beside the
# records.

# %% tags=["nbval-ignore-output"]
for name, table in tables.items():
    write_table(table, name, results_root() / "tables" / profile.name)
for name, figure in figures.items():
    write_figure(figure, name, results_root() / "figures" / profile.name)
print(f"{len(tables)} tables: {', '.join(tables)}")
print(f"{len(figures)} figures: {', '.join(figures)}")

# %% [markdown]
# ## Exercises
#
# ### Exercise 1: which ±
#
# A paper prints a mean with a small ± from five trainings, on a test set of twenty patients. A reader
# takes it for the range in which the mean would lie with other patients. What in Table 1 shows the
# mistake?
#
# ```{admonition} Solution
# :class: dropdown
# Compare the deviation with half of the interval beside it. Training again on the same data and testing
# on the same patients changes little. Other patients change much.
# ```
#
# ### Exercise 2: another rule
#
# Choose the rows of Figure 3 by another system, say the one you trust least. Do the systems look as far
# apart as before?
#
# ```{admonition} Solution
# :class: dropdown
# `grids.chosen_rows(kept.truths, kept.masks["U-Net"])`. Whoever is the reference gets a row in which it
# is at its best, and one in which it is at its worst. A rule cannot be neutral, but it can be stated.
# ```
#
# ### Exercise 3: only slices with liver
#
# Make Table 1 again from slices with liver only. Which systems move up?
#
# ```{admonition} Solution
# :class: dropdown
# `segmentation_table(cases[cases["label"] == 1], cohorts[0], seeds=profile.seeds)`. Those that lose least
# are the ones that did not live on empty slices. [Chapter 6](chapter-sampp) says what silence earns.
# ```

# %% [markdown]
# ## Check yourself
#
# Answer in a sentence or two, best aloud or on paper, before you open the answer.
#
# **1.** A row has a small ± and a wide interval. What would make the first smaller, and what the
# second?
#
# ```{admonition} Answer
# :class: dropdown
# The ± falls with trainings that are more alike: longer runs, averaged weights, a steadier recipe.
# The interval falls with more test patients of the {term}`cohort`. No number of seeds narrows it.
# ```
#
# **2.** The smallest p that a table can give lies above one in twenty, and nothing in the matrix is
# filled. May one write "no significant difference"?
#
# ```{admonition} Answer
# :class: dropdown
# It would be true and misleading: the test could not have found one. Better to give the difference
# with its interval, and to say how many patients it would take.
# ```
#
# **3.** Two systems tie by {term}`slice`, and by scan one of them is clearly ahead. What may lie
# behind it?
#
# ```{admonition} Answer
# :class: dropdown
# Slices without liver. By slice an empty mask earns full marks on each of them; by scan they count
# only where something was drawn. Or thin ends of the liver: many poor slices, but few voxels.
# ```
#
# **4.** Why are the rows of Figure 3 chosen by the winner's failures as well, and not only where it
# wins?
#
# ```{admonition} Answer
# :class: dropdown
# Pictures convince more than any {term}`Dice`. A rule that shows its best, its middle and its worst
# slice shows what it can do, what to expect, and what can go wrong. A choice by taste shows the
# taste.
# ```

# %% [markdown]
# ## What you did
#
# You
#
# - **read** tables with two kinds of spread, and know which one a claim needs;
# - **compared** systems by labels, cohort, scan and cost;
# - **tested** differences on pairs of patients, after asking what the test could show at all;
# - **chose** pictures by a stated rule;
# - **sorted** failures into silence, box and mask.
#
# **Next:** what the paper says of its results, sentence by sentence.
