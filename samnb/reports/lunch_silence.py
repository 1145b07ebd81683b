"""The same chance to be silent: what others know of absence, given to a system that works alone."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from samnb.data.slices import SliceSet
from samnb.evaluation.answers import Answers
from samnb.evaluation.protocols import measure_volumes
from samnb.prompts.users import NOBODY
from samnb.runs.records import Record

PRESENT = 0.5  # probability above which a classifier says that there is a target


def silenced(answers: Answers, by: Answers) -> Answers:
    """The answers without the masks of slices in which another system saw no target.

    by: of the same slices, with `presence`.
    """
    if list(answers.rows) != list(by.rows):
        raise ValueError("answers about other slices")
    free = by.presence <= PRESENT
    bits = answers.bits.copy()
    bits[free] = 0
    return replace(answers, bits=bits)


def told_where_absent(answers: Answers, slices: SliceSet) -> Answers:
    """The answers without masks of targets that a slice does not show: somebody has said so."""
    bits = answers.bits.copy()
    bits[slices.labels[answers.rows] != 1] = 0
    return replace(answers, bits=bits)


def with_silence(
    made: Sequence[Record], system: str, asked_by: str, slices: SliceSet, cohort: str
) -> pd.DataFrame:
    """Cases of `system` as if it asked the classifier of `asked_by` first, seed by seed.

    Only seeds of which both have a record; without any, no rows.
    """
    of = {(record.name, record.facts["seed"]): record for record in made
          if not record.facts["changes"]}  # fmt: skip
    tables = []
    for (name, seed), record in of.items():
        other = of.get((asked_by, seed))
        if name != system or other is None:
            continue
        key = cohort, str(NOBODY)
        given = silenced(record.answers[key], other.answers[key])
        scans = measure_volumes(given, slices, cohort)[1]
        title, _, labels = name.rpartition("-")
        named = f"{title}, with the same silence-{labels}"
        tables.append(scans.assign(system=named, seed=seed, change=""))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
