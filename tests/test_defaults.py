"""Every setting says where it comes from: the paper, public code, or a choice with a reason."""

import html
import re
import sys
from dataclasses import dataclass, field, fields, make_dataclass, replace
from pathlib import Path

import pytest
import yaml

from samnb.base.errors import SamnbError
from samnb.studies import Profile, load_profile, names, studies_of
from samnb.studies.provenance import (
    ORIGINS,
    PAPERS,
    Entry,
    about,
    check,
    constants,
    entries,
    entry_of,
    file_of,
    paper_of,
    published_of,
    settings_of,
    table,
)

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "workflow"))

import render  # noqa: E402
from defaults import add_tables  # noqa: E402

FILES = [file_of(paper) for paper in PAPERS]
KNOWN = entries(FILES[0])
LUNCH = entries(FILES[1])
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


def test_every_profile_repeats_one_paper():
    compared = [name for paper in PAPERS for name in about(paper).profiles]
    assert sorted(compared) == names()


@pytest.mark.parametrize("paper", PAPERS)
def test_no_entry_is_idle_and_every_other_value_of_a_smaller_size_has_a_reason(paper):
    check(paper)


def test_a_profile_is_compared_with_the_papers_size_of_its_own_data():
    assert published_of("smoke") == "paper"
    assert published_of("real_lunch_brain") == "paper_lunch_brats"
    assert published_of("pocket_lunch_synapse") == "paper_lunch_synapse"
    assert paper_of("someones_own") == "sam_mix"


def test_sections_that_no_profile_of_a_paper_reads_are_no_settings_of_it():
    mix, lunch = (
        settings_of(load_profile("pocket")),
        settings_of(load_profile("pocket_lunch_brats")),
    )
    assert {"improved.soft", "multimix.width"} <= set(mix)
    assert {"cheap_lunch.dice", "samed.dice", "attention_unet.width", "synthesis.images"} <= set(
        lunch
    )
    assert not any(name.startswith(("cheap_lunch.", "samed.", "attention_unet.")) for name in mix)
    assert not any(name.startswith(("mix.", "improved.", "unet.", "multimix.")) for name in lunch)


@pytest.mark.parametrize("paper", ["paper_lunch_brats", "paper_lunch_synapse"])
@pytest.mark.parametrize(
    "setting",
    [
        "data.choice",
        "data.smallest",
        "data.exclusive",
        "synthesis.images",
        "synthesis.blur",
        "protocol",
    ],
)
def test_what_studies_share_is_marked_for_both_papers(paper, setting):
    for profile in ("paper", paper):
        assert setting in set(table(load_profile(profile))["setting"])


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
        check(
            "sam_mix",
            [*KNOWN, Entry(name, "SAM", "what", "our choice", "for no reason at all", "")],
        )


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
        check("sam_mix", changed)


def test_each_place_names_a_part_of_the_paper_or_a_file_and_each_reason_says_something():
    marked = [*KNOWN, *LUNCH, *(entry for file in FILES for entry, _ in constants(file))]
    places = {origin: [e.place for e in marked if e.origin == origin] for origin in ORIGINS}
    assert all(places.values())
    assert all(re.search(r"(section|equation|table|figure)s? \d", it) for it in places["paper"])
    assert all(re.match(r"[\w-]+/[\w-]+: (\w+/)*\w+\.(py|txt)\b", it) for it in places["code"])
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
    published = settings_of(load_profile(published_of(name)))
    marked = table(load_profile(name))
    for row in marked[marked["from"] == "paper"].itertuples():
        assert published[row.setting] == row.value


