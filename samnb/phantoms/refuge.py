"""The cohort like REFUGE2: fundus photographs of several cameras, masks of optic disc and cup."""

from pathlib import Path

from samnb.phantoms.eye import Eye, draw_eye
from samnb.phantoms.fundus import CAMERAS, Camera, photograph
from samnb.phantoms.picture import PicturePhantom, one_thread, write_picture

STREAM = 11
GLAUCOMA = 0.3  # more than the tenth of the real training set, so that small cohorts have some
# Part of the set by the patient's number: training in two of four, and its camera.
PARTS = ("training", "training", "validation", "test")
CAMERA = {"training": ("zeiss",), "validation": ("canon",), "test": ("topcon", "kowa")}


def patient_of(seed: int, number: int) -> tuple[Eye, str, str]:
    """The eye, the part of the set, and the name as REFUGE gives it: g0001, n0002, V0003, T0004.

    In training the first letter tells of glaucoma, elsewhere of the part.
    """
    eye = draw_eye((seed, STREAM, number), GLAUCOMA)
    part = PARTS[number % len(PARTS)]
    letter = {"validation": "V", "test": "T"}.get(part, "g" if eye.glaucoma else "n")
    return eye, part, f"{letter}{number + 1:04}"


def camera_of(number: int) -> Camera:
    """The camera of the part of the set that a patient is in."""
    cameras = CAMERA[PARTS[number % len(PARTS)]]
    return CAMERAS[cameras[number // len(PARTS) % len(cameras)]]


def make_patient(seed: int, number: int, side: int) -> PicturePhantom:
    """The photograph, and its mask: 0 cup, 128 rim of the disc, 255 background."""
    eye, _, _ = patient_of(seed, number)
    with one_thread():
        return PicturePhantom(*photograph(eye, camera_of(number), side))


def write_patient(folder: Path, seed: int, number: int, side: int) -> list[Path]:
    """Write `Training400/Glaucoma/g0001.jpg` and its mask, a BMP, as the real archives lie."""
    phantom = make_patient(seed, number, side)
    eye, part, name = patient_of(seed, number)
    group = "Glaucoma" if eye.glaucoma else "Non-Glaucoma"
    image, mask = {
        "training": (f"Training400/{group}", f"Annotation-Training400/Disc_Cup_Masks/{group}"),
        "validation": ("REFUGE-Validation400", "REFUGE-Validation400-GT/Disc_Cup_Masks"),
        "test": ("Test400", "REFUGE-Test-GT/Disc_Cup_Masks"),
    }[part]
    return [
        write_picture(folder / image / f"{name}.jpg", phantom.image),
        write_picture(folder / mask / f"{name}.bmp", phantom.labels),
    ]
