"""A plain folder of image and mask pairs, named by pattern.

Without any word from its owner the pairs of `CONVENTIONS` are tried. A file `cohort.yaml` in the
folder says more, all of it optional:

    image: "*/*_flair"               # the * are what ties an image to its mask
    label: "*/*_seg"
    patient: "(BraTS2021_[0-9]+)"    # regular expression; its first group is the patient
    targets: {whole tumour: [1, 2, 4], enhancing tumour: 4}

A table `index.csv` with the columns `patient` and `file` (or `image`) gives patients as well.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import pandas as pd
import yaml

from samnb.base.errors import DataError
from samnb.data.layouts.names import entries
from samnb.data.scan import ScanFiles, Target
from samnb.data.volume import PICTURES, holds_dicom, suffix_of

# Image and label, without suffix. The first pair that finds a label wins.
CONVENTIONS = (
    ("images/*", "masks/*"),
    ("images/*", "labels/*"),
    ("images/*", "masks/*_mask"),
    ("images/*", "masks/*_Segmentation"),
    ("imagesTr/*", "labelsTr/*"),
    ("*", "*_mask"),
    ("*", "*_seg"),
    ("*", "*_Segmentation"),
    ("*", "*_segmentation"),
    ("*", "*_label"),
)
UNLABELLED = ("images/*", "*")
NO_DATA_SET = "give a folder of NIfTI, DICOM, NRRD or PNG, laid out as data/README.md shows."
DEPTH = 3  # folders below the given one that are searched


@dataclass(frozen=True)
class FolderRules:
    """What `cohort.yaml` may say."""

    image: str | None = None
    label: str | None = None
    patient: str | None = None
    targets: dict[str, int | list[int]] = field(default_factory=dict)


def list_folder(
    folder: Path, targets: Sequence[str], rules: FolderRules | None = None
) -> list[ScanFiles]:
    """Scans of a folder of image and mask pairs; `rules` in place of its `cohort.yaml`."""
    rules = rules or read_rules(folder)
    items = _items(folder)
    images, labels = _pairs(folder, items, rules)
    chosen = tuple(Target(name, _values(folder, name, rules)) for name in targets)
    binary = any(_is_binary(target) for target in chosen)
    patient_of = _patients(folder, rules)
    scans = []
    for key in images.keys() | labels.keys():
        image, label = images.get(key), labels.get(key)
        name = "/".join(dict.fromkeys(key))
        patient = patient_of(image, name) if image else name
        if image is None:
            image = folder / f"(image of {label.name})"
        elif label is None and labels:
            label = folder / f"(mask of {image.name})"
        labelled = (label,) if label else ()
        scans.append(ScanFiles(name, patient, (image,), labelled, chosen, binary=binary))
    return scans


def read_rules(folder: Path) -> FolderRules:
    """The folder's `cohort.yaml`; no file, no rules."""
    path = folder / "cohort.yaml"
    if not path.is_file():
        return FolderRules()
    try:
        rules = FolderRules(**(yaml.safe_load(path.read_text(encoding="utf-8")) or {}))
        re.compile(rules.patient or "")
        for numbers in rules.targets.values():
            all(int(number) for number in numbers) if isinstance(numbers, list) else int(numbers)
    except (yaml.YAMLError, TypeError, ValueError, AttributeError, re.error) as error:
        known = ", ".join(item.name for item in fields(FolderRules))
        reason = " ".join(str(error).split())
        remedy = f"give {known}, as data/README.md shows, and nothing else."
        raise DataError(path, f"not understood ({reason})", remedy) from error
    return rules


def _items(folder: Path) -> dict[str, Path]:
    """Image files and DICOM folders, by their path below `folder` without the suffix."""
    found: dict[str, Path] = {}

    def search(place: Path, depth: int) -> None:
        files, folders = entries(place)
        images = {path: suffix for path in files if (suffix := suffix_of(path))}
        above = "" if place == folder else f"{place.relative_to(folder).as_posix()}/"
        for path, suffix in images.items():
            stem = above + path.name[: -len(suffix)]
            if stem in found:
                raise DataError(path, f"same name as {found[stem].name}", "keep one of the two.")
            found[stem] = path
        if place != folder and not images and not folders and holds_dicom(files):
            found[above[:-1]] = place
        for path in folders if depth else ():
            search(path, depth - 1)

    search(folder, DEPTH)
    if not found:
        raise DataError(folder, "no image in it", NO_DATA_SET)
    return found


Pairing = dict[tuple[str, ...], Path]


