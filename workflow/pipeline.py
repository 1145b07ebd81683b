"""Run the pipeline: pipeline.py TARGET [--profile NAME] [--cores N] ... [options of Snakemake].

A size has several studies. `data` and `runs` make those of all; what has chapters in it makes their
runs and then the chapters, which read the records of several. --study NAME: only the studies whose
names begin so.

Continues where it was stopped, also after a kill. `verify` makes everything anew in a folder of its
own and compares it with what is committed; `everything` ends with the same comparison.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import report
from filelock import FileLock, Timeout
from given import copy_given
from plans import chapters_about, planned

from samnb.base.errors import SamnbError
from samnb.base.files import write_text
from samnb.base.paths import CHECKOUT, data_root
from samnb.studies import SPINE, Profile, studies_of

MADE_BY_RUNS = {"trained", "training"}  # in the folder of data; everything else there is given
DATA, RUNS = "data", "runs"  # what every study has: data are made together, runs apart
BOOK = ("everything", "chapters", "site")  # targets with chapters of several studies


def snakemake(
    targets: Sequence[str],
    profile: str,
    arguments: argparse.Namespace,
    build: Path | None = None,
    **more,
) -> int:
    """Run Snakemake up to the targets of one profile; its exit code."""
    config = {"profile": profile, "gpus": arguments.gpus} | more
    if build:
        config["build"] = build
    command = [Path(sys.executable).with_name("snakemake"), "--snakefile", "workflow/Snakefile"]
    command += ["--cores", arguments.cores, "--rerun-incomplete", "--keep-going"]
    # A lock of Snakemake outlives a killed process; the one below does not.
    command += ["--nolock", "--quiet", "host" if "-n" in arguments.options else "all"]
    if arguments.executor != "local":
        command += ["--executor", arguments.executor, "--jobs", arguments.cores]
    if arguments.gpus:
        command += ["--resources", f"gpu={arguments.gpus}"]
    command += [
        *arguments.options,
        "--config",
        *(f"{name}={value}" for name, value in config.items()),
    ]
    process = subprocess.Popen([*map(str, command), "--", *targets], cwd=CHECKOUT)
    stopped = False
    while True:
        try:
            code = process.wait()
            break
        except KeyboardInterrupt:
            stopped = True  # Snakemake has heard it too, and puts things in order
    if stopped:
        sys.exit(code or 1)  # no other study is begun
    return code


def run(arguments: argparse.Namespace) -> int:
    """Make the target; then, for `everything`, say how its numbers compare."""
    chosen, book = _studies(arguments), _of_the_book(arguments)
    codes = [
        snakemake(targets, _name(each, arguments), arguments, **_more(targets, each, arguments))
        for targets, each in _jobs(arguments)
    ]
    if "-n" in arguments.options:
        return max(codes)
    if arguments.target == "everything":
        reports = {each.name: report.compare(each.name) for each in chosen.values()}
        print(report.say_all(reports))
        codes += [0 if all(each.good for each in reports.values()) else 1]
    if book in chosen.values() and arguments.target in ("everything", "site") and not any(codes):
        print(f"The book: _build/{book.name}/html/index.html")
    return 1 if any(codes) else 0


def _jobs(arguments: argparse.Namespace) -> list[tuple[list[str], Profile]]:
    """Targets of Snakemake, and of which profile, one after the other."""
    chosen, book, target = _studies(arguments), _of_the_book(arguments), arguments.target
    if target not in (DATA, RUNS, *BOOK):  # a file
        return [([target], book or next(iter(chosen.values())))]
    if target == DATA:
        return [([target], next(iter(chosen.values())))]
    if target == RUNS:
        return [([target], each) for each in chosen.values()]
    runs = [(["runs"], each) for each in chosen.values() if each != book]
    if book is None:
        return runs
    if book in chosen.values():
        return [*runs, ([target], book)]
    about = chapters_about(chosen, studies_of(arguments.profile))
    files = [f"_build/{book.name}/chapters/{chapter}.ipynb" for chapter in about]
    return [*runs, (files, book)] if files else runs


def _studies(arguments: argparse.Namespace) -> dict[str, Profile]:
    """Those asked for; of a size with chapters, where none is named, those that chapters read."""
    every = studies_of(arguments.profile, arguments.study)
    if arguments.study or SPINE not in every:
        return every
    return {
        name: each for name, each in every.items() if name == SPINE or chapters_about([name], every)
    }


def _of_the_book(arguments: argparse.Namespace) -> Profile | None:
    """The profile that chapters are run with: the spine's of the size, or the only one."""
    every = studies_of(arguments.profile)
    return every.get(SPINE, next(iter(every.values())) if len(every) == 1 else None)


