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
# (chapter-where)=
# # Where adapters help
#
# A clinic has five outlined pictures, not a hundred. Its doctors draw boxes in a hurry. Its
# {term}`slices <slice>` lie far apart, and at night nobody is there who could click. Are adapters still the
# part of SAM that one should train? The tables of Med-SA {cite}`wu2023medsa` do not ask this. Here the same
# systems are asked, on the same phantoms, and at the end on real images.

# %% tags=["parameters"]
PROFILE = "pocket"

# %% tags=["hide-input"]
import pandas as pd
from IPython.display import Markdown, display

from samnb.base.paths import results_root
from samnb.reports import (
    med_sa,
    med_sa_figures,
    med_sa_real,
    style,
)
from samnb.reports import med_sa_automatic as automatic
from samnb.reports import med_sa_beyond as beyond
from samnb.reports import med_sa_boxes as boxes
from samnb.reports import med_sa_few as few
from samnb.reports import med_sa_thickness as thickness
from samnb.reports.files import write_figure
from samnb.reports.lunch_tests import FIRST, SECOND, in_words

# %% tags=["hide-input"]
from samnb.reports.med_sa_study import (
    read_if_there,
    read_studies,
    study_cases,
)
from samnb.reports.med_sa_tests import task_tests
from samnb.reports.printing import styled
from samnb.reports.tables import write_table
from samnb.studies import load_profile

# %% tags=["hide-input"]
style.use()
studies = read_studies(
    PROFILE,
    ["med-sa-btcv", "med-sa-refuge", "med-sa-brats", "med-sa-thyroid"],
)
cases = study_cases(studies)
skin = read_if_there(PROFILE, "med-sa-few")
boxed = read_if_there(PROFILE, "med-sa-boxes")
thick = read_if_there(PROFILE, "med-sa-thickness")
alone = read_if_there(PROFILE, "med-sa-brats-slices")
real = med_sa_real.read_real_cases("real")
POINT, BOX = "random point", "box 0.75"
tables, figures = {}, {}

# %% tags=["hide-input"]
few_cases, box_cases = few.cases_of(skin), few.cases_of(boxed)
labelled = skin.labelled if skin else [5]
users = [str(user) for user in skin.profile.users] if skin else [POINT]
few_tests = {
    user: few.label_tests(few_cases, labelled, user) for user in users
}
box_tests = boxes.box_tests(box_cases)
limits = boxes.tolerance_table(box_cases)
thick_cases = thickness.thickness_cases(thick)

# %% tags=["hide-input"]
scans = automatic.whole_scans(alone)
slices = automatic.slice_cases(alone)
tested = automatic.tested_slices(alone)
tables["automatic"] = automatic.automatic_table(scans, slices, tested)
alone_tests = automatic.automatic_tests(scans)
sets = [name for name in med_sa_real.SETS if real["task"].eq(name).any()]
real_tests = {name: med_sa_real.set_tests(real, name) for name in sets}

# %% tags=["hide-input"]
phantoms = {
    task: task_tests(cases, task)
    for task in med_sa.TASKS
    if len(med_sa.of_task(cases, task))
}
leads = {}
for user in (POINT, BOX):
    labels = beyond.leads_of_labels(few_tests.get(user, box_tests[:0]))
    parts = {
        "phantom skin, ": labels,
        "phantom ": beyond.leads(phantoms, user),
        "real ": beyond.leads(real_tests, user),
    }
    leads[user] = pd.concat(
        [part.rename(begin.__add__) for begin, part in parts.items()]
    )

# %% [markdown]
# **What we found**, with the {term}`pocket SAM`, on {term}`phantoms <phantom>` unless *real* is said. Every
# number of SAM, MedSAM, Med-LoRA and Med-SA is of an {term}`oracle prompt`: somebody who knows the truth has
# clicked, or drawn the box. Differences are in {term}`Dice`, the first minus the second; one that other
# patients or other seeds could turn round is called a tie. In brackets stands the interval over patients.

