"""The published numbers of M-SAM: its tables 1 (sets), 2 (transfers) and 3 (ablation)."""

from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from samnb.base.errors import SamnbError
from samnb.reports.m_sam_names import TITLES

_FILE = Path(__file__).with_name("paper_m_sam.yaml")
AUTOMATIC, CLICKED, UNSAID = "automatic", "clicks", "not said"  # who prompts, in the paper


def published_comparison() -> pd.DataFrame:
    """Table 1, one row per system in its order.

    Index: the system as this book writes it. Columns: said (the paper's words), kind (U-Net, SAM),
    track (AUTOMATIC, CLICKED, UNSAID), ours (names of our systems beside it), parameters and
    trainable (millions), and the Dice of each set (0-1, as everywhere in this book; the paper has
    percent).
    """
    table = _read()["comparison"]
    rows = {}
    for row in table["rows"]:
        texts = zip(table["columns"], row["printed"].split(), strict=True)
        numbers = {name: _number(name, text) for name, text in texts}
        named = {name: row[name] for name in ("said", "kind", "track")}
        ours = tuple(TITLES[name] for name in row.get("ours", ()))
        rows[row["system"]] = named | {"ours": ours} | numbers
    return pd.DataFrame.from_dict(rows, orient="index")


def printed_second() -> dict[str, str]:
    """Which system table 1 underlines as the second, by set."""
    return dict(_read()["comparison"]["second"])


def published_transfer(transfer: str) -> pd.DataFrame:
    """The rows of table 2 about one transfer, in its order, by system.

    Columns: ours; before, after, difference (0-1; after minus before) and rate (percent of before),
    as printed.
    """
    table = _read()["transfer"]
    if transfer not in table["rows"]:
        raise SamnbError(
            f"M-SAM has no transfer '{transfer}'.", f"it has {', '.join(table['rows'])}."
        )
    rows = {}
    for system, printed in table["rows"][transfer].items():
        texts = zip(table["columns"], printed.split(), strict=True)
        ours = tuple(TITLES[name] for name in table["systems"][system])
        rows[system] = {"ours": ours} | {name: _number(name, text) for name, text in texts}
    return pd.DataFrame.from_dict(rows, orient="index")


def published_ablation() -> pd.DataFrame:
    """Table 3 by variant: said; trained (percent of the parameters); Dice and IoU of its sets.

    The columns of the sets are such as "KiTS19 dice", 0-1.
    """
    table = _read()["ablation"]
    rows = {}
    for variant, row in table["rows"].items():
        texts = zip(table["columns"], row["printed"].split(), strict=True)
        numbers = {name: _number(name, text) for name, text in texts}
        rows[variant] = {"said": row["said"], "trained": float(row["trained"])} | numbers
    return pd.DataFrame.from_dict(rows, orient="index")


def printed_differences() -> dict[tuple[str, str], tuple[list[str], list[str]]]:
    """Table 2's numbers as they are printed: by transfer and system (before, after), (Δ, rate)."""
    return {
        (transfer, system): (printed.split()[:2], printed.split()[2:])
        for transfer, systems in _read()["transfer"]["rows"].items()
        for system, printed in systems.items()
    }


def note() -> str:
    """What stands beside every table: the weights have seen the sets, and clicks tell where."""
    return _read()["note"].strip()


def _number(name: str, text: str) -> float:
    """Dice and IoU 0-1; parameters in millions and the rate in percent stay as they are."""
    value = float(text)
    return value if name in ("parameters", "trainable", "rate") else round(value / 100, 6)


@cache
def _read() -> dict[str, Any]:
    return yaml.safe_load(_FILE.read_text(encoding="utf-8"))
