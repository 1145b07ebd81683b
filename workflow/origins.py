"""Which records and data each cell of a chapter rests on, noted while the chapter runs.

`begin` is called in the chapter's kernel before its first cell. From then on it notes what comes in
through the doors of the package and from files of results, and by which line of the cell. Values
are followed by their names: a statement rests on what it reads itself and on what the names in it
rest on. A cell rests on all that its statements do, which may be too much, never too little.
"""

import functools
import importlib
import json
import os
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flow import Flow

from samnb.base.files import write_text
from samnb.base.paths import results_root

DATA, RUNS = "data ", "runs "  # before the names of a cohort and of a system
POCKET, SHAPES, PAPERS, ZERO_SHOT = "pocket sam", "shapes", "papers", "zero shot"
REAL = "real"  # all of a profile of another size: chapters read none but those of real images
ORIGINS = "origins"  # under this name notebooks keep it, by cell

Found = Callable[..., set[str]]  # what came in, by the result and the arguments of a call


class Notes:
    """What a chapter has read.

    home: the name of the profile that it is run with. beside: of the other studies of that size;
    what is read of them is named `PROFILE/NAME`.
    """

    def __init__(self, home: str, namespace: dict[str, Any], beside: Collection[str] = ()):
        self.home, self.beside = home, beside
        self.namespace = namespace  # of the chapter
        self.flow = Flow(namespace, self.narrowed)
        self.reads: list[tuple[int | None, str]] = []  # of this cell: line, origin
        self.systems: dict[str, str] = {}  # keys of systems by the names that tables give them
        self.is_silent = False

    def add(self, origins: set[str]) -> None:
        if not self.is_silent:
            line = self._line()
            self.reads += [(line, origin) for origin in origins]

    def _line(self) -> int | None:
        """Of the cell that is running; None where another thread reads."""
        frame = sys._getframe()
        while frame and (
            frame.f_globals is not self.namespace or frame.f_code.co_name != "<module>"
        ):
            frame = frame.f_back
        return frame and frame.f_lineno

    @contextmanager
    def silence(self) -> Iterator[None]:
        """What a door reads to answer is not what it answers: a record is known by its data."""
        before, self.is_silent = self.is_silent, True
        try:
            yield
        finally:
            self.is_silent = before

    def cell(self, code: str) -> list[str]:
        """What the cell that has just run rests on."""
        code = "\n".join("" if line.startswith(("%", "!")) else line for line in code.splitlines())
        reads, self.reads = self.reads, []
        return sorted(self.flow.cell(code, reads))

    def narrowed(self, origins: set[str], rows: object) -> set[str]:
        """Of the origins of a table those of a part of its rows: of the systems named there."""
        import pandas as pd

        if not isinstance(rows, pd.DataFrame) or "system" not in rows:
            return origins
        names = set(rows["system"])
        if not names <= set(self.systems):
            return origins
        kept = {self.systems[name] for name in names}
        return {
            origin
            for origin in origins
            if not origin.startswith(RUNS) or origin.removeprefix(RUNS).rpartition("/")[2] in kept
        }

    def of(self, profile: str, kind: str, name: str) -> set[str]:
        """kind: DATA or RUNS; name: of the cohort or the system."""
        if profile in self.beside:
            name = f"{profile}/{name}"
        return {kind + name if profile in (self.home, *self.beside) else REAL}

    def of_records(self, made: list[Any], profile: Any) -> set[str]:
        found = (self.of(profile.name, RUNS, record.facts["system"]) for record in made)
        return set().union(*found)

    def of_cases(self, cases: Any, profile: Any, *_: Any, **__: Any) -> set[str]:
        from samnb.reports.systems import shown_name
        from samnb.runs.records import all_records

        if profile.name not in (self.home, *self.beside):
            return {REAL}
        with self.silence():
            facts = [record.facts for record in all_records(profile)]
        for each in facts:
            self.systems |= {name: each["system"] for name in (each["name"], shown_name(each))}
        systems = (self.systems[name] for name in cases["system"].unique())
        return set().union(*(self.of(profile.name, RUNS, each) for each in systems))

    def of_run(self, _: Any, run: Any, *__: Any, **___: Any) -> set[str]:
        return self.of(run.profile.name, RUNS, run.system)

    def of_cohort(self, _: Any, profile: Any, name: str) -> set[str]:
        return self.of(profile.name, DATA, name)

    def of_file(self, path: Path) -> set[str]:
        """path: within the folder of results."""
        match path.parts:
            case "runs", profile, system, *_:
                return self.of(profile, RUNS, system)
            case "tables", "real", *_:
                return {REAL}
            case "pocket_sam", "zero_shot.csv":
                return {ZERO_SHOT}
            case "pocket_sam", *_:
                return {POCKET}
        return set()


