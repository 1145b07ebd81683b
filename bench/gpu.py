"""What a GPU does here: speed, repeatability, and a better pocket SAM, within a wall clock.

    python bench/gpu.py all --folder out --seconds 540    # the three parts below, one after another
    python bench/gpu.py speed --folder out                # SAM here against segment_anything
    python bench/gpu.py repeat --folder out               # the same seed twice; killed and resumed
    python bench/gpu.py pretrain --folder out             # the pocket SAM from nothing
    python bench/gpu.py compare --folder results/gpu      # old weights against new, no GPU needed

Every part writes what it has found as it goes. `pretrain` is `samnb weights pretrain` for a GPU:
the same network, loss, prompts and kind of pictures, but hundreds of pictures in a step, and every
picture may be used more than once, turned, mirrored and in another exposure. Processes draw
pictures while the other parts run; the pictures then lie in the GPU's memory.
"""

import argparse
import json
import math
import mmap
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file
from segment_anything.modeling import Sam
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from samnb.base import paths
from samnb.base.checkout import commit
from samnb.base.errors import SamnbError
from samnb.base.files import atomic_path, read_json, sha256, write_json
from samnb.base.workers import end_with_parent
from samnb.evaluation.costs import device_in_words, forget_peak_memory, peak_memory, versions
from samnb.networks.sam import prompting
from samnb.networks.sam.lora import add_lora
from samnb.networks.sam.model import build_sam
from samnb.networks.sam.prompting import Masks, Prompts
from samnb.networks.sam.settings import LoraSettings
from samnb.networks.sam.weights import POCKET, load_sam
from samnb.pretraining import evaluate as held_out
from samnb.pretraining import recipe
from samnb.pretraining.recipe import Pretraining, ShapeStream
from samnb.pretraining.release import TARGETS
from samnb.pretraining.shapes import draw_shapes
from samnb.training.loop import fit
from samnb.training.schedules import TrainingSettings, build_optimiser

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
WAYS = ("plain", "compiled", "captured")  # a step of pretraining, each faster than the one before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("all", "speed", "repeat", "pretrain", "compare"))
    parser.add_argument("--folder", type=Path, default=Path("results/gpu"))
    parser.add_argument("--seconds", type=float, default=540, help="the wall clock, start included")
    parser.add_argument("--start", type=Path, help="go on from these weights, not from nothing")
    parser.add_argument("--seed", type=int, default=11, help="of the pictures and the training")
    parser.add_argument("--peak", type=float, default=Recipe.peak, help="largest learning rate")
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 3))
    parser.add_argument("--way", choices=WAYS, default=WAYS[-1], help="how to run a step")
    parser.add_argument("--tiny", action="store_true", help="small sizes, to try the script")
    parser.add_argument("--real", type=Path, default=paths.CHECKOUT / "../shared/real")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + given.seconds
    if given.part == "speed":
        measure_speed(given.folder, end, given.tiny)
    elif given.part == "repeat":
        measure_repeats(given.folder, given.tiny)
    elif given.part == "compare":
        compare(given.folder, given.real.resolve(), given.tiny)
    else:
        draw_and_pretrain(given, end)


def draw_and_pretrain(given: argparse.Namespace, end: float) -> None:
    """Pretrain; if all parts are wanted, measure while the first pictures are drawn."""
    settings = Recipe(seed=given.seed, peak=given.peak, **(TINY if given.tiny else {}))
    with Drawing(settings, given.workers) as drawing:  # the workers fork before the GPU is touched
        other = None
        if given.part == "all":
            _start_part("speed", given, 0.22).wait()
            other = _start_part("repeat", given, 0.22)
        with torch.cuda.stream(torch.cuda.Stream()) if DEVICE.type == "cuda" else nullcontext():
            pretrain(drawing, settings, given, end)
        if other:
            other.wait()


def _start_part(part: str, given: argparse.Namespace, share: float) -> subprocess.Popen:
    """Another part in a process of its own, which may fail alone, for a share of the time."""
    seconds = str(given.seconds * share)
    command = [sys.executable, __file__, part, "--folder", str(given.folder), "--seconds", seconds]
    limited = ["timeout", str(given.seconds * share + 10), *command]
    return subprocess.Popen([*limited, "--tiny"] if given.tiny else limited)


