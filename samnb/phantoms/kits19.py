"""The KiTS19-like cohort: patients before surgery of a renal mass, in the late arterial phase."""

from pathlib import Path

import numpy as np

from samnb.phantoms.anatomy import Mix, Patient, draw
from samnb.phantoms.body import Body
from samnb.phantoms.btcv import NUMBER, make_abdomen
from samnb.phantoms.ct_protocols import Scanners
from samnb.phantoms.draws import Phantom
from samnb.phantoms.kidney_lesions import make_kidney_lesions
from samnb.phantoms.nifti_files import write_nifti
from samnb.phantoms.scanner import Protocol
from samnb.phantoms.tissue import tissue_values
from samnb.phantoms.torso import make_torso
from samnb.phantoms.tumour_body import ORGAN, outlines, outside, relabelled, scanned, with_lesions
from samnb.phantoms.viscera import make_muscles

MIX = Mix(phases=(0, 0.78, 0.22, 0), fat=(17.0, 8.0), tumours=0, fatty_liver=0.3, cysts=0.2)
STREAM = 21
SCANNERS = Scanners(
    heights=(((-120, 130), 0.4), ((-170, 150), 0.4), ((-230, 150), 0.2)),
    thicknesses=((1.0, 0.12), (2.0, 0.1), (2.5, 0.16), (3.0, 0.22), (4.0, 0.05), (5.0, 0.35)),
    noise=(9, 18),
)
# What a renal mass stops at, and the gap (mm) that it leaves.
WALLS = (("liver", 1.0), ("spleen", 1.0), ("aorta", 2.0), ("inferior vena cava", 1.0),
         ("pancreas", 1.0), ("stomach", 1.0))  # fmt: skip
SIDES = {-1: "right kidney", 1: "left kidney"}


def draw_protocol(patient: Patient, side: int) -> Protocol:
    return SCANNERS.draw(patient, side)


def make_kidneys(patient: Patient) -> Body:
    """The abdomen with a tumour: kidneys and their cysts are 1, tumours 2."""
    body = make_abdomen(patient)
    organs = outlines(body, NUMBER)
    torso = make_torso(patient)
    walls = [(organs[name], gap) for name, gap in WALLS]
    walls += [(make_muscles(patient, torso), 0.8), (outside(torso.cavity), 1.5)]
    kidneys = {side: organs[name] for side, name in SIDES.items()}
    lesions = make_kidney_lesions(patient, kidneys, walls, tissue_values(patient))
    labels = {NUMBER[name]: ORGAN for name in SIDES.values()}
    return with_lesions(relabelled(body, labels), lesions)


def make_patient(seed: int, number: int, side: int) -> Phantom:
    patient = draw((seed, STREAM, number), MIX)
    return scanned(patient, draw_protocol(patient, side), make_kidneys)


def write_patient(folder: Path, seed: int, number: int, side: int) -> list[Path]:
    """Write `case_NNNNN/imaging.nii.gz` and `segmentation.nii.gz`, arrays (slices, rows, columns).

    As in the real files the first slice is the uppermost, and the origin is nowhere: 0, 0, 0.
    """
    phantom = make_patient(seed, number, side)
    thickness, height, width = phantom.spacing
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = -thickness, -height, -width, 1
    paths = []
    for name, array in (("imaging", phantom.hu), ("segmentation", phantom.labels)):
        paths.append(folder / f"case_{number:05}" / f"{name}.nii.gz")
        write_nifti(paths[-1], array[::-1], affine)
    return paths
