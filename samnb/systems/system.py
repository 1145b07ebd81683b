"""What the registry knows of a system, and the door through which it sees a profile."""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from torch import nn

from samnb.base.errors import SamnbError
from samnb.data.layouts import CHANNELS
from samnb.data.settings import CohortSettings
from samnb.training.settings import LearningSettings

COLOURED = {"refuge", "isic"}  # layouts of photographs
UNTAUGHT = ("nothing", "as first")  # labels of systems that are not trained themselves


@dataclass(frozen=True)
class System:
    """How a system is made and what it learns from.

    title: as tables print it. build: (profile, seed), or (profile, seed, finished first system),
    to a `Method` ready to be trained. settings: the sections of the profile that `build` reads, and
    what they are; it is shown no others. learning: which of the profile's settings for learning.
    first: the system that is trained before. labels: what it may see of the training patients:
    "nothing"; "image" labels only; "few": those, and the masks of the labelled slices; "either":
    the masks of the labelled slices alone, or, asked for without a number, all masks; "as first":
    what the first system saw, and nothing more is learned. schedule:
    from the profile to settings for learning of its own. prompted: it answers users who prompt;
    others find their own prompts, or need none. needs_target: a slice without any target teaches it
    nothing, so none is shown. views: what it can see, "slices", "volumes" or both. by_slice: users
    prompt each slice of a volume on its own.
    """

    title: str
    build: Callable[..., nn.Module]
    settings: dict[str, type] = field(default_factory=dict)
    learning: str = "sam"
    first: str | None = None
    labels: str = "few"
    schedule: Callable[..., LearningSettings] | None = None
    prompted: bool = False
    needs_target: bool = False
    views: tuple[str, ...] = ("slices",)
    by_slice: bool = False


def channels_of(cohort: CohortSettings) -> int:
    """Channels of the cohort's images: those it names, else all that its layout has."""
    if cohort.layout in COLOURED:
        return 3
    return len(cohort.channels or CHANNELS.get(cohort.layout, ("grey",)))


class Declared:
    """A profile of which only declared parts can be read, so that a run's key misses none.

    Of `data` everyone may know how slices are made, how many channels they have, which targets
    there are and whether they exclude each other, and nothing else. In a study of volumes it is
    their patches and their spacing (mm, or None) in place of the slices.
    """

    def __init__(self, profile: Any, parts: tuple[str, ...], who: str):
        self._profile, self._parts, self._who = profile, parts, who
        data = profile.data
        cohort = next(iter(data.cohorts.values()))
        seen = {"slices": data.slices}
        if data.view == "volumes":
            seen = {"patches": data.patches, "spacing": data.volumes.spacing}
        self.data = SimpleNamespace(
            **seen, channels=channels_of(cohort), targets=cohort.targets, exclusive=data.exclusive
        )

    def __getattr__(self, name: str) -> Any:
        if name in self._parts or name.startswith("__"):
            return getattr(self._profile, name)
        raise SamnbError(
            f"{self._who} reads `{name}` of the profile and does not say so.",
            "name it in the `settings` of its `System`.",
        )
