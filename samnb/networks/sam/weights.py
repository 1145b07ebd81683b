"""Weights for SAM: fetched with their checksums, read safely, fitted to any input side."""

import hashlib
import re
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file
from segment_anything.modeling import Sam
from torch import Tensor
from torch.nn import functional as F

from samnb.base.errors import DataError, SamnbError
from samnb.base.fetch import fetch
from samnb.base.paths import data_root
from samnb.networks.sam.model import SAM_SIZES, build_sam

FOLDER = Path(__file__).resolve().parent
POCKET = FOLDER / "pocket.safetensors"  # shipped with the package, half precision


@dataclass(frozen=True)
class Published:
    """One file of published weights."""

    file: str
    url: str
    sha256: str
    bytes: int


@cache
def published() -> dict[str, Published]:
    """The official weights by size: vit_b, vit_l, vit_h."""
    entries = yaml.safe_load((FOLDER / "weights.yaml").read_text(encoding="utf-8"))
    return {size: Published(**entry) for size, entry in entries.items()}


def weights_path(size: str) -> Path:
    """Where the weights of a size lie, or will lie once they are fetched."""
    if size == "pocket":
        return POCKET
    if size not in published():
        known = ", ".join(["pocket", *published()])
        raise SamnbError(f"No weights of the name '{size}'.", f"use one of {known}.")
    return data_root() / "weights" / published()[size].file


def get(size: str, progress: bool = True) -> Path:
    """The file with the weights of a size: downloaded if it is not there, and checked."""
    path = weights_path(size)
    if size != "pocket":
        entry = published()[size]
        return fetch(entry.url, path, f"sha256:{entry.sha256}", progress)
    if not path.is_file():
        raise SamnbError(
            "The weights of the pocket SAM are missing from this copy of samnb.",
            "fetch the whole repository, or train them anew: `make pretrain`.",
        )
    return path


def load_sam(
    size: str,
    side: int | None = None,
    weights: str | Path | None = "published",
    fast: bool = True,
    checkpointing: bool = False,
) -> Sam:
    """Build a SAM and load its weights.

    size, side, fast, checkpointing: as for `build_sam`; weights: "published" are those of this
    size, else a source as for `load_weights`; None leaves the random ones.
    """
    sam = build_sam(size, side, fast, checkpointing)
    if weights is None:
        return sam
    return load_weights(sam, size if weights == "published" else weights)


def load_weights(sam: Sam, source: str | Path) -> Sam:
    """Load weights into `sam`, fitted to its input side; every key must match.

    source: "pocket", "vit_b", "vit_l", "vit_h" (fetched if need be), or the path of a .pth or
    .safetensors file.
    """
    path = get(source) if source in SAM_SIZES else Path(source)
    weights = fit_to_side(read_weights(path), sam)
    if faults := _mismatches(weights, sam):
        raise DataError(
            path, f"not the weights of this SAM: {faults}", "build the SAM at the size they are of."
        )
    sam.load_state_dict(weights)
    return sam


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read named tensors from a .safetensors or .pth file; no code in it is ever run."""
    if not path.is_file():
        names = ", ".join(SAM_SIZES)
        raise SamnbError(f"No weights at {path}.", f"give a file that exists, or one of {names}.")
    try:
        if path.suffix == ".safetensors":
            weights = load_file(path)
        else:
            # The old format of PyTorch cannot be mapped into memory; the new one is a zip archive.
            mapped = zipfile.is_zipfile(path)
            weights = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # reading a file of any other kind may raise anything at all
        raise _unreadable(path, error) from error
    if not isinstance(weights, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in weights.items()
    ):
        raise DataError(path, "holds other things than named tensors", "give a plain state dict.")
    return weights


def _unreadable(path: Path, error: Exception) -> DataError:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else "it ends too early"
    return DataError(
        path,
        f"not a readable file of weights ({type(error).__name__}: {reason[:120]})",
        "it may be cut short or of another kind; fetch it again.",
    )


def _mismatches(weights: dict[str, Tensor], sam: Sam) -> str:
    """Every missing, unexpected or misshaped key in words; empty if all match."""
    wanted = {name: value.shape for name, value in sam.state_dict().items()}
    both = wanted.keys() & weights.keys()
    faults = {
        "missing": sorted(wanted.keys() - weights.keys()),
        "unexpected": sorted(weights.keys() - wanted.keys()),
        "misshaped": [
            f"{name} {tuple(weights[name].shape)} for {tuple(wanted[name])}"
            for name in sorted(both)
            if weights[name].shape != wanted[name]
        ],
    }
    return "; ".join(
        f"{len(names)} {kind}: {_some(names)}" for kind, names in faults.items() if names
    )


def _some(names: list[str], most: int = 12) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def fit_to_side(weights: dict[str, Tensor], sam: Sam) -> dict[str, Tensor]:
    """Interpolate what depends on the input side to the side of `sam`; the rest stays as it is.

    That is the position table of the image encoder (1, g, g, width), bicubically, and the tables of
    relative positions of its global blocks (2 g - 1, head width), linearly.
    """
    wanted = sam.state_dict()
    blocks = sam.image_encoder.blocks
    fitted = dict(weights)
    for name, value in weights.items():
        if name not in wanted or wanted[name].shape == value.shape:
            continue
        if name == "image_encoder.pos_embed" and value.ndim == 4:
            fitted[name] = _resize_positions(value, wanted[name].shape[1])
        block = re.fullmatch(r"image_encoder\.blocks\.(\d+)\.attn\.rel_pos_[hw]", name)
        if block and blocks[int(block[1])].window_size == 0 and value.ndim == 2:
            fitted[name] = _resize_relative(value, wanted[name].shape[0])
    return fitted


def _resize_positions(table: Tensor, grid: int) -> Tensor:
    moved = table.float().permute(0, 3, 1, 2)
    resized = F.interpolate(moved, (grid, grid), mode="bicubic", align_corners=False)
    return resized.permute(0, 2, 3, 1).to(table.dtype)


def _resize_relative(table: Tensor, length: int) -> Tensor:
    resized = F.interpolate(table.float().T[None], length, mode="linear", align_corners=False)
    return resized[0].T.to(table.dtype)


def base_hash(sam: Sam) -> str:
    """sha256 over the names and values of SAM's own weights: the same with or without an adapter.

    PEFT keeps what it adapts untouched, under a longer name: `base_layer` inside a LoRA layer,
    `original_module` beside a copy that is trained.
    """
    digest = hashlib.sha256()
    own = {}
    for name, value in sam.state_dict().items():
        if ".lora_" not in name and ".modules_to_save." not in name:
            own[name.replace(".base_layer.", ".").replace(".original_module.", ".")] = value
    for name in sorted(own):
        value = own[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.view(torch.uint8).numpy())
    return digest.hexdigest()