# %% tags=["hide-input"]
told = {f"told {user}": table for user, table in leads.items()}
said = [
    beyond.counted(told, None, "Adapters against all of SAM, everywhere"),
    beyond.counted(
        beyond.by_labels(few_tests),
        few.WHICH,
        "Adapters against LoRA of as many parameters, on skin",
    ),
    " ".join(boxes.said_of(limits)),
    *beyond.thickness_said(thick_cases)[:1],
    beyond.price_said(alone_tests),
]

# %% tags=["hide-input"]
found = {
    "med-sa-few": len(few_cases),
    "med-sa-boxes": len(box_cases),
    "med-sa-thickness": len(thick_cases),
    "med-sa-brats-slices": len(scans),
}
said += beyond.without_records(found, PROFILE)
found = {
    place.study: real["task"].eq(name).any()
    for name, place in med_sa_real.SETS.items()
}
said += beyond.without_records(found, "real")
Markdown(beyond.in_lines(said))

# %% mystnb={"figure": {"caption": "Dice of adapters (Med-SA) minus Dice of all of SAM trained (MedSAM), told the same, on the same patients. Right of the line adapters are better. Hollow: a tie. Bars: interval over patients.", "name": "fig-where-leads"}, "image": {"alt": "Two panels, told a random point and told a box; in each one row per place, such as phantom organs or real polyps, with a marker and a bar left or right of a vertical line at zero."}} tags=["hide-input"]
figures["leads"] = med_sa_figures.leads_chart(leads)

# %% [markdown]
# Each row is a place where both were trained on the same labels for the same number of steps. Look first how
# many markers are hollow, then whether the filled ones of the left panel are filled in the right one, too. A
# cross is a pair that cannot be decided: one seed, or fewer patients than a verdict needs.
#
# **Goals.** After this chapter you will be able to
#
# - **choose** between adapters, LoRA and all of SAM by the labels that you have;
# - **measure** how wrong a box may be before a model is hurt;
# - **separate** what attention over depth adds from what thick slices cost;
# - **price** a click by taking it away from the same network;
# - **say** what a few real patients can show, and what they cannot.
#
# *You need:* [chapters 17](chapter-adapters) to [20](chapter-med-sa-results). *Time:* half an hour to read,
# five minutes to run.
#
# ## How we compare
#
# SAM, adapters, LoRA and all of SAM learn from the same pictures for the same number of steps, and are asked
# about the same test patients by the same user. The rates of learning were chosen on validation patients, once,
# with all labels. Networks that work alone have more steps, as their files say. A difference is a tie if its
# interval over patients holds zero, or if two other seeds could make it. No system that was told where the target
# is gets a place beside one that was not.
#
# Each question was a study of its own, and its pairs were written down before its runs. Three recipes were changed
# after first runs had failed, and the changes favour whoever works alone: the classifiers that point had seen
# too little to call any slice positive, and have as many steps as the validation patients asked for; TransUNet had
# kept the weights of its first steps, because a network that answers nothing is right about every empty slice;
# nnU-Net and TransUNet have three times the steps, since their losses were still falling. The failures were seen
# in results of test patients, so take these numbers as those of a budget, and not of a blind trial.
#
# ## Few labels: adapters, LoRA, or all of SAM?
#
# Adapters {cite}`houlsby2019adapters` and {term}`LoRA` {cite}`hu2022lora` are two ways to train little. LoRA
# adds a correction of low rank to matrices that SAM has, and can be merged into them. Adapters are layers of their
# own between them: they are not linear, they know of the prompt, and they cannot be merged ([chapter
# 17](chapter-adapters)). To compare the two, LoRA's rank was chosen such that it trains about as many numbers as
# Med-SA does. MedSAM trains SAM whole.
#
# All three learn on the phantoms of skin, from the same five labelled pictures, from fifty, or from all.

# %%
counts = few.trained_numbers(skin.made if skin else [])
seeds = skin.profile.seeds if skin else None
for user in users:
    name = f"few-{user.replace(' ', '-')}"
    tables[name] = few.label_table(few_cases, counts, labelled, user, seeds)
