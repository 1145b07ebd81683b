"""Weights for SAM in three dimensions: read safely, matched by name, fitted to any input side."""

import argparse
from functools import cache
from pathlib import Path

import torch
import yaml
from torch import Tensor
from torch.nn import functional as F

from samnb.base.errors import DataError, SamnbError
from samnb.base.paths import data_root
from samnb.networks.sam.weights import read_weights
from samnb.networks.sam3d.model import Sam3D, build_sam3d

FOLDER = Path(__file__).resolve().parent
POCKET = FOLDER / "pocket_3d.safetensors"  # shipped with the package, half precision


@cache
def published() -> dict[str, dict[str, str]]:
    """File and address of the official weights, by size."""
    return yaml.safe_load((FOLDER / "weights.yaml").read_text(encoding="utf-8"))


def weights_path(size: str) -> Path:
    """Where the weights of a size lie, or have to be put."""
    if size == "pocket_3d":
        return POCKET
    if size not in published():
        known = ", ".join(["pocket_3d", *published()])
        raise SamnbError(f"No weights of the name '{size}'.", f"use one of {known}.")
    return data_root() / "weights" / published()[size]["file"]


def get(size: str) -> Path:
    """The file with the weights of a size, if it is there: nothing is downloaded unchecked."""
    path = weights_path(size)
    if path.is_file():
        return path
    if size == "pocket_3d":
        raise SamnbError(
            "The weights of the pocket SAM for volumes are missing from this copy of samnb.",
            "fetch the whole repository, or train them anew: `make pretrain POCKET=pocket_3d`.",
        )
    raise SamnbError(
        f"The weights of '{size}' are not here, and no checksum of them is published.",
        f"fetch {published()[size]['url']} yourself and put it at {path}.",
    )


def load_sam3d(
    size: str,
    side: int | None = None,
    weights: str | Path | None = "published",
    boxes: bool | None = None,
    checkpointing: bool = False,
) -> Sam3D:
    """Build a SAM for volumes and load its weights.

    size, side, boxes, checkpointing: as for `build_sam3d`; weights: "published" are those of this
    size, else the path of a .safetensors or .pth file; None leaves the random ones.
    """
    sam = build_sam3d(size, side, boxes, checkpointing=checkpointing)
    if weights is None:
        return sam
    return load_weights(sam, get(size) if weights == "published" else Path(weights))


def load_weights(sam: Sam3D, path: Path) -> Sam3D:
    """Load weights into `sam`, fitted to its input side; every name must match.

    The corners of boxes, which SAM-Med3D never learned, start as points of the foreground.
    """
    weights = _with_corners(_fit_to_side(_read(path), sam), sam)
    if faults := _faults(weights, sam):
        raise DataError(path, f"not the weights of this SAM: {faults}", "build it at their size.")
    sam.load_state_dict(weights)
    return sam


def _read(path: Path) -> dict[str, Tensor]:
    """Named tensors of a file, also where a checkpoint of SAM-Med3D's own training holds them."""
    if path.suffix != ".safetensors" and path.is_file():
        # Beside the weights stand the options of the command line, which hold values only.
        with torch.serialization.safe_globals([argparse.Namespace]):
            try:
                found = torch.load(path, map_location="cpu", weights_only=True)
            except Exception:  # the plain reader says what is wrong with it
                return read_weights(path)
        if isinstance(found, dict) and "model_state_dict" in found:
            return dict(found["model_state_dict"])
    return dict(read_weights(path))


def _fit_to_side(weights: dict[str, Tensor], sam: Sam3D) -> dict[str, Tensor]:
    """Interpolate what depends on the input side; the rest stays as it is.

    That is the position table of the image encoder (1, g, g, g, width), trilinearly, and the
    tables of relative positions of blocks that see the whole grid (2 g - 1, head width), linearly.
    """
    wanted = {name: value.shape for name, value in sam.state_dict().items()}
    grid = sam.prompt_encoder.grid
    fitted = dict(weights)
    for name, value in weights.items():
        if name not in wanted or wanted[name] == value.shape:
            continue
        if name == "image_encoder.pos_embed" and value.ndim == 5:
            moved = value.float().movedim(-1, 1)
            resized = F.interpolate(moved, (grid,) * 3, mode="trilinear", align_corners=False)
            fitted[name] = resized.movedim(1, -1).to(value.dtype)
        elif ".attn.rel_pos_" in name and wanted[name][0] == 2 * grid - 1 and value.ndim == 2:
            resized = F.interpolate(value.float().T[None], 2 * grid - 1, mode="linear")
            fitted[name] = resized[0].T.to(value.dtype)
    return fitted


def _with_corners(weights: dict[str, Tensor], sam: Sam3D) -> dict[str, Tensor]:
    point = "prompt_encoder.point_embeddings.{}.weight"
    if not sam.prompt_encoder.boxes or point.format(1) not in weights:
        return weights
    corners = {point.format(kind): weights[point.format(1)] for kind in (2, 3)}
    return {**corners, **weights}


def _faults(weights: dict[str, Tensor], sam: Sam3D) -> str:
    """The names that are missing, unexpected or of another shape, in words; empty if all match."""
    wanted = {name: value.shape for name, value in sam.state_dict().items()}
    given = {name: value.shape for name, value in weights.items()}
    kinds = {
        "missing": wanted.keys() - given.keys(),
        "unexpected": given.keys() - wanted.keys(),
        "of another shape": {
            name for name in wanted.keys() & given.keys() if wanted[name] != given[name]
        },
    }
    return "; ".join(
        f"{len(names)} {kind}, such as {min(names)}" for kind, names in kinds.items() if names
    )
