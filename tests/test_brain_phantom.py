"""Brain phantoms: the layout of BraTS 2018, anatomy, gliomas, scanner, and how hard they are."""

import hashlib
from dataclasses import replace

import nibabel
import numpy as np
import pytest
from scipy.ndimage import binary_dilation, distance_transform_edt, label

from samnb.data.layouts import list_scans
from samnb.data.settings import SliceSettings
from samnb.data.slices import prepare
from samnb.evaluation.metrics import dice
from samnb.evaluation.simple import best_range, held_out_draws, largest_pieces, threshold
from samnb.phantoms import draw_patient, write_cohort
from samnb.phantoms.brain import (
    BrainMix,
    cerebrum,
    draw_brain_patient,
    lateral_ventricle,
    mirrored,
    places,
)
from samnb.phantoms.brain_tissue import CORTEX, TISSUES, healthy_shares, make_lesions
from samnb.phantoms.cortex import draw_brain, pial_depth
from samnb.phantoms.fields import Field, Grid
from samnb.phantoms.glioma import (
    Focus,
    GliomaMix,
    _spread,
    _tissue,
    before_the_tumour,
    displacement,
    grow,
    paint_tumour,
)
from samnb.phantoms.mr import SEQUENCES, Scanners, acquire, draw_acquisitions

SEED, SIDE = 2025, 60  # 4 mm
FLAIR, T1, T1CE, T2 = range(4)


@pytest.fixture(scope="module")
def phantoms():
    """Ten patients in memory, at 4 mm."""
    return [draw_patient("brats18", number, SEED, SIDE) for number in range(10)]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("brats18")
    write_cohort("brats18", folder, 3, SIDE, SEED, workers=1, progress=False)
    return folder


@pytest.fixture(scope="module")
def brain():
    """A patient of 70 with small-vessel disease."""
    drawn = draw_brain_patient((SEED, 9, 1), BrainMix())
    return draw_brain(replace(drawn, age=70, lesions=0.6, atrophy=0.5, high_grade=True))


@pytest.fixture(scope="module")
def lattice():
    """A 3 mm grid over the standard head: its axes, and its nodes as points."""
    axes = Grid.around((-70, -75, -70), (76, 105, 70), 3.0).axes()
    return axes, places(axes)


def digests(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.nii.gz"))
    }


def test_layout_is_read_and_cut(written, tmp_path):
    scans = list_scans("brats", written, ["whole tumour"])
    assert len(scans) == 3
    settings = SliceSettings(side=64, window_width=None, window_center=None, middle=1.0)
    slices, faults = prepare(scans, settings, tmp_path, workers=1, progress=False)
    assert not faults
    assert slices.images.shape[1:] == (4, 64, 64)
    assert 0 < (slices.labels == 1).mean() < 1


def test_files_lie_as_the_real_ones_do(written):
    cases = sorted(path for path in written.glob("?GG/*") if path.is_dir())
    assert len(cases) == 3
    voxel = 240 / SIDE
    for case in cases:
        assert case.name.startswith("Brats18_")
        assert case.name.endswith("_1")
        names = {path.name for path in case.iterdir()}
        assert names == {f"{case.name}_{kind}.nii.gz" for kind in (*SEQUENCES, "seg")}
        for path in case.iterdir():
            image = nibabel.load(path)
            assert nibabel.aff2axcodes(image.affine) == ("L", "P", "S")
            assert image.shape == (SIDE, SIDE, int(np.ceil(155 / voxel)))
            # The outer corner of the first voxel is that of the real grid: 0.5 mm off its centre.
            corner = image.affine @ [-0.5, -0.5, -0.5, 1]
            np.testing.assert_allclose(corner[:3], [0.5, 239.5, -0.5], atol=1e-4)


def test_same_bytes_whatever_the_workers(written, tmp_path):
    write_cohort("brats18", tmp_path / "two", 2, SIDE, SEED, workers=2, progress=False)
    first = digests(written)
    assert len(digests(tmp_path / "two")) == 10
    assert digests(tmp_path / "two").items() <= first.items()
    write_cohort("brats18", tmp_path / "other", 1, SIDE, SEED + 1, workers=1, progress=False)
    assert not set(digests(tmp_path / "other").values()) & set(first.values())


def test_a_coarser_grid_shows_the_same_head():
    coarse, fine = (draw_patient("brats18", 2, SEED, side) for side in (48, 96))
    for wide, narrow in ((coarse.labels, fine.labels), (coarse.images[FLAIR], fine.images[FLAIR])):
        share = (narrow.reshape(31, 2, 48, 2, 48, 2) > 0).mean(axis=(1, 3, 5))
        assert dice((wide > 0).reshape(1, -1, 48), (share > 0.5).reshape(1, -1, 48)) > 0.8


