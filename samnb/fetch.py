"""Files from the web: checked against a known hash, continued after an interruption."""

import os
import time
from pathlib import Path

import pooch
import requests
from filelock import FileLock
from tqdm import tqdm

from samnb.errors import SamnbError

ATTEMPTS = 5  # in a row without a single new byte
CHUNK = 1 << 20  # bytes
TIMEOUT = (10, 60)  # seconds to connect, and between two pieces


def fetch(url: str, path: Path, known_hash: str, progress: bool = True) -> Path:
    """Bring the file at `url` to `path`; if it is there already, only check it.

    known_hash: "sha256:..." or "md5:..." in hexadecimal. What an interrupted download left is kept
    beside `path` and continued next time; nothing unchecked ever gets the name `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        if path.is_file():
            verify(path, known_hash)
            return path
        pooch.get_logger().setLevel("WARNING")
        by_hand = f"fetch it by hand from {url} and put it at {path}"
        try:
            pooch.retrieve(
                url, known_hash, path.name, path.parent, downloader=_Resuming(path, progress)
            )
        except ValueError as error:
            remedy = f"try again; if it stays so, the file there was exchanged: {by_hand}."
            raise SamnbError(f"Checksum mismatch of what came from {url}.", remedy) from error
        except requests.HTTPError as error:
            raise SamnbError(f"{error}.", f"{by_hand}.") from error
        except requests.RequestException as error:
            fault = f"No connection to {url} ({type(error).__name__})."
            remedy = f"try again (it continues where it stopped), or {by_hand}."
            raise SamnbError(fault, remedy) from error
    return path


def verify(path: Path, known_hash: str) -> None:
    """Raise unless the file's content has the known hash ("sha256:..." or "md5:...")."""
    if not pooch.hashes.hash_matches(str(path), known_hash):
        raise SamnbError(
            f"{path}: checksum mismatch; the file is damaged, cut short or another one.",
            "delete it and fetch it again.",
        )


class _Resuming:
    """A downloader for pooch that keeps its unfinished file and goes on from there."""

    def __init__(self, path: Path, progress: bool):
        # The leading dot hides it from patterns that look for finished files.
        self.part = path.with_name(f".{path.name}.part")
        self.title, self.progress = path.name, progress

    def __call__(self, url: str, output_file: str, _pooch: object) -> None:
        failures = 0
        while True:
            before = self._size()
            try:
                self._continue(url, before)
                break
            except (
                requests.ConnectionError,
                requests.Timeout,
                requests.exceptions.ChunkedEncodingError,
            ):
                failures = 0 if self._size() > before else failures + 1
                if failures == ATTEMPTS:
                    raise
                time.sleep(2**failures / 4)
        os.replace(self.part, output_file)

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _continue(self, url: str, start: int) -> None:
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            if answer.status_code == 416:  # nothing after `start`: finished, or of another file
                if answer.headers.get("Content-Range") != f"bytes */{start}":
                    self.part.unlink()
                    self._continue(url, 0)
                return
            answer.raise_for_status()
            if answer.status_code != 206:  # the server does not continue files: from the beginning
                start = 0
            total = start + int(answer.headers.get("Content-Length", 0)) or None
            with (
                self.part.open("ab" if start else "wb") as file,
                tqdm(
                    total=total,
                    initial=start,
                    desc=self.title,
                    unit="B",
                    unit_scale=True,
                    disable=not self.progress,
                ) as bar,
            ):
                for piece in answer.iter_content(CHUNK):
                    file.write(piece)
                    bar.update(len(piece))
