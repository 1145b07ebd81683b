"""Phantoms that another study has drawn already: linked, in place of being drawn again.

Several studies ask different questions of the same patients, each in a folder of its own. A patient
depends on kind, seed, number and side alone, so their files may be the same ones: whoever changes
one later writes a new file in its place, and the others keep theirs.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from samnb.studies import Profile, load_profile, names
from samnb.studies.cohorts import cohort_place


def drawn_alike(profile: Profile, name: str, others: Iterable[Profile]) -> Path | None:
    """The folder of another study's cohort that holds all patients of this one, if there is one."""
    own = profile.data.cohorts[name]
    for other in others:
        for title, cohort in other.data.cohorts.items():
            alike = (
                other.name != profile.name
                and other.seed == profile.seed
                and cohort.phantom is not None
                and (cohort.phantom.kind, cohort.phantom.side)
                == (own.phantom.kind, own.phantom.side)
                and cohort.phantom.patients >= own.phantom.patients
            )
            if not alike:
                continue
            folder = cohort_place(other, title)
            if folder.with_name(f"{title}.made").is_file():  # by the pipeline, to its end
                return folder
    return None


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
    arguments = parser.parse_args()
    profile = load_profile(arguments.profile)
    folder = cohort_place(profile, arguments.cohort)
    if folder.is_dir() and any(folder.iterdir()):
        return 0
    source = drawn_alike(profile, arguments.cohort, map(load_profile, names()))
    if source is not None:
        print(f"The same patients are in {source}.")
        link(source, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
