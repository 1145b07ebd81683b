"""What a network is made of: shape and size of every part, from a pass without memory or numbers.

On torch's meta device a tensor has a shape and nothing else, so the paper's networks are looked
through in seconds on any machine.
"""

import re
from collections.abc import Callable

import pandas as pd
import torch
from torch import Tensor, nn

from samnb.studies import Profile
from samnb.systems.registry import find_system
from samnb.systems.system import Declared, channels_of

# By system: names of modules, as regular expressions, and what they do.
PARTS = {
    "unet": {
        r"conv_0": "two convolutions 3 × 3",
        r"down_\d": "halved by max-pooling, two convolutions",
        r"upcat_\d": "transposed convolution, skip, two convolutions",
        r"final_conv": "logit of the target",
    },
    "nnunet": {
        r"input_block": "two convolutions",
        r"downsamples\.\d": "halved by a stride, two convolutions",
        r"bottleneck": "halved by a stride, two convolutions",
        r"upsamples\.\d": "transposed convolution, skip, two convolutions",
        r"deep_supervision_heads\.\d": "logits of both classes, for the loss only",
        r"output_block": "logits of both classes",
    },
    "transunet": {
        r"stem\.root": "convolution 7 × 7, halved by a stride",
        r"stem\.pool": "halved by max-pooling",
        r"stem\.stages\.\d": "residual bottlenecks",
        r"patch": "every place becomes a token",
        r"layers": "transformer: every token reads every other",
        r"down": "tokens as a map again, one convolution",
        r"ups\.\d": "doubled bilinearly, skip if any, two convolutions",
        r"head": "logits of both classes",
    },
    "multimix": {
        r"encoder\.stages\.\d": "halved but for the first, two convolutions",
        r"encoder\.head": "logits of both classes, for the slice",
        r"ups\.\d": "doubled bilinearly, skip, two convolutions",
        r"last": "logit of the target",
    },
}
OTHERS = {"transunet": "learned positions of the tokens"}  # parameters of no part


def build_without_memory(system: str, profile: Profile) -> nn.Module:
    """The untrained method of a profile on the meta device: shapes and counts, no numbers."""
    found = find_system(system)
    shown = Declared(profile, tuple(found.settings), found.title)
    with torch.device("meta"):
        return found.build(shown, 0).eval()


def layout(system: str, profile: Profile) -> pd.DataFrame:
    """One row per part, in the order in which a slice of the profile's side passes them.

    Columns: what it does, output (channels × rows × columns; tokens × channels), parameters.
    The last row sums up.
    """
    method, side = build_without_memory(system, profile), profile.data.slices.side
    parts, rows = PARTS[system], {}

    def note(name: str, does: str) -> Callable[[nn.Module, tuple, Tensor], None]:
        def seen(module: nn.Module, _: tuple, output: Tensor) -> None:
            rows.setdefault(name, (does, _sizes(output), count(module)))

        return seen

    for long_name, module in method.named_modules():
        name = long_name.removeprefix("network.")
        for pattern, does in parts.items():
            if re.fullmatch(pattern, name):
                module.register_forward_hook(note(name, does))
    look = method.look if hasattr(method, "look") else method.network
    channels = channels_of(next(iter(profile.data.cohorts.values())))
    look(torch.empty(1, channels, side, side, device="meta"))
    total = count(method)
    if others := total - sum(parameters for *_, parameters in rows.values()):
        rows["others"] = (OTHERS.get(system, ""), "", others)
    rows["all"] = ("", "", total)
    columns = ["what it does", "output", "parameters"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def count(module: nn.Module) -> int:
    """Its parameters."""
    return sum(values.numel() for values in module.parameters())


def _sizes(output: Tensor) -> str:
    return " × ".join(str(size) for size in output.shape[1:])
