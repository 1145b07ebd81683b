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
# (chapter-med-sa-results)=
# # Results and claims of Med-SA
#
# A hospital has a large model that knows photographs, and a hundred outlined scans. Should it train all of
# the model, or a few percent of it that are put in beside? And what does it have to tell the model later,
# when a doctor sits in front of it: a click, three clicks, a box? Here are the tables of Med-SA
# {cite}`wu2023medsa` beside ours, and its sentences one by one.

# %% tags=["parameters"]
PROFILE = "pocket"

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import Markdown

from samnb.base.paths import results_root
from samnb.reports import (
    claims,
    med_sa,
    med_sa_ablation,
    med_sa_figures,
    med_sa_findings,
    style,
)
from samnb.reports.claim_rules_med_sa import least_iou
from samnb.reports.claims_med_sa import audit_med_sa, impossible_rows
from samnb.reports.files import write_figure
from samnb.reports.lunch_tests import in_words, orders

# %% tags=["hide-input"]
from samnb.reports.med_sa_parameters import parameter_table
from samnb.reports.med_sa_study import (
    read_studies,
    shown_answers,
    study_cases,
)
from samnb.reports.med_sa_tests import (
    ablation_tests,
    questions,
    task_tests,
)
from samnb.reports.paper_med_sa import note, published_task
from samnb.reports.printing import styled
from samnb.reports.tables import write_table

# %% tags=["hide-input"]
style.use()
studies = read_studies(
    PROFILE,
    ["med-sa-btcv", "med-sa-refuge", "med-sa-brats",
     "med-sa-thyroid", "med-sa-isic"],
)  # fmt: skip
cases = study_cases(studies)
audit = audit_med_sa(cases)
seeds = next(iter(studies.values())).profile.seeds
found = [name for name, study in studies.items() if len(study.cases)]
tables, figures = {}, {}

# %% [markdown]
# **What we found**, on {term}`phantoms <phantom>` with the {term}`pocket SAM`. Every number of SAM, MedSAM
# and Med-SA is of an {term}`oracle prompt`: somebody who knows the truth has clicked, or drawn the box.
# Differences are in {term}`Dice`, the first minus the second; one that other patients or other seeds could
# turn round is called a tie.

# %% tags=["hide-input"]
said = med_sa_findings.findings(cases, audit)
said += med_sa_findings.missing_records(studies, found, PROFILE)
Markdown("\n".join(f"- {sentence}" for sentence in said))

# %% mystnb={"figure": {"caption": "Dice of every task, over test patients. Filled: told one random point of the truth in each picture or slice; hollow: the best of those that nobody told anything. Bars: interval over patients.", "name": "fig-med-sa-results-levels"}, "image": {"alt": "One row for each task, with a marker and a horizontal bar for SAM, MedSAM and Med-SA, and a hollow one with the name of the best system that works alone; Dice from zero to one."}} tags=["hide-input"]
figures["levels"] = med_sa_figures.levels_chart(cases)

# %% [markdown]
# Compare the two right markers that are filled: that is the paper's question, adapters against all of the
# model. The way from the left marker to them is what training on the task is worth. Where the hollow
# marker lies beside them, or to the right, nobody would have had to click.
#
# **Goals.** After this chapter you will be able to
#
# - **compare** training a part of a model with training all of it;
# - **say** which prompt a trained model needs, and whether that is the same for all;
# - **read** an ablation, and what one seed leaves open;
# - **find** numbers in a table that no set of images can have.
#
# *You need:* [chapters 17](chapter-adapters) to [19](chapter-hyper). *Time:* three quarters of an hour to read,
# five minutes to run.
#
# ## How we measure
#
# One training of a system serves all four users: a random point of the target, three of them, a box whose
# overlap ({term}`IoU`) with the tight one is a half, and one of three quarters. A *box* here is one that is
# wrong by exactly so much, in a random direction. In volumes the user prompts every {term}`slice` that shows
# the target. The paper does not say how it does; a user in a hospital would not have the time.
# What Dice, distance and the ± mean is as in [chapter 16](chapter-lunch-results): a patient's mean
# first, the ± over seeds, the interval over patients.
#
# Five tasks, each a {term}`cohort` of phantoms in the layout of the real one: organs of the belly and brain
# tumours as volumes; the optic disc and cup, thyroid nodules and skin lesions as pictures. Ours and the
# paper's numbers stand in one row, but they are of two worlds. Compare orders, not levels.
#
# ## Table 2: all tasks

