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
# (chapter-maps)=
# # Class activation maps as prompts
#
# SAM waits for a prompt, and so far a person gave it. SAM-Mix {cite}`ward2025sammix` lets a
# classifier do it. To know whether a {term}`slice` shows liver is cheap: one bit for each slice, no
# outline. A network that learned this bit must have looked somewhere, and its
# {term}`class activation map` {cite}`zhou2016cam` says where. Put a box around it, and SAM has its prompt.
#
# **Goals.** After this chapter you will be able to
#
# - **derive** the class activation map from a linear layer, and say which of its numbers mean nothing;
# - **show** that Grad-CAM on the last layer is the same map;
# - **turn** a map into a box, and say what becomes of maps that point nowhere;
# - **measure** where a classifier looks, apart from how often it is right;
# - **doubt** a classifier that is right until you have seen where it looks.
#
# *You need:* [chapter 2](chapter-prompting). *Time:* an hour to read and try, a few minutes to run.

# %% tags=["parameters"]
PROFILE = "pocket"

# %%
import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr

from samnb.networks.classifier import (
    PRESENT,
    class_activation,
    evidence,
    resnet38,
)

# %%
from samnb.networks.gradient_maps import MAPS, as_printed, gradient_map
from samnb.prompts.boxes import (
    active_pixels,
    box_iou,
    box_of,
    boxes_of_maps,
)
from samnb.reports import cams, pictures, style
from samnb.reports.localisation import localisation_table
from samnb.reports.style import TRUTH
from samnb.runs import records
from samnb.runs.run import Run
from samnb.runs.runner import load_method, make_record
from samnb.studies import cohorts as cohort
from samnb.studies import load_profile

style.use()
profile = load_profile(PROFILE)
side = profile.data.slices.side

# %% [markdown]
# ## One bit for each slice
#
# The classifier of SAM-Mix is ResNet38 {cite}`wu2019wider`, as weakly supervised segmentation uses it:
# it halves the picture three times, no more, and then widens its view by dilation. So its last
# feature map is an eighth of the side, and places can still be told apart. The paper's network is
# large. Ours is the same with fewer channels in every layer:

# %%
with torch.device("meta"):  # shapes and counts without memory
    trunks = {
        "the paper's": resnet38(1.0, channels=3),
        "here": resnet38(profile.classifier.width),
    }
    shapes = {
        name: trunk(torch.empty(1, trunk[0].in_channels, side, side)).shape
        for name, trunk in trunks.items()
    }
pd.DataFrame(
    {
        "parameters": {
            name: sum(value.numel() for value in trunk.parameters())
            for name, trunk in trunks.items()
        },
        "last features": {
            name: str(tuple(s[1:])) for name, s in shapes.items()
        },
    }
)

# %% [markdown]
# The features are averaged over the picture, and a linear layer makes two {term}`logits <logit>` of the averages
# (Eq. 1 and 2 of the paper). It is trained with a focal loss (Eq. 3),
#
# $$ \mathcal{L}_{cls} = -\alpha\,(1 - p_t)^{\gamma} \log p_t, $$
#
# where $p_t$ is the probability of the true class: what is easy counts less. The paper does not say
# which $\alpha$ and $\gamma$; here they are those of the focal loss's own paper {cite}`lin2017focal`.
# The next cell trains the classifier on the bits of all training slices, or loads it if this
# machine has trained it before.

# %% tags=["nbval-ignore-output"]
# %%time
method = load_method(Run(profile, "classifier", labels=0, seed=1))
classifier = method.classifier.eval().requires_grad_(True)

# %%
slices = cohort.cohort_slices(profile, "lits")
split = cohort.cohort_split(profile, "lits")
rows = slices.rows_of(split.validation)
images, masks = (
    torch.from_numpy(values) for values in slices.load(rows, target=0)
)
truth = slices.index["label"].to_numpy()[rows]

