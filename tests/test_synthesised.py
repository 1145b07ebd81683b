"""What is learned from: synthetic slices behind real ones, who gives them, what makes a key."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tiny

from samnb.base.errors import SamnbError
from samnb.data.settings import CohortSettings, SplitSettings
from samnb.data.slices import LEVELS, SliceSet
from samnb.data.splits import split_by_list, split_patients
from samnb.data.synthesis import TRANSFORMS, Synthesis, SynthesisSettings
from samnb.data.synthesised import SYNTHETIC, SynthesisedSlices
from samnb.runs.counted import code_of
from samnb.runs.keys import STAGES, first_run, identify, key
from samnb.runs.run import Run
from samnb.studies import cohorts, load_profile
from samnb.studies.cohorts import cohort_scans, cohort_slices, cohort_split, training_slices
from samnb.systems import registry
from samnb.systems.system import System

SIDE = 24
EXEMPLARS, BACKGROUNDS = np.array([0, 4]), np.array([2, 5])
STILL = SynthesisSettings(images=6, **dict.fromkeys(TRANSFORMS, 0.0))


@pytest.fixture
def real(tmp_path) -> SliceSet:
    """Six slices of two targets: both in slice 0, the second in 1 and 4, none in 2, 3 and 5."""
    random = np.random.default_rng(1)
    images = random.integers(9000, 60000, (6, 1, SIDE, SIDE)).astype(np.uint16)
    masks = np.zeros((6, 2, SIDE, SIDE), np.uint8)
    masks[0, 0, 3:9, 4:10] = masks[0, 1, 14:20, 12:20] = 1
    masks[1, 1, 5:9, 5:9] = masks[4, 1, 10:15, 6:14] = 1
    labels = masks.any(axis=(2, 3)).astype(np.int8)
    scans = ["a", "a", "a", "b", "b", "b"]
    index = pd.DataFrame({"patient": scans, "scan": scans, "slice": [4, 5, 6, 1, 2, 3]})
    index["label"] = labels.max(axis=1).astype(int)
    names = ["spacing_z", "spacing_row", "spacing_column"]
    index[names] = [[3.0, 1.0, 1.0]] * 3 + [[5.0, 2.0, 1.5]] * 3
    records = {scan: {"targets": ["liver", "spleen"]} for scan in "ab"}
    return SliceSet(tmp_path, images, masks, labels, index, records)


@pytest.fixture
def both(real) -> SynthesisedSlices:
    return SynthesisedSlices(real, EXEMPLARS, BACKGROUNDS, STILL, seed=3)


# Synthetic slices behind the real ones


def test_real_slices_stay_and_synthetic_ones_follow(real, both):
    assert len(both) == len(both.index) == len(both.labels) == 12
    assert both.made.tolist() == [6, 7, 8, 9, 10, 11]
    rows = np.arange(6)
    for ours, theirs in zip(both.load(rows), real.load(rows), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(both.labels[:6], real.labels)
    assert both.labels[6:].tolist() == [[1, 1]] * 6  # what any of the exemplars shows
    pd.testing.assert_frame_equal(both.index.iloc[:6], real.index)
    made = both.index.iloc[6:]
    assert set(made["patient"]) == set(made["scan"]) == {SYNTHETIC}
    assert made["slice"].tolist() == [0, 1, 2, 3, 4, 5]
    assert set(made["label"]) == {1}
    assert made[["spacing_z", "spacing_row", "spacing_column"]].drop_duplicates().to_numpy() == (
        pytest.approx(np.array([[4, 1.5, 1.25]]))
    )
    assert (both.side, both.targets) == (SIDE, ("liver", "spleen"))
    assert both.rows_of(["a", "b", SYNTHETIC]).tolist() == [0, 1, 2, 3, 4, 5]


def test_a_synthetic_slice_is_an_exemplars_targets_on_a_slice_without_any(real, both):
    images, masks = both.load(both.made)
    assert (images.dtype, masks.dtype) == (np.float32, np.uint8)
    used = []
    for image, mask in zip(images, masks, strict=True):
        (exemplar,) = [row for row in EXEMPLARS if np.array_equal(real.masks[row], mask)]
        inside = mask.any(axis=0)
        scaled = real.images.astype(np.float32) / LEVELS
        np.testing.assert_array_equal(image[:, inside], scaled[exemplar][:, inside])
        (below,) = [row for row in range(6)
                    if np.array_equal(scaled[row][:, ~inside], image[:, ~inside])]  # fmt: skip
        used.append((int(exemplar), below))
    assert sorted(exemplar for exemplar, _ in used) == [0, 0, 0, 4, 4, 4]
    assert {below for _, below in used} == {2, 5}


def test_rows_of_both_kinds_come_in_their_order(real, both):
    rows = [8, 1, 6, 1, 11]
    images, masks = both.load(rows)
    wanted, truths = Synthesis(
        *real.load(EXEMPLARS), real.load(BACKGROUNDS)[0], STILL, 3, real.targets
    ).make([2, 0, 5])
    np.testing.assert_array_equal(images[[0, 2, 4]], wanted)
    np.testing.assert_array_equal(masks[[0, 2, 4]], truths)
    for place in (1, 3):
        np.testing.assert_array_equal(images[place], real.load([1])[0][0])
        np.testing.assert_array_equal(masks[place], real.masks[1])
    _, second = both.load(rows, target=1)
    np.testing.assert_array_equal(second, masks[:, 1])
    assert both.load([])[0].shape == (0, 1, SIDE, SIDE)
    other = SynthesisedSlices(real, EXEMPLARS, BACKGROUNDS, replace(STILL, scale=0.5), seed=4)
    assert not np.array_equal(other.load([8])[0], images[:1])


# Who may be learned from


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return tiny.cached_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def profile(prepared, tmp_path, monkeypatch):
    """The tiny profile, which makes five images of its labelled slices."""
    (tmp_path / "cache").symlink_to(prepared / "cache")
    monkeypatch.setenv("SAMNB_DATA", str(tmp_path))
    known = {
        **tiny.SYSTEMS,
        "tiny_either": System("Tiny either", tiny.build, tiny.READS, labels="either"),
        "tiny_pointed": System(
            "Tiny pointed", tiny.build, tiny.READS, labels="either", needs_target=True
        ),
    }
    for name, system in known.items():
        monkeypatch.setitem(registry.SYSTEMS, name, system)
    return replace(tiny.world(prepared), synthesis=SynthesisSettings(images=5))


def without(profile):
    return replace(profile, synthesis=SynthesisSettings(images=0))


def test_images_are_made_for_a_number_of_labels_and_of_training_patients_alone(
    profile, monkeypatch
):
    slices, marked = cohort_slices(profile, "home"), np.array([3, 4])
    for settings, labels in ((profile, None), (without(profile), 2)):
        shown, rows = training_slices(settings, "home", marked, labels, 1)
        assert isinstance(shown, SliceSet)
        assert rows is marked
    given = []
    monkeypatch.setattr(
        cohorts,
        "SynthesisedSlices",
        lambda *parts: given.append(parts) or SynthesisedSlices(*parts),
    )
    exemplars = cohorts.labelled_rows(profile, "home", 2)
    shown, rows = training_slices(profile, "home", exemplars, 2, 9)
    assert rows.tolist() == [*range(len(slices), len(slices) + 5)]
    ((_, used, backgrounds, settings, seed),) = given
    assert (used.tolist(), settings, seed) == (exemplars.tolist(), profile.synthesis, 9)
    split, index = cohort_split(profile, "home"), slices.index
    trained = index["patient"].isin(split.train)
    free = ~np.asarray(slices.masks).any(axis=(1, 2, 3))
    assert backgrounds.tolist() == np.flatnonzero(trained & free).tolist()
    assert 3 <= len(backgrounds) < free.sum()  # test patients have such slices too
    assert trained.sum() > len(backgrounds)


@pytest.mark.parametrize("system", ["tiny_either", "tiny_pointed"])
def test_of_all_masks_a_system_that_needs_a_target_sees_those_with_one(profile, system):
    slices = cohort_slices(profile, "home")
    trained = slices.rows_of(cohort_split(profile, "home").train)
    found = Run(profile, system, None, 1).data
    shown = np.asarray(slices.masks)[trained].any(axis=(1, 2, 3))
    wanted = trained[shown] if system == "tiny_pointed" else trained
    assert 0 < shown.sum() < len(trained)
    assert found.marked.tolist() == wanted.tolist()
    assert found.labelled.tolist() == trained.tolist()
    assert len(found.classified) == 0


def test_with_a_number_of_labels_only_images_made_of_them_are_learned_from(profile):
    slices = cohort_slices(profile, "home")
    exemplars = cohorts.labelled_rows(profile, "home", 4)
    found = Run(profile, "tiny_pointed", 4, 1).data
    assert found.labelled.tolist() == exemplars.tolist()
    assert found.marked.tolist() == [*range(len(slices), len(slices) + 5)]
    validated = slices.rows_of(cohort_split(profile, "home").validation)
    assert set(found.watched) <= set(validated)
    real = Run(without(profile), "tiny_pointed", 4, 1).data
    assert real.marked.tolist() == exemplars.tolist()
    # Those who see image labels see those of all real training slices, and of no others.
    trained = slices.rows_of(cohort_split(profile, "home").train)
    assert Run(profile, "tiny", 4, 1).data.classified.tolist() == trained.tolist()


# What makes a key


def changed(profile, **settings):
    return replace(profile, synthesis=replace(profile.synthesis, **settings))


def test_how_images_are_made_counts_where_they_are_made_and_nowhere_else(profile):
    bare = without(profile)
    one, plain = (identify(Run(each, "tiny_either", 2, 1)) for each in (profile, bare))
    assert one.keys["slices"] == plain.keys["slices"]
    assert one.keys["weights"] != plain.keys["weights"]
    for other in ({"images": 6}, {"scale": 0.5}):
        two = identify(Run(changed(profile, **other), "tiny_either", 2, 1))
        assert two.keys["weights"] not in (one.keys["weights"], plain.keys["weights"])
    wider = identify(Run(changed(bare, scale=0.5), "tiny_either", 2, 1))
    assert wider == plain
    assert "synthesis" not in plain.settings
    assert key(Run(profile, "tiny_either", None, 1)) == key(Run(bare, "tiny_either", None, 1))
    # The classifier that comes before has seen no synthetic image.
    firsts = [first_run(Run(each, "tiny_second", 2, 1)) for each in (profile, bare)]
    assert key(firsts[0]) == key(firsts[1])


def test_which_slices_are_exemplars_counts(profile):
    data = replace(profile.data, labelled=(2, 3))
    profile = replace(profile, data=data)
    other = replace(profile, data=replace(data, choice="richest"))
    one, two = (identify(Run(each, "tiny_either", 2, 1)) for each in (profile, other))
    assert one.settings == two.settings
    assert {name for name in one.data if one.data[name] != two.data[name]} == {"labelled slices"}
    assert one.keys["slices"] != two.keys["slices"]
    assert one.keys["weights"] != two.keys["weights"]
    same = replace(profile, data=replace(data, smallest=2))  # leaves the same choice
    assert key(Run(same, "tiny_either", 2, 1)) == one.key


def test_the_code_that_makes_images_counts_where_they_are_made(profile):
    def reached(settings, system, labels):
        found = code_of(Run(settings, system, labels, 1))
        return {stage: {(each.file, each.name) for each in found[stage]} for stage in STAGES}

    making = {
        ("samnb/data/synthesised.py", "SynthesisedSlices"),
        ("samnb/data/synthesis.py", "Synthesis"),
        ("samnb/data/synthesis.py", "change"),
        ("samnb/data/synthesis.py", "background_rows"),
        ("samnb/data/transforms.py", "transform_target"),
        ("samnb/data/transforms.py", "paste"),
    }
    used = reached(profile, "tiny_either", 2)
    assert making <= used["weights"]
    unused = [reached(without(profile), "tiny_either", 2), reached(profile, "tiny_either", None)]
    unused.append(reached(profile, "tiny_image", 0))
    files = {file for file, _ in making}
    for stages in (*unused, {stage: used[stage] for stage in STAGES if stage != "weights"}):
        assert not {file for stage in stages.values() for file, _ in stage} & files


def test_that_targets_exclude_each_other_counts_and_the_protocol_for_measures_alone(profile):
    before = identify(Run(profile, "tiny_either", 2, 1))
    assert "exclusive" not in before.settings
    exclusive = replace(profile, data=replace(profile.data, exclusive=True))
    after = identify(Run(exclusive, "tiny_either", 2, 1))
    assert after.settings == before.settings | {"exclusive": True}
    assert after.keys["weights"] != before.keys["weights"]
    volumes = identify(Run(replace(profile, protocol="volumes"), "tiny_either", 2, 1)).keys
    assert [stage for stage in STAGES if volumes[stage] != before.keys[stage]] == ["measures"]


# Published test lists


PATIENTS = [f"img{number:04d}" for number in range(1, 11)] + ["img12", "img2"]
LISTED = ("img0007", "img12", "img2")


def test_the_published_patients_are_tested_and_the_seed_deals_the_others():
    sizes = SplitSettings(train=5, validation=2, test=3, tested=LISTED[::-1])
    found = split_by_list(PATIENTS, sizes, seed=5)
    assert found.test == ("img2", "img0007", "img12")  # in natural order
    rest = [patient for patient in PATIENTS if patient not in LISTED]
    dealt = split_patients(rest, SplitSettings(train=5, validation=2), seed=5)
    assert (found.train, found.validation, found.unused) == (
        dealt.train, dealt.validation, dealt.unused,
    )  # fmt: skip
    assert sorted((*found.train, *found.validation, *found.unused, *found.test)) == sorted(PATIENTS)
    other = split_by_list(PATIENTS, sizes, seed=6)
    assert other.test == found.test
    assert other.train != found.train


def test_a_test_list_that_does_not_fit_is_refused():
    sizes = SplitSettings(train=5, test=3, tested=LISTED)
    with pytest.raises(SamnbError, match="names img0011, and no scan is of that patient"):
        split_by_list(PATIENTS, replace(sizes, tested=("img0011", *LISTED[1:])), 5)
    with pytest.raises(SamnbError, match="3 test patients are listed and 4 asked for"):
        split_by_list(PATIENTS, replace(sizes, test=4), 5)
    with pytest.raises(SamnbError, match="2 test patients are listed and 3 asked for"):
        split_by_list(PATIENTS, replace(sizes, tested=(*LISTED[:2], LISTED[0])), 5)


def test_a_cohort_with_a_test_list_is_split_by_it(profile):
    patients = [scan.patient for scan in cohort_scans(profile, "home")]
    sizes = replace(profile.data.splits["home"], tested=(patients[4], patients[1]))
    listed = replace(profile.data, splits=profile.data.splits | {"home": sizes})
    split = cohort_split(replace(profile, data=listed), "home")
    assert split.test == (patients[1], patients[4])
    assert len(split.train) == 3


def test_synapse_is_tested_on_the_twelve_published_patients():
    synapse = load_profile("pocket", "cheap_lunch_synapse").data.splits["synapse"]
    published = [1, 2, 3, 4, 8, 22, 25, 29, 32, 35, 36, 38]  # TransUNet's list
    assert list(synapse.tested) == [f"img{number:04d}" for number in published]
    assert (synapse.train, synapse.validation, synapse.test) == (18, 0, 12)


# Channels


@pytest.fixture
def brats(tmp_path, profile):
    """A profile of one case with four sequences; only names are read."""
    case = tmp_path / "brats" / "BraTS18_x_1"
    case.mkdir(parents=True)
    for kind in ("flair", "t1", "t1ce", "t2", "seg"):
        (case / f"BraTS18_x_1_{kind}.nii.gz").touch()

    def with_channels(*channels, layout="brats"):
        cohort = CohortSettings(
            layout, ("whole tumour",), folder=str(tmp_path / "brats"), channels=channels
        )
        return replace(profile, data=replace(profile.data, cohorts={"brats": cohort}))

    return with_channels


def test_a_cohort_has_the_channels_it_names_in_their_order(brats):
    def kinds(*channels):
        (scan,) = cohort_scans(brats(*channels), "brats")
        return [path.name.removesuffix(".nii.gz").split("_")[-1] for path in scan.images]

    assert kinds("flair") == ["flair"]
    assert kinds("t2", "t1") == ["t2", "t1"]
    assert kinds() == ["flair", "t1", "t1ce", "t2"]


def test_a_channel_that_is_not_there_is_refused(brats, profile):
    with pytest.raises(SamnbError, match=r"brats has no channel 'pd'.*use flair, t1, t1ce, t2"):
        cohort_scans(brats("flair", "pd"), "brats")
    home = replace(profile.data.cohorts["home"], channels=("flair",))
    data = replace(profile.data, cohorts={"home": home})
    with pytest.raises(SamnbError, match=r"lits has no channel 'flair'.*name no channels"):
        cohort_scans(replace(profile, data=data), "home")
