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
# (chapter-baselines)=
# # Fully supervised baselines
#
# SAM-Mix {cite}`ward2025sammix` is compared with three networks that know no prompts and no foundation
# model: U-Net {cite}`ronneberger2015unet`, nnU-Net {cite}`isensee2021nnunet` and TransUNet
# {cite}`chen2024transunet`. In the paper they have the masks of *all* training {term}`slices <slice>`, SAM-Mix has a
# hundred at most, and SAM-Mix still wins. That says something about masks and something about methods,
# and leaves open which is which. So this chapter trains two of them with few masks as well: the same
# slices, the same seeds, the same test.
#
# **Goals.** After this chapter you will be able to
#
# - **say** what each of the three networks adds to the one before;
# - **follow** a slice through a network by its shapes, and count parameters;
# - **derive** the plan that nnU-Net makes from the data, and read it;
# - **compare** systems at equal labels, and not only at each one's best;
# - **weigh** a score against what it costs.
#
# *You need:* [chapter 1](chapter-slices). *Time:* an hour to read and try, a few minutes to run.

# %% tags=["parameters"]
PROFILE = "pocket"

# %%
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import torch

# %%
from samnb.networks.nnunet_plan import (
    Limits,
    fingerprint_of,
    plan,
    plan_text,
)
from samnb.reports import curves, grids, pictures, plans, style
from samnb.reports.layout import build_without_memory, count, layout
from samnb.reports.paper import published

# %%
from samnb.reports.printing import styled
from samnb.reports.sizes import beside_published
from samnb.reports.systems import with_variants
from samnb.reports.tables import cost_table, segmentation_table
from samnb.runs import records
from samnb.runs.run import Run
from samnb.runs.runner import make_record
from samnb.studies import cohorts as cohort
from samnb.studies import load_profile
from samnb.systems.nnunet_shown import one_by_one

style.use()
profile, paper = load_profile(PROFILE), load_profile("paper")
side = profile.data.slices.side
FULL = {"unet": "U-Net", "nnunet": "nnU-Net", "transunet": "TransUNet"}

# %% [markdown]
# ## U-Net: down, and up again with a memory
#
# To say *what* is in a picture a network must see much of it at once; to say *where* it must keep the
# pixels apart. U-Net does one after the other. On the way down the maps are halved four times, and
# every halving doubles the channels. On the way up they are doubled again, and at each size the map
# from the way down is put beside: a {term}`skip connection`. What was forgotten below comes back.
#
# The table follows one slice through the network at the paper's size. It is built without memory for
# its weights, so that shapes and counts cost nothing. Output: channels × rows × columns.

# %%
layout("unet", paper)

# %% [markdown]
# Read it from both ends: the two outer rows have the same side, the next two as well. Nearly half of
# all parameters are in the row `down_4`, where the maps are smallest. That says little about the
# arithmetic, which exercise 2 counts.
#
# ## nnU-Net: the same network, planned
#
# nnU-Net adds nothing to the architecture. Its claim is that a plain U-Net wins if everything around
# it is right, and that this needs rules, not taste. First it takes a *fingerprint* of the data: shape,
# {term}`spacing`, and how bright the target is.

# %%
slices = cohort.cohort_slices(profile, "lits")
rows = cohort.labelled_rows(profile, "lits", max(profile.data.labelled))
images, masks = slices.load(rows, target=0)
spacings = slices.index[["spacing_row", "spacing_column"]].to_numpy()[rows]
seen = fingerprint_of(images[:, 0], masks, spacings)
for name, value in asdict(seen).items():
    print(f"{name:8}", np.round(value, 3))

# %% [markdown]
# From the fingerprint follow patch, depth, {term}`kernel`, batch and normalisation. An axis is
# halved as long as enough is left of it, and as long as its pixels are not much coarser than the
# other's:
#
# ```{literalinclude} ../samnb/networks/nnunet_plan.py
# :pyobject: _stages
# ```
#
# The profile says how wide the network may be; all else is planned.

# %%
limits = Limits(profile.nnunet.width, profile.nnunet.most)
chosen = plan(seen, side, limits)
print(plan_text(chosen))

