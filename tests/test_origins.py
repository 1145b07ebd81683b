"""The line below each figure and table: what was read while the chapter ran, never too little."""

import json
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "workflow"))

from assemble import assemble  # noqa: E402
from book_site import System, line, listing, with_origins  # noqa: E402
from execute import execute  # noqa: E402
from flow import Flow  # noqa: E402
from origins import ORIGINS, REAL, Notes  # noqa: E402

from samnb.runs.run import Run  # noqa: E402
from samnb.studies import load_profile  # noqa: E402

LUNCH = load_profile("pocket", "cheap-lunch-brats")
CHAPTER = """# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% tags=["parameters"]
PROFILE = "smoke"

# %%
import pandas
from samnb.base.paths import results_root as where
from samnb.runs import records as kept
from samnb.runs.records import load_cases as table_of_everything
from samnb.studies import load_profile
from samnb.studies.cohorts import cohort_split as who

profile = load_profile(PROFILE)


def helper(name):
    return who(profile, name)


# %%
everything = table_of_everything(profile)

# %%
%%time
# A comment, and then:

split = helper("lits")

# %%
some = everything[everything["system"].isin(["U-Net"])]
print(profile.name)

# %%
some.describe()
len(split.test)

# %%
pandas.DataFrame([range(8)], columns=["a column with a long name"] * 8)

# %%
measured = pandas.read_csv(where() / "tables" / "real" / "brain_ceilings.csv")

# %%
one = kept.read_record(kept.run_of(kept.automatic_records(profile)[0], profile))
"""


def test_a_kernel_notes_what_comes_in_by_whatever_name(tmp_path):
    chapter = tmp_path / "01_toy.py"
    chapter.write_text(CHAPTER, encoding="utf-8")
    execute(chapter, tmp_path / "toy.ipynb", "pocket")
    notebook = nbformat.read(tmp_path / "toy.ipynb", as_version=4)
    source = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(each.source) for each in notebook.cells
               if "injected-parameters" not in each.metadata.get("tags", [])],
    )  # fmt: skip
    found = assemble(source, notebook, "01_toy").metadata[ORIGINS]
    assert found[:2] == [[], []]
    every, lits, unet, shown, wide, table, record = found[2:]
    assert {"runs unet", "runs sam_mix", "runs classifier"} <= set(every)
    assert not {each for each in every if not each.startswith("runs ")}
    assert lits == ["data lits"]
    assert unet == ["runs unet"]
    assert shown == ["data lits", "runs unet"]
    assert wide == []
    assert table == [REAL]
    # Of all records, and of the one that was read; those that users prompt are not among them.
    assert record == every
    assert "runs sam" not in every
    # Watching changes nothing that is shown: pandas does not take the kernel for a terminal.
    [output] = notebook.cells[-3].outputs
    assert "..." not in output.data["text/plain"]


def _flow(*cells, **values):
    """What each cell rests on: (code, source) was read by the line of it that says `read`."""
    flow = Flow(values, lambda sources, rows: sources)
    found = []
    for code, *sources in cells:
        lines = [n for n, text in enumerate(code.splitlines(), start=1) if "read" in text]
        found.append(flow.cell(code, list(zip(lines, sources, strict=True))))
    return found


def test_values_are_followed_from_statement_to_statement_and_cell_to_cell():
    found = _flow(
        ("profile = 1\ntable = read(profile)\nimages = read(profile)", "cases", "slices"),
        ("print(profile)",),
        ("means = table.mean()",),
        ("means",),
        ("both = means, images[0]",),
        ("means = 3",),
        ("means",),
    )
    assert found == [
        {"cases", "slices"}, set(), {"cases"}, {"cases"}, {"cases", "slices"}, set(), set(),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "code",
    [
        "for axes in figure.axes:\n    axes.plot(table)\nshown = axes",
        "shown = []\nshown.append(table)",
        "shown = {}\nshown['a'] = table",
        "shown = 0\nshown += table",
        "with table.open() as shown:\n    pass",
        "shown = table\nif other:\n    shown = 1",
        "shown = [later for later in table]",
        "def draw():\n    return table\nshown = draw()",
        "shown = lambda: table",
        "first = second = 0\nfor each in (1, 2):\n    shown = second\n    second = first\n"
        "    first = table",
        "print(shown := table)",
        "first, (*shown, last) = 1, table",
        "shown.part = table",
        "try:\n    shown = table\nexcept ValueError:\n    shown = 1",
    ],
)
def test_what_a_name_may_hold_counts(code):
    found = _flow(("table = read()", "cases"), (code,), ("shown",))
    assert found[-1] == {"cases"}


