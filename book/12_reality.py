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
# (chapter-reality)=
# # Reality check
#
# {term}`Phantoms <phantom>` show that the machinery works. Whether the idea works, only real images can
# say. This chapter repeats the comparison on three small real sets, with the same code, the same
# {term}`pocket SAM` and, at first, the same budget. Their pixels are not part of this book: what you see are
# numbers, tables and curves that were measured on them.
#
# **Goals.** After this chapter you will be able to
#
# - **say** what a set can be used for by what it lacks: negatives, millimetres, patients;
# - **compare** a result on phantoms with the same result on real images;
# - **find** what holds a system back, by exchanging one part at a time;
# - **tell** what a small model can show about a method, and what it cannot.
#
# *You need:* [chapter 7](chapter-sammix). *Time:* forty minutes to read, a minute to run; the runs
# themselves more than two hours of two cores.

# %% tags=["parameters"]
PROFILE = "pocket"

# %%
import pandas as pd

from samnb.base.paths import real_root, results_root
from samnb.evaluation.statistics import plus_minus
from samnb.reports import boxes, curves, style
from samnb.reports.localisation import localisation_table

# %%
from samnb.reports.printing import styled
from samnb.reports.systems import in_order, with_variants
from samnb.reports.tables import segmentation_table, significance_matrix
from samnb.runs import records
from samnb.studies import load_profile

# %%
style.use()
phantoms = load_profile(PROFILE)
brain = load_profile("real_brain")
long = load_profile("real_brain_long")  # the same slices, more epochs
HERE, THERE = "du", "cs"  # the institution that taught, and the other one
FORMS = ("SAM-PP", "SAM-Mix", "SAM-Mix guided", "SAM-Mix soft")
IMPROVED = "SAM-Mix improved"  # of this chapter
measured = results_root() / "tables" / "real"
middle = sorted(brain.data.labelled)[1]

# %% [markdown]
# ## Three sets, and what each lacks
#
# | set | original | what it has | what it lacks |
# |---|---|---|---|
# | brain FLAIR | TCGA-LGG (TCIA), masks by Buda et al. 2019 | all slices of 61 patients of two institutions, so true negatives | volumes, millimetres |
# | abdominal MR | CHAOS 2019, T2-SPIR | whole volumes with their geometry, three organs | patients: three to test on |
# | liver CT | Decathlon task 3, which is LiTS | many volumes | slices without liver, so nothing for a classifier |
#
# The profiles `real_brain`, `real_brain_long`, `real_mr_liver`, `real_mr_kidneys`, `real_mr_spleen` and
# `real_ct` read them as they would read your own folder. `make reality` makes every run and every number of this chapter.
# Where the folder is absent, the chapter shows what was measured where it is present:

# %% tags=["nbval-ignore-output"]
present = real_root().is_dir()
print(f"The real sets are {'' if present else 'not '}on this machine.")

# %% [markdown]
# ## Brain: as the paper means it
#
# Image labels for every training {term}`slice`, masks for few of them. The {term}`split` is by patient: of the institution DU
# some patients teach, some validate, some test; the institution CS is only tested on. A tumour is
# unlike a liver: it may be anywhere, and most slices have none.

# %%
cohorts = [HERE, THERE]
every = with_variants(records.load_cases(brain))
every = every[every["change"] == ""]
cases = every[~every["system"].str.startswith("U-Net longer")]  # of later

# %%
within = segmentation_table(cases, HERE, seeds=brain.seeds)
styled(within, "In-site: other patients of the same institution")

# %%
across = segmentation_table(cases, THERE, seeds=brain.seeds)
styled(across, "Cross-site: patients of another institution")

# %% [markdown]
# An empty answer to an empty slice has {term}`Dice` one, and two slices of three are empty. So a system
# that never answers has this Dice:

# %%
silence = cases["label"].eq(0).groupby(cases["cohort"]).mean()
silence.rename("Dice of silence").round(3)

