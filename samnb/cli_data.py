"""`samnb data …`: stand-in until its parts are there."""

import typer

app = typer.Typer(
    help="Phantoms, downloads, checks, and slices ready for training.", no_args_is_help=True
)


@app.callback()
def f():
    pass
