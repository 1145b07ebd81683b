"""Numbers → what a table shows: formatted here and nowhere else, best bold, second underlined.

A table of numbers has one row per system and columns named in COLUMNS. Companions of a column X
are printed with it or decide its marks, and have no column of their own when printed:

- X_deviation: printed behind X as ±
- X_low, X_high: an interval, printed in a column after X
- X_place: 1 for the best, 2 for the second, if the marks compare with rows that are not shown
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from samnb.evaluation.statistics import plus_minus
from samnb.reports.page import Page

NOTHING = "–"
INTERVAL = "95 % interval"
BEST, SECOND = "best", "second"
_COMPANIONS = ("_deviation", "_low", "_high", "_place")


@dataclass(frozen=True)
class Column:
    """How a column of numbers is printed: title, digits, factor, and which end is better."""

    title: str
    digits: int = 3
    better: str = ""  # high, low, or neither
    factor: float = 1.0


COLUMNS = {
    "dice": Column("Dice", better="high"),
    "hd": Column("HD, px", 2, "low"),
    "hd95": Column("HD95, px", 2, "low"),
    "hd_mm": Column("HD, mm", 2, "low"),
    "hd95_mm": Column("HD95, mm", 2, "low"),
    "hd95_voxels": Column("HD95, voxels", 2, "low"),
    "iou": Column("IoU", better="high"),
    "surface_dice": Column("Surface Dice", better="high"),
    "paper_dice": Column("Paper: Dice", better="high"),
    "paper_hd": Column("Paper: HD", 2, "low"),
    "paper_dsc": Column("Paper: Dice", 4, better="high"),
    "paper_hd95": Column("Paper: HD95", 2, "low"),
    "paper_iou": Column("Paper: IoU", 4, better="high"),
    "public_dice": Column("Dice, public rule", better="high"),
    "public_hd95": Column("HD95, public rule", 2, "low"),
    "paper_exemplars": Column("Paper: exemplars"),
    "exemplars": Column("Exemplars"),
    "track": Column("Track"),
    "all_dice": Column("Dice, all slices"),
    "missed": Column("Missed, %", 1, "low"),
    "tables": Column("Dice, as in the tables"),
    "inside": Column("Point inside, %", 0, "high"),
    "down": Column("Aside: down, px", 1),
    "right": Column("Aside: right, px", 1),
    "away": Column("Away, px", 1, "low"),
    "longer": Column("Dice, four times the steps"),
    "auc": Column("AUC", better="high"),
    "hit": Column("Maximum inside", better="high"),
    "box_iou": Column("Box IoU", better="high"),
    "boxed": Column("With a box", 2),
    "parameters": Column("Parameters, M", 2, factor=1e-6),
    "trainable": Column("Trainable, M", 3, factor=1e-6),
    "multiply_adds": Column("GMACs a slice", 2, factor=1e-9),
    "training_seconds": Column("Training, s", 0),
    "milliseconds": Column("ms a slice", 1),
    "memory": Column("Memory, MB", 0),
    "device": Column("Device"),
    "bfloat16": Column("bfloat16"),
    "float32": Column("float32"),
    "pairs": Column("Pairs", 0),
    "difference": Column("Difference"),
    "spread": Column("Seeds ±"),
    "equal": Column("Equal"),
    "patients": Column("Patients", 0),
    "seeds": Column("Seeds", 0),
    "missing": Column("Missing seeds"),
    # The tasks of Med-SA.
    "organs": Column("Organs", better="high"),
    "optic disc": Column("Disc", better="high"),
    "optic cup": Column("Cup", better="high"),
    "brain tumour": Column("Tumour", better="high"),
    "thyroid nodule": Column("Nodule", better="high"),
    "melanoma": Column("Skin", better="high"),
    # Its real images.
    "belly, MR volumes": Column("Belly", better="high"),
    "brains, MR volumes": Column("Brain", better="high"),
    "brains, FLAIR slices": Column("FLAIR", better="high"),
    "brains, another institution": Column("Elsewhere", better="high"),
    "skin": Column("Skin", better="high"),
    "polyps": Column("Polyps", better="high"),
    # Beyond its paper: thick slices, and clicks of a map.
    "frozen": Column("SAM"),
    "flat": Column("Without depth"),
    "deep": Column("With depth"),
    "shown": Column("Dice, where shown", better="high"),
    "every": Column("Dice, every slice", better="high"),
    "false_alarms": Column("False alarms, %", 1, "low"),
    "share": Column("Share, %", 1),
    "told_dice": Column("Dice if told"),
    "cost": Column("Cost of Dice"),
    # The sets, transfers and clicks of M-SAM.
    "BraTS 2021": Column("BraTS 2021", better="high"),
    "KiTS19": Column("KiTS19", better="high"),
    "MSD Lung": Column("Lung", better="high"),
    "MSD Pancreas": Column("Pancreas", better="high"),
    "LiTS": Column("LiTS", better="high"),
    "MSD Hepatic": Column("Hepatic", better="high"),
    "Lung100": Column("Second lung", better="high"),
    "source": Column("Dice, source"),
    "before": Column("Dice, target"),
    "after": Column("Dice, transferred"),
    "change": Column("Change"),
    "rate": Column("Change, %", 1),
    "paper_before": Column("Paper: before", 4),
    "paper_after": Column("Paper: after", 4),
    "paper_change": Column("Paper: change", 4),
    "paper_rate": Column("Paper: %", 2),
    "tuned": Column("Paper: trained, %", 2),
    "level": Column("Dice wanted", 1),
    "needed": Column("Clicks needed", 1, "low"),
    "reached": Column("Reached by, %", 0, "high"),
    "whole": Column("Clicks, mean of all", 0),
    "set": Column("Set"),
    "honest": Column("Dice, without the truth", better="high"),
    "cropped": Column("Dice, cropped by the truth"),
}


def printed(table: pd.DataFrame) -> pd.DataFrame:
    """The table as strings, with the titles of COLUMNS; what is not known is a dash.

    Columns of text that say nothing in any row are left out.
    """
    columns = {}
    for name in _shown(table):
        column = COLUMNS.get(name, Column(name))
        if not pd.api.types.is_numeric_dtype(table[name]):
            if table[name].fillna("").ne("").any():
                columns[column.title] = table[name].fillna("").replace("", NOTHING)
            continue
        columns[column.title] = _numbers(table, name, column)
        if f"{name}_low" in table:
            columns[INTERVAL] = _interval(table, name, column)
    return pd.DataFrame(columns, index=table.index)


def marks(table: pd.DataFrame) -> pd.DataFrame:
    """BEST, SECOND or "" for every cell of `printed`.

    What prints alike is alike: all rows that share the best number are best, all that share the
    next one are second. A column with fewer than two rows to compare has no marks.
    """
    text = printed(table)
    found = pd.DataFrame("", index=text.index, columns=text.columns)
    for name in _shown(table):
        column = COLUMNS.get(name, Column(name))
        if column.better and column.title in text:
            place = _places(table, name, column)
            found[column.title] = np.select([place == 1, place == 2], [BEST, SECOND], "")
    return found


def styled(table: pd.DataFrame, caption: str = "") -> Page:
    """The table for a page: best bold, second underlined, as the paper does."""
    looks = {BEST: "font-weight: bold", SECOND: "text-decoration: underline", "": ""}
    text = printed(table).rename_axis(index=None, columns=table.index.name)
    css = marks(table).map(looks.get)
    # Styler draws a random name for each table, so an executed notebook would never be the same.
    name = hashlib.sha256((caption + text.to_csv()).encode()).hexdigest()[:8]
    page = Page(text, uuid=name, cell_ids=False)
    apart = [
        {"selector": "th, td", "props": "white-space: nowrap; padding: 0.25em 0.6em"},
        {"selector": "td", "props": "font-variant-numeric: tabular-nums"},
        {"selector": "caption", "props": "caption-side: top; text-align: left"},
    ]
    page.set_table_styles(apart).apply(lambda _: css, axis=None)
    return page.set_caption(caption) if caption else page


def latex(table: pd.DataFrame) -> str:
    r"""A booktabs tabular: \textbf for the best, \underline for the second.

    The page that takes it in needs \usepackage{booktabs}.
    """
    text, found = printed(table), marks(table)
    commands = {BEST: r"\textbf{%s}", SECOND: r"\underline{%s}", "": "%s"}
    head = [table.index.name or "", *text.columns]
    lines = [r"\begin{tabular}{l" + "l" * text.shape[1] + "}", r"\toprule"]
    lines += [" & ".join(map(escape, head)) + r" \\", r"\midrule"]
    for name, cells, kinds in zip(text.index, text.to_numpy(), found.to_numpy(), strict=True):
        row = [commands[kind] % escape(cell) for cell, kind in zip(cells, kinds, strict=True)]
        lines.append(" & ".join([escape(str(name)), *row]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def escape(text: str) -> str:
    """Text as LaTeX takes it."""
    special = {sign: "\\" + sign for sign in "&%$#_{}"}
    special |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {"±": r"$\pm$", "–": "--", "ω": r"$\omega$", "−": "$-$", "<": "$<$", ">": "$>$"}
    return "".join(special.get(sign, sign) for sign in text)


def _shown(table: pd.DataFrame) -> list[str]:
    """Columns that are not another one's companions."""
    return [
        name
        for name in table.columns
        if not any(name.endswith(end) and name.removesuffix(end) in table for end in _COMPANIONS)
    ]


def _numbers(table: pd.DataFrame, name: str, column: Column) -> list[str]:
    values = table[name].astype(float) * column.factor
    companion = table.get(f"{name}_deviation")
    deviations = values * np.nan if companion is None else companion.astype(float) * column.factor
    return [
        NOTHING if np.isnan(value) else plus_minus(value, deviation, column.digits)
        for value, deviation in zip(values, deviations, strict=True)
    ]


def _interval(table: pd.DataFrame, name: str, column: Column) -> list[str]:
    ends = table[[f"{name}_low", f"{name}_high"]].to_numpy(dtype=float) * column.factor
    digits = column.digits
    return [
        NOTHING if np.isnan(low + high) else f"{low:.{digits}f} to {high:.{digits}f}"
        for low, high in ends
    ]


def _places(table: pd.DataFrame, name: str, column: Column) -> np.ndarray:
    if f"{name}_place" in table:
        return table[f"{name}_place"].to_numpy(dtype=float, na_value=np.nan)
    values = (table[name].astype(float) * column.factor).round(column.digits)
    if values.count() < 2:
        return np.full(len(values), np.nan)
    return values.rank(method="dense", ascending=column.better == "low").to_numpy()
