"""What the page "Try it here" loads: a few slices, what SAM sees in them, and its decoder.

try_it.json     sizes, and the list of slices with their files
decoder.onnx    prompt encoder and mask decoder; LoRA in the image encoder leaves both as they are
slice-N.png     the picture
slice-N.bin     its embeddings, (2, prompt width, g, g) half precision: frozen SAM, adapted SAM
picture.png     what a page shows where no script runs
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from segment_anything.modeling import Sam
from torch import Tensor

from samnb.base.files import write_json
from samnb.browser.decoder import export_decoder
from samnb.browser.picture import draw_answers
from samnb.data.slices import SliceSet
from samnb.networks.sam.lora import add_lora, merge
from samnb.networks.sam.model import encode
from samnb.networks.sam.prompting import Masks, Prompts, decode
from samnb.networks.sam.weights import load_sam
from samnb.prompts.boxes import box_of
from samnb.reports import style
from samnb.studies import Profile, load_profile
from samnb.studies import cohorts as cohort
from samnb.training.adaptation import teach_with_boxes

COHORT = "lits"
SLICES = 4


def shown_profile(profile: Profile) -> Profile:
    """`profile` if it has phantoms and the pocket SAM, else the profile pocket.

    No patient's picture goes on a site, and no reader waits for the weights of a large SAM.
    """
    settings = profile.data.cohorts.get(COHORT)
    fits = settings is not None and settings.phantom is not None and profile.sam.size == "pocket"
    return profile if fits else load_profile("pocket")


def write_assets(folder: Path, profile: Profile) -> None:
    """Write all files into `folder`; slices are made if they are not there, an adapter is taught.

    The adapter is that of the chapter on LoRA with the fewest labelled slices.
    """
    slices = cohort.cohort_slices(profile, COHORT)
    images, masks = _load(slices, chosen_rows(profile, slices))
    labels = min(profile.data.labelled)
    frozen = load_sam(profile.sam.size, profile.sam.side).eval()
    adapted = _teach(profile, slices, labels)
    embeddings = embed(frozen, images), embed(adapted, images)
    export_decoder(frozen, folder / "decoder.onnx")
    boxes = box_of(masks)
    about = [
        _write_slice(folder, number, *one)
        for number, one in enumerate(zip(images, masks, boxes, *embeddings, strict=True), start=1)
    ]
    write_json(
        folder / "try_it.json",
        {
            "side": profile.sam.side,
            "embedding": list(embeddings[0].shape[1:]),
            "labels": labels,
            "colours": {
                "truth": style.TRUTH,
                "prediction": style.PREDICTION,
                "prompt": style.PROMPT,
            },
            "decoder": "decoder.onnx",
            "slices": about,
        },
    )
    answers = [_answer(frozen, some[:1], boxes[:1]) for some in embeddings]
    draw_answers(folder / "picture.png", images[0, 0], masks[0], boxes[0], answers)


def chosen_rows(profile: Profile, slices: SliceSet) -> list[int]:
    """The slice with the most of the target, of each of the first test patients of the split."""
    pixels = slices.index["mask_pixels"].to_numpy()
    patients = cohort.cohort_split(profile, COHORT).test[:SLICES]
    rows = [slices.rows_of([patient]) for patient in patients]
    return [int(some[pixels[some].argmax()]) for some in rows]


@torch.no_grad()
def embed(sam: Sam, images: Tensor) -> Tensor:
    """Images (N, 1, S, S) -> embeddings (N, prompt width, g, g), rounded to half precision."""
    return encode(sam, images).half()


def _load(slices: SliceSet, rows: list[int]) -> tuple[Tensor, Tensor]:
    images, masks = slices.load(rows, target=0)
    return torch.from_numpy(images), torch.from_numpy(masks).bool()


def _teach(profile: Profile, slices: SliceSet, labels: int) -> Sam:
    """The SAM of the profile with its adapter, merged into a plain SAM."""
    subset = cohort.labelled_subsets(profile, COHORT)[labels]
    sam = add_lora(load_sam(profile.sam.size, profile.sam.side), profile.sam.lora)
    images, masks = _load(slices, list(subset.rows))
    return merge(teach_with_boxes(sam, images, masks, profile.adaptation, profile.seed)).eval()


def _write_slice(
    folder: Path, number: int, image: Tensor, mask: Tensor, box: Tensor, *embeddings: Tensor
) -> dict[str, Any]:
    """Write one slice (1, S, S) and its embeddings; returns what the page must know of it."""
    picture, vectors = folder / f"slice-{number}.png", folder / f"slice-{number}.bin"
    Image.fromarray((image[0] * 255).round().byte().numpy()).save(picture, optimize=True)
    vectors.write_bytes(torch.stack(embeddings).numpy().astype("<f2").tobytes())
    return {
        "picture": picture.name,
        "embeddings": vectors.name,
        "truth": runs(mask.numpy()),
        "box": box.int().tolist(),
    }


def runs(mask: np.ndarray) -> list[int]:
    """A mask (H, W) as lengths of runs, row by row: the first of background, then in turn."""
    flat = np.concatenate([[0], mask.astype(np.int8).ravel(), [1 - int(mask.ravel()[-1])]])
    ends = np.flatnonzero(np.diff(flat))
    return np.diff(ends, prepend=0).tolist()


@torch.no_grad()
def _answer(sam: Sam, embedding: Tensor, boxes: Tensor) -> Masks:
    """What SAM makes of one box (1, 4), from a stored embedding (1, prompt width, g, g)."""
    prompts = Prompts(torch.zeros(1, dtype=torch.long), boxes)
    return decode(sam, embedding.float(), prompts).at_side(sam.image_encoder.img_size)
