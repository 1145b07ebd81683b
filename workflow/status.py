"""The status page: status.py --profile NAME --page FILE. Which runs are fresh, on which data.

All studies of the size, each in a section of its own.
"""

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from report import table

from samnb.base.checkout import commit
from samnb.base.files import write_text
from samnb.runs import derived
from samnb.runs.derived import DERIVED
from samnb.runs.keys import identify, standing
from samnb.runs.records import all_records, read_record, run_of
from samnb.runs.runner import plan
from samnb.studies import Profile, studies_of
from samnb.studies.volumes import cohort_view

MORE = "not of the book's tables"


def write_page(profiles: Iterable[Profile]) -> str:
    """The page as Markdown."""
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    profiles = list(profiles)
    parts = [
        "# Status",
        f"Looked at {made}, at commit {commit() or 'unknown (no git)'}.",
        "A run is *fresh* if its record was made by this code, these settings and these data; "
        "*certified* if it was made by an older code that a certificate says computes the same "
        "(`results/certificates.jsonl`); *stale* if something else has changed since.",
    ]
    for profile in profiles:
        parts += [f"## Profile *{profile.name}*", _data(profile), _runs(profile)]
    return "\n\n".join(
        [
            *parts,
            "## Other results",
            "What needs pixels or hours, and is kept with a key of its own. Data of other profiles "
            "are not looked at here; `samnb runs others` does.",
            _derived({profile.name for profile in profiles}),
            "",
        ]
    )


def _data(profile: Profile) -> str:
    rows = []
    for name, settings in profile.data.cohorts.items():
        shown = cohort_view(profile, name)
        kind = "real" if settings.phantom is None else "phantom"
        rows.append([name, kind, ", ".join(settings.targets), len(shown.patients), len(shown)])
    return table(["cohort", "real or phantom", "target", "patients", "slices or volumes"], rows)


def _derived(profiles: set[str]) -> str:
    rows = [[f"`{file}`", *derived.standing(file, profiles), f"`{DERIVED[file].command}`"]
            for file in DERIVED]  # fmt: skip
    heads = ["file of results", "state", "why", "made by"]
    return table(heads, [[each or "" for each in row] for row in rows])


def _runs(profile: Profile) -> str:
    planned = plan(profile)
    others = [run_of(record, profile) for record in all_records(profile)]
    counts: dict[tuple[str, str], Counter] = defaultdict(Counter)
    stale = []
    for each in planned + [run for run in others if run not in planned]:
        state, reason = standing(read_record(each), identify(each))
        labels = "all" if each.labels is None else str(each.labels)
        kind = "ablations" if each.changes and each in planned else f"{labels} labels"
        counts[each.system, kind if each in planned else MORE][state] += 1
        stale += [[str(each), reason]] if reason else []
    states = ["fresh", "certified", "stale", "missing"]
    rows = [[*names, *(count[state] for state in states)] for names, count in counts.items()]
    total = sum(counts.values(), Counter())
    rows.append(["**all**", "", *(total[state] for state in states)])
    shown = table(["system", "runs", *states], rows)
    return shown + ("\n\n" + table(["stale run", "why"], stale) if stale else "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="pocket")
    parser.add_argument("--page", type=Path, required=True)
    arguments = parser.parse_args()
    write_text(arguments.page, write_page(studies_of(arguments.profile).values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
