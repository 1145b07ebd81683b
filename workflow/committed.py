"""Results as they were committed."""

import io
import tarfile

from samnb.base.checkout import git


def committed_texts(*folders: str) -> dict[str, str] | None:
    """Text files of the last commit below these folders, by path; None outside of git."""
    if (top := git("rev-parse", "--show-prefix")) is None or top.strip():
        return None  # a copy that lies inside of another repository
    found: dict[str, str] = {}
    for folder in folders:  # one by one: git packs nothing if one of them is not committed
        packed = git("archive", "--format=tar", "HEAD", "--", folder)
        found |= {} if packed is None else _texts(packed)
    return found


def _texts(packed: bytes) -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        return {
            each.name: archive.extractfile(each).read().decode()
            for each in archive
            if each.isfile() and each.name.endswith((".json", ".csv"))
        }
