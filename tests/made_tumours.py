"""Scans as records of M-SAM's studies give them, of made-up systems."""

import pandas as pd

COUNTS = (1, 3, 10)  # clicks


def scans(system, level, user="nobody", seeds=(1, 2, 3), spread=0.0, patients=6, cohort="kits",
          change=""):  # fmt: skip
    """One scan per patient: Dice level + 0.01 × patient, + spread × (seed - 2)."""
    rows = [
        {
            "system": system, "seed": seed, "change": change, "user": user, "cohort": cohort,
            "target": "tumour", "patient": f"{cohort}-{patient}", "scan": f"{cohort}-{patient}",
            "dice": level + 0.01 * patient + spread * (seed - 2), "hd95": 20.0,
            "hd95_voxels": 10.0, "truth_voxels": 100, "answer_voxels": 90,
        }
        for seed in seeds
        for patient in range(patients)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def clicked(system, level, cohort="kits", counts=COUNTS, **more):
    """Dice rises by 0.05 from one number of clicks to the next."""
    users = {1: "random click"} | {count: f"{count} random clicks" for count in counts if count > 1}
    return [scans(system, level + 0.05 * COUNTS.index(count), users[count], cohort=cohort, **more)
            for count in counts]  # fmt: skip


def kidneys():
    """One set whole: three systems that are told, two that are not, table 3, and crops."""
    parts = [
        *clicked("M-SAM", 0.7),
        *clicked("SAM-Med3D", 0.6),
        *clicked("SAM (3D)", 0.4, seeds=(1,)),
        scans("3D nnU-Net", 0.75),
        scans("UNETR", 0.72, seeds=(1, 2), spread=0.02),
    ]
    ten = "10 random clicks"
    for change, level in (
        ("m_sam.adapter=none", 0.65),
        ("m_sam.encoder=whole", 0.82),
        ("learning.m_sam.epochs=3", 0.1),
        ("data.crop=truth", 0.82),
    ):
        parts.append(scans("M-SAM", level, ten, change=change))
    parts.append(scans("UNETR", 0.725, seeds=(1, 2), spread=0.02, change="data.crop=truth"))
    return pd.concat(parts, ignore_index=True)


def lungs():
    """Two sets: on the first everybody has 0.9; what learns there loses on the second."""
    ten = "10 random clicks"
    first = [
        scans("M-SAM", 0.9, ten, cohort="lung"),
        scans("M-SAM", 0.6, ten, cohort="second_lung"),
        scans("M-SAM", 0.5, "random click", cohort="second_lung"),
        scans("SAM-Med3D", 0.9, ten, cohort="lung"),
        scans("SAM-Med3D", 0.4, ten, cohort="second_lung"),
        scans("UNETR", 0.9, cohort="lung"),
        scans("UNETR", 0.5, cohort="second_lung", spread=-0.1),
        scans("SAM (3D)", 0.3, ten, cohort="second_lung", seeds=(1,)),
    ]
    second = [
        scans("M-SAM", 0.7, ten, cohort="second_lung"),
        scans("SAM-Med3D", 0.6, ten, cohort="second_lung"),
        scans("UNETR", 0.55, cohort="second_lung", spread=0.1),
        scans("SAM (3D)", 0.3, ten, cohort="second_lung", seeds=(1,)),
    ]
    return pd.concat(first, ignore_index=True), pd.concat(second, ignore_index=True)


def studies():
    """By study."""
    first, second = lungs()
    return {"m-sam-kits": kidneys(), "m-sam-lung": first, "m-sam-second-lung": second}
