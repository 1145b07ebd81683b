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
# (chapter-multimix)=
# # MultiMix
#
# The nearest relative of SAM-Mix is older than SAM. MultiMix {cite}`haque2021multimix` also learns
# from image labels of all {term}`slices <slice>` and masks of a few, also classifies and segments, and also lets the
# one help the other. Its help is no box but a picture of where the classifier looked, handed straight
# to the decoder. The authors of SAM-Mix name it as what inspired them, and leave out its proxy labels
# when they compare. So does this chapter.
#
# **Goals.** After this chapter you will be able to
#
# - **draw** one encoder with two tasks, and say what each task teaches it;
# - **compute** a saliency map, and tell it from an activation map;
# - **find** a term of a loss that is always zero, and say why nobody noticed;
# - **judge** what image labels add to the same few masks.
#
# *You need:* [chapter 8](chapter-baselines). *Time:* forty minutes to read and try, a few minutes to
# run.

# %% tags=["parameters"]
PROFILE = "pocket"

# %%
import pandas as pd
import torch
from torch.nn import functional as F

from samnb.evaluation.statistics import compare_systems
from samnb.method import of_target, segment
from samnb.reports import cams, curves, pictures, style
from samnb.reports.layout import build_without_memory, count, layout
from samnb.reports.localisation import localisation_table
from samnb.reports.paper import published

# %%
from samnb.reports.printing import styled
from samnb.reports.sizes import beside_published
from samnb.reports.systems import with_variants
from samnb.reports.tables import segmentation_table
from samnb.runs import records
from samnb.runs.run import Run
from samnb.runs.runner import load_method, make_record
from samnb.studies import cohorts as cohort
from samnb.studies import load_profile

# %%
from samnb.systems.multimix import divergence

style.use()
profile, paper = load_profile(PROFILE), load_profile("paper")
most, first = max(profile.data.labelled), profile.seeds[0]

# %% [markdown]
# ## One encoder, two tasks
#
# The encoder is that of a narrow U-Net. Behind its deepest map stands a linear layer that says whether
# there is liver: the *classification head*. The decoder goes up as in U-Net. Output: channels × rows ×
# columns.

# %%
layout("multimix", paper)

# %%
counted = {"MultiMix": count(build_without_memory("multimix", paper))}
beside_published(counted).round(2)

# %% [markdown]
# It is by far the smallest network of the comparison. After each convolution a quarter of the values
# is dropped, which slows learning, and makes it harder to learn few masks by heart.
#
# ## The saliency bridge
#
# The first stage of the decoder has two channels more than a U-Net's. They hold the slice itself and
# its {term}`saliency map`: how much the larger class {term}`logit` would change if a pixel did,
#
# $$ s = \left| \frac{\partial \max(\hat c_0, \hat c_1)}{\partial x} \right|. $$
#
# ```{literalinclude} ../samnb/systems/multimix.py
# :pyobject: MultiMix.saliency
# ```
#
# It needs a backward pass at test time as well, which no other system here does. The map has the side of
# the slice, not that of the last map, and says where the decision is *sensitive*, not what speaks
# for it. And it is cut off from the gradient: the decoder reads it, but cannot tell the classifier
# where to look. Here is the one-way street of [chapter 7](chapter-sammix) again.
#
# The next cell trains MultiMix with the most masks, or loads it.

# %% tags=["nbval-ignore-output"]
make_record(Run(profile, "multimix", most, first))
method = load_method(Run(profile, "multimix", most, first)).eval()

