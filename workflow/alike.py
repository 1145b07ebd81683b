"""The phantoms of a cohort: linked where another study has drawn them already, else drawn.

Several studies ask different questions of the same patients, each in a folder of its own. A patient
depends on kind, seed, number and side alone, so their files may be the same ones: whoever changes
one later writes a new file in its place, and the others keep theirs.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from samnb.cli.data import phantom
from samnb.studies import Profile, load_profile, names
from samnb.studies.cohorts import cohort_place


def drawn_alike(profile: Profile, name: str, others: Iterable[Profile]) -> Path | None:
    """The folder of another study's cohort that holds all patients of this one, if there is one."""
    for other, title in _same_patients(profile, name, others):
        folder = cohort_place(other, title)
        if folder.with_name(f"{title}.made").is_file():  # by the pipeline, to its end
            return folder
    return None


def drawn_before(
    profile: Profile, name: str, together: Iterable[Profile]
) -> list[tuple[Profile, str]]:
    """Of studies made together, the cohort that has to be drawn before this one can be linked.

    It is the first of the largest ones, and waits for none itself.
    """
    together = [*together]
    found = [*_same_patients(profile, name, together)]
    if profile in together:
        found = sorted([*found, (profile, name)], key=lambda each: together.index(each[0]))
    first = max(found, key=lambda each: _patients(*each), default=(profile, name))
    return [] if first[0] == profile else [first]


def _patients(profile: Profile, name: str) -> int:
    return profile.data.cohorts[name].phantom.patients


def _same_patients(
    profile: Profile, name: str, others: Iterable[Profile]
) -> Iterator[tuple[Profile, str]]:
    """Cohorts of other studies that have all patients of this one."""
    own = profile.data.cohorts[name].phantom
    for other in others:
        if other.name == profile.name or other.seed != profile.seed or own is None:
            continue
        for title, cohort in other.data.cohorts.items():
            drawn = cohort.phantom
            if (
                drawn is not None
                and (drawn.kind, drawn.side) == (own.kind, own.side)
                and drawn.patients >= own.patients
            ):
                yield other, title


def link(source: Path, folder: Path) -> None:
    """Every file of `source`, in `folder`; where the disk knows no links, a copy."""
    for path in source.rglob("*"):
        target = folder / path.relative_to(source)
        if path.is_dir():
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, target)
        except OSError:
            shutil.copy2(path, target)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--profile", required=True)
    parser.add_argument("--cohort", required=True)
    parser.add_argument("--workers", type=int)
    arguments = parser.parse_args()
    profile = load_profile(arguments.profile)
    folder = cohort_place(profile, arguments.cohort)
    if not (folder.is_dir() and any(folder.iterdir())):
        source = drawn_alike(profile, arguments.cohort, map(load_profile, names()))
        if source is not None:
            print(f"The same patients are in {source}.")
            link(source, folder)
    phantom(arguments.profile, cohort=[arguments.cohort], workers=arguments.workers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
