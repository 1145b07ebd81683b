"""Picture phantoms: real names and values, eyes, skin and necks as they are, and how hard they are.

Sides are small and pictures few; what a shape is like is asked of the shape, not of its picture.
"""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_erosion, label

from samnb.data.check import check_folder
from samnb.data.layouts import list_scans, open_scan
from samnb.data.settings import SliceSettings
from samnb.data.slices import prepare
from samnb.evaluation.metrics import dice
from samnb.evaluation.simple import best_range, held_out_draws, largest_pieces, threshold
from samnb.phantoms import draw_patient, neck, refuge, skin, write_cohort
from samnb.phantoms.echoes import Echoes
from samnb.phantoms.eye import cup_edge, disc_edge, draw_eye, grow_vessels
from samnb.phantoms.fundus import CAMERAS, disc_labels, photograph, retina, view
from samnb.phantoms.picture import Raster, clouds, one_thread, ripple, strokes
from samnb.phantoms.refuge import GLAUCOMA, camera_of, patient_of
from samnb.phantoms.refuge_raters import RATERS, rater_masks
from samnb.phantoms.sonography import draw_scanner, scan_echoes, shadow, speckle

SEED, SIDE = 2025, 64
PATIENTS = 5
KINDS = {"refuge": ("disc", "cup"), "isic": ("lesion",), "ultrasound": ("nodule",)}
ANGLES = np.linspace(-np.pi, np.pi, 181)
COLOURS = {"refuge": 3, "isic": 3, "ultrasound": 1}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    for kind in (*KINDS, "refuge_raters"):
        write_cohort(kind, root / kind, PATIENTS, SIDE, SEED, workers=1, progress=False)
    return root


def files(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".phantom" not in path.parts
    }


@pytest.mark.parametrize("kind", KINDS)
def test_readers_of_the_real_sets_read_them(kind, written, tmp_path):
    scans = list_scans(kind, written / kind, KINDS[kind])
    assert len(scans) == PATIENTS
    assert check_folder(kind, written / kind) == []
    settings = SliceSettings(side=SIDE, window_width=None, window_center=None, middle=1.0)
    slices, faults = prepare(scans, settings, tmp_path, workers=1, progress=False)
    assert not faults
    assert slices.images.shape == (PATIENTS, COLOURS[kind], SIDE, SIDE)
    assert np.asarray(slices.masks).reshape(PATIENTS, -1).any(axis=1).all()


def test_files_are_named_as_in_the_real_sets(written):
    training = {
        name
        for n in (1, 2, 5)
        for name in (
            f"Training400/Non-Glaucoma/n{n:04}.jpg",
            f"Annotation-Training400/Disc_Cup_Masks/Non-Glaucoma/n{n:04}.bmp",
        )
    }
    assert set(files(written / "refuge")) == training | {
        "REFUGE-Validation400/V0003.jpg",
        "REFUGE-Validation400-GT/Disc_Cup_Masks/V0003.bmp",
        "Test400/T0004.jpg",
        "REFUGE-Test-GT/Disc_Cup_Masks/T0004.bmp",
    }
    home = "ISBI2016_ISIC_Part1_Training_"
    assert set(files(written / "isic")) == {
        name
        for n in range(PATIENTS)
        for name in (
            f"{home}Data/ISIC_{n:07}.jpg",
            f"{home}GroundTruth/ISIC_{n:07}_Segmentation.png",
        )
    }
    parts = ("trainval-{}/0000.jpg", "trainval-{}/0001.jpg", "trainval-{}/0002.jpg",
             "trainval-{}/0003.jpg", "test-{}/0000.jpg")  # fmt: skip
    wanted = {part.format(kind) for part in parts for kind in ("image", "mask")}
    assert set(files(written / "ultrasound")) == wanted


def test_the_first_letter_and_the_folder_tell_of_glaucoma(tmp_path):
    ill = [n for n in range(40) if patient_of(SEED, n)[0].glaucoma and n % 4 < 2]
    image, mask = refuge.write_patient(tmp_path, SEED, ill[0], 32)
    name = f"g{ill[0] + 1:04}"
    assert image == tmp_path / f"Training400/Glaucoma/{name}.jpg"
    assert mask == tmp_path / f"Annotation-Training400/Disc_Cup_Masks/Glaucoma/{name}.bmp"