# %% mystnb={"figure": {"caption": "The plan for this profile. Left: the way down; right: the way up; lines between them: skips. A longer bar has a larger map, a stronger colour more channels. The loss is taken at several sizes of the decoder, with the weights beside it.", "name": "fig-baselines-plan"}, "image": {"alt": "A U-shaped network drawn as bars. On the left the encoder, whose maps shrink from stage to stage down to four pixels while the channels grow; on the right the decoder, whose maps grow again; one deepest stage in the middle."}}
figure = plans.show_plan(
    chosen.patch,
    chosen.features,
    chosen.kernels,
    chosen.strides,
    chosen.deep_supervision,
)

# %% [markdown]
# The batch of the plan is as large as a GPU of its time could hold, and at most a twentieth of the
# data. For fairness nnU-Net has the steps and the batch of the profile here; a setting
# (`nnunet.schedule=own`) gives it its own batch and its own thousand epochs.
#
# Beside the plan it brings
#
# - {term}`deep supervision`: the loss is taken at several depths, so that the deep layers learn early;
# - **augmentation**, below: what might be different in the next patient is made different now;
# - **mirrored passes**: at test time the slice is segmented four times, flipped, and averaged;
# - **the largest piece**: all others are dropped, but only if that helped on validation patients.

# %% mystnb={"figure": {"caption": "Every augmentation of nnU-Net on its own, with the probability it has in training. Green: the mask, which moves along.", "name": "fig-baselines-augmentations"}, "image": {"alt": "Twelve pictures of one abdominal slice with the liver outlined: as it is, then rotated, scaled, noisy, blurred, brighter or darker, of other contrast, of lower resolution, twice with another gamma, and mirrored along each axis."}}
largest = int(masks.sum(axis=(1, 2)).argmax())
plain = torch.from_numpy(images[largest]).clamp(chosen.low, chosen.high)
normal = (plain - chosen.mean) / chosen.std
mask = torch.from_numpy(masks[largest])
changed = {"as it is": (normal, mask)}
changed |= one_by_one(normal, mask, chosen.rotation, seed=10)
span = chosen.high - chosen.low
shown = [
    (((each * chosen.std) + chosen.mean - chosen.low) / span).clamp(0, 1)[0]
    for each, _ in changed.values()
]
figure = pictures.show_slices(
    [each.numpy() for each in shown],
    list(changed),
    [truth.numpy() for _, truth in changed.values()],
    columns=4,
)

# %% [markdown]
# The slices look harsher than before, since intensities are first cut to the range of the *target*:
# what is brighter or darker than any liver is of no use for its outline. The corners of a turned slice
# are not black: they are filled with zero, and after normalisation zero is the average liver. The
# published code does the same.
#
# ## TransUNet: a look at everything at once
#
# A convolution sees its neighbours. Only in the deepest maps of a U-Net do distant places meet.
# TransUNet puts a transformer there: every place of the small map becomes a {term}`token`, and
# in every layer each token reads all others. Before it stands a ResNet, after it an upsampler with
# skips, as in U-Net.

# %%
layout("transunet", paper)

# %% [markdown]
# Four fifths of the parameters are in the transformer. It knows nothing of neighbours when it begins;
# the learned positions are all it has. Such networks ask for much data. The published one starts from
# weights of fourteen million photographs. In SAM-Mix all baselines start from random weights, so this
# comparison is not kind to TransUNet.
#
# ## Are these the published networks?
#
# A baseline that was built wrongly is easily beaten. So count: here against the published layers.

# %%
counted = {
    title: count(build_without_memory(system, paper))
    for system, title in FULL.items()
}
beside_published(counted).round(2)

# %% [markdown]
# What remains has reasons: our U-Net upsamples into a wider map at the very end, and our TransUNet has
# more positions, since its slices are larger, and fewer classes. Two papers print a smaller TransUNet
# than its released code is.
#
# ## Training
#
# Every system by the same loop. Runs that exist are loaded.

# %%
found = {}
for system in FULL:
    few = () if system == "transunet" else profile.data.labelled
    for labels in (None, *few):
        for seed in profile.seeds:
            found[system, labels, seed] = make_record(
                Run(profile, system, labels, seed)
            )

