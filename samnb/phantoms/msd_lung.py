"""The cohort like Task06_Lung of the Decathlon: lung carcinomas, staged with a contrast agent."""

from pathlib import Path

from samnb.phantoms import decathlon
from samnb.phantoms.anatomy import Mix, Patient, draw
from samnb.phantoms.body import ORGANS, Body, make_body
from samnb.phantoms.ct_protocols import Scanners
from samnb.phantoms.draws import Phantom
from samnb.phantoms.lesions import Sizes
from samnb.phantoms.lung_lesions import LungMix, make_lung_lesions
from samnb.phantoms.scanner import Protocol
from samnb.phantoms.tissue import tissue_values
from samnb.phantoms.tumour_body import outlines, relabelled, scanned, with_lesions

MIX = Mix(phases=(0.25, 0.5, 0.25, 0), fat=(12.0, 7.0), tumours=0, cysts=0.2)
STREAM = 22
# The standard body ends below the tips of the lungs, and so do the scans.
SCANNERS = Scanners(
    heights=(((0, 255), 0.5), ((-40, 255), 0.3), ((-110, 255), 0.2)),
    thicknesses=((1.0, 0.2), (1.25, 0.35), (1.5, 0.1), (2.0, 0.15), (2.5, 0.2)),
    noise=(12, 24),
    sharp=0.35,
)
LUNGS = LungMix(
    kinds=(
        ("spiculated", 0.4), ("pleural", 0.24), ("central", 0.14), ("cavitating", 0.1),
        ("part-solid", 0.12),
    ),
    sizes=Sizes(median=25, spread=0.55, smallest=9, largest=85),
    emphysema=0.4,
    granulomas=0.8,
)  # fmt: skip
LABELS = ("background", "cancer")


def draw_protocol(patient: Patient, side: int) -> Protocol:
    return SCANNERS.draw(patient, side)


def make_chest(patient: Patient, lungs: LungMix = LUNGS) -> Body:
    """The body with a carcinoma in one lung, which alone is labelled, 1."""
    body = make_body(patient)
    organs = outlines(body, ORGANS)
    hu = tissue_values(patient)
    sides = {-1: organs["lung_right"], 1: organs["lung_left"]}
    lesions = make_lung_lesions(patient, sides, lungs, hu["wall"] - 36)
    return with_lesions(relabelled(body, {}), lesions)


def make_patient(seed: int, number: int, side: int) -> Phantom:
    patient = draw((seed, STREAM, number), MIX)
    return scanned(patient, draw_protocol(patient, side), make_chest)


def case(number: int) -> str:
    """63 of the 96 real cases are for training: two of three numbers."""
    return decathlon.case_name("lung", number, 3)


def write_patient(folder: Path, seed: int, number: int, side: int) -> list[Path]:
    return decathlon.write_case(folder, case(number), make_patient(seed, number, side))


def write_table(folder: Path, seed: int, patients: int) -> None:
    decathlon.write_dataset(folder, "Lung", LABELS, [case(number) for number in range(patients)])
