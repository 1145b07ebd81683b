"""From what a user says of K targets in N images to rows of prompts, one for each target asked."""

from torch import Tensor

from samnb.method import UserPrompts


def shape_of(prompts: UserPrompts) -> tuple[int, int]:
    """Numbers of images and targets."""
    given = prompts.boxes if prompts.labels is None else prompts.labels
    return given.shape[0], given.shape[1]


def asked(prompts: UserPrompts) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Image and target of everything that is prompted (R,), and what is said of it by name."""
    said_of = None
    if prompts.labels is not None:
        said_of = (prompts.labels >= 0).any(dim=2)
    if prompts.boxes is not None:
        boxed = ~prompts.boxes.isnan().any(dim=2)
        said_of = boxed if said_of is None else said_of | boxed
    image, target = said_of.nonzero(as_tuple=True)
    said = {"points": prompts.points, "labels": prompts.labels, "boxes": prompts.boxes}
    return image, target, {name: value[image, target]
                           for name, value in said.items() if value is not None}  # fmt: skip