def doors(notes: Notes) -> dict[tuple[str, str], Found]:
    """Functions by which chapters come to things, by module and name.

    From the ground up: what imports one of them by name must get the one that is watched.
    """

    def always(origin: str) -> Found:
        return lambda *_, **__: {origin}

    return {
        ("samnb.networks.sam.weights", "load_sam"): always(POCKET),
        ("samnb.studies.cohorts", "cohort_place"): notes.of_cohort,
        ("samnb.runs.records", "load_cases"): notes.of_cases,
        ("samnb.runs.records", "automatic_records"): notes.of_records,
        ("samnb.runs.runner", "make_record"): notes.of_run,
        ("samnb.runs.runner", "load_method"): notes.of_run,
        ("samnb.reports.paper", "_read"): always(PAPERS),
        ("samnb.reports.sizes", "beside_published"): always(PAPERS),
        ("samnb.reports.parameters", "parameter_table"): always(PAPERS),
        ("samnb.reports.claims", "_read"): always(PAPERS),
        ("samnb.pretraining.shapes", "draw_shapes"): always(SHAPES),
        ("samnb.pretraining.recipe", "ShapeStream.__init__"): always(SHAPES),
    }


def watch(notes: Notes) -> None:
    """Let every door note what comes in, and every file of results that is opened beside them."""
    for (module, name), found in doors(notes).items():
        *owners, last = name.split(".")
        owner = functools.reduce(getattr, owners, importlib.import_module(module))
        setattr(owner, last, _watched(getattr(owner, last), found, notes))
    root = str(results_root().resolve()) + os.sep

    def opened(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str | os.PathLike):
            path = os.path.realpath(arguments[0])
            if path.startswith(root):
                notes.add(notes.of_file(Path(path.removeprefix(root))))

    sys.addaudithook(opened)


def _watched(function: Callable, found: Found, notes: Notes) -> Callable:
    @functools.wraps(function)
    def door(*arguments: Any, **named: Any) -> Any:
        with notes.silence():
            result = function(*arguments, **named)
        notes.add(found(result, *arguments, **named))
        return result

    return door


def begin(path: str, profile: str) -> None:
    """In a kernel: note what each cell rests on into a JSON file, by its number."""
    from IPython import get_ipython

    shell = get_ipython()

    def before_first(_: Any) -> None:
        # Not at once: a kernel must answer in time, and to import PyTorch may take long.
        shell.events.unregister("pre_run_cell", before_first)
        from samnb.studies import load_profile, studies_of

        home = load_profile(profile).name
        beside = {each.name for each in studies_of(profile).values()} - {home}
        notes = Notes(home, shell.user_ns, beside)
        watch(notes)
        shell.events.register("post_run_cell", functools.partial(_write, notes, {}, Path(path)))

    shell.events.register("pre_run_cell", before_first)


def _write(notes: Notes, found: dict[int, list[str]], path: Path, result: Any) -> None:
    """After each cell, so that a chapter that fails says it too."""
    if result.info.store_history:
        found[result.execution_count] = notes.cell(result.info.raw_cell)
        write_text(path, json.dumps(found))
