"""Records → the six tables of Cheap Lunch, ours beside the paper's.

A mean is over the test scans and their targets: each target is measured once per scan, as the paper
does. Systems that are prompted by somebody who knows the truth (*oracle*) and those that nobody
prompts (*automatic*) stand in one table, as in the paper, but are never ranked with each other.
"""

from collections.abc import Iterable, Sequence

import pandas as pd

from samnb.evaluation.protocols import by_public_rule
from samnb.evaluation.statistics import over_seeds, patient_interval
from samnb.prompts.users import NOBODY
from samnb.reports.paper_lunch import ALL, exemplar_counts, match_exemplars
from samnb.reports.systems import FAMILIES, missing_seeds, parse, with_variants
from samnb.runs.records import Record, run_of
from samnb.studies import Profile

ORACLE, AUTOMATIC = "oracle", "automatic"
FROZEN = "SAM"  # learns nothing, so that there is no chance in it
# Families that nobody prompts; the others of the paper answer points of the truth.
UNPROMPTED = ("SAMed_s", "Attention U-Net", "Attention U-Net without synthesis",
              "Cheap Lunch, self-pointed", "Cheap Lunch, mirrored",
              "SAMed_s, with the same silence", "CAM alone")  # fmt: skip
MEASURED = ["dice", "hd95", "hd95_voxels", "truth_voxels", "answer_voxels"]
NAMED = ["system", "seed", "change", "user", "cohort", "target", "patient", "scan"]
OVERVIEW = ["exemplars", "track", "dice", "hd95_voxels", "paper_dsc", "paper_hd95",
            "paper_exemplars"]  # fmt: skip
REST = ["hd95_mm", "public_dice", "public_hd95", "seeds", "missing"]


def all_scans(made: Iterable[Record], profile: Profile) -> pd.DataFrame:
    """The tables of scans of these records as one: a row per system, seed, user, scan and target.

    Beside the tables' own columns: system (variants by their own names), seed, change ("" for the
    profile as it is). Without any records: no rows, and the columns NAMED and MEASURED.
    """
    tables = []
    for record in made:
        run = run_of(record, profile)
        named = {"system": record.name, "seed": run.seed, "change": run.slug}
        tables.append(record.scans.assign(**named))
    if not tables:
        return pd.DataFrame(columns=[*NAMED, *MEASURED])
    return with_variants(pd.concat(tables, ignore_index=True))


def track_of(name: str) -> str:
    """Whether a system answers points of the truth (ORACLE) or works alone (AUTOMATIC)."""
    return AUTOMATIC if parse(name).family in UNPROMPTED else ORACLE


def family_of(name: str) -> str:
    """A system's name without the number of its exemplars."""
    return parse(name).family


def asked(cases: pd.DataFrame, user: str) -> pd.DataFrame:
    """The cases of runs as the profile has them: prompted by this user, or by nobody."""
    return cases[cases["change"].eq("") & cases["user"].isin([user, str(NOBODY)])]


def lunch_table(
    cases: pd.DataFrame,
    published: pd.DataFrame,
    labelled: Sequence[int],
    training: int | None = None,
    seeds: Sequence[int] | None = None,
) -> pd.DataFrame:
    """One of the paper's tables, ours beside it: one row per row of the paper.

    cases: as `all_scans` gives them; published: as `paper_lunch.published_lunch` does; labelled:
    the study's numbers of exemplars; training: slices with a target in the training scans, of
    which exemplars are a share; seeds: those that every system should have.
    Columns: exemplars and track in words; dice (with deviation over seeds, and a 95 % interval over
    patients); hd95_voxels as the paper has it; paper_dsc, paper_hd95 and paper_exemplars; hd95_mm;
    public_dice and public_hd95 (voxels) by the public code's rule for empty masks; seeds; missing.
    What has no record has no numbers. Places (1 is best) are among the systems of one track that
    learn from few exemplars or from none.
    """
    cases = asked(cases, published.attrs["user"])
    rows = _beside(labelled, published)
    cases = cases[cases["system"].isin(rows["system"])]
    numbers = (
        _measured(cases)
        if len(cases)
        else pd.DataFrame(columns=["dice", "hd95_voxels"], dtype=float)
    )
    table = rows.merge(numbers, how="left", left_on="system", right_index=True)
    table["exemplars"] = [_in_words(name, labelled, training) for name in table["system"]]
    table["track"] = [track_of(name) for name in table["system"]]
    learned = cases[cases["system"] != FROZEN]  # a system that learns nothing has one run
    lacking = missing_seeds(learned, seeds) if len(learned) else {}
    texts = {name: ", ".join(map(str, found)) for name, found in lacking.items()}
    table["missing"] = [texts.get(name, "") for name in table["system"]]
    for column in ("dice", "hd95_voxels", "paper_dsc", "paper_hd95"):
        table[f"{column}_place"] = _places(table, column)
    table = table.set_index("system").rename(index=shown).rename_axis("System")
    return in_columns(table, [*OVERVIEW, *REST])


def overview(table: pd.DataFrame) -> pd.DataFrame:
    """The columns of `lunch_table` that fit on a page."""
    return in_columns(table, OVERVIEW)


def in_columns(table: pd.DataFrame, wanted: Sequence[str]) -> pd.DataFrame:
    """These columns in this order, each followed by its companions."""
    ends = ("", "_deviation", "_low", "_high", "_place")
    names = [f"{name}{end}" for name in wanted for end in ends]
    return table[[name for name in names if name in table]]


