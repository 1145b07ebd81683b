"""Get real data sets: download what is free to download, say the way to what is not.

A download goes to `<folder>.download/` beside the final folder. What is there survives a broken
connection or a killed process, and the next call goes on from it. The final folder appears only
when everything is unpacked.
"""

import errno
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pooch
import requests
import yaml
from filelock import FileLock
from tqdm import tqdm

from samnb.data.archive import require_room, unpack
from samnb.errors import DataError, SamnbError
from samnb.files import write_json
from samnb.paths import data_root

CHUNK = 1 << 16  # bytes; what is lost at most when a connection drops
TRIES = 5  # in a row without a single new byte, once the server has answered at all
PAUSE = 2.0  # seconds before the first new try; doubled by each further one
TRANSIENT = (429, 500, 502, 503, 504)  # HTTP: too busy, come back later
AGAIN = "run the same command again: it goes on where it stopped."
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
    cohort: dict[str, Any] | None = None  # the cohort.yaml it needs


def sources() -> dict[str, Source]:
    """All known data sets by name."""
    path = Path(__file__).with_name("sources.yaml")
    table = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {name: Source(name, **entry) for name, entry in table.items()}


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
        raise _disk_error(folder, error) from error
    report(f"In {folder}; `samnb data check {folder}` verifies every scan.")
    return folder


def how_to_get(source: Source, folder: Path) -> list[str]:
    """The steps to a data set that wants a registration, one per line."""
    lines = [
        f"{source.title}, {_size(source)}, has to be fetched by hand. Licence: {source.licence}.",
        *(f"{number}. {step}" for number, step in enumerate(source.steps, start=1)),
        f"Folder: {folder}",
    ]
    if source.cohort:
        content = yaml.safe_dump(source.cohort, sort_keys=False, default_flow_style=None, width=90)
        lines += ["Put a file cohort.yaml into that folder:", *_indented(content)]
    return [*lines, f"Then: samnb data check {folder}", f"Please cite: {source.citation}"]


def _indented(text: str) -> list[str]:
    return ["    " + line for line in text.splitlines()]


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
    _fetch(source, archive, progress)
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


def _fetch(source: Source, archive: Path, progress: bool) -> None:
    """Have pooch see to the file and its checksum, by way of a downloader that resumes."""
    pooch.get_logger().setLevel("WARNING")
    try:
        pooch.retrieve(
            source.url,
            known_hash=f"md5:{source.md5}",
            fname=archive.name,
            path=archive.parent,
            downloader=ResumingDownloader(archive, progress),
        )
    except ValueError as error:
        raise DataError(
            archive,
            f"what came from {urlsplit(source.url).netloc} has another checksum",
            "run the same command again: it starts anew. If this stays, the set has changed.",
        ) from error


class ResumingDownloader:
    """For pooch: downloads into `<archive>.part` and asks the server only for what is missing."""

    def __init__(self, archive: Path, progress: bool = True):
        self.part = archive.with_name(archive.name + ".part")
        self.progress = progress
        self._answered = False  # a machine that is offline is told so at once

    def __call__(self, url: str, output_file: str, pooch_object: Any = None) -> None:
        """Download `url`; on success the whole file is at `output_file`."""
        failures = 0
        while True:
            before = self._size()
            try:
                self._fetch_rest(url)
                break
            except (requests.ConnectionError, requests.Timeout, _Broken) as error:
                failures = 0 if self._size() > before else failures + 1
                if not self._answered or failures >= TRIES:
                    raise SamnbError(
                        f"The connection to {urlsplit(url).netloc} fails ({_cause(error)}).",
                        f"check network and proxy, then {AGAIN}",
                    ) from error
                time.sleep(PAUSE * 2**failures)
        self.part.replace(output_file)

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _fetch_rest(self, url: str) -> None:
        have = self._size()
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        with requests.get(url, headers=headers, stream=True, timeout=60) as answer:
            self._answered = True
            if answer.status_code == 416:  # nothing behind what we have
                if answer.headers.get("Content-Range", "").endswith(f"/{have}"):
                    return
                self.part.unlink()  # longer than the file on the server: another file
                raise _Broken("the file on the server has changed")
            if answer.status_code in TRANSIENT:
                raise _Broken(f"HTTP {answer.status_code}")
            if not answer.ok:
                raise SamnbError(
                    f"{url}: the server answers {answer.status_code} {answer.reason}.",
                    "try later; if it stays so, the address in sources.yaml is out of date.",
                )
            resumed = answer.status_code == 206
            start = have if resumed else 0
            if resumed and not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                self.part.unlink()
                raise _Broken("the server sent another range than asked for")
            self._store(answer, start)

    def _store(self, answer: requests.Response, start: int) -> None:
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length else None
        if total:
            # The archive, and about as much again once it is unpacked.
            require_room(self.part.parent, total - start + total)
        bar = tqdm(
            initial=start,
            total=total,
            unit="B",
            unit_scale=True,
            desc=self.part.stem,
            disable=not self.progress,
        )
        with bar, self.part.open("r+b" if start else "wb") as file:
            file.seek(start)
            try:
                for chunk in answer.iter_content(CHUNK):
                    file.write(chunk)
                    bar.update(len(chunk))
            except requests.exceptions.ChunkedEncodingError as error:
                raise _Broken("broke off") from error
        if total and self._size() < total:
            raise _Broken("broke off")


class _Broken(Exception):
    """The transfer broke off; another try may go on."""


def _cause(error: Exception) -> str:
    if isinstance(error, _Broken):
        return str(error)
    return "timed out" if isinstance(error, requests.Timeout) else "no connection"


def _disk_error(folder: Path, error: OSError) -> SamnbError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return SamnbError(f"{folder}: the disk is full.", f"make room, then {AGAIN}")
    what = error.strerror or str(error)
    return SamnbError(
        f"{folder}: cannot be written ({what}).",
        "check its permissions, or put the data elsewhere: export SAMNB_DATA=/path.",
    )
