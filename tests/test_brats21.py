"""The cohort like BraTS 2021: its files, who is in it, its hospitals, its cysts, how hard it is."""

import shutil
from dataclasses import replace

import nibabel
import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from samnb.base.errors import DataError
from samnb.data.check import check_folder, detect_layout
from samnb.data.layouts import list_scans, open_scan
from samnb.evaluation.metrics import dice
from samnb.evaluation.simple import best_range, held_out_draws, largest_pieces, threshold
from samnb.phantoms import brats18, brats21, draw_patient, write_cohort
from samnb.phantoms.brain import BrainMix, draw_brain_patient
from samnb.phantoms.brain_tissue import TISSUES
from samnb.phantoms.cortex import draw_brain
from samnb.phantoms.glioma import Focus, draw_foci
from samnb.phantoms.hospitals import (
    CENTRE,
    HEAD,
    HOSPITALS,
    coil_shading,
    draw_hospital,
    weighted,
)
from samnb.phantoms.mr import SEQUENCES, SIGNALS, draw_acquisitions

SEED, SIDE = 2025, 60  # 4 mm
FLAIR, T1, T1CE, T2 = range(4)
PATIENTS = (0, 3, 7, 14, 15, 20)  # of all four hospitals, 15 of low grade
CYSTIC = (7, 14)


