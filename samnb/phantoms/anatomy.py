"""Who the patient is: everything about one patient that is drawn before any shape is made."""

import zlib
from dataclasses import dataclass

import numpy as np

PHASES = ("native", "arterial", "portal", "late")


@dataclass(frozen=True)
class Mix:
    """What the patients of one cohort have how often: probabilities, unless said otherwise."""

    phases: tuple[float, float, float, float]  # native, arterial, portal venous, late
    fat: tuple[float, float] = (10.0, 6.0)  # mean and spread of the subcutaneous fat, mm
    tumours: float = 0.7
    fatty_liver: float = 0.2
    ascites: float = 0.06
    splenomegaly: float = 0.1
    cysts: float = 0.15
    resected: float = 0.0
    cholecystectomy: float = 0.15


@dataclass(frozen=True)
class Patient:
    """One patient. Shapes are made for a standard body, then scaled by `scale` (z, y, x)."""

    key: tuple[int, ...]
    female: bool
    age: int
    scale: tuple[float, float, float]
    turn: float  # rotation on the table, degrees
    fat: float  # subcutaneous fat, mm
    visceral: float  # 0 lean .. 1 much fat between the organs
    phase: str
    tumours: bool
    fatty_liver: bool
    ascites: bool
    splenomegaly: bool
    cysts: bool
    resected: bool
    gallbladder: bool

    def stream(self, name: str) -> np.random.Generator:
        """Random numbers of one organ; those of one organ never shift those of another."""
        return np.random.default_rng([*self.key, zlib.crc32(name.encode())])


def draw(key: tuple[int, ...], mix: Mix) -> Patient:
    """Draw a patient of a cohort; a pure function of `key` (seed, cohort, number) and `mix`."""
    generator = np.random.default_rng([*key, zlib.crc32(b"patient")])
    female = bool(generator.random() < 0.45)
    size = float(np.clip(generator.normal(0.95 if female else 1.02, 0.045), 0.86, 1.13))
    scale = size * np.clip(generator.normal(1, 0.03, 3), 0.93, 1.08)
    fat = float(np.clip(generator.normal(mix.fat[0] + 5 * female, mix.fat[1]), 4, 42))
    visceral = float(np.clip(generator.beta(2, 2.4) + (fat - 14) / 60 - 0.15 * female, 0.05, 1))
    chances = generator.random(7)
    return Patient(
        key=key,
        female=female,
        age=int(generator.integers(28, 86)),
        scale=tuple(float(s) for s in scale),
        turn=float(np.clip(generator.normal(0, 2.2), -6, 6)),
        fat=fat,
        visceral=visceral,
        phase=str(generator.choice(PHASES, p=mix.phases)),
        tumours=bool(chances[0] < mix.tumours),
        fatty_liver=bool(chances[1] < mix.fatty_liver),
        ascites=bool(chances[2] < mix.ascites),
        splenomegaly=bool(chances[3] < mix.splenomegaly),
        cysts=bool(chances[4] < mix.cysts),
        resected=bool(chances[5] < mix.resected),
        gallbladder=bool(chances[6] >= mix.cholecystectomy),
    )
