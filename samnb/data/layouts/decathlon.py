"""Medical Segmentation Decathlon: `TaskNN_Name`, whose `dataset.json` names labels and pairs."""

import re
from collections.abc import Sequence
from pathlib import Path

from samnb.base.errors import DataError
from samnb.base.files import read_json
from samnb.data.layouts.targets import Values, pick
from samnb.data.scan import ScanFiles, Target

LESION = re.compile(r"tumou?r|cancer|lesion", re.IGNORECASE)
# Organs whose lesions lie inside them. (A tumour beside a hepatic vessel is no vessel.)
WHOLE_ORGANS = ("liver", "pancreas")


def list_decathlon(folder: Path, targets: Sequence[str]) -> list[ScanFiles]:
    """A `TaskNN_Name` folder: `dataset.json` names the labels and the training pairs."""
    table = folder / "dataset.json"
    if not table.is_file():
        raise DataError(table, "missing", "give the TaskNN_Name folder that holds dataset.json.")
    try:
        content = read_json(table)
        numbers = {str(name).lower(): int(value) for value, name in content["labels"].items()}
        task = str(content.get("name", "")).lower()
        pairs = [(folder / pair["image"], folder / pair["label"]) for pair in content["training"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            table, f"not a Decathlon table ({error!r})", "get the set again."
        ) from error
    chosen = tuple(Target(name, _values(numbers, name, task, table)) for name in targets)
    allowed = tuple(sorted(numbers.values()))

    def files(image: Path, label: Path) -> ScanFiles:
        name = image.name.removesuffix(".gz").removesuffix(".nii")
        return ScanFiles(name, name, (image,), (label,), chosen, allowed)

    return [files(image, label) for image, label in pairs]


def _values(numbers: dict[str, int], target: str, task: str, table: Path) -> Values:
    """Values of a target given by name, by number, or as "tumour", whatever the set calls it.

    With the organ before it, "lung tumour", it is known where the task's name begins so.

    The liver and the pancreas take in their tumours, so that organ masks mean the same in every
    data set.
    """
    wanted = target.strip().lower()
    lesions = {name: number for name, number in numbers.items() if LESION.search(name)}
    known = {name: (number,) for name, number in numbers.items() if number}
    known |= {str(number): (number,) for number in numbers.values() if number}
    known["any"] = tuple(sorted(number for number in numbers.values() if number))
    for organ in WHOLE_ORGANS:
        if organ in numbers:
            known[organ] = tuple(sorted({numbers[organ], *lesions.values()}))
    organ, _, lesion = wanted.rpartition(" ")
    if lesions and LESION.fullmatch(lesion) and task.startswith(organ):
        known.setdefault(wanted, tuple(sorted(lesions.values())))
    return pick(known, wanted, table)