# %% [markdown]
# Read the two tables again with that in mind. Hardly any system clears it. Those that learn from labelled
# slices alone fall below, most of them far: every labelled slice has a tumour, so they draw one nearly
# everywhere, unless they have learned next to nothing. And those with a classifier come near it by being silent: where the validation patients prefer a silent
# network, the loop keeps one. Here are the slices with tumour only:

# %%
tumour = cases[cases["label"] == 1]
with_tumour = pd.DataFrame(
    {
        name: segmentation_table(tumour, name, seeds=brain.seeds)["dice"]
        for name in cohorts
    }
)
with_tumour.loc[in_order(with_tumour.index)].round(3)

# %% mystnb={"figure": {"caption": "Brain: Dice against the number of slices with masks, in-site (du) and cross-site (cs). Line: mean over seeds; band: their deviation; points: the seeds; horizontal: all masks; dotted: silence.", "name": "fig-reality-labels"}, "image": {"alt": "Two panels, the institution that taught and the other one, with a curve for each family of systems over the number of labelled slices on a logarithmic axis, and horizontal lines for systems with all masks."}} tags=["nbval-ignore-output"]
figure = curves.label_efficiency(cases, cohorts, panel_height=4.2)
for axes, name in zip(figure.axes, cohorts, strict=True):
    axes.axhline(silence[name], color=style.INK, linestyle=":")

# %% mystnb={"figure": {"caption": "Brain: Dice by patient, mean over seeds, systems with the middle number of labels or all masks. Every point a patient.", "name": "fig-reality-patients"}, "image": {"alt": "Two panels of horizontal box plots of Dice with one row for each system and one point for each test patient, in-site and cross-site."}} tags=["nbval-ignore-output"]
shown = cases[cases["system"].str.fullmatch(rf".*-{middle}|\D*")]
figure = boxes.case_boxes(shown, cohorts)

# %% [markdown]
# ## Does it know, and does it look?
#
# The question that phantoms made too easy. A classifier can know that there is a tumour without
# looking at it: by the height of the slice in the head, for example. The area under the ROC curve
# (`auc`) says whether it knows, the {term}`pointing game` (`hit`) and `box_iou` whether it looks.

# %%
looks = {
    name: localisation_table(cases, name)[["auc", "hit", "box_iou"]]
    for name in cohorts
}
pd.concat(looks, axis=1).round(2)

# %% [markdown]
# ## What holds it back
#
# The same trained SAM, once in the box of its own map and once in the box of the truth (an
# {term}`oracle prompt`), on test slices whose tumour is not too small for a box. The difference is
# what finding the tumour costs, that is, to notice it and to box it; what is missing to one after that
# is SAM's own. SAM-PP without masks is the frozen SAM.

# %%
ceilings = pd.read_csv(measured / "brain_ceilings.csv")
means = ceilings.groupby(["cohort", "system"])[
    ["own_box", "true_box"]
].mean()
means.columns = ["its own box", "box of the truth"]
ranked = in_order(ceilings["system"])
means.loc[[(name, system) for name in cohorts for system in ranked]].round(
    3
)

