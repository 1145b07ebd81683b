"""A profile: all settings of one study at one size, read from YAML into frozen dataclasses.

What every study has stands here. Each system brings sections of its own, such as `unet: {width: 8}`
(see `samnb.systems.system`), so that a new system changes nothing in this file.
"""

from dataclasses import MISSING, dataclass, field, fields, is_dataclass, make_dataclass
from types import UnionType
from typing import Any, get_args, get_origin

from samnb.base.errors import SamnbError
from samnb.data.settings import DataSettings
from samnb.data.synthesis import SynthesisSettings
from samnb.systems.registry import sections
from samnb.training.settings import AdaptationSettings, LearningSettings


@dataclass(frozen=True)
class ChangedSettings:
    """One system with one setting changed: an ablation, or a variant worth every seed."""

    system: str
    labels: tuple[int | None, ...]  # null: all masks
    seeds: tuple[int, ...]
    # Such as prompting.threshold=0.3; several with spaces between them. None: the profile as it is,
    # with these numbers of labels alone.
    change: str = ""


@dataclass(frozen=True)
class PlanSettings:
    """The runs behind the tables: every number of labels and every seed of some systems."""

    systems: tuple[str, ...] = ()  # none named: all that the profile says how to teach
    labels: tuple[int, ...] = ()  # only these numbers of labelled slices; none named: all
    changed: tuple[ChangedSettings, ...] = ()


@dataclass(frozen=True)
class Common:
    """What is said of every study. Systems add sections to it: see `Profile`."""

    name: str
    seed: int
    data: DataSettings
    seeds: tuple[int, ...] = (1, 2, 3)  # of the runs
    users: tuple[str, ...] = ("nobody",)  # who prompts at test time; the first while training too
    learning: dict[str, LearningSettings] = field(default_factory=dict)  # by kind of system
    adaptation: AdaptationSettings = field(default_factory=AdaptationSettings)
    plan: PlanSettings = field(default_factory=PlanSettings)
    synthesis: SynthesisSettings = field(default_factory=SynthesisSettings)
    protocol: str = "slices"  # how answers are measured; "volumes": as papers on volumes do


Profile = make_dataclass(
    "Profile",
    [(name, kind, field(default_factory=kind)) for name, kind in sections().items()],
    bases=(Common,),
    frozen=True,
)
Profile.__module__ = __name__  # so that worker processes find it


def build(kind: Any, value: Any, where: str) -> Any:
    """Turn plain YAML `value` into `kind`, naming the place of anything unknown or missing."""
    origin = get_origin(kind)
    if origin is UnionType:
        if value is None:
            return None
        kind = next(option for option in get_args(kind) if option is not type(None))
        origin = get_origin(kind)
    if is_dataclass(kind):
        return _build_dataclass(kind, value, where)
    if origin is dict:
        return {
            key: build(get_args(kind)[1], item, f"{where}: {key}") for key, item in value.items()
        }
    if origin is tuple:
        return tuple(build(get_args(kind)[0], item, where) for item in value)
    if kind is float and isinstance(value, int):
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise SamnbError(
            f"{where}: expected {kind.__name__}, found {value!r}.", "mend the profile."
        )
    return value


def _build_dataclass(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise SamnbError(f"{where}: expected settings, found {value!r}.", "mend the profile.")
    known = {item.name: item for item in fields(kind)}
    if unknown := sorted(set(value) - set(known)):
        raise SamnbError(
            f"{where}: unknown setting {', '.join(unknown)}.", f"known ones are {', '.join(known)}."
        )
    missing = [
        name
        for name, item in known.items()
        if name not in value and item.default is MISSING and item.default_factory is MISSING
    ]
    if missing:
        raise SamnbError(f"{where}: missing setting {', '.join(missing)}.", "add it.")
    return kind(
        **{name: build(known[name].type, item, f"{where}: {name}") for name, item in value.items()}
    )
