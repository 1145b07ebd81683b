"""Run one chapter from its text source: execute.py book/NN_name.py OUTPUT.ipynb --profile NAME."""

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path

import jupytext
import papermill
from papermill.exceptions import PapermillExecutionError

from samnb.base.files import atomic_path


def execute(chapter: Path, output: Path, profile: str) -> None:
    """Execute `chapter` in its own folder with `profile` as its parameter; raise if a cell fails.

    What has been run of a failing chapter is kept beside `output`, as NAME.failed.ipynb.
    """
    failed = output.with_suffix(".failed.ipynb")
    failed.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder, atomic_path(output) as finished:
        notebook = Path(folder) / f"{chapter.stem}.ipynb"
        jupytext.write(jupytext.read(chapter), notebook)
        try:
            papermill.execute_notebook(
                notebook,
                finished,
                parameters={"PROFILE": profile},
                kernel_name="python3",
                cwd=chapter.parent,
                progress_bar=False,
                extra_arguments=["--IPKernelApp.log_level=ERROR"],
            )
        except PapermillExecutionError:
            failed.write_bytes(finished.read_bytes())
            raise


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
