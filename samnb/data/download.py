"""Get real data sets: download what is free to download, say the way to what is not.

A download goes to `<folder>.download/` beside the final folder. What is there survives a broken
connection or a killed process, and the next call goes on from it. The final folder appears only
when everything is unpacked.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from filelock import FileLock

from samnb.base.archive import unpack
from samnb.base.errors import SamnbError
from samnb.base.fetch import fetch
from samnb.base.files import disk_error, write_json
from samnb.base.paths import data_root

RECEIPT = "samnb-source.json"  # written into a finished folder


@dataclass(frozen=True)
class Source:
    """A data set of `sources.yaml`."""

    name: str
    title: str
    folder: str  # below the data root
    layout: str
    gigabytes: float
    licence: str
    citation: str
    about: bool = False  # `gigabytes` is approximate
    url: str | None = None
    md5: str | None = None
    steps: tuple[str, ...] = ()


def sources() -> dict[str, Source]:
    """All known data sets by name."""
    path = Path(__file__).with_name("sources.yaml")
    table = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {name: Source(name, **entry) for name, entry in table.items()}


def source_of(folder: str | None) -> str | None:
    """The name of the known data set that lies in this folder below the data root, if one does."""
    return next((name for name, each in sources().items() if each.folder == folder), None)


def get(
    name: str,
    destination: Path | str | None = None,
    report: Callable[[str], None] = print,
    progress: bool = True,
) -> Path | None:
    """Download a data set, or report how to get it (then None); its folder if it is there.

    `destination` is the folder the data shall lie in; default: the set's own below the data root.
    """
    source = _find(name)
    folder = Path(destination).resolve() if destination else data_root() / source.folder
    if folder.is_dir() and any(folder.iterdir()):
        report(f"{folder} is there already; `samnb data check {folder}` verifies it.")
        return folder
    if source.url is None:
        for line in how_to_get(source, folder):
            report(line)
        return None
    report(f"{source.title}, {_size(source)}. Licence: {source.licence}. Please cite:")
    report(source.citation)
    try:
        download(source, folder, progress)
    except OSError as error:
        raise disk_error(folder, error) from error
    report(f"In {folder}; `samnb data check {folder}` verifies every scan.")
    return folder


def how_to_get(source: Source, folder: Path) -> list[str]:
    """The steps to a data set that wants a registration, one per line."""
    return [
        f"{source.title}, {_size(source)}, has to be fetched by hand. Licence: {source.licence}.",
        *(f"{number}. {step}" for number, step in enumerate(source.steps, start=1)),
        f"Folder: {folder}",
        f"Then: samnb data check {folder}",
        f"Please cite: {source.citation}",
    ]


def _find(name: str) -> Source:
    known = sources()
    wanted = name.strip().lower()
    if wanted not in known:
        raise SamnbError(f"No data set '{name}'.", f"choose among {', '.join(known)}.")
    return known[wanted]


def _size(source: Source) -> str:
    return f"{'about ' if source.about else ''}{source.gigabytes:.3g} GB"


def download(source: Source, folder: Path, progress: bool = True) -> None:
    """Fetch and unpack one archive into `folder`, which must not exist or be empty."""
    work = folder.with_name(folder.name + ".download")
    work.mkdir(parents=True, exist_ok=True)
    with FileLock(work / "lock"):
        if not (folder / RECEIPT).is_file():  # else another process has just done it
            _fetch_and_unpack(source, folder, work, progress)
    shutil.rmtree(work, ignore_errors=True)


def _fetch_and_unpack(source: Source, folder: Path, work: Path, progress: bool) -> None:
    archive = work / Path(urlsplit(source.url).path).name
    unpacked = work / "unpacked"
    fetch(source.url, archive, f"md5:{source.md5}", progress, room=2)  # it is unpacked beside
    unpack(archive, unpacked, progress)
    inner = _without_wrapper(unpacked)
    write_json(inner / RECEIPT, {"name": source.name, "url": source.url, "md5": source.md5})
    if folder.is_dir():
        folder.rmdir()  # empty, else we would not be here
    inner.rename(folder)


def _without_wrapper(unpacked: Path) -> Path:
    """The folder itself, or the only folder in it: archives differ in whether they wrap theirs."""
    entries = list(unpacked.iterdir())
    return entries[0] if len(entries) == 1 and entries[0].is_dir() else unpacked
