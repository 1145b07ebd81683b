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
PocketOption = Annotated[
    str, typer.Option("--pocket", help="pocket, or pocket_3d: the one for volumes.")
]


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
    _list_for_volumes()


def _list_for_volumes() -> None:
    from samnb.networks.sam3d.weights import published, weights_path

    for size in ("pocket_3d", *published()):
        path = weights_path(size)
        if path.is_file():
            print(f"{size:9} {path.stat().st_size / 1e6:6.1f} MB  {path}")
        elif size == "pocket_3d":
            print(f"{size:9} {'missing':>9}  samnb weights pretrain --pocket pocket_3d")
        else:
            print(f"{size:9} {'missing':>9}  put {published()[size]['url']} at {path}")


@app.command("get")
def get_weights(
    size: Annotated[str, typer.Argument(help="vit_b, vit_l, vit_h or sam_med3d.")],
    progress: ProgressOption = True,
) -> None:
    """Download published weights, or go on with a broken download; checks them either way.

    Example: [cyan]samnb weights get vit_b[/cyan]
    """
    from samnb.networks.sam3d import weights as for_volumes

    if size in for_volumes.published():
        print(for_volumes.get(size))
        return
    from samnb.networks.sam.weights import get

    print(get(size, progress))


@app.command()
def pretrain(
    pocket: PocketOption = "pocket",
    folder: Annotated[
        Path | None,
        typer.Option(help="Checkpoints and result; default: a folder of its own in the data."),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="float32 or bfloat16 throughout; default: each phase's own."),
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that draw images ahead.")] = 1,
    device: DeviceOption = "auto",
    progress: ProgressOption = True,
) -> None:
    """Train a pocket SAM from nothing on generic shapes: about two hours on two cores.

    Run it again after an interruption: it goes on where it stood.

    Example: [cyan]samnb weights pretrain --device cuda --precision bfloat16[/cyan]
    """
    _choose_device(device)
    if precision not in (None, "float32", "bfloat16"):
        raise SamnbError(f"No precision '{precision}'.", "use float32 or bfloat16.")
    if _for_volumes(pocket):
        from samnb.pretraining.volumes import pretrain as recipe
    else:
        from samnb.pretraining import pretrain as recipe

    folder = folder or _folder_of(pocket)
    recipe.pretrain(folder, precision=precision, workers=workers, progress=progress)
    print(folder / "sam.safetensors")


@app.command()
def release(
    pocket: PocketOption = "pocket",
    folder: Annotated[
        Path | None, typer.Option(help="A finished pretraining; default: where it is made.")
    ] = None,
    images: Annotated[
        int | None,
        typer.Option(min=1, help="Held-out images to measure on; default: 2000, or 500 volumes."),
    ] = None,
    progress: ProgressOption = True,
) -> None:
    """Measure a finished pretraining on held-out shapes and ship it: weights and record.

    Example: [cyan]samnb weights release[/cyan]
    """
    if _for_volumes(pocket):
        from samnb.pretraining.volumes.release import release as ship
    else:
        from samnb.pretraining.release import release as ship

    held_out = images or (500 if _for_volumes(pocket) else 2000)
    record = ship(folder or _folder_of(pocket), held_out, progress)
    for name, aim in record["targets"].items():
        print(f"{name:24} {record['evaluation'][name]:.3f}  aim {aim:.2f}")


@app.command()
def evaluate(
    weights: Annotated[
        str | None,
        typer.Option(help="pocket, or the path of a .safetensors or .pth file; default: shipped."),
    ] = None,
    size: Annotated[
        str, typer.Option(help="The SAM these weights are of: pocket, pocket_3d, vit_b, ...")
    ] = "pocket",
    side: Annotated[
        int | None, typer.Option(help="Input side; default: 128 pixels, or that of the weights.")
    ] = None,
    images: Annotated[int, typer.Option(min=1, help="Held-out images or volumes.")] = 2000,
    device: DeviceOption = "auto",
    progress: ProgressOption = True,
) -> None:
    """Measure a SAM on generic shapes it has never seen: mean IoU by prompt.

    Example: [cyan]samnb weights evaluate --images 200[/cyan]
    """
    if size in ("pocket_3d", "sam_med3d"):
        from samnb.networks.sam3d.weights import load_sam3d
        from samnb.pretraining.volumes.evaluate import evaluate as examine

        sam = load_sam3d(size, side, weights or "published")
    else:
        from samnb.networks.sam.weights import load_sam
        from samnb.pretraining.evaluate import evaluate as examine

        sam = load_sam(size, side or 128, weights or "pocket")
    sam = sam.to(_choose_device(device)).eval()
    for name, value in examine(sam, images, progress=progress).items():
        print(f"{name:24} {value:.3f}" if isinstance(value, float) else f"{name:24} {value}")


def _for_volumes(pocket: str) -> bool:
    if pocket not in ("pocket", "pocket_3d"):
        raise SamnbError(f"No pocket SAM '{pocket}'.", "use pocket or pocket_3d.")
    return pocket == "pocket_3d"


def _folder_of(pocket: str) -> Path:
    """Where the pretraining of a pocket SAM keeps its checkpoints and its result."""
    from samnb.base.paths import data_root

    return data_root() / ("pretraining_3d" if _for_volumes(pocket) else "pretraining")


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
