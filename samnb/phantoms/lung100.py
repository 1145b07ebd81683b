"""A second cohort of lung carcinomas, in place of the paper's Lung100, which nobody else has.

The paper says no more of its set than that it is private. Here another hospital sees patients on
whom screening found something: native, at a low dose, in thick slices, by a soft kernel, and with
more ground glass and fewer masses at the hilum. The layout is this project's own:
`lung_001/ct.nii.gz` beside `lung_001/tumour.nii.gz`.
"""

from functools import partial
from pathlib import Path

from samnb.phantoms.anatomy import Mix, Patient, draw
from samnb.phantoms.ct_protocols import Scanners
from samnb.phantoms.draws import Phantom
from samnb.phantoms.lesions import Sizes
from samnb.phantoms.lung_lesions import LungMix
from samnb.phantoms.msd_lung import make_chest
from samnb.phantoms.nifti_files import to_world, write_nifti
from samnb.phantoms.scanner import Protocol
from samnb.phantoms.tumour_body import scanned

MIX = Mix(phases=(0.85, 0, 0.15, 0), fat=(8.0, 4.0), tumours=0, cysts=0.1)
STREAM = 23
SCANNERS = Scanners(
    heights=(((10, 255), 0.8), ((-30, 255), 0.2)),
    thicknesses=((3.0, 0.3), (5.0, 0.7)),
    noise=(22, 38),
    blur=(0.9, 1.3),
    view=(300, 420),
    loose=(0.95, 1.08),
    round_view=0.9,
)
LUNGS = LungMix(
    kinds=(
        ("spiculated", 0.3), ("pleural", 0.16), ("central", 0.06), ("cavitating", 0.06),
        ("part-solid", 0.26), ("ground glass", 0.16),
    ),
    sizes=Sizes(median=22, spread=0.5, smallest=9, largest=70),
    emphysema=0.25,
    granulomas=1.4,
)  # fmt: skip


def draw_protocol(patient: Patient, side: int) -> Protocol:
    return SCANNERS.draw(patient, side)


def make_patient(seed: int, number: int, side: int) -> Phantom:
    patient = draw((seed, STREAM, number), MIX)
    return scanned(patient, draw_protocol(patient, side), partial(make_chest, lungs=LUNGS))


def write_patient(folder: Path, seed: int, number: int, side: int) -> list[Path]:
    """Write `lung_NNN/ct.nii.gz` and `tumour.nii.gz`, axes to the left, to the back and up."""
    phantom = make_patient(seed, number, side)
    affine = to_world(phantom.hu.shape, phantom.spacing, phantom.first)
    paths = []
    for name, array in (("ct", phantom.hu), ("tumour", phantom.labels)):
        paths.append(folder / f"lung_{number + 1:03}" / f"{name}.nii.gz")
        write_nifti(paths[-1], array.T, affine)
    return paths