def test_masks_hold_the_values_of_the_real_ones(written):
    for path in (written / "refuge").rglob("*.bmp"):
        assert set(np.unique(np.asarray(Image.open(path)))) == {0, 128, 255}
    for path in (written / "isic").rglob("*.png"):
        assert set(np.unique(np.asarray(Image.open(path)))) == {0, 255}
    drawn = [draw_patient("ultrasound", number, SEED, SIDE).labels for number in (0, 4)]
    for name, labels in zip(("trainval-mask/0000", "test-mask/0000"), drawn, strict=True):
        stored = np.asarray(Image.open(written / "ultrasound" / f"{name}.jpg"))
        assert stored.ndim == 2
        assert ((stored >= 128) == (labels == 255)).all(), "grey from JPEG must not move the edge"


def test_what_the_reader_calls_cup_is_the_cup(written):
    scans = list_scans("refuge", written / "refuge", ["disc", "cup"])
    scan = open_scan(next(each for each in scans if each.scan == "V0003"))
    drawn = draw_patient("refuge", 2, SEED, SIDE).labels
    disc, cup = (scan.mask(2, [0], target)[:, :, 0].T for target in (0, 1))
    assert (cup == (drawn == 0)).all()
    assert (disc == (drawn < 255)).all()
    assert 0 < (drawn == 0).sum() < (drawn < 255).sum() < 0.1 * drawn.size


def test_same_bytes_whatever_the_workers(written, tmp_path):
    write_cohort("isic", tmp_path / "two", 2, SIDE, SEED, workers=2, progress=False)
    assert len(files(tmp_path / "two")) == 4
    assert files(tmp_path / "two").items() <= files(written / "isic").items()


@pytest.mark.parametrize("kind", KINDS)
def test_seed_and_number_make_another_patient(kind):
    same, again, number, seed = (
        draw_patient(kind, n, s, 32) for n, s in ((0, 1), (0, 1), (4, 1), (0, 2))
    )
    assert (same.image == again.image).all()
    for other in (number, seed):
        assert other.image.shape != same.image.shape or (other.image != same.image).mean() > 0.3


@pytest.mark.parametrize("kind", [*KINDS, "refuge_raters"])
def test_a_patient_that_was_lost_is_written_anew_and_no_other(kind, tmp_path):
    write_cohort(kind, tmp_path, 2, 32, SEED, workers=1, progress=False)
    before = files(tmp_path)
    first = {"isic": "0000000", "ultrasound": "0000"}.get(kind, "0001")
    kept = [tmp_path / name for name in before if first in name]
    lost = [tmp_path / name for name in before if first not in name]
    assert len(kept) == len(lost) == len(before) / 2
    stamps = [path.stat().st_mtime_ns for path in kept]
    lost[0].unlink()
    write_cohort(kind, tmp_path, 2, 32, SEED, workers=1, progress=False)
    assert files(tmp_path) == before
    assert [path.stat().st_mtime_ns for path in kept] == stamps


@pytest.mark.parametrize("kind", KINDS)
def test_a_smaller_side_shows_the_same_patient(kind):
    for number in (1, 2):
        coarse, fine = (draw_patient(kind, number, SEED, side) for side in (64, 128))
        rows, columns = (min(a, b // 2) for a, b in zip(coarse.labels.shape, fine.labels.shape,
                                                        strict=True))  # fmt: skip
        halved = [
            np.float32(array[: 2 * rows, : 2 * columns])
            .reshape(rows, 2, columns, 2, -1)
            .mean(axis=(1, 3))
            for array in (fine.labels > 127, fine.image)
        ]
        small = coarse.labels[:rows, :columns] > 127
        if kind == "refuge":
            small, halved[0] = ~small, 1 - halved[0]
        assert dice(small[None], halved[0][None, :, :, 0] > 0.5)[0] > 0.85
        seen = coarse.image[:rows, :columns].reshape(rows, columns, -1)
        assert np.corrcoef(seen.ravel(), halved[1].ravel())[0, 1] > 0.8