# ---- speed: SAM here against the package -------------------------------------------------------

LOOKS = {  # name: (our attention, precision, compiled)
    "package, float32": (False, torch.float32, False),
    "package, bfloat16": (False, torch.bfloat16, False),
    "samnb, bfloat16": (True, torch.bfloat16, False),
    "samnb, bfloat16, compiled": (True, torch.bfloat16, True),
}
CASES = [  # size, side, images in a forward pass, images in a training step
    ("vit_b", 1024, 8, 4),
    ("vit_b", 512, 32, 16),
    ("vit_b", 256, 64, 64),
    ("vit_h", 1024, 4, 2),
    ("vit_h", 512, 16, 8),
    ("vit_h", 256, 64, 32),
]


def measure_speed(folder: Path, end: float, tiny: bool) -> None:
    """Images per second, memory and share of the matrix rate; the compiled ones come last."""
    rate = matrix_rate(512 if tiny else 8192)
    rows: list[dict] = []
    notes = {"device": device_in_words(DEVICE), "versions": versions(), "matrix TFLOP/s": rate}
    notes["prompting"] = [measure_prompting("pocket", 128)]
    if not tiny:
        notes["prompting"].append(measure_prompting("vit_b", 1024))
    write_json(folder / "speed.json", notes)
    cases = [("pocket", 64, 2, 2)] if tiny else CASES
    for late in (False, True):
        for size, side, *batches in cases:
            for name, look in LOOKS.items():
                if look[2] is late and (size, look[1]) != ("vit_h", torch.float32):
                    _measure_look(rows, end, rate, (size, side, batches), name)
                    _write_table(rows, folder / "speed.csv")
    print(pd.DataFrame(rows).to_string(), flush=True)


def _write_table(rows: list[dict], path: Path) -> None:
    pd.DataFrame(rows).to_csv(path, index=False, float_format="%.4g")


def _measure_look(rows: list[dict], end: float, rate: float, case: tuple, name: str) -> None:
    """One network in one of its looks: a row for the forward pass, one for the training step."""
    size, side, batches = case
    fast, precision, compiled = LOOKS[name]
    for training, batch in zip((False, True), batches, strict=True):
        if time.monotonic() > end - (20 if compiled else 5):
            return
        row = {"network": size, "side": side, "what": "training step" if training else "forward"}
        row |= {"look": name, "images": batch}
        try:
            torch.compiler.reset()
            row |= _time_encoder(size, side, batch, training, fast, precision, compiled)
            row["share of the matrix rate"] = row["TFLOP/s"] / rate
        except Exception as error:  # too little memory, or no compiler: say so and go on
            row["fault"] = f"{type(error).__name__}: {str(error).splitlines()[0][:80]}"
        rows.append(row)
        if DEVICE.type == "cuda":
            torch.cuda.empty_cache()


def _time_encoder(
    size: str, side: int, batch: int, training: bool, fast: bool, precision, compiled: bool
) -> dict[str, float]:
    """Time the image encoder; a training step is forward, backward and AdamW on LoRA of rank 8."""
    torch.manual_seed(0)
    with DEVICE:
        sam = build_sam(size, side, fast=fast)
        if training:
            sam = add_lora(sam, LoraSettings(rank=8))
    encoder = sam.to(DEVICE).image_encoder
    if compiled:
        for block in encoder.blocks:
            block.compile(dynamic=False)
    images = torch.randn(batch, 3, side, side, device=DEVICE)
    learned = [value for value in encoder.parameters() if value.requires_grad]
    optimiser = torch.optim.AdamW(learned, fused=True) if training else None

    def run() -> None:
        enabled = precision != torch.float32
        with torch.set_grad_enabled(training), torch.autocast(DEVICE.type, precision, enabled):
            answer = encoder(images)
        if training:
            answer.float().square().mean().backward()
            optimiser.step()
            optimiser.zero_grad()

    began = time.perf_counter()
    run()
    first = time.perf_counter() - began
    forget_peak_memory(DEVICE)
    seconds = time_calls(run, 0.5)
    work = operations(size, side, training) * batch
    return {
        "images/s": batch / seconds,
        "peak MB": peak_memory(DEVICE),
        "TFLOP/s": work / seconds / 1e12,
        "first call, s": first,
    }


