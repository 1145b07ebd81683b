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
# (chapter-synthesis)=
# # Making images from five
#
# Somebody has outlined the tumour in five {term}`slices <slice>`. Can a thousand training images be made of them? Cut
# the tumour out, turn it, scale it, change its brightness, and paste it into a slice that has none. It
# costs nothing but a little computing. Cheap Lunch {cite}`feng2023cheaplunch` does so with the module
# of {cite}`en2022exemplar`, and says that it helps.

# %% tags=["parameters"]
PROFILE = "pocket"

# %% tags=["hide-input"]
import time
from dataclasses import replace

import numpy as np
import pandas as pd
from myst_nb import glue

from samnb.data.synthesis import TRANSFORMS
from samnb.reports import style
from samnb.reports.diagram import Box, flow
from samnb.reports.lunch import asked
from samnb.reports.lunch_study import read_study
from samnb.reports.lunch_tests import in_words, paired_tests, questions
from samnb.reports.pictures import show_slice
from samnb.reports.synthesis import (
    exemplar_gallery,
    lost_share,
    outline_step,
    read_material,
)

# %% tags=["hide-input"]
style.use()
studies = {
    "tumours": read_study(PROFILE, "cheap-lunch-brats"),
    "organs": read_study(PROFILE, "cheap-lunch-synapse"),
}
tumours, organs = (study.profile for study in studies.values())
tumour, organ = (
    read_material(each, each.data.labelled[1]) for each in (tumours, organs)
)
seed = tumours.seeds[0]

# %% tags=["hide-input"]
gains = {}
for name, study in studies.items():
    pairs = questions(study.labelled)["With synthesis or without?"]
    gains[name] = paired_tests(asked(study.cases, "point"), pairs)
    verdicts = gains[name]["better"].value_counts()
    said = {
        "the first": "better with synthesis",
        "the second": "worse",
        "a tie": "a tie",
    }
    counted = [
        f"{verdicts[key]} {words}"
        for key, words in said.items()
        if key in verdicts
    ]
    glue(f"synthesis-{name}", ", ".join(counted), display=False)
    found = gains[name]["difference"]
    glue(
        f"synthesis-{name}-range",
        f"{found.min():+.3f} to {found.max():+.3f}",
        display=False,
    )

# %% tags=["hide-input"]
many = range(60)
lost = lost_share(*tumour[:3], tumours.synthesis, seed, many)
lost_organs = lost_share(*organ[:3], organs.synthesis, seed, many)
worst = int(np.argmax(lost_organs))
glue("synthesis-lost-tumour", f"{100 * lost[0]:.1f}", display=False)
glue(
    "synthesis-lost-worst", f"{100 * lost_organs[worst]:.1f}", display=False
)
glue("synthesis-worst", organ.targets[worst], display=False)

# %% [markdown]
# **What we found**, on {term}`phantoms <phantom>` with the {term}`pocket SAM`:
#
# - Cheap Lunch with synthesis against the plain exemplars, one comparison for each number of them.
#   Tumours: {glue:text}`synthesis-tumours`; organs: {glue:text}`synthesis-organs`. The differences in
#   mean {term}`Dice` over test scans: {glue:text}`synthesis-tumours-range` and
#   {glue:text}`synthesis-organs-range`.
# - The paper's rule for pasting, *where the value is above zero*, loses
#   {glue:text}`synthesis-lost-tumour` % of the tumours' pixels and
#   {glue:text}`synthesis-lost-worst` % of the {glue:text}`synthesis-worst`'s. Pasting by the mask loses
#   none.
# - A pasted target ends more abruptly than a real one. What that does is measured below.

# %% mystnb={"figure": {"caption": "How one synthetic image is made. Each target of the exemplar goes its own way.", "name": "fig-synthesis-flow"}, "image": {"alt": "Boxes from left to right: an exemplar with its mask and a slice without targets; each target is cut out and transformed, and so is the slice; the targets are pasted one over the other into the slice; image and mask come out together."}} tags=["hide-input"]
figure = flow(
    [
        [
            Box("exemplar", "image and masks", "truth"),
            Box("other slice", "without targets"),
        ],
        [
            Box("targets", "cut, turned, changed", "made"),
            Box("background", "turned, changed"),
        ],
        [Box("paste", "by the mask", "made")],
        [Box("new image", "and its masks", "truth")],
    ],
    [
        ("exemplar", "targets"),
        ("other slice", "background"),
        ("targets", "paste"),
        ("background", "paste"),
        ("paste", "new image"),
    ],
)

