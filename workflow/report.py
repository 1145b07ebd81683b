"""The reproduction report: report.py --profile NAME [--build FOLDER] [--page FILE] [--only ...].

Compares what lies in the folder of results now with what is committed, study by study of the size
(--study: some of them). Prints a line for each, writes the page if asked to; the exit code is 1 if
a number drifted or is missing. With --page it is 0: a drift is no reason to build no site.
"""

import argparse
import json
import os
import platform
import sys
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from committed import committed_texts

from samnb.base.checkout import commit
from samnb.base.files import write_text
from samnb.base.paths import CHECKOUT, results_root
from samnb.reports.reproduction import (
    Comparison,
    compare_values,
    count_verdicts,
    run_name,
    values_of,
)
from samnb.runs.runner import plan, state
from samnb.studies import studies_of

PACKAGES = ("samnb", "torch", "monai", "numpy", "scipy", "segment-anything", "peft", "snakemake")
SHOWN = 50  # drifted and missing numbers on the page


@dataclass(frozen=True)
class Report:
    """What was compared: texts of record.json and of tables by path, committed and found."""

    reference: dict[str, str] | None  # None: nobody knows what was committed
    made: dict[str, str]
    compared: list[Comparison]

    @property
    def good(self) -> bool:
        return all(each.verdict in ("matched", "within tolerance") for each in self.compared)

    @property
    def read(self) -> int:
        """Records that are byte for byte the committed ones: nobody made them again."""
        records = [path for path in self.made if path.endswith("record.json")]
        return sum((self.reference or {}).get(path) == self.made[path] for path in records)

    @property
    def anew(self) -> int:
        return sum(path.endswith("record.json") for path in self.made) - self.read


def compare(profile: str, only: list[str] | None = None) -> Report:
    """The profile's results against the committed ones; only: of these systems' runs alone."""
    if only is None:
        folders = [f"results/runs/{profile}", f"results/tables/{profile}"]
    else:
        folders = [f"results/runs/{profile}/{system}" for system in only]
    reference = committed_texts(*folders)
    made = _texts(results_root(), folders)
    if reference is None and results_root() != CHECKOUT / "results":
        reference = _texts(CHECKOUT / "results", folders)  # no git: the copy's own results
    compared = compare_values(values_of(reference or {}), values_of(made))
    return Report(reference, made, compared)


def _texts(results: Path, folders: list[str]) -> dict[str, str]:
    """Files below the folders, by the paths they have in the checkout."""
    found = {}
    for folder in folders:
        below = results / Path(folder).relative_to("results")
        for path in [*below.rglob("record.json"), *below.glob("*.csv")]:
            name = Path("results") / path.relative_to(results)
            found[name.as_posix()] = path.read_text(encoding="utf-8")
    return found


def say(report: Report) -> str:
    """The report in a line or two."""
    if not report.reference:
        return "No committed numbers to compare with (another profile, or no git)."
    counts = count_verdicts(report.compared)
    counted = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    records = f"{report.anew} records made anew, {report.read} read from the committed ones"
    return f"Of {len(report.compared)} committed numbers: {counted}. ({records}.)"


def say_all(reports: dict[str, Report]) -> str:
    """A line for each profile; where there is one alone it needs no name."""
    if len(reports) == 1:
        return say(*reports.values())
    return "\n".join(f"{name}: {say(report)}" for name, report in reports.items())


def write_page(reports: dict[str, Report], build: Path, states: dict[str, str]) -> str:
    """The page of the book, as Markdown: a section for each profile, then what they share.

    build: folder with the times of the chapters. states: by profile, how many planned runs are
    fresh, certified, ...
    """
    parts = ["# Reproduction report", "What the verdicts mean stands in [](pipeline.md)."]
    for name, report in reports.items():
        parts += [f"## Profile *{name}*", say(report), _verdict_table(report)]
        parts += ["### What differs", _differences(report)]
        parts += ["### Made with", _provenance(report, states[name])]
    parts += ["## Chapters: seconds and memory", _times(build), "## This machine", _machine()]
    return "\n\n".join(parts) + "\n"


