"""Every setting says where it comes from: the paper, public code, or a choice with a reason."""

import html
import re
import sys
from dataclasses import dataclass, field, fields, make_dataclass, replace
from pathlib import Path

import pytest
import yaml

from samnb.base.errors import SamnbError
from samnb.studies import Profile, load_profile, names
from samnb.studies.provenance import (
    FILE,
    ORIGINS,
    PUBLISHED,
    Entry,
    check,
    constants,
    entries,
    entry_of,
    settings_of,
    table,
)

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "workflow"))

import render  # noqa: E402
from defaults import add_tables  # noqa: E402

KNOWN = entries()
PAGE = (ROOT / "book" / "defaults.md").read_text(encoding="utf-8")
every_profile = pytest.mark.parametrize("name", names())


@every_profile
def test_every_setting_of_every_committed_profile_is_marked(name):
    profile = load_profile(name)
    marked = table(profile)
    assert set(marked["setting"]) == set(settings_of(profile))
    assert len(marked) > 50
    assert set(marked["from"]) <= set(ORIGINS)
    assert marked["where or why"].str.len().min() > 0


def test_no_entry_is_idle_and_every_other_value_of_a_smaller_size_has_a_reason():
    check()


def test_settings_are_found_at_every_depth():
    found = settings_of(load_profile("pocket"))
    assert found["data.cohorts.lits.phantom.patients"] == 60
    assert found["sam.lora.rank"] == 8
    assert found["learning.nnunet.optimiser"] == "adamw"
    assert found["data.labelled"] == (5, 50, 100)
    assert not {"data", "learning.sam", "sam.lora"} & set(found)


@dataclass(frozen=True)
class MagicSettings:
    strength: float = 1.0


def _with_magic():
    """The pocket profile with a section that nobody has marked."""
    kind = make_dataclass(
        "Magical",
        [("magic", MagicSettings, field(default_factory=MagicSettings))],
        bases=(Profile,),
        frozen=True,
    )
    profile = load_profile("pocket")
    return kind(**{item.name: getattr(profile, item.name) for item in fields(profile)})


def test_a_new_section_that_is_not_marked_fails():
    with pytest.raises(SamnbError, match=r"magic\.strength.*Remedy: mark it in samnb/studies"):
        table(_with_magic())


@pytest.mark.parametrize(
    "setting",
    ["learning.sam.momentum", "sam.lora.dropout", "data.slices.depth", "data.cohorts.lits"],
)
def test_a_new_setting_of_a_marked_section_fails(setting):
    with pytest.raises(SamnbError, match="Nothing says where"):
        entry_of(setting, KNOWN)


def test_no_entry_marks_settings_that_do_not_exist_yet():
    assert not [each.name for each in KNOWN if each.name.endswith("*")]


@pytest.mark.parametrize("name", ["sam.colour", "learning.*.*.epochs", "*.*.clip"])
def test_an_idle_entry_fails(name):
    with pytest.raises(SamnbError, match="names no setting"):
        check([*KNOWN, Entry(name, "SAM", "what", "our choice", "for no reason at all", "")])


def test_the_most_exact_entry_counts_and_two_alike_fail():
    assert entry_of("learning.nnunet.clip", KNOWN).origin == "code"
    assert entry_of("learning.unet.clip", KNOWN).origin == "our choice"
    twin = replace(entry_of("learning.unet.clip", KNOWN), name="learning.{unet,sam}.clip")
    with pytest.raises(SamnbError, match="both name"):
        entry_of("learning.unet.clip", [*KNOWN, twin, replace(twin, name="learning.unet.clip")])


@pytest.mark.parametrize(
    ("setting", "elsewhere"), [("data.slices.side", ""), ("mix.choice", "it never differs")]
)
def test_a_reason_that_is_missing_or_idle_fails(setting, elsewhere):
    changed = [
        replace(each, elsewhere=elsewhere) if each.name == setting else each for each in KNOWN
    ]
    assert changed != KNOWN
    with pytest.raises(SamnbError, match=rf"{setting}: .*Remedy: mend `elsewhere`"):
        check(changed)


def test_each_place_names_a_part_of_the_paper_or_a_file_and_each_reason_says_something():
    marked = [*KNOWN, *(entry for entry, _ in constants())]
    places = {origin: [e.place for e in marked if e.origin == origin] for origin in ORIGINS}
    assert all(places.values())
    assert all(re.search(r"(section|equation|table|figure)s? \d", it) for it in places["paper"])
    assert all(re.match(r"[\w-]+/[\w-]+: (\w+/)*\w+\.py\b", it) for it in places["code"])
    assert all(len(it.split()) > 2 for it in places["our choice"])


