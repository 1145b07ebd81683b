"""What git knows of the checkout: its commit, and whether the code is as committed."""

import subprocess

from samnb.base.errors import SamnbError
from samnb.base.paths import CHECKOUT, results_root

CODE = ("samnb", "requirements.lock")  # what results come from; notebooks and results do not count


def git(*arguments: str) -> bytes | None:
    """What a git command prints; None where there is no git, or it fails."""
    try:
        asked = subprocess.run(
            ["git", "-C", str(CHECKOUT), *arguments], capture_output=True, check=False
        )
    except FileNotFoundError:
        return None
    return asked.stdout if asked.returncode == 0 else None


def commit() -> str | None:
    """The commit in short, with "-dirty" if the code differs from it; None outside of git."""
    described = git("describe", "--always", "--exclude=*", "--abbrev=12")
    if not described:
        return None
    return described.decode().strip() + ("-dirty" if changed_code() else "")


def changed_code() -> list[str]:
    """Files of the code that are not as committed."""
    said = git("status", "--porcelain", "--untracked-files=all", "--", *CODE) or b""
    return [line[3:] for line in said.decode().splitlines()]


def require_committed_code() -> None:
    """Refuse to write into the checkout's own results what no commit can give again."""
    if results_root() == CHECKOUT / "results" and (changed := changed_code()):
        more = f" and {len(changed) - 1} more" if changed[1:] else ""
        raise SamnbError(
            f"{changed[0]}{more} is not as committed, so no record is written into results/.",
            "commit it first, or send records elsewhere: export SAMNB_RESULTS=/path.",
        )
