"""Join a chapter's text source with the outputs of its run into the notebook that is committed.

assemble.py book/NN_name.py EXECUTED.ipynb OUTPUT.ipynb

Prose, captions and tags come from the source, outputs from the run, so rewording a paragraph needs
no new run. Timestamps, paths and random ids are left out: the same run gives the same bytes.
"""

import argparse
import sys
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode
from origins import ORIGINS

from samnb.base.files import write_text

INJECTED = "injected-parameters"


def assemble(source: NotebookNode, executed: NotebookNode, stem: str) -> NotebookNode:
    """Notebook of `source` cells with the outputs of `executed`; both hold the same code cells."""
    runs = [cell for cell in executed.cells if cell.cell_type == "code"]
    runs = [cell for cell in runs if INJECTED not in cell.metadata.get("tags", [])]
    places = [cell for cell in source.cells if cell.cell_type == "code"]
    if [cell.source for cell in places] != [cell.source for cell in runs]:
        raise SystemExit(f"error: {stem} was run with other code. Remedy: run it again.")
    for count, (place, run) in enumerate(zip(places, runs, strict=True), start=1):
        place.outputs = [_plain_output(output, count) for output in _joined(run.outputs)]
        place.execution_count = count
    for index, cell in enumerate(source.cells):
        cell.id = f"{stem}-{index:03d}"
    source.metadata = _notebook_metadata(source)
    # With the notebook, not with its cells, whose metadata the text would have to repeat.
    if all(ORIGINS in run.metadata for run in runs):
        source.metadata[ORIGINS] = [run.metadata[ORIGINS] for run in runs]
    source.nbformat, source.nbformat_minor = 4, 5
    nbformat.validate(source)
    return source


def _joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Outputs with printed text in one piece; in how many it arrives is a matter of timing."""
    joined: list[NotebookNode] = []
    for output in outputs:
        before = joined[-1] if joined else {}
        if output.output_type == "stream" and before.get("name") == output.name:
            before.text += output.text
        else:
            joined.append(output)
    return joined


def _plain_output(output: NotebookNode, count: int) -> NotebookNode:
    if output.output_type == "error":
        raise SystemExit(f"error: code cell {count} failed: {output.ename}: {output.evalue}")
    if "execution_count" in output:
        output.execution_count = count
    return output


def _notebook_metadata(source: NotebookNode) -> NotebookNode:
    return nbformat.from_dict(
        {
            "jupytext": source.metadata.get("jupytext", {}),
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("executed", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    notebook = assemble(
        jupytext.read(arguments.source),
        nbformat.read(arguments.executed, as_version=4),
        arguments.source.stem,
    )
    write_text(arguments.output, nbformat.writes(notebook) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
