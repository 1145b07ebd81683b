"""How papers on volumes measure: voxels and mm, which slices count, the public rule for nothing."""

import numpy as np
import pandas as pd
import pytest

from samnb.base.errors import SamnbError
from samnb.data.slices import SliceSet
from samnb.evaluation.answers import Answers, pack
from samnb.evaluation.examine import measure_answers
from samnb.evaluation.protocols import VOXELS, by_public_rule, measure_volumes
from samnb.prompts.users import find_user
from samnb.studies import load_profile
from samnb.studies.profile import Profile
from samnb.studies.protocols import PROTOCOLS, measure_of

SIDE = 8
SCANS = ("b", "a")  # of four slices each
SPACING = (3.0, 1.0, 2.0)  # mm: between slices, rows, columns


@pytest.fixture
def world(tmp_path) -> tuple[SliceSet, Answers]:
    """Two targets, two scans, and answers to them.

    Of scan "b": the first target is a bar of three pixels in slice 1, found a column to the right
    in the same slice, and one pixel is answered in slice 3; the second target is missed altogether.
    Of scan "a": the first target is a pixel in slice 0, found in slice 2; the second is not there,
    and nothing is answered.
    """
    truths = np.zeros((8, 2, SIDE, SIDE), np.uint8)
    given = np.zeros_like(truths)
    truths[1, 0, 2:5, 3] = given[1, 0, 2:5, 4] = 1
    given[3, 0, 3, 3] = 1
    truths[2, 1, 1, 1] = 1
    truths[4, 0, 6, 6] = given[6, 0, 6, 6] = 1
    labels = truths.any(axis=(2, 3)).astype(np.int8)
    scans = np.repeat(SCANS, 4)
    index = pd.DataFrame({"patient": scans, "scan": scans, "slice": np.tile(np.arange(4), 2)})
    index["label"] = labels.max(axis=1)
    index[["spacing_z", "spacing_row", "spacing_column"]] = SPACING
    records = {scan: {"targets": ["liver", "spleen"]} for scan in SCANS}
    images = np.zeros((8, 1, SIDE, SIDE), np.uint16)
    slices = SliceSet(tmp_path, images, truths, labels, index, records)
    return slices, Answers(np.arange(8), pack(given), SIDE)


def test_the_distance_of_scans_is_in_mm_and_in_voxels_and_sizes_stand_beside(world):
    slices, answers = world
    _, scans = measure_volumes(answers, slices, "synapse", find_user("point"))
    assert scans["target"].tolist() == ["liver", "liver", "spleen", "spleen"]
    assert scans["scan"].tolist() == ["b", "a", "b", "a"]
    assert set(scans["user"]) == {"point"}
    assert scans["truth_voxels"].tolist() == [3, 1, 1, 0]
    assert scans["answer_voxels"].tolist() == [4, 1, 0, 0]
    # Of "b" the bar is a column away, the further pixel two slices above the truth's middle. In
    # voxels 1, 1, 1 and 2; in mm 2, 2, 2 and 6: of the four the 95th percentile lies 0.85 of the
    # way from the third to the fourth. Of "a" a pixel lies two slices away, 2 voxels or 6 mm.
    diagonal = np.sqrt(4**2 + 2 * SIDE**2)
    in_mm = np.sqrt(12**2 + 8**2 + 16**2)
    np.testing.assert_allclose(scans["hd95_voxels"], [1.85, 2, diagonal, 0], rtol=1e-6)
    np.testing.assert_allclose(scans["hd95"], [2 + 0.85 * 4, 6, in_mm, 0], rtol=1e-6)
    assert scans["dice"].tolist() == [0, 0, 0, 1]
    _, plain = measure_answers(answers, slices, "synapse", find_user("point"))
    pd.testing.assert_frame_equal(scans[plain.columns], plain)
    assert [name for name in scans if name not in plain] == VOXELS


def test_of_slices_only_those_with_a_target_or_an_answer_stay(world):
    slices, answers = world
    of_slices, _ = measure_volumes(answers, slices, "synapse")
    kept = of_slices[["target", "scan", "slice", "label"]].to_numpy().tolist()
    assert kept == [
        ["liver", "b", 1, 1],  # target and answer
        ["liver", "b", 3, 0],  # an answer where nothing is
        ["liver", "a", 0, 1],  # a target that is missed
        ["liver", "a", 2, 0],
        ["spleen", "b", 2, 1],
    ]
    assert of_slices.index.tolist() == [0, 1, 2, 3, 4]
    every, _ = measure_answers(answers, slices, "synapse")
    assert len(every) == 16


def test_a_target_that_is_found_exactly_stays_too(world):
    slices, _ = world
    exact = Answers(np.arange(8), pack(np.asarray(slices.masks)), SIDE)
    of_slices, scans = measure_volumes(exact, slices, "synapse")
    assert of_slices["label"].tolist() == [1, 1, 1]
    assert (of_slices["dice"] == 1).all()
    assert scans["hd95_voxels"].tolist() == [0, 0, 0, 0]


def test_the_public_rule_in_all_four_cases_of_emptiness():
    cases = pd.DataFrame(
        [
            ("both", 10, 12, 0.7, 3.5),
            ("nothing there, something answered", 0, 5, 0.0, 99.0),
            ("something there, nothing answered", 8, 0, 0.0, 99.0),
            ("nothing there, nothing answered", 0, 0, 1.0, 0.0),
        ],
        columns=["case", "truth_voxels", "answer_voxels", "dice", "hd95_voxels"],
    ).assign(hd95=7.0)
    found = by_public_rule(cases)
    assert found["dice"].tolist() == [0.7, 1.0, 0.0, 0.0]
    assert found["hd95_voxels"].tolist() == [3.5, 0.0, 0.0, 0.0]
    untouched = ["case", "truth_voxels", "answer_voxels", "hd95"]
    pd.testing.assert_frame_equal(found[untouched], cases[untouched])
    assert cases["dice"].tolist() == [0.7, 0.0, 0.0, 1.0]  # of the table that came


def test_by_the_public_rule_a_missed_target_shortens_the_mean_distance(world):
    slices, answers = world
    _, scans = measure_volumes(answers, slices, "synapse")
    assert by_public_rule(scans)["hd95_voxels"].mean() == pytest.approx((1.85 + 2) / 4)
    assert by_public_rule(scans)["dice"].tolist() == [0, 0, 0, 0]  # the last was 1 by ours


def test_a_study_names_its_protocol():
    pocket = load_profile("pocket")
    assert pocket.protocol == "slices"
    assert measure_of(pocket) is measure_answers
    for study in ("cheap_lunch_brats", "cheap_lunch_synapse"):
        assert measure_of(load_profile("pocket", study)) is measure_volumes
    assert list(PROTOCOLS) == ["slices", "volumes"]
    other = Profile("other", 1, pocket.data, protocol="pixels")
    with pytest.raises(SamnbError, match=r"No protocol 'pixels'.*use one of slices, volumes"):
        measure_of(other)
