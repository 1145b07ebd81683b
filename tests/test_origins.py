"""The line below each figure and table: followed back through the code, never too little."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "workflow"))

from book_site import line, listing, with_origins  # noqa: E402
from origins import Known, Source, origins  # noqa: E402

from samnb.studies import load_profile  # noqa: E402

KNOWN = Known(
    ("home", "abroad"),
    {"CAM alone": "classifier", "SAM-PP-5": "sam_pp", "U-Net": "unet"},
    {"classifier": "CAM alone", "sam_pp": "SAM-PP", "unet": "U-Net"},
)


def _records(*cells):
    """Names of the records that the last cell rests on."""
    return {each.name for each in origins(list(cells), KNOWN)[-1] if each.kind == "record"}


@pytest.mark.parametrize(
    ("code", "records"),
    [
        ("x = load_cases(profile)", {"CAM alone", "SAM-PP-5", "U-Net"}),
        ("make_record(Run(profile, 'sam_pp', 5, 1))", {"SAM-PP-5"}),
        (
            "for form in ('sam_pp', 'unet'):\n    load_method(Run(profile, form))",
            {"SAM-PP-5", "U-Net"},
        ),
        ("{f: load_method(Run(profile, f)) for f in ('unet',)}", {"U-Net"}),
        ("make_record(Run(profile, unknown(), 5, 1))", {"CAM alone", "SAM-PP-5", "U-Net"}),
        ("print('sam_pp')", set()),
        ("mine = load_profile('real_mine')\nx = load_cases(mine)", set()),
    ],
)
def test_a_call_that_opens_records_is_found(code, records):
    assert _records(code) == records


def test_records_of_real_images_are_told_from_those_of_the_profile():
    cells = ["mine = load_profile('real_mine')", "x = load_cases(mine)", "y = load_cases(other)"]
    found = origins([*cells, "x.plot()", "y.plot()"], KNOWN)
    assert found[3] == {Source("real")}
    assert Source("real") not in found[4]


@pytest.mark.parametrize(
    ("condition", "records"),
    [
        ("cases['system'] == 'U-Net'", {"U-Net"}),
        ("cases['system'].str.match('CAM|SAM-')", {"CAM alone", "SAM-PP-5"}),
        (
            "cases['system'].str.startswith(('SAM', 'U')) & (cases['seed'] == 1)",
            {"SAM-PP-5", "U-Net"},
        ),
        ("kept", {"CAM alone"}),
        # What cannot be followed narrows nothing.
        ("cases['system'].isin(names)", {"CAM alone", "SAM-PP-5", "U-Net"}),
        ("(cases['system'] == 'U-Net') | (cases['seed'] == 1)", {"CAM alone", "SAM-PP-5", "U-Net"}),
    ],
)
def test_a_filter_of_systems_narrows_what_follows(condition, records):
    first = "cases = load_cases(profile)\nkept = cases['system'].str.contains('alone')"
    assert _records(first, f"some = cases[{condition}]", "table = summary(some)") == records


def test_names_are_followed_over_cells_loops_and_calls_and_forgotten_when_set_anew():
    cells = [
        "%matplotlib inline\nslices = cohort.cohort_slices(profile, 'home')",
        "for image in slices:\n    axes.plot(image)",
        "figure = axes.figure",
        "axes = 1\nfigure = axes",
        "both = cohort.cohort_slices(profile, name)",
    ]
    home, abroad = Source("data", "home"), Source("data", "abroad")
    assert origins(cells, KNOWN) == [{home}, {home}, {home}, set(), {home, abroad}]


def test_a_line_names_what_was_read_and_leads_to_where_it_is_listed():
    profile = load_profile("pocket")
    known = Known(("lits",), KNOWN.records, KNOWN.titles)
    found = {Source("data", "lits"), Source("record", "SAM-PP-5"), Source("papers")}
    text = line(found, known, profile, "<th>Paper: Dice</th>")
    targets = ("origin-data-lits", "origin-runs-sam-pp", "origin-papers")
    assert [target for target in targets if f"<{target}>`" in text] == list(targets)
    assert "papers" not in line(
        found, known, profile, "<th>Dice</th>"
    )  # read, but not in this table
    everything = {Source("record", name) for name in known.records}
    assert "<origin-runs>`" in line(everything, known, profile)
    assert "the code above alone" in line(set(), known, profile)


@pytest.mark.parametrize("path", sorted((ROOT / "book").glob("[0-9]*.ipynb")), ids=lambda p: p.stem)
def test_every_figure_and_table_of_the_book_has_a_line_whose_targets_are_listed(path):
    profile = load_profile("pocket")
    notebook = json.loads(path.read_text(encoding="utf-8"))
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