# %%
tables["all-tasks"] = med_sa.all_tasks(cases)
caption = "bold, underlined: best and second of a track"
shown = med_sa.tasks_overview(tables["all-tasks"])
shown = shown.rename({"3D U-Net, nnU-Net's layout": "3D U-Net"})
styled(shown, f"Dice by task ({caption})")

# %% [markdown]
# What a row was told stands in its name, and marks are given among rows that were told the same: who was told
# something is never ranked with who was not, nor one who got a box with one who got a point. A dash is a run
# without record. Now with the paper's numbers, a row of the paper below each of ours. A dash there is its own:
# SAM failed in more than seven of ten images, and no number is printed.

# %% tags=["hide-output"]
styled(tables["all-tasks"], f"Dice by task, and the paper's ({caption})")

# %% [markdown]
# Task by task, with IoU, distances, seeds and the interval:

# %% tags=["hide-input"]
for task in med_sa.TASKS:
    name = task.replace(" ", "-")
    tables[name] = med_sa.task_table(cases, task, seeds)

# %% tags=["hide-output"]
styled(tables["melanoma"], "Melanoma")

# %% tags=["hide-output"]
styled(tables["thyroid-nodule"], "Thyroid nodule")

# %% tags=["hide-output"]
styled(tables["optic-disc"], "Optic disc")

# %% tags=["hide-output"]
styled(tables["optic-cup"], "Optic cup")

# %% tags=["hide-output"]
styled(tables["brain-tumour"], "Brain tumour, volumes")

# %% [markdown]
# SegDiff and EnsemDiff learned for a few hundred steps at a small side, and their answers are still little
# better than noise: no measure of what they can do, so that only a row of the table is not missing. All systems
# that work alone had the same labels as Med-SA, and a budget that was not chosen for them: it is the study's.
# For slices of organs and of tumours it is larger than Med-SA's, and was raised once, after first runs had
# failed; [chapter 21](chapter-where) tells that story. Even so nnU-Net has not found the thinnest organs, as the
# table by organ shows: there, too, its mean says more of the budget than of nnU-Net.
#
# ## Table 1: organs

# %%
organs = tables["organs"]
shown = med_sa.overview(organs).dropna(subset="dice")
shown = shown[["dice", "dice_deviation", "dice_place", "iou", "paper_dsc"]]
styled(shown, f"Organs, mean over all ({caption})")

# %%
Markdown(f"*{organs.attrs['note']}*")

# %% tags=["hide-output"]
tables["by-organ"] = med_sa.organ_table(cases)
styled(tables["by-organ"], "Dice by organ")

# %% [markdown]
# In the folded table look at the small organs. Told a point, the frozen SAM finds next to nothing of the
# oesophagus, the aorta and the adrenal glands; told a box, which says how large they are, it finds a good part
# of most. The portal and splenic vein, which branches, nobody gets.
#
# ## Table 3: what depth and prompt are worth

# %%
tables["ablation"] = med_sa_ablation.ablation_table(cases)
shown = tables["ablation"].filter(regex="^(organs|brain)")
styled(shown, "Dice in volumes, told one random point")

# %%
Markdown(f"*{note('ablation')}*")

# %% mystnb={"figure": {"caption": "Table 3 as a chart. Bars: interval over patients; small points: seeds; the vertical line: the whole Med-SA.", "name": "fig-med-sa-results-ablation"}, "image": {"alt": "A panel for each task; in each, one row per variant with a dot, a horizontal bar and small points for seeds, and a vertical line at the mean of the whole Med-SA."}} tags=["hide-input"]
figures["ablation"] = med_sa_figures.ablation_chart(cases)

# %%
tables["ablation-tests"] = ablation_tests(cases)
in_words(tables["ablation-tests"])

# %% [markdown]
# The whole Med-SA against each variant, on the same patients. Read the column *seeds* beside the
# difference: two trainings of one variant differ by so much. {term}`SD-Trans` cannot show here all that it may
# be worth: the {term}`pocket SAM` has no relative positions, so its attention over depth takes the slices as a
# set, without their order ([chapter 18](chapter-depth)).
#
# ## Is it luck?
#
# Pairs that were named before any run, on the same patients. *p* is of a Wilcoxon signed-rank test,
# corrected by Holm's rule for all pairs of the task.

