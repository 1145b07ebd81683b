"""The picture that stands where the interactive figure cannot run."""

from pathlib import Path

import matplotlib.pyplot as plt
from torch import Tensor

from samnb.networks.sam.prompting import Masks
from samnb.reports import style
from samnb.reports.prompted import show_prompted

NAMES = ("single", "first of three", "second", "third")


def draw_answers(path: Path, image: Tensor, truth: Tensor, box: Tensor, answers: list[Masks]):
    """Four masks of the frozen SAM above those of the adapted one, each with its own score.

    image, truth: (S, S); box: (4,); answers: to this box, at the side of the image.
    """
    with style.styled():
        figure, grid = style.panels(len(answers), len(NAMES))
        for line, answer, title in zip(grid, answers, ("frozen", "with LoRA"), strict=True):
            for place, axes in enumerate(line):
                mask = (answer.logits[0, place] > 0).numpy()
                score = float(answer.scores[0, place])
                name = f"{NAMES[place]}: {max(score, 0):.2f}"
                show_prompted(axes, image.numpy(), mask, box.numpy(), None, None, truth, name)
            line[0].set_ylabel(title)
        figure.savefig(path)
        plt.close(figure)
