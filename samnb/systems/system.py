"""What the registry knows of a system, and the door through which it sees a profile."""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from torch import nn

from samnb.base.errors import SamnbError
from samnb.training.settings import LearningSettings

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
    nothing, so none is shown.
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


class Declared:
    """A profile of which only declared parts can be read, so that a run's key misses none.

    Of `data` everyone may know how slices are made, which targets there are and whether they
    exclude each other, and nothing else.
    """

    def __init__(self, profile: Any, parts: tuple[str, ...], who: str):
        self._profile, self._parts, self._who = profile, parts, who
        data = profile.data
        targets = next(iter(data.cohorts.values())).targets
        self.data = SimpleNamespace(slices=data.slices, targets=targets, exclusive=data.exclusive)

    def __getattr__(self, name: str) -> Any:
        if name in self._parts or name.startswith("__"):
            return getattr(self._profile, name)
        raise SamnbError(
            f"{self._who} reads `{name}` of the profile and does not say so.",
            "name it in the `settings` of its `System`.",
        )
