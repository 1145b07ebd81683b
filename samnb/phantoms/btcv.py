"""The BTCV-like cohort, known as Synapse: 30 abdomens in portal venous phase, 13 organs each."""

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from threadpoolctl import threadpool_limits

from samnb.base.errors import SamnbError
from samnb.data.layouts.btcv import ORGANS as LABELS
from samnb.phantoms.anatomy import Mix, Patient, draw
from samnb.phantoms.body import ORGANS, Body, make_body
from samnb.phantoms.draws import Phantom
from samnb.phantoms.fields import Field
from samnb.phantoms.nifti_files import flip, to_world, write_nifti
from samnb.phantoms.painting import Structure
from samnb.phantoms.routes import grown, trunk
from samnb.phantoms.scanner import Protocol, scan
from samnb.phantoms.tissue import tissue_values
from samnb.phantoms.upper_abdomen import (
    make_adrenal,
    make_oesophagus,
    make_pad,
    make_pancreas,
    make_portal,
)

# Adults before an operation for a ventral hernia or under chemotherapy for colorectal cancer.
MIX = Mix(
    phases=(0, 0, 1, 0),
    fat=(15.0, 8.0),
    tumours=0.15,
    fatty_liver=0.3,
    ascites=0.04,
    splenomegaly=0.12,
    cysts=0.2,
    cholecystectomy=0.08,
)
STREAM = 3
NUMBERS = (*range(1, 11), *range(21, 41))  # of the real scans that have labels

# Slice distance at 512 pixels (mm), its chance, height covered (mm, lowest and highest mean).
THICKNESSES = ((2.5, 0.2, (-150, 170)), (3.0, 0.6, (-190, 180)), (5.0, 0.2, (-280, 182)))
THICKEST = 6.5  # mm
BIFURCATION, IVC_ORIGIN = -108.0, -114.0  # where aorta and vena cava divide (standard body, mm)

NUMBER = {name: number for number, name in enumerate(LABELS, start=1)}
NAMES = {number: name for name, number in ORGANS.items()}
# Organs that are the same there and here: the body's name, BTCV's name.
TWINS = {
    "spleen": "spleen",
    "kidney_right": "right kidney",
    "kidney_left": "left kidney",
    "gallbladder": "gallbladder",
    "liver": "liver",
    "liver_tumour": "liver",
    "stomach": "stomach",
    "pancreas": "pancreas",
}


def draw_adult(seed: int, number: int) -> Patient:
    """A patient of middling size: scales that are nearer to the standard body's than elsewhere."""
    patient = draw((seed, STREAM, number), MIX)
    return replace(patient, scale=tuple(1 + 0.6 * (scale - 1) for scale in patient.scale))


def draw_protocol(patient: Patient, side: int) -> Protocol:
    """As the real scans at side 512; a smaller side has larger pixels and thicker, fewer slices."""
    generator = patient.stream("protocol")
    chosen = generator.choice(len(THICKNESSES), p=[chance for _, chance, _ in THICKNESSES])
    real, _, (low, high) = THICKNESSES[chosen]
    thickness = min(real * max(512 / side, 1), max(real, THICKEST))
    scale = patient.scale[0]
    low = scale * (low + generator.normal(0, 8))
    high = scale * (high + generator.normal(0, 8))
    width = patient.scale[2] * 2 * (152 + 0.9 * patient.fat)
    view = float(np.clip(width * generator.uniform(1.02, 1.2), 277, 500))
    return Protocol(
        bottom=low,
        slices=int((high - low) / thickness) + 1,
        thickness=thickness,
        pixel=view / side,
        shape=(side, side),
        centre=(float(generator.normal(-30, 8)), float(generator.normal(0, 6))),
        noise=float(generator.uniform(9, 16)),
        blur=float(generator.uniform(0.65, 1.0)),
        sharpen=0.0,
        round_view=bool(generator.random() < 0.4),
    )


def organs_of(body: Body) -> dict[str, Field]:
    """The outline of each organ of a body: the first shape of its label, inner ones come later."""
    named = [(NAMES[item.label], item.field) for item in body.structures if item.label in NAMES]
    aortas = [field for name, field in named if name == "aorta"]
    return dict(reversed(named)) | {"aorta": aortas[-1]}  # the first is the arch


