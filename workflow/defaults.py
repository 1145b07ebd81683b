"""The tables of the page book/defaults.md, where every default comes from; render.py adds them."""

import re
from dataclasses import is_dataclass
from typing import Any

import pandas as pd
from report import table as markdown

from samnb.studies import Profile, load_profile
from samnb.studies.provenance import PUBLISHED, Entry, constants, entries, table

CODE = re.compile(r"^([\w.-]+/[\w.-]+): (?:[\w.-]+/)*([\w.-]+\.\w+)")  # owner/repository: path/file


def add_tables(text: str, profile: Profile) -> str:
    """The page: its committed text, counts, and a table for each group of settings."""
    published, here = table(load_profile(PUBLISHED)), table(profile)
    known: dict[str, list[Entry]] = {}
    for entry in entries():
        known.setdefault(entry.group, []).append(entry)
    parts = [text.rstrip(), _counted(published, here, profile.name)]
    for group, members in known.items():
        rows = [_row(entry, published, here) for entry in members]
        heads = ["setting", "paper's size", "from", "where or why"]
        if profile.name != PUBLISHED:
            heads.append(f"in *{profile.name}*, if it differs")
        shown = [row[: len(heads)] for row in rows if any(row[1:2] + row[4:])]
        parts += [f"## {group}", markdown(heads, shown)]
    fixed = [
        [_named(entry), _value(value), entry.origin, _place(entry.place)]
        for entry, value in constants()
    ]
    parts += ["## Fixed in the code", "No settings, but they could be. Not all of them."]
    return "\n\n".join([*parts, markdown(["what", "value", "from", "where or why"], fixed), ""])


def _counted(published: pd.DataFrame, here: pd.DataFrame, name: str) -> str:
    counts = published["from"].value_counts()
    said = (
        f"At the paper's size there are **{len(published)} settings: {counts['paper']} from the "
        f"paper, {counts['code']} from public code, {counts['our choice']} from us.**"
    )
    if name == PUBLISHED:
        return said
    return f"{said} In *{name}*, {here['changed'].sum()} have another value, which is our choice."


def _row(entry: Entry, published: pd.DataFrame, here: pd.DataFrame) -> list[str]:
    """What the entry is; its value at the paper's size, origin and place; and here, with reason."""
    there, rows = (each[each["entry"] == entry.name] for each in (published, here))
    other = rows
    if len(there):
        other = rows[rows["changed"] | ~rows["setting"].isin(published["setting"])]
    differs = _values(other, rows)
    if other["changed"].any() and entry.elsewhere:
        differs += f": {entry.elsewhere}"
    return [_named(entry), _values(there, there), entry.origin, _place(entry.place), differs]


def _named(entry: Entry) -> str:
    """What it is, and its name, which may be broken at a dot or a comma where the table is full."""
    name = re.sub(r"([.,])", r"\1<wbr>", entry.name).replace("*", "&#42;")
    return f"{entry.words}<br><code>{name}</code>"


def _place(place: str) -> str:
    """A repository becomes a link, and a file of it its last name."""
    return CODE.sub(r"`\2` of [\1](https://github.com/\1)", place)


def _values(rows: pd.DataFrame, every: pd.DataFrame) -> str:
    """The values of `rows`, some of the settings in `every`, with what tells which of them."""
    names = zip(*(setting.split(".") for setting in every["setting"]), strict=True)
    telling = [place for place, parts in enumerate(names) if len(set(parts)) > 1]
    alike: dict[str, list[str]] = {}
    for setting, value in zip(rows["setting"], rows["value"], strict=True):
        part = " ".join(setting.split(".")[place] for place in telling)
        alike.setdefault(_value(value), []).append(part)
    if len(alike) == 1 and len(rows) == len(every):
        return next(iter(alike))
    return ", ".join(
        value if part == [value] else f"{value} ({', '.join(part)})"
        for value, part in alike.items()
    )


def _value(value: Any) -> str:
    """A value as a reader would write it."""
    if value is None or value == ():
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        if is_dataclass(value[0]):
            return f"{len(value)} of them"
        return ", ".join(map(_value, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
