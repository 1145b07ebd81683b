"""The cohort like Task07_Pancreas of the Decathlon: pancreatic masses, portal venous phase."""

from pathlib import Path

from samnb.phantoms import decathlon
from samnb.phantoms.anatomy import Mix, Patient, draw
from samnb.phantoms.body import Body
from samnb.phantoms.btcv import NUMBER, make_abdomen
from samnb.phantoms.ct_protocols import Scanners
from samnb.phantoms.draws import Phantom
from samnb.phantoms.pancreas_lesions import make_pancreas_lesions
from samnb.phantoms.scanner import Protocol
from samnb.phantoms.tissue import tissue_values
from samnb.phantoms.tumour_body import ORGAN, outlines, relabelled, scanned, with_lesions

MIX = Mix(phases=(0, 0.1, 0.9, 0), fat=(13.0, 7.0), tumours=0, fatty_liver=0.25, cysts=0.25)
STREAM = 24
SCANNERS = Scanners(
    heights=(((-110, 120), 0.45), ((-160, 145), 0.35), ((-230, 145), 0.2)),
    thicknesses=((1.25, 0.06), (2.5, 0.84), (5.0, 0.1)),
    noise=(9, 17),
)
# What a mass of the pancreas stops at, and the gap (mm) that it leaves.
WALLS = (("liver", 0.5), ("spleen", 1.0), ("aorta", 1.5), ("inferior vena cava", 0.5),
         ("left kidney", 1.0), ("right kidney", 1.0), ("portal and splenic vein", 0.2),
         ("stomach", 0.3))  # fmt: skip
LABELS = ("background", "pancreas", "cancer")


def draw_protocol(patient: Patient, side: int) -> Protocol:
    return SCANNERS.draw(patient, side)


def make_upper_abdomen(patient: Patient) -> Body:
    """The abdomen with a mass of the pancreas: the gland is 1, the mass 2."""
    body = make_abdomen(patient)
    organs = outlines(body, NUMBER)
    walls = [(organs[name], gap) for name, gap in WALLS]
    lesions = make_pancreas_lesions(patient, organs["pancreas"], walls, tissue_values(patient))
    return with_lesions(relabelled(body, {NUMBER["pancreas"]: ORGAN}), lesions)


def make_patient(seed: int, number: int, side: int) -> Phantom:
    patient = draw((seed, STREAM, number), MIX)
    return scanned(patient, draw_protocol(patient, side), make_upper_abdomen)


def case(number: int) -> str:
    """281 of the 420 real cases are for training: two of three numbers."""
    return decathlon.case_name("pancreas", number, 3)


def write_patient(folder: Path, seed: int, number: int, side: int) -> list[Path]:
    return decathlon.write_case(folder, case(number), make_patient(seed, number, side))


def write_table(folder: Path, seed: int, patients: int) -> None:
    cases = [case(number) for number in range(patients)]
    decathlon.write_dataset(folder, "Pancreas", LABELS, cases)