def make_abdomen(patient: Patient) -> Body:
    """The body with BTCV's numbers for labels, and with the structures that BTCV adds.

    Kidneys and pancreas are a little larger than in the body, and fat parts the organs before the
    kidneys from them.
    """
    body = make_body(patient)
    own = organs_of(body)
    shapes = dict(own)
    for name, more in (("kidney_right", 2.0), ("kidney_left", 2.0), ("pancreas", 1.0)):
        shapes[name] = grown(own[name], more)
    shapes["pancreas"] = make_pancreas(shapes)
    fat = patient.visceral
    for name, other, gap in (
        ("liver", "kidney_right", 1.5 + 2 * fat), ("liver", "pancreas", 1.0),
        ("pancreas", "kidney_left", 1.5 + 3 * fat), ("spleen", "kidney_left", 1.5 + 4 * fat),
        ("stomach", "kidney_left", 1.5 + 4 * fat), ("stomach", "pancreas", 1.2),
    ):  # fmt: skip
        shapes[name] = shapes[name].keep_off(shapes[other], gap)
    hu = tissue_values(patient)
    portal, mesenteric = make_portal(patient, shapes)
    glands = {side: make_adrenal(patient, side, shapes) for side in (-1, 1)}
    pads = [make_pad(patient, side, gland, shapes) for side, gland in glands.items()]
    *structures, table = [
        changed
        for item in body.structures
        if NAMES.get(item.label) not in ("adrenal_glands", "portal_vein_and_splenic_vein")
        for changed in _as_in_btcv(item, patient, own, shapes, hu)
    ]
    added = [
        *(Structure(pad, ((0, hu["fat"] + 4),), 0, 7) for pad in pads),
        Structure(mesenteric, ((0, hu["portal"]),), 0, 3),
        Structure(portal, ((0, hu["portal"]),), NUMBER["portal and splenic vein"], 3),
        Structure(glands[-1], ((0, hu["wall"] + 14),), NUMBER["right adrenal gland"]),
        Structure(glands[1], ((0, hu["wall"] + 14),), NUMBER["left adrenal gland"]),
    ]
    return Body(patient, [*structures, *added, table], body.pose)


def _as_in_btcv(
    item: Structure, patient: Patient, own: dict, shapes: dict, hu: dict
) -> list[Structure]:
    """What stands in the abdomen for one structure of the body.

    `own`: the organs' shapes in the body; `shapes`: here. Only the trunks of aorta and vena cava
    have labels here, not their branches.
    """
    name = NAMES.get(item.label)
    if name == "esophagus":
        gas = patient.stream("oesophagus gas").random() < 0.4
        layers = ((0, hu["wall"]), (5.2, -350.0) if gas else (5.0, 45.0))
        return [Structure(make_oesophagus(patient, shapes), layers, NUMBER["oesophagus"], 4)]
    label = None if item.label is None else NUMBER.get(TWINS.get(name, ""), 0)
    if name is None or item.field is not own[name]:
        return [replace(item, label=label)]
    item = replace(item, field=shapes[name], label=label)
    if name == "aorta":
        main = trunk(item.field, BIFURCATION)
        return [item, Structure(main, ((1.2, hu["aorta"]),), NUMBER["aorta"], 3)]
    if name == "inferior_vena_cava":
        main = trunk(item.field, IVC_ORIGIN).keep_off(shapes["heart"], 0.0)
        return [item, Structure(main, ((1.2, hu["vein"]),), NUMBER["inferior vena cava"], 3)]
    return [item]


@contextmanager
def _one_thread():
    """So that the result never depends on how many there are, as in `make_phantom`."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        cv2.setNumThreads(threads)


def make_patient(seed: int, number: int, side: int) -> Phantom:
    """Patient `number`, 0 to 29; the labels are BTCV's, not those of `ORGANS`."""
    if not 0 <= number < len(NUMBERS):
        raise SamnbError(
            f"BTCV has no patient {number}: {len(NUMBERS)} of its scans have labels.",
            f"ask for at most {len(NUMBERS)} phantoms of this kind.",
        )
    patient = draw_adult(seed, number)
    protocol = draw_protocol(patient, side)
    with _one_thread():
        return Phantom(patient, protocol, *scan(make_abdomen(patient), protocol))


def write_patient(folder: Path, seed: int, number: int, side: int) -> list[Path]:
    """Write `img/img00NN.nii.gz` and `label/label00NN.nii.gz`, stored as LAS as the real ones."""
    phantom = make_patient(seed, number, side)
    affine = to_world(phantom.hu.shape, phantom.spacing, phantom.first)
    paths = []
    for kind, array in (("img", phantom.hu), ("label", phantom.labels)):
        stored, turned = flip(array.T, affine, 1)
        paths.append(folder / kind / f"{kind}{NUMBERS[number]:04}.nii.gz")
        write_nifti(paths[-1], stored, turned)
    return paths
