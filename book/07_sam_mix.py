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
# (chapter-sammix)=
# # SAM-Mix
#
# Both networks at once: every step, a batch with image labels teaches the classifier, and a batch from
# the few {term}`slices <slice>` with masks teaches SAM, in boxes from the classifier as it is just then. The paper
# {cite}`ward2025sammix` says that the two help each other. Do they? This chapter builds its method to
# the letter, looks at what can pass from one network to the other, and builds two forms in which more
# can.
#
# **Goals.** After this chapter you will be able to
#
# - **write down** one step of SAM-Mix, and say which loss reaches which weights;
# - **explain** why a box stops a gradient, and name two ways round it;
# - **compare** systems fairly: same labels, same steps, several seeds, another cohort;
# - **read** an ablation, and keep apart what was tried once and what was repeated.
#
# *You need:* [chapter 6](chapter-sampp). *Time:* an hour to read and try, ten minutes to
# run for the first time, when it trains three systems.

# %% tags=["parameters"]
PROFILE = "pocket"

# %%
import pandas as pd
import torch

# %%
from samnb.method import Batch, of_target, segment
from samnb.prompts.boxes import active_pixels
from samnb.reports import boxes, cams, curves, style
from samnb.reports.localisation import localisation_table
from samnb.reports.paper import published

# %%
from samnb.reports.printing import styled
from samnb.reports.systems import with_variants
from samnb.reports.tables import segmentation_table, significance_matrix
from samnb.runs import records
from samnb.runs.run import Run
from samnb.runs.runner import load_method
from samnb.studies import cohorts as cohort
from samnb.studies import load_profile
from samnb.systems import sam_mix

style.use()
profile = load_profile(PROFILE)
side = profile.data.slices.side
FORMS = ("sam_mix", "sam_mix_guided", "sam_mix_soft")

# %% [markdown]
# ## One step
#
# ```{literalinclude} ../samnb/systems/sam_mix.py
# :pyobject: SamMix.forward
# ```
#
# The classification loss is the focal loss of [chapter 5](chapter-maps) (Eq. 3). The segmentation loss
# is Eq. 9, one minus {term}`Dice` {cite}`milletari2016vnet`,
#
# $$ \mathcal{L}_{seg} = 1 - \frac{2 \sum_i \hat y_i y_i}{\sum_i \hat y_i + \sum_i y_i}. $$
#
# ## What a box lets through
#
# A box is four whole numbers. If the map changes a little, the box stays where it is, so its
# derivative is zero, and the segmentation loss has no way to tell the classifier that the box was bad.
# Let us see it. One step for each form, and then how strongly the segmentation loss pulls at the
# weights of either network:

# %%
slices = cohort.cohort_slices(profile, "lits")
few = cohort.labelled_rows(profile, "lits", min(profile.data.labelled))
images, masks = (
    torch.from_numpy(values) for values in slices.load(few, target=0)
)
batch = Batch(
    images, torch.ones(len(images), 1).long(), images, masks[:, None]
)

# %%
pull = {}
for form, options in {
    "as the paper writes it": {},
    "guided": {"guided": True},
    "soft": {"soft": True},
}.items():
    torch.manual_seed(0)
    method = sam_mix.build(profile, 0, **options)
    losses = method(batch)
    shared = losses["segmentation"] + losses.get("guidance", 0)
    shared.backward()
    pull[form] = {
        name: any(
            value.grad is not None and bool(value.grad.any())
            for value in getattr(method, name).parameters()
        )
        for name in ("classifier", "sam")
    }
pd.DataFrame(pull).T.replace({True: "reached", False: "not reached"})

# %% [markdown]
# To the letter, the two networks are trained side by side, not together: the masks teach SAM only, and
# the classifier would learn the same without it. Hence two more forms, each with one more line:
#
# - **guided**: the few masks also supervise the map. The box rule of Eq. 5 is made soft, with
#   $\sigma\big(s\,(g - \omega \max g) / \max |g|\big)$, and compared with the mask by Dice and
#   cross-entropy;
# - **soft**: the same soft map enters SAM as its mask prompt, beside the box. It is made of numbers
#   that may change a little, so the segmentation loss reaches the classifier: end to end.
#
# ```{literalinclude} ../samnb/training/losses.py
# :pyobject: relative_logits
# ```
#
# ## All of them, on equal terms
#
# Same slices, same labels, same number of steps, as many seeds as the profile says. `make runs` makes
# the runs, minutes each; here their records are read. A table says which seeds are missing, if any.
#
# The guided form stands there twice. Its first weight, one, was a guess, and a bad one, as the
# validation patients show further below. *Lightly guided* is the same form with a tenth of that weight
# (`mix.guidance=0.1`), chosen on them.