# %% mystnb={"figure": {"caption": "Training with all masks, first seed: the loss that each system takes from its own recipe, and Dice on the validation patients, which can be compared.", "name": "fig-baselines-training"}, "image": {"alt": "Two panels of curves over the training step for U-Net, nnU-Net and TransUNet: the falling loss on a logarithmic axis, and the Dice of the validation patients."}} tags=["nbval-ignore-output"]
first = profile.seeds[0]
figure = curves.training_curves(
    [found[system, None, first].facts for system in FULL],
    ("loss", "dice"),
)

# %% [markdown]
# The heights of the losses mean little side by side: each recipe sums something else. {term}`Dice` on the
# validation patients is the same measure for all. Where its curve still rises at the end, a system was
# stopped early, and its table row is a row of this budget, not of the system's best.
#
# ## With all masks
#
# The first rows of the paper's two tables, on our cohorts. The last columns are the paper's, on the
# real LiTS: another world, so look at the order and at the fall from one table to the next.

# %%
cohorts, seeds = list(profile.data.splits), profile.seeds
cases = with_variants(records.load_cases(profile))
cases = cases[cases["change"].fillna("") == ""]
full = cases[cases["system"].isin(FULL.values())]

# %% tags=["nbval-ignore-output"]
table = segmentation_table(full, cohorts[0], published(1), seeds)
styled(table, "All masks, in-domain: LiTS-like phantoms")

# %% tags=["nbval-ignore-output"]
cross = segmentation_table(full, cohorts[1], published(2), seeds)
styled(cross, "All masks, cross-domain: TotalSegmentator-like phantoms")

# %% [markdown]
# How much of it is lost on the way to another {term}`cohort`? And what do the answers look like? The
# rows are chosen by a rule: best, middle and worst Dice of U-Net among the slices kept for pictures.

# %% tags=["nbval-ignore-output"]
(table["dice"] - cross["dice"]).rename("Dice lost").to_frame().round(3)

# %% mystnb={"figure": {"caption": "In-domain, all masks, first seed. Green: the truth; red, dashed: the answer.", "name": "fig-baselines-grid"}, "image": {"alt": "Three slices in rows, three systems in columns; in each picture the true outline of the liver in green and the system's in red, with the Dice below."}} tags=["nbval-ignore-output"]
kept = {
    title: found[system, None, first].pictures
    for system, title in FULL.items()
}
inside = kept["U-Net"]["cohort"] == cohorts[0]
pixels, truths = slices.load(kept["U-Net"]["row"][inside], target=0)
answers = {name: each["masks"][inside] for name, each in kept.items()}
places = grids.chosen_rows(truths, answers["U-Net"])
numbers = list(places.values())
figure = grids.qualitative_grid(
    pixels[numbers, 0],
    truths[numbers],
    {name: each[numbers] for name, each in answers.items()},
    list(places),
)

# %% [markdown]
# ## With few masks
#
# The comparison that the paper leaves out. U-Net and nnU-Net learn from the same marked slices as
# SAM-Mix, and from nothing else. SAM-Mix also has the image labels of all slices, and a SAM that has
# seen many pictures before. What it gains over these rows is what those two are worth.

# %%
few = cases[
    cases["system"].str.fullmatch(r"(?:nn)?U-Net-\d+|SAM-(?:PP|Mix.*)-\d+")
]

# %% tags=["nbval-ignore-output"]
equal = segmentation_table(few, cohorts[0], seeds=seeds)
columns = ["dice", "dice_deviation", "dice_low", "dice_high", "seeds"]
styled(equal[columns], "Equal labels, in-domain")

# %% tags=["nbval-ignore-output"]
equal_cross = segmentation_table(few, cohorts[1], seeds=seeds)
styled(equal_cross[columns], "Equal labels, cross-domain")

# %% mystnb={"figure": {"caption": "Dice against the number of slices with masks, in-domain and cross-domain. Line: mean over seeds; band: their deviation; points: the seeds. Horizontal lines: all masks.", "name": "fig-baselines-labels"}, "image": {"alt": "Two panels with one curve for each system over the number of labelled slices on a logarithmic axis; horizontal lines for U-Net, nnU-Net and TransUNet with all masks."}} tags=["nbval-ignore-output"]
drawn = cases[cases["system"].isin([*FULL.values(), *few["system"]])]
figure = curves.label_efficiency(drawn, cohorts, panel_height=4.2)