def test_what_the_paper_says_and_what_it_does_not():
    paper = table(load_profile("paper")).set_index("setting")
    assert paper.loc["data.slices.middle", "from"] == "paper"
    assert "3.2" in paper.loc["data.slices.middle", "where or why"]
    assert paper.loc["nnunet.width", "where or why"].startswith("MIC-DKFZ/nnUNet: ")
    assert paper.loc["prompting.activation", "from"] == "our choice"  # Eq. 4 has another map
    assert paper.loc["learning.sam.optimiser", "from"] == "our choice"
    pocket = table(load_profile("pocket")).set_index("setting")
    assert pocket.loc["data.slices.side", "from"] == "our choice"
    assert pocket.loc["data.slices.middle", "from"] == "paper"
    lunch = table(load_profile("paper_lunch_synapse")).set_index("setting")
    assert lunch.loc["cheap_lunch.dice", ["value", "where or why"]].tolist() == [0.8, "section 3.3"]
    assert lunch.loc["synthesis.rotation", "from"] == "our choice"  # no range is published
    assert lunch.loc["learning.samed.warmup", "where or why"] == "hitachinsk/SAMed: train.py"
    assert len(lunch.loc["data.splits.synapse.tested", "value"]) == 12


def _said():
    return "".join(file.read_text("utf-8") for file in FILES)


def test_chapters_that_reasons_lead_to_are_there():
    linked = set(re.findall(r"\[(?:chapter )?(\d+)\]\(([\w-]+)\)", _said()))
    assert len(linked) > 5
    for number, label in linked:
        (chapter,) = ROOT.glob(f"book/{int(number):02}_*.py")
        assert f"({label})=" in chapter.read_text(encoding="utf-8")


def _read(*profiles):
    """The page as a reader sees it: names whole."""
    return html.unescape(add_tables(PAGE, map(load_profile, profiles)).replace("<wbr>", ""))


def _part(page, title):
    """What the page says of one paper."""
    return page.split(f"\n## {title}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("name", ["pocket", "paper", "real_brain_long"])
def test_the_page_has_a_row_for_every_entry_of_its_sizes_and_counts_them(name):
    page = _part(_read(name), "SAM-Mix")
    published, here = table(load_profile("paper")), table(load_profile(name))
    for entry in {*published["entry"], *here["entry"]}:
        assert page.count(f"<code>{entry}</code> |") == 1
    counts = published["from"].value_counts()
    assert f"**{len(published)} settings: {counts['paper']} from the paper" in page
    assert re.findall(r"^### (.*)$", page, re.MULTILINE) == [
        *dict.fromkeys(each.group for each in KNOWN),
        "Fixed in the code",
    ]
    widths = {line.count(" | ") for line in page.splitlines() if line.startswith("| ")}
    assert widths <= {3, 4}


def test_the_page_shows_two_data_sets_of_one_paper_beside_each_other():
    page = _part(_read("pocket", "pocket_lunch_brats", "pocket_lunch_synapse"), "Cheap Lunch")
    rows = {
        found[1]: line
        for line in page.splitlines()
        if (found := re.search(r"<code>(.*?)</code>", line))
    }
    assert len(rows) == len(LUNCH) + len(constants(FILES[1])) - len(_only_real())
    assert "| 75, 150, 450 (BraTS), 1, 9, 18, 36 (Synapse) | paper |" in rows["data.labelled"]
    assert (
        "| 1 (cross_entropy), 0.8 (dice) | paper | section 3.3 |"
        in rows["cheap_lunch.{cross_entropy,dice}"]
    )
    assert (
        "| 228 (brats train), 0 (brats validation, synapse validation), 57 (brats test), 18 "
        in (rows["data.splits.{brats,synapse}.{train,validation,test}"])
    )
    assert "{cite}`feng2023cheaplunch`" in page
    alone = _part(_read("pocket"), "Cheap Lunch")
    assert "if it differs" not in alone


def _only_real():
    """Entries of settings that only small real sets have."""
    sizes, sets = ("paper", "pocket"), ("brats", "synapse")
    profiles = [load_profile(f"{size}_lunch_{data}") for size in sizes for data in sets]
    shown = {entry for each in profiles for entry in table(each)["entry"]}
    return [each for each in LUNCH if each.name not in shown]


def test_a_row_of_the_page_says_value_origin_place_and_what_is_smaller_here():
    page = _read("pocket")
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
    assert page == add_tables(PAGE, studies_of("smoke").values())
