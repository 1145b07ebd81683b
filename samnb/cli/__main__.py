"""`python -m samnb.cli`: the command, where no script is installed."""

from samnb.cli import main

main()
