"""Where data and results live on this machine."""

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def data_root() -> Path:
    """Folder of downloads, phantoms and caches.

    `$SAMNB_DATA` if set, else `data/` of the checkout, else a folder in the user's cache when the
    package is installed without its book.
    """
    if chosen := os.environ.get("SAMNB_DATA"):
        return Path(chosen).expanduser().resolve()
    if in_checkout():
        return CHECKOUT / "data"
    return Path("~/.cache/samnb").expanduser()


def results_root() -> Path:
    """Folder of records, tables and figures: `$SAMNB_RESULTS`, else `results/` beside `data/`."""
    if chosen := os.environ.get("SAMNB_RESULTS"):
        return Path(chosen).expanduser().resolve()
    return CHECKOUT / "results" if in_checkout() else data_root() / "results"


def real_root() -> Path:
    """Folder of the small real sets that the profiles `real_...` use; nothing is written there.

    `$SAMNB_REAL` if set, else `../shared/real` as seen from the checkout.
    """
    if chosen := os.environ.get("SAMNB_REAL"):
        return Path(chosen).expanduser().resolve()
    return CHECKOUT.parent / "shared" / "real"


def in_checkout() -> bool:
    return (CHECKOUT / "pyproject.toml").is_file() and (CHECKOUT / "book").is_dir()