# %%
for task in med_sa.TASKS:
    name = task.replace(" ", "-") + "-tests"
    tables[name] = task_tests(cases, task)
question = med_sa_findings.AGAINST_MEDSAM
adapters = pd.concat(
    {
        task: tables[task.replace(" ", "-") + "-tests"]
        for task in med_sa.TASKS
    },
    names=["task"],
)
own = adapters[adapters.index.get_level_values("question") == question]
in_words(own.droplevel("question"))

# %% [markdown]
# Each row is Med-SA and MedSAM, told the same, after the same number of steps. Each has a rate of its own,
# chosen on validation patients of the skin. Who leads, counted
# over all pairs of a question; the pairs themselves are in the files that this page writes:

# %%
tests = {
    task.capitalize(): tables[task.replace(" ", "-") + "-tests"]
    for task in med_sa.TASKS
}
tables["orders"] = orders(tests, questions([]))
tables["orders"]

# %% [markdown]
# In the rows *How should ... be asked?* the first of a pair is the prompt that comes later in the paper's
# order: *the first* says that more points, a box, or a tighter box is better.
#
# ## How should one ask?

# %% mystnb={"figure": {"caption": "Dice against the overlap of the box with the tight one. Thin level lines: the same system told one random point. All are oracles. Bars: interval over patients.", "name": "fig-med-sa-results-overlap"}, "image": {"alt": "A panel for each task with three rising lines, for SAM, MedSAM and Med-SA, between boxes of overlap one half and three quarters, and a thin level line of the same colour for a random point."}} tags=["hide-input"]
figures["overlap"] = med_sa_figures.overlap_chart(cases)

# %% [markdown]
# The paper says that a box of overlap one half is worse than a single click, in all three systems. Where a line
# begins above its level line, that is not so here. What a box tells besides the place is the size, and it
# tells most to who knows least: the frozen SAM.
#
# ## Figures 3 and 4: the same cases, every system
#
# Of all test cases you see the best, the median and the worst of Med-SA, told a box of overlap three quarters;
# of a volume the slice with most organs.

# %% mystnb={"figure": {"caption": "Organs (the paper's Figure 3). Each colour an organ; boxes: what the user drew.", "name": "fig-med-sa-results-organs"}, "image": {"alt": "Three rows of abdominal slices, a column for the truth and one for each system, organs tinted in colours with a legend below."}} tags=["hide-input"]
systems = ["SAM", "MedSAM", "Med-SA"]
if shown := shown_answers(studies, "organs", systems, seeds[0], "box 0.75"):
    figures["organs"] = med_sa_figures.answer_grid(shown)
else:
    print("No record of Med-SA on organs is here.")

# %% mystnb={"figure": {"caption": "Melanoma (of the paper's Figure 4). Green: truth; red: answer.", "name": "fig-med-sa-results-skin"}, "image": {"alt": "Three rows of dermoscopic phantoms in colour, a column for the truth and one for each system, outlines in green and red, Dice below."}} tags=["hide-input"]
alone = ["TransUNet", *systems]
if shown := shown_answers(studies, "melanoma", alone, seeds[0], "box 0.75"):
    figures["melanoma"] = med_sa_figures.answer_grid(shown)
else:
    print("No record of Med-SA on skin is here.")

# %% mystnb={"figure": {"caption": "Optic cup (of the paper's Figure 4).", "name": "fig-med-sa-results-cup"}, "image": {"alt": "Three rows of fundus phantoms in colour, cut to the disc, a column for the truth and one for each system, outlines in green and red, Dice below."}} tags=["hide-input"]
if shown := shown_answers(
    studies, "optic cup", systems, seeds[0], "box 0.75"
):
    figures["cup"] = med_sa_figures.answer_grid(shown)
else:
    print("No record of Med-SA on the optic cup is here.")

# %% tags=["hide-input"]
if shown := shown_answers(
    studies, "thyroid nodule", alone, seeds[0], "box 0.75"
):
    figures["nodule"] = med_sa_figures.answer_grid(shown)
    plt.close(figures["nodule"])  # speckle makes a large picture

# %% mystnb={"figure": {"caption": "Brain tumour (of the paper's Figure 4), the slice with the largest area.", "name": "fig-med-sa-results-tumour"}, "image": {"alt": "Three rows of brain slices, a column for the truth and one for each system, outlines in green and red, Dice below."}} tags=["hide-input"]
if shown := shown_answers(
    studies, "brain tumour", systems, seeds[0], "box 0.75"
):
    figures["tumour"] = med_sa_figures.answer_grid(shown)
