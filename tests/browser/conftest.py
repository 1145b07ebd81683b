"""A site built from the committed notebooks, a web server for it, and a real browser."""

import shutil
import sys
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from filelock import FileLock
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

ROOT = Path(__file__).resolve().parents[2]
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,1000",
    # What a page asks of the rest of the world fails, and is seen in the console.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
PATIENCE = 120  # seconds; a busy machine is slow


@pytest.fixture(scope="session")
def programs():
    """Paths of Chromium and its driver."""
    found = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in found:
        pytest.skip("needs Chromium and its driver (Debian: chromium, chromium-driver)")
    return found


@pytest.fixture(scope="session")
def site(programs, tmp_path_factory):
    """Folder of the built site; test processes that run side by side share one."""
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if "popen-gw" in folder.name else folder) / "site"
    sys.path.insert(0, str(ROOT / "workflow"))
    from render import render

    with FileLock(f"{folder}.lock"):
        if not (folder / "html").is_dir():
            assert render(ROOT / "book", folder) == 0
    return folder / "html"


@pytest.fixture(scope="session")
def address(site):
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=site)) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *rest):
        pass


@pytest.fixture(scope="session")
def browser(programs, tmp_path_factory):
    chromium, driver = programs
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    running = webdriver.Chrome(options, Service(driver))
    running.set_page_load_timeout(PATIENCE)
    running.set_script_timeout(PATIENCE)
    yield running
    running.quit()


@pytest.fixture(scope="session")
def until(browser):
    """Waits until a script gives something true, and returns that."""

    def wait(script):
        end = time.monotonic() + PATIENCE
        while not (value := browser.execute_script(f"return {script}")):
            assert time.monotonic() < end, f"never came true: {script}"
            time.sleep(0.05)
        return value

    return wait


def pytest_terminal_summary(terminalreporter):
    """Print what was measured but not judged."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties if report.when == "call" else ():
            terminalreporter.write_line(f"{name}: {value}")
