"""What a study says about its data: cohorts, how scans become slices, who is in which split."""

from dataclasses import dataclass, field


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
    """One cohort: folder layout, target structures, and its phantom or its real folder."""

    layout: str
    targets: tuple[str, ...]
    phantom: PhantomSettings | None = None
    folder: str | None = None  # below the root; absolute paths are taken as they are
    root: str = "data"  # "data": the data root, $SAMNB_DATA; "real": $SAMNB_REAL
    rules: FolderSettings | None = None  # null: those of the folder's cohort.yaml, if it has one
    members: str | None = None  # regular expression: patients in whose name it is found, no others
    channels: tuple[str, ...] = ()  # such as flair; none named: all (see samnb/studies/channels.py)


@dataclass(frozen=True)
class SliceSettings:
    """How scans become slices (SAM-Mix, section 3.2)."""

    side: int = 256
    window_width: float | None = 400.0  # HU; null: scale each scan from its own minimum to maximum
    window_center: float | None = 40.0
    middle: float = 0.3  # central fraction of the slices that is kept; 1 keeps all


@dataclass(frozen=True)
class VolumeSettings:
    """How scans become volumes: their slices, rows and columns resampled, then cut or padded."""

    spacing: tuple[float, float, float] | None = None  # mm; null: the scan's own
    size: tuple[int, int, int] | None = None  # voxels; null: as many as there are
    # Centred on the box around all targets, test scans included, as SAM-Med3D does: whoever sees
    # such a volume has been told where to look. Else on the scan.
    around_label: bool = False
    window_width: float | None = 400.0  # HU; null: scale each scan from its own minimum to maximum
    window_center: float | None = 40.0


@dataclass(frozen=True)
class PatchSettings:
    """What a network sees of a volume at once: parts of it, in training and in testing."""

    size: tuple[int, int, int]  # voxels: slices, rows, columns
    # Of the patches that teach, the share that has a voxel of a target in its middle (nnU-Net's).
    around_target: float = 0.33


@dataclass(frozen=True)
class SplitSettings:
    """Patients per split; what is not named is empty."""

    train: int = 0
    validation: int = 0
    test: int = 0
    blocks: int = 1  # neighbours in natural order that go together, where they may be one person
    tested: tuple[str, ...] = ()  # a published test list, by patient; none named: dealt by the seed


@dataclass(frozen=True)
class DataSettings:
    cohorts: dict[str, CohortSettings]
    splits: dict[str, SplitSettings]
    slices: SliceSettings = field(default_factory=SliceSettings)
    volumes: VolumeSettings | None = None  # null: the study sees slices alone
    labelled: tuple[int, ...] = (5, 50, 100)
    choice: str = "random"  # of the labelled slices; "richest": those with most targets
    smallest: int = 1  # pixels of the targets together, on the scan's grid, in a labelled slice
    exclusive: bool = False  # a pixel belongs to one target at most
    view: str = "slices"  # what networks see; or "volumes": then `labelled` counts volumes
    patches: PatchSettings | None = None  # null: the study sees slices