else:
    print("No record of Med-SA on brain tumours is here.")

# %% [markdown]
# The same of thyroid nodules is among the files that this page writes. The worst case of each shows what a mean hides: look whether the answer spills over an edge, or
# fills the box that it was given.
#
# ## What is trained, and what it costs

# %%
records = [record for study in studies.values() for record in study.made]
tables["parameters"] = parameter_table(records)
numbers = tables["parameters"].drop(columns="network")
numbers.dropna(thresh=3).round(2)

# %% [markdown]
# Millions of parameters: as the paper prints them, as we count them in the network of the paper's size, and
# of the small networks of this page. The adapters of the image encoder alone, at a reduction of a
# sixteenth, have the paper's number; the released code reduces to a quarter, which makes four times as many.
#
# ## Sentence by sentence
#
# Each claim stands in a file, in our words, with a rule, as in [chapter 11](chapter-claims).

# %%
claims.verdict_counts(audit)

# %% mystnb={"figure": {"caption": "Every claim, tested on the paper's own numbers (left) and on our runs (right).", "name": "fig-med-sa-results-claims"}, "image": {"alt": "A list of claims with two signs each: a disc where the claim holds, a diamond where it holds in another reading, a square for a tie, a cross where it does not hold, a dash where it cannot be tested."}} tags=["hide-input"]
figures["claims"] = claims.claims_chart(audit)

# %% tags=["hide-output"]
claims.claims_page(audit)

# %% [markdown]
# ### Two means that no set of images has
#
# Of one image, IoU follows from Dice: with Dice $d$ it is $d / (2 - d)$. This curve is convex, so the mean
# of IoU over images is at least what the curve says of the mean Dice, whatever the images are. In some rows
# of table 2 it is smaller:

# %%
tables["impossible"] = impossible_rows()
counts = tables["impossible"].groupby("task", sort=False).size()
rows = pd.Series(
    {
        task: published_task(task)["iou"].notna().sum()
        for task in counts.index
    }
)
pd.DataFrame({"impossible rows": counts, "rows": rows})

# %% tags=["hide-output"]
tables["impossible"].round(3)

# %% [markdown]
# For the disc and the melanoma Dice and IoU were not measured on the same answers, or one column is a slip.
# The paper does not say which. So compare systems there by one of the columns, and say by which.
#
# ## Which of the paper's orders hold here, and why not
#
# - **Adapters as good as the whole SAM, or better**: holds in nearly every pair, told the same. The largest
#   leads are on small targets told by points. How much of it is time we cannot say: both learned for the same
#   small number of steps, and MedSAM has forty times as many numbers to move.
# - **Ahead of all that work alone**: does not hold. On the organs, the disc, the cup and the skin a network that
#   nobody told anything is better than Med-SA told a point; on the organs TransUNet is better than Med-SA told
#   the better box, too. It had the same masks there, but twelve times as many steps, with twice as many slices in
#   each: this says what time and masks can do, and not where adapters end. And phantoms are easier to know than
#   patients: a lesion of ours is always one of a kind that was seen in training.
# - **Attention over depth helps**: not here, neither for organs nor for tumours. The {term}`pocket SAM` cannot
#   tell the order of slices, and eight of them are all that see one another.
# - **{term}`HyP-Adpt` above adding or joining the prompt**: a tie. That the adapters know of the prompt at all is
#   worth a little on organs, in whichever of the three ways.
# - **A box of overlap one half is worse than a click**: only on skin. On small targets even a wrong box says how
#   large they are.
#
# ## What the paper leaves open
#
# | the paper does not say | here |
# |---|---|
# | deviation over trainings | several seeds, shown |
# | which of its decoder's weights are trained | nothing but adapters |
# | the loss | Dice and cross-entropy, as the released code for volumes |
# | how the box was made wrong | overlap exact, direction random |
# | whether the user of a volume prompts every slice | yes |
# | how its baselines were trained | same labels, steps of the profile |
# | the prompt of table 3 | one random point |
# | points or percent, where it says how much better | both read; see the claims |
#
# ## What we would do
#
# Start with adapters if memory or the file to keep is what binds: many tasks can share one frozen model.
# Here they were as exact as training all of it, and often more so; a longer training may turn that, so measure
# both, with the rate of each chosen on your own validation patients. Ask users what they like to draw before you choose a model by a
# prompt they will not give. And train a plain network that works alone on the same labels, always: if it
# comes near, the click buys you a check by a person, not a better mask.
#
# ## Exercises
#
# Each solution below is a cell that runs; open it after you have tried.
#
# ### Exercise 1: which margin is printed?
#
# The text says that Med-SA is ahead of Swin UNETR on brain tumours by so many percent. Recompute it from
# table 2, as a difference in points and in percent of the other's Dice. Which one is printed?