# %% [markdown]
# Read it twice. Across: the box of the truth helps every system a lot. So what binds is not {term}`LoRA` and
# not SAM but the classifier: whether there is a tumour, and where. Down the right column: in the box of
# the truth the *frozen* SAM is the best of all. Taught in boxes that miss the tumour, SAM learns not to
# believe its box; and with few masks, it learns those by heart on top. The section on liver CT has the other
# half of the argument: taught in boxes of the truth, with enough masks, SAM gets better in them. A bad
# prompt during training does not only teach nothing, it unteaches.
#
# ## Improving what is ours
#
# Both want the same cure: maps that point, and early. Five thoughts, in `sam_mix_improved`:
#
# - **Ten epochs are ten looks, not ten lessons.** Training three times as long costs nothing in labels.
# - **An empty mask is a mask.** Of a slice that is labelled free of tumour every pixel is known. So its map
#   can be held down everywhere (`negatives`), and image labels teach places.
# - **A slice has a tumour if some place has.** The average over all places (Eq. 2) asks a small tumour to
#   outvote the rest of the head. The logarithm of the mean odds lets one place speak (`pooling`).
# - **The map may enter SAM**, as in the soft form, and **slices may be turned, scaled and mirrored**
#   (`augmented`); when to be silent is settled on the validation patients (`calibrated`).
# - **Guidance has to be heard.** A tenth of its weight was the better choice on phantoms, and is the weight
#   of the guided form above. Here it leaves the map of most seeds hardly better than none: the guidance
#   loss stands still, while SAM learns to do without a useful box. So it gets its full weight back.
#
# ```{literalinclude} ../samnb/systems/sam_mix_improved.py
# :pyobject: SamMixImproved.forward
# ```
#
# One after the other, with the first seed. The column *validation* is of five patients of the first
# institution (before silence is settled), and only it and the losses of training were used to decide.
# The other columns say what the decision was worth; they were on the screen too, so a reader should
# check that the decisions follow from the first one.

# %%
STEPS = {
    "+ empty masks teach": "improved.negatives=0.0",
    "+ one place is enough": "improved.pooling=average",
    "+ the map enters SAM": "improved.soft=false",
    "+ augmentation, silence": "improved.augmented=false"
    " improved.calibrated=false",
    "+ full guidance": "mix.guidance=0.1",
}  # each beside what it is without
seed, without = brain.seeds[0], list(STEPS.values())
ladder = {
    "to the letter": records.Run(brain, "sam_mix", middle, seed),
    "guided": records.Run(brain, "sam_mix_guided", middle, seed),
}

# %%
for taken, title in enumerate(["three times as long", *STEPS]):
    changes = tuple(" ".join(without[taken:]).split())
    ladder[title] = records.Run(
        long, "sam_mix_improved", middle, seed, changes
    )

# %%
chain = {}
for title, run in ladder.items():
    facts = records.read_record(run).facts
    chain[title] = {
        "validation": max(note["dice"] for note in facts["validation"]),
        "in-site": facts["summary"][HERE]["dice"],
        "cross-site": facts["summary"][THERE]["dice"],
        "AUC": facts["summary"][HERE]["auc"],
        "pointing game": facts["summary"][HERE]["hit"],
        "box IoU, if boxed": facts["summary"][HERE]["box_iou"],
    }
pd.DataFrame(chain).T.round(3)

# %% [markdown]
# Not every step helped. The map as a mask prompt cost some Dice by itself and was level again with
# augmentation beside it; of single seeds nothing smaller can be said. What stands out is the first half of
# the way, more epochs with guidance and the empty masks, and the last step, seed by seed: the guidance loss
# of the end of training, without its weight, and where the maps point.

# %%
weights = {}
for change in ("mix.guidance=0.1", "mix.guidance=1.0"):
    changes = () if change.endswith("1.0") else (change,)
    for seed in long.seeds:
        run = records.Run(long, "sam_mix_improved", middle, seed, changes)
        facts = records.read_record(run).facts
        weight = float(change.split("=")[1])
        weights[(change, seed)] = {
            "guidance loss": facts["history"][-1]["guidance"] / weight,
            "validation": max(note["dice"] for note in facts["validation"]),
            "box IoU, if boxed": facts["summary"][HERE]["box_iou"],
        }
pd.DataFrame(weights).T.rename_axis(["weight", "seed"]).round(3)

# %% [markdown]
# All seeds and all numbers of labels, and U-Net three times as long beside it, for it may be short of
# time as well:

# %%
improved = records.load_cases(long)
improved = improved[improved["change"] == ""]
every = pd.concat([every, improved], ignore_index=True)

# %%
rows = [f"{IMPROVED}-{labels}" for labels in sorted(long.data.labelled)]
rows = ["U-Net", "U-Net longer", f"U-Net longer-{middle}", "nnU-Net", *rows]
chosen = every[every["system"].isin(rows)]
within = segmentation_table(chosen, HERE, seeds=brain.seeds)
styled(within, "In-site, the improved form")