shown = tables["few-random-point"].drop(
    columns=["missing", "against Med-SA"]
)
styled(shown, "Dice on skin, told one random point")

# %% [markdown]
# *Trainable* is how many millions of numbers learn. The ± is over seeds of the training. The labelled pictures are the same for all seeds, so it does not say
# what other five pictures would have taught. SAM learns nothing, and has one number for all columns.

# %% mystnb={"figure": {"caption": "Dice on skin against the number of labelled pictures, by what the user tells. Lines: means over seeds; small points: seeds, drawn a little aside; level line: SAM as it is.", "name": "fig-where-labels"}, "image": {"alt": "One panel for each user: a point, three points, two boxes; in each three curves for Med-SA, Med-LoRA and MedSAM over five, fifty and all labels, and a level line for the frozen SAM below."}} tags=["hide-input"]
if skin:
    every = skin.profile.data.splits[skin.cohort].train
    figures["labels"] = few.label_chart(few_cases, labelled, every, users)
else:
    print("This size has no study of few labels.")

# %% [markdown]
# Read a panel from left to right for what labels buy, and from panel to panel for what a prompt buys. Where
# the three curves lie closer together than the small points of one of them, another seed changes more than
# another choice. Here are the pairs of adapters and LoRA: the difference in Dice, and who is ahead.

# %%
tables["adapters-lora"] = beyond.labels_and_users(few_tests, few.WHICH)
tables["adapters-lora"]

# %%
small = "A small part of SAM, or all of it?"
said = [
    beyond.counted(beyond.by_labels(few_tests), question, opening)
    for question, opening in (
        (few.WHICH, "Adapters against LoRA"),
        (small, "Adapters and LoRA, each against all of SAM"),
        ("Are more labels worth it?", "More labels against fewer"),
    )
]
Markdown(beyond.in_lines(said))

# %% [markdown]
# That is the answer of this page to the question of its heading; *ahead* is the first of a pair, and the last
# line counts under the larger number of labels. It holds for one task, one small SAM and one list of labelled
# pictures. All tests, with what other seeds would change:

# %% tags=["hide-output"]
for user, table in few_tests.items():
    tables[f"few-{user.replace(' ', '-')}-tests"] = table
    print(f"told {user}")
    display(in_words(table).set_index("pair"))

# %% tags=["hide-output"]
for user in users:
    name = f"few-{user.replace(' ', '-')}"
    display(styled(tables[name], f"Dice on skin, told {user}"))

# %% [markdown]
# ## How wrong may a box be?
#
# The paper asks with boxes of two overlaps. A user's boxes are of all kinds. So here every picture of skin is
# asked with eight boxes, from the tight one, whose {term}`IoU` with itself is one, down to three tenths. A box
# is wrong by exactly its overlap, in a direction that the picture decides, so all systems see the same boxes.

# %%
tables["overlaps"] = boxes.overlap_table(box_cases)
styled(tables["overlaps"], "Dice on skin by the box that the user drew")

# %% mystnb={"figure": {"caption": "Dice on skin against the overlap of the box with the tight one; to the right boxes get worse. Bands: from the worst to the best seed. Upright marks: where Dice has fallen by five hundredths against the tight box. Thin level lines: the same system told one random point.", "name": "fig-where-boxes"}, "image": {"alt": "Three curves with bands, for SAM, MedSAM and Med-SA, over overlaps from one on the left to three tenths on the right, an upright mark on each, and a thin level line of the same colour for a random point."}} tags=["hide-input"]
figures["boxes"] = boxes.overlap_curves(box_cases)

# %% [markdown]
# Two things can be read from a curve. Where it starts, on the left, is how good the system is with a careful
# user. How soon it falls is how much care it needs; the upright mark puts that into a number. Where it goes
# below its own level line, a click would have been better than such a box.

# %%
tables["limits"] = limits
tables["boxes-tests"] = box_tests
said = boxes.said_of(limits)
for question in dict.fromkeys(box_tests.index):
    opening = question.removesuffix("?")
    said.append(beyond.counted({"skin": box_tests}, question, opening))
Markdown(beyond.in_lines(said))

