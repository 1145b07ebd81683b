"""Med-SA's adapters on disk, apart from the SAM that they belong to.

adapters.safetensors    the adapters' parameters alone, under their names in the network
card.json               their settings, base weights, checksum, and what the caller says of them
"""

import hashlib
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from safetensors.torch import load, save
from segment_anything.modeling import Sam
from torch import Tensor

from samnb.base.errors import DataError, SamnbError
from samnb.base.files import atomic_path, read_json, write_json
from samnb.networks.sam.med_adapters import MedAdapterSettings, add_med_adapters, is_adapter
from samnb.networks.sam.weights import base_hash

WEIGHTS, CARD = "adapters.safetensors", "card.json"


def save_med_adapters(sam: Sam, folder: Path, card: dict[str, Any]) -> Path:
    """Write the adapters of `sam` with a card, which comes last; returns the folder."""
    if not hasattr(sam, "med_adapters"):
        raise SamnbError("This SAM has no Med-SA adapters.", "call `add_med_adapters` first.")
    learned = {name for name, value in sam.named_parameters() if value.requires_grad}
    if whole := sorted(name for name in learned if not is_adapter(name)):
        raise SamnbError(
            f"More of this SAM learns than its adapters: {whole[0]} and {len(whole) - 1} more.",
            "adapters alone would be of no use; keep all weights.",
        )
    content = save({name: value.contiguous() for name, value in _adapters(sam).items()})
    known = {
        "base": _base(sam),
        "side": sam.image_encoder.img_size,
        "settings": asdict(sam.med_adapters),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    with atomic_path(Path(folder) / WEIGHTS) as temporary:
        temporary.write_bytes(content)
    write_json(Path(folder) / CARD, {**card, **known})
    return Path(folder)


def load_med_adapters(sam: Sam, folder: Path) -> Sam:
    """Put saved adapters into `sam`, in place and frozen; only onto the base they were trained on.

    sam: a plain one, or one with adapters of the same settings, whose values are replaced.
    """
    folder = Path(folder)
    for name in (WEIGHTS, CARD):
        if not (folder / name).is_file():
            raise DataError(folder, f"no adapters: {name} is missing", "give the folder of some.")
    card, content = read_json(folder / CARD), (folder / WEIGHTS).read_bytes()
    if hashlib.sha256(content).hexdigest() != card["sha256"]:
        raise DataError(
            folder / WEIGHTS, "checksum mismatch with its card", "copy or train them anew."
        )
    if _base(sam) != card["base"]:
        raise SamnbError(
            f"{folder}: these adapters belong to another base, at {card['side']} pixels with "
            f"weights {card['base'][:12]}…",
            "build the SAM at that size and side, and load those weights first.",
        )
    settings = MedAdapterSettings(**card["settings"])
    if not hasattr(sam, "med_adapters"):
        add_med_adapters(sam, settings)
    if odd := _differences(card["settings"], asdict(sam.med_adapters)):
        raise SamnbError(
            f"{folder}: these adapters do not fit this SAM's: {odd}.",
            "build the SAM with the settings of their card, or give a plain one.",
        )
    weights = load(content)
    wanted = {name: value.shape for name, value in _adapters(sam).items()}
    if wanted != {name: value.shape for name, value in weights.items()}:
        raise DataError(folder / WEIGHTS, "does not fit its own card", "train them anew.")
    sam.load_state_dict(weights, strict=False)
    return sam.requires_grad_(False)


def _adapters(sam: Sam) -> dict[str, Tensor]:
    return {
        name: value.detach().cpu() for name, value in sam.state_dict().items() if is_adapter(name)
    }


def _base(sam: Sam) -> str:
    """The hash of SAM's own weights: that of the plain SAM."""
    own = {name: value for name, value in sam.state_dict().items() if not is_adapter(name)}
    return base_hash(SimpleNamespace(state_dict=lambda: own))


def _differences(theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} {theirs[name]} there, {ours[name]} here"
        for name in ours
        if theirs[name] != ours[name]
    )