@cache
def operations(size: str, side: int, training: bool) -> int:
    """Floating-point operations of one image, counted on the package's own modules."""
    with torch.device("meta"):
        sam = build_sam(size, side, fast=False)
        if training:
            sam = add_lora(sam, LoraSettings(rank=8))
        images = torch.empty(1, 3, side, side)
    encoder = sam.image_encoder.to("meta")
    with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(training):
        answer = encoder(images)
        if training:
            answer.sum().backward()
    return counter.get_total_flops()


def matrix_rate(side: int) -> float:
    """TFLOP/s of a product of two random square bfloat16 matrices."""
    first, second = (torch.randn(side, side, device=DEVICE, dtype=torch.bfloat16) for _ in range(2))
    return 2 * side**3 / time_calls(lambda: first @ second, 0.5) / 1e12


@torch.no_grad()
def measure_prompting(size: str, side: int, images: int = 16) -> dict[str, float | str]:
    """One box in each image: the package's loop over images against one batch, float32."""
    torch.manual_seed(0)
    sam = build_sam(size, side).to(DEVICE)
    grid = sam.prompt_encoder.image_embedding_size[0]
    embeddings = torch.randn(images, sam.prompt_encoder.embed_dim, grid, grid, device=DEVICE)
    low = torch.rand(images, 2, device=DEVICE) * side / 2
    boxes = torch.cat([low, low + side / 3], dim=1)
    prompts = Prompts(torch.arange(images, device=DEVICE), boxes=boxes)

    def loop() -> Tensor:
        masks = []
        for embedding, box in zip(embeddings, boxes, strict=True):
            sparse, dense = sam.prompt_encoder(points=None, boxes=box[None], masks=None)
            positions = sam.prompt_encoder.get_dense_pe()
            masks.append(sam.mask_decoder(embedding[None], positions, sparse, dense, True)[0])
        return torch.cat(masks)

    def batch() -> Tensor:
        return prompting.decode(sam, embeddings, prompts).three()[0]

    return {
        "network": f"{size} {side}",
        "images": images,
        "largest difference": float((loop() - batch()).abs().max()),
        "loop, s": time_calls(loop, 1.0),
        "batch, s": time_calls(batch, 1.0),
    }


def time_calls(call: Callable[[], object], seconds: float) -> float:
    """Median seconds of a call, repeated for so long; the GPU has finished each."""
    taken: list[float] = []
    for _ in range(2):
        call()
    _wait()
    while not taken or sum(taken) < seconds:
        began = time.perf_counter()
        call()
        _wait()
        taken.append(time.perf_counter() - began)
    return float(np.median(taken))


def _wait() -> None:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


# ---- repeats: two runs, one result -------------------------------------------------------------


