"""What this machine has for samnb, and what to do about what it lacks."""

import os
import platform
import shutil
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from samnb.base.paths import data_root
from samnb.data.download import source_of
from samnb.data.settings import CohortSettings
from samnb.studies import Profile

PACKAGES = ("samnb", "torch", "torchvision", "monai", "segment-anything", "peft", "numpy")
ROOM_FOR_A_COHORT = 2e9  # bytes: the phantoms of the pocket profile and their slices, with room


@dataclass(frozen=True)
class Finding:
    """One line of the report: `state` is "good", "note" or "bad"; `remedy` is empty if good."""

    topic: str
    name: str
    text: str
    state: str = "good"
    remedy: str = ""


def examine(profile: Profile) -> list[Finding]:
    """Look at software, machine, data and weights; touches nothing and takes a few seconds."""
    return [*software(), *machine(), *data(profile), *weights(profile)]


def as_dict(findings: list[Finding], profile: Profile) -> dict:
    """The same as plain values, for `--json`."""
    return {"profile": profile.name, "findings": [asdict(finding) for finding in findings]}


def software() -> list[Finding]:
    found = [Finding("software", "python", platform.python_version())]
    for name in PACKAGES:
        try:
            found.append(Finding("software", name, version(name)))
        except PackageNotFoundError:
            found.append(Finding("software", name, "missing", "bad", "run `make setup`"))
    return found


def machine() -> list[Finding]:
    import torch  # here, not above: it takes seconds, and `samnb --help` should not wait for it

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return [
        Finding("machine", "system", f"{platform.system()} {platform.machine()}"),
        Finding("machine", "cores", f"{cores}, of which PyTorch uses {torch.get_num_threads()}"),
        _memory(),
        _disk(data_root()),
        _device(torch),
        _half_precision(torch),
    ]


def _memory() -> Finding:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return Finding("machine", "memory", "unknown", "note", "the pocket profile wants 4 GB")
    if total < 4:
        remedy = "use `--workers 1`; the pocket profile wants 4 GB"
        return Finding("machine", "memory", f"{total:.1f} GB", "note", remedy)
    return Finding("machine", "memory", f"{total:.1f} GB")


def _disk(folder: Path) -> Finding:
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(existing).free
    text = f"{free / 1e9:.1f} GB free in {folder}"
    if not os.access(existing, os.W_OK):
        remedy = "choose a folder you may write to: export SAMNB_DATA=/path"
        return Finding("machine", "disk", f"{folder} is not writable", "bad", remedy)
    if free < ROOM_FOR_A_COHORT:
        remedy = "make room, or put the data elsewhere: export SAMNB_DATA=/path"
        return Finding("machine", "disk", text, "bad", remedy)
    return Finding("machine", "disk", text)


def _device(torch) -> Finding:
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        return Finding(
            "machine", "device", f"{properties.name}, {properties.total_memory / 1e9:.0f} GB"
        )
    if torch.backends.mps.is_available():
        return Finding("machine", "device", "Apple GPU (mps)")
    remedy = "enough for the pocket profile; the paper profile wants a GPU"
    return Finding("machine", "device", "CPU", "note", remedy)


def _half_precision(torch) -> Finding:
    """bf16 halves training time, but only where the hardware multiplies in it."""
    if torch.cuda.is_available():
        has = torch.cuda.is_bf16_supported()
    else:
        capabilities = getattr(torch.cpu, "get_capabilities", dict)()
        has = any(capabilities.get(name) for name in ("amx_bf16", "avx512_bf16", "bf16"))
    if has:
        return Finding("machine", "bf16", "yes, in hardware")
    return Finding("machine", "bf16", "no", "note", "float32 is used; training takes longer")


def data(profile: Profile) -> list[Finding]:
    found = [_cohort(profile, name) for name in profile.data.cohorts]
    return [*found, _slices()]


def _cohort(profile: Profile, name: str) -> Finding:
    from samnb.studies.cohorts import cohort_place  # here, as pandas comes with it

    cohort = profile.data.cohorts[name]
    folder = cohort_place(profile, name)
    remedy = _how_to_get(cohort, profile, name)
    if cohort.phantom:
        there = len(list((folder / ".phantom").glob("*.json")))
        text = f"{there} of {cohort.phantom.patients} phantoms in {folder}"
        whole = there == cohort.phantom.patients
        return Finding("data", name, text, *(() if whole else ("bad", remedy)))
    if folder.is_dir() and any(folder.iterdir()):
        return Finding("data", name, f"real data in {folder}")
    return Finding("data", name, f"nothing in {folder}", "bad", remedy)


def _how_to_get(cohort: CohortSettings, profile: Profile, name: str) -> str:
    if cohort.phantom:
        return f"run `samnb data phantom --profile {profile.name} --cohort {name}`"
    if cohort.root == "real":
        return "set SAMNB_REAL to the folder of the real sets; data/README.md says what they are"
    if known := source_of(cohort.folder or name):
        return f"run `samnb data get {known}`: it downloads, or says how to get access"
    return "put its scans there; data/README.md says in which layouts"


def _slices() -> Finding:
    folder = data_root() / "cache" / "slices"
    count = sum(1 for place in folder.iterdir() if place.is_dir()) if folder.is_dir() else 0
    if count:
        return Finding("data", "slices", f"{count} prepared in {folder}")
    return Finding("data", "slices", "none prepared yet", "note", "run `samnb data prepare`")


def weights(profile: Profile) -> list[Finding]:
    """Weights of the profile's SAM; the pocket SAM's come with the package."""
    from samnb.networks.sam.weights import weights_path  # imports PyTorch

    size = profile.sam.size
    path = weights_path(size)
    if path.is_file():
        return [Finding("weights", size, f"{path.stat().st_size / 1e6:.0f} MB in {path}")]
    if size == "pocket":
        remedy = "`make pretrain` makes them; only chapters that prompt SAM need them"
        return [Finding("weights", size, "not in this checkout", "note", remedy)]
    return [Finding("weights", size, f"not in {path}", "bad", f"run `samnb weights get {size}`")]
