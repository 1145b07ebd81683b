"""What a point of the brain is made of: the shares of all tissues, painted one over another."""

import numpy as np

from samnb.phantoms.brain import (
    Brain,
    brain_stem,
    callosum,
    caudate,
    cerebellum,
    cerebrum,
    inner_arch,
    lateral_ventricle,
    midline_ventricles,
    mirrored,
    pallidum,
    places,
    putamen,
    read_at,
    thalamus,
    whole_field,
)
from samnb.phantoms.cortex import pial_depth
from samnb.phantoms.fields import Field, ellipsoid, smooth_maximum, waves

TISSUES = (
    "csf", "grey", "white", "deep", "pallidum", "thalamus", "stem", "vessel", "membrane",
    "lesion", "oedema", "core", "solid", "rim",
)  # fmt: skip
CORTEX = 2.7  # mm
FOLIUM = 5.0  # mm from one fissure of the cerebellum to the next


class Shares:
    """Shares (tissues, N) that add up to one; each paint covers part of what is there."""

    def __init__(self, count: int):
        self.values = np.zeros((len(TISSUES), count), np.float32)
        self.values[0] = 1

    def paint(self, tissue: str, share: np.ndarray) -> None:
        """Cover `share` (N,) of each point."""
        self.values *= 1 - share
        self.values[TISSUES.index(tissue)] += share

    def __getitem__(self, tissue: str) -> np.ndarray:
        return self.values[TISSUES.index(tissue)]


def inside(distance: np.ndarray, edge: float) -> np.ndarray:
    """Share of a voxel inside a shape, from the distance at its centre; `edge` mm is its width."""
    return np.clip(np.float32(0.5) - distance / np.float32(edge), 0, 1)


def healthy_shares(
    brain: Brain, points: np.ndarray, edge: float, lesions: Field
) -> tuple[Shares, np.ndarray]:
    """Shares at standard points (3, N), and that of the ventricles (N,) among them."""
    side = mirrored(points)
    shares = Shares(points.shape[1])
    depth = pial_depth(brain, points)
    shares.paint("grey", inside(-depth, edge))
    shares.paint("white", inside(CORTEX - depth, edge))
    _paint_hindbrain(brain, side, shares, edge)
    shares.paint("white", inside(callosum(brain, side), edge))
    for tissue, distance in (
        ("grey", read_at(brain.hippocampus, side)),
        ("grey", ellipsoid(side, (-17, -6, 22), (7, 7, 7))),
        ("deep", putamen(side)),
        ("pallidum", pallidum(side)),
        ("deep", caudate(brain, side)),
        ("thalamus", thalamus(side)),
    ):
        shares.paint(tissue, inside(distance, 1.6 * edge))
    white = shares["white"] * (depth > 1.3 * CORTEX)
    shares.paint("lesion", white * inside(read_at(lesions, points), 3.0))
    ventricles = np.minimum(lateral_ventricle(brain, side), midline_ventricles(brain, side))
    hollow = inside(ventricles, edge)
    shares.paint("csf", hollow)
    _paint_vessels(brain, side, shares, depth, edge)
    return shares, hollow


def _paint_hindbrain(brain: Brain, side: np.ndarray, shares: Shares, edge: float) -> None:
    """Cerebellum with its folia, then the brain stem."""
    z, y, x = side
    outline = cerebellum(side)
    away = np.hypot(y - 38, z + 34)
    # Sheets run from side to side: arcs around the pons seen from above, rays from beside.
    arc = np.sqrt((y - 24) ** 2 + (0.62 * x) ** 2 + (0.8 * (z + 34)) ** 2)
    phase = arc + 11 * np.arctan2(z + 36, np.maximum(y - 34, 1))
    across = np.abs((phase / FOLIUM + 0.5) % 1 - 0.5) * FOLIUM
    wide = 0.2 + 0.5 * brain.patient.atrophy
    cleft = smooth_maximum(across - wide, -outline - 9, 2)
    # Seen through voxels as wide as a folium nothing is left of it.
    sharp = np.float32(np.clip(2.6 - edge, 0.35, 1))
    shares.paint("grey", inside(outline + 0.5, edge))
    shares.paint("csf", sharp * shares["grey"] * inside(cleft + 0.3, edge) * (outline < 0))
    core = np.maximum(8.5 - np.minimum(-outline, 40), 0.0)
    branch = np.maximum(FOLIUM / 2 - across - 0.7 - 0.03 * away, 5 - np.minimum(-outline, 40))
    shares.paint("white", 0.8 * inside(branch, 1.5 * edge) * (outline < -3))
    shares.paint("white", inside(core - 0.2, 2 * edge) * (outline < -3))
    shares.paint("deep", 0.7 * inside(_shell(side), 1.5 * edge))
    shares.paint("stem", inside(brain_stem(brain, side), 1.5 * edge))


