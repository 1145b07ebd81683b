"""What the records of M-SAM are called: studies, cohorts, systems, users, changes; here alone.

A set is one of the paper's seven data sets. A model is trained on one set and examined there and,
without further training, on others: a *transfer*.
"""

import re
from typing import NamedTuple

from samnb.prompts.users import NOBODY, Clicks


class DataSet(NamedTuple):
    """study: that trains on the set; cohort: the set's name in records, of any study.

    benchmark: it stands in table 1; seen: SAM-Med3D's pre-training had it, test cases included.
    Lung100 is private: in its place stands a second lung cohort, of another scanner.
    """

    study: str
    cohort: str
    benchmark: bool = True
    seen: bool = True


SETS = {  # in the order of table 1, then those of the transfers
    "BraTS 2021": DataSet("m-sam-brats", "brats"),
    "KiTS19": DataSet("m-sam-kits", "kits"),
    "MSD Lung": DataSet("m-sam-lung", "lung"),
    "MSD Pancreas": DataSet("m-sam-pancreas", "pancreas"),
    "LiTS": DataSet("m-sam-lits", "lits"),
    "MSD Hepatic": DataSet("m-sam-hepatic", "hepatic", benchmark=False),
    "Lung100": DataSet("m-sam-second-lung", "second_lung", benchmark=False, seen=False),
}
BENCHMARKS = [name for name, settings in SETS.items() if settings.benchmark]
TRANSFERS = {  # table 2: trained on the first, examined on the second
    "LiTS to MSD Hepatic": ("LiTS", "MSD Hepatic"),
    "MSD Hepatic to LiTS": ("MSD Hepatic", "LiTS"),
    "MSD Lung to Lung100": ("MSD Lung", "Lung100"),
    "Lung100 to MSD Lung": ("Lung100", "MSD Lung"),
}
ABLATED = ["KiTS19", "BraTS 2021", "Lung100"]  # the sets of table 3
STUDIES = [settings.study for settings in SETS.values()]

# By the name of their file in samnb/systems, the names that records and tables carry.
TITLES = {
    "transunet": "TransUNet",
    "unetr": "UNETR",
    "swin_unetr": "Swin UNETR",
    "nnformer": "nnFormer",
    "nnunet_3d": "3D nnU-Net",
    "unet_3d": "3D U-Net, nnU-Net's layout",
    "med_sa": "Med-SA",
    "sam_3d": "SAM (3D)",  # learns nothing; SAM3D of table 1 is another network, not in this book
    "sam_med3d": "SAM-Med3D",
    "m_sam": "M-SAM",
}
OWN, PLAIN, FROZEN = (TITLES[name] for name in ("m_sam", "sam_med3d", "sam_3d"))
PROMPTED = (FROZEN, PLAIN, OWN)  # answer clicks in a volume
BY_SLICE = (TITLES["med_sa"],)  # answer what is said of each slice

MOST = 10  # clicks of the paper, one after each answer
# Its clicks are drawn uniformly, the first in the target, the others where the answer is wrong.
RANDOM = True

WITHOUT_MEA, WHOLE_ENCODER = "m_sam.adapter=none", "m_sam.encoder=whole"
# Which part of a volume is seen: as the profile has it, without knowing the truth (HONEST), or the
# crop around the truth, as in the public code.
HONEST, TRUE_CROP = "", "data.crop=truth"


def clicks(number: int = MOST) -> str:
    """The user who clicks so often, as records name it."""
    return str(Clicks(int(number), RANDOM))  # tables count in NumPy's integers


def count_of(user: str) -> int | None:
    """How often a user of this kind clicks; None of any other user."""
    found = re.fullmatch(r"(?:(\d+) )?(?:random )?clicks?", user)
    if not found or clicks(int(found[1] or 1)) != user:
        return None
    return int(found[1] or 1)


def is_alone(user: str) -> bool:
    """Whether nobody prompted; in tables nobody has no name."""
    return user in ("", str(NOBODY))
