"""The figure "Try it here": what the reader does changes what SAM answers."""

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.interaction import POINTER_TOUCH
from selenium.webdriver.common.actions.pointer_input import PointerInput
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

PAGE = "book/try_it.html"
ANSWERED = "document.getElementById('try-it-picture')?.dataset.milliseconds"
READ_ALOUD = "document.getElementById('try-it-status').textContent"
MASKS = """
    return [...document.querySelectorAll("#try-it-answers canvas")].map((tile) => tile.toDataURL())
"""
SAID = """
    return [...document.querySelectorAll("#try-it-answers span")].map((words) => words.innerText)
"""


@pytest.fixture
def figure(browser, address, site, until):
    """The figure, ready, in view; returns its picture."""
    if not (site / "_static" / "npm").is_dir():
        pytest.skip("the site was built without npm")
    browser.get(f"{address}/{PAGE}")
    until(ANSWERED)
    browser.execute_script("document.getElementById('try-it').scrollIntoView()")
    until(READ_ALOUD)
    return browser.find_element(By.ID, "try-it-picture")


@pytest.fixture
def changed(browser, until):
    """Does something and waits for what is read aloud; returns masks before and after."""

    def act(action):
        before = browser.execute_script(MASKS)
        browser.execute_script("document.getElementById('try-it-status').textContent = ''")
        action()
        until(READ_ALOUD)
        return before, browser.execute_script(MASKS)

    return act


def _picked(browser):
    return int(
        browser.execute_script(
            "return document.querySelector('[name=try-it-answer]:checked').value"
        )
    )


def _spoken(browser):
    return browser.execute_script(f"return {READ_ALOUD}")


def test_a_drag_asks_with_a_box_and_changes_all_masks(figure, browser, changed, record_property):
    times = []

    def drag():
        moves = ActionChains(browser, duration=20)
        moves.move_to_element_with_offset(figure, -100, -100).click_and_hold()
        for _ in range(8):
            moves.move_by_offset(15, 12)
        moves.release().perform()

    before, after = changed(drag)
    assert all(old != new for old, new in zip(before, after, strict=True))
    assert _spoken(browser).startswith("Box from")
    assert _picked(browser) == 0  # the single mask answers a box
    for _ in range(5):
        changed(lambda: figure.send_keys(Keys.ARROW_LEFT))
        times.append(float(figure.get_attribute("data-milliseconds")))
    record_property("one decoding in ms, median of five", round(sorted(times)[2]))


def test_a_click_asks_with_a_point_and_the_best_of_three_answers(figure, browser, changed):
    click = ActionChains(browser).move_to_element_with_offset(figure, -60, -20).click()
    before, after = changed(click.perform)
    assert before != after
    assert _spoken(browser).startswith("Point at")
    scores = [float(words.split("says ")[1].split()[0]) for words in browser.execute_script(SAID)]
    assert scores[_picked(browser)] == max(scores[1:])


def test_a_finger_draws_a_box_and_does_not_scroll(figure, browser, changed):
    height = browser.execute_script("return scrollY")
    finger = ActionBuilder(browser, mouse=PointerInput(POINTER_TOUCH, "finger"))
    pointer = finger.pointer_action
    pointer.move_to(figure, -80, -60).pointer_down()
    for place in range(-60, 80, 20):
        pointer.move_to(figure, place, place)
    pointer.release()
    before, after = changed(finger.perform)
    assert before != after
    assert _spoken(browser).startswith("Box from")
    assert browser.execute_script("return scrollY") == height


def test_keys_do_all_that_a_mouse_does(figure, browser, changed):
    figure.send_keys("")
    assert browser.switch_to.active_element == figure
    for keys in (Keys.ARROW_RIGHT * 5, Keys.SHIFT + Keys.ARROW_UP * 5, Keys.SPACE):
        before, after = changed(lambda keys=keys: figure.send_keys(keys))
        assert before != after
    assert _spoken(browser).startswith("Point at")
    changed(lambda: figure.send_keys("4"))
    assert _picked(browser) == 3
    changed(lambda: figure.send_keys("l"))
    assert "SAM with LoRA" in _spoken(browser)
    assert _picked(browser) == 3


def test_lora_gives_other_masks_for_the_same_box(figure, browser, changed):
    said = browser.execute_script(SAID)
    before, after = changed(browser.find_element(By.ID, "try-it-sam-1").click)
    assert before != after
    assert said != browser.execute_script(SAID)


def test_another_slice_brings_its_own_picture_and_box(figure, browser, changed):
    other = browser.find_elements(By.CSS_SELECTOR, "#try-it-slices label")[1]
    box = _spoken(browser).split(".")[0]
    before, after = changed(other.click)
    assert before != after
    assert _spoken(browser).split(".")[0] != box


def test_without_scripts_a_picture_stands_there(browser, address):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(f"{address}/{PAGE}")
        picture = browser.find_element(By.CSS_SELECTOR, ".try-it-still img")
        assert picture.is_displayed()
        assert picture.size["width"] > 300
        assert not browser.find_element(By.ID, "try-it").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_on_a_phone_nothing_is_wider_than_the_screen(figure, browser):
    screen = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    try:
        width = browser.execute_script("return document.documentElement.scrollWidth")
        assert width <= screen["width"]
        assert figure.size["width"] > 300
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
