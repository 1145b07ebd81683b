"""Run the pipeline: pipeline.py TARGET [--profile NAME] [--cores N] ... [options of Snakemake].

Continues where it was stopped, also after a kill. `verify` makes everything anew in a folder of its
own and compares it with what is committed; `everything` ends with the same comparison.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import report
from filelock import FileLock, Timeout
from given import copy_given

from samnb.base.paths import CHECKOUT, data_root
from samnb.studies import load_profile

MADE_BY_RUNS = {"trained", "training"}  # in the folder of data; everything else there is given


def snakemake(target: str, arguments: argparse.Namespace, build: Path | None = None, **more) -> int:
    """Run Snakemake up to `target`; its exit code."""
    config = {"profile": arguments.profile, "gpus": arguments.gpus} | more
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
    process = subprocess.Popen([*map(str, command), "--", target], cwd=CHECKOUT)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue  # Snakemake has heard it too, and puts things in order


def run(arguments: argparse.Namespace) -> int:
    """Make the target; then, for `everything`, say how its numbers compare."""
    code = snakemake(arguments.target, arguments)
    if arguments.target == "everything" and "-n" not in arguments.options:
        compared = report.compare(load_profile(arguments.profile).name)
        print(report.say(compared))
        return code or (0 if compared.good else 1)
    return code


def verify(arguments: argparse.Namespace) -> int:
    """Make runs and chapters anew, apart from all that was made before, and compare the numbers.

    Scans and slices are those at hand. A verification that was stopped goes on; one that has ended
    is begun anew.
    """
    profile = load_profile(arguments.profile).name
    scratch = CHECKOUT / "_build" / "verify" / profile
    if (scratch / "ended").is_file():
        shutil.rmtree(scratch)
    _link_data(scratch / "data")
    copy_given(scratch / "results")
    os.environ |= {"SAMNB_DATA": str(scratch / "data"), "SAMNB_RESULTS": str(scratch / "results")}
    only = [name.replace("-", "_") for name in arguments.only or []]
    target, more = ("runs", {"systems": " ".join(only)}) if only else ("chapters", {})
    code = snakemake(target, arguments, build=scratch.relative_to(CHECKOUT), **more)
    if "-n" in arguments.options:
        return code
    compared = report.compare(profile, only or None)
    page = scratch / "reproduction.md"
    report.write_text(page, report.write_page(compared, profile, scratch, "all made for this"))
    if not code:
        (scratch / "ended").touch()
    print(f"{report.say(compared)}\nThe report: {page.relative_to(CHECKOUT)}")
    return code or (0 if compared.good else 1)


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
    parser.add_argument("--study", default="", help="such as sam-mix; else the profile's own")
    parser.add_argument("--cores", default="2")
    parser.add_argument("--gpus", type=int, default=0, help="as many GPU jobs at a time")
    parser.add_argument("--executor", default="local", help="slurm, kubernetes, ...")
    parser.add_argument("--only", nargs="+", metavar="SYSTEM", help="verify these systems' runs")
    arguments, arguments.options = parser.parse_known_args()
    if arguments.study:
        arguments.profile = load_profile(arguments.profile, arguments.study).name
    make = verify if arguments.target == "verify" else run
    if "-n" in arguments.options:
        return make(arguments)
    place = CHECKOUT / ".snakemake" / f"{make.__name__}.lock"
    place.parent.mkdir(exist_ok=True)
    try:
        with FileLock(place, timeout=0):
            code = make(arguments)
    except Timeout:
        print("error: another make is at work here. Remedy: wait for it.", file=sys.stderr)
        return 1
    if code:
        print("What happened is in the newest file of .snakemake/log", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
