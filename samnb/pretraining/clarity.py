"""Whether a person could say where an object ends: in one piece, and apart from what lies around.

A mask that nobody could draw teaches a network to guess.
"""

import cv2
import numpy as np

MAIN_PIECE = 0.8  # smallest share of the largest connected piece
RIM_CONTRAST = 0.25  # smallest difference across the edge, in spreads of the grey levels beside it

_RIM = np.ones((5, 5), np.uint8)


def is_clear(image: np.ndarray, mask: np.ndarray) -> bool:
    """Nearly in one piece and visible. image: (S, S) uint8; mask: (S, S) bool."""
    return main_piece(mask) >= MAIN_PIECE and rim_contrast(image, mask) >= RIM_CONTRAST


def main_piece(mask: np.ndarray) -> float:
    """The share of the mask's pixels that its largest connected piece holds."""
    _, _, table, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8))
    areas = table[1:, cv2.CC_STAT_AREA]
    return float(areas.max() / areas.sum())


def rim_contrast(image: np.ndarray, mask: np.ndarray) -> float:
    """Difference of the mean greys two pixels inside and outside the edge, over their spread."""
    inside = mask.view(np.uint8)
    outer = cv2.dilate(inside, _RIM) - inside
    inner = inside - cv2.erode(inside, _RIM)
    (here, within), (there, without) = (
        [float(value[0, 0]) for value in cv2.meanStdDev(image, mask=rim)] for rim in (inner, outer)
    )
    return abs(here - there) / ((within + without) / 2 + 1)