def table(heads: list[str], rows: list[list[object]]) -> str:
    """Rows as a table in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _verdict_table(report: Report) -> str:
    kinds = {"records": "results of runs", "tables": "tables of the book"}
    rows = []
    for kind, words in kinds.items():
        of_kind = [
            j for j in report.compared if j.value.place.startswith("table ") == (kind == "tables")
        ]
        rows.append([words, *count_verdicts(of_kind).values(), len(of_kind)])
    rows.append(["**all**", *count_verdicts(report.compared).values(), len(report.compared)])
    return table(["", "matched", "within tolerance", "drifted", "missing", "all"], rows)


def _differences(report: Report) -> str:
    bad = [each for each in report.compared if each.verdict in ("drifted", "missing")]
    near = [each for each in report.compared if each.verdict == "within tolerance"]
    shown = [*bad, *near][:SHOWN]
    if not shown:
        return "Nothing."
    rows = [
        [each.verdict, each.value.place, each.value.name, each.value.printed, each.found or ""]
        for each in shown
    ]
    more = len(bad) + len(near) - len(shown)
    rest = f"\n\nAnd {more} more." if more else ""
    return table(["verdict", "where", "what", "committed", "now"], rows) + rest


def _times(build: Path) -> str:
    rows = []
    for path in sorted((build / "times").glob("*.tsv")):
        names, *lines = path.read_text(encoding="utf-8").splitlines()
        facts = dict(zip(names.split("\t"), lines[-1].split("\t"), strict=True))
        rows.append([path.stem, f"{float(facts['s']):.0f}", facts["max_rss"].split(".")[0]])
    if not rows:
        return "No chapter has been run."
    heads = ["chapter", "seconds", "peak memory, MB"]
    total = ["**all, one after the other**", f"{sum(int(row[1]) for row in rows)}", ""]
    return table(heads, [*rows, total])


def _provenance(report: Report, state: str) -> str:
    records = [json.loads(text) for path, text in report.made.items() if "record.json" in path]
    rows = [
        ["records", f"{report.anew} made anew, {report.read} read from the committed ones"],
        ["state of the planned runs", state],
        ["not in the reference", ", ".join(_new(report)) or "none"],
        ["devices of the runs", _counted(facts["device"] for facts in records)],
        ["precision of the runs", _counted(facts["precision"] for facts in records)],
    ]
    parts = sorted({part for facts in records for part in facts["data"]} - {"labelled slices"})
    for part in parts:
        rows.append([f"hash: {part}", _counted(facts["data"].get(part) for facts in records)])
    return table(["", ""], rows)


def _machine() -> str:
    rows = [
        ["commit", commit() or "not a git checkout"],
        ["this machine", f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"],
        ["Python", platform.python_version()],
        *([name, version(name)] for name in PACKAGES),
    ]
    return table(["", ""], rows)


def _new(report: Report) -> list[str]:
    """Runs that nothing committed speaks of."""
    known = report.reference
    return [
        run_name(json.loads(text))
        for path, text in sorted(report.made.items())
        if known and path.endswith("record.json") and path not in known
    ]


def _counted(values) -> str:
    counts = Counter(values)
    if len(counts) == 1:
        return str(next(iter(counts)))
    return ", ".join(f"{value} ({count})" for value, count in counts.most_common())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="pocket")
    parser.add_argument("--study", default="")
    parser.add_argument("--build", type=Path)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--only", nargs="+", metavar="SYSTEM")
    arguments = parser.parse_args()
    profiles = {each.name: each for each in studies_of(arguments.profile, arguments.study).values()}
    reports = {name: compare(name, arguments.only) for name in profiles}
    if arguments.page:
        build = arguments.build or Path("_build") / next(iter(profiles))
        states = {
            name: _counted(state(run) for run in plan(profile))
            for name, profile in profiles.items()
        }
        write_text(arguments.page, write_page(reports, build, states))
        return 0
    print(say_all(reports))
    return 0 if all(report.good for report in reports.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