@pytest.mark.parametrize(
    "facts",
    [
        {"is": "side", "paper": "somewhere in the text"},
        {"is": "side", "paper": "section"},
        {"is": "side", "code": "torchvision/ops/focal_loss.py"},
        {"is": "side", "code": "pytorch/vision"},
        {"is": "side", "our choice": "it works"},
        {"is": "side", "our choice": ""},
        {"is": "side"},
        {"our choice": "it has to be some number"},
        {"is": "side", "paper": "section 2", "our choice": "it has to be some number"},
        {"is": "side", "paper": "section 2", "else": "fewer of them"},
    ],
    ids=str,
)
def test_an_entry_without_place_or_reason_is_refused(facts, tmp_path):
    file = tmp_path / "defaults.yaml"
    file.write_text(yaml.safe_dump({"settings": {"SAM": {"sam.side": facts}}}), encoding="utf-8")
    with pytest.raises(SamnbError, match=r"sam\.side: .*Remedy"):
        entries(file)


@every_profile
def test_only_values_that_the_papers_size_has_are_said_to_be_the_papers(name):
    published = settings_of(load_profile(PUBLISHED))
    marked = table(load_profile(name))
    for row in marked[marked["from"] == "paper"].itertuples():
        assert published[row.setting] == row.value


def test_what_the_paper_says_and_what_it_does_not():
    paper = table(load_profile(PUBLISHED)).set_index("setting")
    assert paper.loc["data.slices.middle", "from"] == "paper"
    assert "3.2" in paper.loc["data.slices.middle", "where or why"]
    assert paper.loc["nnunet.width", "where or why"].startswith("MIC-DKFZ/nnUNet: ")
    assert paper.loc["prompting.activation", "from"] == "our choice"  # Eq. 4 has another map
    assert paper.loc["learning.sam.optimiser", "from"] == "our choice"
    pocket = table(load_profile("pocket")).set_index("setting")
    assert pocket.loc["data.slices.side", "from"] == "our choice"
    assert pocket.loc["data.slices.middle", "from"] == "paper"


def test_chapters_that_reasons_lead_to_are_there():
    linked = set(re.findall(r"\[(?:chapter )?(\d+)\]\(([\w-]+)\)", FILE.read_text("utf-8")))
    assert len(linked) > 5
    for number, label in linked:
        (chapter,) = ROOT.glob(f"book/{int(number):02}_*.py")
        assert f"({label})=" in chapter.read_text(encoding="utf-8")


def _read(profile):
    """The page as a reader sees it: names whole."""
    return html.unescape(add_tables(PAGE, profile).replace("<wbr>", ""))


@pytest.mark.parametrize("name", ["pocket", "paper", "real_brain_long"])
def test_the_page_has_a_row_for_every_entry_of_its_sizes_and_counts_them(name):
    profile = load_profile(name)
    page = _read(profile)
    published, here = table(load_profile(PUBLISHED)), table(profile)
    for entry in {*published["entry"], *here["entry"]}:
        assert page.count(f"<code>{entry}</code> |") == 1
    counts = published["from"].value_counts()
    assert f"**{len(published)} settings: {counts['paper']} from the paper" in page
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == [
        *dict.fromkeys(each.group for each in KNOWN),
        "Fixed in the code",
    ]
    widths = {line.count(" | ") for line in page.splitlines() if line.startswith("| ")}
    assert widths <= {3, 4}


def test_a_row_of_the_page_says_value_origin_place_and_what_is_smaller_here():
    page = _read(load_profile("pocket"))
    row = next(line for line in page.splitlines() if "<code>data.splits.lits." in line)
    assert "| 100 (train), 5 (validation), 25 (test) | paper | section 3.1 |" in row
    assert "| 40 (train), 15 (test): " in row
    rates = next(line for line in page.splitlines() if "multimix}.learning_rate<" in line)
    assert "| 0.01 (supervised, unet, multimix): " in rates
    trainer = "`nnUNetTrainer.py` of [MIC-DKFZ/nnUNet](https://github.com/MIC-DKFZ/nnUNet)"
    assert trainer in page


def test_the_book_lists_the_page_and_the_site_is_laid_out_with_its_tables(tmp_path, monkeypatch):
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    listed = [entry["file"] for part in contents["parts"] for entry in part["chapters"]]
    assert "book/defaults" in listed
    (tmp_path / "figure").mkdir()
    monkeypatch.setattr(render, "figure", lambda profile: tmp_path / "figure")
    monkeypatch.setattr(render, "scripts", lambda: None)
    render.lay_out(ROOT / "book", tmp_path / "source", "smoke")
    page = (tmp_path / "source" / "book" / "defaults.md").read_text(encoding="utf-8")
    assert page == add_tables(PAGE, load_profile("smoke"))
