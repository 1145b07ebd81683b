"""What the site holds beside its pages: files of the figure that reacts, scripts of others.

Both take a while and change seldom, so they are kept below `_build/parts`, by what they depend on.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from filelock import FileLock
from hashes import CHECKOUT, content_hash, imported_files

from samnb.browser.assets import shown_profile, write_assets
from samnb.networks.sam.weights import POCKET
from samnb.studies import load_profile

PARTS = CHECKOUT / "_build" / "parts"
PACKAGES = CHECKOUT / "workflow" / "npm"
MATHJAX = "npm/mathjax/tex-mml-chtml.js"  # below _static
# What pages load of each package; MathJax fetches the rest of its folder where a page needs it.
RUNTIME = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
OTHER_MATHJAX = shutil.ignore_patterns(
    "*-chtml.js", "*-svg.js", "*-full*.js", "node-main.js", "svg"
)


def figure(chosen: str) -> Path:
    """Folder with what the page "Try it here" loads on a site of this profile."""
    profile = shown_profile(load_profile(chosen))
    depends = content_hash(
        profile,
        files=[
            *imported_files("samnb/browser/assets.py"),
            POCKET,
            CHECKOUT / "requirements.lock",
        ],
    )
    return _kept(f"try_it-{depends}", partial(write_assets, profile=profile))


def scripts() -> Path | None:
    """Folder with onnxruntime-web and MathJax as npm brings them; None, and a word, without them.

    npm checks what it fetches against the hashes of package-lock.json.
    """
    depends = content_hash(files=[PACKAGES / "package-lock.json", Path(__file__)])
    try:
        return _kept(f"npm-{depends}", _fetch_scripts)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        print(
            f"notice: no scripts from npm ({said.strip().splitlines()[0]}). The site shows a "
            "picture in place of the figure to try, and takes MathJax from the web.",
            file=sys.stderr,
        )
        return None


def _kept(name: str, make: Callable[[Path], object]) -> Path:
    """The folder `name`, filled by `make` if it is not there: whole or not at all."""
    folder = PARTS / name
    PARTS.mkdir(parents=True, exist_ok=True)
    with FileLock(PARTS / f".{name}.lock"):
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=PARTS, prefix=".making-") as place:
                making = Path(place) / name
                making.mkdir()
                make(making)
                making.rename(folder)
    return folder


def _fetch_scripts(folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=PARTS, prefix=".npm-") as place:
        shutil.copytree(PACKAGES, place, dirs_exist_ok=True)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        patience = ["--fetch-retries=1", "--fetch-retry-mintimeout=1000"]
        subprocess.run(
            [*command, *patience],
            cwd=place,
            check=True,
            capture_output=True,
            text=True,
            timeout=600,
        )
        modules = Path(place) / "node_modules"
        runtime = folder / "onnxruntime-web"
        runtime.mkdir()
        for name in RUNTIME:
            shutil.copy2(modules / "onnxruntime-web" / "dist" / name, runtime / name)
        es5 = modules / "mathjax" / "es5"
        shutil.copytree(es5, folder / "mathjax", ignore=OTHER_MATHJAX)
        for name in (es5 / Path(MATHJAX).name, es5.parent / "LICENSE"):
            shutil.copy2(name, folder / "mathjax")