# %% tags=["hide-output"]
in_words(box_tests).set_index("pair")

# %% [markdown]
# The overlap at which a system has lost five hundredths says nothing of its level: one that is poor with every
# box bears a lot. So look at both, the mark and the height at which it stands.
#
# ## Thick slices: does depth help there?
#
# {term}`SD-Trans` lets eight slices of a volume see one another ([chapter 18](chapter-depth)).
# [Chapter 20](chapter-med-sa-results) asked what it is worth at one distance between slices. Hospital scans are
# often made in thick slices, and one could think both ways: a neighbour that is far away tells something that
# the slice itself does not show; or it shows another part of the body, and is of no use.
#
# The phantoms of brain tumours are cut into slices that lie two, four and eight millimetres apart. For each of
# these {term}`spacings <spacing>` Med-SA is trained with attention over depth and without, all else being equal.
# What grows is the distance between neighbours, with a little blur, and how much of the head eight slices
# cover; the truth stays that of one slice.

# %%
leaders = {FIRST: "with depth", SECOND: "without"}
shown = {}
for user in (POINT, BOX):
    table = thickness.thickness_table(thick_cases, user)
    tables[f"thickness-{user.replace(' ', '-')}"] = table
    table = table.replace({"better": leaders}).filter(
        regex="^(flat|deep|difference$|better)"
    )
    shown[user] = table.set_axis(map("{:g} mm".format, table.index))
styled(
    shown[POINT].rename_axis("Apart"),
    "Dice of tumours in volumes, told one random point",
)

# %%
styled(
    shown[BOX].rename_axis("Apart"),
    "Dice of tumours in volumes, told a box of overlap three quarters",
)

# %% [markdown]
# Compare within a row, and not down a column: with the spacing the grid changes, and the task with it. Only
# *difference*, with depth minus without, may be followed down the column. The last column says who is ahead; the
# intervals stand below.

# %% mystnb={"figure": {"caption": "Above: Dice of brain tumours by the distance between slices, with attention over depth, without it, and of the frozen SAM. Below: what depth adds. A column for each user. Bars: interval over patients; small points: seeds.", "name": "fig-where-thickness"}, "image": {"alt": "Four panels: in the upper two, curves of Dice over distances between slices of two, four and eight millimetres, for three systems; in the lower two, the gain by depth around a line at zero."}} tags=["hide-input"]
if len(thick_cases):
    figures["thickness"] = thickness.thickness_chart(thick_cases)
else:
    print("No record of thick slices is here.")

# %%
said = beyond.thickness_said(thick_cases)
Markdown(beyond.in_lines(said))

# %% [markdown]
# If the lower curves rise to the right, depth helps where slices are far apart; if they stay at the line, it
# does not matter. One thing they cannot show. The {term}`pocket SAM` has no relative positions, so its attention
# over depth does not know which slice is next to which. A SAM that does might use neighbours better.
#
# ## Prompts that nobody gives
#
# All numbers so far need somebody who looks at the slice, and knows. What does the same network do at night?
# As in [chapter 16](chapter-lunch-results), a classifier that has learned from image labels decides whether
# there is a tumour, and the maximum of its {term}`activation map <class activation map>` is the click. The
# Med-SA behind it is the one that was trained with clicks of the truth; nothing of it is changed.
#
# - *Self-pointed*: the map of the slice itself.
# - *Mirrored*: the mean of the points of four mirror images, which cancels a map's habit to point aside.
#
# Where the classifier sees no tumour, nobody is asked and the mask stays empty:
#
# ```{literalinclude} ../samnb/systems/med_sa_self.py
# :pyobject: SelfPointed.masks_at
# ```
#
# Beside them stand two networks that learn masks and need no prompt.

# %%
shown = tables["automatic"].filter(regex="^(dice|shown|every)")
shown = shown.filter(regex="^(?!dice_low|dice_high|dice_deviation)")
styled(
    shown, "Brain tumours, slice by slice: who was told, and who was not"
)

# %%
if len(slices):
    silent = automatic.silence(slices, tested)
    print(f"Dice over every slice of who never answers: {silent:.3f}")

