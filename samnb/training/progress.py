"""What a running training shows: a progress bar, and TensorBoard files if they are asked for."""

from pathlib import Path

from tqdm import tqdm

EVENTS = "events"


class Progress:
    """Told after every step and every validation. dice: the last validation's, to show."""

    def __init__(self, title: str, start: int, steps: int, visible: bool, folder: Path | None):
        """start: steps done before; folder: of the event files, None for none."""
        self._bar = tqdm(total=steps, initial=start, desc=title, unit=" step", disable=not visible)
        self.dice: float | None = None
        self._writer = None
        if folder is not None:
            # Not at the top: it takes a second to load, and most runs do without.
            from torch.utils.tensorboard import SummaryWriter

            # What a killed run wrote after its last checkpoint is hidden from here on.
            self._writer = SummaryWriter(str(folder / EVENTS), purge_step=start + 1)

    def stepped(
        self, step: int, losses: dict[str, float], rate: float, recent: dict[str, float]
    ) -> None:
        """losses: of this step; recent: means to show; rate: the learning rate."""
        shown = recent if self.dice is None else {**recent, "Dice": self.dice}
        texts = {name: f"{value:.3f}" for name, value in shown.items()}
        self._bar.set_postfix(texts, refresh=False)
        self._bar.update()
        self._write(step, {"learning rate": rate}, "training")
        self._write(step, losses, "training")

    def validated(self, step: int, values: dict[str, float]) -> None:
        """values: the metrics of this step's validation."""
        self.dice = values.get("dice")
        self._write(step, values, "validation")

    def _write(self, step: int, values: dict[str, float], group: str) -> None:
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(f"{group}/{name}", value, step)

    def flush(self) -> None:
        """Put on disk what was told so far."""
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        self._bar.close()
        if self._writer is not None:
            self._writer.close()
