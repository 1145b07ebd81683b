"""Names of systems as records and tables carry them: the paper's order, and which cases count.

A name is a family, and the number of labelled slices unless every mask was used: "SAM-Mix-50",
"SAM-Mix guided-5", "U-Net".
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import pandas as pd

from samnb.base.errors import SamnbError

# The rows of the paper's tables from top to bottom; what only this book has stands beside its kin.
FAMILIES = (
    "U-Net",
    "U-Net longer",
    "nnU-Net",
    "TransUNet",
    "MultiMix",
    "CAM alone",
    "SAM-PP",
    "SAM-Mix",
    "SAM-Mix guided",
    "SAM-Mix lightly guided",
    "SAM-Mix soft",
    "SAM-Mix improved",
    # Those of Cheap Lunch.
    "SAM",
    "Attention U-Net",
    "Attention U-Net without synthesis",
    "SAMed_s",
    "Cheap Lunch without synthesis",
    "Cheap Lunch",
    "Cheap Lunch, self-pointed",
    "Cheap Lunch, mirrored",
    # Those of Med-SA.
    "SegDiff",
    "EnsemDiff",
    "3D U-Net, nnU-Net's layout",
    "UNETR",
    "Swin UNETR",
    "MedSAM",
    "Med-LoRA",
    "Med-SA",
    "Self-pointed Med-SA",
    "Mirrored Med-SA",
    # Those of M-SAM.
    "nnFormer",
    "3D nnU-Net",
    "SAM (3D)",
    "SAM-Med3D",
    "M-SAM",
)

# A changed setting that was run with every seed is a system of its own: (family, change) -> family.
VARIANTS = {
    ("SAM-Mix guided", "mix.guidance=0.1"): "SAM-Mix lightly guided",
    ("U-Net", "learning.unet.epochs=30"): "U-Net longer",
    ("Cheap Lunch", "synthesis.images=0"): "Cheap Lunch without synthesis",
    ("Attention U-Net", "synthesis.images=0"): "Attention U-Net without synthesis",
}

# Learn from image labels only, or nothing; say no number.
WITHOUT_MASKS = {"CAM alone", "SAM", "SAM (3D)"}


class Name(NamedTuple):
    """A system's family, and its labelled slices; None where every training mask was used."""

    family: str
    labels: int | None


def parse(name: str) -> Name:
    """Take a name apart. Spelling of known families is lenient: the paper prints TransU-Net."""
    family, labels = re.fullmatch(r"(.*?)(?:-(\d+))?", name).groups()
    known = {_letters(item): item for item in FAMILIES}
    family = known.get(_letters(family), family)
    if labels is None:
        return Name(family, 0 if family in WITHOUT_MASKS else None)
    return Name(family, int(labels))


def _letters(family: str) -> str:
    return re.sub(r"[^a-z]", "", family.lower())


def in_order(names: Iterable[str]) -> list[str]:
    """The distinct names: families as the paper has them, unknown ones last; then by labels."""
    distinct = list(dict.fromkeys(names))
    families = list(dict.fromkeys([*FAMILIES, *(parse(name).family for name in distinct)]))

    def rank(name: str) -> tuple[int, int]:
        family, labels = parse(name)
        return families.index(family), -1 if labels is None else labels

    return sorted(distinct, key=rank)


def with_variants(cases: pd.DataFrame) -> pd.DataFrame:
    """The cases, those of a variant under its own name and as if nothing had been changed."""
    named = cases.copy()
    for (family, change), variant in VARIANTS.items():
        own = cases["change"].eq(change) & cases["system"].str.fullmatch(rf"{family}(-\d+)?")
        named.loc[own, "system"] = variant + cases.loc[own, "system"].str.removeprefix(family)
        named.loc[own, "change"] = ""
    return named


def shown_name(facts: Mapping[str, Any]) -> str | None:
    """Under which name tables show the run with these facts (record.json); None: an ablation."""
    if not facts.get("changes"):
        return facts["name"]
    variant = VARIANTS.get((facts.get("title"), ",".join(facts["changes"])))
    return variant and variant + facts["name"].removeprefix(facts["title"])


def of_cohort(cases: pd.DataFrame, cohort: str) -> pd.DataFrame:
    """The cases of one cohort, of runs with the profile's own settings; ablations have a change."""
    unchanged = cases["change"].fillna("").eq("") if "change" in cases else True
    chosen = cases[cases["cohort"].eq(cohort) & unchanged]
    if chosen.empty:
        there = ", ".join(map(str, cases["cohort"].unique())) or "none"
        raise SamnbError(f"No cases of the cohort '{cohort}'.", f"cohorts with cases: {there}.")
    return chosen


def missing_seeds(cases: pd.DataFrame, seeds: Iterable[int] | None = None) -> dict[str, list[int]]:
    """Seeds each system lacks, by its name; only systems that lack any.

    `seeds` are those expected, the profile's; without them, all that any system has.
    """
    expected = set(cases["seed"]) if seeds is None else set(seeds)
    present = cases.groupby("system")["seed"].agg(set)
    return {
        name: sorted(int(seed) for seed in expected - present[name])
        for name in in_order(present.index)
        if expected - present[name]
    }
