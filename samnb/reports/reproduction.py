"""How far a run of everything gives the committed numbers again: a verdict for each of them.

Compared are the means of every record, what its method holds and computes, and every number of the
tables. Seconds and memory belong to a machine and are not compared. A number is

- *matched* if it is the same to the last printed digit (six significant ones);
- *within tolerance* if it lies as near as the rules below ask;
- *drifted* if it does not;
- *missing* if nothing was made to compare it with.

On the same kind of processor, with the locked versions, everything matches. On another one sums are
rounded otherwise; a training multiplies that, step by step, into another course of the same kind,
as another seed does. So the deviation between seeds is the measure: a mean may differ by
`SEEDS_APART` of it. That is argued, not yet measured on a second kind of processor. Where the
reference has no deviation of its own, such as for a single seed, the usual one of that metric is
taken; for a number that is no metric, `SHARE` of itself or `LEAST`. A p-value stays within if it
stays on its side of `SIGNIFICANT`. Counts must match.
"""

import csv
import io
import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from statistics import median, stdev

SEEDS_APART = 1.0
SHARE, LEAST = 0.1, 0.02
SIGNIFICANT = 0.05

VERDICTS = ("matched", "within tolerance", "drifted", "missing")
# Of one machine and one day: shown elsewhere, not compared.
OF_THE_MACHINE = re.compile(r"^(training_seconds|milliseconds|memory|device)(_deviation)?$")
COUNTS = {"parameters", "trainable", "multiply_adds", "seeds", "missing"}
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")
PARTS_OF_ITS_MEAN = re.compile(r"_(deviation|low|high)$")


@dataclass(frozen=True)
class Value:
    """One number of the reference as printed; `tolerance`: how far from it is near enough.

    place: the run or the table; name: what it says there; side: the line it may not cross.
    """

    place: str
    name: str
    printed: str
    tolerance: float = 0.0
    side: float | None = None


@dataclass(frozen=True)
class Comparison:
    """A number of the reference, what was found instead, and the verdict."""

    value: Value
    found: str | None
    verdict: str


def compare_values(reference: list[Value], made: list[Value]) -> list[Comparison]:
    """A verdict on each number of the reference."""
    found = {(value.place, value.name): value.printed for value in made}
    return [
        Comparison(value, other, _verdict(value, other))
        for value in reference
        for other in [found.get((value.place, value.name))]
    ]


def _verdict(value: Value, found: str | None) -> str:
    if found is None:
        return "missing"
    if found == value.printed:
        return "matched"
    try:
        was, now = float(value.printed), float(found)
    except ValueError:
        return "drifted"  # a word, such as the verdict on a claim
    if value.side is not None:
        near = (was < value.side) == (now < value.side)
    else:
        near = abs(was - now) <= value.tolerance
    return "within tolerance" if near else "drifted"


def count_verdicts(compared: list[Comparison]) -> dict[str, int]:
    counted = Counter(each.verdict for each in compared)
    return {verdict: counted[verdict] for verdict in VERDICTS}


def values_of(texts: Mapping[str, str]) -> list[Value]:
    """Numbers of results: texts of files record.json and of tables (csv), by path."""
    records = [
        json.loads(text)
        for path, text in sorted(texts.items())
        if PurePath(path).name == "record.json"
    ]
    tables = {
        PurePath(path).stem: text
        for path, text in texts.items()
        if "tables" in PurePath(path).parts
    }
    return _of_records(records) + [
        value for name, text in sorted(tables.items()) for value in _of_table(name, text)
    ]


def _of_records(records: Sequence[dict]) -> list[Value]:
    deviations = _deviations(records)
    usual = {
        metric: median(each[metric] for each in deviations.values() if metric in each)
        for metric in {name for each in deviations.values() for name in each}
    }
    values = []
    for facts in records:
        place = run_name(facts)
        for metric, mean in _means(facts).items():
            measure = deviations[_group(facts)].get(metric, usual.get(metric))
            tolerance = _share(mean) if measure is None else SEEDS_APART * measure
            values.append(Value(place, metric, f"{mean:.6g}", tolerance))
        counts = {f"parameters {name}": count for name, count in facts["parameters"].items()}
        for name, count in (counts | {"multiply_adds": facts["multiply_adds"]}).items():
            values.append(Value(place, name, f"{count}"))
    return values


def run_name(facts: Mapping) -> str:
    """A run as the report names it: SAM-Mix-50 mix.choice=best, seed 1."""
    return f"{' '.join([facts['name'], *facts['changes']])}, seed {facts['seed']}"


def _group(facts: Mapping) -> tuple:
    return facts["name"], tuple(facts["changes"])


def _means(facts: Mapping) -> dict[str, float]:
    return {
        f"{cohort} {metric}": mean
        for cohort, means in facts["summary"].items()
        for metric, mean in means.items()
        if mean is not None
    }


def _deviations(records: Sequence[dict]) -> dict[tuple, dict[str, float]]:
    """Deviation of each mean between the seeds, by system; empty where there is one seed."""
    found: dict[tuple, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for facts in records:
        for metric, mean in _means(facts).items():
            found[_group(facts)][metric].append(mean)
    return {
        group: {name: stdev(means) for name, means in metrics.items() if len(means) > 1}
        for group, metrics in found.items()
    }


def _share(number: float) -> float:
    return max(SHARE * abs(number), LEAST)


def _of_table(name: str, text: str) -> list[Value]:
    rows = list(csv.DictReader(io.StringIO(text)))
    values = []
    for row in rows:
        head, *columns = row
        for column in columns:
            if not OF_THE_MACHINE.match(column):
                values += _of_cell(name, row[head], column, row)
    return values


def _of_cell(table: str, head: str, column: str, row: Mapping[str, str]) -> list[Value]:
    """The numbers of a cell; of a text, its words are one value more."""
    printed, place, name = row[column], f"table {table}", f"{head}: {column}"
    if not printed:
        return []
    if NUMBER.fullmatch(printed):
        if table.endswith("significance"):
            return [Value(place, name, printed, side=SIGNIFICANT)]
        return [Value(place, name, printed, _tolerance(column, row))]
    numbers = NUMBER.findall(printed)
    words = Value(place, f"{name} (words)", NUMBER.sub("#", printed))
    return [words] + [
        Value(place, f"{name} ({count})", number, _share(float(number)))
        for count, number in enumerate(numbers, start=1)
    ]


def _tolerance(column: str, row: Mapping[str, str]) -> float:
    if column in COUNTS or column.startswith("paper"):
        return 0.0
    deviation = row.get(f"{PARTS_OF_ITS_MEAN.sub('', column)}_deviation")
    return SEEDS_APART * float(deviation) if deviation else _share(float(row[column]))
