"""Targets by name: which label values make a structure, and a refusal that names the known ones."""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from samnb.base.errors import DataError
from samnb.data.scan import Target

Values = tuple[int, ...]

# Names of targets are British; whoever asks in American is understood.
AMERICAN = {"tumor": "tumour", "edema": "oedema", "esophagus": "oesophagus"}
WORD = re.compile(rf"\b({'|'.join(AMERICAN)})\b")


def pick_all(known: Mapping[str, Values], names: Sequence[str], where: Path) -> tuple[Target, ...]:
    """Every target of these names; where: the folder or file that is asked for them."""
    return tuple(Target(name, pick(known, name, where)) for name in names)


def pick(known: Mapping[str, Values], name: str, where: Path) -> Values:
    """The label values of one target."""
    wanted = name.strip().lower()
    if wanted not in known:
        wanted = WORD.sub(lambda word: AMERICAN[word[0]], wanted)
    if wanted not in known:
        refuse_target(where, name, list(known))
    return known[wanted]


def refuse_target(where: Path, target: str, known: list[str]) -> None:
    """An error that names the nearest of the known targets."""
    near = get_close_matches(target.lower(), known, n=8, cutoff=0.4) or known[:8]
    more = ", …" if len(near) < len(known) else ""
    raise DataError(where, f"no target '{target}'", f"choose among {', '.join(near)}{more}.")
