"""The tables, tests and claims of Med-SA: the paper's digits, and ours on hand-made scans."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from samnb.base.errors import SamnbError
from samnb.evaluation.answers import Answers, pack
from samnb.evaluation.volumes import pack_volumes
from samnb.method import UserPrompts
from samnb.prompts.by_slice import EverySlice
from samnb.prompts.users import find_user
from samnb.reports import (
    med_sa,
    med_sa_figures,
    med_sa_findings,
    med_sa_parameters,
    med_sa_study,
)
from samnb.reports.claim_rules import FAILS, HOLDS, OTHERWISE, TIE, UNTESTABLE, Evidence
from samnb.reports.claim_rules import evaluate_claim as evaluate
from samnb.reports.claim_rules_med_sa import MED_SA_RULES
from samnb.reports.claims import HERE, ON_PAPER, OUR_NUMBERS, PAPER_NUMBERS
from samnb.reports.claims_med_sa import audit_med_sa, impossible_rows
from samnb.reports.lunch import AUTOMATIC, ORACLE
from samnb.reports.lunch_tests import FIRST, in_words
from samnb.reports.lunch_tests import TIE as EVEN
from samnb.reports.med_sa_ablation import Variant, ablation_cases, ablation_table, variant_of
from samnb.reports.med_sa_tests import ablation_tests, questions, task_tests
from samnb.reports.paper_med_sa import (
    note,
    printed_rows,
    prompt_users,
    published_task,
    published_tasks,
)
from samnb.reports.printing import marks, printed

USERS = ["random point", "3 random points", "box 0.5", "box 0.75"]
NODULE = "thyroid nodule"


def scans(system, level, user="nobody", seeds=(1, 2, 3), spread=0.0, patients=6, **columns):
    """One scan per patient: Dice level + 0.01 × patient, + spread × (seed - 2)."""
    rows = [
        {
            "system": system, "seed": seed, "change": "", "user": user, "cohort": "x",
            "target": "nodule", "patient": f"p{patient}", "scan": f"p{patient}",
            "dice": level + 0.01 * patient + spread * (seed - 2),
            "hd95": 20.0, "hd95_voxels": 10.0, "truth_voxels": 100, "answer_voxels": 90,
        }
        for seed in seeds
        for patient in range(patients)
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(**columns)


def thyroid():
    """One task: Med-SA ahead of MedSAM but by boxes of 0.5, both of SAM; one that works alone."""
    levels = {"SAM": 0.3, "MedSAM": 0.6, "Med-SA": 0.8}
    more = dict(zip(USERS, (0.0, 0.05, -0.1, 0.1), strict=True))
    parts = [
        scans(system, level + more[user], user, (1,) if system == "SAM" else (1, 2, 3))
        for system, level in levels.items()
        for user in USERS
    ]
    parts += [scans("nnU-Net", 0.9), scans("TransUNet", 0.85, spread=0.02, seeds=(1, 2))]
    parts += [scans("Med-SA", 0.7, "random point", change="med_sa.adapters.prompt=none")]
    return pd.concat(parts, ignore_index=True)


def organs():
    """Volumes: Med-SA and its variants at every slice; the same slices in a study of their own."""
    every = "random point, every slice"
    parts = [
        scans("Med-SA", level, every, change=change, target=target)
        for target, less in (("liver", 0.0), ("spleen", 0.2))
        for change, level in (
            ("", 0.8 - less),
            ("med_sa.thickness=1", 0.7 - less),
            ("med_sa.adapters.prompt=none,med_sa.thickness=1", 0.6 - less),
            ("learning.med_sa.epochs=3", 0.1),
        )
    ]
    parts += [scans("Swin UNETR", 0.85, target="liver"), scans("Swin UNETR", 0.75, target="spleen")]
    flat = [scans("Med-SA", 0.5, "random point", target="liver"), scans("nnU-Net", 0.88)]
    return pd.concat(parts, ignore_index=True), pd.concat(flat, ignore_index=True)


@pytest.fixture(scope="module")
def cases():
    volumes, slices = organs()
    return med_sa.all_cases(
        {"med-sa-thyroid": thyroid(), "med-sa-btcv": volumes, "med-sa-btcv-slices": slices}
    )


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_published_numbers_are_the_papers():
    assert published_tasks()[1:] == [
        *("optic disc", "optic cup", "brain tumour", "thyroid nodule", "melanoma")
    ]
    tumour = published_task("brain tumour")
    assert len(tumour) == 25
    row = tumour.loc["Med-SA, box 0.75"]
    assert row[["dice", "iou", "hd95", "parameters", "trainable"]].tolist() == [
        *(0.905, 0.83, 9.50, 636, 13)
    ]
    assert tumour.loc["TransBTS", "iou"] == 0.7844  # printed with two digits
    assert published_task("melanoma").loc["SAM, 3 random points"][["dice", "iou"]].tolist() == [
        *(0.858, 0.775)
    ]
    assert published_task("optic cup").loc["BEAL", "dice"] == 0.835
    assert published_task("optic disc").loc["UNETR", "iou"] == 0.875
    with pytest.raises(SamnbError, match="no task 'liver'"):
        published_task("liver")


def test_the_papers_dashes_stay_dashes():
    assert [len(numbers) for numbers in printed_rows().values()] == [13] * 25
    assert sum(numbers.count("-") for numbers in printed_rows().values()) == 4 * 6
    for task in ("optic disc", "optic cup", NODULE):
        nothing = published_task(task)["dice"].isna()
        assert list(published_task(task).index[nothing]) == [f"SAM, {user}" for user in USERS]


def test_of_table_1_only_a_sentence_is_known_and_the_table_says_so():
    table = published_task("organs")
    assert table["dice"].dropna().to_dict() == {"Med-SA, box 0.75": 0.898}
    assert "no text that we could reach" in table.attrs["note"]
    assert "Table 3" in note("ablation")
    assert list(prompt_users().values()) == USERS


def test_a_table_by_hand(cases):
    table = med_sa.task_table(cases, NODULE, seeds=(1, 2, 3))
    row = table.loc["Med-SA, box 0.75"]
    assert row["dice"] == pytest.approx(0.9 + 0.025)  # the mean of 0.00 ... 0.05
    each = 0.9 + 0.01 * np.arange(6)
    assert row["iou"] == pytest.approx(np.mean(each / (2 - each)))
    assert (row["paper_dsc"], row["paper_iou"]) == (0.884, 0.804)
    assert row["track"] == "told: box 0.75"
    assert row["dice_low"] < row["dice"] < row["dice_high"]
    alone = table.loc["TransUNet"]
    assert alone["dice_deviation"] == pytest.approx(0.02 * np.sqrt(0.5))  # seeds at -0.02 and 0
    assert (alone["track"], alone["missing"], alone["seeds"]) == (AUTOMATIC, "3", 2)
    assert table.loc["SAM, box 0.5", "missing"] == ""  # learns nothing: one run is all
    assert printed(table).loc["UNETR", "Dice"] == "–"  # no record
    assert "hd95_mm" not in table  # of a picture
    assert list(table.index).index("UltraUNet") < list(table.index).index("nnU-Net")
    assert "UltraUNet" not in med_sa.overview(table).index
    assert len(med_sa.overview(table)) == 18


def test_places_are_given_among_those_who_were_told_the_same(cases):
    table = med_sa.task_table(cases, NODULE)
    found = marks(table)
    assert found.loc["nnU-Net", "Dice"] == "best"
    assert found.loc["TransUNet", "Dice"] == "second"
    for user in USERS:
        assert found.loc[f"Med-SA, {user}", "Dice"] == "best"
        assert found.loc[f"MedSAM, {user}", "Dice"] == "second"
    assert found.loc["UltraUNet", "Paper: Dice"] == "best"  # 84.5, behind 88.4 with a box
    organs = marks(med_sa.task_table(cases, "organs"))
    assert organs.loc["Med-SA, random point", "Dice"] == "best"
    assert organs.loc["nnU-Net", "Dice"] == "best"
    one = med_sa.all_cases({"med-sa-thyroid": scans("Med-SA", 0.8, "box 0.5")})
    table = marks(med_sa.task_table(one, NODULE))
    assert table.loc["Med-SA, box 0.5", "Dice"] == ""  # the best of one is no best


def test_records_iou_is_taken_where_there_is_one():
    given = scans("nnU-Net", 0.8).assign(iou=0.5)
    cases = med_sa.all_cases({"med-sa-thyroid": given})
    assert med_sa.task_table(cases, NODULE).loc["nnU-Net", "iou"] == pytest.approx(0.5)


def test_a_patient_counts_once_however_many_scans():
    more = scans("nnU-Net", 0.2, patients=1).assign(scan="again")
    cases = med_sa.all_cases({"med-sa-thyroid": pd.concat([scans("nnU-Net", 0.8), more])})
    by_hand = np.mean([(0.8 + 0.2) / 2, *(0.8 + 0.01 * np.arange(1, 6))])
    assert med_sa.task_table(cases, NODULE).loc["nnU-Net", "dice"] == pytest.approx(by_hand)


def test_volumes_asked_at_every_slice_stand_beside_slices(cases):
    table = med_sa.task_table(cases, "organs")
    assert table.loc["Med-SA, random point", "dice"] == pytest.approx(0.7 + 0.025)
    assert table.loc["Med-SA (2D), random point", "dice"] == pytest.approx(0.5 + 0.025)
    assert med_sa.told("Med-SA (2D), random point") == "told: random point"
    assert table.loc["Med-SA, random point", "hd95_voxels"] == 10.0
    assert table.loc["nnU-Net", "dice"] > 0.9
    by_organ = med_sa.organ_table(cases)
    assert by_organ.loc["Med-SA, random point", ["liver", "spleen", "mean"]].tolist() == (
        pytest.approx([0.825, 0.625, 0.725])
    )
    assert by_organ.loc["Med-SA, box 0.75", "paper_dsc"] == 0.898
    assert np.isnan(by_organ.loc["UNETR", "mean"])


def test_disc_and_cup_are_tasks_of_one_study():
    eyes = pd.concat([scans("SAM", 0.9, "box 0.5", target="disc"),
                      scans("SAM", 0.4, "box 0.5", target="cup")])  # fmt: skip
    cases = med_sa.all_cases({"med-sa-refuge": eyes})
    table = med_sa.all_tasks(cases)
    assert table.loc["SAM, box 0.5", ["optic disc", "optic cup"]].tolist() == (
        pytest.approx([0.925, 0.425])
    )
    assert table.loc["· paper, Med-SA, box 0.5", "optic cup"] == 0.864
    assert list(table.index).index("SAM, box 0.5") + 1 == list(table.index).index(
        "· paper, SAM, box 0.5"
    )
    titles = ["Organs", "Disc", "Cup", "Tumour", "Nodule", "Skin"]
    assert list(printed(table).columns) == ["Track", *titles]


def test_the_table_of_all_tasks_marks_within_tracks_and_invents_no_row_of_the_paper():
    more = scans("Med-SA", 0.99, "box 1")
    both = med_sa.all_cases({"med-sa-thyroid": pd.concat([thyroid(), more])})
    table = med_sa.all_tasks(both)
    assert "Med-SA, box 1" in table.index
    assert "· paper, Med-SA, box 1" not in table.index
    found = marks(table)["Nodule"]
    assert found["Med-SA, box 0.5"] == "best"  # told the same, 0.7 against 0.5 and 0.2
    assert found["MedSAM, box 0.5"] == "second"
    assert found["· paper, Med-SA, box 0.5"] == found["Med-SA, box 1"] == ""


def test_without_records_the_paper_stands_alone():
    nothing = med_sa.all_cases({})
    for task in published_tasks():
        table = med_sa.task_table(nothing, task, (1, 2, 3))
        assert table["dice"].isna().all()
        assert set(printed(med_sa.overview(table))["Dice"]) == {"–"}
        assert in_words(task_tests(nothing, task)).empty
    assert med_sa.all_tasks(nothing)["organs"].count() == 1  # the paper's sentence
    assert med_sa.organ_table(nothing)["mean"].isna().all()
    assert ablation_table(nothing)["organs"].isna().all()
    assert ablation_tests(nothing).empty
    med_sa_figures.overlap_chart(nothing)
    med_sa_figures.ablation_chart(nothing)


def test_tracks():
    assert med_sa.track_of("MedSAM, box 0.5") == ORACLE
    assert med_sa.track_of("3D U-Net, nnU-Net's layout") == AUTOMATIC
    assert med_sa.told("3D U-Net, nnU-Net's layout") == AUTOMATIC


def test_changes_and_the_variants_that_they_make():
    assert variant_of("") == Variant(True, "hyper")
    assert variant_of("med_sa.thickness=1") == Variant(False, "hyper")
    assert variant_of("med_sa.adapters.depth=none,med_sa.adapters.prompt=none") == (
        Variant(False, "none")
    )
    assert variant_of("med_sa.thickness=4") is None
    assert variant_of("med_sa.adapters.prompt=none,seed=3") is None


def test_table_3_by_hand(cases):
    table = ablation_table(cases)
    whole, plain = "SD-Trans, HyP-Adpt: Med-SA", "adapters alone"
    assert table.loc[[plain, whole, "HyP-Adpt, slice by slice"], "organs"].tolist() == (
        pytest.approx([0.525, 0.725, 0.625])
    )
    assert np.isnan(table.loc["SD-Trans", "organs"])
    # A picture has no depth: one run is the row with SD-Trans and the one without.
    assert table.loc[[plain, "SD-Trans", whole], NODULE].tolist() == (
        pytest.approx([0.725, 0.725, 0.825])
    )
    assert ablation_table(cases, "box 0.75").loc[whole, NODULE] == pytest.approx(0.925)
    found = ablation_tests(cases)
    assert found.loc["organs", "second"].tolist() == [plain, "HyP-Adpt, slice by slice"]
    assert found.loc[[NODULE], "second"].tolist() == ["SD-Trans"]
    assert set(found["better"]) == {FIRST}
    assert set(ablation_cases(cases, NODULE, "3 random points")["system"]) == {
        *(whole, "HyP-Adpt, slice by slice")
    }


def test_pairs_are_named_before_looking(cases):
    found = task_tests(cases, NODULE)
    assert found.loc["Do adapters teach as well as the whole SAM?", "better"].tolist() == (
        [FIRST] * 4
    )
    alone = found.loc["Told where, against working alone?"]
    assert len(alone) == 4 * 2
    assert set(alone["better"]) == {"not ranked: first was told where"}
    users = found.loc["How should Med-SA be asked?"].set_index(["first", "second"])
    assert len(users) == 6
    assert users.loc[("Med-SA, box 0.75", "Med-SA, box 0.5"), "difference"] == pytest.approx(0.2)
    assert users.loc[("Med-SA, box 0.75", "Med-SA, box 0.5"), "better"] == FIRST
    sam = found.loc["How should SAM be asked?"]
    assert set(sam["spread"]) == {0.0}  # it learns nothing: a single run is no single seed
    assert found["p"].max() <= 1
    assert questions(["Swin UNETR"])["Told where, against working alone?"] == [
        (f"Med-SA, {user}", "Swin UNETR") for user in USERS
    ]


def test_seeds_that_differ_more_than_systems_make_a_tie():
    shaky = scans("Med-SA", 0.65, "box 0.5", spread=0.2)
    both = pd.concat([shaky, scans("MedSAM", 0.6, "box 0.5")])
    found = task_tests(med_sa.all_cases({"med-sa-thyroid": both}), NODULE)
    assert found["better"].tolist() == [EVEN]


@pytest.fixture(scope="module")
def audit(cases):
    return audit_med_sa(cases).set_index("name")


@pytest.mark.parametrize(
    ("name", "verdict", "says"),
    [
        ("Trainable parameters", HOLDS, "recomputed 13"),
        ("Size of SAM", FAILS, "recomputed 641; 637: image encoder alone"),
        ("Two percent", HOLDS, "13 of 636"),
        ("A tenth of Swin UNETR", HOLDS, "9.4 % (13 of 138)"),
        ("Seventeen tasks", HOLDS, "recomputed 17"),
        ("Dice and IoU, optic disc", FAILS, "ResUNet: Dice 92.9 allows no IoU below 86.7"),
        ("Dice and IoU, optic cup", HOLDS, "21 of 21"),
        ("Dice and IoU, brain tumour", HOLDS, "25 of 25"),
        ("Dice and IoU, thyroid nodule", HOLDS, "21 of 21"),
        ("Dice and IoU, melanoma", FAILS, "18 of 25 rows; SAM, box 0.75: Dice 85.7"),
        ("Organs, Swin UNETR", UNTESTABLE, "no cases"),
        ("Organs, with one point", UNTESTABLE, "no cases"),
        ("Best in every task, Dice", HOLDS, "372 of 372 ahead"),
        ("Best in every task, IoU", FAILS, "0.8410 and BAT 0.8430"),
        ("Tumour, HD95", HOLDS, "84 of 84"),
        ("Tumour, Dice against Swin UNETR", OTHERWISE, "2.1 is the difference in points"),
        ("Tumour, HD95 against Swin UNETR", HOLDS, "recomputed 1.86"),
        ("The best before, tumour", FAILS, "place 3 of 13 (0.884); place 1: EnsemDiff"),
        ("The best before, nodule", HOLDS, "place 1 of 13"),
        ("The worst for the disc", FAILS, "the last MTSeg 0.903"),
        ("Made for tumours", HOLDS, "5 of 5"),
        ("Against MedSAM", HOLDS, "20 of 20"),
        ("Zero shots", HOLDS, "8 of 8"),
        ("Three points or one", HOLDS, "12 of 12"),
        ("Box 0.75 or three points", HOLDS, "12 of 12 not behind"),
        ("Box 0.5 or 0.75", HOLDS, "12 of 12"),
        ("Box 0.5 or a point", FAILS, "6 of 12 ahead"),
        ("Alike in all systems", FAILS, "23 of 30 alike; not: optic disc, random point"),
        ("HyP-Adpt", UNTESTABLE, "no cases"),
    ],
)  # fmt: skip
def test_what_the_papers_own_numbers_say(audit, name, verdict, says):
    assert audit.loc[name, ON_PAPER] == verdict
    assert says in audit.loc[name, PAPER_NUMBERS]


def test_which_rows_are_no_means_over_images():
    rows = impossible_rows()
    assert rows["task"].value_counts().to_dict() == {"optic disc": 18, "melanoma": 7}
    row = rows.set_index(["task", "system"]).loc[("melanoma", "Med-SA, 3 random points")]
    assert row["least_iou"] == pytest.approx(0.934 / (2 - 0.934))
    assert row["iou"] == 0.847
    possible = published_task("optic disc").drop(rows["system"][rows["task"] == "optic disc"])
    assert set(possible.index[possible["dice"].notna()]) == {"MTSeg", "FAT-Net", "BAT"}


def test_what_ours_say(audit):
    assert audit.loc["Against MedSAM", HERE] == HOLDS
    assert audit.loc["Zero shots", HERE] == HOLDS
    assert audit.loc["Box 0.5 or a point", HERE] == HOLDS
    assert audit.loc["Alike in all systems", HERE] == HOLDS
    assert audit.loc["Dice and IoU, thyroid nodule", HERE] == HOLDS
    assert audit.loc["HyP-Adpt", HERE] == HOLDS  # 0.8 against 0.7, of the nodule
    assert audit.loc["SD-Trans", HERE] == UNTESTABLE  # SD-Trans alone has no record
    assert audit.loc["Size of SAM", HERE] == UNTESTABLE
    told = audit.loc["Best in every task, Dice"]
    assert told[HERE] == UNTESTABLE  # an oracle is not ranked with who works alone
    assert told[OUR_NUMBERS] == (
        "not ranked, the first was told where; "
        "thyroid nodule: Med-SA, box 0.75 0.925 and nnU-Net 0.925"
    )


def judged(kind, tables, published, **settings):
    """A rule on systems of one task."""
    if published:
        given = Evidence({"x": pd.DataFrame.from_dict(tables, orient="index")}, {}, True)
    else:
        cases = pd.concat([table.assign(system=name, cohort="x") for name, table in tables.items()])
        means = cases.groupby("system")[["dice"]].mean()
        given = Evidence({"x": means}, {}, False, cases)
    return evaluate(given, kind, rules=MED_SA_RULES, **settings).verdict


def test_a_mean_iou_lies_between_what_equal_and_extreme_images_give():
    def verdict(dice, iou):
        return judged("possible", {"A": {"dice": dice, "iou": iou}}, True, cohort="x")

    assert verdict(0.8, 0.667) == HOLDS  # all images alike: 0.8 / 1.2, as printed
    assert verdict(0.8, 0.665) == FAILS  # whatever the images
    assert verdict(0.8, 0.8) == HOLDS  # four images found, one missed
    assert verdict(0.8, 0.81) == FAILS  # IoU is never above Dice
    assert verdict(0.8, np.nan) == UNTESTABLE


def test_comparable_is_within_a_point_on_paper_and_a_tie_of_ours():
    asked = {"cohorts": ["x"], "metric": "dice", "systems": ["A"],
             "better": "box 0.75", "worse": "3 random points"}  # fmt: skip
    names = "A, box 0.75", "A, 3 random points"

    def on_paper(*values):
        tables = {name: {"dice": value} for name, value in zip(names, values, strict=True)}
        return judged("comparable", tables, True, **asked)

    assert on_paper(0.89, 0.90) == HOLDS
    assert on_paper(0.88, 0.90) == FAILS
    low, high = scans("A", 0.5), scans("A", 0.6)
    assert judged("comparable", dict(zip(names, (low, high), strict=True)), False, **asked) == FAILS
    shaky = scans("A", 0.6, spread=0.2)
    assert judged("comparable", dict(zip(names, (low, shaky), strict=True)), False, **asked) == (
        HOLDS
    )


def test_systems_agree_about_users_unless_one_is_ahead_where_another_is_behind():
    asked = {"cohorts": ["x"], "metric": "dice", "systems": ["A", "B"], "users": ["u", "v"]}
    names = "A, u", "A, v", "B, u", "B, v"

    def verdict(*levels, **more):
        tables = [scans("x", level, **more) for level in levels]
        return judged("same_order", dict(zip(names, tables, strict=True)), False, **asked)

    assert verdict(0.5, 0.6, 0.7, 0.8) == HOLDS
    assert verdict(0.5, 0.6, 0.8, 0.7) == FAILS
    assert verdict(0.5, 0.6, 0.7, 0.7) == TIE  # only one decides
    assert verdict(0.5, 0.6, 0.8, 0.7, spread=0.5) == TIE  # nobody does


def test_parameters_of_the_paper_counted_and_here():
    table = med_sa_parameters.parameter_table()
    # ViT-H: 32 blocks of width 1280, two adapters each with a bottleneck of 80.
    encoder = 32 * 2 * (2 * 1280 * 80 + 80 + 1280)
    assert med_sa_parameters.counted_sam()["encoder"].trained == encoder
    assert 13e6 < encoder < med_sa_parameters.counted_sam()["Med-SA"].trained < 13.5e6
    assert table.loc["SAM", ["paper", "paper_trained", "counted_trained"]].tolist() == [636, 0, 0]
    assert table.loc["SAM", "counted"] == pytest.approx(641.090608)
    assert table.loc["nnU-Net", "counted"] == pytest.approx(16.54, abs=0.01)
    assert np.isnan(table.loc["BAT", "counted"])
    facts = {
        "name": "Med-SA",
        "title": "Med-SA",
        "seed": 1,
        "changes": [],
        "parameters": {"total": 3_000_000, "trainable": 50_000},
        "seconds": {"training": 1},
    }
    here = med_sa_parameters.parameter_table([SimpleNamespace(facts=facts)])  # fmt: skip
    assert here.loc["Med-SA", ["here", "here_trained"]].tolist() == [3.0, 0.05]
    assert np.isnan(here.loc["SAM", "here"])


def squares(sides, size=64):
    """Truths (N, 2, size, size): a square of each side from (30, 30) on, and one that is fixed."""
    masks = np.zeros((len(sides), 2, size, size), bool)
    for row, side in enumerate(sides):
        masks[row, 0, 30 : 30 + side, 30 : 30 + side] = True
        masks[row, 1, 2:6, 2:6] = True
    return masks


def fake_study(monkeypatch, images, truths, answers, **index):
    """A study of these rows, with records of answers by system and user."""
    names = [f"s{row}" for row in range(len(images))]
    view = SimpleNamespace(
        targets=("disc", "cup"),
        index=pd.DataFrame({"scan": names, **index}),
        load=lambda rows: (np.stack([images[row] for row in rows]),
                           np.stack([truths[row] for row in rows])),
    )  # fmt: skip
    monkeypatch.setattr(med_sa_study, "cohort_view", lambda profile, cohort: view)
    made = [
        SimpleNamespace(name=name, facts={"seed": 2, "changes": []}, answers={("eyes", user): said})
        for (name, user), said in answers.items()
    ]
    return SimpleNamespace(profile=None, cohort="eyes", made=made)


def test_answers_about_colour_pictures(monkeypatch):
    truths = squares([4, 8, 12, 16])
    found = squares([4, 2, 11, 8])  # of the target shown: perfect, worst, good, bad
    rows = np.arange(4)
    images = np.random.default_rng(0).random((4, 3, 64, 64)).astype(np.float32)
    given = Answers(rows, pack(found), 64)
    study = fake_study(
        monkeypatch, images, truths,
        {("nnU-Net", "nobody"): given, ("Med-SA", "box 0.75"): given}, slice=[0] * 4,
    )  # fmt: skip
    studies = {"med-sa-refuge": study}
    systems = ["nnU-Net", "TransUNet", "Med-SA"]
    shown = med_sa_study.shown_answers(studies, "optic disc", systems, 2, "box 0.75")
    assert [title.split("\n")[1] for title in shown.titles] == ["s0", "s3", "s1"]
    assert list(shown.masks) == ["nnU-Net", "Med-SA, box 0.75"]
    # Of s3 all that is marked lies in rows 30 to 45; with 12 around them that is 18 to 57.
    np.testing.assert_array_equal(shown.images[1], images[3, :, 18:58, 18:58].transpose(1, 2, 0))
    np.testing.assert_array_equal(shown.truths[1], truths[3, :1, 18:58, 18:58])
    np.testing.assert_array_equal(shown.masks["nnU-Net"][1], found[3, :1, 18:58, 18:58])
    # What the user said when the record was made: by the name of the case.
    said = find_user("box 0.75").prompts(torch.from_numpy(truths[3:]), ["eyes:s3:0"])
    np.testing.assert_array_equal(shown.boxes[1], said.boxes[0, :1] - 18)
    assert med_sa_study.shown_answers(studies, "optic disc", systems, 1, "box 0.75") is None
    figure = med_sa_figures.answer_grid(shown)
    texts = [axes.get_title() for axes in figure.axes[:3]]
    assert texts == ["truth", "nnU-Net\nalone", "Med-SA\ntold: box 0.75"]
    assert [len(axes.patches) for axes in figure.axes[:3]] == [0, 0, 1]  # who was told shows it


def test_answers_about_volumes_show_the_slice_with_most_in_it(monkeypatch):
    truths = squares([4, 8, 12]).repeat(5, axis=0).reshape(3, 5, 2, 64, 64).transpose(0, 2, 1, 3, 4)
    truths[:, :, [0, 4]] = False
    truths[:, 1, 3] = False
    truths[:, 0, 2, 20, 20] = True  # a voxel more in slice 2
    given = pack_volumes(np.arange(3), list(truths), 0.0)
    images = np.random.default_rng(0).random((3, 1, 5, 64, 64)).astype(np.float32)
    user = "3 random points"
    study = fake_study(
        monkeypatch, images, truths, {("Med-SA", f"{user}, every slice"): given}
    )  # fmt: skip
    shown = med_sa_study.shown_answers({"med-sa-brats": study}, "brain tumour", ["Med-SA"], 2, user)
    assert shown.titles[0] == "best\ns0, slice 2"
    np.testing.assert_array_equal(shown.images[0], images[0, 0, 2, :56, :56])
    said: UserPrompts = EverySlice(find_user(user)).prompts(
        torch.from_numpy(truths[:1]), ["eyes:s0"]
    )
    np.testing.assert_array_equal(shown.points[0], said.points[2].reshape(-1, 2))
    figure = med_sa_figures.answer_grid(shown)
    assert len(figure.axes) == 6


def test_studies_that_a_size_lacks_are_left_out(monkeypatch):
    there = {"sam_mix": None, "med_sa_isic": None, "med_sa_btcv_slices": None}
    monkeypatch.setattr(med_sa_study, "studies_of", lambda size: there)
    monkeypatch.setattr(med_sa_study, "read_study", lambda size, name: (size, name))
    assert med_sa_study.read_studies("real") == {
        name: ("real", name) for name in ("med-sa-btcv-slices", "med-sa-isic")
    }
    assert med_sa_study.shown_answers({}, "melanoma", ["Med-SA"], 1, "box 0.5") is None


def test_charts_draw_what_the_tables_have(cases):
    figure = med_sa_figures.overlap_chart(cases)
    axes = figure.axes[0]
    assert axes.get_title() == NODULE
    curves = [
        line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_marker() != "_"
    ]
    drawn = {tuple(np.array(line.get_ydata(), float).round(3)) for line in curves}
    assert {(0.225, 0.425), (0.525, 0.725), (0.725, 0.925)} <= drawn
    figure = med_sa_figures.ablation_chart(cases)
    assert [axes.get_title() for axes in figure.axes] == ["organs", NODULE]


def test_the_chart_of_levels_draws_who_was_told_and_the_best_who_was_not(cases):
    axes = med_sa_figures.levels_chart(cases).axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["organs", NODULE]
    markers = [line for line in axes.lines if line.get_linestyle() == "None"]
    of_nodules = [line for line in markers if line.get_ydata()[0] > 0.5]
    assert [round(float(line.get_xdata()[0]), 3) for line in of_nodules] == [
        0.325, 0.625, 0.825, 0.925
    ]  # fmt: skip
    assert [line.get_markerfacecolor() == "none" for line in of_nodules] == [False] * 3 + [True]
    assert [text.get_text() for text in axes.texts] == ["nnU-Net", "nnU-Net"]


def test_findings_are_sentences_about_the_records(cases):
    said = med_sa_findings.findings(cases, audit_med_sa(cases))
    levels, adapters, boxes, ablation, claims = said
    assert "thyroid nodule* SAM 0.33, MedSAM 0.62, Med-SA 0.83, without a prompt nnU-Net 0.93" in (
        levels
    )
    assert "4 comparisons: **ahead 4**. *thyroid nodule* +0.200 to +0.200" in adapters
    assert "*organs*" in ablation
    assert "Med-SA" in ablation
    assert boxes.endswith("SAM +0.200 to +0.200; MedSAM +0.200 to +0.200; Med-SA +0.200 to +0.200.")
    assert claims.startswith("Of 36 claims")


def test_a_study_without_records_is_named_with_the_command_that_makes_them():
    (said,) = med_sa_findings.missing_records(["med-sa-isic", "med-sa-btcv"], ["med-sa-isic"], "x")
    assert "`med-sa-btcv`" in said
    assert "isic" not in said
    assert "`samnb run --all --profile x --study`" in said
    assert med_sa_findings.missing_records(["med-sa-isic"], ["med-sa-isic"], "x") == []
    nothing = med_sa.all_cases({})
    assert med_sa_findings.findings(nothing, audit_med_sa(nothing))[:-1] == []


def test_the_overview_of_tasks_has_our_rows_with_numbers(cases):
    whole = med_sa.all_tasks(cases)
    table = med_sa.tasks_overview(whole)
    assert list(table.filter(regex="^(?!.*_place)")) == list(med_sa.TASKS)
    assert {"Med-SA, box 0.75", "Med-SA, point"} <= set(table.index)
    assert not [name for name in table.index if name.startswith("· paper")]
    assert table[list(med_sa.TASKS)].notna().any(axis=1).all()
    assert table.loc["Med-SA, box 0.75", NODULE] == whole.loc["Med-SA, box 0.75", NODULE]