# %% [markdown]
# The first column is of whole scans, the second of the slices with tumour. In the third an empty answer to an
# empty slice counts one, so compare it with the number below the table. Marks are given within a track: rows
# that were told the same, or rows that work alone.

# %% mystnb={"figure": {"caption": "Dice of brain tumours in whole test scans. Filled: told by somebody who knows; hollow: works alone. Bars: interval over patients; small points: seeds.", "name": "fig-where-alone"}, "image": {"alt": "One row for each system, first those that were told a point or a box with filled markers, then mirrored and self-pointed Med-SA, nnU-Net and TransUNet with hollow ones; a horizontal bar at each."}} tags=["hide-input"]
if len(scans):
    figures["alone"] = med_sa_figures.rows_chart(
        {"brain tumour": automatic.with_rows(scans)}, automatic.ROWS
    )
else:
    print("No record of slices of brain tumours is here.")

# %% [markdown]
# The way from the first filled marker down to the hollow ones of Med-SA is the price of the click. Whether it
# is paid for slices that nobody was asked about, or for clicks beside the tumour, a look at each click says:

# %%
for system in (automatic.SELF, automatic.MIRRORED):
    tables[system] = automatic.clicks(slices, system)
styled(tables[automatic.SELF], "Where the map's own click fell")

# %%
styled(tables[automatic.MIRRORED], "Where the mirrored click fell")

# %% [markdown]
# *Share* is of the slices with tumour; *Dice if told* is what the same network of the same seed makes of these
# slices when it is told a point of the truth; the costs of the three rows add up to what the map's clicks cost.

# %% tags=["hide-output"]
tables["points"] = automatic.where_it_clicks(alone)
styled(tables["points"], "What the classifiers know")

# %% tags=["hide-output"]
missed = tables["automatic"].filter(["missed", "false_alarms"])
styled(missed, "Tumours missed, and masks where there is none")

# %%
said = beyond.alone_said(alone_tests)
Markdown(beyond.in_lines([beyond.price_said(alone_tests), *said]))

# %% tags=["hide-output"]
tables["alone-tests"] = alone_tests
in_words(alone_tests).set_index("pair")

# %% [markdown]
# A pair of a told system with one that works alone has numbers, and no winner. Two that work alone can be ranked:
# with mirrors and without, and a map's click against networks that have simply learned the masks.
#
# ## Volumes without a prompt
#
# The paper's baselines for volumes, a 3D U-Net as nnU-Net plans it, UNETR and Swin UNETR, see neighbours in all
# three directions and are told nothing. [Chapter 20](chapter-med-sa-results) has their rows among all
# others. Here they stand beside the networks that see the same scans slice by slice.

# %%
volumes = beyond.alone_in_volumes(cases)
rows = [*beyond.IN_VOLUMES, *beyond.IN_SLICES]
tasks = med_sa.tasks_overview(med_sa.all_tasks(cases))
tasks = tasks[tasks.index.isin([*rows, "Med-SA, point"])]
tables["volumes"] = tasks.filter(regex="^(organs|brain)")
styled(tables["volumes"], "Dice in volumes: who works alone, and Med-SA")

# %% mystnb={"figure": {"caption": "Dice of networks that nobody prompts, by task. Bars: interval over patients; small points: seeds.", "name": "fig-where-volumes"}, "image": {"alt": "A panel for each task of volumes, with one row per network: those that see volumes and those that see slices; a hollow marker and a horizontal bar at each."}} tags=["hide-input"]
if volumes:
    figures["volumes"] = med_sa_figures.rows_chart(volumes, rows)
else:
    print("No record of a network that works alone on volumes is here.")

# %%
tests = {
    task: beyond.volume_tests(table) for task, table in volumes.items()
}
question = beyond.VOLUMES_OR_SLICES
said = beyond.counted(tests, question, question.removesuffix("?"))
Markdown(said or "*No pair of these networks has records here.*")

