"""Adapters on disk: PEFT's own two files, and a card that says where they came from.

adapter_config.json, adapter_model.safetensors   as PEFT writes them; `PeftModel` reads them too
card.json    base weights, data, labels, metrics, checksum: what `load_adapter` goes by
README.md    the same for people
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from peft import LoraConfig, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load, save
from segment_anything.modeling import Sam
from torch import Tensor

from samnb.base.errors import DataError, SamnbError
from samnb.base.files import atomic_path, read_json, write_json, write_text
from samnb.networks.sam.lora import ADAPTER, count_parameters, inject
from samnb.networks.sam.model import SAM_SIZES
from samnb.networks.sam.weights import base_hash

CONFIG, WEIGHTS, CARD = "adapter_config.json", "adapter_model.safetensors", "card.json"
PREFIX = "base_model.model."  # under which PEFT's files name every parameter
ASKED = ("data", "labels", "metrics")


def save_adapter(sam: Sam, folder: Path, card: dict[str, Any]) -> Path:
    """Write the adapter of `sam` alone, with its card; returns the folder.

    card: at least `data` (what it was trained on), `labels` (how many, of what), `metrics` (name ->
    number); more is kept as it is. The card is written last and holds the checksum of the weights,
    so that a half-written adapter never loads.
    """
    if not hasattr(sam, "peft_config"):
        raise SamnbError("This SAM has no adapter to save.", "call `add_lora` before training.")
    if lacking := [name for name in ASKED if name not in card]:
        raise SamnbError(f"The card lacks {', '.join(lacking)}.", "say it, if only in a word.")
    config = sam.peft_config[ADAPTER]
    content = save(_named_for_peft(sam), metadata={"format": "pt"})
    settings = {**config.to_dict(), "inference_mode": True}
    settings["base_model_name_or_path"] = _size_of(sam)
    settings["modules_to_save"] = sorted(config.modules_to_save or []) or None
    card = {**card, **_origin(sam), "sha256": hashlib.sha256(content).hexdigest()}
    write_json(folder / CONFIG, settings)
    with atomic_path(folder / WEIGHTS) as temporary:
        temporary.write_bytes(content)
    write_text(folder / "README.md", _readme(card))
    write_json(folder / CARD, card)
    return folder


def load_adapter(sam: Sam, folder: Path) -> Sam:
    """Put a saved adapter into `sam`, in place and frozen; only onto the base it was trained on."""
    folder = Path(folder)
    for name in (CONFIG, WEIGHTS, CARD):
        if not (folder / name).is_file():
            raise DataError(folder, f"no adapter: {name} is missing", "give the folder of one.")
    card = read_json(folder / CARD)
    content = (folder / WEIGHTS).read_bytes()
    if hashlib.sha256(content).hexdigest() != card["sha256"]:
        raise DataError(
            folder / WEIGHTS, "checksum mismatch with its card", "copy or train the adapter anew."
        )
    if base_hash(sam) != card["base"]:
        raise SamnbError(
            f"{folder}: this adapter belongs to another base, {_base_in_words(card)}.",
            "build the SAM at that size and side, and load those weights first.",
        )
    inject(sam, LoraConfig.from_pretrained(str(folder)))
    weights = load(content)
    wanted = {name: value.shape for name, value in _named_for_peft(sam).items()}
    if wanted != {name: value.shape for name, value in weights.items()}:
        raise DataError(folder / WEIGHTS, "does not fit its own configuration", "train it anew.")
    set_peft_model_state_dict(
        sam, {name.removeprefix(PREFIX): value for name, value in weights.items()}
    )
    return sam.requires_grad_(False)


def _named_for_peft(sam: Sam) -> dict[str, Tensor]:
    state = get_peft_model_state_dict(sam, save_embedding_layers=False)
    return {PREFIX + name: value.detach().cpu().contiguous() for name, value in state.items()}


def _origin(sam: Sam) -> dict[str, Any]:
    config = sam.peft_config[ADAPTER]
    return {
        "base": base_hash(sam),
        "size": _size_of(sam),
        "side": sam.image_encoder.img_size,
        "rank": config.r,
        "alpha": config.lora_alpha,
        "adapter parameters": sum(value.numel() for value in _named_for_peft(sam).values()),
        "total parameters": count_parameters(sam).total,
    }


def _size_of(sam: Sam) -> str:
    encoder = sam.image_encoder
    depth, width = len(encoder.blocks), encoder.patch_embed.proj.out_channels
    for name, size in SAM_SIZES.items():
        if (size.depth, size.width) == (depth, width):
            return name
    return f"{depth} blocks of width {width}"


def _base_in_words(card: dict[str, Any]) -> str:
    return f"{card['size']} at {card['side']} pixels with weights {card['base'][:12]}…"


def _readme(card: dict[str, Any]) -> str:
    def words(value: Any) -> str:
        return value if isinstance(value, str) else json.dumps(value, sort_keys=True)

    lines = [
        "---",
        "library_name: peft",
        f"base_model: {card['size']}",
        "pipeline_tag: image-segmentation",
        "tags: [segment-anything, lora, samnb]",
        "---",
        "",
        "# LoRA adapter for Segment Anything",
        "",
        f"Base: {_base_in_words(card)}. It loads onto no other:",
        "",
        "```python",
        f'sam = load_adapter(load_sam("{card["size"]}", side={card["side"]}), folder)',
        "```",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {words(value)} |" for name, value in card.items()),
    ]
    return "\n".join(lines) + "\n"
