"""Figures as files: SVG to print and PNG to show, the same bytes for the same figure."""

from pathlib import Path

from matplotlib.figure import Figure

from samnb.base.files import atomic_path
from samnb.reports.style import styled

# Without dates and versions, so that a figure changes only if what it shows does.
_METADATA = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}


def write_figure(figure: Figure, name: str, folder: Path | str) -> list[Path]:
    """Write `name`.svg and `name`.png, on clear ground; give back their paths."""
    paths = []
    with styled():
        for ending, metadata in _METADATA.items():
            paths.append(Path(folder) / f"{name}.{ending}")
            with atomic_path(paths[-1]) as temporary:
                figure.savefig(temporary, format=ending, metadata=metadata)
    return paths
