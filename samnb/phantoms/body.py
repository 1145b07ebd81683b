"""A whole patient: all shapes made in order, each keeping off those before it, and their paint."""

from dataclasses import dataclass

import numpy as np

from samnb.phantoms.anatomy import Patient
from samnb.phantoms.bowel import make_bowel, make_mesentery
from samnb.phantoms.chest import make_chest, make_great_vessels
from samnb.phantoms.fields import Field, Grid, waves
from samnb.phantoms.liver import make_gallbladder, make_liver, make_tumours, make_vessels
from samnb.phantoms.painting import Pose, Structure
from samnb.phantoms.skeleton import make_skeleton
from samnb.phantoms.tissue import oral_contrast, tissue_values
from samnb.phantoms.torso import make_torso
from samnb.phantoms.viscera import (
    make_adrenals,
    make_aorta,
    make_bladder,
    make_kidney,
    make_muscles,
    make_pancreas,
    make_spleen,
    make_stomach,
    make_veins,
    merge,
)

ORGANS = {
    name: number
    for number, name in enumerate(
        (
            "spleen", "kidney_right", "kidney_left", "gallbladder", "liver", "stomach", "pancreas",
            "adrenal_glands", "lung_right", "lung_left", "esophagus", "small_bowel", "duodenum",
            "colon", "urinary_bladder", "heart", "aorta", "inferior_vena_cava",
            "portal_vein_and_splenic_vein", "vertebrae", "ribs", "hips_and_sacrum",
            "autochthon_and_iliopsoas", "liver_tumour",
        ),
        start=1,
    )
}  # fmt: skip


@dataclass(frozen=True)
class Body:
    """The structures of one patient in the order of painting, and how the body lies."""

    patient: Patient
    structures: list[Structure]
    pose: Pose


def make_body(patient: Patient) -> Body:
    torso = make_torso(patient)
    skeleton = make_skeleton(patient, torso)
    muscles = make_muscles(patient, torso)
    aorta, plaques = make_aorta(patient)
    cava, portal = make_veins(patient)
    room = Grid.around((-345, -165, -165), (262, 95, 165), 4.0)
    spine = [skeleton.vertebrae, skeleton.discs, muscles]
    kidneys = {side: make_kidney(patient, side, torso, muscles) for side in (-1, 1)}
    fixed = merge(room, [*spine, aorta])
    occupied = merge(room, [fixed, kidneys[-1].outline, kidneys[1].outline])
    gallbladder = make_gallbladder(patient) if patient.gallbladder else None
    occupied = merge(room, [occupied, gallbladder]) if gallbladder else occupied
    liver = make_liver(patient, torso, occupied)
    occupied = merge(room, [occupied, liver, cava])
    spleen = make_spleen(patient, torso, occupied)
    occupied = merge(room, [occupied, spleen])
    chest = make_chest(patient, torso, fixed)
    stomach = make_stomach(patient, torso, merge(room, [occupied, chest.oesophagus]))
    occupied = merge(room, [occupied, stomach])
    pancreas = make_pancreas(patient, occupied)
    bladder, other = make_bladder(patient)
    occupied = merge(room, [occupied, pancreas, portal, bladder, other, skeleton.pelvis])
    bowel = make_bowel(patient, torso, occupied)
    portal_tree, hepatic_tree = make_vessels(patient, liver)

    hu = tissue_values(patient)
    fill = oral_contrast(patient)
    number = ORGANS
    level = _fluid_level(patient, stomach)
    soft = hu["muscle"]
    items = [
        Structure(torso.skin, ((0, 5.0), (2.0, hu["fat"])), grain=5),
        Structure(torso.fascia, ((0, soft),), grain=7),
        *_planes_of_fat(patient, torso, hu["fat"]),
        Structure(torso.cavity, ((0, hu["fat"] + 4),), grain=7),
    ]
    if patient.ascites:
        items.append(Structure(_ascites(patient, torso), ((0, 9.0),), grain=2))
    items += [
        Structure(_diaphragm(torso), ((0, soft - 2),)),
        Structure(make_mesentery(patient, torso), ((0, 0.45 * hu["portal"]),)),
        Structure(
            muscles, ((-0.8, hu["fat"] + 15), (0, soft)), number["autochthon_and_iliopsoas"], 9
        ),
        *_bones(skeleton, hu, number),
        *_thorax(chest, make_great_vessels(patient), hu, number),
        Structure(bladder, ((0, 35.0), (3.0, 6.0)), number["urinary_bladder"]),
        Structure(other, ((0, soft - 6),), 0, 5),
        *_bowel(bowel, hu, fill, number),
        Structure(stomach, ((-0.4, hu["fat"]), (0, hu["wall"]), (4.0, fill)), number["stomach"], 4),
        Structure(level, ((4.0, -990.0),), None),
        Structure(pancreas, ((0, hu["pancreas"]),), number["pancreas"], 9),
        Structure(make_adrenals(patient), ((0, hu["wall"]),), number["adrenal_glands"]),
        Structure(spleen, ((0, hu["spleen"]),), number["spleen"], 4),
    ]
    for side, name in ((-1, "kidney_right"), (1, "kidney_left")):
        items += _kidney(kidneys[side], hu, number[name])
    items += [
        Structure(portal, ((0, hu["portal"]),), number["portal_vein_and_splenic_vein"], 3),
        Structure(aorta, ((0, hu["aorta"] - 30), (1.2, hu["aorta"])), number["aorta"], 3),
    ]
    if plaques:
        items.append(Structure(plaques, ((0, 520.0),), None))
    items += _liver(patient, liver, gallbladder, portal_tree, hepatic_tree, hu, number)
    items.append(Structure(cava, ((0, hu["vein"]),), number["inferior_vena_cava"], 3))
    items.append(_table(patient, torso))
    return Body(patient, items, Pose(patient.scale, patient.turn))