# %%
cohorts = list(profile.data.splits)
cases = with_variants(records.load_cases(profile))
spine = cases[cases["system"].str.match("CAM|SAM-")]

# %% tags=["nbval-ignore-output"]
table = segmentation_table(spine, cohorts[0], published(1), profile.seeds)
styled(table, "In-domain: LiTS-like phantoms, pocket SAM")

# %% tags=["nbval-ignore-output"]
cross = segmentation_table(spine, cohorts[1], published(2), profile.seeds)
styled(cross, "Cross-domain: TotalSegmentator-like phantoms, pocket SAM")

# %% [markdown]
# The paper's order is SAM-Mix before SAM-PP before SAM-PP without any mask. Does it hold here?

# %% tags=["nbval-ignore-output"]
middle = sorted(profile.data.labelled)[1]
order = ["SAM-PP-0", f"SAM-PP-{middle}", f"SAM-Mix-{middle}"]
means = pd.DataFrame(
    {
        "in-domain": table["dice"][order],
        "cross-domain": cross["dice"][order],
    }
)
order_holds = means.apply(
    lambda column: "yes" if column.is_monotonic_increasing else "no"
)
pd.concat([means.round(3).T, order_holds.rename("in this order")], axis=1)

# %% [markdown]
# A *yes* by less than the seeds scatter is a tie, not a victory: compare with the deviations above.

# %% mystnb={"figure": {"caption": "Dice against the number of slices with masks. Line: mean over seeds; band: their deviation; points: the seeds.", "name": "fig-sammix-labels"}, "image": {"alt": "Two panels, in-domain and cross-domain, with a curve for each system over 0, 5, 50 and 100 labelled slices on a logarithmic axis."}} tags=["nbval-ignore-output"]
figure = curves.label_efficiency(spine, cohorts)

# %% mystnb={"figure": {"caption": "Dice by patient, mean over seeds. Box: quartiles; line: median; diamond: mean; every point a patient.", "name": "fig-sammix-patients"}, "image": {"alt": "Two panels of horizontal box plots with one row for each system and one point for each test patient."}} tags=["nbval-ignore-output"]
figure = boxes.case_boxes(spine, cohorts)

# %% [markdown]
# A slice with liver can be lost in two ways: the classifier calls it free of liver, and nobody looks
# any further; or it is called, and the mask is poor. Taken apart, for the middle number of labels:

# %% tags=["nbval-ignore-output"]
pairs = spine[spine["system"].str.endswith(f"-{middle}")]
pairs = pairs[pairs["change"] == ""]
liver = pairs[pairs["label"] == 1].assign(
    called=lambda rows: rows["presence"] > 0.5
)
groups = ["cohort", "system"]
apart = pd.DataFrame(
    {
        "liver slices called": liver.groupby(groups)["called"].mean(),
        "Dice of those called": liver[liver["called"]]
        .groupby(groups)["dice"]
        .mean(),
        "Dice of all slices": pairs.groupby(groups)["dice"].mean(),
    }
)
apart.round(3)

# %% [markdown]
# Read the two columns apart. In-domain, all are alike. Across domains the systems draw much the same
# liver where they draw at all; they differ in how often they are asked to. So what training together
# changes here is the classifier's yes or no, more than SAM's outline. The soft form, whose classifier
# feels the segmentation loss, says yes to more of the slices with liver than the two-stage one. But the
# seeds scatter widely there: look at the deviations in the table above before you believe in an order.
#
# Do the differences between systems hold across patients? A paired Wilcoxon test on the patients'
# means, corrected by Holm for the number of pairs:

# %% tags=["nbval-ignore-output"]
significance_matrix(pairs, cohorts[0]).round(3)

# %% [markdown]
# ## Where they look
#
# The table to look at first. The area under the ROC curve says whether the classifier knows; the
# {term}`pointing game` (hit) and the overlap of the boxes say whether it looks.

