"""One brain in memory: drawn, its tumour grown, scanned; and its case on disk as BraTS has it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from samnb.phantoms.brain import (
    Brain,
    BrainMix,
    BrainPatient,
    draw_brain_patient,
    head,
    mirrored,
    places,
    read_at,
    to_standard,
    whole_field,
)
from samnb.phantoms.brain_tissue import healthy_shares, make_lesions
from samnb.phantoms.cortex import draw_brain
from samnb.phantoms.fields import rotation, waves
from samnb.phantoms.glioma import GliomaMix, before_the_tumour, grow, paint_tumour
from samnb.phantoms.mr import SEQUENCES, Scanners, acquire, draw_acquisitions
from samnb.phantoms.nifti_files import write_nifti

SIZE = (155, 240, 240)  # mm, of the field of view (z, y, x)
COMMISSURE = (66.0, 121.0, 119.5)  # mm from its first millimetre's centre to the head's origin


@dataclass(frozen=True)
class BrainCohort:
    """What makes one cohort: the key of its draws, who, which tumours, which scanners."""

    stream: int
    people: BrainMix
    tumours: GliomaMix
    scanners: Scanners


@dataclass(frozen=True)
class BrainPhantom:
    """A scanned brain, canonical: z up, y to the back, x to the patient's left."""

    patient: BrainPatient
    images: np.ndarray  # int16 (4, z, y, x), in the order of SEQUENCES, zero outside the brain
    labels: np.ndarray  # uint8 (z, y, x): 1 necrosis or no enhancement, 2 oedema, 4 enhancing
    spacing: tuple[float, float, float]  # mm along z, y, x


def make_brain_phantom(cohort: BrainCohort, seed: int, number: int, side: int) -> BrainPhantom:
    """Draw, grow and scan on one thread; `side` 240 is the real grid, a smaller one is coarser."""
    patient = draw_brain_patient((seed, cohort.stream, number), cohort.people)
    voxel = SIZE[1] / side
    with threadpool_limits(1):
        brain = draw_brain(patient)
        glioma = grow(brain, cohort.tumours)
        mask, points = brain_voxels(brain, voxel)
        standard = before_the_tumour(brain, glioma.foci, points)
        shares, hollow = healthy_shares(brain, standard, voxel, make_lesions(brain))
        labels = np.zeros(mask.shape, np.uint8)
        labels[mask] = paint_tumour(glioma, points, shares, hollow, voxel)
        mottle = read_at(glioma.mottle, points, 0.0)
        generator = patient.stream("scan")
        ways = draw_acquisitions(generator, cohort.scanners, glioma.core_flair)
        images = [acquire(generator, way, shares.values, mottle, mask, voxel) for way in ways]
    return BrainPhantom(patient, np.stack(images), labels, (voxel, voxel, voxel))


def brain_voxels(brain: Brain, voxel: float) -> tuple[np.ndarray, np.ndarray]:
    """Mask (z, y, x) of the skull-stripped brain, and its voxels' places (3, N) in the head."""
    patient = brain.patient

    def outline(axes: list[np.ndarray]) -> np.ndarray:
        distance = head(brain, mirrored(to_standard(brain, places(axes))))
        ragged = waves(axes, patient.stream("skull"), (11, 30), 0.6, 24)  # stripping is not exact
        return distance.reshape([axis.size for axis in axes]) + ragged

    distance = whole_field(outline, 3.0)
    shape = tuple(int(np.ceil(length / voxel)) for length in SIZE)
    z, y, x = (
        np.arange(n, dtype=np.float32) * np.float32(voxel) + np.float32((voxel - 1) / 2 - origin)
        for n, origin in zip(shape, COMMISSURE, strict=True)
    )
    turn = (rotation(*patient.turn).T / np.array(patient.scale)[:, None]).astype(np.float32)
    mask = np.zeros(shape, bool)
    found = []
    for index, height in enumerate(z):
        points = turn @ places([height.reshape(1, 1, 1), y[None, :, None], x[None, None, :]])
        within = read_at(distance, points) < 0
        mask[index] = within.reshape(shape[1:])
        found.append(points[:, within])
    return mask, np.concatenate(found, axis=1)


def write_case(home: Path, name: str, phantom: BrainPhantom) -> list[Path]:
    """The five files of one case, in the frame of the real ones: axes left, back, up."""
    voxel = phantom.spacing[0]
    affine = np.diag([-voxel, -voxel, voxel, 1.0])
    affine[:3, 3] = (1 - voxel) / 2, 239 - (voxel - 1) / 2, (voxel - 1) / 2
    paths = []
    for kind, array in zip(
        (*SEQUENCES, "seg"), (*phantom.images, phantom.labels.astype(np.int16)), strict=True
    ):
        paths.append(home / f"{name}_{kind}.nii.gz")
        write_nifti(paths[-1], array.T, affine)
    return paths
