"""Studies and sizes: a profile is found by size and study, and each size can make what it plans."""

import pytest

from samnb.base.errors import SamnbError
from samnb.runs import train
from samnb.runs.runner import label_counts, plan
from samnb.studies import load_profile, names, studies_of
from samnb.systems.registry import find_system
from samnb.systems.system import Declared

LUNCH = [name for name in names() if "lunch" in name]
SIZES = ("smoke", "pocket", "paper", "rehearse")


def test_a_size_has_several_studies_and_the_spine_comes_first():
    for size in SIZES:
        found = studies_of(size)
        assert list(found)[:3] == ["sam_mix", "cheap_lunch_brats", "cheap_lunch_synapse"]
        assert found["sam_mix"] == load_profile(size)
    tasks = (
        *("boxes", "brats", "brats_3d", "brats_slices", "btcv", "btcv_3d", "btcv_slices"),
        *("few", "isic", "refuge", "thickness", "thyroid"),
    )
    assert list(studies_of("pocket", "med-sa")) == [f"med_sa_{task}" for task in tasks]
    assert list(studies_of("pocket", "cheap-lunch")) == ["cheap_lunch_brats", "cheap_lunch_synapse"]
    assert list(studies_of("pocket", "Cheap-Lunch-Brats")) == ["cheap_lunch_brats"]
    assert "sam_mix" not in studies_of("real")


def test_another_profile_or_a_file_of_ones_own_stands_for_itself(tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("extends: pocket/sam_mix\nname: own\nseed: 7\n")
    assert list(studies_of("real_brain")) == ["real_brain"]
    assert list(studies_of(own)) == ["own"]


@pytest.mark.parametrize(
    ("profile", "study", "name"),
    [
        ("pocket", "cheap-lunch-brats", "pocket_lunch_brats"),
        ("pocket", "SAM_Mix", "pocket"),
        ("pocket_lunch_brats", None, "pocket_lunch_brats"),
        ("pocket_lunch_brats", "cheap-lunch-synapse", "pocket_lunch_synapse"),
        ("real_brain", "ct", "real_ct"),
    ],
)
def test_a_profile_is_found_by_size_and_study(profile, study, name):
    assert load_profile(profile, study).name == name


def test_ones_own_file_has_the_other_studies_of_what_it_extends(tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("extends: smoke/cheap_lunch_brats\nname: own\n")
    assert load_profile(own, "cheap-lunch-brats").name == "own"
    assert load_profile(own, "cheap-lunch-synapse").name == "smoke_lunch_synapse"
    own.write_text("name: own\n")
    with pytest.raises(SamnbError, match=r"own\.yaml says not at which size"):
        load_profile(own, "cheap-lunch-synapse")


@pytest.mark.parametrize(
    ("profile", "study", "said"),
    [
        ("pocket", "dinner", "No study 'dinner' of the size pocket.*cheap_lunch_brats"),
        ("pocket", "cheap-lunch", "No study 'cheap-lunch' of the size pocket.*cheap_lunch_synapse"),
        ("real", None, "The size real has several studies.*cheap_lunch_brain"),
        ("huge", "sam-mix", "No profile 'huge'"),
        ("real_brain", "dinner", "No study 'dinner' of the size real"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(profile, study, said):
    with pytest.raises(SamnbError, match=said):
        load_profile(profile, study)


@pytest.mark.parametrize("name", ["pocket_med_sa_btcv_3d", "pocket_med_sa_brats_3d"])
def test_networks_for_volumes_take_the_patches_of_their_study(name):
    profile = load_profile(name)
    for system in profile.plan.systems:
        found = find_system(system)
        network = found.build(Declared(profile, tuple(found.settings), found.title), 0)
        assert network.patch == tuple(profile.data.patches.size)


@pytest.mark.parametrize("name", LUNCH)
def test_every_planned_run_can_be_asked_for_and_says_how_it_learns(name):
    profile = load_profile(name)
    runs = plan(profile)
    assert len(runs) == len({run.folder for run in runs}) > 2
    for run in runs:
        assert run.labels in label_counts(run.settings, run.system)
        assert train.learning(run) == run.settings.learning[find_system(run.system).learning]


@pytest.mark.parametrize("study", ["cheap_lunch_brats", "cheap_lunch_synapse"])
def test_the_smallest_and_the_rehearsed_size_have_every_system_of_the_book(study):
    wanted = {run.system for run in plan(load_profile("pocket", study))}
    for size in ("smoke", "rehearse"):
        assert {run.system for run in plan(load_profile(size, study))} == wanted
    assert {run.system for run in plan(load_profile("paper", study))} == wanted


@pytest.mark.parametrize(
    ("real", "pocket"),
    [
        ("cheap_lunch_brain", "cheap_lunch_brats"),
        ("cheap_lunch_organs", "cheap_lunch_synapse"),
        ("med_sa_organs", "med_sa_btcv"),
        ("med_sa_brain_3d", "med_sa_brats"),
        ("med_sa_flair", "med_sa_thyroid"),
        ("med_sa_skin", "med_sa_isic"),
        ("med_sa_polyp", "med_sa_isic"),
    ],
)
def test_real_images_are_learned_from_as_phantoms_are(real, pocket):
    """Whatever a system of the real study reads, but for its data, is as in the pocket one."""
    here, there = load_profile("real", real), load_profile("pocket", pocket)
    patches = there if here.data.view == "slices" else load_profile("pocket", f"{pocket}_3d")
    known = there.learning | patches.learning
    assert here.learning == {name: known[name] for name in here.learning}
    systems = [find_system(run.system) for run in plan(here)]
    assert set(here.learning) == {system.learning for system in systems}
    for section in {"sam", "synthesis", *(name for each in systems for name in each.settings)}:
        assert getattr(here, section) == getattr(patches, section)
    assert (here.users, here.data.exclusive) == (there.users, there.data.exclusive)
    if here.data.view == "volumes":
        assert here.data.patches == there.data.patches
        assert here.data.volumes.size[1:] == there.data.volumes.size[1:]


def test_what_the_paper_says_in_numbers():
    brats, synapse = (load_profile("paper", f"cheap-lunch-{data}") for data in ("brats", "synapse"))
    sizes = brats.data.splits["brats"]
    assert (sizes.train, sizes.test, sizes.validation) == (228, 57, 0)  # of 285
    assert (brats.data.labelled, brats.synthesis.images) == ((75, 150, 450), 4500)
    sizes = synapse.data.splits["synapse"]
    assert (sizes.train, sizes.test, len(set(sizes.tested))) == (18, 12, 12)
    assert (synapse.data.labelled, synapse.synthesis.images) == ((1, 9, 18, 36), 1800)
    window = synapse.data.slices
    low = window.window_center - window.window_width / 2
    assert (low, low + window.window_width) == (-125, 275)
    for each in (brats, synapse):
        assert (each.sam.size, each.sam.lora.rank, each.sam.lora.decoder) == ("vit_b", 4, True)
        learning = each.learning["cheap_lunch"]
        assert (learning.optimiser, learning.learning_rate) == ("adamw", 1e-3)
        # A pass over the synthetic images is an epoch.
        assert learning.steps_per_epoch == -(-each.synthesis.images // learning.batch)


def test_a_system_whose_first_stage_the_profile_cannot_train_is_not_planned():
    for size in ("smoke", "pocket", "paper"):
        assert "med_sa_self" not in {run.system for run in plan(load_profile(size))}
    assert "med_sa_self" in {run.system for run in plan(load_profile("pocket_med_sa_brats_slices"))}
