"""Build the site: render.py --notebooks FOLDER --output FOLDER [--profile NAME].

The html is in OUTPUT/html.

The pages are laid out in OUTPUT/source as in the checkout, with the notebooks of FOLDER in place of
the committed ones, so that a site of any profile can be built and the checkout stays as it is.
Every warning of Sphinx is an error. The site loads nothing from elsewhere: see parts.py.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from defaults import add_tables
from hashes import content_hash
from parts import MATHJAX, figure, scripts

from samnb.base.paths import results_root
from samnb.studies import load_profile, studies_of

CHECKOUT = Path(__file__).resolve().parent.parent


def lay_out(notebooks: Path, source: Path, profile: str) -> None:
    """Copy what the site is made of into `source`, keeping file times for incremental builds."""
    chosen = load_profile(profile)
    named = chosen.name
    _copy_pages(notebooks, source)
    page = source / "book" / "defaults.md"
    text = add_tables(page.read_text(encoding="utf-8"), studies_of(profile).values())
    page.write_text(text, encoding="utf-8")
    records = _copy_shown(source, [each.name for each in studies_of(profile).values()])
    static = source / "book" / "_static"
    shutil.copytree(figure(profile), static / "try_it", dirs_exist_ok=True)
    if fetched := scripts():
        shutil.copytree(fetched, static / "npm", dirs_exist_ok=True)
    # With other records, or read in another way, every page is made anew.
    depends = content_hash(files=[*records, *sorted(Path(__file__).parent.glob("*.py"))])
    config = _config(named, depends, own_mathjax=bool(fetched))
    (source / "_config.yml").write_text(config, encoding="utf-8")
    shutil.copy2(CHECKOUT / "_toc.yml", source / "_toc.yml")


def _copy_pages(notebooks: Path, source: Path) -> None:
    """The book, and what a build has made of it: notebooks, the report, the status."""
    shutil.copytree(
        CHECKOUT / "book",
        source / "book",
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("*.ipynb", "__pycache__", ".ipynb_checkpoints"),
    )
    for stale in source.glob("book/*.ipynb"):
        stale.unlink()
    for page in (*notebooks.glob("[0-9]*.ipynb"), *notebooks.glob("*.md")):
        shutil.copy2(page, source / "book" / page.name)
    if repository := _repository():
        for page in source.glob("book/*.md"):
            text = page.read_text(encoding="utf-8").replace("<this repository>", repository)
            page.write_text(text, encoding="utf-8")


def _copy_shown(source: Path, profiles: list[str]) -> list[Path]:
    """What pages show or lead to: sources of the package, and records; those of the profiles."""
    for shown in (*CHECKOUT.glob("samnb/**/*.py"), *CHECKOUT.glob("samnb/**/*.yaml")):
        _copy(shown, source / shown.relative_to(CHECKOUT))
    shutil.rmtree(source / "results", ignore_errors=True)
    made = (results_root().glob(f"runs/{profile}/**/record.json") for profile in profiles)
    records = [record for each in made for record in sorted(each)]
    for record in records:
        _copy(record, source / "results" / record.relative_to(results_root()))
    for folder in ("pocket_sam", "tables/real"):
        for file in (CHECKOUT / "results" / folder).iterdir():
            _copy(file, source / "results" / folder / file.name)
    return records


def _copy(file: Path, copy: Path) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(file, copy)


def _repository() -> str | None:
    """The repository's address where the build knows it."""
    if name := os.environ.get("GITHUB_REPOSITORY"):
        return f"{os.environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{name}"
    return None


def _config(profile: str, depends: str, own_mathjax: bool) -> str:
    """`_config.yml`, with what only the build knows: what book_site asks for, the repository and
    its launch buttons, scripts that the site serves itself."""
    config = yaml.safe_load((CHECKOUT / "_config.yml").read_text(encoding="utf-8"))
    config["sphinx"]["local_extensions"] = {"book_site": str(CHECKOUT / "workflow")}
    config["sphinx"]["config"] |= {"samnb_profile": profile, "samnb_depends": depends}
    if own_mathjax:
        config["sphinx"]["config"]["mathjax_path"] = MATHJAX
    if repository := _repository():
        config["repository"] = {"url": repository, "branch": "main"}
        config["html"] |= {"use_repository_button": True, "use_issues_button": True}
        config["launch_buttons"] = {
            "notebook_interface": "jupyterlab",
            "binderhub_url": "https://mybinder.org",
            "colab_url": "https://colab.research.google.com",
        }
    return yaml.safe_dump(config, sort_keys=False, allow_unicode=True)


def render(notebooks: Path, output: Path, profile: str = "pocket") -> int:
    """Build the site into `output`/html; returns the exit code of Jupyter Book."""
    lay_out(notebooks, output / "source", profile)
    program = Path(sys.executable).parent / "jupyter-book"
    command = [program, "build", output / "source", "--path-output", output]
    result = subprocess.run(
        [*command, "-W", "-n", "--keep-going", "--quiet"], capture_output=True, text=True
    )
    if result.returncode:
        print(result.stdout, result.stderr, file=sys.stderr)
        print("error: the site has warnings. Remedy: mend each one named above.", file=sys.stderr)
        return result.returncode
    shutil.rmtree(output / "html", ignore_errors=True)
    shutil.copytree(output / "_build" / "html", output / "html")
    # Sphinx copies these only when a page has changed too.
    static = output / "source" / "book" / "_static"
    shutil.copytree(static, output / "html" / "_static", dirs_exist_ok=True)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--notebooks", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--profile", default="pocket")
    arguments = parser.parse_args()
    return render(arguments.notebooks, arguments.output, arguments.profile)


if __name__ == "__main__":
    sys.exit(main())
