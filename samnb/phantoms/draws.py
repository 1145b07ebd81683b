"""One patient in memory: drawn, built, scanned."""

from dataclasses import dataclass

import cv2
import numpy as np
from threadpoolctl import threadpool_limits

from samnb.phantoms.anatomy import Patient
from samnb.phantoms.body import make_body
from samnb.phantoms.scanner import Protocol, scan


@dataclass(frozen=True)
class Phantom:
    """A scanned patient, canonical: z up, y to the back, x to the patient's left."""

    patient: Patient
    protocol: Protocol
    hu: np.ndarray  # int16 (z, y, x), Hounsfield units
    labels: np.ndarray  # uint8 (z, y, x), the numbers of ORGANS; 0 is everything else

    @property
    def spacing(self) -> tuple[float, float, float]:
        """mm between voxels along z, y, x."""
        return self.protocol.thickness, self.protocol.pixel, self.protocol.pixel

    @property
    def first(self) -> tuple[float, float, float]:
        """Position (mm; z, y, x) of the first voxel in the scanner."""
        rows, columns = self.protocol.shape
        y, x = self.protocol.centre
        half = self.protocol.pixel / 2
        return self.protocol.bottom, y - half * (rows - 1), x - half * (columns - 1)


def make_phantom(patient: Patient, protocol: Protocol) -> Phantom:
    """Build and scan on one thread, so that the result never depends on how many there are."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with threadpool_limits(1):
            return Phantom(patient, protocol, *scan(make_body(patient), protocol))
    finally:
        cv2.setNumThreads(threads)
