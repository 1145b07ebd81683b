"""The scanner: sampling, slice thickness, reconstruction kernel, noise."""

from dataclasses import dataclass

import cv2
import numpy as np

from samnb.phantoms.body import Body
from samnb.phantoms.painting import Frame, Painter
from samnb.phantoms.tissue import mottle

THIN = 2.2  # mm; thicker slices are averaged over their thickness


@dataclass(frozen=True)
class Protocol:
    """One scan: what is covered, how finely, and how it looks.

    Heights and positions are mm of the scanner (the standard body scaled by the patient's size).
    """

    bottom: float  # height of the lowest slice's centre
    slices: int
    thickness: float  # mm, also the distance between slices
    pixel: float  # mm
    shape: tuple[int, int]  # rows, columns
    centre: tuple[float, float]  # y, x of the middle of the picture
    noise: float  # HU in the middle of the body
    blur: float  # mm, standard deviation of the kernel's point spread
    sharpen: float  # strength of the edge enhancement of a sharp kernel
    round_view: bool = False  # only a circle is reconstructed


def scan(body: Body, protocol: Protocol) -> tuple[np.ndarray, np.ndarray]:
    """HU (int16) and labels (uint8), canonical (z up, y to the back, x to the left)."""
    rows, columns = protocol.shape
    corner = (
        protocol.centre[0] - protocol.pixel * (rows - 1) / 2,
        protocol.centre[1] - protocol.pixel * (columns - 1) / 2,
    )
    frame = Frame(protocol.pixel, corner, protocol.shape)
    painter = Painter(body.structures, body.pose, frame, mottle(body.patient))
    noise = _Noise(protocol, body.patient.stream("noise"))
    hu = np.empty((protocol.slices, rows, columns), np.int16)
    labels = np.empty(hu.shape, np.uint8)
    thick = protocol.thickness > THIN
    below = None
    for index in range(protocol.slices):
        z = protocol.bottom + index * protocol.thickness
        plane, labels[index] = painter.plane(z, True)
        if thick:  # the mean over the thickness; a slice shares its edges with its neighbours
            if below is None:
                below, _ = painter.plane(z - protocol.thickness / 2, False)
            above, _ = painter.plane(z + protocol.thickness / 2, False)
            plane = 0.5 * plane + 0.25 * (below + above)
            below = above
        hu[index] = _expose(plane, z, protocol, noise)
    return hu, labels


def _expose(plane: np.ndarray, z: float, protocol: Protocol, noise: "_Noise") -> np.ndarray:
    """Kernel, noise, and the whole numbers a scanner stores."""
    sigma = protocol.blur / protocol.pixel
    picture = cv2.GaussianBlur(plane, (0, 0), sigma) if sigma > 0.15 else plane
    if protocol.sharpen:
        picture = picture + protocol.sharpen * (
            picture - cv2.GaussianBlur(picture, (0, 0), 1.6 * max(sigma, 0.5))
        )
    picture = picture + noise.plane(plane, z)
    picture = np.clip(np.rint(picture), -1024, 3071)
    if protocol.round_view:
        picture[noise.radius > 1] = -1024
    return picture.astype(np.int16)


class _Noise:
    """Noise with the spectrum of filtered back projection: a ramp from zero, then a fall."""

    def __init__(self, protocol: Protocol, generator: np.random.Generator):
        rows, columns = protocol.shape
        self.generator, self.protocol = generator, protocol
        v = np.fft.fftfreq(rows, protocol.pixel)[:, None]
        u = np.fft.rfftfreq(columns, protocol.pixel)[None]
        frequency = np.sqrt(u * u + v * v)
        fall = 0.20 + 0.25 * protocol.sharpen  # cycles per mm
        spectrum = np.sqrt(frequency) * np.exp(-((frequency / fall) ** 2) / 2)
        # Seen through hips or shoulders too few photons are left: streaks from side to side.
        streaks = np.sqrt(np.abs(v)) * np.exp(-((u / 0.012) ** 2) - ((v / 0.25) ** 2))
        self.spectrum, self.streaks = (
            (s / np.sqrt(np.mean(s**2))).astype(np.float32) for s in (spectrum, streaks)
        )
        y = (np.arange(rows) - (rows - 1) / 2)[:, None] / (rows / 2)
        x = (np.arange(columns) - (columns - 1) / 2)[None] / (columns / 2)
        self.radius = np.sqrt(x * x + y * y)

    def plane(self, hu: np.ndarray, z: float) -> np.ndarray:
        """Noise (HU) of one slice, stronger where the body is thick and deep inside it."""
        white = self.generator.standard_normal(hu.shape, dtype=np.float32)
        wave = np.fft.rfft2(white)
        hips = float(np.exp(-(((z + 265) / 45) ** 2)) + np.exp(-(((z - 290) / 45) ** 2)))
        spectrum = self.spectrum + 0.7 * hips * self.streaks
        noise = np.fft.irfft2(wave * spectrum, hu.shape)
        small = cv2.resize((hu > -400).astype(np.float32), (32, 32), interpolation=cv2.INTER_AREA)
        deep = cv2.GaussianBlur(small, (0, 0), 4.0)
        deep = cv2.resize(deep, hu.shape[::-1], interpolation=cv2.INTER_LINEAR)
        strength = self.protocol.noise * (3.0 / self.protocol.thickness) ** 0.35
        width = float(small.any(axis=0).mean())
        return noise * (strength * (0.35 + 0.8 * deep) * (0.7 + 0.5 * width))
