"""Unpack zip and tar archives: nothing leaves the folder, and what is unpacked stays unpacked."""

import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from tqdm import tqdm

from samnb.base.errors import DataError
from samnb.base.files import require_room

UNSAFE = "do not use this archive; get it from its publisher."
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError)


@dataclass(frozen=True)
class Member:
    """One file of an archive."""

    name: str
    size: int
    handle: zipfile.ZipInfo | tarfile.TarInfo


def unpack(archive: Path, folder: Path, progress: bool = False) -> None:
    """Unpack all files into `folder`; files that are whole there already are passed over.

    All names are looked at before the first byte is written. Links, devices, absolute paths and
    paths upwards are refused: a data set has no use for them.
    """
    try:
        with _opened(archive) as opened:
            members = list(_members(archive, opened))
            targets = [_target(archive, folder, member) for member in members]
            left = [
                (member, target)
                for member, target in zip(members, targets, strict=True)
                if not (target.is_file() and target.stat().st_size == member.size)
            ]
            folder.mkdir(parents=True, exist_ok=True)
            require_room(folder, sum(member.size for member, _ in left))
            for member, target in tqdm(left, desc="unpacking", unit="file", disable=not progress):
                _write(opened, member, target)
    except DAMAGED as error:
        remedy = "delete it and run the same command again."
        reason = str(error).partition("\n")[0].rstrip(":") or "it ends too early"
        raise DataError(archive, f"damaged archive ({reason})", remedy) from error


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile | tarfile.TarFile]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            yield opened
    else:
        with tarfile.open(archive) as opened:
            yield opened


def _members(archive: Path, opened: zipfile.ZipFile | tarfile.TarFile) -> Iterator[Member]:
    """Regular files, less the clutter that macOS adds; anything else but folders is refused."""
    for handle in opened if isinstance(opened, tarfile.TarFile) else opened.infolist():
        if isinstance(handle, tarfile.TarInfo):
            member, is_folder = Member(handle.name, handle.size, handle), handle.isdir()
            is_file = handle.isreg()
        else:
            member, is_folder = Member(handle.filename, handle.file_size, handle), handle.is_dir()
            kind = stat.S_IFMT(handle.external_attr >> 16)  # 0 where the packer knew no Unix
            is_file = kind in (0, stat.S_IFREG)
        if is_folder:
            continue
        if not is_file:
            raise DataError(archive, f"holds a link or device: {member.name}", UNSAFE)
        parts = PurePosixPath(member.name).parts
        if "__MACOSX" not in parts and not parts[-1].startswith("._"):
            yield member


def _target(archive: Path, folder: Path, member: Member) -> Path:
    """Where a member goes; its name must lead to a place inside `folder` on any system."""
    for kind in (PurePosixPath, PureWindowsPath):
        path = kind(member.name)
        if path.is_absolute() or path.drive or path.root or ".." in path.parts:
            raise DataError(archive, f"leads out of its folder: {member.name}", UNSAFE)
    return folder / member.name


def _write(opened: zipfile.ZipFile | tarfile.TarFile, member: Member, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    with _stream(opened, member) as source, part.open("wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
        if file.tell() != member.size:
            raise EOFError(f"{member.name} ends too early")
    part.replace(target)


def _stream(opened: zipfile.ZipFile | tarfile.TarFile, member: Member) -> IO[bytes]:
    if isinstance(opened, zipfile.ZipFile):
        return opened.open(member.handle)
    return opened.extractfile(member.handle)
