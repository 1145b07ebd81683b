"""Files from the web: checked against a known hash, continued after an interruption."""

import os
import time
from pathlib import Path
from urllib.parse import urlsplit

import pooch
import requests
from filelock import FileLock
from tqdm import tqdm

from samnb.base.errors import DataError, SamnbError
from samnb.base.files import AGAIN, disk_error, require_room

CHUNK = 1 << 16  # bytes; what is lost at most when a connection drops
TRIES = 5  # in a row without a single new byte, once the server has answered at all
PAUSE = 2.0  # seconds before the first new try; doubled by each further one
TIMEOUT = (10, 60)  # seconds to connect, and between two pieces
TRANSIENT = (429, 500, 502, 503, 504)  # HTTP: too busy, come back later


def fetch(url: str, path: Path, known_hash: str, progress: bool = True, room: int = 1) -> Path:
    """Bring the file at `url` to `path`; if it is there already, only check it.

    known_hash: "sha256:..." or "md5:..." in hexadecimal. room: how many times its own size the file
    will take on the disk, 2 if it is to be unpacked there; so much must be free before it comes.

    What an interrupted download left is kept beside `path`, as `<name>.part`, and continued next
    time. Nothing unchecked ever gets the name `path`, and a file of that name is never replaced.
    """
    if path.is_file():
        _verify(path, known_hash)
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock")):
            if not path.is_file():  # else another process has just brought it
                _retrieve(url, path, known_hash, _Resuming(path, progress, room))
    except OSError as error:
        raise disk_error(path.parent, error) from error
    return path


def _verify(path: Path, known_hash: str) -> None:
    if not pooch.hashes.hash_matches(str(path), known_hash):
        raise DataError(
            path,
            "checksum mismatch; the file is damaged, cut short or another one",
            "delete it and fetch it again.",
        )


def _retrieve(url: str, path: Path, known_hash: str, downloader: "_Resuming") -> None:
    """Have pooch see to the file and its checksum, by way of a downloader that resumes."""
    pooch.get_logger().setLevel("WARNING")
    try:
        pooch.retrieve(url, known_hash, path.name, path.parent, downloader=downloader)
    except ValueError as error:
        downloader.part.unlink(missing_ok=True)
        raise DataError(
            path,
            f"what came from {urlsplit(url).netloc} has another checksum",
            "run the same command again: it starts anew. If this stays, the file there was "
            "exchanged: find the old one and put it there by hand.",
        ) from error
    downloader.part.unlink(missing_ok=True)


class _Resuming:
    """For pooch: downloads into `<name>.part` and asks the server only for what is missing."""

    def __init__(self, path: Path, progress: bool, room: int):
        self.path, self.progress, self.room = path, progress, room
        self.part = path.with_name(path.name + ".part")
        self._answered = False  # a machine that is offline is told so at once

    def __call__(self, url: str, output_file: str, _pooch: object = None) -> None:
        """Download `url`; on success the whole file is at `output_file`."""
        failures, furthest = 0, self._size()
        while True:
            try:
                self._fetch_rest(url)
                break
            except _Broken as broken:
                # Measured by the furthest byte ever: who starts anew each time gets nowhere.
                failures = 0 if self._size() > furthest else failures + 1
                furthest = max(furthest, self._size())
                if not self._answered or failures == TRIES:
                    raise SamnbError(
                        f"The connection to {urlsplit(url).netloc} fails ({broken}).",
                        f"check network and proxy, then {AGAIN} Or fetch {url} by hand and put it "
                        f"at {self.path}.",
                    ) from broken
            time.sleep(PAUSE * 2 ** max(0, failures - 1))
        self._hand_over(Path(output_file))

    def _hand_over(self, output_file: Path) -> None:
        """Give pooch a second name of the part: stopped amid the checksum, the part is still there.

        Of tens of gigabytes that takes a minute, in which nothing seems to happen.
        """
        output_file.unlink(missing_ok=True)
        try:
            os.link(self.part, output_file)
        except OSError:  # a file system without second names
            self.part.replace(output_file)

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _fetch_rest(self, url: str) -> None:
        have = self._size()
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        try:
            with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
                self._answered = True
                if answer.status_code == 416 and _length_in_range(answer) == str(have):
                    return  # nothing behind what we have
                self._store(answer, self._start(answer, have))
        except requests.Timeout as error:
            raise _Broken("timed out") from error
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            raise _Broken("broke off" if self._answered else "no connection") from error
        except requests.RequestException as error:
            raise SamnbError(
                f"{url} cannot be fetched ({type(error).__name__}).",
                f"fetch it by hand and put it at {self.path}.",
            ) from error

    def _start(self, answer: requests.Response, have: int) -> int:
        """Number of the answer's first byte in the file; any answer that is no use is raised."""
        if answer.status_code == 416:
            self.part.unlink()  # longer than the file on the server: another file
            raise _Broken("the file on the server has changed")
        if answer.status_code in TRANSIENT:
            raise _Broken(f"HTTP {answer.status_code}")
        if not answer.ok:
            raise SamnbError(
                f"{answer.url}: the server answers {answer.status_code} {answer.reason}.",
                f"try later; if it stays so, the file has moved: find it and put it at {self.path}"
                " by hand.",
            )
        if answer.status_code != 206:  # the server does not continue files: from the beginning
            return 0
        if not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            self.part.unlink(missing_ok=True)
            raise _Broken("the server sent another range than asked for")
        return have

    def _store(self, answer: requests.Response, start: int) -> None:
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length else None
        if total:
            require_room(self.part.parent, total * self.room - start)
        bar = tqdm(
            initial=start,
            total=total,
            unit="B",
            unit_scale=True,
            desc=self.path.name,
            disable=not self.progress,
        )
        with bar, self.part.open("ab" if start else "wb") as file:
            for chunk in answer.iter_content(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
        if total and self._size() < total:
            raise _Broken("broke off")


class _Broken(Exception):
    """The transfer broke off; another try may go on."""


def _length_in_range(answer: requests.Response) -> str:
    """Length of the whole file, as a header like `Content-Range: bytes */4096` tells it."""
    return answer.headers.get("Content-Range", "").rpartition("/")[2]
