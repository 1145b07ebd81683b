"""Med-SA: seconds and memory of a training step, slices and volumes, against plain attention.

For each kind of images: forward and backward through the encoder with its adapters, with the
package's attention, which writes its matrix of scores out, and with ours, each with and without
gradient checkpointing. Every row in a process of its own, so that one's peak memory is not
another's. `+` is what the step needs beyond the network at rest, `x` that of plain attention over
it.

    python bench/med_sa.py               # the pocket SAM, seconds
    python bench/med_sa.py --size vit_b --side 512 --slices 2 --repeats 0    # minutes

Other work on the machine makes times longer: look at the printed load before you believe them.
"""

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import torch

from samnb.evaluation.costs import forget_peak_memory, peak_memory
from samnb.networks.sam.lora import count_parameters
from samnb.networks.sam.med_adapters import MedAdapterSettings, add_med_adapters
from samnb.networks.sam.model import build_sam
from samnb.networks.sam.space_depth import encode_volumes

# What sees what: the same slices, as pictures and as a volume.
KINDS = {"slices (2D)": "none", "volume (3D), joined": "joined", "volume (3D), own adapter": "own"}
ATTENTIONS = {
    "plain": {"fast": False, "checkpointing": False},
    "plain, checkpointed": {"fast": False, "checkpointing": True},
    "ours": {"fast": True, "checkpointing": False},
    "ours, checkpointed": {"fast": True, "checkpointing": True},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="pocket", help="pocket, vit_b, vit_l, vit_h")
    parser.add_argument("--side", type=int, default=128, help="pixels")
    parser.add_argument("--slices", type=int, default=8, help="of the one volume in a step")
    parser.add_argument("--repeats", type=int, default=3, help="steps after a first one")
    parser.add_argument("--kinds", nargs="*", choices=KINDS.values(), default=list(KINDS.values()))
    options = parser.parse_args()
    case = {name: getattr(options, name) for name in ("size", "side", "slices", "repeats")}
    print(f"{case['slices']} slices of {case['side']} pixels through {case['size']}, ", end="")
    print(f"{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}\n")
    print(
        f"{'':28}{'attention':20}{'seconds':>9}{'processor':>11}{'peak MB':>9}{'+ MB':>7}{'x':>6}"
    )
    for kind, depth in KINDS.items():
        if depth in options.kinds:
            print_kind(kind, case | {"depth": depth})
    for depth in ("joined", "own"):
        print(parameters(case["size"], depth))


def print_kind(kind: str, case: dict[str, object]) -> None:
    """A row for each attention."""
    plain = None
    for attention, how in ATTENTIONS.items():
        found = measured(case | how)
        plain = plain or found["more"]
        print(
            f"{kind:28}{attention:20}{found['seconds']:9.2f}{found['processor']:11.2f}"
            f"{found['peak']:9.0f}{found['more']:7.0f}{plain / found['more']:6.1f}",
            flush=True,
        )


def measured(case: dict[str, object]) -> dict[str, float]:
    """One case in a process that has done nothing yet but import."""
    with ProcessPoolExecutor(1, mp_context=get_context("forkserver")) as fresh:
        return fresh.submit(train_steps, **case).result()


def train_steps(
    size: str, side: int, slices: int, repeats: int, fast: bool, checkpointing: bool, depth: str
) -> dict[str, float]:
    """Best seconds of some steps after a first one, or of that, and the peak memory in MB.

    Processor seconds (of all threads) suffer less from other work on the machine.
    """
    torch.manual_seed(0)
    sam = build_sam(size, side, fast=fast, checkpointing=checkpointing)
    add_med_adapters(sam, MedAdapterSettings(depth=depth))
    volume = torch.rand(1, 1, slices, side, side)
    device = torch.device("cpu")
    forget_peak_memory(device)
    rest = peak_memory(device)
    seconds, processor = [], []
    for _ in range(repeats + 1):
        began, began_processor = time.perf_counter(), time.process_time()
        encode_volumes(sam, volume).square().mean().backward()
        seconds.append(time.perf_counter() - began)
        processor.append(time.process_time() - began_processor)
    peak = peak_memory(device)
    found = {"seconds": min(seconds[1:] or seconds), "processor": min(processor[1:] or processor)}
    return {**found, "peak": peak, "more": peak - rest}


def parameters(size: str, depth: str) -> str:
    """How many learn, in words."""
    with torch.device("meta"):
        sam = add_med_adapters(build_sam(size), MedAdapterSettings(depth=depth))
    encoder, decoder = (
        count_parameters(part).trainable for part in (sam.image_encoder, sam.mask_decoder)
    )
    return (
        f"\n{size}, depth '{depth}': {encoder:,} parameters learn in the encoder and {decoder:,} "
        f"in the decoder, of {count_parameters(sam).total:,}"
    )


if __name__ == "__main__":
    main()