# %%
with torch.no_grad():
    features = classifier.features(images)
    logits = classifier.logits(features)
maps = evidence(features.detach(), classifier.head.requires_grad_(False))
classifier.requires_grad_(True)
print("features", tuple(features.shape), "maps", tuple(maps.shape))

# %% [markdown]
# ## The map is the classifier, written out
#
# Averaging and the linear layer can change places. With $F_i$ the feature maps and $w_i^{(c)}$ the
# weights of class $c$,
#
# $$ \hat c_c = b_c + \sum_i w_i^{(c)} \, \overline{F_i} = b_c + \overline{\textstyle\sum_i w_i^{(c)} F_i} = b_c + \overline{g}, \qquad g = \sum_i w_i^{(c)} F_i. $$
#
# The map $g$ is Eq. 4. Its average *is* the logit, so $g$ says how much each place adds to the
# decision. No backward pass is needed: it is one sum.
#
# ```{literalinclude} ../samnb/networks/classifier.py
# :pyobject: class_activation
# ```
#
# **A trap.** There are two logits, and {term}`softmax` looks at their difference only. Add the same numbers to
# the weights of both classes, and the classifier decides exactly as before. But the map of Eq. 4
# changes at will:

# %% tags=["nbval-ignore-output"]
shift = torch.randn(
    features.shape[1], generator=torch.Generator().manual_seed(0)
)
shift *= 10 * classifier.head.weight.std()
moved = torch.nn.Linear(features.shape[1], 2).requires_grad_(False)
with torch.no_grad():
    moved.weight.copy_(classifier.head.weight + shift)
    copied = moved.bias.copy_(classifier.head.bias)

# %% tags=["nbval-ignore-output"]
with torch.no_grad():
    averages = features.mean(dim=(2, 3))
    before = classifier.head(averages).softmax(dim=1)[:, PRESENT]
    after = moved(averages).softmax(dim=1)[:, PRESENT]
    alike = {
        "probability": spearmanr(before, after).statistic,
        "map of Eq. 4": spearmanr(
            class_activation(features, classifier.head).flatten(),
            class_activation(features, moved).flatten(),
        ).statistic,
        "map of the difference": spearmanr(
            evidence(features, classifier.head).flatten(),
            evidence(features, moved).flatten(),
        ).statistic,
    }
pd.Series(alike, name="rank correlation, before and after").round(3)

# %% [markdown]
# The decision is the same, and so is the map of the difference $w^{(1)} - w^{(0)}$. The map of one
# class alone is another one. Training leaves that common part wherever chance put it. So this book
# uses the difference, which has a meaning, and keeps Eq. 4 as a choice (`prompting.activation=class`).
#
# ## Grad-CAM is the same map
#
# The paper calls its map a GradCAM. Grad-CAM {cite}`selvaraju2017gradcam` weighs each feature map by
# the average gradient of the logit. Here that gradient is $w_i / (h w)$ everywhere: the same map, $h w$
# times smaller. The library `pytorch-grad-cam` agrees, once the same is done to ours that it does to
# its own: cut below zero, stretched to 0–1, enlarged, stretched again.

