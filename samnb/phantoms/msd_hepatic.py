"""The cohort like Task08_HepaticVessel of the Decathlon: vessels of the liver, and its tumours."""

from dataclasses import replace
from pathlib import Path

from samnb.phantoms import decathlon
from samnb.phantoms.anatomy import Mix, Patient, draw
from samnb.phantoms.body import ORGANS, Body, make_body
from samnb.phantoms.ct_protocols import Scanners
from samnb.phantoms.draws import Phantom
from samnb.phantoms.lesions import Sizes
from samnb.phantoms.liver_lesions import LiverMix, make_liver_lesions
from samnb.phantoms.scanner import Protocol
from samnb.phantoms.tissue import tissue_values
from samnb.phantoms.tumour_body import (
    ORGAN,
    TUMOUR,
    outlines,
    relabelled,
    scanned,
    with_lesions,
)

MIX = Mix(phases=(0, 0, 1, 0), fat=(15.0, 7.0), tumours=0, fatty_liver=0.3, cysts=0)
STREAM = 26
SCANNERS = Scanners(
    heights=(((-115, 150), 0.6), ((-180, 170), 0.25), ((-320, 150), 0.15)),
    thicknesses=((2.5, 0.12), (4.0, 0.08), (5.0, 0.7), (7.5, 0.1)),
    noise=(8, 13),
)
LIVER = LiverMix(
    kinds=(("metastasis", 0.5), ("target", 0.18), ("bright", 0.16), ("mucinous", 0.16)),
    sizes=Sizes(median=26, spread=0.6, smallest=8, largest=120),
    more=1.2,
    several=0.5,
    benign=0.4,
)
VESSEL = ORGAN  # here the value of organs is that of the vessels; the liver has none
LABELS = ("background", "Vessel", "Tumour")


def draw_protocol(patient: Patient, side: int) -> Protocol:
    return SCANNERS.draw(patient, side)


def make_liver_with_vessels(patient: Patient) -> Body:
    """The body with tumours in its liver: hepatic and portal veins in the liver 1, tumours 2."""
    body = make_body(patient)
    liver = outlines(body, ORGANS)["liver"]
    lesions = make_liver_lesions(patient, liver, LIVER, tissue_values(patient))
    unlabelled = [
        item if item.label in (None, TUMOUR) else replace(item, label=0) for item in lesions
    ]  # benign ones are no vessels
    return with_lesions(_vessels_labelled(body), unlabelled)


def _vessels_labelled(body: Body) -> Body:
    """The two trees are painted right after the liver that they branch in, and have no label."""
    at = next(i for i, item in enumerate(body.structures) if item.label == ORGANS["liver"])
    structures = list(relabelled(body, {}).structures)
    for tree in (at + 1, at + 2):
        structures[tree] = replace(structures[tree], label=VESSEL)
    return replace(body, structures=structures)


def make_patient(seed: int, number: int, side: int) -> Phantom:
    patient = draw((seed, STREAM, number), MIX)
    return scanned(patient, draw_protocol(patient, side), make_liver_with_vessels)


def case(number: int) -> str:
    """303 of the 443 real cases are for training: two of three numbers."""
    return decathlon.case_name("hepaticvessel", number, 3)


def write_patient(folder: Path, seed: int, number: int, side: int) -> list[Path]:
    return decathlon.write_case(folder, case(number), make_patient(seed, number, side))


def write_table(folder: Path, seed: int, patients: int) -> None:
    cases = [case(number) for number in range(patients)]
    decathlon.write_dataset(folder, "HepaticVessel", LABELS, cases)