def _pairs(folder: Path, items: dict[str, Path], rules: FolderRules) -> tuple[Pairing, Pairing]:
    """Images and labels, each by what the * of its pattern stand for."""
    if rules.image:
        images = _matching(items, rules.image)
        labels = _matching(items, rules.label) if rules.label else {}
        if not images:
            raise DataError(
                folder, f"nothing matches image: {rules.image}", "correct its cohort.yaml."
            )
        return _without(images, labels), labels
    for image, label in CONVENTIONS:
        labels = _matching(items, label)
        images = _matching(items, image)
        if labels and images.keys() & labels.keys():
            return _without(images, labels), labels
    if stray := [stem for stem in items if stem.startswith(("masks/", "labels/"))]:
        remedy = "give image and mask equal names, or tie them by patterns in cohort.yaml."
        raise DataError(folder, f"{stray[0]} and {len(stray) - 1} more match no image", remedy)
    for image in UNLABELLED:
        if images := _matching(items, image):
            return images, {}
    raise DataError(
        folder,
        "no images where they are looked for",
        "put them in images/ and masks/ with equal names, or say where they are in cohort.yaml.",
    )


def _without(images: Pairing, labels: Pairing) -> Pairing:
    """Images less the labels that match the pattern of images as well."""
    taken = set(labels.values())
    return {key: path for key, path in images.items() if path not in taken}


def _matching(items: dict[str, Path], pattern: str) -> Pairing:
    """Items whose name matches; each * stands for one or more characters of one folder level."""
    if suffix := suffix_of(Path(pattern)):
        pattern = pattern[: -len(suffix)]
    parts = [re.escape(part) for part in pattern.split("*")]
    expression = re.compile("([^/]+)".join(parts))
    matches = {expression.fullmatch(stem): path for stem, path in items.items()}
    return {match.groups(): path for match, path in matches.items() if match}


def _values(folder: Path, target: str, rules: FolderRules) -> tuple[int, ...] | None:
    """Which label values are the target; None: all above 0.

    A target is a name in `targets`, a number or several (1,2), "any" for every value above 0, or
    any other name if the masks know only one value besides 0.
    """
    wanted = target.strip().lower()
    named = {name.lower(): number for name, number in rules.targets.items()}
    if wanted in named:
        number = named[wanted]
        return tuple(number) if isinstance(number, list) else (number,)
    if re.fullmatch(r"\d+(\s*,\s*\d+)*", wanted):
        return tuple(int(number) for number in wanted.split(","))
    if named and wanted != "any":
        known = ", ".join([*named, "any"])
        raise DataError(folder, f"no target '{target}'", f"choose among {known}.")
    return None


def _is_binary(target: Target) -> bool:
    """A name of which no label values are known: then the masks may hold only one."""
    return target.label_values is None and target.name.strip().lower() != "any"


def _patients(folder: Path, rules: FolderRules):
    """A function (image, scan name) -> patient.

    The table counts first, then the expression. A volume may be taken as a patient, but pictures
    may not: slices of one patient on both sides of a split would make every result a lie.
    """
    table = _index(folder)
    expression = re.compile(rules.patient) if rules.patient else None

    def patient_of(image: Path, name: str) -> str:
        inside = image.relative_to(folder).as_posix()
        if table:
            patient = table.get(inside) or table.get(image.name)
            if not patient:
                raise DataError(folder / "index.csv", f"no line for {inside}", "add one.")
            return patient
        if expression:
            if match := expression.search(inside):
                return match[1] if expression.groups else match[0]
            remedy = f"correct the expression {expression.pattern} for patients."
            raise DataError(image, "no patient in this name", remedy)
        if suffix_of(image) in PICTURES:
            remedy = (
                "add index.csv with the columns file and patient, or a cohort.yaml with a regular "
                "expression as patient ('.*' if each picture is a patient of its own)."
            )
            raise DataError(image, "unknown whose picture it is", remedy)
        return name

    return patient_of


def _index(folder: Path) -> dict[str, str]:
    """Patient by file, from `index.csv`; empty if there is none or it names no patients."""
    path = folder / "index.csv"
    if not path.is_file():
        return {}
    try:
        table = pd.read_csv(path, dtype=str).dropna(subset=["patient"])
    except KeyError:
        return {}  # a table of something else
    except ValueError as error:
        raise DataError(path, f"not a readable table ({error})", "save it as CSV.") from error
    names = next((table[column] for column in ("file", "image") if column in table), None)
    if names is None:
        return {}
    return dict(zip(names, table["patient"], strict=True))