# %% tags=["nbval-ignore-output"]
known = localisation_table(spine, cohorts[0])
known[["auc", "hit", "hit_deviation", "box_iou"]].round(2)

# %% mystnb={"figure": {"caption": "One test slice, the map of each form with the liver outlined; the star is the highest point.", "name": "fig-sammix-maps"}, "image": {"alt": "The same abdominal slice three times with activation maps of the three forms of SAM-Mix and the outline of the liver."}} tags=["nbval-ignore-output"]
rows = slices.rows_of(cohort.cohort_split(profile, "lits").test)
rows = rows[slices.index["mask_pixels"].to_numpy()[rows] >= 20][::4]
images, masks = (
    torch.from_numpy(values) for values in slices.load(rows, target=0)
)
methods = {
    form: load_method(Run(profile, form, middle, profile.seeds[0])).eval()
    for form in FORMS
}
answers = {
    form: of_target(segment(each, images)) for form, each in methods.items()
}

figure, axes = style.panels(1, len(FORMS))
shown = len(rows) // 2
for place, (form, answer) in zip(axes, answers.items(), strict=True):
    picture, cam = images[shown, 0].numpy(), answer.cams[shown].numpy()
    cams.show_map(place, picture, cam, form)
    place.contour(masks[shown], [0.5], colors=style.TRUTH, linewidths=1)

# %% mystnb={"figure": {"caption": "Every stage of the soft form for that slice.", "name": "fig-sammix-stages"}, "image": {"alt": "Eight pictures of one abdominal slice: plain, map, active pixels with box, three masks with scores, the mask that counts, the truth."}} tags=["nbval-ignore-output"]
answer = answers["sam_mix_soft"]
active = active_pixels(answer.cams, profile.prompting.threshold, side)
figure = cams.show_answer(
    images[shown, 0].numpy(),
    masks[shown].numpy(),
    active[shown].numpy(),
    answer,
    shown,
)

# %% [markdown]
# ## What holds the others back
#
# The same SAM, given the box of the truth instead of the map's by a user who knows it: the
# {term}`ceiling` of each form, on the test slices with liver of the first {term}`cohort`. (The SAM of the
# soft form expects the map as well, and is not asked so.)


# %% tags=["nbval-ignore-output"]
def dice_with_liver(system: str, *changes: str) -> float:
    """Of one run, the first seed and the middle number of labels."""
    run = Run(profile, system, middle, profile.seeds[0], changes)
    found = records.read_record(run).slices
    liver = (found["cohort"] == cohorts[0]) & (found["label"] == 1)
    return found.loc[liver, "dice"].mean()


user = 'users=["box 1"]'
pd.DataFrame(
    {
        "from the image alone": {
            "sam_mix": dice_with_liver("sam_mix"),
            "sam_mix_guided": dice_with_liver("sam_mix_guided"),
        },
        "box from the truth": {
            "sam_mix": dice_with_liver("sam_mix_prompted", user),
            "sam_mix_guided": dice_with_liver(
                "sam_mix_guided_prompted", user
            ),
        },
    }
).round(3)

# %% [markdown]
# ## One thing at a time
#
# Ablations: each row changes one setting. One seed, so that a difference of a point or two means
# nothing; it shows what matters a lot and what does not. The first column is of the validation patients
# of the first {term}`cohort`. Only that one may be used to choose.

# %%
tried = [
    record
    for record in records.automatic_records(profile)
    if record.facts["labels"] == middle
    and record.facts["seed"] == profile.seeds[0]
    and record.facts["system"] in ("sam_mix_soft", "sam_mix_guided")
    # chapter 10 looks at precisions, with every seed
    and not any(".precision" in item for item in record.facts["changes"])
]

# %% tags=["nbval-ignore-output"]
effect = pd.DataFrame(
    [
        {
            "form": record.facts["title"],
            "change": " ".join(record.facts["changes"]) or "as it is",
            "validation": max(
                note["dice"] for note in record.facts["validation"]
            ),
        }
        | {name: record.facts["summary"][name]["dice"] for name in cohorts}
        | {"box IoU": record.facts["summary"][cohorts[0]]["box_iou"]}
        for record in tried
    ]
)
effect.set_index(["form", "change"]).round(3)

