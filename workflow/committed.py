"""What git knows of the checkout: its commit, and files as they were committed."""

import io
import subprocess
import tarfile

from samnb.paths import CHECKOUT


def commit(*options: str) -> str | None:
    """The commit in short; with "--dirty", marked if files differ from it. None outside of git."""
    described = _git("describe", "--always", "--exclude=*", "--abbrev=12", *options)
    return described.decode().strip() if described else None


def committed_texts(*folders: str) -> dict[str, str] | None:
    """Text files of the last commit below these folders, by path; None outside of git."""
    if (top := _git("rev-parse", "--show-prefix")) is None or top.strip():
        return None  # a copy that lies inside of another repository
    packed = _git("archive", "--format=tar", "HEAD", "--", *folders)
    if packed is None:
        return {}  # none of these folders is committed
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        return {
            each.name: archive.extractfile(each).read().decode()
            for each in archive
            if each.isfile() and each.name.endswith((".json", ".csv"))
        }


def _git(*arguments: str) -> bytes | None:
    try:
        asked = subprocess.run(
            ["git", "-C", str(CHECKOUT), *arguments], capture_output=True, check=False
        )
    except FileNotFoundError:
        return None
    return asked.stdout if asked.returncode == 0 else None