# %%
across = segmentation_table(chosen, THERE, seeds=brain.seeds)
styled(across, "Cross-site, the improved form")

# %%
looks = {name: localisation_table(chosen, name) for name in cohorts}
pd.concat(
    {
        name: table[["auc", "hit", "box_iou"]]
        for name, table in looks.items()
    },
    axis=1,
).round(2)

# %% mystnb={"figure": {"caption": "Brain, the improved form and the longer U-Net: Dice against the number of slices with masks, in-site and cross-site. Line: mean over seeds; band: their deviation; points: the seeds; horizontal: all masks; dotted: silence.", "name": "fig-reality-improved"}, "image": {"alt": "Two panels, the institution that taught and the other one, with curves for SAM-Mix to the letter, guided and improved and for U-Net trained longer, over the number of labelled slices on a logarithmic axis."}} tags=["nbval-ignore-output"]
families = (
    r"SAM-Mix-\d+|SAM-Mix guided-\d+|SAM-Mix improved.*|U-Net longer.*"
)
drawn = every[every["system"].str.fullmatch(families)]
figure = curves.label_efficiency(drawn, cohorts, panel_height=4.2)
for axes, name in zip(figure.axes, cohorts, strict=True):
    axes.axhline(silence[name], color=style.INK, linestyle=":")

# %% [markdown]
# ## Does it win?
#
# The aim was set before any run: fifty labelled slices, in the best form of SAM-Mix, within three
# points of Dice of a U-Net with all masks in-site, and ahead of it cross-site. The best form is the one
# that the validation patients prefer, by the mean over seeds.

# %%
noted = [
    {
        "system": record.name,
        "validation": max(
            note["dice"] for note in record.facts["validation"]
        ),
    }
    for record in [
        *records.automatic_records(brain),
        *records.automatic_records(long),
    ]
    if not record.facts["changes"]
    and record.facts["labels"] == middle
    and record.facts["title"] in (*FORMS[1:], IMPROVED)
]
preferred = pd.DataFrame(noted).groupby("system")["validation"].mean()
best = preferred.idxmax()
preferred.round(3)

# %%
lead = {}
for rival in ("U-Net", "U-Net longer", "nnU-Net"):
    here, there = (
        100 * (table["dice"][best] - table["dice"][rival])
        for table in (within, across)
    )
    reached = "reached" if here >= -3 and there > 0 else "not reached"
    lead[rival] = {"in-site": here, "cross-site": there, "aim": reached}
gaps = pd.DataFrame(lead).T.infer_objects().round(1)
gaps.rename_axis(f"{best}, points above")

# %% [markdown]
# Where does the lead come from? Slices with and without tumour, apart:

# %%
apart = {}
for name in cohorts:
    for label, kind in ((1, "tumour"), (0, "none")):
        part = chosen[chosen["label"] == label]
        table = segmentation_table(part, name, seeds=brain.seeds)
        apart[f"{style.COHORT_NAMES[name]}: {kind}"] = table["dice"]
apart = pd.DataFrame(apart)
apart.loc[in_order(apart.index)].round(3)

# %% [markdown]
# So what is SAM worth, and what is it to know when to speak? As in [chapter 8](chapter-baselines), let the
# baselines ask first, here the improved form's own classifier (of the same seed, with the middle number of
# labels), and be silent where it is:

# %%
keys = ["seed", "cohort", "scan", "slice"]
asked = every[every["system"] == f"{IMPROVED}-{middle}"][
    [*keys, "presence"]
]
baselines = ["U-Net longer", "nnU-Net", f"nnU-Net-{middle}"]
alone = every[every["system"].isin(baselines)]
gated = alone.drop(columns="presence").merge(asked, on=keys)
silent = gated["presence"] <= 0.5
gated.loc[silent, "dice"] = (gated.loc[silent, "label"] == 0).astype(float)
gated["system"] += ", asks first"
both = pd.concat([chosen, alone, gated]).drop_duplicates([*keys, "system"])