def test_noise_knows_millimetres_not_pixels():
    wide, narrow = Raster((40, 40), 0.5), Raster((200, 200), 0.1)
    fields = [clouds(each.axes(), np.random.default_rng(3), 4.0, 2) for each in (wide, narrow)]
    np.testing.assert_allclose(fields[0], fields[1][2::5, 2::5], atol=1e-9)
    large = clouds(Raster((300, 300), 1.0).axes(), np.random.default_rng(5), 5.0)
    assert large.mean() == pytest.approx(0, abs=0.1)
    assert large.std() == pytest.approx(1, abs=0.1)
    assert ripple(ANGLES[:-1], np.random.default_rng(1), (2, 3, 7), 0.3).std() == pytest.approx(0.3)


def test_a_stroke_covers_what_it_should():
    raster = Raster((40, 60), 0.5)
    line = np.array([[0.0, -8.0, 2.0], [0.0, 8.0, 2.0]])  # 16 mm long, 2 mm wide, round ends
    area = strokes(raster, [line]).sum() * 0.25
    assert area == pytest.approx(16 * 2 + np.pi, rel=0.15)
    thin = strokes(raster, [line * [1, 1, 0.02]])  # a third of a pixel of the fine canvas
    assert 0 < thin.max() < 0.12


# Eyes


@pytest.fixture(scope="module")
def eyes():
    return [draw_eye((SEED, 11, number), GLAUCOMA) for number in range(120)]


def test_the_cup_lies_in_the_disc_with_rim_all_around(eyes):
    for eye in eyes:
        share = cup_edge(eye, ANGLES) / disc_edge(eye, ANGLES)
        assert share.min() >= 0.12 - 1e-9
        assert share.max() <= 0.93 + 1e-9
    worst = replace(eyes[0], cup_share=0.86, cup_shift=0.2, notch=(0.5, 0.3))
    assert (cup_edge(worst, ANGLES) < disc_edge(worst, ANGLES)).all()
    labels = disc_labels(worst, Raster((96, 96), 0.04, worst.disc))
    assert not (binary_erosion(labels < 255) < (labels == 0)).any(), "no cup at the disc's edge"


def test_cups_are_large_in_glaucoma_and_discs_are_not(eyes):
    ratio = [np.median(cup_edge(eye, ANGLES) / disc_edge(eye, ANGLES)) for eye in eyes]
    size = [disc_edge(eye, ANGLES).mean() for eye in eyes]
    ill = np.array([eye.glaucoma for eye in eyes])
    ratio, size = np.array(ratio), np.array(size)
    assert 0.2 < ill.mean() < 0.42
    assert np.median(ratio[~ill]) == pytest.approx(0.4, abs=0.05)
    assert np.median(ratio[ill]) == pytest.approx(0.68, abs=0.05)
    assert abs(size[ill].mean() - size[~ill].mean()) < 0.1
    assert 1.6 < 2 * size.mean() < 2.0, "mm"


def test_the_disc_lies_to_the_nose(eyes):
    for number in range(8):
        eye, _, _ = patient_of(SEED, number)
        image = draw_patient("refuge", number, SEED, 48)
        columns = np.nonzero(image.labels < 255)[1]
        assert (columns.mean() > 24) == eye.right, (
            "of a right eye the nose is on the picture's right"
        )
    assert {eye.right for eye in eyes} == {True, False}


def test_veins_are_wider_and_darker_than_arteries_and_all_spare_the_fovea(eyes):
    for eye in eyes[:6]:
        vessels = grow_vessels(eye)
        assert len(vessels) > 60
        widths = [[v.path[0, 2] for v in vessels if v.vein == vein] for vein in (False, True)]
        assert 1.2 < max(widths[1]) / max(widths[0]) < 2.2
        places = np.concatenate([vessel.path[:, :2] for vessel in vessels])
        assert np.hypot(*places.T).min() > 0.4, "mm from the fovea"
        trunks = [vessel.path for vessel in vessels if len(vessel.path) == 70]
        assert len(trunks) == 8, "two in each quadrant"
        for path in trunks:
            away = path[0, :2] - eye.disc
            assert np.hypot(*away) < disc_edge(eye, np.arctan2(away[0], away[1]))


