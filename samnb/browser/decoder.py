"""SAM's prompt encoder and mask decoder as one ONNX file, for one object in one image.

The image encoder stays behind: a page gets embeddings that were computed beforehand.
"""

import logging
import warnings
from pathlib import Path

import torch
from segment_anything.modeling import Sam
from torch import Tensor, nn
from torch.nn import functional as F

from samnb.base.files import atomic_path

INPUTS, OUTPUTS = ("embedding", "places", "kinds"), ("logits", "scores")
MOST_TOKENS = 64  # places in one prompt


class PromptDecoder(nn.Module):
    """The library's own parts, with the table of token kinds of `samnb.networks.sam.prompting`.

    An adapter must be merged beforehand.
    """

    def __init__(self, sam: Sam):
        super().__init__()
        prompt, self.decoder = sam.prompt_encoder, sam.mask_decoder
        self.positions, self.size = prompt.pe_layer, prompt.input_image_size
        kinds = [prompt.not_a_point_embed, *prompt.point_embeddings]
        no_mask = prompt.no_mask_embed.weight.reshape(1, -1, 1, 1)
        self.register_buffer("kinds", torch.cat([kind.weight for kind in kinds]))
        self.register_buffer("no_mask", no_mask.expand(-1, -1, *prompt.image_embedding_size))
        self.register_buffer("grid", prompt.get_dense_pe())

    def forward(self, embedding: Tensor, places: Tensor, kinds: Tensor) -> tuple[Tensor, Tensor]:
        """One prompt of T tokens.

        embedding: (1, prompt width, g, g) half; places: (1, T, 2) x, y in pixels of the image;
        kinds: (1, T) int32, -1 padding, 0 background, 1 foreground, 2 and 3 corners of a box. A
        prompt without a box ends with one padding.
        -> logits (1, 4, S, S) and scores (1, 4) as `prompting.Masks.at_side(S)` holds them.
        """
        where = self.positions.forward_with_coords(places + 0.5, self.size)
        known = (kinds >= 0).float()[..., None]
        logits, scores = self.decoder.predict_masks(
            image_embeddings=embedding.float(),
            image_pe=self.grid,
            sparse_prompt_embeddings=where * known + self.kinds[kinds.long() + 1],
            dense_prompt_embeddings=self.no_mask,
        )
        return F.interpolate(logits, self.size, mode="bilinear", align_corners=False), scores


def export_decoder(sam: Sam, path: Path) -> Path:
    """Write the decoder of `sam` as an ONNX file; its prompts may have any number of tokens."""
    decoder = PromptDecoder(sam).eval().requires_grad_(False)
    width, rows, columns = decoder.no_mask.shape[1:]
    example = (
        torch.zeros(1, width, rows, columns, dtype=torch.half),
        torch.zeros(1, 3, 2),
        torch.ones(1, 3, dtype=torch.int32),
    )
    tokens = {1: torch.export.Dim("tokens", min=1, max=MOST_TOKENS)}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with atomic_path(path) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of PyTorch about itself
        torch.onnx.export(
            decoder,
            example,
            temporary,
            input_names=INPUTS,
            output_names=OUTPUTS,
            dynamic_shapes=(None, tokens, tokens),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    return path
