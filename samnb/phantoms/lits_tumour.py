"""The LiTS-like cohort for its tumours: everybody has some, small ones and look-alikes among them.

The cohort `lits` is for the liver, and a quarter of its patients have no tumour. Here hospitals,
scanners, folder layout and orientations are the same, but other patients are sent.
"""

from pathlib import Path

from samnb.phantoms import lits
from samnb.phantoms.anatomy import Mix, Patient, draw
from samnb.phantoms.body import ORGANS, Body, make_body
from samnb.phantoms.ct_protocols import Scanners
from samnb.phantoms.draws import Phantom
from samnb.phantoms.lesions import Sizes
from samnb.phantoms.liver_lesions import LiverMix, make_liver_lesions
from samnb.phantoms.nifti_files import flip, to_world, write_nifti
from samnb.phantoms.scanner import Protocol
from samnb.phantoms.tissue import tissue_values
from samnb.phantoms.tumour_body import ORGAN, outlines, relabelled, scanned, with_lesions

MIX = Mix(phases=lits.MIX.phases, fat=lits.MIX.fat, tumours=0, fatty_liver=0.35, cysts=0)
STREAM = 25
SCANNERS = Scanners(
    heights=(((-115, 155), 0.4), ((-130, 205), 0.2), ((-320, 150), 0.15), ((-200, 180), 0.25)),
    thicknesses=((0.8, 0.2), (1.0, 0.3), (1.5, 0.15), (2.0, 0.1), (2.5, 0.1), (5.0, 0.15)),
    noise=(8, 17),
    sharp=0.25,
    round_view=0.5,
)
LIVER = LiverMix(
    kinds=(("metastasis", 0.42), ("target", 0.24), ("bright", 0.22), ("mucinous", 0.12)),
    sizes=Sizes(median=17, spread=0.62, smallest=5, largest=110),
    more=2.5,
    several=0.68,
    benign=0.5,
)


def draw_protocol(patient: Patient, side: int) -> Protocol:
    return SCANNERS.draw(patient, side)


def make_liver_with_tumours(patient: Patient) -> Body:
    """The body with tumours in its liver: the liver is 1, its cysts too, tumours are 2."""
    body = make_body(patient)
    liver = outlines(body, ORGANS)["liver"]
    lesions = make_liver_lesions(patient, liver, LIVER, tissue_values(patient))
    return with_lesions(relabelled(body, {ORGANS["liver"]: ORGAN}), lesions)


def make_patient(seed: int, number: int, side: int) -> Phantom:
    patient = draw((seed, STREAM, number), MIX)
    return scanned(patient, draw_protocol(patient, side), make_liver_with_tumours)


def write_patient(folder: Path, seed: int, number: int, side: int) -> list[Path]:
    """Write `volume-N.nii` and `segmentation-N.nii`, stored in one of eight orientations."""
    phantom = make_patient(seed, number, side)
    generator = phantom.patient.stream("orientation")
    flips = [axis for axis in range(3) if generator.random() < (0.5, 0.5, 0.2)[axis]]
    paths = []
    for name, array in (("volume", phantom.hu), ("segmentation", phantom.labels)):
        affine = to_world(array.shape, phantom.spacing, phantom.first)
        stored = array.T
        for axis in flips:
            stored, affine = flip(stored, affine, axis)
        paths.append(folder / f"{name}-{number}.nii")
        write_nifti(paths[-1], stored, affine)
    return paths