def test_light_of_a_retina(eyes):
    eye = replace(eyes[1], cup_share=0.5, notch=(0, 0), slope=0.1, pallor=0.3, atrophy=(0, 0),
                  age=30, melanin=0.9, glaucoma=False, cup_shift=0, cup_tall=0)  # fmt: skip
    raster = Raster((160, 160), 0.06, (0, 2.1))
    light = retina(eye, raster)
    y, x = raster.axes()
    labels = disc_labels(eye, raster)
    fovea = np.hypot(y, x)
    around = (np.abs(fovea - 2.5) < 0.5) & (labels == 255)
    green = {
        name: np.quantile(light[where][:, 1], 0.75)  # off the vessels
        for name, where in {
            "cup": labels == 0, "rim": labels == 128, "retina": around, "fovea": fovea < 0.5,
        }.items()
    }  # fmt: skip
    assert green["cup"] > 1.15 * green["rim"] > 1.3 * green["retina"] > 1.4 * green["fovea"]
    red, green, blue = (np.median(light[around][:, channel]) for channel in range(3))
    assert red > 2 * green > 3 * blue, "a fundus is orange"


def test_atrophy_beside_the_disc_is_pale_but_no_disc(eyes):
    plain = replace(eyes[3], atrophy=(0.0, np.pi))
    pale = replace(plain, atrophy=(0.7, np.pi))
    raster = view(plain, CAMERAS["zeiss"], 128)
    assert (disc_labels(plain, raster) == disc_labels(pale, raster)).all()
    brighter = (retina(pale, raster) - retina(plain, raster))[..., 1] > 0.05
    ring = brighter & (disc_labels(plain, raster) == 255)
    assert ring.sum() > 0.1 * (disc_labels(plain, raster) < 255).sum()
    columns = np.nonzero(ring)[1] * raster.pixel - 64 * raster.pixel + raster.middle[1]
    assert columns.mean() < plain.disc[1], "towards the fovea"


def test_cameras_differ():
    eye = draw_eye((SEED, 11, 5), 0.0)
    with one_thread():
        seen = {name: photograph(eye, camera, 64)[0] for name, camera in CAMERAS.items()}
    medians = {name: np.median(image[24:40, 24:40], axis=(0, 1)) for name, image in seen.items()}
    assert medians["zeiss"].sum() < 0.85 * medians["canon"].sum()
    assert (
        medians["topcon"][0] / medians["topcon"][2] > 1.2 * medians["kowa"][0] / medians["kowa"][2]
    )
    assert not seen["kowa"][:3].any()
    assert seen["canon"][3:6].any(), "its field is whole"
    assert not any(image[-8:, :8].any() for image in seen.values()), "black outside the field"
    left, right = (
        photograph(replace(eye, right=each), CAMERAS["topcon"], 64)[0] for each in (0, 1)
    )
    for image in (left, right):  # the notch is the camera's, not the eye's
        assert image[:10, -10:].any()
        assert not image[:8, :8].any()
    assert {camera_of(number) for number in (0, 1)} == {CAMERAS["zeiss"]}
    assert {camera_of(number) for number in (3, 7)} == {CAMERAS["topcon"], CAMERAS["kowa"]}


def test_seven_raters_agree_on_the_disc_more_than_on_the_cup():
    scores = {"disc": [], "cup": []}
    votes = []
    for number in range(4):
        eye, _, _ = patient_of(SEED, number)
        raster = Raster((120, 120), 0.03, eye.disc)
        truth = disc_labels(eye, raster)
        masks = [rater_masks(SEED, eye, raster, rater) for rater in range(1, RATERS + 1)]
        for disc, cup in masks:
            assert not (cup & ~disc).any()
            scores["disc"].append(dice(disc[None], (truth < 255)[None])[0])
            scores["cup"].append(dice(cup[None], (truth == 0)[None])[0])
        majority = np.sum([cup for _, cup in masks], axis=0) > RATERS / 2
        votes.append(dice(majority[None], (truth == 0)[None])[0])
    assert np.mean(scores["disc"]) > 0.96
    assert 0.8 < np.mean(scores["cup"]) < 0.95
    assert np.mean(votes) > np.mean(scores["cup"])
    by_rater = np.reshape(scores["cup"], (4, RATERS))
    assert by_rater.mean(axis=0).std() > 0.01, "raters have habits"