def _shell(side: np.ndarray) -> np.ndarray:
    """The dentate nucleus, a crumpled shell in the white matter of the cerebellum."""
    return np.abs(ellipsoid(side, (-37, 53, 17), (6, 8, 7))) - 0.7


def _paint_vessels(
    brain: Brain, side: np.ndarray, shares: Shares, depth: np.ndarray, edge: float
) -> None:
    """Arteries and veins, choroid plexus, falx and tentorium: what takes up contrast agent."""
    z, y, x = side
    arch = inner_arch(side)
    falx = np.maximum(x - 0.4, 9 - arch)
    falx = np.maximum(falx, -18 - z)
    shares.paint("membrane", 0.8 * inside(falx, edge))
    vessels = np.minimum(read_at(brain.arteries, side), read_at(brain.sinuses, side))
    plexus = np.minimum(
        ellipsoid(side, (10, 42, 22), (3.5, 5, 2.2), None),
        ellipsoid(side, (15, 20, 8), (1.2, 14, 1.4), None),
    )
    shares.paint("membrane", 0.9 * inside(plexus, edge))
    shares.paint("vessel", inside(vessels, edge))
    # Veins of the surface are cut across as dots in the sulci.
    bend = 1.7 * np.sin(0.23 * x + 0.19 * y + 0.13 * z + brain.patient.age)
    crossing = np.sin(0.41 * z + 0.25 * y + bend) * np.sin(0.37 * y - 0.3 * x + 1.3 * bend)
    dots = (
        (np.abs(crossing * np.sin(0.43 * x + 0.2 * z - 0.8 * bend)) > 0.5)
        & (depth < 0.3)
        & (cerebrum(side) < -0.5)
    )
    shares.paint("vessel", 0.6 * dots * shares["csf"] * inside(depth, edge))


def make_lesions(brain: Brain) -> Field:
    """White-matter lesions of small-vessel disease: caps and bands at the ventricles, and spots."""
    patient = brain.patient
    generator = patient.stream("lesions")
    burden = patient.lesions

    def distances(axes: list[np.ndarray]) -> np.ndarray:
        wall = lateral_ventricle(brain, mirrored(places(axes)))
        wall = wall.reshape([axis.size for axis in axes])
        z, y, _ = axes
        horns = np.exp(-(((y + 30) / 9) ** 2)) + np.exp(-(((y - 48) / 14) ** 2))
        above = np.clip((z + 6) / 8, 0, 1)  # not along the temporal horns
        reach = (0.2 + (0.9 + 4 * burden) * horns + 3.5 * burden**2) * above
        values = wall - reach - burden * waves(axes, generator, (9, 24), 2.2, 24)
        for _ in range(generator.poisson(3 + 40 * burden)):
            _add_spot(generator, axes, wall, values)
        return values

    return whole_field(distances, 2.0, (-30, -58, -60), (64, 92, 60))


def _add_spot(
    generator: np.random.Generator,
    axes: list[np.ndarray],
    wall: np.ndarray,
    values: np.ndarray,
) -> None:
    """One ovoid spot somewhere in the white matter around the ventricles, put into `values`."""
    reach = generator.exponential(9) + 3
    near = np.argwhere((np.abs(wall - reach) < 1.5) & (axes[0] > -4))
    if not len(near):
        return
    lines = [axis.ravel() for axis in axes]
    node = near[generator.integers(len(near))]
    centre = [float(line[index]) for line, index in zip(lines, node, strict=True)]
    radius = np.clip(generator.lognormal(0.6, 0.4), 1.2, 5)
    radii = radius * generator.uniform(0.8, 1.5, 3)
    box = tuple(
        slice(*np.searchsorted(line, (c - 12, c + 12)))
        for line, c in zip(lines, centre, strict=True)
    )
    local = np.ix_(*(line[part] for line, part in zip(lines, box, strict=True)))
    spot = ellipsoid(local, tuple(centre), tuple(radii))
    np.minimum(values[box], spot, out=values[box])
