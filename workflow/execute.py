"""Run one chapter from its text source: execute.py book/NN_name.py OUTPUT.ipynb --profile NAME."""

import argparse
import json
import logging
import sys
import tempfile
import time
from pathlib import Path

import jupytext
import nbformat
import papermill
from origins import ORIGINS
from papermill.exceptions import PapermillExecutionError

from samnb.base.files import atomic_path

# In the kernel, before the first cell; leaves no name behind.
BEGIN = (
    "import sys; sys.path.append({folder!r}); import origins; sys.path.pop(); "
    "origins.begin({notes!r}, {profile!r}); del sys, origins"
)
WORKFLOW = Path(__file__).resolve().parent


def execute(chapter: Path, output: Path, profile: str) -> None:
    """Execute `chapter` in its own folder with `profile` as its parameter; raise if a cell fails.

    With each cell is kept what it rests on (see origins.py). What has been run of a failing chapter
    is kept beside `output`, as NAME.failed.ipynb.
    """
    failed = output.with_suffix(".failed.ipynb")
    failed.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder, atomic_path(output) as finished:
        notebook = Path(folder) / f"{chapter.stem}.ipynb"
        jupytext.write(jupytext.read(chapter), notebook)
        notes = Path(folder) / "origins.json"
        begin = BEGIN.format(folder=str(WORKFLOW), notes=str(notes), profile=profile)
        try:
            papermill.execute_notebook(
                notebook,
                finished,
                parameters={"PROFILE": profile},
                kernel_name="python3",
                cwd=chapter.parent,
                progress_bar=False,
                extra_arguments=[
                    "--IPKernelApp.log_level=ERROR",
                    f"--IPKernelApp.exec_lines={[begin]!r}",
                ],
            )
        except PapermillExecutionError:
            failed.write_bytes(finished.read_bytes())
            raise
        _keep(json.loads(notes.read_text(encoding="utf-8")), finished)


def _keep(origins: dict[str, list[str]], executed: Path) -> None:
    """Put what each cell rests on, by its number, into the executed notebook."""
    notebook = nbformat.read(executed, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.metadata[ORIGINS] = origins.get(str(cell.execution_count), [])
    nbformat.write(notebook, executed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("chapter", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--profile", default="pocket")
    arguments = parser.parse_args()
    logging.getLogger("papermill").setLevel(logging.ERROR)
    began = time.monotonic()
    try:
        execute(arguments.chapter, arguments.output, arguments.profile)
    except PapermillExecutionError as error:
        print(
            f"error: {arguments.chapter} stops at cell {error.exec_count}: "
            f"{error.ename}: {error.evalue}\n"
            f"Remedy: see {arguments.output.with_suffix('.failed.ipynb')}.",
            file=sys.stderr,
        )
        return 1
    print(f"{arguments.chapter}: ran in {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