def test_a_function_rests_on_what_its_names_hold_when_it_is_called():
    found = _flow(
        ("def draw(own):\n    table = own\n    return image, table",),
        ("image = read()\ntable = read()", "slices", "cases"),
        ("draw(1)",),
    )
    assert found[-1] == {"slices"}


def test_a_read_within_a_loop_is_of_the_line_and_one_of_a_thread_of_the_whole_cell():
    cell = "for name in names:\n    first = read(name)\n    second = 2"
    assert _flow((cell, "cases"), ("first",), ("second",))[1:] == [{"cases"}, set()]
    flow = Flow({}, lambda sources, rows: sources)
    assert flow.cell("one = 1\ntwo = 2", [(None, "cases")]) == {"cases"}
    assert flow.cell("one", []) == {"cases"}


def test_what_a_part_is_called_rests_on_nothing_and_a_line_of_no_statement_counts():
    cells = ("table = read()", "cases"), ("shown[name] = table",), ("name",), ("shown",)
    assert _flow(*cells)[2:] == [set(), {"cases"}]
    flow = Flow({}, lambda sources, rows: sources)
    assert flow.cell("\none = 1", [(1, "cases")]) == {"cases"}


def test_a_call_does_not_change_the_module_it_is_of():
    cells = ("table = read()", "cases"), ("pandas.concat(table)",), ("pandas.DataFrame()",)
    assert _flow(*cells, pandas=pd)[-1] == set()


def test_rows_of_a_table_rest_on_the_systems_they_name():
    values = {}
    notes = Notes("pocket", values)
    notes.systems = {"U-Net": "unet", "SAM-PP-5": "sam_pp", "SAM-PP-50": "sam_pp"}
    notes.reads = [(1, "runs unet"), (1, "runs sam_pp"), (1, "data lits")]
    values["cases"] = pd.DataFrame({"system": list(notes.systems)})
    notes.cell("cases = load()")
    values["some"] = values["cases"][1:]
    assert notes.cell("some = cases[cases['system'] != 'U-Net']") == ["data lits", "runs sam_pp"]
    assert notes.cell("some.plot()") == ["data lits", "runs sam_pp"]
    # Not where a name is set once more, or in a loop: the value is of the last time.
    assert "runs unet" in notes.cell("some = cases[:1]\nsome.plot()\nsome = cases[1:]")
    assert "runs unet" in notes.cell("for number in (0, 1):\n    some = cases[number:]")
    # Nor where a name is of no known record.
    values["some"] = pd.DataFrame({"system": ["mine"]})
    assert "runs unet" in notes.cell("some = cases[:1]")


def test_files_of_results_are_known_by_their_folder():
    notes = Notes("pocket", {})
    of = {
        "runs/pocket/sam_pp/labels-5/seed-1/record.json": {"runs sam_pp"},
        "runs/real_ct/unet/full/seed-1/record.json": {REAL},
        "tables/real/brain_ceilings.csv": {REAL},
        "tables/pocket/lits.csv": set(),
        "pocket_sam/zero_shot.csv": {"zero shot"},
        "pocket_sam/record.json": {"pocket sam"},
    }
    assert {path: notes.of_file(Path(path)) for path in of} == of


