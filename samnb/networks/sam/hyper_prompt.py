"""Adapters that know the prompt: Med-SA's HyP-Adpt, and the simpler ones it is compared with.

The tokens of a row's prompt are put side by side, in as many places as a prompt may have (empty
ones are zero), and reduced to one short embedding. From it HyP-Adpt generates three matrices, a
projection and a reshape each, and what lies in the adapter's bottleneck goes through them:

    e <- ReLU(Norm(e W_i)),  W_i = reshape(M_i(prompt)),  i = 1, 2, 3

The paper does not say how prompts of different lengths are reduced, nor how long the results are;
here all matrices are square, of the bottleneck's length, and the usual up-projection follows.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from samnb.base.errors import SamnbError
from samnb.networks.sam.bottleneck import Adapter, reduced, silent

LAYERS = 3  # of the hyper-prompting, each with a generator of its own


class Reduction(nn.Module):
    """Prompts of up to `places` tokens, concatenated and reduced to a fixed length."""

    def __init__(self, width: int, places: int, length: int):
        super().__init__()
        self.places = places
        self.project = nn.Linear(places * width, length)

    def forward(self, prompts: Tensor) -> Tensor:
        """prompts: (R, T, width), T tokens of each row's prompt, maybe none -> (R, length)."""
        _, tokens, width = prompts.shape
        if tokens > self.places:
            raise SamnbError(
                f"A prompt of {tokens} tokens; this Med-SA's reduction takes {self.places}. "
                "(A box is two, a point one, and points without a box are closed by one more.)",
                f"prompt with less, or build and train it with at least {tokens} places.",
            )
        return self.project(F.pad(prompts.flatten(1), (0, (self.places - tokens) * width)))


class PromptedAdapter(nn.Module):
    """Down, mixed with the prompt, and up. Subclasses say how they mix."""

    def __init__(self, width: int, bottleneck: int, places: int):
        super().__init__()
        length = reduced(width, bottleneck)
        self.down = nn.Linear(width, length)
        self.reduction = Reduction(width, places, length)
        self.up = silent(length, width)

    def forward(self, x: Tensor, prompts: Tensor) -> Tensor:
        """x: (R, tokens, width), prompts: (R, T, width) -> what is to be added to x, same shape."""
        return self.up(self.mix(self.down(x), self.reduction(prompts)))

    def mix(self, embedding: Tensor, prompt: Tensor) -> Tensor:
        """embedding: (R, tokens, length); prompt: (R, length) -> (R, tokens, length)."""
        raise NotImplementedError


class Unprompted(Adapter):
    """The plain adapter, in the place of a prompted one."""

    def __init__(self, width: int, bottleneck: int, places: int):
        super().__init__(width, bottleneck)

    def forward(self, x: Tensor, prompts: Tensor) -> Tensor:
        return super().forward(x)


class Added(PromptedAdapter):
    def mix(self, embedding: Tensor, prompt: Tensor) -> Tensor:
        return F.relu(embedding + prompt[:, None])


class Concatenated(PromptedAdapter):
    def __init__(self, width: int, bottleneck: int, places: int):
        super().__init__(width, bottleneck, places)
        length = self.down.out_features
        self.merge = nn.Linear(2 * length, length)

    def mix(self, embedding: Tensor, prompt: Tensor) -> Tensor:
        # Written out as two products: no need to copy the prompt beside every token.
        own, said = self.merge.weight.chunk(2, dim=1)
        return F.relu(F.linear(embedding, own, self.merge.bias) + F.linear(prompt, said)[:, None])


class Hyper(PromptedAdapter):
    """HyP-Adpt."""

    def __init__(self, width: int, bottleneck: int, places: int):
        super().__init__(width, bottleneck, places)
        length = self.down.out_features
        self.generators = nn.ModuleList(nn.Linear(length, length * length) for _ in range(LAYERS))

    def mix(self, embedding: Tensor, prompt: Tensor) -> Tensor:
        length = embedding.shape[-1]
        for generator in self.generators:
            weights = generator(prompt).reshape(-1, length, length)
            embedding = F.relu(F.layer_norm(embedding @ weights, (length,)))
        return embedding


# The variants of the ablation (Table 3).
PROMPTINGS = {
    "none": Unprompted,
    "addition": Added,
    "concatenation": Concatenated,
    "hyper": Hyper,
}