# %%
shown = np.flatnonzero(truth)[:: max(1, int(truth.sum()) // 4)][:4]
library = {
    name: gradient_map(classifier, images[shown], name) for name in MAPS
}
ours = as_printed(maps[shown] / maps[0].numel(), side)
print(f"largest difference {(ours - library['grad-cam']).abs().max():.0e}")

# %% mystnb={"figure": {"caption": "Where the classifier looked in a slice with liver, by five ways of asking. The first is the map of this chapter; the others need a backward pass each. Green: the liver.", "name": "fig-maps"}, "image": {"alt": "One abdominal slice, five times, each time with a colour overlay of another activation map and the liver outlined in green."}} tags=["nbval-ignore-output"]
figure, axes = style.panels(1, len(MAPS))
for place, (name, value) in zip(axes, library.items(), strict=True):
    cams.show_map(
        place, images[shown[1], 0].numpy(), value[1].numpy(), name
    )
    place.contour(masks[shown[1]], [0.5], colors=TRUTH, linewidths=1)

# %% [markdown]
# ## From a map to a box
#
# A pixel is *active* if its value is at least a share $\omega$ of the map's maximum (Eq. 5 and 6). The
# box is the smallest that holds all active pixels (Eq. 7 and 8).
#
# ```{literalinclude} ../samnb/prompts/boxes.py
# :pyobject: active_pixels
# ```
#
# The paper does not say how the map, an eighth of the slice, becomes pixels; here it is enlarged
# smoothly *before* the threshold, so that a box may end within a cell. It speaks of "each activated
# region", yet of one box; here it is one box around all, and one for each region is a choice. It does
# not say what a map without a maximum above zero gives; here the box is the whole slice. And a slice
# that the classifier calls free of liver gets no box, and an empty mask.

# %%
found = boxes_of_maps(maps, profile.prompting, side)
present = torch.from_numpy(truth == 1)
tight = box_of(masks[present].bool())
overlap = box_iou(found.boxes[found.main][present], tight)
print(f"mean IoU of the boxes with the truth's: {overlap.mean():.2f}")

# %% mystnb={"figure": {"caption": "From slice to box, for four validation slices. Top: the slice and its liver. Middle: the map, its maximum starred. Bottom: the active pixels and their box.", "name": "fig-map-to-box"}, "image": {"alt": "Three rows of four pictures: slices with the liver outlined, the maps over them, and the active pixels with a box that differs from a box around the liver."}} tags=["nbval-ignore-output"]
active = active_pixels(maps, profile.prompting.threshold, side).numpy()
figure, axes = style.panels(3, len(shown))
for column, row in enumerate(shown):
    picture, box = images[row, 0].numpy(), found.boxes[row].numpy()
    pictures.show_slice(axes[0, column], picture, masks[row].numpy())
    cams.show_map(axes[1, column], picture, maps[row].numpy())
    cams.show_active(axes[2, column], picture, active[row], box)

# %% [markdown]
# How much depends on $\omega$? The paper sets it to one half and says no more. On validation slices:

# %% tags=["nbval-ignore-output"]
curve = pd.DataFrame(
    [
        {
            "omega": omega,
            "box IoU": float(
                box_iou(
                    box_of(active_pixels(maps[present], omega, side)),
                    tight,
                ).mean()
            ),
        }
        for omega in np.arange(0.1, 0.95, 0.1)
    ]
)

# %% mystnb={"figure": {"caption": "Mean overlap of the map's box with the truth's, by threshold, on validation slices with liver.", "name": "fig-omega"}, "image": {"alt": "A curve of mean box IoU over the whole range of the threshold omega."}} tags=["nbval-ignore-output"]
figure, axes = style.panels(panel_height=2.6)
axes.plot(curve["omega"], curve["box IoU"], marker="o")
style.label(axes, "threshold ω", "mean IoU of the boxes")

# %% [markdown]
# ## Right, but for what reason?
#
# Two questions, and they are not the same. *How often is the classifier right?* The area under the ROC
# curve answers it (`auc`). *Where did it look?* The {term}`pointing game` {cite}`zhang2018pointing` answers that (`hit`): the
# share of slices with liver in which the map's maximum lies inside the liver. Here are classifiers
# that differ in their seed only, on the test patients of both {term}`cohorts <cohort>`:

# %%
for seed in profile.seeds:
    make_record(Run(profile, "classifier", 0, seed))
cases = records.load_cases(profile)
cases = cases[cases["system"] == "CAM alone"]

# %% tags=["nbval-ignore-output"]
by_seed = {
    (name, seed): localisation_table(some, name).iloc[0]
    for name in profile.data.splits
    for seed, some in cases.groupby("seed")
}
table = pd.DataFrame(by_seed).T[["auc", "hit", "box_iou"]]
table.rename_axis(["cohort", "seed"]).astype(float).round(2)

# %% [markdown]
# Read the first column, then the second. All of them are nearly always right. They are not alike in
# where they look. That is no fault of their training, which asked for the bit and never for the place:
# whatever goes along with a liver in a slice will do, be it the liver, an organ beside it, or the shape
# of the body at that height. Such a {term}`shortcut` {cite}`geirhos2020shortcut` costs the classifier
# nothing. SAM, which is prompted from it, is led astray, and no table of accuracies shows it.
# [Chapter 7](chapter-sammix) looks for a cure.
#
# ## Exercises
#
# ### Exercise 1: the bias
#
# Eq. 4 leaves out the bias $b_c$. Where does it go in the picture, and does it matter for the box?
#
# ```{admonition} Solution
# :class: dropdown
# It adds the same number to every place, $b_c$ in each, if one wants the average to be the logit. The
# box rule compares with a share of the maximum, so a constant would change the box. That is one more
# choice that hides in "a map".
# ```
#
# ### Exercise 2: one box or many
#
# Set `regions="each"` in the profile's `prompting` and count the boxes for each slice. When would many
# boxes help SAM, and when would they harm?
#
# ```{admonition} Solution
# :class: dropdown
# `boxes_of_maps(maps, replace(profile.prompting, regions="each"), side)`; `torch.bincount` of its
# `image`. Several boxes help where the target has several pieces. Where regions are noise, each of
# them gives SAM an order to find something there.
# ```
#
# ### Exercise 3: a map that points nowhere
#
# Give `boxes_of_maps` a constant map, a map of zeros and a map below zero. What comes out, and why not
# an error?
#
# ```{admonition} Solution
# :class: dropdown
# The whole slice, each time. Whether the target is there is the classifier's to say. If it says yes
# and cannot say where, SAM should look everywhere.
# ```

# %% [markdown]
# ## Check yourself
#
# Answer in a sentence or two, best aloud or on paper, before you open the answer.
#
# **1.** The derivation needs two things of the network: an average, and a linear layer behind it.
# What if there were another layer with a ReLU between them?
#
# ```{admonition} Answer
# :class: dropdown
# Then the two could not change places, and no sum of feature maps would have the logit as its
# average. Grad-CAM still gives a map there, but it is a first guess at the influence of each place,
# not the decision written out.
# ```
#
# **2.** A classifier is right on nearly every slice, and the maximum of its map is mostly outside
# the liver. How can both be true?
#
# ```{admonition} Answer
# :class: dropdown
# It was asked *whether*, not *where*. Anything that goes along with a liver answers that question.
# The error shows only when something else asks where, as SAM does, or when the company changes, as
# in another cohort.
# ```
#
# **3.** Raise $\omega$ from one half to nearly one. What becomes of the box, and of a second bright
# region?
#
# ```{admonition} Answer
# :class: dropdown
# The box shrinks to the surroundings of the maximum, and the second region drops out. Lower it, and
# the box grows until it holds everything. Neither is right: the map was never asked for an outline.
# ```
#
# **4.** Somebody tries nine thresholds and keeps the one whose boxes are best on the test patients.
# The threshold is only one number. Does it matter?
#
# ```{admonition} Answer
# :class: dropdown
# Yes. The best of nine on these patients is partly luck of these patients, and the test no longer
# says what to expect from others. Validation patients are there for that.
# ```

# %% [markdown]
# ## What you did
#
# You
#
# - **derived** the map by letting average and linear layer change places, and found the part of it
#   that means nothing;
# - **showed** that Grad-CAM gives the same;
# - **turned** maps into boxes, with a rule for every odd case;
# - **measured** where classifiers look, which differs more than how often they are right;
# - **doubted** a good score until you had seen the map behind it.
#
# **Next:** SAM on these boxes, in two stages.
