"""The adapter of Med-SA: a narrow detour beside a frozen layer (Houlsby et al., 2019).

Down to a fraction of the width, ReLU, and up again. The up-projection begins at zero, so that a
fresh adapter adds nothing to what the frozen network computes.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from samnb.base.errors import SamnbError


class Adapter(nn.Module):
    def __init__(self, width: int, bottleneck: int):
        """bottleneck: the width is divided by it."""
        super().__init__()
        length = reduced(width, bottleneck)
        self.down = nn.Linear(width, length)
        self.up = silent(length, width)

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., width) -> what is to be added, same shape."""
        return self.up(F.relu(self.down(x)))


def reduced(width: int, bottleneck: int) -> int:
    """The length of the narrow embedding."""
    if bottleneck < 1 or width % bottleneck:
        raise SamnbError(
            f"An adapter cannot have 1/{bottleneck} of {width} channels.",
            "choose a bottleneck that divides the widths of encoder and decoder.",
        )
    return width // bottleneck


def silent(length: int, width: int) -> nn.Linear:
    """An up-projection that answers zero until it has learned."""
    up = nn.Linear(length, width)
    nn.init.zeros_(up.weight)
    nn.init.zeros_(up.bias)
    return up