# %% [markdown]
# **Goals.** After this chapter you will be able to
#
# - **choose** exemplars by the paper's two rules;
# - **make** an image from an exemplar, and say which pixel came from where;
# - **find** what a rule for pasting loses, and what its seams look like;
# - **judge** whether synthesis helped, and by how much, with ties called ties.
#
# *You need:* [chapter 1](chapter-slices). *Time:* half an hour to read and try, two minutes to run.
#
# ## Who is an exemplar
#
# Of tumours any training slice with at least ten pixels may be one; so many per cent are drawn at
# random. Of organs the paper takes slices *with most organs*: one from each of nine scans, one from each
# of eighteen, two from each. Here the smaller sets are among the larger, so that a curve over them adds
# exemplars and never swaps them.

# %%
sets = {"tumours": (tumours, tumour), "organs": (organs, organ)}
rows = {
    name: {
        "numbers of exemplars": ", ".join(map(str, profile.data.labelled)),
        "slices without any target": len(material.backgrounds),
        "images made": profile.synthesis.images,
    }
    for name, (profile, material) in sets.items()
}
pd.DataFrame(rows)

# %% [markdown]
# ## One image
#
# A `Synthesis` cuts the exemplars up once; then any image can be asked by its number. Number seven is
# the same image alone, in a batch, and on another machine.

# %%
synthesis = tumour.synthesis(tumours.synthesis, seed)
alone, _ = synthesis.make([7])
among, _ = synthesis.make(range(5, 9))
np.array_equal(alone[0], among[2])

# %% [markdown]
# What it may do is in the profile. The paper names the kinds of transform and no ranges; these are ours.

# %%
tumours.synthesis

# %% mystnb={"figure": {"caption": "Three exemplars in the first column, four images made of each, and the masks below, as in the paper's figure 1.", "name": "fig-synthesis-tumours"}, "image": {"alt": "Six rows of five pictures: brain slices with bright tumours, and below each row the tumours' masks. In the synthetic ones the tumour is turned, scaled, brighter or darker, and lies in another brain slice."}} tags=["hide-input"]
figure = exemplar_gallery(tumour, synthesis, [0, 1, 2])

# %% [markdown]
# Some of these no radiologist would believe. Slices without tumour come mostly from the top and the
# bottom of the head, where there is little brain, so a large tumour may stick out of it. The paper keeps
# the position *roughly* and says nothing of the height. A background from the same height would be an
# easy remedy; it would also need to know the height of a slice, which a picture alone does not tell.
#
# ## Eight organs at once
#
# Each organ is cut out and transformed on its own, about its own middle; then all are pasted, one over
# the other in a random order. A pixel belongs to the one that came last.

# %% mystnb={"figure": {"caption": "Two exemplars with eight organs, four images made of each, and their masks.", "name": "fig-synthesis-organs"}, "image": {"alt": "Four rows of five pictures: abdominal CT slices, and below each row the masks of eight organs in colours. In the synthetic ones organs overlap and leave gaps where fat or bowel of the background shows."}} tags=["hide-input"]
organ_synthesis = organ.synthesis(organs.synthesis, seed)
figure = exemplar_gallery(organ, organ_synthesis, [0, 1])

# %% [markdown]
# ## What `> 0` loses
#
# Equation 1 pastes where the transformed target is above zero. That is a handy test for *there is
# something here*, as long as the target has no black pixel. An image scaled to 0–1 has them: in CT all
# that is darker than the {term}`window`, such as gas in the stomach, is zero.

# %%
leaks = pd.Series(
    [*lost, *lost_organs], index=[*tumour.targets, *organ.targets]
)
(100 * leaks).round(2).rename("% of pixels lost by `> 0`").to_frame()

# %% mystnb={"figure": {"caption": "The same image pasted by the mask and by the paper's rule. Where the target is black the background shows through.", "name": "fig-synthesis-leak"}, "image": {"alt": "Left and middle, two nearly equal abdominal slices; right, the pixels in which they differ, inside the stomach."}} tags=["hide-input"]
by_value = organ.synthesis(
    replace(organs.synthesis, compositing="positive"), seed
)
mask_way, value_way = organ_synthesis.make(many)[0], by_value.make(many)[0]
most = int(np.abs(mask_way - value_way).sum(axis=(1, 2, 3)).argmax())
figure, panels = style.panels(columns=3)
show_slice(panels[0], mask_way[most, 0], title="by the mask")
show_slice(panels[1], value_way[most, 0], title="where above zero")
show_slice(
    panels[2],
    (mask_way[most, 0] != value_way[most, 0]).astype(float),
    title="differ",
)

# %% [markdown]
# ## The seam
#
# A pasted target ends within one pixel. How large is the step in brightness across its outline, and how
# large is it in real slices?

