"""Profiles: one code path, several sizes. A profile is a YAML file read into frozen dataclasses."""

from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from types import SimpleNamespace, UnionType
from typing import Any, get_args, get_origin

import yaml

from samnb.base.errors import SamnbError

FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True)
class PhantomSettings:
    """Which procedural cohort stands in for the real one, and how large."""

    kind: str
    patients: int
    side: int = 256  # in-plane matrix of the largest field of view, pixels


@dataclass(frozen=True)
class FolderSettings:
    """For the layout "folder", in place of its `cohort.yaml`: see data/README.md."""

    image: str | None = None
    label: str | None = None
    patient: str | None = None
    targets: dict[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class CohortSettings:
    """One cohort: folder layout, target structure, and its phantom or its real folder."""

    layout: str
    target: str
    phantom: PhantomSettings | None = None
    folder: str | None = None  # below the root; absolute paths are taken as they are
    root: str = "data"  # "data": the data root, $SAMNB_DATA; "real": $SAMNB_REAL
    rules: FolderSettings | None = None  # null: those of the folder's cohort.yaml, if it has one
    members: str | None = None  # regular expression: patients in whose name it is found, no others


@dataclass(frozen=True)
class SliceSettings:
    """How scans become slices (SAM-Mix, section 3.2)."""

    side: int = 256
    window_width: float | None = 400.0  # HU; null: scale each scan from its own minimum to maximum
    window_center: float | None = 40.0
    middle: float = 0.3  # central fraction of the slices that is kept; 1 keeps all


@dataclass(frozen=True)
class SplitSettings:
    """Patients per split; what is not named is empty."""

    train: int = 0
    validation: int = 0
    test: int = 0
    blocks: int = 1  # neighbours in natural order that go together, where they may be one person


@dataclass(frozen=True)
class DataSettings:
    cohorts: dict[str, CohortSettings]
    splits: dict[str, SplitSettings]
    slices: SliceSettings = field(default_factory=SliceSettings)
    labelled: tuple[int, ...] = (5, 50, 100)


@dataclass(frozen=True)
class LoraSettings:
    """Low-rank adaptation: rank r, scale alpha / r, and the layers it enters."""

    rank: int = 8
    alpha: float = 8.0
    encoder: str = "qv"  # "qv": query and value rows of the fused qkv; "qkv": all of it
    decoder: bool = False  # also the attention of the mask decoder


@dataclass(frozen=True)
class AdaptationSettings:
    """How an adapter is taught on labelled slices with given boxes."""

    steps: int = 40
    batch: int = 8  # slices per step
    learning_rate: float = 1e-3


@dataclass(frozen=True)
class SamSettings:
    size: str = "pocket"  # pocket, vit_b, vit_l, vit_h
    side: int = 128  # input side, pixels
    weights: str | None = "published"  # or the path of a file; null: random, to rehearse
    lora: LoraSettings = field(default_factory=LoraSettings)
    trained: tuple[str, ...] = ()  # parts trained whole beside the adapter, e.g. mask_decoder
    adaptation: AdaptationSettings = field(default_factory=AdaptationSettings)


@dataclass(frozen=True)
class ClassifierSettings:
    """The classifier whose activation maps become prompts (ResNet38)."""

    width: float = 1.0  # of every layer's channels, as a share of the published ones
    channels: int = 3  # 3: the published trunk, grey is tripled
    gamma: float = 2.0  # focus of the focal loss (Eq. 3)
    alpha: float = 0.25  # weight of the positive class in it; the negative class has the rest


@dataclass(frozen=True)
class PromptingSettings:
    """How an activation map becomes a box (Eq. 5 to 8)."""

    threshold: float = 0.5  # omega: share of the map's maximum above which a pixel is active
    regions: str = "one"  # "one" box around all active pixels, or "each" connected region its own
    margin: float = 0.0  # widens the box on every side, as a share of its side
    jitter: float = 0.1  # noise on the edges of boxes while training, as a share of the box's side
    activation: str = "evidence"  # "evidence": w1 - w0; "class": the letter of Eq. 4


@dataclass(frozen=True)
class MixSettings:
    """What the paper leaves open about training classifier and SAM together."""

    segmentation: float = 1.0  # weight of the Dice loss beside the classification loss
    guidance: float = 1.0  # weight of the loss between map and mask, in the guided form
    choice: str = "single"  # SAM's answer: its "single" mask, or the "best" scored of the three


@dataclass(frozen=True)
class ImprovedSettings:
    """What the improved SAM-Mix adds to the guided form, each step on a switch of its own."""

    soft: bool = True  # the map also enters SAM as its mask prompt
    pooling: str = "peak"  # "average": Eq. 2; "peak": log of the mean odds of all places
    negatives: float = 1.0  # weight of the loss that keeps maps of slices without target low
    augmented: bool = True  # turn, zoom, contrast
    mirrored: bool = False  # left and right too; only where they are alike
    warmup: int = 0  # first steps, in which SAM learns in boxes of the truth
    calibrated: bool = True  # when to be silent is settled on the validation patients


@dataclass(frozen=True)
class LearningSettings:
    """How long and how fast a kind of system learns."""

    epochs: int = 10
    steps_per_epoch: int | None = None  # null: one pass over the training slices
    batch: int = 30  # slices per step
    marked: int = 30  # of the slices with masks, per step; fewer where there are fewer
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    optimiser: str = "adamw"  # adamw, adam, sgd
    schedule: str = "warm_restarts"  # warm_restarts, cosine, poly, step, constant
    cycle: int = 10  # epochs between warm restarts
    warmup: int = 0  # steps of linear rise at the start
    clip: float = 1.0  # largest norm of the gradient
    average: float = 0.0  # decay of the moving average of the weights; 0 keeps none
    validations: int = 5  # how often the validation patients are looked at during training
    precision: str = "auto"  # float32, bfloat16; auto: bfloat16 where the device is fast in it


@dataclass(frozen=True)
class TransUNetSettings:
    """Sizes of TransUNet: ResNet stem, vision transformer, and an upsampler as wide as the stem."""

    stem: int = 64  # channels of the first convolution; the others follow
    units: tuple[int, ...] = (3, 4, 9)  # bottlenecks per stage of the stem
    embed: int = 768
    layers: int = 12
    heads: int = 12
    channels: int = 3  # 3: the published stem, grey is tripled


@dataclass(frozen=True)
class BaselineSettings:
    """Sizes of the systems that SAM-Mix is compared with; the defaults are the published ones."""

    unet_width: int = 64  # channels of the first stage, doubled by each of the four below
    nnunet_width: int = 32  # the same for nnU-Net, as deep as it plans
    nnunet_most: int = 512  # channels that no stage of nnU-Net exceeds
    nnunet_schedule: str = "paper"  # "paper": learning.nnunet; "own": 1000 epochs of 250 steps
    multimix_width: int = 16
    transunet: TransUNetSettings = field(default_factory=TransUNetSettings)


@dataclass(frozen=True)
class ChangedSettings:
    """One system with one setting changed: an ablation, or a variant worth every seed."""

    system: str
    change: str  # such as prompting.threshold=0.3; several with spaces between them
    labels: tuple[int | None, ...]  # null: all masks
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class PlanSettings:
    """The runs behind the tables: every number of labels and every seed of some systems."""

    systems: tuple[str, ...] = ()  # none named: all that the profile says how to teach
    labels: tuple[int, ...] = ()  # only these numbers of labelled slices; none named: all
    changed: tuple[ChangedSettings, ...] = ()


@dataclass(frozen=True)
class Profile:
    name: str
    seed: int
    data: DataSettings
    sam: SamSettings = field(default_factory=SamSettings)
    seeds: tuple[int, ...] = (1, 2, 3)  # of the runs
    classifier: ClassifierSettings = field(default_factory=ClassifierSettings)
    prompting: PromptingSettings = field(default_factory=PromptingSettings)
    mix: MixSettings = field(default_factory=MixSettings)
    improved: ImprovedSettings = field(default_factory=ImprovedSettings)
    baselines: BaselineSettings = field(default_factory=BaselineSettings)
    learning: dict[str, LearningSettings] = field(default_factory=dict)  # by kind of system
    plan: PlanSettings = field(default_factory=PlanSettings)


class Declared:
    """A profile of which only declared parts can be read, so that a run's key misses none.

    Of `data` everyone may know how slices are made, and nothing else.
    """

    def __init__(self, profile: Profile, parts: tuple[str, ...], who: str):
        self._profile, self._parts, self._who = profile, parts, who
        self.data = SimpleNamespace(slices=profile.data.slices)

    def __getattr__(self, name: str) -> Any:
        if name in self._parts or name.startswith("__"):
            return getattr(self._profile, name)
        raise SamnbError(
            f"{self._who} reads `{name}` of the profile and does not say so.",
            "name it in the system's `reads`, in samnb/systems/registry.py.",
        )


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_profile(name_or_path: str | Path) -> Profile:
    """Read a profile by its name (`pocket`) or from a YAML file of the reader's own."""
    path = Path(name_or_path)
    if path.suffix not in {".yaml", ".yml"}:
        path = FOLDER / f"{name_or_path}.yaml"
    if not path.is_file():
        raise SamnbError(
            f"No profile '{name_or_path}'.",
            f"use one of {', '.join(names())}, or the path of a .yaml file.",
        )
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise SamnbError(f"{path}: not valid YAML ({error}).", "mend the file.") from error
    return _build(Profile, values, str(path.name))


def _build(kind: Any, value: Any, where: str) -> Any:
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
            key: _build(get_args(kind)[1], item, f"{where}: {key}") for key, item in value.items()
        }
    if origin is tuple:
        return tuple(_build(get_args(kind)[0], item, where) for item in value)
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
        **{name: _build(known[name].type, item, f"{where}: {name}") for name, item in value.items()}
    )
