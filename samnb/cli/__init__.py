"""The command `samnb`: thin over the package; every command does one thing a chapter also can.

Only light modules are imported above: `samnb --help` must not wait for PyTorch.
"""

import json
import os
import sys
from typing import Annotated

import typer

from samnb.base.errors import SamnbError
from samnb.cli import certify as cli_certify
from samnb.cli import data as cli_data
from samnb.cli import run as cli_run
from samnb.cli import stock as cli_stock
from samnb.cli import weights as cli_weights
from samnb.cli.options import ProfileOption, StudyOption

HELP = """Annotation-efficient Segment Anything for medical images.

Start with [bold]samnb doctor[/bold]: it says what is here, what is missing, and what to do.

Exit codes: 0 all went well; 1 data or machine need mending; 2 mistyped; 3 a fault of samnb."""

app = typer.Typer(
    help=HELP,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(cli_data.app, name="data")
app.add_typer(cli_weights.app, name="weights")
app.command()(cli_run.run)
app.add_typer(cli_run.runs_app, name="runs")
app.command()(cli_certify.certify)
app.command()(cli_stock.stock_nnunet)


@app.callback()
def _every_command(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the full traceback of an error.")
    ] = False,
) -> None:
    os.environ["SAMNB_DEBUG"] = "1" if debug else os.environ.get("SAMNB_DEBUG", "")


@app.command("doctor")
def _doctor(
    profile: ProfileOption = "pocket",
    study: StudyOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Plain JSON, for programs.")] = False,
) -> None:
    """Say what is here, what is missing, and what to do about it.

    Looks at versions, processor or GPU, memory, disk, data and weights of the profile; changes
    nothing. Exit code 1 if something the profile needs is missing.

    Example: [cyan]samnb doctor --profile paper[/cyan]
    """
    from samnb.cli import doctor as examination
    from samnb.studies import load_profile

    chosen = load_profile(profile, study)
    findings = examination.examine(chosen)
    if as_json:
        print(json.dumps(examination.as_dict(findings, chosen), indent=1))
    else:
        _print_findings(findings, chosen.name)
    if any(finding.state == "bad" for finding in findings):
        raise typer.Exit(1)


def _print_findings(findings: list, profile: str) -> None:
    signs = {
        "good": "   [green]ok[/green]",
        "note": " [yellow]note[/yellow]",
        "bad": "[red]lacks[/red]",
    }
    console = _console()
    topic = ""
    for finding in findings:
        if finding.topic != topic:
            topic = finding.topic
            console.print(f"\n[bold]{topic}[/bold]" + (f" ({profile})" if topic == "data" else ""))
        console.print(f"  {signs[finding.state]}  {finding.name:<16} {finding.text}")
        if finding.remedy:
            console.print(f"  {'':5}  {'':<16} -> {finding.remedy}", style="dim")
    bad = sum(finding.state == "bad" for finding in findings)
    console.print(f"\n{bad} thing(s) to mend." if bad else "\nAll that is needed is here.")


def _console():
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


def main() -> None:
    """Run the command line; errors come as one readable line with the remedy, on stderr."""
    try:
        app()
    except SamnbError as error:
        _fail(error.what, error.remedy, 1, error)
    except OSError as error:
        remedy = "look at the disk space (`df -h`) and at who may write there (`ls -ld`)."
        _fail(f"{error.filename or 'system'}: {error.strerror or error}", remedy, 1, error)
    except Exception as error:
        remedy = "repeat with `samnb --debug ...` and report what it prints."
        _fail(f"a fault of samnb itself, {type(error).__name__}: {error}", remedy, 3, error)


def _fail(what: str, remedy: str, code: int, error: Exception) -> None:
    if os.environ.get("SAMNB_DEBUG"):
        raise error
    print(f"error: {what}" + (f"\nRemedy: {remedy}" if remedy else ""), file=sys.stderr)
    sys.exit(code)