def organ_table(
    cases: pd.DataFrame, published: pd.DataFrame, labelled: Sequence[int]
) -> pd.DataFrame:
    """Dice by organ, mean over scans and seeds: a row of ours, and below it the paper's."""
    organs = published.attrs["organs"]
    cases = asked(cases, published.attrs["user"])
    ours = cases.pivot_table(index="system", columns="target", values="dice")
    rows = {}
    for row, printed in zip(
        _beside(labelled, published).itertuples(),
        published[organs].to_dict("records"),
        strict=True,
    ):
        if row.system in ours.index:
            rows[shown(row.system)] = ours.loc[row.system].reindex(organs).to_dict()
        rows[f"· paper, {row.paper_name}"] = printed
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("System")


def system_table(cases: pd.DataFrame, families: Sequence[str]) -> pd.DataFrame:
    """Any systems side by side: those of these families that have cases.

    Columns as of `lunch_table`, without the paper's, and missed: see `two_rules`. The best is
    marked within its track.
    """
    wanted = [name for name in in_exemplar_order(cases["system"].unique())
              if parse(name).family in families]  # fmt: skip
    if not wanted:
        return pd.DataFrame()
    cases = cases[cases["system"].isin(wanted)]
    table = _measured(cases).assign(missed=_missed(cases)).loc[wanted].reset_index()
    table["track"] = [track_of(name) for name in table["system"]]
    table["exemplars"] = [ALL if parse(name).labels is None else "few" for name in table["system"]]
    for column in ("dice", "hd95_voxels"):
        table[f"{column}_place"] = _places(table, column)
    table = table.set_index("system").rename(index=shown).rename_axis("System")
    return in_columns(table, ["track", "dice", "hd95_voxels", "missed", "seeds"])


def two_rules(cases: pd.DataFrame, user: str) -> pd.DataFrame:
    """What the rule for empty masks decides: ours beside that of the public code, by system.

    missed: percent of the targets present in a scan that get no mask at all. Where many are missed
    the public rule makes the mean distance small, and ours makes it large.
    """
    cases = asked(cases, user)
    if cases.empty:
        return pd.DataFrame()
    table = _measured(cases).assign(missed=_missed(cases))
    columns = ["missed", "dice", "public_dice", "hd95_voxels", "public_hd95"]
    wanted = in_exemplar_order(table.index)
    return table.loc[wanted, columns].rename(index=shown).rename_axis("System")


def in_exemplar_order(names: Iterable[str]) -> list[str]:
    """Names of systems, family by family as the paper has them, all slices after the few."""

    def rank(name: str) -> tuple[int, float]:
        family, labels = parse(name)
        place = FAMILIES.index(family) if family in FAMILIES else len(FAMILIES)
        return place, float("inf") if labels is None else labels

    return sorted(dict.fromkeys(names), key=rank)


def shown(name: str) -> str:
    """A system's name with what it has learned from, for rows of a table."""
    family, labels = parse(name)
    return f"{family}, all slices" if labels is None else name


def _missed(cases: pd.DataFrame) -> pd.Series:
    present = cases[cases["truth_voxels"] > 0]
    return 100 * present["answer_voxels"].eq(0).groupby(present["system"]).mean()


def _measured(cases: pd.DataFrame) -> pd.DataFrame:
    """By system: the measures with their deviations, by both rules, and the interval of Dice."""
    public = by_public_rule(cases)
    columns = {}
    for name, table, metric in (
        ("dice", cases, "dice"),
        ("hd95_voxels", cases, "hd95_voxels"),
        ("hd95_mm", cases, "hd95"),
        ("public_dice", public, "dice"),
        ("public_hd95", public, "hd95_voxels"),
    ):
        summary = over_seeds(table, metric).set_index("system")
        columns |= {name: summary["mean"], f"{name}_deviation": summary["deviation"]}
        if name == "dice":
            interval = patient_interval(table, metric).set_index("system")
            columns |= {"dice_low": interval["low"], "dice_high": interval["high"]}
    return pd.DataFrame(columns).assign(seeds=summary["seeds"])


def _beside(labelled: Sequence[int], published: pd.DataFrame) -> pd.DataFrame:
    """For each row of the paper our system of the same family and place; its name or the paper's.

    Columns: system, paper_exemplars, paper_dsc, paper_hd95, paper_name.
    """
    papers = exemplar_counts(published.attrs["cohort"])
    found = {theirs: own for own, theirs in match_exemplars(labelled, papers).items()}
    rows = []
    for row in published.itertuples():
        own = found.get(int(row.exemplars)) if row.exemplars.isdigit() else None
        theirs = f"{row.system}-{row.exemplars}" if row.exemplars.isdigit() else row.system
        name = theirs if own is None else f"{row.system}-{own}"
        rows.append(
            {
                "system": name,
                "paper_exemplars": f"{row.exemplars} ({row.said})" if row.exemplars else "none",
                "paper_dsc": row.dice,
                "paper_hd95": row.hd,
                "paper_name": shown(theirs),
            }
        )
    return pd.DataFrame(rows)


def _in_words(name: str, labelled: Sequence[int], training: int | None) -> str:
    """Such as "8 (0.54 %)": of all training slices that show a target; "" of a row not ours."""
    labels = parse(name).labels
    if labels is None:
        return ALL
    if not labels:
        return "none"
    if labels not in labelled:
        return ""
    return f"{labels} ({100 * labels / training:.2g} %)" if training else str(labels)


def _places(table: pd.DataFrame, column: str) -> pd.Series:
    """Places within a track, of those that were not given every slice; NaN for the others.

    Whoever is alone in a track is not the best of it.
    """
    few = table[table["exemplars"] != ALL]
    of_track = few[column].astype(float).round(4).groupby(few["track"])
    places = of_track.rank(method="dense", ascending="hd95" in column)
    return places.where(of_track.transform("count") > 1).reindex(table.index)