# %% [markdown]
# One thing must be known before that figure is read. All labelled slices show liver, so a network that
# learns from them alone has never seen a slice without. Dice by what the slice shows:

# %% tags=["nbval-ignore-output"]
few.pivot_table(
    index="system", columns=["cohort", "label"], values="dice"
).rename(columns={0: "no liver", 1: "liver"}).round(3)

# %% [markdown]
# In slices without liver, U-Net often draws one and nnU-Net nearly always, where SAM-Mix asks its classifier,
# which has seen such slices, labelled by a yes or no that costs a second. In slices with liver they are
# not behind at all in-domain; across domains they are, with five masks by far. So what does SAM add, and what the yes and no? Let U-Net ask first, too: where the
# classifier of [chapter 5](chapter-maps) (same seed) sees no liver, its answer is empty. No training is
# needed for that, only the records.

# %% tags=["nbval-ignore-output"]
keys = ["cohort", "scan", "slice", "seed"]
asked = cases[cases["system"] == "CAM alone"][[*keys, "presence"]]
plain = cases[cases["system"].str.fullmatch(r"(?:nn)?U-Net.*")]
gated = plain.drop(columns="presence").merge(asked, on=keys)
silent = gated["presence"] <= 0.5
gated.loc[silent, "dice"] = (gated.loc[silent, "label"] == 0).astype(float)
rivals = cases[cases["system"].str.fullmatch(r"SAM-(?:PP|Mix).*-\d+")]
everyone = {"alone": plain, "asks first": gated, "by itself": rivals}
pd.concat(
    {
        how: table.pivot_table(
            index="system", columns="cohort", values="dice"
        )
        for how, table in everyone.items()
    }
).round(3)

# %% [markdown]
# Compare the rows that ask first with those of SAM-Mix at equal labels. That is the fair comparison: the
# same masks, the same image labels, a yes or no from the same kind of network. On these {term}`phantoms <phantom>` it
# has two halves. In-domain, a U-Net that asks first is ahead of every form of SAM-Mix: there SAM adds
# nothing to the drawing, and the image labels were what SAM-Mix was ahead by. Across domains U-Net falls
# far and SAM-Mix does not, most of all with five masks: what was learned from shapes and never from these
# scanners holds on other ones. The paper has no such row. It is the first one to ask of any method
# that brings a classifier along.
#
# Now read the figure from left to right. Where a curve of SAM lies above U-Net's, labels are saved; the
# way from one to the other along the horizontal is how many. Where the curves meet, there are enough
# masks to do without SAM. And compare both panels: an order that holds in one need not hold in the
# other. Systems that no chapter has run yet on this machine are missing.
#
# ## Short of time?
#
# nnU-Net is made for a thousand epochs of plain gradient descent. A profile of minutes has two hundred
# steps, in which that hardly starts: on the validation patients, with all masks, it ended below a
# network that draws nothing. So the small profile teaches it by AdamW (chosen there); the profile
# *paper* keeps the published rule. Is it still short of time? Four times the epochs for both, one seed,
# the middle number of labels:

# %% tags=["nbval-ignore-output"]
middle = sorted(profile.data.labelled)[1]
tried = [
    record.facts
    for record in records.automatic_records(profile)
    if record.facts["labels"] == middle
    and record.facts["seed"] == seeds[0]
    and record.facts["system"] in ("unet", "nnunet")
    # chapter 10 looks at precisions, chapter 16 at synthetic images
    and not any(
        ".precision" in item or item.startswith("synthesis.")
        for item in record.facts["changes"]
    )
]
longer = pd.DataFrame(
    [
        {
            "system": facts["name"],
            "epochs": facts["settings"]["learning"]["epochs"],
            "validation": max(note["dice"] for note in facts["validation"]),
        }
        | {name: facts["summary"][name]["dice"] for name in cohorts}
        for facts in tried
    ]
)
longer.set_index(["system", "epochs"]).round(3)