# %%
made = {
    "tumours": synthesis.make(many),
    "organs": organ_synthesis.make(many),
}
seams = pd.DataFrame(
    {
        "as scanned": {
            name: outline_step(each.exemplars, each.masks)
            for name, (_, each) in sets.items()
        },
        "synthetic": {
            name: outline_step(*pair) for name, pair in made.items()
        },
    }
)
seams.round(3).rename_axis("mean step across the outline, 0–1")

# %% [markdown]
# A network can learn *a sharp step means an outline*, which holds in every synthetic image and not in the
# patient. That is a {term}`shortcut`, and one reason why more images of the same few targets do not
# simply replace more patients.
#
# ## What it costs

# %% tags=["nbval-ignore-output"]
began = time.perf_counter()
organ_synthesis.make(range(200))
rate = 200 / (time.perf_counter() - began)
print(f"{rate:.0f} images with eight organs in a second")

# %% [markdown]
# ## Did it help?
#
# The same exemplars, the same number of steps: once the images made of them, once the exemplars
# themselves. With minus without, patients drawn whole:

# %%
in_words(pd.concat(gains, names=["targets", "row"]).droplevel("row"))

# %% [markdown]
# In the paper synthesis wins in both sets, in Dice, for every number of exemplars. Here it never does.
# Three things differ, or may matter. A pasted tumour often lies in the dark beside a small piece of brain,
# and its outline is several times as sharp as a real one, so a part of what is learned may be about
# seams. Phantoms of one generator resemble each other more than patients of many hospitals, so a few
# exemplars say more of all others. And our steps are few. On real images, where the second does not hold,
# synthesis does help where exemplars are fewest: see [chapter 16](lunch-real).
#
# ## What the paper leaves open
#
# | the paper does not say | here |
# |---|---|
# | ranges of all transforms | in the profile; our choice |
# | who is pasted over whom | a random order |
# | how far *roughly* is | a shift of a few per cent of the side |
# | whether target and background share a draw | each has its own |
# | how often a real slice is shown beside the synthetic | never |
# | what of a target that lies outside the image after turning | it is cut off |
# | which second slice of a scan is taken | the next best, at least 20 mm away |
#
# ## What we would do
#
# Paste by the mask. Look at fifty of the images before training on a thousand of them. Keep some real
# slices among them, and take a background from the same height if you know it. And measure against the
# plain exemplars with ordinary augmentation before believing that it helps.
#
# ## Exercises
#
# ### Exercise 1: one transform at a time
#
# Switch all transforms off but one, and look at the gallery.

# %% tags=["hide-cell"]
off = dict.fromkeys(TRANSFORMS, 0.0)
only = replace(
    tumours.synthesis, **off | {"gamma": tumours.synthesis.gamma}
)
grey = tumour.synthesis(only, seed)
_, kept = grey.make([0])
# The tumour keeps its place and its shape, and only its greys change.
np.array_equal(kept[0], tumour.masks[grey.exemplar_of(0)])

# %% [markdown]
# ### Exercise 2: nothing at all
#
# Switch all of them off. Which pixels of the image differ from the background?

# %% tags=["hide-cell"]
still = tumour.synthesis(replace(tumours.synthesis, **off), seed)
image, mask = still.make([0])
inside = mask[0, 0].astype(bool)
# Exactly those of the mask, and they are the exemplar's own.
own = tumour.exemplars[still.exemplar_of(0), 0]
np.array_equal(image[0, 0][inside], own[inside])

# %% [markdown]
# ### Exercise 3: a soft seam
#
# How would you soften the seam, and what would become of the mask?
#
# ```{admonition} Solution
# :class: dropdown
# Blend over a few pixels with weights from a blurred mask. Then the pixels at the rim are neither the
# target's nor the background's, and the mask, which must be one or the other, is wrong for some.
# ```

# %% [markdown]
# ## Check yourself
#
# **1.** Why does every image depend on its own number, and not on the one before?
#
# ```{admonition} Answer
# :class: dropdown
# So that workers may make them in any order, and a training that was killed goes on with the very same
# images.
# ```
#
# **2.** The background is a slice without target. Who has said that it has none?
#
# ```{admonition} Answer
# :class: dropdown
# An image label. It is cheaper than a mask, but not nothing: somebody looked at every slice.
# ```
#
# **3.** A thousand images are made of five targets. How many targets has the network seen?
#
# ```{admonition} Answer
# :class: dropdown
# Five, each in two hundred ways. What the sixth looks like, no transform can tell.
# ```

# %% [markdown]
# ## What you did
#
# You
#
# - **chose** exemplars;
# - **made** images, and knew of each pixel where it came from;
# - **found** holes and seams, and
# - **judged** a gain with its interval.
#
# **Next:** [teaching SAM with them](chapter-lunch).