# %%
slices = cohort.cohort_slices(profile, "lits")
rows = slices.rows_of(cohort.cohort_split(profile, "lits").test)
rows = rows[slices.index["mask_pixels"].to_numpy()[rows] >= 20]
shown = rows[len(rows) // 8 :: max(1, len(rows) // 4)][:4]
images, masks = (
    torch.from_numpy(values) for values in slices.load(shown, target=0)
)

# %% mystnb={"figure": {"caption": "What the classifier hands to the decoder, for four test slices. Top: the slice and its liver (green). Second row: the saliency map, its highest point starred. Third: what arrives, at an eighth of the side. Bottom: the answer (red, dashed) and the truth.", "name": "fig-multimix-bridge"}, "image": {"alt": "Four rows of four pictures: slices with the liver outlined, grainy saliency maps over the same slices, the same maps in coarse squares, and the segmentation beside the truth."}} tags=["nbval-ignore-output"]
saliency = method.saliency(images)
arrives = F.interpolate(saliency, scale_factor=1 / 8, mode="bilinear")
answer = of_target(segment(method, images))
figure, axes = style.panels(4, len(shown))
for place in range(len(shown)):
    image, truth = images[place, 0].numpy(), masks[place].numpy()
    pictures.show_slice(axes[0, place], image, truth)
    cams.show_map(axes[1, place], image, saliency[place, 0].numpy())
    axes[2, place].imshow(arrives[place, 0], cmap="inferno")
    axes[2, place].set_axis_off()
    mask = answer.masks[place].numpy()
    pictures.show_slice(axes[3, place], image, truth, mask)
for row, name in enumerate(("slice", "saliency", "arrives", "answer")):
    axes[row, 0].set_title(name, loc="left")

# %% [markdown]
# How much does the decoder use it? Take the same trained network, and give it another bridge: none,
# or that of another slice.

# %% tags=["nbval-ignore-output"]
images, masks = (
    torch.from_numpy(values) for values in slices.load(rows, target=0)
)
real = method.saliency(images)
kinds = {
    "its own": real,
    "none": torch.zeros_like(real),
    "another slice's": real.roll(len(real) // 2, dims=0),
}
overlap = {}
with torch.no_grad():
    for kind, given in kinds.items():
        method.saliency = lambda _, given=given: given
        found = method.look(images)[0][:, 0] > 0
        shared = 2 * (found & masks.bool()).sum((1, 2))
        sizes = found.sum((1, 2)) + masks.sum((1, 2))
        overlap[kind] = (shared / sizes).mean().item()
del method.saliency  # its own way again
pd.Series(overlap, name="Dice, test slices with liver").round(3)

# %% [markdown]
# If the three numbers are alike, the bridge is there and nothing crosses it. A gradient with respect to
# pixels can be very small beside pixels between zero and one, and nobody scales it.
#
# ## The loss, and a term that is zero
#
# Image labels teach by cross-entropy, masks by {term}`Dice`. The published loss adds
#
# $$ \beta\, D_{KL}\big( \text{softmax}(S_{\text{marked}}) \,\|\, \text{softmax}(S_{\text{unmarked}}) \big), \qquad \beta = 0.01, $$
#
# so that slices with and without masks are segmented alike. But $S$ has one channel, liver, and a
# {term}`softmax` over one channel is one everywhere:

# %%
generator = torch.Generator().manual_seed(0)
marked = 5 * torch.randn(4, 1, 8, 8, generator=generator)
unmarked = 5 * torch.randn(4, 1, 8, 8, generator=generator) + 3
unmarked.requires_grad_()
for logits in (marked, unmarked):
    print(logits.softmax(dim=1).unique().tolist())

# %%
published_term = F.kl_div(
    unmarked.log_softmax(dim=1),
    marked.softmax(dim=1),
    reduction="batchmean",
)
published_term.backward()
print("published term:", published_term.item())
print("largest gradient:", unmarked.grad.abs().max().item())

# %% [markdown]
# Whatever is segmented, the term is zero, and so is its gradient. Why did nobody see it? The weight is
# small, so one expects a small number; and a term that does nothing does no harm. It takes a line in
# the log for each term to find out.
#
# The same idea with a sigmoid compares something. At each pixel, the average probability of liver over
# the marked slices of a step, held fixed, with that over the others:
#
# ```{literalinclude} ../samnb/systems/multimix.py
# :pyobject: divergence
# ```

# %%
unmarked.grad = None
ours = divergence(marked, unmarked)
ours.backward()
print(f"here: {ours.item():.3f}")
print(f"largest gradient: {unmarked.grad.abs().max().item():.4f}")

# %% [markdown]
# The whole step, with the proxy labels left out as SAM-Mix says:
#
# ```{literalinclude} ../samnb/systems/multimix.py
# :pyobject: MultiMix.forward
# ```

# %%
for labels in profile.data.labelled:
    for seed in profile.seeds:
        make_record(Run(profile, "multimix", labels, seed))

# %% mystnb={"figure": {"caption": "Training with the most masks, one line for each seed: every term of the loss, and Dice on the validation patients.", "name": "fig-multimix-training"}, "image": {"alt": "Panels of curves over the training step, one for each term of the loss on a logarithmic axis and one for the Dice of the validation patients; one curve for each seed."}} tags=["nbval-ignore-output"]
taught = [
    make_record(Run(profile, "multimix", most, seed)).facts
    for seed in profile.seeds
]
terms = ("classification", "dice", "divergence")
figure = curves.training_curves(taught, terms)

# %% [markdown]
# ## What it reaches
#
# The paper gives one row for MultiMix and does not say with how many masks; it stands beside each.

# %%
cohorts, seeds = list(profile.data.splits), profile.seeds
cases = records.load_cases(profile)
cases = cases[cases["change"].fillna("") == ""]
own = cases[cases["system"].str.startswith("MultiMix")]

# %% tags=["nbval-ignore-output"]
table = segmentation_table(own, cohorts[0], published(1), seeds)
styled(table, "In-domain: LiTS-like phantoms")

# %% tags=["nbval-ignore-output"]
cross = segmentation_table(own, cohorts[1], published(2), seeds)
styled(cross, "Cross-domain: TotalSegmentator-like phantoms")

# %% [markdown]
# Is the classifier at least right? The area under the ROC curve, on both {term}`cohorts <cohort>`:

# %% tags=["nbval-ignore-output"]
known = {
    name: localisation_table(own, name)["auc"].round(3) for name in cohorts
}
pd.DataFrame(known)

# %% [markdown]
# ## What image labels add
#
# U-Net has the same masks and no image labels. So the difference to it, at equal labels, is what the
# second task, the bridge and the third term are worth together, less what the smaller network and the
# dropout cost. Dice of MultiMix minus Dice of U-Net, patient by patient:

# %%
for labels in profile.data.labelled:
    for seed in profile.seeds:
        make_record(Run(profile, "unet", labels, seed))
cases = with_variants(records.load_cases(profile))
cases = cases[cases["change"].fillna("") == ""]

# %% tags=["nbval-ignore-output"]
gains = []
for name in cohorts:
    for labels in profile.data.labelled:
        pair = [f"U-Net-{labels}", f"MultiMix-{labels}"]
        both = cases[(cases["cohort"] == name) & cases["system"].isin(pair)]
        found = compare_systems(both, "dice", against=pair[1])
        gains.append(found.assign(cohort=name, labels=labels))
pd.concat(gains).set_index(["cohort", "labels"]).round(3)

# %% mystnb={"figure": {"caption": "Dice against the number of slices with masks, all systems that learn from few. Line: mean over seeds; band: their deviation; points: the seeds.", "name": "fig-multimix-labels"}, "image": {"alt": "Two panels, in-domain and cross-domain, with one curve for each system over the number of labelled slices on a logarithmic axis."}} tags=["nbval-ignore-output"]
few = cases[cases["system"].str.contains(r"-\d+$")]
figure = curves.label_efficiency(few, cohorts, panel_height=4.2)

# %% [markdown]
# Two ideas are mixed in SAM-Mix: a classifier that guides, and a segmenter that has seen much before.
# MultiMix has the first without the second, SAM-PP has both without training them together. Systems
# that no chapter has run yet on this machine are missing from the figure.
#
# ## Exercises
#
# ### Exercise 1: scale the bridge
#
# Divide each saliency map by its largest value before it enters the decoder. Predict first: will the
# numbers of the three bridges differ more?
#
# ```{admonition} Solution
# :class: dropdown
# Replace the last line of `saliency` by one that divides by `seen.grad.abs().amax((2, 3), keepdim=True)`
# and train anew. A channel with values up to one is easier to use, so the decoder leans on it more:
# good where the classifier looks at the liver, bad where it follows a {term}`shortcut`.
# ```
#
# ### Exercise 2: zero in another way
#
# Suppose the published code had two channels, background and liver. Is the term still zero?

# %% tags=["hide-cell"]
two = torch.cat([torch.zeros_like(marked), marked], dim=1)
others = torch.cat([torch.zeros_like(marked), marked + 3], dim=1)
term = F.kl_div(
    others.log_softmax(dim=1), two.softmax(dim=1), reduction="batchmean"
)
print(f"{term.item():.2f}")

# %% [markdown]
# ```{admonition} Solution
# :class: dropdown
# See the hidden cell above: no. A softmax over two channels, one of them fixed at zero, is a sigmoid.
# But pixel by pixel it would compare slices of different patients, which have no reason to agree;
# hence the averages in our version.
# ```
#
# ### Exercise 3: the weight of the masks
#
# Dice counts five times in the loss. Who decides what the encoder learns, the head or the decoder?
#
# ```{admonition} Solution
# :class: dropdown
# Call `method(batch)` on a batch, and `backward` on `classification` and on five times `dice`, one at a
# time; compare the norms of the gradients of `method.encoder`. Early in training the masks pull
# harder; once the Dice is small, the image labels do.
# ```

# %% [markdown]
# ## Check yourself
#
# Answer in a sentence or two, best aloud or on paper, before you open the answer.
#
# **1.** A pixel is bright in the saliency map, and its place is dark in the activation map. What
# does each say?
#
# ```{admonition} Answer
# :class: dropdown
# Saliency: if this pixel changed, the decision would. Activation: this place adds little to the
# evidence. An edge may do that: the decision is sensitive to it, but what speaks for liver lies
# beside it.
# ```
#
# **2.** The bridge is cut off from the gradient. What could happen if it were not, and at what
# price?
#
# ```{admonition} Answer
# :class: dropdown
# The masks could then teach the classifier where to look, as in the soft form of SAM-Mix. The price
# is a derivative of a derivative, since the saliency is a gradient already: more time, more memory,
# a restless training.
# ```
#
# **3.** Which cheap check would find any term of a loss that does nothing?
#
# ```{admonition} Answer
# :class: dropdown
# Log each term on its own, and look at the gradient it alone gives to the weights, for one batch,
# before the training. A term that is constant has none.
# ```
#
# **4.** MultiMix and U-Net differ at equal masks. What control would show how much of it is due to
# the image labels?
#
# ```{admonition} Answer
# :class: dropdown
# The same MultiMix, same size and dropout, with the weight of the classification set to zero.
# Beside U-Net too much differs at once.
# ```

# %% [markdown]
# ## What you did
#
# You
#
# - **drew** one encoder with two tasks;
# - **computed** saliency maps, and asked whether the decoder uses them;
# - **found** a term that is always zero, and one that is not;
# - **judged** what image labels add, at equal masks.