def _planes_of_fat(patient: Patient, torso, fat: float) -> list[Structure]:
    """Thin sheets of fat between the layers of the wall: all but seen, yet the eye expects them."""
    fascia, cavity = torso.fascia.values, torso.cavity.values
    thick = cavity - fascia
    axes = torso.fascia.grid.axes()
    generator = patient.stream("fat planes")
    sheets = []
    for share in (0.36, 0.68):
        wander = waves(axes, generator, (60, 160), 0.05)
        middle = -fascia - (share + wander) * thick
        middle = middle + 2 * np.maximum(12 - thick, 0) + np.maximum(-90 - axes[0], 0)
        middle = middle + np.maximum(waves(axes, generator, (50, 130), 6.0) + 0.06 * axes[0], 0)
        half = 0.15 + 0.7 * patient.visceral
        sheets.append(Structure(_field(torso, middle), ((0, fat + 25),), sheet=half))
    # Between the muscles of hip and buttock: where a smooth random field changes its sign.
    for _ in range(2):
        septum = waves(axes, generator, (90, 190), 30.0, 10)
        septum = np.abs(septum) + np.maximum(np.maximum(axes[0] + 105, fascia + 1.0), 0)
        half = 0.8 + 1.4 * patient.visceral
        sheets.append(Structure(_field(torso, septum), ((0, fat + 20),), sheet=half))
    return sheets


def _field(torso, values: np.ndarray) -> Field:
    return Field(torso.fascia.grid, values.astype(np.float32))


def _diaphragm(torso) -> Field:
    sheet = np.maximum(np.abs(torso.diaphragm.values) - 2.0, torso.cavity.values - 3)
    return _field(torso, sheet)


def _ascites(patient: Patient, torso) -> Field:
    """Free fluid along the wall: in the flanks and around the liver."""
    z, y, x = torso.cavity.grid.axes()
    generator = patient.stream("ascites")
    deep = generator.uniform(10, 22)
    rim = -torso.cavity.values - deep - 0.10 * (np.abs(x) - 60) - 0.12 * y
    rim = rim + waves((z, y, x), generator, (60, 140), 5.0)
    return _field(torso, np.maximum(np.maximum(rim, torso.cavity.values), torso.diaphragm.values))


def _bones(skeleton, hu: dict, number: dict) -> list[Structure]:
    bone, marrow = hu["bone"], hu["marrow"]
    return [
        Structure(skeleton.discs, ((0, 78.0),), 0, 5),
        Structure(skeleton.canal, ((0, -20.0), (1.5, 28.0)), 0, 3),
        Structure(skeleton.vertebrae, ((0, bone), (2.2, marrow)), number["vertebrae"], 26),
        Structure(skeleton.cartilage, ((-1, hu["fat"] / 2), (0, 120.0)), 0, 12),
        Structure(
            skeleton.ribs, ((-1.2, hu["fat"] / 2), (0, bone), (2.4, marrow)), number["ribs"], 20
        ),
        Structure(skeleton.pelvis, ((0, bone), (2.6, marrow)), number["hips_and_sacrum"], 26),
    ]


def _thorax(chest, great, hu: dict, number: dict) -> list[Structure]:
    return [
        Structure(chest.lung_right, ((0, hu["lung"]),), number["lung_right"], 22),
        Structure(chest.lung_left, ((0, hu["lung"]),), number["lung_left"], 22),
        Structure(chest.lung_vessels, ((0, 20.0),), None),
        Structure(chest.airways, ((-1.5, 10.0), (0, -990.0)), 0),
        Structure(chest.pericardium, ((0, hu["fat"] + 6),), 0, 5),
        Structure(chest.heart, ((0, hu["myocardium"]),), number["heart"], 4),
        Structure(chest.chambers, ((0, hu["heart"]),), None, 3),
        Structure(great[2], ((0, 1.1 * hu["vein"]),), 0, 4),
        Structure(great[1], ((0, hu["heart"]),), 0, 4),
        Structure(great[0], ((0, hu["aorta"]),), number["aorta"], 4),
        Structure(chest.oesophagus, ((0, hu["wall"]), (5.0, -250.0)), number["esophagus"]),
    ]