def test_labels_are_those_of_brats_and_nested(phantoms):
    for phantom in phantoms:
        labels = phantom.labels
        assert set(np.unique(labels)) <= {0, 1, 2, 4}
        assert not labels[phantom.images[FLAIR] == 0].any()
        assert 4 < (labels > 0).sum() * 4**3 / 1000 < 260, "millilitres"
        # The core lies inside: deeper under the surface of the tumour than the oedema.
        depth = distance_transform_edt(labels > 0)
        assert depth[np.isin(labels, (1, 4))].mean() > depth[labels == 2].mean()
        if phantom.patient.high_grade:  # what touches healthy tissue is mostly oedema
            skin = (labels > 0) & binary_dilation(labels == 0)
            assert (labels[skin] == 2).mean() > 0.6


def test_enhancement_tells_the_grades_apart(phantoms):
    high = [each for each in phantoms if each.patient.high_grade]
    low = [each for each in phantoms if not each.patient.high_grade]
    assert 0.55 <= len(high) / len(phantoms) <= 0.95
    assert all((each.labels == 4).any() for each in high)
    for each in high:  # the rim lies around the necrosis
        necrosis, rim = each.labels == 1, each.labels == 4
        if necrosis.sum() > 20:
            around = binary_dilation(necrosis, iterations=1) & ~necrosis
            assert rim[around].mean() > 0.5
    share = [(each.labels == 4).sum() / np.isin(each.labels, (1, 4)).sum() for each in low]
    assert np.median(share) < 0.05


def test_background_is_zero_in_every_channel(phantoms):
    for phantom in phantoms[:6]:
        empty = phantom.images == 0
        assert (empty == empty[0]).all()
        volume = (~empty[0]).sum() * 4**3 / 1000
        assert 1000 < volume < 2000
        assert label(~empty[0])[1] == 1


def test_sequences_show_the_tissues_as_mr_does():
    generator = np.random.default_rng(3)
    shares = np.eye(len(TISSUES), dtype=np.float32)
    sound = Scanners(noise=(0, 0), bias=(0, 0), blur=(0, 0), thick=0, contrast=0, conspicuity=0)
    mask = np.ones((1, 1, len(TISSUES)), bool)
    ways = draw_acquisitions(generator, sound, 0.5)
    seen = []
    for way in ways:
        got = acquire(generator, way, shares, np.zeros(len(TISSUES), np.float32), mask, 1.0)
        seen.append(dict(zip(TISSUES, got.ravel() / way.scale, strict=True)))
    flair, t1, t1ce, t2 = seen
    assert flair["csf"] < flair["white"] < flair["grey"] < flair["oedema"]
    assert flair["core"] < flair["oedema"]
    assert t1["csf"] < t1["grey"] < t1["white"]
    assert t1ce["rim"] > 1.5 * t1ce["white"]
    assert t1["rim"] < t1["white"]
    assert t2["white"] < t2["grey"] < t2["csf"]


def test_noise_is_rician_and_the_bias_field_smooth():
    generator = np.random.default_rng(4)
    count = 40 * 40 * 20
    shares = np.zeros((len(TISSUES), count), np.float32)
    mask = np.ones((20, 40, 40), bool)
    still = Scanners(noise=(0.1, 0.1), bias=(0, 0), blur=(0, 0), thick=0, scale=(1e4, 1e4))
    way = draw_acquisitions(generator, still, 0.5)[0]
    dark = acquire(generator, way, shares, np.zeros(count, np.float32), mask, 1.0) / 1e4
    # Without signal the magnitude of the noise is left: a Rayleigh mean, sigma * sqrt(pi / 2).
    assert dark.mean() == pytest.approx(0.1 * np.sqrt(np.pi / 2), rel=0.02)
    shares[1] = 1
    uneven = replace(still, noise=(0, 0), bias=(0.3, 0.3))
    way = draw_acquisitions(generator, uneven, 0.5)[0]
    bright = acquire(generator, way, shares, np.zeros(count, np.float32), mask, 4.0) / 1e4
    assert bright.std() / bright.mean() > 0.05
    assert np.abs(np.diff(np.log(bright), axis=2)).max() < 0.06


def test_cortex_wraps_white_matter_and_sulci_reach_in(brain, lattice):
    axes, points = lattice
    shape = [axis.size for axis in axes]
    field = Field(Grid.around((0, 0, 0), (9, 9, 9)), np.full((4, 4, 4), 40, np.float32))
    shares, hollow = healthy_shares(brain, points, 3.0, field)
    np.testing.assert_allclose(shares.values.sum(axis=0), 1, atol=1e-4)
    depth = pial_depth(brain, points)
    upper = points[0] > 25
    ribbon = upper & (depth > 0.8) & (depth < CORTEX - 0.8)
    deep = upper & (depth > CORTEX + 1.5) & (hollow == 0)
    assert shares["grey"][ribbon].mean() > 0.6
    assert shares["white"][deep].mean() > 0.8
    # Folded: sulci hold fluid far under the outline of the hemispheres.

    under = upper & (cerebrum(mirrored(points)) < -9) & (np.abs(points[2]) > 9)
    assert (depth[under] < 0).mean() > 0.01
    ventricles = (hollow * 27 / 1000).reshape(shape).sum()
    assert 8 < ventricles < 90, "millilitres"


