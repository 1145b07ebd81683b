"""What a run may be asked for: systems that see the profile's images, and cohorts alike."""

from dataclasses import replace

import pytest

from samnb.base.errors import SamnbError
from samnb.data.settings import CohortSettings, SplitSettings
from samnb.runs.run import Run
from samnb.runs.views import check_view
from samnb.studies import Profile, load_profile, names

SKIN = load_profile("pocket", "med-sa-isic")


def with_another(profile: Profile, layout: str, target: str, **more) -> Profile:
    """The profile with a second cohort, of which patients are tested on."""
    cohorts = {**profile.data.cohorts, "other": CohortSettings(layout, (target,), **more)}
    splits = {**profile.data.splits, "other": SplitSettings(test=3)}
    return replace(profile, data=replace(profile.data, cohorts=cohorts, splits=splits))


@pytest.mark.parametrize("system", ["sam", "med_sa", "medsam", "med_lora"])
def test_who_learns_from_colour_is_not_tested_on_grey(system):
    labels = 0 if system == "sam" else None
    with pytest.raises(SamnbError, match="isic, which is learned from, has 3 channels, and other, "
                       "which is tested on, one channel") as caught:  # fmt: skip
        check_view(Run(with_another(SKIN, "ultrasound", "nodule"), system, labels, 1))
    assert "\n" not in caught.value.what
    assert caught.value.remedy
    check_view(Run(with_another(SKIN, "refuge", "disc"), system, labels, 1))


def test_who_learns_from_grey_is_not_tested_on_colour():
    thyroid = load_profile("pocket", "med-sa-thyroid")
    with pytest.raises(SamnbError, match=r"has one channel, and other.*3 channels"):
        check_view(Run(with_another(thyroid, "isic", "lesion"), "med_sa", None, 1))


@pytest.mark.parametrize("name", names())
def test_no_committed_study_mixes_them(name):
    profile = load_profile(name)
    system = "sam_by_slice" if profile.data.view == "volumes" else "sam"
    check_view(Run(profile, system, 0, 1))