def test_raters_files_stand_beside_the_same_photographs(written):
    found, plain = files(written / "refuge_raters"), files(written / "refuge")
    assert len(found) == PATIENTS * (2 + 2 * RATERS)
    by_name = {name.split("/")[-1]: digest for name, digest in found.items()}
    assert {
        name.split("/")[-1]: digest for name, digest in plain.items()
    }.items() <= by_name.items()
    for rater in range(1, RATERS + 1):
        for target in ("disc", "cup"):
            path = written / f"refuge_raters/Test-400/V0003/V0003_seg_{target}_{rater}.png"
            assert set(np.unique(np.asarray(Image.open(path)))) == {0, 255}
    drawn = draw_patient("refuge", 2, SEED, SIDE).labels
    first = np.asarray(Image.open(written / "refuge_raters/Test-400/V0003/V0003_seg_disc_1.png"))
    assert dice((first > 0)[None], (drawn < 255)[None])[0] > 0.85
    assert len(list_scans("refuge", written / "refuge_raters", ["cup"])) == PATIENTS


# Skin


VIEW = (12.0, 16.0)
SKIN_RASTER = Raster((96, 128), 0.125)


def lesion_of(number, **changes):
    return replace(skin.draw_lesion((SEED, 12, number), VIEW, 0.3), **changes)


def test_a_lesion_takes_more_blue_than_red():
    lesion = lesion_of(1, melanin=1.2, blood=0.0, veil=0.0, scar=0.0, centre=0.0, pattern="even")
    bare = replace(skin.draw_skin((SEED, 12, 1)), melanin=0.25, freckles=0)
    light = skin.skin_light(bare, lesion, SKIN_RASTER)
    inside = binary_erosion(skin.lesion_mask(lesion, SKIN_RASTER), iterations=8)
    outside = ~skin.lesion_mask(lesion, SKIN_RASTER)
    kept = [np.median(light[inside][:, c]) / np.median(light[outside][:, c]) for c in range(3)]
    assert kept[0] > 1.3 * kept[1] > 1.3 * 1.2 * kept[2]
    assert kept[0] < 0.85
    dark = skin.skin_light(replace(bare, melanin=1.6), lesion, SKIN_RASTER)
    assert np.median(dark[outside]) < 0.5 * np.median(light[outside])


def test_a_readers_line_encloses_the_pigment():
    shares, margins = [], []
    for number in range(12):
        lesion = lesion_of(number)
        mask = skin.lesion_mask(lesion, SKIN_RASTER)
        added, _ = skin.pigment(lesion, SKIN_RASTER)
        pieces, count = label(mask)
        assert count == 1
        assert label(~np.pad(mask, 1))[1] >= 1
        assert (pieces > 0).any()
        shares.append(added[mask].sum() / added.sum())
        margins.append((added[mask] > 0.1 * lesion.melanin).mean())
    assert min(shares) > 0.93
    assert np.median(margins) > 0.75, "the line is not drawn far outside"


def test_lesions_are_irregular_and_some_are_faint():
    lesions = [lesion_of(number) for number in range(300)]
    assert 0.12 < np.mean([each.melanin < 0.5 for each in lesions]) < 0.4
    assert {each.pattern for each in lesions} == set(skin.PATTERNS)
    tones = [skin.draw_skin((SEED, 12, number)).melanin for number in range(300)]
    assert np.mean(np.array(tones) < 0.3) > 0.3
    assert 0.03 < np.mean(np.array(tones) > 0.8) < 0.3
    uneven = []
    for lesion in lesions[:10]:  # one lobe in the middle: but for its border it is an ellipse
        mask = skin.lesion_mask(replace(lesion, lobes=((0.0, 0.0, 3.0, 2.4, 0.5),)), SKIN_RASTER)
        uneven.append(1 - dice(mask[None], mask[None, ::-1, ::-1])[0])
    assert np.median(uneven) > 0.03, "half turned, a lesion is another"


def test_freckles_hairs_and_rulers_are_no_lesion():
    masks = []
    for freckles in (0, 12):
        lesion = lesion_of(3)
        patient = replace(skin.draw_skin((SEED, 12, 3)), freckles=freckles)
        light = skin.skin_light(patient, lesion, SKIN_RASTER)
        masks.append((skin.lesion_mask(lesion, SKIN_RASTER), light))
    assert (masks[0][0] == masks[1][0]).all()
    assert ((masks[0][1] - masks[1][1]) > 0.02).any(axis=2)[~masks[0][0]].sum() > 50


# Necks


NECK_RASTER = Raster((120, 160), 0.25, (15.0, 0.0))


def neck_of(number, **changes):
    return replace(neck.draw_neck((SEED, 13, number)), mirror=False, **changes)


