"""`samnb weights ...`: what SAM starts from, and the pocket SAM's own training."""

from pathlib import Path
from typing import Annotated

import typer

from samnb.base.errors import SamnbError

app = typer.Typer(
    help="SAM's published weights, and the pocket SAM: trained and examined.",
    no_args_is_help=True,
)

ProgressOption = Annotated[bool, typer.Option(help="Show a progress bar.")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]


@app.command("list")
def list_weights() -> None:
    """Say which weights are here, where, how large, and how to get the others.

    Example: [cyan]samnb weights list[/cyan]
    """
    from samnb.networks.sam.weights import published, weights_path

    for size in ("pocket", *published()):
        path = weights_path(size)
        if path.is_file():
            print(f"{size:7} {path.stat().st_size / 1e6:8.1f} MB  {path}")
        elif size == "pocket":
            print(f"{size:7} {'missing':>11}  samnb weights pretrain")
        else:
            megabytes = f"{published()[size].bytes / 1e6:.1f} MB"
            print(f"{size:7} {'missing':>11}  samnb weights get {size}   ({megabytes}, to {path})")


@app.command("get")
def get_weights(
    size: Annotated[str, typer.Argument(help="vit_b, vit_l or vit_h.")],
    progress: ProgressOption = True,
) -> None:
    """Download published weights, or go on with a broken download; checks them either way.

    Example: [cyan]samnb weights get vit_b[/cyan]
    """
    from samnb.networks.sam.weights import get

    print(get(size, progress))


@app.command()
def pretrain(
    folder: Annotated[
        Path | None,
        typer.Option(help="Checkpoints and result; default: pretraining/ in the data folder."),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="float32 or bfloat16 throughout; default: each phase's own."),
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that draw images ahead.")] = 1,
    device: DeviceOption = "auto",
    progress: ProgressOption = True,
) -> None:
    """Train the pocket SAM from nothing on generic shapes: about two hours on two cores.

    Run it again after an interruption: it goes on where it stood.

    Example: [cyan]samnb weights pretrain --device cuda --precision bfloat16[/cyan]
    """
    _choose_device(device)
    if precision not in (None, "float32", "bfloat16"):
        raise SamnbError(f"No precision '{precision}'.", "use float32 or bfloat16.")
    from samnb.base.paths import data_root
    from samnb.pretraining import pretrain as recipe

    folder = folder or data_root() / "pretraining"
    recipe.pretrain(folder, precision=precision, workers=workers, progress=progress)
    print(folder / "sam.safetensors")


@app.command()
def release(
    folder: Annotated[
        Path | None, typer.Option(help="A finished pretraining; default: pretraining/ in the data.")
    ] = None,
    images: Annotated[int, typer.Option(min=1, help="Held-out images to measure on.")] = 2000,
    progress: ProgressOption = True,
) -> None:
    """Measure a finished pretraining on held-out shapes and ship it: weights and record.

    Example: [cyan]samnb weights release[/cyan]
    """
    from samnb.base.paths import data_root
    from samnb.pretraining.release import release as ship

    record = ship(folder or data_root() / "pretraining", images, progress)
    for name, aim in record["targets"].items():
        print(f"{name:24} {record['evaluation'][name]:.3f}  aim {aim:.2f}")


@app.command()
def evaluate(
    weights: Annotated[
        str, typer.Option(help="pocket, or the path of a .safetensors or .pth file.")
    ] = "pocket",
    size: Annotated[str, typer.Option(help="The SAM these weights are of.")] = "pocket",
    side: Annotated[int, typer.Option(help="Input side, pixels.")] = 128,
    images: Annotated[int, typer.Option(min=1, help="Held-out images.")] = 2000,
    device: DeviceOption = "auto",
    progress: ProgressOption = True,
) -> None:
    """Measure a SAM on generic shapes it has never seen: mean IoU by prompt.

    Example: [cyan]samnb weights evaluate --images 200[/cyan]
    """
    from samnb.networks.sam.weights import load_sam
    from samnb.pretraining.evaluate import evaluate as examine

    sam = load_sam(size, side, weights).to(_choose_device(device)).eval()
    for name, value in examine(sam, images, progress=progress).items():
        print(f"{name:24} {value:.3f}" if isinstance(value, float) else f"{name:24} {value}")


def _choose_device(name: str) -> str:
    """The device to compute on; the training loop is told by an environment variable."""
    import os

    import torch

    if name not in ("auto", "cpu", "cuda"):
        raise SamnbError(f"No device '{name}'.", "use auto, cpu or cuda.")
    if name == "cuda" and not torch.cuda.is_available():
        raise SamnbError("This machine has no GPU that PyTorch can use.", "use --device cpu.")
    if name == "cpu":
        os.environ["ACCELERATE_USE_CPU"] = "true"
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"
