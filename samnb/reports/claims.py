"""The paper's claims one by one: do its own tables bear them out, and does our reproduction?

The claims stand in claims.yaml, with a rule for each; here the rules are fed with the paper's
tables and with our cases, and nothing else is decided.
"""

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from matplotlib.figure import Figure
from pandas.io.formats.style import Styler

from samnb.evaluation.statistics import over_seeds
from samnb.reports.claim_rules import (
    FAILS,
    HOLDS,
    OTHERWISE,
    TIE,
    UNTESTABLE,
    VERDICTS,
    Evidence,
    Rule,
    evaluate_claim,
)
from samnb.reports.localisation import localisation_table
from samnb.reports.page import Page
from samnb.reports.paper import METRICS, published, table_of
from samnb.reports.style import BETTER, INK, PREDICTION, PROMPT, SERIES, panels
from samnb.reports.systems import of_cohort

_FILE = Path(__file__).with_name("claims.yaml")
COHORTS = ("lits", "totalsegmentator")  # of the paper's tables

ON_PAPER, HERE = "on paper", "in the pocket reproduction"
PAPER_NUMBERS, OUR_NUMBERS = "the paper's numbers", "our numbers"

# Told apart by sign as well as by colour.
SIGNS = {HOLDS: "✓", OTHERWISE: "≈", TIE: "=", FAILS: "✗", UNTESTABLE: "–"}
_MARKERS = {
    HOLDS: ("o", BETTER),
    OTHERWISE: ("D", PROMPT),
    TIE: ("s", SERIES[3]),
    FAILS: ("X", PREDICTION),
    UNTESTABLE: ("_", INK),
}


def audit(cases: pd.DataFrame, counts: Mapping[str, float] | None = None) -> pd.DataFrame:
    """Test every claim on the paper's tables and on our cases; one row per claim.

    cases: one row per slice, as `records.load_cases` gives them; runs with changed settings do not
    count. counts: our own, by the names of claims.yaml, as far as they are known.
    Columns: name, claim, place; `on paper` and `in the pocket reproduction` (one of
    `claim_rules.VERDICTS`); the numbers that each verdict rests on, in words.
    """
    return audit_of(_read()["claims"], paper_evidence(), our_evidence(cases, counts or {}))


def audit_of(
    entries: Sequence[Mapping[str, Any]],
    paper: Evidence,
    ours: Evidence,
    rules: Mapping[str, Rule] | None = None,
) -> pd.DataFrame:
    """The same of any paper: entries as in claims.yaml, and what they are tested on."""
    rows = []
    for entry in entries:
        rule = {key: _flat(value) for key, value in entry["rule"].items()}
        on_paper, here = (evaluate_claim(each, rules=rules, **rule) for each in (paper, ours))
        rows.append(
            {
                "name": entry["name"],
                "claim": entry["claim"].format(printed=rule.get("printed", "")),
                "place": entry["place"],
                ON_PAPER: on_paper.verdict,
                PAPER_NUMBERS: on_paper.numbers,
                HERE: here.verdict,
                OUR_NUMBERS: here.numbers,
            }
        )
    return pd.DataFrame(rows)


def paper_evidence() -> Evidence:
    """The paper's tables and the counts of its text."""
    tables = {name: published(table_of(name)).set_index("system") for name in COHORTS}
    return Evidence(tables, _read()["counts"], published=True)


def our_evidence(cases: pd.DataFrame, counts: Mapping[str, float]) -> Evidence:
    """Our means over slices and seeds, in the same form."""
    there = [name for name in COHORTS if cases["cohort"].eq(name).any()]
    return Evidence({name: _our_table(cases, name) for name in there}, counts, False, cases)