def _bowel(bowel, hu: dict, fill: float, number: dict) -> list[Structure]:
    small_gas = Field(bowel.small.grid, np.maximum(bowel.small.values, bowel.small_gas.values))
    colon_gas = Field(bowel.colon.grid, np.maximum(bowel.colon.values, bowel.colon_gas.values))
    wall = hu["wall"]
    return [
        Structure(
            bowel.small, ((-1, hu["fat"]), (0, wall), (2.6, fill + 8)), number["small_bowel"], 6
        ),
        Structure(small_gas, ((3.0, -900.0),), None),
        Structure(
            bowel.colon, ((-1.2, hu["fat"]), (0, wall - 8), (2.4, -20.0)), number["colon"], 55
        ),
        Structure(colon_gas, ((2.8, -960.0),), None),
        Structure(bowel.duodenum, ((-1, hu["fat"]), (0, wall), (3.2, fill)), number["duodenum"], 6),
    ]


def _kidney(kidney, hu: dict, label: int) -> list[Structure]:
    inner = Field(kidney.outline.grid, np.maximum(kidney.sinus.values, kidney.outline.values - 3))
    pelvis = Field(kidney.outline.grid, np.maximum(kidney.pelvis.values, kidney.sinus.values + 1))
    return [
        Structure(kidney.outline, ((0, hu["cortex"]),), label, 3),
        Structure(kidney.medulla, ((0, hu["medulla"]),), None, 3),
        Structure(inner, ((0, hu["fat"] + 25),), 0, 8),
        Structure(pelvis, ((0, hu["pelvis"]),), None),
    ]


def _liver(patient, liver, gallbladder, portal, hepatic, hu: dict, number: dict) -> list[Structure]:
    label, mean = number["liver"], hu["liver"]
    trunk = Field(portal.grid, portal.values)
    items = [Structure(liver, ((0, mean),), label, 4)]
    items.append(
        Structure(hepatic.keep_in(liver, 1), ((0, 0.85 * hu["hepatic"] + 0.15 * mean),), None)
    )
    items.append(Structure(trunk.keep_in(liver, -3), ((0, 0.9 * hu["portal"] + 0.1 * mean),), None))
    for tumour in make_tumours(patient, liver):
        layers = (
            [(0.0, mean + tumour.contrast)] if tumour.kind == "tumour" else [(0.0, tumour.core)]
        )
        if tumour.kind == "tumour" and tumour.rim is not None:
            layers = [(0.0, mean + tumour.rim), (2.5, mean + tumour.contrast)]
        if tumour.kind == "tumour" and tumour.core is not None:
            layers.append((7.0, tumour.core))
        lesion = number["liver_tumour"] if tumour.kind == "tumour" else label
        items.append(Structure(tumour.field, tuple(layers), lesion, 6))
    if gallbladder:
        layers = ((0.0, hu["wall"]), (1.6, hu["gallbladder"]))
        items.append(Structure(gallbladder, layers, number["gallbladder"], 2))
    return items


def _fluid_level(patient: Patient, stomach: Field) -> Field:
    """The gas in the stomach: what lies above a level, the patient on the back."""
    generator = patient.stream("stomach gas")
    rows = np.nonzero((stomach.values < 0).any(axis=(0, 2)))[0]
    y = stomach.grid.axes()[1]
    span = y.ravel()[rows[[0, -1]]] if len(rows) else np.array([-100.0, 0.0])
    height = span[0] + generator.uniform(0.08, 0.5) * (span[1] - span[0])
    tilt = np.tan(np.radians(patient.turn)) * stomach.grid.axes()[2]
    gas = np.maximum(stomach.values, y - height + tilt + 4.0)
    return Field(stomach.grid, gas.astype(np.float32))


def _table(patient: Patient, torso) -> Structure:
    """The couch: a thin curved shell below the back."""
    generator = patient.stream("table")
    grid = Grid.around((-360, 80, -260), (290, 250, 260), (40.0, 2.0, 4.0))
    z, y, x = grid.axes()
    rows = np.nonzero((torso.skin.values[10:] < 0).any(axis=(0, 2)))[0]
    back = float(torso.skin.grid.axes()[1].ravel()[rows[-1]])
    top = back + generator.uniform(3, 10)
    sheet = np.abs(y - top + (x / 42) ** 2 + 0 * z) - 2.0
    lower = np.abs(y - top - 34 + 0.2 * (x / 42) ** 2 + 0 * z) - 1.5
    sheet = np.maximum(np.minimum(sheet, lower), np.abs(x) - 215)
    return Structure(Field(grid, sheet.astype(np.float32)), ((0, -420.0),), 0, fixed=True)
