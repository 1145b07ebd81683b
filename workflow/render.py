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
from parts import MATHJAX, figure, scripts

CHECKOUT = Path(__file__).resolve().parent.parent


def lay_out(notebooks: Path, source: Path, profile: str) -> None:
    """Copy what the site is made of into `source`, keeping file times for incremental builds."""
    shutil.copytree(
        CHECKOUT / "book",
        source / "book",
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns(
            "*.ipynb", "*.py", "next", "__pycache__", ".ipynb_checkpoints"
        ),
    )
    for stale in source.glob("book/*.ipynb"):
        stale.unlink()
    for notebook in notebooks.glob("[0-9]*.ipynb"):
        shutil.copy2(notebook, source / "book" / notebook.name)
    # Chapters show pieces of the package's source as it is.
    for shown in (*CHECKOUT.glob("samnb/**/*.py"), *CHECKOUT.glob("samnb/**/*.yaml")):
        copy = source / shown.relative_to(CHECKOUT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(shown, copy)
    shutil.copy2(CHECKOUT / "_toc.yml", source / "_toc.yml")
    static = source / "book" / "_static"
    shutil.copytree(figure(profile), static / "try_it", dirs_exist_ok=True)
    if fetched := scripts():
        shutil.copytree(fetched, static / "npm", dirs_exist_ok=True)
    config = _config(own_mathjax=bool(fetched))
    (source / "_config.yml").write_text(config, encoding="utf-8")


def _config(own_mathjax: bool) -> str:
    """`_config.yml`, with what only the build knows: repository, scripts that the site serves."""
    config = yaml.safe_load((CHECKOUT / "_config.yml").read_text(encoding="utf-8"))
    if own_mathjax:
        config["sphinx"]["config"]["mathjax_path"] = MATHJAX
    if repository := os.environ.get("GITHUB_REPOSITORY"):
        server = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
        config["repository"] = {"url": f"{server}/{repository}", "branch": "main"}
        config["html"] |= {"use_repository_button": True, "use_issues_button": True}
        config["launch_buttons"] = {
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
