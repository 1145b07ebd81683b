"""What the site has beyond Jupyter Book: a Sphinx extension, named in _config.yml.

Below each figure and table a line says which data and records it came from (see origins.py) and
leads to the page book/origins, where they are listed with their files. And each chapter can be
downloaded as the text it is made from.
"""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from docutils import nodes
from origins import DATA, ORIGINS, PAPERS, POCKET, REAL, RUNS, SHAPES, ZERO_SHOT
from sphinx.application import Sphinx

from samnb.base.errors import SamnbError
from samnb.base.paths import results_root
from samnb.reports.style import COHORT_NAMES
from samnb.reports.systems import in_order
from samnb.runs.records import Record, all_records
from samnb.runs.run import runs_folder
from samnb.studies import Profile, studies_of

PAGE = "book/origins"
WORDS = {
    POCKET: "the pocket SAM",
    SHAPES: "generic shapes, drawn by the code",
    PAPERS: "the papers' own numbers",
    ZERO_SHOT: "tests on real images, not shipped",
    REAL: "runs on real images, not shipped",
}


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_config_value("samnb_profile", "pocket", "env")
    app.add_config_value("samnb_depends", "", "env")  # a change of it makes all pages anew
    app.connect("source-read", _add_origins)
    # After the theme has made its buttons.
    app.connect("html-page-context", _add_buttons, priority=900)
    app.connect("build-finished", _copy_sources)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _add_origins(app: Sphinx, docname: str, source: list[str]) -> None:
    try:
        profiles = list(studies_of(app.config.samnb_profile).values())
    except SamnbError:  # someone's own file; only its name is known here
        return
    if docname == PAGE:
        source[0] += "\n".join(listing(*profiles))
    elif app.env.doc2path(docname).endswith(".ipynb"):
        source[0] = json.dumps(with_origins(json.loads(source[0]), *profiles))


def with_origins(notebook: dict[str, Any], profile: Profile, *beside: Profile) -> dict[str, Any]:
    """A notebook with a line after each cell that shows a figure or a table.

    profile: that the notebook was run with; beside: other studies of its size.
    """
    profiles = [(each, known_systems(each)) for each in (profile, *beside)]
    if ORIGINS not in notebook["metadata"]:  # run in another way
        return notebook
    found = iter(notebook["metadata"][ORIGINS])
    cells = []
    for cell in notebook["cells"]:
        cells.append(cell)
        if cell["cell_type"] == "code":
            rests_on, table = next(found), _shown(cell)
            if table is not None:
                text = line(set(rests_on), profiles, table)
                added = {"cell_type": "markdown", "metadata": {}, "source": text}
                cells.append(added | {"id": f"origin-{len(cells)}"})
    return notebook | {"cells": cells}


def _shown(cell: dict[str, Any]) -> str | None:
    """The text of a cell's table, "" for a figure, None if it shows neither."""
    kinds: dict[str, Any] = {}
    for output in cell["outputs"]:
        kinds |= output.get("data", {})
    if "image/png" in kinds:
        return ""
    return "".join(kinds["text/html"]) if "text/html" in kinds else None


class System(NamedTuple):
    title: str
    is_prompted: bool  # by users who know the truth


def known_systems(profile: Profile) -> dict[str, System]:
    """Those that have records, by their keys, in the paper's order."""
    made = {record.name: record for record in all_records(profile)}
    ordered = [made[name] for name in in_order(made)]
    return {each.facts["system"]: System(each.facts["title"], each.is_prompted) for each in ordered}


def line(
    found: set[str], profiles: list[tuple[Profile, dict[str, System]]], table: str = ""
) -> str:
    """What stands below a figure or a table; `table` is the text of the latter.

    profiles: the chapter's own first, then the other studies; each with its systems.
    """
    home = profiles[0][0]
    parts = [
        part
        for profile, known in profiles
        for part in _read_of(found, profile, known, "" if profile is home else f"{profile.name}/")
    ]
    if table and "paper" not in table.lower():
        found = found - {PAPERS}  # read beside it, not shown in it
    parts += [
        f"{{ref}}`{words} <origin-{_slug(kind)}>`" for kind, words in WORDS.items() if kind in found
    ]
    return f":::{{container}} origin\nFrom {'; '.join(parts) or 'the code above alone'}.\n:::"


def _read_of(
    found: set[str], profile: Profile, known: dict[str, System], before: str
) -> Iterator[str]:
    """Data and runs of one profile; before: what stands before their names in `found`."""
    place = _slug(before)
    for name in profile.data.cohorts:
        if f"{DATA}{before}{name}" in found:
            yield f"{{ref}}`{_cohort(profile, name)} <origin-data-{place}{name}>`"
    read = [system for system in known if f"{RUNS}{before}{system}" in found]
    whose = f" of {_study_of(before)}" if before else ""
    every = f"{whose} <origin-runs{f'-{place}'.rstrip('-')}>`"
    if read and read == list(known):
        yield f"{{ref}}`all runs{every}"
    elif len(read) > 1 and read == [each for each in known if not known[each].is_prompted]:
        yield f"{{ref}}`all automatic runs{every}"
    elif read:
        links = [
            f"{{ref}}`{known[each].title} <origin-runs-{place}{_slug(each)}>`" for each in read
        ]
        yield "runs of " + ", ".join(links)


