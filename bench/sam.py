"""SAM here against the `segment_anything` package: time and peak memory, all in one run.

One row for each network, input side and precision: a training step of the image encoder (forward
and backward, LoRA of rank 8) with the package's attention and with ours, each in a process of its
own, so that one's peak memory is not the other's. Then the mask decoder: 16 images with one box
each, in one batch, against the package's loop over images.

    python bench/sam.py            # everything; ViT-B at 1024 needs 10 GB and several minutes
    python bench/sam.py --quick    # without 1024

Other work on the machine makes times longer: look at the printed load before you believe them.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time

import torch

from samnb.networks.sam.lora import add_lora
from samnb.networks.sam.model import build_sam, encode
from samnb.networks.sam.prompting import Prompts, decode
from samnb.networks.sam.settings import LoraSettings

STEPS = [("pocket", 128, 12, 8), ("vit_b", 256, 1, 3), ("vit_b", 1024, 1, 2)]  # batch, repeats
IMAGES = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="leave out 1024 x 1024")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(train_steps(**json.loads(options.one))))
        return
    threads = torch.get_num_threads()
    print(f"{threads} threads, load {os.getloadavg()[0]:.1f} before the first measurement\n")
    print("training step of the encoder, LoRA r = 8: seconds, processor seconds, peak MB")
    print(f"{'':36}{'package':>26}{'ours':>26}{'ours / package':>24}")
    for size, side, batch, repeats in STEPS[: 2 if options.quick else 3]:
        for precision in ("float32", "bfloat16"):
            compare_steps(size, side, batch, repeats, precision)
    print(f"\n{IMAGES} images, one box each, through the mask decoder (seconds)")
    for size, side in (("pocket", 128), ("vit_b", 256)):
        compare_prompting(size, side)
    print(f"\nload {os.getloadavg()[0]:.1f} after the last measurement")


def compare_steps(size: str, side: int, batch: int, repeats: int, precision: str) -> None:
    """Measure both attentions in fresh processes and print one row."""
    found = []
    for fast in (False, True):
        case = {"size": size, "side": side, "batch": batch, "repeats": repeats}
        case |= {"precision": precision, "fast": fast}
        command = [sys.executable, __file__, "--one", json.dumps(case)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found.append(json.loads(done.stdout))
    package, ours = found
    figures = "".join(
        f"{item['seconds']:9.3f}{item['processor']:9.3f}{item['peak']:8.0f}" for item in found
    )
    ratios = "".join(f"{ours[key] / package[key]:8.2f}" for key in ours)
    title = f"{size} {side}, batch {batch}, {precision}"
    print(f"{title:36}{figures}{ratios}", flush=True)


def train_steps(
    size: str, side: int, batch: int, repeats: int, precision: str, fast: bool
) -> dict[str, float]:
    """Best seconds of some steps after a first one, and the process's peak memory in MB.

    Processor seconds (of all threads) suffer less from other work on the machine.
    """
    torch.manual_seed(0)
    sam = add_lora(build_sam(size, side, fast=fast), LoraSettings(rank=8))
    images = torch.rand(batch, 1, side, side)
    seconds, processor = [], []
    for _ in range(repeats + 1):
        began, began_processor = time.perf_counter(), time.process_time()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            embeddings = encode(sam, images)
        embeddings.float().square().mean().backward()
        seconds.append(time.perf_counter() - began)
        processor.append(time.process_time() - began_processor)
    # Kilobytes on Linux, bytes on macOS.
    unit = 2**20 if sys.platform == "darwin" else 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    return {"seconds": min(seconds[1:]), "processor": min(processor[1:]), "peak": peak}


@torch.no_grad()
def compare_prompting(size: str, side: int) -> None:
    """One batch against the package's loop over images, and their largest difference."""
    torch.manual_seed(0)
    sam = build_sam(size, side)
    grid = sam.prompt_encoder.image_embedding_size[0]
    embeddings = torch.randn(IMAGES, sam.prompt_encoder.embed_dim, grid, grid)
    low = torch.rand(IMAGES, 2) * side / 2
    boxes = torch.cat([low, low + side / 3], dim=1)
    prompts = Prompts(torch.arange(IMAGES), boxes=boxes)

    def loop() -> torch.Tensor:
        masks = []
        for embedding, box in zip(embeddings, boxes, strict=True):
            sparse, dense = sam.prompt_encoder(points=None, boxes=box[None], masks=None)
            positions = sam.prompt_encoder.get_dense_pe()
            masks.append(sam.mask_decoder(embedding[None], positions, sparse, dense, True)[0])
        return torch.cat(masks)

    def batch() -> torch.Tensor:
        return decode(sam, embeddings, prompts).three()[0]

    difference = (loop() - batch()).abs().max()
    looped, batched = best(loop), best(batch)
    print(
        f"{size} {side}: loop {looped:.4f}, batch {batched:.4f}, {looped / batched:.1f} times as "
        f"fast; largest difference {difference:.1e}"
    )


def best(function, repeats: int = 15) -> float:
    """Seconds of the fastest of some calls."""
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


if __name__ == "__main__":
    main()