def test_mass_effect_shifts_the_midline_but_not_the_skull(brain):
    centre = np.array([25.0, 20.0, 28.0])
    focus = Focus(centre, 20.0, ((centre, 17.0),), 6.0, 10.0, 4.0, False)
    midline = np.array([[25.0], [20.0], [0.0]], np.float32)
    # At 28 mm, 1.12 times the 25 mm where it is strongest, tissue moved to the other side.
    moved = displacement(brain, [focus], midline)[:, 0]
    assert moved[2] == pytest.approx(-6 * 1.12 * np.exp(1 - 1.12), abs=0.4)
    skull = np.array([[25.0], [20.0], [70.0]], np.float32)
    assert np.abs(displacement(brain, [focus], skull)).max() < 0.1
    far = np.array([[25.0], [20.0], [-60.0]], np.float32)
    assert np.abs(displacement(brain, [focus], far)).max() < 1.5


def test_tumours_keep_out_of_the_ventricles_and_of_the_fluid(brain):
    glioma = grow(brain, GliomaMix(infratentorial=0))
    grid = glioma.core.grid
    points = places(grid.axes())

    standard = before_the_tumour(brain, glioma.foci, points)
    shares, hollow = healthy_shares(brain, standard, 2.0, make_lesions(brain))
    labels = paint_tumour(glioma, points, shares, hollow, 2.0)
    wall = lateral_ventricle(brain, mirrored(standard))
    assert (wall < -2).any()
    assert not labels[wall < -2].any()
    assert (glioma.core.values.ravel()[wall < -1] > 0).all()
    room, speed = _tissue(brain, glioma.foci, standard[:, wall < -1])
    assert (room > 0).all()
    assert not speed.any()
    assert (labels == 4).any()


def test_infiltration_follows_the_white_matter():
    core = np.full((5, 21, 21), 9, np.float32)
    core[2, 10, 10] = -1
    speed = np.full(core.shape, 0.1, np.float32)
    speed[:, 10] = 1  # one tract
    time = _spread(core, speed, 40.0)
    assert time[2, 10, 15] == pytest.approx(5 * 2.0)
    assert time[2, 11, 10] == pytest.approx(2.0 / 0.1)
    assert time[2, 15, 10] > 5 * time[2, 10, 15]


def test_lesions_are_bright_but_no_tumour(brain, lattice):
    _, points = lattice
    shares, _ = healthy_shares(brain, points, 3.0, make_lesions(brain))
    assert shares["lesion"].sum() * 27 / 1000 > 2, "millilitres"
    young = draw_brain(replace(brain.patient, lesions=0.0))
    few, _ = healthy_shares(young, points, 3.0, make_lesions(young))
    assert few["lesion"].sum() < 0.4 * shares["lesion"].sum()


def test_old_patients_have_wider_ventricles_and_more_lesions():
    drawn = [draw_brain_patient((SEED, 9, n), BrainMix()) for n in range(300)]
    old = [each for each in drawn if each.age > 68]
    young = [each for each in drawn if each.age < 45]
    for name in ("atrophy", "ventricles", "lesions"):
        low, high = (np.mean([getattr(e, name) for e in group]) for group in (young, old))
        assert high > low + 0.3, name
    assert np.mean([each.high_grade for each in drawn]) == pytest.approx(0.75, abs=0.08)


def flair_slices(phantoms):
    """FLAIR slices with tumour on 0-1 of each scan, masks of the whole tumour, patients."""
    images, masks, patients = [], [], []
    for number, phantom in enumerate(phantoms):
        flair = phantom.images[FLAIR] / phantom.images[FLAIR].max()
        for plane, labels in zip(flair, phantom.labels, strict=True):
            if (labels > 0).sum() > 5:
                images.append(plane)
                masks.append(labels > 0)
                patients.append(number)
    return np.stack(images), np.stack(masks), np.array(patients)


def test_a_threshold_on_flair_is_not_enough(phantoms):
    images, masks, patients = flair_slices(phantoms)
    scores = []
    for train, test in held_out_draws(patients, 0.3, 6, 1):
        chosen = best_range(images[train], masks[train])
        found = largest_pieces(threshold(images[test], *chosen))
        scores.append(dice(found, masks[test]).mean())
    assert 0.3 < np.mean(scores) < 0.75