# %%
pd.DataFrame(
    {
        style.COHORT_NAMES[name]: segmentation_table(
            both, name, seeds=brain.seeds
        )["dice"]
        for name in cohorts
    }
).sort_values(style.COHORT_NAMES[HERE], ascending=False).round(3)

# %% [markdown]
# Most of the lead is silence in the right place. Where there is a tumour, nnU-Net with all masks
# draws it better, and with few masks too; but then it draws one in most slices that have none. Told
# when to speak, it comes close to the improved SAM-Mix, with the same fifty masks. So what the
# improved form has to offer is above all its classifier, which few masks taught to look; SAM adds
# little to that. In the other hospital U-Net and nnU-Net with all masks fall below silence, and more
# epochs do not lift U-Net above it. So the paper's idea carries over in this sense: many cheap image
# labels tell when to speak, few masks where and how. None of these networks learned for long; with a
# night of training, the order may be another.
#
# Paired tests over the patients between six of these systems, corrected for the number of pairs:

# %%
named = ["U-Net longer", "nnU-Net", f"MultiMix-{middle}"]
named += [f"{form}-{middle}" for form in ("SAM-PP", "SAM-Mix", IMPROVED)]
significance_matrix(every, HERE, systems=named).round(3)

# %%
significance_matrix(every, THERE, systems=named).round(3)

# %% mystnb={"figure": {"caption": "Brain: the six systems by patient, mean over seeds. Every point a patient.", "name": "fig-reality-six"}, "image": {"alt": "Two panels of horizontal box plots of Dice with one row for each of the six systems of the tests and one point for each test patient; SAM-Mix improved lies furthest right in both."}} tags=["nbval-ignore-output"]
figure = boxes.case_boxes(every[every["system"].isin(named)], cohorts)

# %% [markdown]
# ## The same question, phantoms and brains
#
# Order and distance of the forms with the middle number of labels, on phantoms and on brains, as points
# of Dice above SAM-PP. (Guided has its full weight on phantoms, and a tenth of it in the brains.)

# %%
pocket = records.load_cases(phantoms)
pocket = pocket[pocket["change"].fillna("") == ""]
places = [
    ("phantoms, in-domain", phantoms, pocket, "lits"),
    ("phantoms, cross-domain", phantoms, pocket, "totalsegmentator"),
    ("brain, in-site", brain, cases, HERE),
    ("brain, cross-site", brain, cases, THERE),
]
gains = {}
for where, profile, table, name in places:
    scores = segmentation_table(table, name)["dice"]
    labels = sorted(profile.data.labelled)[1]
    own = {form: scores.get(f"{form}-{labels}") for form in FORMS}
    gains[where] = 100 * (pd.Series(own, dtype=float) - own["SAM-PP"])
pd.DataFrame(gains).round(1)

# %% [markdown]
# ## Abdominal MR: volumes in millimetres
#
# Three organs, each a target of its own, eight patients to learn from and three to test on. Answers are
# put back on the grid of the scan they come from, and measured there, volume by volume. With three
# patients nothing is significant; look for what differs a lot.

# %%
volumes = pd.read_csv(measured / "mr_volumes.csv", dtype={"labels": str})
keys = ["organ", "system", "labels"]
of_seed = volumes.groupby([*keys, "seed"])[["dice", "hd95"]].mean()
spread = of_seed.groupby(keys).agg(["mean", "std"])
pd.DataFrame(
    {
        "Dice": [plus_minus(*row, 2) for row in spread["dice"].to_numpy()],
        "HD95, mm": [
            plus_minus(*row, 1) for row in spread["hd95"].to_numpy()
        ],
    },
    index=spread.index,
)

