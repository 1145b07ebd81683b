"""What a study says about its SAM for volumes; it takes cubes, the patches of the study."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sam3DSettings:
    size: str = "pocket_3d"  # pocket_3d, sam_med3d
    weights: str | None = "published"  # or the path of a file; null: random, to rehearse
