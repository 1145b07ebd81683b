"""The status page: status.py --profile NAME --page FILE. Which runs are fresh, on which data."""

import argparse
import sys
from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path

from committed import commit
from report import table

from samnb.data.cohort import cohort_slices
from samnb.experiments import plan
from samnb.files import write_text
from samnb.keys import identify, why_stale
from samnb.profiles import Profile, load_profile
from samnb.records import all_records, read_record, run_of

MORE = "not of the book's tables"


def write_page(profile: Profile) -> str:
    """The page as Markdown."""
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return "\n\n".join(
        [
            "# Status",
            f"Profile *{profile.name}*, looked at {made}, at commit "
            f"{commit('--dirty') or 'unknown (no git)'}.",
            "## Data",
            _data(profile),
            "## Runs",
            "A run is *fresh* if its record was made by this code, these settings and these data; "
            "*stale* if one of them has changed since.",
            _runs(profile),
            "",
        ]
    )


def _data(profile: Profile) -> str:
    rows = []
    for name, settings in profile.data.cohorts.items():
        slices = cohort_slices(profile, name)
        kind = "real" if settings.phantom is None else "phantom"
        rows.append([name, kind, settings.target, len(slices.patients), len(slices)])
    return table(["cohort", "real or phantom", "target", "patients", "slices"], rows)


def _runs(profile: Profile) -> str:
    planned = plan(profile)
    others = [run_of(record, profile) for record in all_records(profile)]
    counts: dict[tuple[str, str], Counter] = defaultdict(Counter)
    stale = []
    for each in planned + [run for run in others if run not in planned]:
        record = read_record(each)
        reason = why_stale(record, identify(each)) if record else None
        state = "missing" if record is None else "stale" if reason else "fresh"
        labels = "all" if each.labels is None else str(each.labels)
        kind = "ablations" if each.changes and each in planned else f"{labels} labels"
        counts[each.system, kind if each in planned else MORE][state] += 1
        stale += [[str(each), reason]] if reason else []
    states = ["fresh", "stale", "missing"]
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
    write_text(arguments.page, write_page(load_profile(arguments.profile)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
