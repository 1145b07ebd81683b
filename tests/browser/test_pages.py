"""Every page of the site in a real browser: nothing missing, nothing from elsewhere, not too large.

No page may ask for anything outside the site: the browser cannot reach it, and says so.
"""

import gzip
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

ROOT = Path(__file__).resolve().parents[2]
CONTENTS = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
CHAPTERS = [entry["file"] for part in CONTENTS["parts"] for entry in part["chapters"]]
PAGES = [CONTENTS["root"], *CHAPTERS, "search", "genindex"]
REACTS = "book/try_it"  # brings a runtime of its own
LARGEST = 2_000_000  # bytes on the way to the reader
TEXT = {".html", ".css", ".js", ".mjs", ".json", ".svg"}  # which servers compress

SETTLED = """
    const done = arguments[0];
    const rest = () => setTimeout(done, 100);
    const formulas = window.MathJax?.startup?.promise;
    const figure = document.getElementById("try-it-picture");
    const still = document.getElementById("try-it-loading");
    const wait = () => figure.dataset.milliseconds || still.textContent.includes("cannot")
        ? rest() : setTimeout(wait, 50);
    figure ? wait() : formulas ? formulas.then(rest, rest) : rest();
"""
LOADED = """
    return performance.getEntriesByType("resource").map((entry) => entry.name)
"""
UNNAMED = """
    return [...document.images].filter((image) => !image.alt.trim()).map((image) => image.src)
"""
BROKEN = """
    return [...document.images].filter((image) => image.complete && !image.naturalWidth)
        .map((image) => image.src)
"""
every_page = pytest.mark.parametrize("page", PAGES)


@dataclass
class Visit:
    errors: list[str]
    loaded: list[str]  # addresses
    unnamed: list[str]  # pictures without alternative text
    broken: list[str]  # pictures that cannot be shown
    formulas: int


@pytest.fixture(scope="module")
def visit(browser, address):
    """Opens a page as a new reader does, with nothing in the cache; each page once."""
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd("Network.setCacheDisabled", {"cacheDisabled": True})
    known = {}

    def look(page):
        if page not in known:
            known[page] = _open(browser, f"{address}/{page}.html")
        return known[page]

    yield look
    browser.execute_cdp_cmd("Network.setCacheDisabled", {"cacheDisabled": False})


def _open(browser, url):
    browser.get_log("browser")
    browser.get(url)
    browser.execute_async_script(SETTLED)
    return Visit(
        errors=_errors(browser),
        loaded=[url, *browser.execute_script(LOADED)],
        unnamed=browser.execute_script(UNNAMED),
        broken=browser.execute_script(BROKEN),
        formulas=len(browser.find_elements(By.CSS_SELECTOR, "mjx-container")),
    )


def _errors(browser):
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


@every_page
def test_page_opens_without_error_and_without_the_rest_of_the_world(visit, site, address, page):
    if not (site / "_static" / "npm").is_dir():
        pytest.skip("the site was built without npm, and takes MathJax from the web")
    seen = visit(page)
    assert not seen.errors
    assert not seen.broken
    assert not [name for name in seen.loaded if not name.startswith((address, "data:", "blob:"))]


@every_page
def test_every_picture_says_in_words_what_it_shows(visit, page):
    assert not visit(page).unnamed


@every_page
def test_page_is_light(visit, site, address, page, record_property):
    names = {urlsplit(name).path for name in visit(page).loaded if name.startswith(address)}
    sizes = [_sent(site / unquote(name).lstrip("/")) for name in names]
    record_property(f"{page} in MB", round(sum(sizes) / 1e6, 2))
    assert page == REACTS or sum(sizes) < LARGEST


def _sent(path):
    """Bytes of a file on its way, compressed as web servers do it."""
    content = path.read_bytes()
    return len(gzip.compress(content, 6)) if path.suffix in TEXT else len(content)


def test_formulas_are_set_by_the_sites_own_script(visit, site):
    if not (site / "_static" / "npm").is_dir():
        pytest.skip("the site was built without npm")
    seen = visit("book/04_what_lora_changes")
    assert seen.formulas > 10
    assert any("/_static/npm/mathjax/" in name for name in seen.loaded)


def test_search_finds_the_chapter_on_class_activation(browser, address, until):
    browser.get(f"{address}/book/index.html")
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.CONTROL, "k")
    until("document.querySelector('dialog input[type=search], .search__input')?.checkVisibility()")
    browser.switch_to.active_element.send_keys("class activation", Keys.ENTER)
    until("location.pathname.endsWith('/search.html')")
    found = until("[...document.querySelectorAll('ul.search li a')].map((link) => link.href)")
    assert any("05_maps_as_prompts" in link for link in found)


def test_the_theme_switch_makes_the_page_dark_and_light_again(browser, address):
    browser.get(f"{address}/book/index.html")
    seen = []
    for _ in range(3):  # auto, light, dark in some order
        seen.append(
            browser.execute_script(
                "return [document.documentElement.dataset.theme,"
                " getComputedStyle(document.body).backgroundColor]"
            )
        )
        browser.find_element(By.CSS_SELECTOR, "button.theme-switch-button").click()
    assert {theme for theme, _ in seen} == {"light", "dark"}
    assert len({ground for _, ground in seen}) == 2