# %% [markdown]
# Look at the guided form. The loss between map and mask is many times the focal loss, which is small
# once slices are easy. With equal weights the classifier learns the map and forgets its yes and no.
# With a tenth of the weight it does both, on the validation patients too, and that is the only reason
# why the lightly guided form was then run with every seed.

# %% [markdown]
# ## What the paper leaves open
#
# | the paper does not say | here |
# |---|---|
# | an epoch of what | a fixed number of steps; every system has the same |
# | how many labelled slices a step sees | as many as the profile's `marked`, at most all |
# | which parts of SAM train | {term}`LoRA`, and what `sam.trained` names |
# | SAM's input side | that of the slices |
# | in which precision | bfloat16 where the processor is fast in it; [chapter 10](section-half) compares |
# | $\alpha$ and $\gamma$ of the focal loss | those of the focal loss's paper |
# | how the map becomes pixels | enlarged smoothly, then cut |
# | one box or one for each region | one |
# | a slice called free of liver | an empty mask |
# | whether boxes are shaken in training | yes, as `prompting.jitter` says |
# | which of the three masks counts | the single one |
# | the weight between the losses | one |
# | whether means include slices without liver | they do; those with liver are in [chapter 6](chapter-sampp) |
#
# ## Exercises
#
# ### Exercise 1: more pull
#
# Double the weight of the segmentation loss (`mix.segmentation=2`) in the paper's form and in the soft
# form. In which of them can the map change?
#
# ```{admonition} Solution
# :class: dropdown
# Only in the soft form. In the paper's form the classifier's gradient does not contain that loss; the
# clipping of the gradient's norm, common to both networks, may still change its steps a little.
# ```
#
# ### Exercise 2: both
#
# Combine the two: a soft form that is also guided. One argument in `sam_mix.build`, one line in the
# registry.
#
# ```{admonition} Solution
# :class: dropdown
# `"sam_mix_both": System("SAM-Mix both", partial(sam_mix.build, guided=True, soft=True))`. That is how
# any method is added.
# ```
#
# ### Exercise 3: fewer steps
#
# Halve `learning.sam.epochs`. Which form suffers most, and why?
#
# ```{admonition} Solution
# :class: dropdown
# `run(Run(profile, form, 50, 1, ("learning.sam.epochs=5",)))` for each form. In the joint forms SAM
# learns in boxes of a classifier that is not finished, so for a while it learns from bad boxes.
# ```

# %% [markdown]
# ## Check yourself
#
# Answer in a sentence or two, best aloud or on paper, before you open the answer.
#
# **1.** Take the paper's form. Would you expect its classifier to look elsewhere than that of
# SAM-PP?
#
# ```{admonition} Answer
# :class: dropdown
# Not because of the masks: no loss of theirs reaches it. It may differ a little by other batches,
# another number of steps, and the common clipping of the gradient. That is chance, not cooperation.
# ```
#
# **2.** Why can a soft map pass a gradient to the classifier, when the box made of the same map
# cannot?
#
# ```{admonition} Answer
# :class: dropdown
# The soft map changes a little if the weights change a little, so there is a derivative. The box
# jumps from one whole pixel to the next: between two jumps it does not change at all, and its
# derivative is zero.
# ```
#
# **3.** Two systems differ by less than the seeds of each scatter. What would you look at before
# you rank them?
#
# ```{admonition} Answer
# :class: dropdown
# More seeds; the difference patient by patient, since pairs are sharper than means; the second
# cohort. And whether anyone has to rank them: "alike at this budget" is a result too.
# ```
#
# **4.** Across domains one system says yes to more of the slices with liver. Is it the better one?
#
# ```{admonition} Answer
# :class: dropdown
# Only if it does not say yes everywhere. Look at the slices without liver as well: what is gained
# in misses may be paid in false alarms.
# ```
#
# **5.** In the ablations one row is the best on the test patients, another on the validation
# patients. Which setting goes into the profile?
#
# ```{admonition} Answer
# :class: dropdown
# That of the validation patients. Choosing by the test set would make the test a part of the
# training, and with one seed the difference may be nothing but luck.
# ```

# %% [markdown]
# ## What you did
#
# You
#
# - **wrote down** one step, and saw which loss reaches which weights;
# - **explained** why a box stops a gradient, and built two ways round it;
# - **compared** systems at equal labels, steps and seeds, in two cohorts;
# - **read** an ablation with the caution that one seed asks for.
