"""What the records of M-SAM say, in sentences: made of the numbers, ties called ties."""

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from samnb.reports.lunch import AUTOMATIC
from samnb.reports.lunch_findings import VERDICTS, claims_counted
from samnb.reports.m_sam import of_set, track_of
from samnb.reports.m_sam_ablation import ablation_tests
from samnb.reports.m_sam_clicks import LEVELS, click_table, click_tests, needed_table
from samnb.reports.m_sam_crop import HELPS, HURTS, crop_table
from samnb.reports.m_sam_names import MOST, OWN, PLAIN, PROMPTED, SETS, TRANSFERS, clicks
from samnb.reports.m_sam_transfer import transfer_table
from samnb.reports.paper_med_sa import row_name


def findings(cases: pd.DataFrame, audit: pd.DataFrame, number: int = MOST) -> list[str]:
    """The answers to the chapter's question; what has no record is not spoken of.

    cases: of `m_sam.all_cases`; audit: of `claims_m_sam.audit_m_sam`; number: of clicks.
    """
    sets = [name for name in SETS if len(of_set(cases, name))]
    said = [
        _levels(cases, sets, number),
        _adapter(cases, sets, number),
        *(_needed(cases, sets, level) for level in LEVELS),
        _transfers(cases, number),
        _ablation(cases, number) if sets else "",
        _crop(cases, number),
        claims_counted(audit),
    ]
    return [sentence for sentence in said if sentence]


def _levels(cases: pd.DataFrame, sets: Sequence[str], number: int) -> str:
    """Mean Dice of who was told, and apart from it of the best who works alone."""
    parts = []
    for name in sets:
        means = of_set(cases, name).groupby("system")["dice"].mean()
        rows = [(system, row_name(system, clicks(number))) for system in PROMPTED]
        words = [f"{system} {means[row]:.2f}" for system, row in rows if row in means]
        alone = means[[track_of(row) == AUTOMATIC for row in means.index]]
        if len(alone):
            words.append(f"told nothing {alone.idxmax()} {alone.max():.2f}")
        if words:
            parts.append(f"*{name}* {', '.join(words)}")
    if not parts:
        return ""
    opening = f"Mean Dice, told {clicks(number)} (and beside it, not ranked, who is told nothing)"
    return f"{opening}: {'; '.join(parts)}."


def _adapter(cases: pd.DataFrame, sets: Sequence[str], number: int) -> str:
    """M-SAM against SAM-Med3D, set by set, told the same."""
    pair, verdicts, parts = [row_name(each, clicks(number)) for each in (OWN, PLAIN)], Counter(), []
    for name in sets:
        for row in click_tests(cases, name).itertuples():
            if [row.first, row.second] == pair:
                verdict = VERDICTS.get(row.better, row.better)
                verdicts[verdict] += 1
                interval = f"{row.low:+.3f} to {row.high:+.3f}"
                parts.append(f"*{name}* {row.difference:+.3f} ({interval}), {verdict}")
    if not parts:
        return ""
    counted = ", ".join(f"{verdict} {count}" for verdict, count in verdicts.items())
    return f"{OWN} against {PLAIN}, told {clicks(number)}: **{counted}**. {'; '.join(parts)}."


def _needed(cases: pd.DataFrame, sets: Sequence[str], level: float) -> str:
    parts = []
    for name in [name for name in sets if len(click_table(cases, name)) > 1]:
        table = needed_table(cases, name, [level])
        words = [
            f"{row.Index} {row.needed:.1f} ({row.reached:.0f} % reach it)"
            for row in table.itertuples()
        ]
        if words:
            parts.append(f"*{name}* {', '.join(words)}")
    if not parts:
        return ""
    return (
        f"Clicks to a Dice of {level:g}, mean over patients, those who never reach it counted "
        f"with the most that were asked: {'; '.join(parts)}."
    )


def _transfers(cases: pd.DataFrame, number: int) -> str:
    parts = []
    for name in TRANSFERS:
        table = transfer_table(cases, name, number).dropna(subset=["change"])
        rows = table[["change", "better"]].itertuples()
        words = [f"{row} {change:+.3f} ({better})" for row, change, better in rows]
        if words:
            parts.append(f"*{name}* {', '.join(words)}")
    if not parts:
        return ""
    return f"Trained on another set, against trained on the target: {'; '.join(parts)}."


def _ablation(cases: pd.DataFrame, number: int) -> str:
    """By set: the whole against each variant."""
    parts = []
    for name, rows in ablation_tests(cases, number).groupby(level=0, sort=False):
        words = [f"{row.second} {row.difference:+.3f}, {VERDICTS.get(row.better, row.better)}"
                 for row in rows.itertuples()]  # fmt: skip
        parts.append(f"*{name}*, against {'; '.join(words)}")
    return f"Whole {OWN}, told {clicks(number)}: {'. '.join(parts)}." if parts else ""


def _crop(cases: pd.DataFrame, number: int) -> str:
    """How often the crop of the truth is worth something, by track."""
    table = crop_table(cases, number)
    if table.empty:
        return ""
    parts = []
    for track, rows in table.groupby("track", sort=False):
        counts = rows["better"].replace({HELPS: "ahead", HURTS: "behind"}).value_counts(sort=False)
        words = ", ".join(f"{verdict} {count}" for verdict, count in counts.items())
        low, high = rows["change"].min(), rows["change"].max()
        parts.append(f"{track} {low:+.3f} to {high:+.3f} ({words})")
    return f"Cropped around the truth, against the honest way: {'; '.join(parts)}."