def _more(
    targets: Sequence[str], profile: Profile, arguments: argparse.Namespace
) -> dict[str, str]:
    """What Snakemake is told besides: all studies whose data are asked for; or, of a study other
    than that which chapters are run with, its name.
    """
    chosen = _studies(arguments)
    if targets == [DATA]:
        together = " ".join(each.name for each in chosen.values())
        return {"together": together} if len(chosen) > 1 else {}
    if profile == _of_the_book(arguments):
        return {}
    return {"study": next(name for name, each in chosen.items() if each == profile)}


def _name(profile: Profile, arguments: argparse.Namespace) -> str:
    """What finds the profile again: its name, or the file of one's own."""
    return (
        arguments.profile
        if Path(arguments.profile).is_file() and not arguments.study
        else profile.name
    )


def verify(arguments: argparse.Namespace) -> int:
    """Make runs and chapters anew, apart from all that was made before, and compare the numbers.

    Scans and slices are those at hand. A verification that was stopped goes on; one that has ended
    is begun anew.
    """
    chosen, book = list(_studies(arguments).values()), _of_the_book(arguments)
    scratch = CHECKOUT / "_build" / "verify" / chosen[0].name
    if (scratch / "ended").is_file():
        shutil.rmtree(scratch)
    _link_data(scratch / "data")
    copy_given(scratch / "results")
    os.environ |= {"SAMNB_DATA": str(scratch / "data"), "SAMNB_RESULTS": str(scratch / "results")}
    only = [name.replace("-", "_") for name in arguments.only or []]
    codes, reports = [], {}
    for profile in sorted(chosen, key=lambda each: each == book):  # chapters read all records
        build = scratch if profile is chosen[0] else scratch / "build" / profile.name
        asked = [name for name in only if name in planned(profile, build)]
        if only and not asked:
            continue
        target = "chapters" if profile == book and not only else "runs"
        more = {"systems": " ".join(asked)} if only else {}
        place = build.relative_to(CHECKOUT)
        codes.append(snakemake([target], _name(profile, arguments), arguments, place, **more))
        if "-n" not in arguments.options:
            reports[profile.name] = report.compare(profile.name, asked or None)
    if not codes:
        remedy = "`samnb runs` lists the systems of a study."
        raise SamnbError(f"No study here has runs of {' or '.join(only)}.", remedy)
    if "-n" in arguments.options:
        return max(codes)
    page = scratch / "reproduction.md"
    states = dict.fromkeys(reports, "all made for this")
    write_text(page, report.write_page(reports, scratch, states))
    if not any(codes):
        (scratch / "ended").touch()
    print(f"{report.say_all(reports)}\nThe report: {page.relative_to(CHECKOUT)}")
    return 1 if any(codes) or not all(each.good for each in reports.values()) else 0


def _link_data(folder: Path) -> None:
    """A folder of data that has everything of the usual one but what runs leave there."""
    folder.mkdir(parents=True, exist_ok=True)
    for given in data_root().iterdir() if data_root().is_dir() else []:
        if given.name not in MADE_BY_RUNS and not (folder / given.name).exists():
            (folder / given.name).symlink_to(given)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("target")
    parser.add_argument("--profile", default="pocket", help="a profile, or the size of a study")
    parser.add_argument("--study", default="", help="such as sam-mix or cheap-lunch; else all")
    parser.add_argument("--cores", default="2")
    parser.add_argument("--gpus", type=int, default=0, help="as many GPU jobs at a time")
    parser.add_argument("--executor", default="local", help="slurm, kubernetes, ...")
    parser.add_argument("--only", nargs="+", metavar="SYSTEM", help="verify these systems' runs")
    arguments, arguments.options = parser.parse_known_args()
    make = verify if arguments.target == "verify" else run
    place = CHECKOUT / ".snakemake" / f"{make.__name__}.lock"
    place.parent.mkdir(exist_ok=True)
    try:
        if "-n" in arguments.options:
            return make(arguments)
        with FileLock(place, timeout=0):
            code = make(arguments)
    except Timeout:
        print("error: another make is at work here. Remedy: wait for it.", file=sys.stderr)
        return 1
    except SamnbError as error:
        print(f"error: {error.what}\nRemedy: {error.remedy}", file=sys.stderr)
        return 1
    if code:
        print("What happened is in the newest file of .snakemake/log", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
