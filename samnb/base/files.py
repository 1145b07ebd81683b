"""Files that are whole or absent: atomic writes, checksums, JSON, room for them on the disk."""

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from samnb.base.errors import SamnbError

AGAIN = "run the same command again: it goes on where it stopped."
ROOM = 100 << 20  # bytes left free on the disk


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it onto `path` only if the block succeeds.

    The temporary name keeps the suffixes of `path`, since some libraries choose the format by them.
    A process killed inside the block leaves `path` as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".writing-", suffix="-" + path.name)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: Path | str, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys, so that equal values are equal files."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True) + "\n")


def read_json(path: Path | str) -> Any:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def sha256(path: Path | str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_room(folder: Path, size: float) -> None:
    """Refuse to start what the disk cannot hold; `size` in bytes."""
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(existing).free
    if free < size + ROOM:
        raise SamnbError(
            f"{folder}: needs {(size + ROOM) / 1e9:.1f} GB, but {free / 1e9:.1f} GB are free.",
            "make room, or put the data elsewhere: export SAMNB_DATA=/path.",
        )


def disk_error(folder: Path, error: OSError) -> SamnbError:
    """What to tell a person whose `folder` could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return SamnbError(f"{folder}: the disk is full.", f"make room, then {AGAIN}")
    what = error.strerror or str(error)
    return SamnbError(
        f"{folder}: cannot be written ({what}).",
        "check its permissions, or put the data elsewhere: export SAMNB_DATA=/path.",
    )
