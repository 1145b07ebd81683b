"""What a method costs, and on what it was run: counted or measured, never estimated."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from samnb.method import Method, UserPrompts

PACKAGES = ("samnb", "torch", "monai", "numpy", "scipy", "segment-anything", "peft", "accelerate")


def multiply_adds(method: Method, images: Tensor, prompts: UserPrompts | None = None) -> int:
    """Multiplications with addition per slice for the method's answer to images (N, C, S, S)."""
    training = method.training
    method.eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        method.answer(method.begin(images), prompts)
    method.train(training)
    return counter.get_total_flops() // 2 // len(images)


def forget_peak_memory(device: torch.device) -> None:
    """Start to look for the largest memory anew, where the system allows it."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif (reset := Path("/proc/self/clear_refs")).exists():
        reset.write_text("5")


def peak_memory(device: torch.device) -> float:
    """Largest memory since then, MB: of the tensors on a GPU, else of the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024 / 1e6
    import resource  # not on Windows

    bytes_each = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * bytes_each / 1e6


def device_in_words(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    count = torch.get_num_threads()
    return f"{device.type}, {count} thread{'s' if count > 1 else ''}"


def versions() -> dict[str, str]:
    """Of Python and the libraries that compute."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    for line in cpuinfo.read_text().splitlines() if cpuinfo.is_file() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