def test_speckle_multiplies_the_echo():
    scanner = replace(draw_scanner(np.random.default_rng(1), 30.0), looks=1)
    weak = speckle(np.zeros((120, 160)), scanner, NECK_RASTER, np.random.default_rng(2))
    strong = speckle(np.full((120, 160), 20.0), scanner, NECK_RASTER, np.random.default_rng(2))
    np.testing.assert_allclose(strong, 10 * weak, rtol=1e-9)
    # One look: Rayleigh, whose mean is 1.913 deviations. Four: nearly half as rough.
    assert weak.mean() / weak.std() == pytest.approx(1.913, rel=0.1)
    assert (weak**2).mean() == pytest.approx(1, rel=0.2)
    four = replace(scanner, looks=4)
    smooth = speckle(np.zeros((120, 160)), four, NECK_RASTER, np.random.default_rng(2))
    assert smooth.mean() / smooth.std() > 1.7 * weak.mean() / weak.std()


def grain_width(rows):
    """Pixels over which neighbours in a row are alike: the sum of their correlations."""
    rows = rows - rows.mean()
    return sum((rows[:, k:] * rows[:, :-k]).mean() / (rows**2).mean() for k in range(1, 6))


def test_speckle_is_coarser_away_from_the_focus():
    scanner = replace(
        draw_scanner(np.random.default_rng(1), 30.0), focus=5.0, spread=0.03, beam=0.2, looks=1
    )
    grain = speckle(np.zeros((120, 160)), scanner, NECK_RASTER, np.random.default_rng(4))
    assert grain_width(grain[90:]) > 1.3 * grain_width(grain[5:35])


def test_what_takes_the_beam_darkens_all_below():
    scanner = replace(draw_scanner(np.random.default_rng(1), 30.0), looks=1)
    taken = np.zeros((120, 160))
    taken[40:44, 60:100] = 14.0  # dB per mm, over 1 mm
    lost = shadow(taken, scanner, NECK_RASTER)
    assert not lost[:40].any()
    np.testing.assert_allclose(lost[60:, 75:85], 14.0, atol=1e-3)
    assert np.abs(lost[60:, :50]).max() < 1e-3
    assert (shadow(-taken, scanner, NECK_RASTER)[60:, 75:85] < -13).all(), (
        "behind fluid it is bright"
    )
    assert shadow(50 * taken, scanner, NECK_RASTER).max() <= 55


def test_gain_changes_with_depth():
    scanner = replace(draw_scanner(np.random.default_rng(1), 30.0), looks=5, contact=0.0,
                      trapezoid=0.0, taken=0.0, floor=-90.0)  # fmt: skip
    flat = Echoes(*(np.zeros((120, 160)) for _ in range(3)))
    rows = []
    for changed in (replace(scanner, sliders=0.0), replace(scanner, sliders=6.0),
                    replace(scanner, sliders=0.0, taken=0.5)):  # fmt: skip
        picture = scan_echoes(flat, changed, NECK_RASTER, np.random.default_rng(3))
        rows.append(picture[:, :-4].mean(axis=1))
    even, uneven, weakening = rows
    assert uneven[5:].std() > 3 * even[5:].std()
    assert weakening[90:].mean() < even[90:].mean() - 20
    assert weakening[:10].mean() == pytest.approx(even[:10].mean(), abs=8)


def test_nodules_are_dark_haloed_and_some_throw_shadows():
    base = neck_of(2, inflamed=0.0, transverse=True)
    centre = (base.lobe[0], base.lobe[1])
    plain = replace(
        base.nodules[0], centre=centre, radii=(4.5, 5.0), echo=-9.0, uneven=1.0, halo=0.0,
        cystic=0.0, chalk=0, shell=0.0, lobed=0.0, spiky=0.0, blur=0.3,
    )  # fmt: skip
    raster = Raster((140, 168), 0.25, (17.5, 0.0))
    y, x = raster.axes()
    distance = np.hypot((y - centre[0]) * 5 / 4.5, x - centre[1]) - 5
    inner, ring = distance < -2, np.abs(distance + 0.4) < 0.4
    gland = (np.abs(distance - 2.2) < 0.5) & (np.abs(x - centre[1]) < 2.5)

    def laid(**changes):
        return neck.lay_out(replace(base, nodules=(replace(plain, **changes),)), raster)

    dark = laid().level
    assert np.median(dark[inner]) == pytest.approx(-9, abs=1)
    assert np.median(dark[gland]) == pytest.approx(0, abs=1.5)
    haloed = laid(halo=0.9, echo=0.0).level
    assert np.median(haloed[ring]) < np.median(haloed[inner]) - 4
    crusted = laid(shell=0.8)
    below = (y > centre[0]) & (np.abs(x - centre[1]) < 0.5)
    scanner = draw_scanner(np.random.default_rng(1), 35.0)
    lost = [shadow(each.taken, scanner, raster)[below].mean() for each in (laid(), crusted)]
    assert lost[1] > lost[0] + 5, "dB"
    fluid = laid(cystic=0.6)
    assert np.median(fluid.level[inner]) < -25
    behind = shadow(fluid.taken, scanner, raster)[below & (y > centre[0] + 5)].mean()
    assert behind < shadow(laid().taken, scanner, raster)[below & (y > centre[0] + 5)].mean() - 1