# %% tags=["hide-cell"]
tumour = published_task("brain tumour")["dice"]
own, other = tumour["Med-SA, box 0.75"], tumour["Swin UNETR"]
# Points are printed; in percent it would be a little more.
{
    "points": f"{100 * (own - other):.2f}",
    "percent": f"{100 * (own / other - 1):.2f}",
}

# %% [markdown]
# ### Exercise 2: two images
#
# Make two images whose mean Dice is that of the paper's best row for the disc. What is the smallest and the
# largest mean IoU you can reach? Is the printed one between them?

# %% tags=["hide-cell"]
row = published_task("optic disc").loc["Med-SA, box 0.75"]
# Alike images give the smallest; perfect ones and a few that are missed
# altogether the largest, because there Dice and IoU are the same.
alike, unlike = least_iou(row["dice"]), row["dice"]
# The printed one lies below both, so it is not of the same answers.
print(f"{alike:.3f} {unlike:.3f}, printed {row['iou']:.3f}")

# %% [markdown]
# ### Exercise 3: behind a dash
#
# The paper prints no number of a system that fails in more than seven of ten images. If a failure has a Dice
# of zero, what is the largest mean that can stand behind such a dash? Is our frozen SAM below it?

# %% tags=["hide-cell"]
largest = 1 - 0.7
frozen = tables["all-tasks"].filter(like="SAM, ", axis=0)
# What is not above the largest could be a dash.
print(f"{largest:.1f}")
frozen.loc[frozen.index.str.startswith("SAM, "), list(med_sa.TASKS)]

# %% [markdown]
# ### Exercise 4: one seed
#
# In *Is it luck?* some pairs are not decided because one of them has a single seed. How large would a
# difference have to be, before you believe it without a second one? Take the spread of the other rows.

# %% tags=["hide-cell"]
spread = adapters["spread"].astype(float).dropna()
# Larger than what two trainings usually differ by, at the least.
spread.describe()[["50%", "max"]].round(3) if len(spread) else "no seeds"

# %% [markdown]
# ## All of it as files

# %%
folder = "adapters-" + PROFILE
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
# **1.** Med-SA and MedSAM tie. Which one would you take?
#
# ```{admonition} Answer
# :class: dropdown
# The one whose costs fit: adapters are a small file for each task and need less of the optimiser's memory;
# a whole SAM needs no changed network where it is used.
# ```
#
# **2.** A prompted system beats one that works alone by five points. Is it the better network?
#
# ```{admonition} Answer
# :class: dropdown
# One cannot know: it was told where the target is. Ask the other to use the same hint, or the first to work
# alone.
# ```
#
# **3.** Mean Dice is ninety percent. What is the smallest mean IoU?
#
# ```{admonition} Answer
# :class: dropdown
# The curve's value there, nine elevenths: all images alike. Any spread among them makes it larger.
# ```

# %% [markdown]
# ## What you did
#
# You
#
# - **read** tables in five tracks, and did not rank across them;
# - **compared** adapters with the whole model on the same patients;
# - **asked** the same model in four ways;
# - **found** pairs of means that cannot be.
#
# ## Further reading
#
# - The paper: [Wu and others, Medical SAM adapter](https://doi.org/10.48550/arXiv.2304.12620), and [its later form](https://doi.org/10.1016/j.media.2025.103547).
# - A box for everything: [Ma and others, Segment anything in medical images](https://doi.org/10.1038/s41467-024-44824-z).
# - How far SAM gets without training: [Mazurowski and others, an experimental study](https://doi.org/10.1016/j.media.2023.102918).
# - Baselines and their budgets: [Isensee and others, nnU-Net revisited](https://doi.org/10.1007/978-3-031-72114-4_47).
#
# **Next:** [where adapters help](chapter-where).
