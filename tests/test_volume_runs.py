"""Studies whose networks see volumes: a phantom cohort, one loop, one record, users in 3D."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from samnb.base.errors import SamnbError
from samnb.evaluation.metrics import hausdorff
from samnb.method import Answer, Batch, Method, UserPrompts
from samnb.prompts.by_slice import find_volume_user
from samnb.prompts.users import find_user
from samnb.runs import keys
from samnb.runs.certification.rehearsal import STAGES, trace
from samnb.runs.counted import code_of
from samnb.runs.keys import identify, key
from samnb.runs.records import load_cases, run_of
from samnb.runs.remeasure import answers_hold, measure_again
from samnb.runs.run import Run
from samnb.runs.runner import load_method, make_record, plan, state
from samnb.runs.volumes import users_of
from samnb.studies import load_profile, names
from samnb.studies.cohorts import cohort_split, cohort_volumes
from samnb.studies.volumes import labelled_volumes, sees_volumes
from samnb.systems import registry
from samnb.systems.system import Declared, System, channels_of

PROFILE = """
name: small_volumes
seed: 5
data:
  cohorts:
    brats:
      layout: brats
      targets: [whole tumour, tumour core]
      channels: [flair, t1ce]
      phantom: {kind: brats18, patients: 5, side: 32}
  view: volumes
  volumes: {spacing: [12, 9, 9], window_width: null, window_center: null}
  patches: {size: [8, 32, 32]}
  splits:
    brats: {train: 2, validation: 1, test: 2}
  labelled: [1, 2]
seeds: [1]
users: [point, box 0.75, 3 clicks]
unet_3d: {width: 4, mirror: false}
learning:
  unet_3d: {epochs: 2, steps_per_epoch: 2, batch: 2, marked: 2, validations: 2, precision: float32}
  asked: {epochs: 1, steps_per_epoch: 2, batch: 2, marked: 2, validations: 0, precision: float32}
  sam: {batch: 2, precision: float32}
