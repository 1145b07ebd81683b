"""Cohorts in the layout of the Medical Segmentation Decathlon: its names, folders and table."""

from pathlib import Path

from samnb.base.files import write_json
from samnb.phantoms.draws import Phantom
from samnb.phantoms.nifti_files import flip, to_world, write_nifti


def case_name(stem: str, number: int, step: int) -> str:
    """`lung_001` and so on. Test cases take numbers too, so every `step`-th one is missing."""
    return f"{stem}_{number + number // (step - 1) + 1:03}"


def write_case(folder: Path, name: str, phantom: Phantom) -> list[Path]:
    """Write `imagesTr/NAME.nii.gz` and `labelsTr/NAME.nii.gz`.

    As in the real files the axes run to the right, to the front and up (RAS), and the first voxel
    lies so far before the origin as the scan is wide.
    """
    spacing = phantom.spacing
    paths = []
    for kind, array in (("imagesTr", phantom.hu), ("labelsTr", phantom.labels)):
        affine = to_world(array.shape, spacing, (0.0, 0.0, 0.0))
        stored, affine = flip(array.T, affine, 0)
        stored, affine = flip(stored, affine, 1)
        paths.append(folder / kind / f"{name}.nii.gz")
        write_nifti(paths[-1], stored, affine)
    return paths


def write_dataset(folder: Path, name: str, labels: tuple[str, ...], cases: list[str]) -> None:
    """Write `dataset.json`; `labels` are named from 0 on."""
    content = {
        "name": name,
        "description": "procedural phantoms in the layout of the Medical Segmentation Decathlon",
        "reference": "samnb",
        "licence": "Apache-2.0",
        "release": "1.0",
        "tensorImageSize": "3D",
        "modality": {"0": "CT"},
        "labels": {str(value): label for value, label in enumerate(labels)},
        "numTraining": len(cases),
        "numTest": 0,
        "training": [
            {"image": f"./imagesTr/{case}.nii.gz", "label": f"./labelsTr/{case}.nii.gz"}
            for case in cases
        ],
        "test": [],
    }
    write_json(folder / "dataset.json", content)