def measure_repeats(folder: Path, tiny: bool) -> None:
    """The same seed twice, and once broken off and resumed: how far the weights are apart."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # repeatable matrix products
    steps = 6 if tiny else 200
    stream = ShapeStream(5, 128, 2 if tiny else 16, 4, 3 if tiny else 25)
    batches = [stream[number] for number in range(len(stream))]
    found = {"device": device_in_words(DEVICE), "versions": versions(), "steps": steps}
    found |= _three_runs(folder / "repeat", batches, steps)
    write_json(folder / "determinism.json", found)
    print(json.dumps(found, indent=1), flush=True)


def _three_runs(folder: Path, batches: list, steps: int) -> dict:
    first = _short_run(folder, batches, steps)
    again = _short_run(folder, batches, steps)
    path = folder / "checkpoint.pt"
    with suppress(KeyboardInterrupt):
        _short_run(folder, batches, steps, stop=steps * 2 // 3)
    begun = torch.load(path, weights_only=True)["step"]
    resumed = _short_run(folder, batches, steps)
    path.unlink()
    return {
        "seconds of a run": round(first.seconds, 1),
        "the same seed again": _apart(first.weights, again.weights),
        f"broken off at step {steps * 2 // 3}, resumed from step {begun}": _apart(
            first.weights, resumed.weights
        ),
    }


def _short_run(folder: Path, batches: list, steps: int, stop: int | None = None):
    """Train the pocket SAM for some steps; `stop`: break off there, leaving a checkpoint."""
    settings = TrainingSettings(
        steps,
        warmup=steps // 10,
        precision="bfloat16",
        seed=3,
        checkpoint_seconds=1e9 if stop is None else 0.5,
    )
    torch.manual_seed(3)
    method = Pretraining(build_sam("pocket"))

    def stream(start: int) -> Iterator:
        for step in range(start, steps):
            if step == stop:
                raise KeyboardInterrupt
            yield batches[step % len(batches)]

    return fit(method, stream, settings, folder, progress=False)


def _apart(first: dict[str, Tensor], second: dict[str, Tensor]) -> dict:
    """Whether all bits agree; else the largest difference, and the norm's share."""
    pairs = [(first[name].double(), second[name].double()) for name in first]
    squares = [((one - two).square().sum(), one.square().sum()) for one, two in pairs]
    return {
        "equal": all(torch.equal(first[name], second[name]) for name in first),
        "largest difference": max(float((one - two).abs().max()) for one, two in pairs),
        "relative distance": math.sqrt(
            float(sum(apart for apart, _ in squares) / sum(whole for _, whole in squares))
        ),
    }


# ---- pretraining: pictures ---------------------------------------------------------------------


@dataclass(frozen=True)
class Recipe:
    """How the pocket SAM is pretrained on a GPU."""

    seed: int = 11
    side: int = 128
    images: int = 256  # in a step
    objects: int = 4  # asked about in every image
    corrections: int = 3  # most correcting clicks in a step
    peak: float = 1.5e-3  # learning rate, reached after `warmup`, then a cosine down to zero
    warmup: float = 0.03  # share of the time
    decay: float = 0.999  # of the moving average of the weights, which is what is kept
    room: int = 2_200_000  # pictures that may be drawn
    share: float = 0.35  # of the GPU's memory for pictures; the newest stay
    wait: int = 20_000  # pictures drawn before the first step


TINY = {"images": 8, "objects": 3, "room": 4096, "wait": 256}
HOPELESS = 1.6  # the loss, after a good thousand steps, of a run that sees nothing
CHUNK = 256  # pictures a worker draws in a row
VALIDATION = 192_837_465  # seed of the pictures the training is watched on; no other part has it


class Drawing:
    """Processes that draw pictures into memory they share with this one.

    A picture is two planes of bytes: the greys, and up to eight masks, one in each bit.
    """

    def __init__(self, settings: Recipe, workers: int):
        self.seed, self.side = settings.seed, settings.side
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 0.6
        self.chunks = int(min(settings.room, memory / (2 * self.side**2))) // CHUNK
        shape = (self.chunks * CHUNK, 2, self.side, self.side)
        self.pictures = _shared(math.prod(shape)).reshape(shape)
        self.counts = _shared(len(self.pictures))  # masks of each picture
        self.seconds = _shared(8 * self.chunks).view(np.float64)  # of each chunk; 0: not drawn yet
        context = multiprocessing.get_context("fork")
        self.next = context.Value("q", 0)
        self.leading = 0
        self.workers = [context.Process(target=self._worker, daemon=True) for _ in range(workers)]

    def __enter__(self) -> "Drawing":
        for worker in self.workers:
            worker.start()
        return self

    def __exit__(self, *_) -> None:
        for worker in self.workers:
            worker.terminate()

    def _worker(self) -> None:
        end_with_parent()
        self.draw()

    def draw(self) -> None:
        """Draw chunk after chunk that nobody has begun, until there is no room."""
        while (chunk := self._take()) < self.chunks:
            began = time.perf_counter()
            for number in range(chunk * CHUNK, (chunk + 1) * CHUNK):
                drawn = draw_shapes(self.seed, number, self.side)
                self.pictures[number, 0] = drawn.image
                self.pictures[number, 1] = np.packbits(drawn.masks, axis=0, bitorder="little")[0]
                self.counts[number] = len(drawn.masks)
            self.seconds[chunk] = time.perf_counter() - began

    def _take(self) -> int:
        with self.next.get_lock():
            self.next.value += 1
            return self.next.value - 1

    def ready(self) -> int:
        """Pictures that are drawn, with no gap among them."""
        while self.leading < self.chunks and self.seconds[self.leading] > 0:
            self.leading += 1
        return self.leading * CHUNK

    def per_second(self) -> float:
        """Pictures that one worker draws in a second."""
        taken = self.seconds[: self.leading]
        return CHUNK / float(np.median(taken)) if len(taken) else math.nan