plan: {systems: [unet_3d]}
"""


class Asked(Method):
    """Balls of a learned radius about the points of a user; what a click calls outside is cut out.

    Boxes are filled.
    """

    def __init__(self):
        super().__init__()
        self.radius = nn.Parameter(torch.tensor(3.0))  # voxels

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": (self.radius / 10 - batch.masks.float().mean()).square()}

    @torch.no_grad()
    def answer(self, images: Tensor, prompts: UserPrompts | None = None) -> Answer:
        grid = torch.stack(torch.meshgrid(*map(torch.arange, images.shape[2:]), indexing="ij"), -1)
        if prompts.boxes is not None:
            low, high = prompts.boxes[:, :, None, None, None].unflatten(-1, (2, 3)).unbind(-2)
            return Answer(((grid + 0.5 > low) & (grid + 0.5 < high)).all(dim=-1))
        masks = torch.zeros(*prompts.labels.shape[:2], *images.shape[2:], dtype=torch.bool)
        for number in range(prompts.labels.shape[2]):
            middle, label = (part[:, :, number, None, None, None]
                             for part in (prompts.points, prompts.labels))  # fmt: skip
            ball = (grid - middle).square().sum(dim=-1) < self.radius**2
            masks = torch.where(ball & (label >= 0), label == 1, masks)
        return Answer(masks)


def build_asked(profile: Declared, seed: int) -> Asked:
    return Asked()


ASKED = System(
    "Asked", build_asked, {}, "asked", labels="either", prompted=True, views=("volumes",)
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("volumes")


@pytest.fixture
def profile(folder, tmp_path, monkeypatch):
    """Phantoms and volumes are shared between the tests, results are not."""
    monkeypatch.setenv("SAMNB_DATA", str(folder))
    monkeypatch.setenv("SAMNB_RESULTS", str(tmp_path / "results"))
    monkeypatch.setitem(registry.SYSTEMS, "asked", ASKED)
    path = tmp_path / "small.yaml"
    path.write_text(PROFILE)
    return load_profile(path)


@pytest.fixture
def volumes(profile):
    return cohort_volumes(profile, "brats", workers=1)


def test_a_study_of_volumes_is_trained_and_examined_into_one_record(profile, volumes):
    (run,) = [each for each in plan(profile) if each.labels == 2]
    assert run.system == "unet_3d"
    record = make_record(run, progress=False)
    facts = record.facts
    assert [note["step"] for note in facts["validation"]] == [2, 4]
    assert facts["history"][-1]["step"] == 4
    assert facts["multiply_adds"] > 0
    assert facts["milliseconds_per_volume"] > 0
    assert facts["users"] == ["nobody"]
    tested = cohort_split(profile, "brats").test
    scans = record.scans
    assert len(record.slices) == 0
    assert scans["target"].tolist() == ["whole tumour"] * 2 + ["tumour core"] * 2
    assert set(scans["patient"]) == set(tested)
    mean = scans["dice"].mean()
    assert facts["summary"]["brats"]["dice"] == pytest.approx(mean, abs=1e-5)
    assert load_cases(profile, "scans")["system"].unique().tolist() == [record.name]
    assert run_of(record, profile) == run
    assert state(run) == "fresh"
    assert make_record(run, progress=False).facts == facts
    method = load_method(run, progress=False)
    (row,) = volumes.rows_of(tested[:1])
    images, _ = volumes.load([row])
    kept = record.answers["brats", "nobody"]
    place = kept.rows.tolist().index(row)
    found = method.answer(torch.from_numpy(images)).masks[0].numpy()
    assert np.array_equal(kept.masks(place), found)


def test_who_asks_slice_by_slice_is_recorded_so_and_counts_in_the_key(
    profile, volumes, monkeypatch
):
    whole = identify(Run(profile, "asked", 1, 1)).settings["system"]
    monkeypatch.setitem(registry.SYSTEMS, "asked", replace(ASKED, by_slice=True))
    run = Run(profile, "asked", 1, 1)
    assert identify(run).settings["system"] == whole | {"by slice": True}
    assert [str(user) for user in users_of(run)] == [
        "point, every slice", "box 0.75, every slice", "3 clicks, every slice",
    ]  # fmt: skip
    assert [find_volume_user(str(user)) for user in users_of(run)] == users_of(run)


def test_a_record_of_slice_by_slice_says_who_prompted_and_is_measured_again(profile, volumes):
    changes = ("data.volumes.size=[4, 64, 64]", "data.cohorts.brats.channels=[flair]",
               "sam.side=64", "users=[point, box 0.75]")  # fmt: skip
    run = Run(profile, "sam_by_slice", 0, 1, changes)
    record = make_record(run, progress=False)
    users = ["point, every slice", "box 0.75, every slice"]
    assert record.facts["users"] == users
    assert record.scans["user"].unique().tolist() == users
    assert state(run) == "fresh"
    again = measure_again(run, identify(run), record)
    assert again.scans.equals(record.scans)


def test_users_prompt_in_volumes_and_are_measured_in_mm_and_voxels(profile, volumes):
    run = Run(profile, "asked", 1, 1)
    record = make_record(run, progress=False)
    users = ["point", "box 0.75", "3 clicks"]
    assert record.facts["users"] == users
    assert record.is_prompted
    scans = record.scans
    assert scans.groupby("user").size().to_dict() == dict.fromkeys(users, 4)
    method = load_method(run, progress=False)
    assert method.radius != 3  # it has learned
    row = volumes.rows_of(cohort_split(profile, "brats").test)[1]
    images, truths = (torch.from_numpy(part) for part in volumes.load([row]))
    name = volumes.index.loc[row, "scan"]
    user, answer, prompts = find_user("3 clicks"), None, None
    for _ in range(3):
        prompts = user.prompts(truths.bool(), [f"brats:{name}"], answer, prompts)
        answer = method.answer(images, prompts).masks
    kept = record.answers["brats", "3 clicks"]
    found = kept.masks(kept.rows.tolist().index(row))
    assert np.array_equal(found, answer[0].numpy())
    (measured,) = scans[(scans["user"] == "3 clicks") & (scans["scan"] == name)
                        & (scans["target"] == "tumour core")].itertuples()  # fmt: skip
    pair = found[1], truths[0, 1].numpy().astype(bool)
    assert volumes.spacing(row)[0] > 1.2 * volumes.spacing(row)[1]
    assert measured.hd95 == pytest.approx(
        hausdorff(*pair, volumes.spacing(row), percentile=95), rel=1e-4
    )
    assert measured.hd95_voxels == pytest.approx(hausdorff(*pair, percentile=95), rel=1e-4)
    assert measured.truth_voxels == pair[1].sum() > 0
    assert measured.answer_voxels == pair[0].sum()


def test_a_record_of_volumes_is_measured_again_from_its_answers(profile):
    run = Run(profile, "asked", 2, 1)
    record = make_record(run, progress=False)
    before, cases = identify(run), record.cases
    assert answers_hold(record, before)
    again = measure_again(run, before, record)
    assert again.cases.equals(cases)
    assert again.all_pictures == {}
    assert again.facts["summary"] == record.facts["summary"]


def test_labelled_volumes_are_of_training_patients_and_nested(profile, volumes):
    few, more = (labelled_volumes(profile, "brats", count) for count in (1, 2))
    assert few[0] == more[0]
    assert set(volumes.index.loc[more, "patient"]) == set(cohort_split(profile, "brats").train)
    assert (volumes.labels[more] == 1).any(axis=1).all()
    assert np.array_equal(Run(profile, "asked", 1, 1).data.marked, few)
    assert np.array_equal(np.sort(Run(profile, "asked", None, 1).data.marked), np.sort(more))
    with pytest.raises(SamnbError, match="3 labelled volumes are asked for, but only 2"):
        labelled_volumes(profile, "brats", 3)


def _with(profile, **changed):
    return replace(profile, data=replace(profile.data, **changed))


def test_what_a_run_on_volumes_depends_on_changes_its_key(profile):
    run, data = Run(profile, "unet_3d", 1, 1), profile.data
    before = key(run)
    same = _with(profile, slices=replace(data.slices, side=96))
    assert key(Run(same, "unet_3d", 1, 1)) == before
    for other in (
        _with(profile, patches=replace(data.patches, around_target=0.5)),
        _with(profile, volumes=replace(data.volumes, spacing=(12.0, 12.0, 12.0))),
        replace(profile, unet_3d=replace(profile.unet_3d, mirror=True)),
    ):
        assert key(Run(other, "unet_3d", 1, 1)) != before
    assert key(Run(profile, "unet_3d", 2, 1)) != before


def test_a_run_on_volumes_counts_the_code_that_cuts_patches_and_measures(profile):
    code = code_of(Run(profile, "unet_3d", 1, 1))
    named = {
        stage: {f"{each.module}.{each.name}" for each in found} for stage, found in code.items()
    }
    assert {"samnb.data.patches.patches", "samnb.training.patches._patch",
            "samnb.networks.volume_plan.layout"} <= named["weights"]  # fmt: skip
    assert "samnb.data.grid.volume_geometry" in named["slices"]
    assert "samnb.evaluation.volumes.by_windows" in named["weights"]
    assert "samnb.evaluation.volumes.measure_volume_answers" in named["measures"]
    assert "samnb.evaluation.volumes.measure_volume_answers" not in named["answers"]
    assert "samnb.data.slices.join_parts" not in named["slices"]


@pytest.mark.parametrize("name", ["smoke", "pocket_lunch_synapse"])
def test_no_run_on_slices_reaches_what_volumes_need(name):
    profile = load_profile(name)
    assert not sees_volumes(profile)
    for system in {each.system: each for each in plan(profile)}.values():
        files = {each.file for found in code_of(system).values() for each in found}
        of_volumes = {file for file in files if "volume" in file or "patch" in file}
        assert of_volumes <= {"samnb/data/volume.py"}, system  # which reads every scan


# Of a pocket run of U-Net with 50 labels and seed 1, before studies could see volumes.
KNOWN = "a1e51e7b5e971963"


def test_settings_of_a_run_on_slices_are_named_as_before_there_were_volumes():
    """By what its settings are a record is known: none of volumes may slip in."""
    for name in names():
        profile = load_profile(name)
        if sees_volumes(profile):
            continue
        for run in {each.system: each for each in plan(profile)}.values():
            assert not {"view", "volumes", "patches"} & set(keys._settings(run)), run
    assert keys.hash_of(keys._settings(Run(load_profile("pocket"), "unet", 50, 1))) == KNOWN


def test_a_view_that_a_system_cannot_see_is_one_readable_error(profile):
    assert {run.system for run in plan(profile)} == {"unet_3d"}
    with pytest.raises(SamnbError, match=r"U-Net sees slices, and .* small_volumes shows volumes"):
        make_record(Run(profile, "unet", 1, 1), progress=False)
    with pytest.raises(SamnbError, match=r"sees volumes, and .* shows slices"):
        make_record(Run(_with(profile, view="slices"), "unet_3d", 1, 1), progress=False)
    with pytest.raises(SamnbError, match="No view 'patches'"):
        sees_volumes(_with(profile, view="patches"))
    for lost in ("volumes", "patches"):
        with pytest.raises(SamnbError, match="sees volumes and does not say which"):
            sees_volumes(_with(profile, **{lost: None}))


def test_a_system_is_told_of_channels_and_patches(profile):
    shown = Declared(profile, (), "it").data
    assert (shown.channels, shown.patches.size) == (2, (8, 32, 32))
    assert shown.spacing == (12, 9, 9)
    assert not hasattr(shown, "slices")
    cohort = profile.data.cohorts["brats"]
    assert channels_of(replace(cohort, channels=())) == 4
    assert channels_of(replace(cohort, layout="lits", channels=())) == 1
    assert channels_of(replace(cohort, layout="isic", channels=())) == 3


def test_a_run_on_volumes_can_be_rehearsed(profile):
    """As `samnb certify` does: killed, resumed, every stage noted, the same again."""
    run = Run(profile, "asked", 1, 1)
    noted = trace(run)
    assert all(noted[stage] for stage in STAGES)
    assert len([what for what, _ in noted["batches"] if what == "step 5"]) == 1
    assert trace(run) == noted