# %% [markdown]
# *Ahead* is the network that sees volumes. With one seed a pair stays undecided whatever the patients say. And
# all of them had a budget of the study's, not one at which their validation stopped rising. So these rows are no
# measure of UNETR, but of what a small budget gets out of it.
#
# (where-real)=
# ## And on real images?
#
# The same systems with the same settings learn from small real sets: organs of the belly in MR volumes
# {cite}`kavur2021chaos`, brain tumours in MR volumes {cite}`menze2015brats`, FLAIR slices of brains
# {cite}`buda2019lgg` of one institution, tested there and at another one, skin lesions seen through a dermoscope
# {cite}`mendonca2013ph2`, and polyps seen through an endoscope {cite}`jha2020kvasir`. Of these pictures only numbers
# may be shown. Sets without a record are left out, and named at the top of this page.

# %%
tables["real"] = med_sa_real.sets_overview(real, [POINT, BOX])
shown = tables["real"].rename({"3D U-Net, nnU-Net's layout": "3D U-Net"})
styled(shown, "Dice on real images")

# %% mystnb={"figure": {"caption": "Dice on real images, over test patients. Filled: told one random point of the truth; hollow: the best of those that nobody told anything. Bars: interval over patients.", "name": "fig-where-real"}, "image": {"alt": "One row for each set of real images, with a marker and a bar for SAM, MedSAM and Med-SA, and a hollow one with the name of the best system that works alone; Dice from zero to one."}} tags=["hide-input"]
if sets:
    figures["real"] = med_sa_figures.levels_chart(real, POINT, sets)
else:
    print("No record of real images is here.")

# %% [markdown]
# Pictures count where they show the target; volumes count whole. How many patients a set is tested on says how
# much its row can say:

# %%
patients = real[real["task"].isin(sets)].groupby("task", sort=False)
patients["patient"].nunique().rename("test patients").to_frame()

# %%
asked = [
    name for name in med_sa_real.real_questions()
    if name != med_sa_real.ALONE
]  # fmt: skip
said = beyond.real_said(real_tests, asked)
Markdown(beyond.in_lines(said))

# %% [markdown]
# Each line is an order of the paper, asked of every set and every user. Set by set, with distances and the
# intervals:

# %% tags=["hide-output"]
profile = load_profile("real", "med-sa-organs")
for title in sets:
    name = "real-" + title.replace(", ", "-").replace(" ", "-")
    tables[name] = med_sa_real.set_table(real, title, profile.seeds)
    shown = tables[name].drop(columns=["track", "patients", "seeds"])
    display(styled(shown, title[0].upper() + title[1:]))

# %% tags=["hide-output"]
for title, table in real_tests.items():
    name = "real-" + title.replace(", ", "-").replace(" ", "-")
    tables[f"{name}-tests"] = table
    print(title)
    display(in_words(table).set_index("pair"))

# %% [markdown]
# A real set here is small, and each comes from one place. Where phantoms and real images agree in an order,
# it does not hang on our phantoms. Where they do not, believe the real ones about their own kind of picture,
# and neither about another.
#
# ## What the paper leaves open
#
# | the paper does not say | here |
# |---|---|
# | what its adapters are worth with few labels | the same three systems with five, fifty, all |
# | whether LoRA of the same size would do | LoRA of as many trained numbers |
# | what happens between its two boxes, and below | eight overlaps |
# | how far apart the slices of its volumes were | three distances, each with depth and without |
# | how it would work without a user | a map clicks, and the network is the same |
# | deviation over trainings | the seeds of the profile |
#
# ## What we would do
#
# Count your labels first, and decide with the table of *Few labels* which of the three you try first; where it
# says *a tie*, take the one that is easiest to keep: LoRA can be merged into SAM, adapters are a file for each
# task, a whole SAM is a file for each task as large as SAM. Let your users draw twenty boxes, measure their
# overlap, and read from the curve what it costs. Switch depth on only if it wins at the distance of your own
# slices. And before you let a map click, train a plain network on the same masks.
#
# ## Exercises
#
# Each solution below is a cell that runs; open it after you have tried.
#
# ### Exercise 1: the price of a label
#
# How much Dice does each further label buy, from the fewest to the next number, in each of the three systems? Is
# it more for a user who gives a point, or for one who gives the better box?