def _shared(size: int) -> np.ndarray:
    """Bytes (size,), zero, that processes forked from now on share."""
    return np.frombuffer(mmap.mmap(-1, size), np.uint8)


class Pool:
    """The newest pictures, in the GPU's memory."""

    def __init__(self, drawing: Drawing, settings: Recipe):
        self.drawing, self.rng = drawing, np.random.default_rng(settings.seed)
        room = len(drawing.pictures)
        if DEVICE.type == "cuda":
            memory = torch.cuda.get_device_properties(DEVICE).total_memory * settings.share
            room = min(room, int(memory / drawing.pictures[0].size) // CHUNK * CHUNK)
        shape = (room, *drawing.pictures.shape[1:])
        self.pictures = torch.zeros(shape, dtype=torch.uint8, device=DEVICE)
        self.counts = torch.ones(room, dtype=torch.uint8, device=DEVICE)
        self.room, self.stored, self.used = room, 0, 0

    def refill(self) -> None:
        """Bring over what has been drawn since the last time."""
        for start in range(self.stored, self.drawing.ready(), CHUNK):
            here, there = (slice(at, at + CHUNK) for at in (start % self.room, start))
            self.pictures[here] = torch.from_numpy(self.drawing.pictures[there])
            self.counts[here] = torch.from_numpy(self.drawing.counts[there])
            self.stored = start + CHUNK

    def choose(self, images: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows for a step, and which were used before: new pictures first, then any of the old."""
        oldest = max(0, self.stored - self.room)
        self.used = max(self.used, oldest)
        new = min(images, self.stored - self.used)
        old = oldest + (self.rng.random(images - new) * (self.stored - oldest)).astype(np.int64)
        numbers = self.rng.permutation(np.concatenate([self.used + np.arange(new), old]))
        again = numbers < self.used
        self.used += new
        return numbers % self.room, again


def turned(pictures: Tensor) -> Tensor:
    """Pictures (N, 2, S, S), every eighth in another of the eight ways to turn and mirror it."""
    parts = []
    for way, part in enumerate(pictures.chunk(8)):
        part = torch.rot90(part, way % 4, (2, 3))
        parts.append(part.flip(3) if way >= 4 else part)
    return torch.cat(parts)


def exposed(images: Tensor) -> Tensor:
    """Images (N, 1, S, S), 0-1, with random gain, level and noise; some become negatives."""
    luck = torch.rand(5, len(images), 1, 1, 1, device=images.device)
    gain = torch.exp((luck[0] - 0.5) * 0.8) * torch.where(luck[1] < 0.15, -1.0, 1.0)
    noise = torch.randn_like(images) * (luck[2] - 0.5).clamp(min=0) * 0.1
    return ((images - 0.5) * gain + 0.5 + (luck[3] - 0.5) * 0.2 + noise).clamp(0, 1)


# ---- pretraining: a step -----------------------------------------------------------------------


class OnDevice(Pretraining):
    """The recipe's forward without a look back at the processor: a graph of the GPU can hold it.

    `samnb.networks.sam.prompting.decode` checks its prompts and counts their tokens, for which the
    processor has to wait. Here every row has equally many tokens by construction.
    """

    def __init__(self, sam: Sam):
        super().__init__(sam)
        shared = {"dtype": torch.long, "device": sam.pixel_mean.device}
        self.box_kinds = torch.tensor([prompting.TOP_LEFT, prompting.BOTTOM_RIGHT], **shared)
        self.point_kinds = torch.tensor([prompting.FOREGROUND, prompting.PADDING], **shared)

    def forward(self, images: Tensor, masks: Tensor, corrections: int) -> Tensor:
        """images (N, 1, S, S), masks (N, K, S, S) -> loss, first, last and IoU in one tensor."""
        sam = self.sam
        embeddings = sam.image_encoder((images * 255 - sam.pixel_mean) / sam.pixel_std)
        target = recipe.at_logit_grid(masks, sam).flatten(0, 1)
        boxed = torch.rand(len(target), device=target.device) < 0.5
        prompts = recipe.first_prompts(masks, boxed)
        answer = self.decode(embeddings, prompts, boxed)
        losses = [self._first_loss(answer, target, boxed).mean()]
        best = torch.where(boxed[:, None, None], answer.single()[0], answer.best_of_three()[0])
        for _ in range(corrections):
            prompts = recipe.correct(prompts, best.detach(), target, sam.image_encoder.img_size)
            answer = self.decode(embeddings, prompts, boxed)
            best = answer.logits[:, 0]
            losses.append(recipe.mask_losses(answer, target)[:, 0].mean())
        rounds, overlap = torch.stack(losses), recipe.iou(best.detach() > 0, target).mean()
        return torch.stack([rounds.mean(), rounds[0], rounds[-1], overlap])

    def decode(self, embeddings: Tensor, prompts: Prompts, boxed: Tensor) -> Masks:
        """A box is two tokens, a first point is one and the padding; later clicks are one each."""
        corners = prompts.boxes.reshape(-1, 2, 2).nan_to_num()
        point = torch.nn.functional.pad(prompts.points[:, :1], (0, 0, 0, 1))
        places = torch.where(boxed[:, None, None], corners, point)
        kinds = torch.where(boxed[:, None], self.box_kinds, self.point_kinds)
        places = torch.cat([places, prompts.points[:, 1:]], dim=1)
        kinds = torch.cat([kinds, prompts.labels[:, 1:]], dim=1)
        with torch.autocast(DEVICE.type, enabled=False):  # places need all their digits
            sparse = prompting._embed_tokens(self.sam, places, kinds)
        return prompting._decode_rows(self.sam, embeddings, prompts, sparse)


class Step:
    """A whole step of training on pictures of the pool, on the GPU from end to end."""

    def __init__(self, sam: Sam, pool: Pool, settings: Recipe):
        self.method, self.pool, self.settings = OnDevice(sam), pool, settings
        self.rows = torch.zeros(settings.images, dtype=torch.long, device=DEVICE)
        self.again = torch.zeros(settings.images, dtype=torch.bool, device=DEVICE)
        self.sums = torch.zeros(4, device=DEVICE)
        self.parameters = list(sam.parameters())
        self.average = [value.detach().clone() for value in self.parameters]
        self.optimiser = build_optimiser(TrainingSettings(1, settings.peak), self.parameters)
        self.rate = torch.tensor(0.0, device=DEVICE)
        for group in self.optimiser.param_groups:
            group |= {"lr": self.rate, "capturable": DEVICE.type == "cuda"}
        self.graphs: dict[int, torch.cuda.CUDAGraph] = {}

    def batch(self) -> tuple[Tensor, Tensor]:
        """Images (N, 1, S, S) and masks (N, K, S, S) of the chosen rows."""
        pictures = turned(self.pool.pictures[self.rows])
        images, planes = pictures[:, :1].float() / 255, pictures[:, 1:]
        images = torch.where(self.again[:, None, None, None], exposed(images), images)
        counts = self.pool.counts[self.rows].long()[:, None]
        first = (torch.rand(counts.shape, device=DEVICE) * counts).long()
        which = (first + torch.arange(self.settings.objects, device=DEVICE)) % counts
        return images, ((planes >> which[:, :, None, None].to(torch.uint8)) & 1).bool()

    def learn(self, corrections: int) -> None:
        """Forward, backward, and the optimiser's step; a gradient that is not finite is left out.

        The gradient is cut to a norm of 1 as in `samnb.training.loop`.
        """
        images, masks = self.batch()
        with torch.autocast(DEVICE.type, torch.bfloat16):
            losses = self.method(images, masks, corrections)
        losses[0].backward()
        for value in self.parameters:
            if value.grad is not None:
                value.grad.nan_to_num_(0, 0, 0)
        nn.utils.clip_grad_norm_(self.parameters, 1.0, foreach=True)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        with torch.no_grad():
            torch._foreach_lerp_(self.average, self.parameters, 1 - self.settings.decay)
        self.sums += losses.detach()

    def __call__(self, corrections: int, rate: float) -> None:
        rows, again = self.pool.choose(self.settings.images)
        self.rows.copy_(torch.from_numpy(rows))
        self.again.copy_(torch.from_numpy(again))
        self.rate.fill_(rate)
        if corrections in self.graphs:
            self.graphs[corrections].replay()
        else:
            self.learn(corrections)

    def quicken(self, way: str) -> None:
        """Compile the heavy parts; then capture the whole step, so that the GPU is kept busy.

        Everything has to run on one stream that is not the default one, from the first step on.
        """
        if way != "plain":
            for block in self.method.sam.image_encoder.blocks:
                block.compile(dynamic=False)
            prompting._paint = torch.compile(prompting._paint, dynamic=False)
            recipe.mask_losses = torch.compile(recipe.mask_losses, dynamic=False)
            self._try_all()
        if way == "captured" and DEVICE.type == "cuda":
            graphs, memory = {}, None
            for corrections in range(self.settings.corrections, 0, -1):
                graphs[corrections] = torch.cuda.CUDAGraph()
                here = torch.cuda.current_stream()
                with torch.cuda.graph(graphs[corrections], pool=memory, stream=here):
                    self.learn(corrections)
                memory = graphs[corrections].pool()
            self.graphs = graphs

    def _try_all(self) -> None:
        """Every kind of step twice, with a rate of zero: nothing is learned."""
        for corrections in range(1, self.settings.corrections + 1):
            for _ in range(2):
                self(corrections, 0.0)
        _wait()


# ---- pretraining: the run ----------------------------------------------------------------------


def pretrain(drawing: Drawing, settings: Recipe, given: argparse.Namespace, end: float) -> None:
    """Train until the wall clock says stop; keep the averaged weights and how they came about."""
    torch.manual_seed(settings.seed)
    torch.backends.cuda.enable_cudnn_sdp(False)  # the other fast kernels are older and tried
    sam = load_sam("pocket", settings.side, given.start)
    sam.to(DEVICE).train()
    pool = Pool(drawing, settings)
    while drawing.ready() < settings.wait:
        time.sleep(0.1)
    pool.refill()
    step = Step(sam, pool, settings)
    machine = {"device": device_in_words(DEVICE), "processors": os.cpu_count(), **versions()}
    record = {"recipe": asdict(settings), "machine": machine, "commit": commit()}
    record |= {"start": str(given.start or "nothing"), "way": given.way, "workers": given.workers}
    began = time.monotonic()
    step.quicken(given.way)
    print(f"{given.way} after {time.monotonic() - began:.0f} s; {pool.stored} pictures", flush=True)
    _run(step, record, given, end - (2 if given.tiny else 20))
    record["pictures"]["drawn in a second by one worker"] = drawing.per_second()
    write_json(given.folder / "pocket.json", record)


def _run(step: Step, record: dict, given: argparse.Namespace, end: float) -> None:
    """Steps until `end`, watched on a few held-out pictures at every fifth of the time."""
    settings, pool, began = step.settings, step.pool, time.monotonic()
    choose, losses, looks, number = np.random.default_rng(settings.seed + 1), [], [], 0
    step.sums.zero_()
    while (share := (time.monotonic() - began) / (end - began)) < 1:
        warm = min(1.0, (share + 1e-4) / settings.warmup)
        for _ in range(5):
            corrections = int(choose.integers(1, settings.corrections + 1))
            step(corrections, settings.peak * warm * 0.5 * (1 + math.cos(math.pi * share)))
            number += 1
        if number == 500:  # a young run has nothing worth remembering
            with torch.no_grad():
                torch._foreach_copy_(step.average, step.parameters)
        _wait()
        pool.refill()
        if number % (20 if given.tiny else 500) == 0:
            losses.append(_note(step, number, 20 if given.tiny else 500))
        if share > (len(looks) + 1) / 5:
            looks.append(_look(step, number, given))
    looks.append(_look(step, number, given))
    record |= {"phases": [_phase(settings, number, time.monotonic() - began, losses)]}
    record["validation"] = looks
    record["pictures"] = {"drawn": pool.stored, "shown": number * settings.images}
    path = given.folder / "pocket.safetensors"
    record |= {"bytes": path.stat().st_size, "sha256": sha256(path)}
    record["parameters"] = sum(value.numel() for value in step.method.sam.parameters())


def _phase(settings: Recipe, steps: int, seconds: float, losses: list[dict]) -> dict:
    """The run in the words of results/pocket_sam/record.json."""
    return {
        **{name: getattr(settings, name) for name in ("side", "images", "objects")},
        **{"steps": steps, "seconds": seconds, "losses": losses, "precision": "bfloat16"},
        **{"learning_rate": settings.peak, "warmup": round(settings.warmup * steps), "final": 0.0},
    }


def _note(step: Step, number: int, steps: int) -> dict[str, float]:
    """The mean losses of the last `steps`; a run that learns nothing ends here."""
    losses = dict(zip(("loss", "first", "last", "iou"), (step.sums / steps).tolist(), strict=True))
    step.sums.zero_()
    print({"step": number, **losses}, flush=True)
    if not losses["loss"] < (HOPELESS if number > 2 * steps else math.inf):
        raise SamnbError(f"The loss is {losses['loss']:.2f}.", "lower --peak, or give --start.")
    return {"step": number, **losses}


def _look(step: Step, number: int, given: argparse.Namespace) -> dict[str, float]:
    """Keep the averaged weights as they are now, and measure them."""
    path = given.folder / "pocket.safetensors"
    _keep(step, path)
    eager = torch.compiler.set_stance("force_eager")  # other shapes would be compiled anew
    with mock.patch.object(held_out, "HELD_OUT", VALIDATION), eager:
        sam = load_sam("pocket", step.settings.side, path).to(DEVICE).eval()
        found = held_out.evaluate(sam, 20 if given.tiny else 300, progress=False)
    print({"step": number, **found}, flush=True)
    return {"step": number, **{name: round(value, 4) for name, value in found.items()}}


def _keep(step: Step, path: Path) -> None:
    """Write the averaged weights in half precision; buffers are the network's own."""
    sam = step.method.sam
    names = [name for name, _ in sam.named_parameters()]
    weights = {**sam.state_dict(), **dict(zip(names, step.average, strict=True))}
    half = {name: value.detach().half().cpu().contiguous() for name, value in weights.items()}
    with atomic_path(path) as temporary:
        save_file(half, temporary)


# ---- comparison: the shipped weights and the new ones ------------------------------------------


def compare(folder: Path, real: Path, tiny: bool) -> None:
    """Held-out shapes, and the sets of bench/zero_shot.py, with the shipped weights and the new."""
    import zero_shot

    record, tables = read_json(folder / "pocket.json") | {"targets": TARGETS}, []
    new = folder / "pocket.safetensors"
    for name, path in (("evaluation of the shipped weights", POCKET), ("evaluation", new)):
        sam = load_sam("pocket", weights=path).to(DEVICE).eval()
        record[name] = held_out.evaluate(sam, 40 if tiny else 2000)
        write_json(folder / "pocket.json", record)
    for name, path in (("shipped", POCKET), ("new", new)):
        tables.append(zero_shot.table(real, path).assign(weights=name))
        pd.concat(tables).to_csv(folder / "zero_shot.csv", index=False)


if __name__ == "__main__":
    main()