# %% [markdown]
# With fifty labelled slices U-Net draws these organs as well as the guided SAM-Mix, or better. But its
# stray pieces elsewhere in the body cost it in HD95, where one box keeps the answers of SAM in one place.
# With all masks U-Net was silent on the small organs for some seeds: most of the slices that it
# then sees show none, and its training is short.
#
# ## Liver CT: what LoRA buys, given the box
#
# No slice is without liver, so no classifier can learn and no map can point. What remains is the second
# half of SAM-Mix. A user who knows the truth (an {term}`oracle prompt`) draws the box: exact, or moved
# until it overlaps the exact one by the {term}`IoU` that the column names. SAM as it is (no labels) and
# SAM-LoRA, taught in shaken boxes of the truth on few slices, are asked alike. Mean Dice of the test
# slices, mean and deviation over seeds; U-Net has no box.
#
# ```{literalinclude} ../samnb/systems/box_taught.py
# :pyobject: BoxTaught.forward
# ```

# %%
ct = load_profile("real_ct")
boxed = pd.concat([records.load_cases(ct, user=user) for user in ct.users])
of_seed = boxed.groupby(["system", "user", "seed"])["dice"].mean()
spread = of_seed.groupby(["system", "user"]).agg(["mean", "std"])
taught = {
    "none": "SAM",
    **{f"{count}": f"SAM-LoRA-{count}" for count in ct.data.labelled},
    "all": "SAM-LoRA",
}
table = pd.DataFrame(
    {
        user: [
            plus_minus(*spread.loc[(system, user)], 2)
            for system in taught.values()
        ]
        for user in ct.users
    },
    index=pd.Index(list(taught), name="labelled slices"),
)

# %%
unet = segmentation_table(records.load_cases(ct), "ct", seeds=ct.seeds)
beside = {
    labels: system.replace("SAM-LoRA", "U-Net")
    for labels, system in taught.items()
    if labels != "none"
}
table["U-Net, no box"] = ["–"] + [
    plus_minus(*unet.loc[name, ["dice", "dice_deviation"]], 2)
    for name in beside.values()
]
table

# %% mystnb={"figure": {"caption": "Liver CT: Dice of the test slices by labelled slices and user who draws the box; bars: deviation over seeds. None: SAM as it is.", "name": "fig-reality-boxes"}, "image": {"alt": "Three lines of Dice over the number of labelled slices, one for each box that the user draws, and one for U-Net without a box."}} tags=["nbval-ignore-output"]
figure, axes = style.panels(panel_height=3.2)
for place, user in enumerate(ct.users):
    line = spread.xs(user, level="user").loc[list(taught.values())]
    axes.errorbar(
        range(len(taught)),
        line["mean"],
        line["std"].fillna(0),
        marker="os^"[place],
        capsize=3,
        label=user,
    )
few = unet.loc[list(beside.values()), "dice"]
axes.plot(range(1, len(taught)), few, "D:", label="U-Net, no box")
axes.set_xticks(range(len(taught)), list(taught))
style.label(axes, "labelled slices", "Dice", legend=True)