# %% tags=["hide-cell"]
fewest, more = sorted(labelled)[0], sorted(labelled)[-1]
steps = {
    user: (
        tables[f"few-{user.replace(' ', '-')}"][few.words_of(more)]
        - tables[f"few-{user.replace(' ', '-')}"][few.words_of(fewest)]
    )
    / max(1, more - fewest)
    for user in users
}
# In thousandths of Dice for one label; the user with the largest number of
# a row is the one for whom labels do most.
(1000 * pd.DataFrame(steps).drop(index="SAM")).round(2)

# %% [markdown]
# ### Exercise 2: a stricter user
#
# Somebody calls a box bad as soon as it costs two hundredths of Dice. Which overlap must the boxes have then? Is
# the system that bears most still the same?

# %% tags=["hide-cell"]
strict = boxes.tolerance_table(box_cases, fall=0.02)["overlap"]
usual = limits["overlap"]
both = pd.DataFrame({"five hundredths": usual, "two hundredths": strict})
# Place one bears most: Dice never falls so far (nan), or at the smallest
# overlap. Compare the places of the two columns.
places = both.fillna(0).rank().astype(int).add_suffix(", place")
both.round(2).join(places)

# %% [markdown]
# ### Exercise 3: how many patients?
#
# In one of the real sets two patients are tested. If two systems are equally good, how often do all patients of
# a test lean to the same side by luck? How many patients does one need before that is rarer than one time in
# twenty?

# %% tags=["hide-cell"]
luck = {number: 2 * 0.5**number for number in range(1, 11)}
enough = min(number for number, chance in luck.items() if chance < 0.05)
# Each leans to either side with a half; there are two sides to agree on.
print(f"two patients: {luck[2]:.2f}; enough: {enough} patients")

# %% [markdown]
# ## All of it as files

# %%
folder = "beyond-" + PROFILE
for name, table in tables.items():
    if len(table):
        name = name.lower().replace(" ", "-")
        write_table(table, name, results_root() / "tables" / folder)
for name, figure in figures.items():
    write_figure(figure, name, results_root() / "figures" / folder)
print(f"{len(tables)} tables, {len(figures)} figures")

# %% [markdown]
# ## Check yourself
#
# **1.** LoRA and adapters tie with five labels. Does that mean that both have learned the same?
#
# ```{admonition} Answer
# :class: dropdown
# No. Their means over patients cannot be told apart with these patients and seeds. They may be right and wrong
# on different pictures.
# ```
#
# **2.** A system loses nothing, however wrong the box. Is it the best one for careless users?
#
# ```{admonition} Answer
# :class: dropdown
# Only if it is good. One that does not look at the box loses nothing by a wrong one; the level has to be read,
# too.
# ```
#
# **3.** Dice falls when slices lie farther apart. Does that show that depth helps in thin slices?
#
# ```{admonition} Answer
# :class: dropdown
# No. The grid and the task have changed as well. What depth adds is the difference of two trainings at one
# distance.
# ```

# %% [markdown]
# ## What you did
#
# You
#
# - **compared** three ways to train SAM with five labels, with fifty and with all;
# - **followed** Dice down as boxes got worse;
# - **judged** depth at one distance between slices at a time;
# - **took** the click away, and paid for it;
# - **asked** real images whether they agree.
#
# ## Further reading
#
# - Adapters, where they come from: [Houlsby and others, Parameter-efficient transfer learning](https://doi.org/10.48550/arXiv.1902.00751).
# - LoRA: [Hu and others, Low-rank adaptation of large language models](https://doi.org/10.48550/arXiv.2106.09685).
# - Both as one family: [He and others, Towards a unified view](https://doi.org/10.48550/arXiv.2110.04366).
# - Which part of SAM to train: [Gu and others, How to build the best medical image segmentation algorithm](https://doi.org/10.48550/arXiv.2404.09957).
#
# **Next:** [run it yourself](run_it.md).
