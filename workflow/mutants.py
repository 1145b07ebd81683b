"""Would a test notice? mutants.py [--only NAME] [--workers N].

Every patch in tests/mutants changes one decision of the science and names the tests that guard it.
Each is put alone into a copy of the checkout, and its tests run there: one of them has to fail. The
same tests have to pass on an untouched copy first, or their failing would say nothing.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from importlib import import_module
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from tqdm import tqdm

CHECKOUT = Path(__file__).resolve().parent.parent
COPIED = ("samnb", "tests", "workflow", "book", "pyproject.toml", "Makefile", "README.md")
SAID = "said.txt"  # what pytest printed, in the copy
LONGEST = 120  # seconds that the tests of one mutant may take
# What takes seconds to import and is not ours: loaded once, then shared by all processes.
SLOW = "torch torchvision monai.losses monai.networks.nets monai.transforms accelerate peft"
SLOW += " segment_anything pytorch_grad_cam pandas matplotlib.pyplot"


class Mutant(NamedTuple):
    """A patch with what it says of itself."""

    path: Path
    decision: str  # what the code rightly does, and what becomes of it
    tests: tuple[str, ...]  # by their names for pytest

    @property
    def name(self) -> str:
        return self.path.stem


def read_mutants() -> list[Mutant]:
    """All patches, by name. The head of each says `Decision: ...` and `Tests: tests/a.py::b ...`"""
    return [_read(path) for path in sorted((CHECKOUT / "tests" / "mutants").glob("*.patch"))]


def _read(path: Path) -> Mutant:
    head = path.read_text(encoding="utf-8").partition("\n--- ")[0]
    said = dict(re.findall(r"^(Decision|Tests): (.+)$", head, re.MULTILINE))
    # A test's name may hold spaces, in the brackets of its parameters.
    tests = re.split(r" +(?=tests/)", said.get("Tests", "").strip())
    return Mutant(path, said.get("Decision", ""), tuple(filter(None, tests)))


def put_in(mutant: Mutant, tree: Path) -> None:
    """Apply the patch to a copy of the checkout; one that does not fit raises."""
    command = ["git", "apply", str(mutant.path)]
    subprocess.run(command, cwd=tree, check=True, capture_output=True, text=True)


def copy_checkout(tree: Path) -> None:
    """What tests read of the checkout; no compiled Python, which could outlive a patch."""
    for name in COPIED:
        if (CHECKOUT / name).is_dir():
            unwanted = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", "*.ipynb")
            shutil.copytree(CHECKOUT / name, tree / name, ignore=unwanted)
        else:
            shutil.copy2(CHECKOUT / name, tree / name)


def start(tree: Path, tests: Sequence[str], mutant: Mutant | None = None) -> ForkProcess:
    """Run tests in a process of their own, forked: what is slow is imported already."""
    process = ForkProcess(target=_run, args=(tree, tests, mutant))
    process.start()
    return process


def _run(tree: Path, tests: Sequence[str], mutant: Mutant | None) -> None:
    """Copy the checkout, put the mutant in, test, and leave with pytest's code."""
    os.setsid()  # so that a hanging test can be ended with all that it has started
    said = os.open(tree / SAID, os.O_WRONLY | os.O_CREAT)
    os.dup2(said, sys.stdout.fileno())
    os.dup2(said, sys.stderr.fileno())
    copy_checkout(tree)
    if mutant:
        put_in(mutant, tree)
    os.chdir(tree)
    os.environ |= {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    sys.dont_write_bytecode = True
    sys.path[0] = str(tree)
    code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests])
    sys.stdout.flush()
    os._exit(code)


def examine(mutants: Sequence[Mutant], workers: int) -> Iterator[tuple[Mutant, str]]:
    """Each mutant with its state as soon as it has one: killed, survived, hung, broken."""
    waiting, running = list(mutants), {}
    while waiting or running:
        while waiting and len(running) < workers:
            mutant, folder = waiting.pop(0), TemporaryDirectory(prefix="mutant-")
            process = start(Path(folder.name), mutant.tests, mutant)
            running[process] = (mutant, folder, time.monotonic() + LONGEST)
        wait([process.sentinel for process in running], timeout=1)
        for process, (mutant, folder, end) in list(running.items()):
            late = time.monotonic() > end
            if not process.is_alive() or late:
                state = _state(process, Path(folder.name) / SAID)
                folder.cleanup()
                del running[process]
                yield mutant, state


def _state(process: ForkProcess, said: Path) -> str:
    if process.is_alive():
        os.killpg(process.pid, 9)
        process.join()
        return "hung"
    # A test that could not start has not failed; nor has one that could not be found or imported.
    if process.exitcode == 1 and re.search(r"^FAILED ", said.read_text("utf-8"), re.MULTILINE):
        return "killed"
    return "broken" if process.exitcode else "survived"


def check_untouched(mutants: Sequence[Mutant]) -> None:
    """Leave with what pytest says unless every named test passes on an untouched copy."""
    tests = sorted({test for mutant in mutants for test in mutant.tests})
    with TemporaryDirectory(prefix="untouched-") as folder:
        process = start(Path(folder), tests)
        process.join()
        if process.exitcode:
            sys.exit((Path(folder) / SAID).read_text("utf-8"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="the mutants with this in their names")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    mutants = [mutant for mutant in read_mutants() if arguments.only in mutant.name]
    if not mutants:
        sys.exit(f"No mutant has '{arguments.only}' in its name.")
    began = time.monotonic()
    for name in SLOW.split():
        import_module(name)
    check_untouched(mutants)
    states = tqdm(examine(mutants, arguments.workers), total=len(mutants), unit=" mutant")
    alive = sorted((mutant, state) for mutant, state in states if state != "killed")
    for mutant, state in alive:
        print(f"{state:8}  {mutant.name}: {mutant.decision}\n{'':8}  {' '.join(mutant.tests)}")
    minutes, seconds = divmod(round(time.monotonic() - began), 60)
    count = len(mutants)
    print(f"{count - len(alive)} of {count} mutants killed in {minutes} min {seconds} s")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