def test_suspect_margins_are_jagged_and_readers_draw_them_smoother():
    drawn = [nodule for n in range(150) for nodule in neck.draw_neck((SEED, 13, n)).nodules]
    assert len(drawn) > 150, "some necks have two"
    jagged = np.array([nodule.spiky for nodule in drawn]) > 0.008
    assert 0.3 < jagged.mean() < 0.6
    ratio = np.array([nodule.radii[0] / nodule.radii[1] for nodule in drawn])
    assert ratio[jagged].mean() > ratio[~jagged].mean() + 0.2
    echo = np.array([nodule.echo for nodule in drawn])
    assert np.mean(echo < -3) > 0.65
    patient = neck_of(1)
    y, x = NECK_RASTER.axes()
    true, smooth = (neck.nodule_distance(patient, 0, y, x, smooth=s) for s in (False, True))
    assert dice((true < 0)[None], (smooth < 0)[None])[0] > 0.9


def test_vessels_windpipe_and_muscle_are_as_dark_as_nodules():
    patient = neck_of(2, transverse=True, inflamed=0.0)
    raster = Raster((140, 180), 0.25, (17.5, 0.0))
    echoes = neck.lay_out(patient, raster)
    outside = ~neck.readers_mask(patient, raster)
    level = echoes.level - shadow(echoes.taken, draw_scanner(np.random.default_rng(1), 35), raster)
    assert (level < -25)[outside].mean() > 0.03, "vessels and the windpipe"
    assert ((level < -8) & (level > -20))[outside].mean() > 0.08, "muscles"


def test_a_mirrored_neck_has_its_windpipe_and_its_mask_on_the_other_side():
    patient = neck_of(2, transverse=True)
    other = replace(patient, mirror=True)
    masks = [neck.readers_mask(each, NECK_RASTER) for each in (patient, other)]
    assert (masks[0] == masks[1][:, ::-1]).all()
    halves = []
    for each in (patient, other):
        level = neck.lay_out(each, NECK_RASTER).taken
        halves.append((level[:, :80] > 1).sum() > (level[:, 80:] > 1).sum())
    assert halves == [True, False]


# How hard they are


@pytest.mark.parametrize(
    ("kind", "inside"), [("refuge", (0,)), ("isic", (255,)), ("ultrasound", (255,))]
)
def test_a_threshold_is_not_enough(kind, inside):
    """On the channel that does best; chosen on other pictures than it is tried on."""
    side, images, masks = 80, [], []
    for number in range(16):
        phantom = draw_patient(kind, number, SEED, side)
        grey = phantom.image.reshape(*phantom.labels.shape, -1)
        image, mask = np.zeros((side, side, grey.shape[2])), np.zeros((side, side), bool)
        image[: len(grey), : grey.shape[1]] = grey
        mask[: len(grey), : grey.shape[1]] = np.isin(phantom.labels, inside)
        images.append(image)
        masks.append(mask)
    images, masks = np.stack(images), np.stack(masks)
    best = 0.0
    for channel in range(images.shape[-1]):
        scores = []
        for train, test in held_out_draws(np.arange(16), 0.3, 3, 1):
            chosen = best_range(images[train, ..., channel], masks[train])
            found = largest_pieces(threshold(images[test, ..., channel], *chosen))
            scores.append(dice(found, masks[test]).mean())
        best = max(best, np.mean(scores))
    assert 0.05 < best < 0.75
