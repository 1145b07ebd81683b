"""The tables of the page book/defaults.md, where every default comes from; render.py adds them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass
from typing import Any

import pandas as pd
from report import table as markdown

from samnb.studies import Profile, load_profile
from samnb.studies.provenance import (
    PAPERS,
    Entry,
    about,
    constants,
    entries,
    file_of,
    paper_of,
    table,
)

CODE = re.compile(r"^([\w.-]+/[\w.-]+): (?:[\w.-]+/)*([\w.-]+\.\w+)")  # owner/repository: path/file


def add_tables(text: str, profiles: Iterable[Profile]) -> str:
    """The page: its text, and for each paper counts and a table for each group of settings.

    profiles: those of the site; of a paper that none of them repeats only its own size is shown.
    """
    profiles = list(profiles)
    parts = [text.rstrip()]
    for paper in PAPERS:
        parts += _of_paper(paper, [each for each in profiles if paper_of(each.name) == paper])
    return "\n\n".join([*parts, ""])


def _of_paper(paper: str, profiles: list[Profile]) -> list[str]:
    compared, file = about(paper).compared, file_of(paper)
    published = _together({data: load_profile(names[0]) for data, names in compared.items()})
    own = {names[0] for names in compared.values()}
    smaller = {
        data: each
        for data, names in compared.items()
        for each in profiles
        if each.name not in own and (each.name in names or len(profiles) == 1)
    }
    here = _together(smaller) if smaller else published
    said = " and ".join(f"*{each.name}*" for each in smaller.values())
    parts = [f"## {about(paper).title}", _counted(paper, published, here, said)]
    known: dict[str, list[Entry]] = {}
    for entry in entries(file):
        known.setdefault(entry.group, []).append(entry)
    for group, members in known.items():
        rows = [_row(entry, published, here) for entry in members]
        heads = ["setting", "paper's size", "from", "where or why"]
        if smaller:
            heads.append(f"in {said}, if it differs")
        shown = [row[: len(heads)] for row in rows if any(row[1:2] + row[4:])]
        parts += [f"### {group}", markdown(heads, shown)]
    fixed = [
        [_named(entry), _value(value), entry.origin, _place(entry.place)]
        for entry, value in constants(file)
    ]
    parts += ["### Fixed in the code", "No settings, but they could be. Not all of them."]
    return [*parts, markdown(["what", "value", "from", "where or why"], fixed)]


def _together(profiles: Mapping[str, Profile]) -> pd.DataFrame:
    """The tables of profiles as one; before the name of a setting stands the data set."""
    tables = [table(each).assign(data=data) for data, each in profiles.items()]
    rows = pd.concat(tables, ignore_index=True)
    return rows.assign(setting=rows["data"] + "." + rows["setting"])


def _counted(paper: str, published: pd.DataFrame, here: pd.DataFrame, said: str) -> str:
    alone = published["setting"].str.partition(".")[2]
    counts = published.loc[~alone.duplicated(), "from"].value_counts()
    known = about(paper)
    text = (
        f"Of {{cite}}`{known.cite}`. At the paper's size there are **{counts.sum()} settings: "
        f"{counts['paper']} from the paper, {counts['code']} from public code, "
        f"{counts['our choice']} from us.**"
    )
    if not said:
        return text
    return f"{text} In {said}, {here['changed'].sum()} have another value, which is our choice."


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
    if rows.empty:
        return ""
    parts = list(zip(*(setting.split(".") for setting in every["setting"]), strict=True))
    telling = [place for place in range(1, len(parts)) if len(set(parts[place])) > 1]

    def told(setting: str) -> str:
        return " ".join(setting.split(".")[place] for place in telling)

    alike: dict[str, list[str]] = {}
    for name, same in rows.groupby(rows["setting"].map(told), sort=False):
        values = dict(zip(same["data"], same["value"].map(_value), strict=True))
        whole = len(same) == every["setting"].map(told).eq(name).sum()
        if whole and len(set(values.values())) == 1:
            alike.setdefault(next(iter(values.values())), []).append(name)
            continue
        for data, value in values.items():  # the data sets differ
            alike.setdefault(value, []).append(f"{name} {data}".strip())
    if len(alike) == 1 and len(rows) == len(every):
        return next(iter(alike))
    return ", ".join(
        value if told in ([value], [""]) else f"{value} ({', '.join(told)})"
        for value, told in alike.items()
    )


def _value(value: Any) -> str:
    """A value as a reader would write it."""
    if value is None or value in ((), {}):
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        if is_dataclass(value[0]):
            return f"{len(value)} of them"
        return ", ".join(map(_value, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