@pytest.fixture(scope="module")
def phantoms():
    return {number: draw_patient("brats21", number, SEED, SIDE) for number in PATIENTS}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Two patients, at 8 mm."""
    folder = tmp_path_factory.mktemp("brats21")
    write_cohort("brats21", folder, 2, 30, SEED, workers=1, progress=False)
    return folder


@pytest.fixture
def copied(written, tmp_path):
    """The same files, to be spoilt."""
    return shutil.copytree(written, tmp_path / "cases")


def drawn(module, mix, count=400):
    return [draw_brain_patient((SEED, module.STREAM, number), mix) for number in range(count)]


# Files


def test_every_fourth_number_is_missing():
    names = [brats21.case_name(number) for number in range(1251)]
    assert [name[-2:] for name in names[:7]] == ["00", "01", "02", "04", "05", "06", "08"]
    # The real set has 1251 cases with labels, the last of which is this one.
    assert names[-1] == "BraTS2021_01666"
    assert len(set(names)) == 1251


def test_files_lie_as_the_real_ones_do_and_are_read(written):
    cases = sorted(path for path in written.iterdir() if path.name.startswith("BraTS"))
    assert [case.name for case in cases] == ["BraTS2021_00000", "BraTS2021_00001"]
    for case in cases:
        names = {path.name for path in case.iterdir()}
        assert names == {f"{case.name}_{kind}.nii.gz" for kind in (*SEQUENCES, "seg")}
        image = nibabel.load(case / f"{case.name}_t1ce.nii.gz")
        assert nibabel.aff2axcodes(image.affine) == ("L", "P", "S")
        assert image.shape == (30, 30, 20)
    assert detect_layout(written) == "brats"
    assert check_folder("brats", written) == []
    first, second = list_scans("brats", written, ["whole tumour", "tumour core"])
    assert (first.patient, second.patient) == ("BraTS2021_00000", "BraTS2021_00001")
    scan = open_scan(first)
    whole, core = (scan.mask(2, slice(None), target) for target in range(2))
    values = np.asanyarray(nibabel.load(first.labels[0]).dataobj)
    assert whole.sum() == np.isin(values, (1, 2, 4)).sum() > core.sum() > 0
    assert core.sum() == np.isin(values, (1, 4)).sum()


def test_a_patient_alone_has_the_bytes_it_has_among_others(written, tmp_path):
    paths = brats21.write_patient(tmp_path, SEED, 1, 30)
    assert len(paths) == 5
    for path in paths:
        assert path.read_bytes() == (written / path.relative_to(tmp_path)).read_bytes()


def test_a_case_without_one_channel_says_which(copied):
    (copied / "BraTS2021_00001" / "BraTS2021_00001_t2.nii.gz").unlink()
    first, second = list_scans("brats", copied, "whole tumour")
    open_scan(first)
    with pytest.raises(DataError, match=r"_00001_t2\.nii\.gz: missing: the image of .*Remedy"):
        open_scan(second)


def test_an_odd_label_is_named(copied):
    path = copied / "BraTS2021_00000" / "BraTS2021_00000_seg.nii.gz"
    image = nibabel.load(path)
    values = np.asanyarray(image.dataobj).copy()
    values[values == 4] = 3  # as BraTS 2023 numbers what enhances
    nibabel.save(nibabel.Nifti1Image(values, image.affine), path)
    with pytest.raises(DataError, match="unexpected label values 3 beside 0, 1, 2, 4"):
        open_scan(list_scans("brats", copied, "whole tumour")[0]).mask(2, slice(None))


def test_other_names_are_no_brats(copied):
    for path in list(copied.rglob("*.nii.gz")):
        path.rename(path.with_name(path.name.replace("BraTS2021_", "BraTS-GLI-")))
    with pytest.raises(DataError, match=r"no BraTS files such as CASE_flair\.nii\.gz in it"):
        list_scans("brats", copied, "whole tumour")


# Who


def test_another_population_than_that_of_2018():
    here, there = drawn(brats21, brats21.PEOPLE), drawn(brats18, BrainMix())
    assert not {each.turn for each in here} & {each.turn for each in there}  # nobody is in both
    grades = [np.mean([each.high_grade for each in group]) for group in (here, there)]
    assert grades[0] == pytest.approx(0.92, abs=0.04)
    assert grades[0] > grades[1] + 0.1
    for name, more in (("age", 3), ("lesions", 0.1)):
        new, old = (np.mean([getattr(each, name) for each in group]) for group in (here, there))
        assert new > old + more, name


def test_more_masses_and_more_sizes_than_in_2018():
    patient = replace(draw_brain_patient((SEED, 9, 1), BrainMix()), high_grade=True)
    brain = draw_brain(patient)
    same = [replace(brain, patient=replace(patient, key=(SEED, 9, n))) for n in range(150)]
    found = {}
    for name, mix in (("2021", brats21.TUMOURS), ("2018", brats18.COHORT.tumours)):
        foci = [draw_foci(each, mix) for each in same]
        radii = np.log([each[0].radius for each in foci if not each[0].infratentorial])
        found[name] = np.mean([len(each) > 1 for each in foci]), np.std(radii)
    assert found["2021"][0] == pytest.approx(0.28 * 0.95, abs=0.08)
    assert found["2021"][0] > found["2018"][0] + 0.05
    assert found["2021"][1] > found["2018"][1] + 0.04


# Where


def test_hospitals_send_their_shares():
    assert sum(each.share for each in HOSPITALS) == pytest.approx(1)
    chosen = [draw_hospital(each.stream("hospital")) for each in drawn(brats21, brats21.PEOPLE)]
    for hospital in HOSPITALS:
        count = sum(each is hospital for each in chosen)
        assert count / len(chosen) == pytest.approx(hospital.share, abs=0.07)


def test_weighting_keeps_white_matter_and_stretches_the_rest():
    same = weighted(1, 1, 1, 1)
    assert all(same[tissue] == pytest.approx(SIGNALS[tissue]) for tissue in TISSUES)
    half = weighted(1, 0.5, 1, 2)
    assert half["white"] == pytest.approx(SIGNALS["white"])
    assert half["grey"][FLAIR] == pytest.approx(0.60)
    assert half["grey"][T1] == pytest.approx(np.sqrt(0.54 * 0.75))
    assert half["grey"][T2] == pytest.approx(0.62**2 / 0.43)


def test_a_spin_echo_shows_less_of_grey_matter_than_an_inversion():
    found = []
    for hospital in HOSPITALS:
        still = replace(hospital.scanners, contrast=0)
        ways = [draw_acquisitions(np.random.default_rng(n), still, 0.5) for n in range(60)]
        signals = dict(zip(TISSUES, ways[0][T1].signals, strict=True))
        # Blurred more along one axis than the others are: slices thicker than their pixels.
        thick = [max(way.blur) > min(way.blur) for each in ways for way in each]
        noise = np.mean([way.noise for each in ways for way in each])
        found.append((signals["grey"] / signals["white"], np.mean(thick), noise))
    volumes, slices, echo, old = found
    assert max(volumes[0], slices[0]) < 0.70 < 0.78 < min(echo[0], old[0])
    assert volumes[1] < 0.1 < 0.6 < slices[1] < 0.8 < min(echo[1], old[1])
    assert old[2] > 1.5 * max(volumes[2], slices[2], echo[2])


def test_a_coil_hears_best_what_is_near_and_short_waves_meet_in_the_middle():
    centre = np.float32(CENTRE)
    ear, nose = np.float32([0, 0, HEAD[2]]), np.float32([0, -HEAD[1], 0])
    points = np.stack([centre, centre + ear, centre + nose], axis=1)
    expected = np.exp([-0.15, 0.15, 0.15])
    np.testing.assert_allclose(coil_shading(points, 0.3), expected, rtol=1e-5)
    np.testing.assert_allclose(coil_shading(points, -0.3), 1 / expected, rtol=1e-5)
    np.testing.assert_allclose(coil_shading(points, 0.0), 1)


def test_the_same_patient_in_two_coils(monkeypatch):
    def images_in(strength):
        hospital = replace(HOSPITALS[0], coil=(strength, strength))
        monkeypatch.setattr(brats21, "draw_hospital", lambda generator: hospital)
        return draw_patient("brats21", 0, SEED, 30).images.astype(float)

    near, middle = images_in(0.5), images_in(-0.5)
    brain = near[T1] > 0
    deep, shell = binary_erosion(brain, iterations=5), brain & ~binary_erosion(brain)
    for index in range(4):
        ratio = near[index] / np.maximum(middle[index], 1)
        assert np.median(ratio[deep]) < 0.75  # exp(-0.5) in the very centre
        assert np.median(ratio[shell]) > 1.2  # exp(0.5) at the skull


# Cysts


def test_cysts_are_of_some_large_glioblastomas():
    generator = np.random.default_rng(8)
    large = Focus(np.zeros(3), 20.0, (), 4.0, 10.0, 3.0, solid=False)
    share = np.mean([brats21.is_cystic(large, generator) for _ in range(2000)])
    assert share == pytest.approx(0.18, abs=0.03)
    for other in (replace(large, radius=11.0), replace(large, solid=True)):
        assert not any(brats21.is_cystic(other, generator) for _ in range(200))


def test_a_cyst_is_fluid_within_a_wall(phantoms):
    for number in CYSTIC:
        phantom = phantoms[number]
        inner = binary_erosion(phantom.labels == 1)
        assert inner.sum() >= 3
        flair, t1, _, t2 = (np.median(image[inner]) for image in phantom.images)
        tissue = [np.median(image[image > 0]) for image in phantom.images]
        swollen = np.median(phantom.images[T2][phantom.labels == 2])
        assert flair < 0.6 * tissue[FLAIR]
        assert t1 < 0.7 * tissue[T1]
        assert t2 > max(1.3 * tissue[T2], 1.05 * swollen)
        assert (phantom.labels == 4).any()


# How hard


def test_labels_are_those_of_brats_and_background_is_zero(phantoms):
    for phantom in phantoms.values():
        assert phantom.images.dtype == np.int16
        assert set(np.unique(phantom.labels)) <= {0, 1, 2, 4}
        assert (phantom.labels == 4).any() == phantom.patient.high_grade
        empty = phantom.images == 0
        assert (empty == empty[0]).all()
        assert not phantom.labels[empty[0]].any()
        assert 4 < (phantom.labels > 0).sum() * 4**3 / 1000 < 280, "millilitres"
        flair, tumour = phantom.images[FLAIR], phantom.labels > 0
        assert 1.1 < flair[tumour].mean() / flair[~tumour & ~empty[0]].mean() < 3


def test_a_threshold_on_flair_is_not_enough(phantoms):
    images, masks, patients = [], [], []
    for number, phantom in phantoms.items():
        flair = phantom.images[FLAIR] / phantom.images[FLAIR].max()
        for plane, labels in zip(flair, phantom.labels, strict=True):
            if (labels > 0).sum() > 5:
                images.append(plane)
                masks.append(labels > 0)
                patients.append(number)
    images, masks = np.stack(images), np.stack(masks)
    scores = []
    for train, test in held_out_draws(np.array(patients), 0.3, 6, 1):
        chosen = best_range(images[train], masks[train])
        found = largest_pieces(threshold(images[test], *chosen))
        scores.append(dice(found, masks[test]).mean())
    assert 0.2 < np.mean(scores) < 0.75