# %% [markdown]
# If the longer row is much better, the short one says more about the budget than about the network.
# The published package itself can be asked too, on the same slices:
# `samnb stock-nnunet --labels 50`, whose network is as wide as published.
#
# ## What it costs
#
# Parameters and multiplications are counted; seconds and memory are measured on the device named, and
# compare only within it. Training seconds belong to the budget of the profile.

# %% tags=["nbval-ignore-output"]
costs = cost_table(
    [
        each.facts
        for each in records.automatic_records(profile)
        if each.name in {*FULL.values(), *few["system"]}
    ]
)
styled(costs, "Cost of each system")

# %% [markdown]
# A foundation model moves cost from the labels to the computer: few masks, and many multiplications
# for every slice to come.
#
# ## Exercises
#
# ### Exercise 1: another spacing
#
# Suppose the pixels were three times as tall as wide. What does the plan become, and why?

# %% tags=["hide-cell"]
tall = plan(replace(seen, spacing=(0.8, 2.4)), side, limits)
print("kernels", tall.kernels)
print("strides", tall.strides)

# %% [markdown]
# ```{admonition} Solution
# :class: dropdown
# See the hidden cell above. Here rows are the finer axis. It alone is halved first, with kernels of one
# pixel along the other, until the pixels are about square in millimetres. A network should not mix
# places that are far apart as early as places that are near.
# ```
#
# ### Exercise 2: where the arithmetic is
#
# A convolution of $3 \times 3$ with $a$ channels in and $b$ out takes $9\,a\,b$ multiplications for
# each pixel. Compare the first and the last stage of U-Net's way down.

# %% tags=["hide-cell"]
width, large = paper.unet.width, paper.data.slices.side
finest = 9 * (1 * width + width * width) * large**2
last, small = 16 * width, large // 16
deepest = 9 * (last // 2 * last + last * last) * small**2
print(f"finest {finest / 1e9:.2f} G, deepest {deepest / 1e9:.2f} G")

# %% [markdown]
# ```{admonition} Solution
# :class: dropdown
# See the hidden cell above. Per halving the pixels are a quarter and the products of channels four
# times as many, so all stages cost about the same. Parameters do not count pixels: nearly all of them
# are deep.
# ```
#
# ### Exercise 3: its own time
#
# Give U-Net twice the epochs. Does it gain more with five masks or with a hundred?
#
# ```{admonition} Solution
# :class: dropdown
# `make_record(Run(profile, "unet", 5, 1, ("learning.unet.epochs=20",)))`, and the same with `100`. With five
# slices it has seen each of them many times already; look at the validation curve of
# `record.facts["validation"]` before you call the gain real.
# ```

# %% [markdown]
# ## Check yourself
#
# Answer in a sentence or two, best aloud or on paper, before you open the answer.
#
# **1.** Take the skip connections out of a U-Net. What can it still say, and what not?
#
# ```{admonition} Answer
# :class: dropdown
# Still what is there, and roughly where. But the exact outline was lost in the halvings, and
# nothing brings it back: masks become round and soft.
# ```
#
# **2.** nnU-Net makes its plan from the labelled slices only, and not from all of them. Why so
# strict?
#
# ```{admonition} Answer
# :class: dropdown
# The fingerprint looks under the masks: how bright is the target? Taken from all slices it would
# use masks that a system with few labels is not supposed to have.
# ```
#
# **3.** With equal masks SAM-Mix is ahead of U-Net. May one credit the way SAM-Mix is built?
#
# ```{admonition} Answer
# :class: dropdown
# Not alone. It also has the image labels of all slices, and a SAM that has seen many pictures. To
# credit the build, a U-Net would need the same two gifts: pre-training, and something to learn from
# image labels.
# ```
#
# **4.** One network's training loss is far below the other's. Which is better?
#
# ```{admonition} Answer
# :class: dropdown
# Nobody knows from that. Each recipe adds up other terms, at other depths, with other weights. Only
# the same measure on the same patients can be compared.
# ```

# %% [markdown]
# ## What you did
#
# You
#
# - **said** what each network adds: skips, a plan, a look at everything at once;
# - **followed** a slice by its shapes, and counted the published numbers again;
# - **derived** nnU-Net's plan from a fingerprint of the data;
# - **compared** systems at equal labels, in two cohorts;
# - **weighed** scores against their cost.
#
# **Next:** a baseline that also uses image labels.