def test_a_line_names_what_was_read_and_leads_to_where_it_is_listed():
    profile = load_profile("pocket")
    known = {
        "classifier": System("CAM alone", is_prompted=False),
        "sam_pp": System("SAM-PP", is_prompted=False),
        "sam": System("SAM", is_prompted=True),
    }
    found = {"data lits", "runs sam_pp", "papers"}
    home = [(profile, known)]
    text = line(found, home, "<th>Paper: Dice</th>")
    targets = ("origin-data-lits", "origin-runs-sam-pp", "origin-papers")
    assert [target for target in targets if f"<{target}>`" in text] == list(targets)
    # Read, but not in this table:
    assert "papers" not in line(found, home, "<th>Dice</th>")
    automatic = {"runs sam_pp", "runs classifier"}
    assert "`all automatic runs <origin-runs>`" in line(automatic, home)
    assert "`all runs <origin-runs>`" in line({*automatic, "runs sam"}, home)
    few = load_profile("pocket", "med-sa-few")
    sam = {"sam": known["sam"]}
    other = line({"runs pocket_med_sa_few/sam"}, [*home, (few, sam)])
    assert "`all runs of med-sa-few <origin-runs-pocket-med-sa-few>`" in other
    assert "the code above alone" in line(set(), home)


def test_what_is_read_of_another_study_is_told_from_the_chapters_own():
    notes = Notes("pocket", {}, {"pocket_lunch_brats"})
    assert notes.of_run(None, Run(LUNCH, "sam", 0, 1)) == {"runs pocket_lunch_brats/sam"}
    assert notes.of_cohort(None, LUNCH, "brats") == {"data pocket_lunch_brats/brats"}
    file = Path("runs/pocket_lunch_brats/sam/full/seed-1/record.json")
    assert notes.of_file(file) == {"runs pocket_lunch_brats/sam"}
    assert notes.of_file(Path("runs/pocket_lunch_synapse/sam/full/record.json")) == {REAL}
    notes.systems = {"SAM": "sam", "Cheap Lunch": "cheap_lunch"}
    origins = {"runs pocket_lunch_brats/sam", "runs pocket_lunch_brats/cheap_lunch"}
    only = pd.DataFrame({"system": ["SAM"]})
    assert notes.narrowed(origins, only) == {"runs pocket_lunch_brats/sam"}


def test_a_line_leads_to_the_study_that_was_read():
    profile = load_profile("pocket")
    profiles = [
        (profile, {"sam": System("SAM", True), "unet": System("U-Net", False)}),
        (LUNCH, {"sam": System("SAM", True), "unet": System("U-Net", False)}),
    ]
    text = line({"data pocket_lunch_brats/brats", "runs pocket_lunch_brats/sam"}, profiles)
    assert "<origin-data-pocket-lunch-brats-brats>`" in text
    assert "<origin-runs-pocket-lunch-brats-sam>`" in text
    assert text.count("<origin-") == 2
    both = {"runs pocket_lunch_brats/sam", "runs pocket_lunch_brats/unet", "runs unet"}
    text = line(both, profiles)
    assert "<origin-runs-pocket-lunch-brats>`" in text
    assert "<origin-runs-unet>`" in text
    listed = "\n".join(listing(profile, LUNCH))
    for target in ("data-pocket-lunch-brats-brats", "runs-pocket-lunch-brats", "data-lits", "runs"):
        assert listed.count(f"(origin-{target})=") == 1


def test_a_notebook_that_was_run_in_another_way_has_no_lines():
    notebook = {"metadata": {}, "cells": [{"cell_type": "code", "outputs": [], "source": ""}]}
    assert with_origins(notebook, load_profile("pocket")) == notebook


@pytest.mark.parametrize("path", sorted((ROOT / "book").glob("[0-9]*.ipynb")), ids=lambda p: p.stem)
def test_every_figure_and_table_of_the_book_has_a_line_whose_targets_are_listed(path):
    profile = load_profile("pocket")
    notebook = json.loads(path.read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(notebook["metadata"][ORIGINS]) == len(code)
    cells = with_origins(notebook, profile)["cells"]
    shown = [
        number
        for number, cell in enumerate(cells)
        if {kind for output in cell.get("outputs", []) for kind in output.get("data", {})}
        & {"image/png", "text/html"}
    ]
    assert shown
    listed = (ROOT / "book" / "origins.md").read_text(encoding="utf-8") + "\n".join(
        listing(profile)
    )
    for number in shown:
        text = cells[number + 1]["source"]
        assert text.startswith(":::{container} origin\nFrom ")
        for target in text.split("<")[1:]:
            assert f"({target.split('>')[0]})=" in listed
    kept = [cell for cell in cells if not str(cell.get("id")).startswith("origin-")]
    assert kept == notebook["cells"]
