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
# (chapter-claims)=
# # An audit of the claims
#
# A paper makes two kinds of statements: tables, and sentences about the tables. The sentences are what
# is read and quoted. This chapter takes those of SAM-Mix {cite}`ward2025sammix` one by one and asks
# twice: do the paper's own tables say so? And does our reproduction?
#
# **Goals.** After this chapter you will be able to
#
# - **recompute** a claim from the table it rests on;
# - **tell** percent from percentage points, and a best baseline from a convenient one;
# - **separate** what a paper shows from what our small world repeats, and from what neither can test;
# - **write** a claim down as a rule that a machine can check.
#
# *You need:* [chapter 10](chapter-results). *Time:* half an hour to read, seconds to run.

# %% tags=["parameters"]
PROFILE = "pocket"

# %%
import pandas as pd

from samnb.base.paths import results_root
from samnb.reports import claims, style
from samnb.reports.claim_numbers import READINGS
from samnb.reports.claim_rules import FAILS, OTHERWISE

# %%
from samnb.reports.files import write_figure
from samnb.reports.paper import published
from samnb.reports.tables import write_table
from samnb.runs import records
from samnb.studies import cohorts as cohort
from samnb.studies import load_profile

style.use()
profile = load_profile(PROFILE)
cases = records.load_cases(profile)
cases["system"].unique().tolist()

# %% [markdown]
# ## A claim as a rule
#
# Each claim stands in a file, in our own words, with its place in the paper and a rule. One of them:
#
# ```{literalinclude} ../samnb/reports/claims.yaml
# :language: yaml
# :start-at: Dice over the best baseline
# :end-at: kind
# ```
#
# The rule is applied to the paper's tables and to our cases alike. Of the paper's numbers we ask whether
# they are the printed ones, digit for digit. Of ours we ask only for the direction, since other data and
# another SAM give other levels. There are four verdicts:
#
# | verdict | meaning |
# |---|---|
# | holds | the numbers say what the sentence says |
# | holds in another reading | so do they if a word is read otherwise, such as points for percent |
# | does not hold | they say something else |
# | cannot be tested here | the number is not there, or it is a choice and no result |
#
# Our counts of slices and epochs are choices of the profile, so they test nothing. They are shown
# beside the paper's.