# %% [markdown]
# What the adapter learns is above all to forgive a bad box: with half the overlap the frozen SAM loses most,
# and with fifty slices most of the loss is gone. Five slices cost something where the box is exact: so few
# are learned by heart. U-Net without any box needs fifty slices to draw level with SAM in bad ones.
#
# ## What held, and what did not
#
# | claim | phantoms | real images |
# |---|---|---|
# | SAM-Mix is ahead of SAM-PP at equal labels | a tie in-domain, ahead across | behind in the paper's form, ahead once masks teach the map |
# | it loses little in another domain | yes | yes, in the improved form; U-Net and nnU-Net lose much |
# | it comes near U-Net with all masks | behind it in-domain, ahead across | ahead of it on both sites, since it knows when to be silent; behind nnU-Net where there is a tumour |
# | image labels show where | often | hardly ever: the classifier knows, and looks elsewhere |
# | more labelled slices help | up to the second number, in-domain | up to the second number |
#
# And what real images taught about this very house, which phantoms had not:
#
# - **Silence scores.** The mean Dice of slices rewards a network that never answers, and a loop that keeps
#   the best network by that mean will keep such a one. Every table needs silence beside it.
# - **Bad boxes unteach.** SAM that was taught in boxes which miss is worse in a right one than it was before.
# - **A weight chosen on phantoms was wrong.** A tenth of the guidance was enough where organs are easy to
#   find, and not where they are hard.
# - **Brightness is not a detail.** Pictures that were stored in 8 bits must not be stretched slice by slice:
#   noise in empty slices becomes bright texture. The profile names their range.
#
# ## What a pocket model cannot tell
#
# It has seen generic shapes and no photograph; SAM has seen a billion masks. So where the box is good
# and the mask is poor, that is a limit of this SAM and says nothing about ViT-B. Where the map does not
# point at the target, that is the classifier, trained from nothing on a thousand slices: a larger one
# may look better or find a better {term}`shortcut`. What carries over are differences between forms that share
# all of this: whether masks teach the map, whether the loss reaches it, whether labels or the box are
# scarce. And small sets have wide intervals. Read those first.
#
# If the folder is there, set `OVERLAYS` to see answers on the images. Such pictures stay on your
# machine: clear them before you pass the notebook on.

# %%
OVERLAYS = False
if OVERLAYS and present:
    from samnb.reports import gallery, grids
    from samnb.studies.cohorts import cohort_slices

    made = records.automatic_records(brain)
    names = ["U-Net", *(f"{form}-{middle}" for form in FORMS)]
    kept = gallery.pictured(
        made, cohort_slices(brain, HERE), HERE, names, brain.seeds[0]
    )
    figure = grids.qualitative_grid(
        kept.images, kept.truths, dict(kept.masks), list(kept.scans)
    )

# %% [markdown]
# ## Exercises
#
# ### Exercise 1: silence
#
# A system reaches half of the possible Dice in every slice with tumour, and draws something in every tenth
# slice without. Is it ahead of silence in-site? And if it draws in every second?
#
# ```{admonition} Solution
# :class: dropdown
# With the share of empty slices `empty = silence["du"]`, it has `0.9 * empty + 0.5 * (1 - empty)`, which is
# ahead of `empty`. With every second it has one half in all, and is behind. Where most slices are empty,
# one false alarm costs as much as two such drawings bring.
# ```
#
# ### Exercise 2: your own folder
#
# Copy `samnb/studies/real_brain.yaml`, point it at a folder of yours, and run
# `samnb run sam-mix-guided --labels 50 --profile my.yaml`. What did you have to decide?
#
# ```{admonition} Solution
# :class: dropdown
# Whose slices they are (`patient`), which value is the target, how brightness becomes zero to one, and
# who is trained on, validated on and tested on. `samnb data check FOLDER` says what is wrong before
# anything is trained.
# ```
#
# ### Exercise 3: three patients
#
# What is the smallest p that a Wilcoxon test on three patients can give?
#
# ```{admonition} Solution
# :class: dropdown
# All three differences have the same sign in two of eight equally likely patterns, so a quarter. No
# result on three patients is significant by it.
# ```
#
# ## Self-check
#
# 1. Why does the liver CT set not serve for SAM-Mix?
# 2. A classifier has a high area under the curve and a low pointing game. Is it wrong?
# 3. The box of the truth lifts one system a lot and another one hardly. What does that say about each?
#
# ```{admonition} Answers
# :class: dropdown
# 1. Every slice shows liver, so image labels say nothing, and a classifier has nothing to learn.
# 2. Its yes and no are right, its reason is another one. As a prompt its map is of no use, and on data
#    where the shortcut is gone its yes and no will be wrong too.
# 3. The first lacks a good box and could gain from a better map. The second is limited by its SAM, or
#    has learned to look beyond the box.
# ```
#
# ## What you did
#
# You
#
# - **said** what each of three real sets can be used for;
# - **compared** phantoms and real images, form by form;
# - **found** what holds a system back by giving it the box of the truth;
# - **told** what a small model shows from what it cannot show.
