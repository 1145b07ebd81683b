"""The cohort like ISIC 2016, task 1: dermoscopic pictures of one lesion each, and its mask."""

from pathlib import Path

import numpy as np

from samnb.phantoms.dermoscope import draw_dermoscope, take
from samnb.phantoms.picture import PicturePhantom, Raster, one_thread, stream, write_picture
from samnb.phantoms.skin import draw_lesion, draw_skin, lesion_mask, skin_light

STREAM = 12
WIDTHS = (12.0, 22.0)  # mm of skin that a picture shows, least and most
RATIOS = (0.67, 0.75, 0.8)  # height to width of the pictures in the archive


def make_patient(seed: int, number: int, side: int) -> PicturePhantom:
    """The picture, `side` pixels wide, and its mask: 255 the lesion, 0 the skin."""
    key = (seed, STREAM, number)
    generator = stream(key, "view")
    width = float(generator.uniform(*WIDTHS))
    rows = round(side * float(generator.choice(RATIOS)))
    raster = Raster((rows, side), width / side)
    view = (width * rows / side, width)
    skin = draw_skin(key)
    lesion = draw_lesion(key, view, skin.melanin)
    scope = draw_dermoscope(stream(key, "dermoscope"), view)
    with one_thread():
        light = skin_light(skin, lesion, raster)
        image = take(light, scope, raster, stream(key, "picture"))
        mask = lesion_mask(lesion, raster)
    return PicturePhantom(image, 255 * mask.astype(np.uint8))


def write_patient(folder: Path, seed: int, number: int, side: int) -> list[Path]:
    """Write `ISIC_N.jpg` and `ISIC_N_Segmentation.png`, in two folders as the archive has them."""
    phantom = make_patient(seed, number, side)
    name = f"ISIC_{number:07}"
    return [
        write_picture(folder / f"ISBI2016_ISIC_Part1_Training_Data/{name}.jpg", phantom.image),
        write_picture(
            folder / f"ISBI2016_ISIC_Part1_Training_GroundTruth/{name}_Segmentation.png",
            phantom.labels,
        ),
    ]