# %% tags=["nbval-ignore-output"]
made = [record.facts for record in records.automatic_records(profile)]
counts = claims.counts_of_records(made)
labelled = sorted(profile.data.labelled)
train = cohort.cohort_split(profile, claims.COHORTS[0]).train
slices = cohort.cohort_slices(profile, claims.COHORTS[0])
counts["labelled"] = labelled[len(labelled) // 2]
counts["training_slices"] = len(slices.rows_of(train))
found = claims.audit(cases, counts)

# %% [markdown]
# ## At a glance

# %% tags=["nbval-ignore-output"]
claims.verdict_counts(found)

# %% mystnb={"figure": {"caption": "Every claim, tested on the paper's own tables (left) and on our runs (right).", "name": "fig-claims"}, "image": {"alt": "A list of the paper's claims with two signs each, one for the paper's own numbers and one for ours: a disc where the claim holds, a diamond where it holds in another reading, a cross where it does not, a dash where it cannot be tested."}} tags=["nbval-ignore-output"]
figure = claims.claims_chart(found)

# %% [markdown]
# ## Percent of what?
#
# The abstract gives its gain in percent. "Better by so many percent" can be read in more than one way,
# and the best baseline depends on what one measures. Here is the gain of SAM-Mix with fifty labels over
# each fully supervised system, from Table 1:

# %%
first = published(1).set_index("system")
full = first[first["supervision"] == "full"]
own = first.loc["SAM-Mix-50"]
pd.DataFrame(
    {
        f"{metric}, {reading}": [
            read(own[metric], other, metric) for other in full[metric]
        ]
        for metric, reading in [
            ("dice", "% of it"),
            ("dice", "the difference in points"),
            ("hd", "% of it"),
        ]
        for read in [READINGS[reading]]
    },
    index=full.index,
).round(2)

# %% [markdown]
# The Dice gains of the abstract are differences in points, called percent. The gain that the section on
# results reports against U-Net is the difference in points from TransUNet. The percentages of HD are relative
# ones, in the same paragraph. None of that makes the method worse. But who
# compares two papers by "percent" compares nothing.
#
# ## On paper
#
# What does not hold as written, or holds only in another reading:

# %%
doubtful = found[found[claims.ON_PAPER].isin([FAILS, OTHERWISE])]
claims.claims_page(doubtful, [claims.ON_PAPER])

# %% [markdown]
# Most of these are slips of arithmetic or of wording, and leave the tables as they are. One is larger:
# the share of labelled slices is off by a factor of ten, if the training slices are those of the
# section on data. The printed number is the share of the *smallest* labelled set.
#
# And one thing no arithmetic can show. Behind each ± of the tables stand five trainings on the same
# patients. *Significant* over trainings is not significant over patients
# ([chapter 10](chapter-results)), and the paper prints no result for each patient.
#
# ## Every claim, both answers

# %% tags=["nbval-ignore-output"]
claims.claims_page(found)

# %% [markdown]
# Read the right column with care, in both directions. Where a claim fails here, that may be the method,
# or our small classifier, or phantoms that make it easy to know *that* there is a liver without knowing
# *where*. Where it holds here, it holds for phantoms. What the pocket can show is whether a mechanism
# works at all, and what it depends on ([chapter 7](chapter-sammix)). The same audit runs on real
# data with `PROFILE=paper`.
#
# The audit as files, beside the tables of the last chapter:

# %%
write_table(
    found.set_index("name"),
    "claims",
    results_root() / "tables" / profile.name,
)
write_figure(figure, "claims", results_root() / "figures" / profile.name)
print("claims.csv, claims.tex, claims.svg, claims.png")

# %% [markdown]
# ## Exercises
#
# ### Exercise 1: the cut digit
#
# The cross-domain HD is lower by a percentage whose last digit is cut, not rounded. Could the rounding
# of the table's entries explain it instead?
#
# ```{admonition} Solution
# :class: dropdown
# No. Move either entry of Table 2 by half of its last digit: the percentage moves in its third decimal,
# and stays above the printed number by more than a rounding.
# ```
#
# ### Exercise 2: your own claim
#
# Write a claim of another paper as an entry of `claims.yaml`. Which kind of rule does it need, and which
# of its words did you have to decide yourself?
#
# ```{admonition} Solution
# :class: dropdown
# The kinds are `gain`, `share`, `order`, `loss`, `rising`, `rank`, `significant` and `above`, each a short
# function in `claim_rules.py`. Usually one has to decide on the opponent, the cohort, the measure, and
# on whether one exception breaks the claim. Here it does.
# ```
#
# ### Exercise 3: too strict?
#
# A claim over many pairs fails by a single one. Is that fair to the authors?
#
# ```{admonition} Solution
# :class: dropdown
# To "consistently" and "all" it is: these words say that there is no exception. The page shows how
# many pairs held and names those that did not, so that a reader can judge more mildly than the rule.
# ```

# %% [markdown]
# ## Check yourself
#
# Answer in a sentence or two, best aloud or on paper, before you open the answer.
#
# **1.** A {term}`Dice` rises from 80 to 90 on a scale to 100. How much better is that?
#
# ```{admonition} Answer
# :class: dropdown
# By ten points; by an eighth of what it was; and half of what was missing is gone. All three are
# true, and they sound very different. A sentence has to say which it means.
# ```
#
# **2.** A {term}`cross-domain` claim holds on paper and fails in our runs. What has to be ruled out
# before one calls it not reproducible?
#
# ```{admonition} Answer
# :class: dropdown
# That our world is too different: {term}`phantoms <phantom>` instead of patients, a smaller SAM,
# fewer {term}`slices <slice>` and steps, a choice that the paper leaves open and that we made
# otherwise. From here one can say "not in this setting", and name what differs.
# ```
#
# **3.** Why does the rule have to be written before one sees one's own numbers?
#
# ```{admonition} Answer
# :class: dropdown
# Each rule contains choices: the opponent, the {term}`cohort`, the measure, whether one exception
# counts. Made afterwards, they drift towards the verdict one wishes for, and nobody notices, least
# of all oneself.
# ```
#
# **4.** Why is "cannot be tested here" a verdict of its own?
#
# ```{admonition} Answer
# :class: dropdown
# Because silence is not failure, and not success either. A claim about a choice, or about data
# nobody has here, would otherwise be counted on one side or the other.
# ```

# %% [markdown]
# ## What you did
#
# You
#
# - **recomputed** every number of the text from the tables it rests on;
# - **told** percent from points, and found which baseline gave which number;
# - **separated** what holds on paper, what holds here, and what neither can tell;
# - **wrote** claims as rules.
