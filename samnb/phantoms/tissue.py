"""What each tissue measures: Hounsfield units by contrast phase, and how they vary."""

import numpy as np

from samnb.phantoms.anatomy import PHASES, Patient

AIR, FAT, LUNG = -1000.0, -104.0, -855.0

# HU in the native, arterial, portal venous and late phase.
TABLE = {
    "muscle": (54, 62, 69, 65),
    "liver": (57, 68, 108, 88),
    "spleen": (47, 112, 120, 92),
    "pancreas": (38, 98, 92, 70),
    "cortex": (33, 168, 178, 135),
    "medulla": (30, 62, 158, 148),
    "pelvis": (8, 8, 14, 380),
    "aorta": (42, 310, 152, 108),
    "vein": (40, 62, 142, 105),
    "portal": (41, 112, 168, 108),
    "hepatic": (41, 66, 158, 106),
    "heart": (42, 210, 138, 104),
    "myocardium": (44, 108, 112, 92),
    "wall": (36, 68, 84, 74),
    "gallbladder": (10, 10, 11, 12),
    "thyroid": (90, 150, 130, 110),
}
CONTRAST = {"aorta", "vein", "portal", "hepatic", "heart", "cortex", "spleen"}


def tissue_values(patient: Patient) -> dict[str, float]:
    """Mean HU of every tissue of one patient."""
    generator = patient.stream("tissue")
    phase = PHASES.index(patient.phase)
    strength = float(
        np.clip(generator.normal(1.0, 0.18), 0.5, 1.5)
    )  # how strongly and when the contrast arrived
    values = {}
    for name, row in TABLE.items():
        native = row[0]
        uptake = (row[phase] - native) * strength
        spread = 3.0 if name not in CONTRAST else 3.0 + 0.05 * abs(uptake)
        values[name] = native + uptake + generator.normal(0, spread)
    values["liver"] += generator.normal(0, 11)
    if patient.fatty_liver:
        values["liver"] -= generator.uniform(22, 62)
    values["muscle"] -= 8 * generator.random() * (patient.age > 60)
    values["fat"] = FAT + generator.normal(0, 3)
    values["lung"] = LUNG + generator.normal(0, 18)
    values["marrow"] = generator.uniform(190, 260) - 1.5 * max(patient.age - 50, 0)
    values["bone"] = generator.uniform(480, 620)
    return values


def oral_contrast(patient: Patient) -> float:
    """HU of what the stomach and bowel hold: water, or in some patients a contrast drink."""
    generator = patient.stream("oral contrast")
    if generator.random() < 0.35:
        return float(generator.uniform(110, 260))
    return float(generator.uniform(2, 24))


def mottle(patient: Patient, shape: tuple[int, int, int] = (48, 80, 80)) -> np.ndarray:
    """A periodic block of unit-variance texture (z, y, x), coarser than noise: grain of tissue."""
    generator = patient.stream("mottle")
    block = np.fft.rfftn(generator.standard_normal(shape, dtype=np.float32))
    z, y, x = np.meshgrid(
        np.fft.fftfreq(shape[0]), np.fft.fftfreq(shape[1]), np.fft.rfftfreq(shape[2]), indexing="ij"
    )
    frequency = np.sqrt(z * z + y * y + x * x)
    block *= np.exp(-((frequency / 0.16) ** 2)) / (0.03 + frequency)
    block[0, 0, 0] = 0
    texture = np.fft.irfftn(block, shape, axes=(0, 1, 2))
    return (texture / texture.std()).astype(np.float32)
