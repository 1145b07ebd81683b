"""The cohort like TN3K: ultrasound of the thyroid with a nodule or two, grey, masks as JPEG."""

from pathlib import Path

import numpy as np

from samnb.phantoms.neck import draw_neck, lay_out, readers_mask
from samnb.phantoms.picture import PicturePhantom, Raster, one_thread, stream, write_picture
from samnb.phantoms.sonography import draw_scanner, scan_echoes

STREAM = 13
TEST_EVERY = 5  # each fifth picture stands in the test part


def make_patient(seed: int, number: int, side: int) -> PicturePhantom:
    """The picture, its longer side `side` pixels, and its mask: 255 nodule, 0 all else."""
    key = (seed, STREAM, number)
    neck = draw_neck(key)
    scanner = draw_scanner(stream(key, "scanner"), neck.depth)
    pixel = max(neck.depth, neck.width) / side
    shape = round(neck.depth / pixel), round(neck.width / pixel)
    raster = Raster(shape, pixel, (shape[0] * pixel / 2, 0.0))
    with one_thread():
        echoes = lay_out(neck, raster)
        image = scan_echoes(echoes, scanner, raster, stream(key, "echoes"))
        mask = readers_mask(neck, raster)
    return PicturePhantom(image, 255 * mask.astype(np.uint8))


def write_patient(folder: Path, seed: int, number: int, side: int) -> list[Path]:
    """Write `trainval-image/0000.jpg` and `trainval-mask/0000.jpg`, or in `test-image`.

    Each part counts its pictures from 0000.
    """
    phantom = make_patient(seed, number, side)
    before = number // TEST_EVERY
    tested = number % TEST_EVERY == TEST_EVERY - 1
    part, index = ("test", before) if tested else ("trainval", number - before)
    return [
        write_picture(folder / f"{part}-{kind}/{index:04}.jpg", pixels, 95)
        for kind, pixels in (("image", phantom.image), ("mask", phantom.labels))
    ]
