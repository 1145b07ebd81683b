"""Which slices a network can take: k halvings need sides that 2^k divides."""

from collections.abc import Sequence

from torch import Tensor

from samnb.base.errors import SamnbError


def check_side(images: Tensor, system: str, step: int, least: int | None = None) -> None:
    """Refuse images (N, C, H, W) whose sides are below `least` or no multiples of `step`."""
    least = step if least is None else least
    height, width = images.shape[-2:]
    if all(side >= least and side % step == 0 for side in (height, width)):
        return
    fitting = max(least, round(max(height, width) / step) * step)
    raise SamnbError(
        f"{system} cannot take slices of {height} x {width} pixels: its sides are multiples of "
        f"{step}, from {least} on.",
        f"set data.slices.side of the profile to {fitting}.",
    )


def check_exact_side(images: Tensor, system: str, side: int) -> None:
    """Refuse images (N, C, H, W) of another side than the one the network was built for."""
    height, width = images.shape[-2:]
    if (height, width) != (side, side):
        raise SamnbError(
            f"This {system} is built for slices of {side} x {side} pixels, not {height} x {width}.",
            f"give it slices of side {side}, or set data.slices.side and build it anew.",
        )


def check_channels(images: Tensor, system: str, taken: Sequence[int], remedy: str) -> None:
    """Refuse images (N, C, H, W) whose number of channels is none of these."""
    found = images.shape[1]
    if found not in taken:
        raise SamnbError(
            f"This {system} cannot take slices with {found} channel{'s' * (found != 1)}: "
            f"it is built for {' or '.join(map(str, taken))}.",
            remedy,
        )