def counts_of_records(records: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Mean epochs of training: SAM-Mix against all that learned from every mask.

    Not the seconds, though records have them: nothing says what else the machine was doing.

    records: contents of record.json.
    """
    runs = pd.DataFrame(
        [
            {
                "mix": record["system"] == "sam_mix",
                "full": record["labels"] is None,
                "epochs": record["settings"]["learning"]["epochs"],
            }
            for record in records
            if not record["changes"]
        ]
    )
    found = {}
    for group, name in (("mix", "epochs"), ("full", "baseline_epochs")):
        if len(runs) and runs[group].any():
            found[name] = float(runs.loc[runs[group], "epochs"].mean())
    return found


def verdict_counts(found: pd.DataFrame) -> pd.DataFrame:
    """How many claims got which verdict, on paper and here."""
    counted = {column: found[column].value_counts() for column in (ON_PAPER, HERE)}
    return pd.DataFrame(counted).reindex(_possible(found)).fillna(0).astype(int)


def _possible(found: pd.DataFrame) -> list[str]:
    """The verdicts, in their order; a tie only in an audit that knows ties."""
    given = {*VERDICTS, *found[ON_PAPER], *found[HERE]}
    return [verdict for verdict in SIGNS if verdict in given]


def claims_page(found: pd.DataFrame, columns: Sequence[str] = (ON_PAPER, HERE)) -> Styler:
    """The audit for a page: a claim with its place, and the verdicts with their numbers."""
    numbers = {ON_PAPER: PAPER_NUMBERS, HERE: OUR_NUMBERS}
    cells = [
        [
            f"{escape(row['claim'])}<br><em>{escape(row['place'])}</em>",
            *(_cell(row[column], row[numbers[column]]) for column in columns),
        ]
        for _, row in found.iterrows()
    ]
    text = pd.DataFrame(cells, columns=["the paper claims", *columns])
    # Styler draws a random name for each table, so an executed notebook would never be the same.
    name = hashlib.sha256(text.to_csv().encode()).hexdigest()[:8]
    looks = "text-align: left; vertical-align: top; padding: 0.3em 0.6em"
    page = Page(text, uuid=name, cell_ids=False).hide(axis="index")
    return page.set_table_styles([{"selector": "th, td", "props": looks}])


def claims_chart(found: pd.DataFrame) -> Figure:
    """One row per claim, two columns of signs: on paper and here."""
    figure, axes = panels(panel_height=0.23 * len(found) + 1.1)
    for verdict in _possible(found):
        marker, colour = _MARKERS[verdict]
        places = [
            (column, row)
            for column, name in enumerate((ON_PAPER, HERE))
            for row in range(len(found))
            if found[name].iloc[row] == verdict
        ]
        across, down = zip(*places, strict=True) if places else ((), ())
        look = {"color": colour, "markersize": 8, "markeredgewidth": 1.5 if marker == "_" else 0}
        axes.plot(across, down, marker, label=verdict, **look)
    axes.set_xticks([0, 1], [ON_PAPER, "here"])
    axes.set_yticks(range(len(found)), found["name"])
    axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
    axes.set_xlim(-0.5, 1.5)
    axes.set_ylim(len(found) - 0.4, -0.6)
    axes.spines[:].set_visible(False)
    axes.grid(visible=False, axis="x")
    figure.legend(loc="outside lower center", ncols=len(_possible(found)), columnspacing=1.2)
    return figure


def _our_table(cases: pd.DataFrame, cohort: str) -> pd.DataFrame:
    chosen = of_cohort(cases, cohort)
    columns = {}
    for metric in METRICS:
        summary = over_seeds(chosen, metric).set_index("system")
        columns |= {metric: summary["mean"], f"{metric}_deviation": summary["deviation"]}
    return pd.DataFrame(columns).join(localisation_table(chosen, cohort)["auc"])


def _cell(verdict: str, numbers: str) -> str:
    return f"<strong>{SIGNS[verdict]} {verdict}</strong><br>{escape(numbers)}"


def _flat(value: Any) -> Any:
    """Lists of lists, as groups of systems make them, as one list."""
    if not isinstance(value, list):
        return value
    return [item for each in value for item in (each if isinstance(each, list) else [each])]


@cache
def _read() -> dict[str, Any]:
    return yaml.safe_load(_FILE.read_text(encoding="utf-8"))