def _cohort(profile: Profile, name: str) -> str:
    title = COHORT_NAMES.get(name, name)
    return f"{title} phantoms" if profile.data.cohorts[name].phantom else name


def _study_of(before: str) -> str:
    """The study in "pocket_med_sa_few/", without its size, as one would type it."""
    name = before.rstrip("/")
    return (name.partition("_")[2] or name).replace("_", "-")


def _slug(name: str) -> str:
    return re.sub(r"\W+|_", "-", name)


def listing(profile: Profile, *beside: Profile) -> Iterator[str]:
    """Sections of the page of origins: every cohort and every run, study by study."""
    yield from _study(profile, "")
    for other in beside:
        yield from _study(other, _slug(f"{other.name}/"))


def _study(profile: Profile, place: str) -> Iterator[str]:
    """place: what stands before names in the targets of links."""
    for name, cohort in profile.data.cohorts.items():
        yield f"\n(origin-data-{place}{name})=\n## {_cohort(profile, name)}\n"
        yield f"Target: {', '.join(cohort.targets)}. In the layout of `{cohort.layout}`."
        if cohort.phantom:
            yield (
                f"{cohort.phantom.patients} patients, drawn from the seed {profile.seed}:\n"
                f"`samnb data phantom --profile {profile.name} --cohort {name}`."
            )
        if sizes := profile.data.splits.get(name):
            yield (
                f"Patients to train, to choose and to test: {sizes.train}, {sizes.validation} and"
                f" {sizes.test}, as listed in `data/splits/{profile.name}-{name}.csv`."
            )
    yield f"\n(origin-runs{f'-{place}'.rstrip('-')})=\n## Runs of the profile {profile.name}\n"
    yield (
        "A seed leads to the record of its run: settings, hashes of code and data, versions,\n"
        "costs, the course of the training, and scores. Beside it in the folder lie the tables by\n"
        "slice and by scan, and the answers to a few test slices.\n"
    )
    by_system: dict[str, list[Record]] = {}
    made = all_records(profile)
    for name in in_order({record.name for record in made}):
        for record in made:
            if record.name == name:
                by_system.setdefault(record.facts["system"], []).append(record)
    for system, records in by_system.items():
        yield f"\n(origin-runs-{place}{_slug(system)})=\n### {records[0].facts['title']}\n"
        yield from _runs(records, runs_folder(profile) / system)


def _runs(records: list[Record], folder: Path) -> Iterator[str]:
    yield f"In `results/{folder.relative_to(results_root())}`:\n"
    yield "| run | seeds | made by the code of | on |\n|---|---|---|---|"
    rows: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        rows.setdefault((record.name, *record.facts["changes"]), []).append(record)
    for (name, *changes), seeds in rows.items():
        title = " ".join([name, *(f"`{change}`" for change in changes)])
        links = ", ".join(f"[{each.facts['seed']}]({_link(each)})" for each in seeds)
        made = [
            ", ".join(sorted({each.facts[fact] or "unknown" for each in seeds}))
            for fact in ("commit", "device")
        ]
        yield f"| {title} | {links} | {' | '.join(made)} |"


def _link(record: Record) -> str:
    """From the page of origins to the record's copy in the site."""
    return f"../results/{record.folder.relative_to(results_root()).as_posix()}/record.json"


def _add_buttons(
    app: Sphinx,
    pagename: str,
    template: str,
    context: dict[str, Any],
    doctree: nodes.document | None,
) -> None:
    """The .py beside the .ipynb, and a word of warning on the way to Colab."""
    for group in context.get("header_buttons", []):
        for button in group.get("buttons", []):
            if button.get("text") == "Colab":
                button["tooltip"] = "Launch on Colab; run the set-up cell of the page Run it first"
        if group.get("label") == "download-buttons" and _source(app, pagename).is_file():
            path = f"_sources/{pagename}.py"
            text = {"type": "link", "text": ".py", "icon": "fab fa-python"}
            text |= {"url": context["pathto"](path, 1), "tooltip": "Download as Python text"}
            group["buttons"].insert(1, text | {"label": "download-text-button"})


def _copy_sources(app: Sphinx, error: Exception | None) -> None:
    for page in [] if error else app.env.found_docs:
        if _source(app, page).is_file():
            shutil.copyfile(_source(app, page), Path(app.outdir) / "_sources" / f"{page}.py")


def _source(app: Sphinx, page: str) -> Path:
    return Path(app.srcdir) / f"{page}.py"
