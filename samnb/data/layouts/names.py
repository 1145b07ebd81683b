"""Files of a folder by name: all of them, and images tied to their labels."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from samnb.base.errors import DataError

Key = TypeVar("Key")

DEPTH = 5  # folders below the given one that are searched: archives wrap theirs up to four times


def entries(place: Path) -> tuple[list[Path], list[Path]]:
    """Files and folders in a place but hidden ones, sorted.

    By `os.scandir`, which knows files from folders without asking for each: this is done for every
    run, and sets of pictures have thousands.
    """
    try:
        with os.scandir(place) as found:
            known = sorted((each.name, each.is_file(), each.is_dir()) for each in found)
    except PermissionError as error:
        raise DataError(place, "may not be read", "change its permissions.") from error
    shown = [(place / name, *kind) for name, *kind in known if not name.startswith(".")]
    files = [path for path, is_file, _ in shown if is_file]
    return files, [path for path, _, is_folder in shown if is_folder]


def files_below(folder: Path, depth: int = DEPTH) -> Iterator[Path]:
    """Every file in a folder and in its sub-folders, but hidden ones."""
    files, folders = entries(folder)
    yield from files
    for place in folders if depth else ():
        yield from files_below(place, depth - 1)


def unique(found: Iterable[tuple[Key, Path]], what: str) -> dict[Key, Path]:
    """Paths by what they go by; two of one key are an error. `what`: as a person calls them."""
    paths: dict[Key, Path] = {}
    for key, path in found:
        if key in paths:
            raise DataError(path, f"a second {what} {key} beside {paths[key]}", "keep one of both.")
        paths[key] = path
    return paths


def partners(
    images: Mapping[Key, Path],
    labels: Mapping[Key, Path],
    image_of: Callable[[Path], Path],
    label_of: Callable[[Path], Path],
) -> Iterator[tuple[Key, Path, tuple[Path, ...]]]:
    """Key, image and label, or no label where nothing at all is segmented.

    Of a missing half comes the place where it should be, so that opening the scan tells of it:
    `image_of` a label, `label_of` an image.
    """
    for key in images.keys() | labels.keys():
        image, label = images.get(key), labels.get(key)
        if image is None:
            image = image_of(label)
        elif label is None and labels:
            label = label_of(image)
        yield key, image, (label,) if label else ()
