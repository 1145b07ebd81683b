"""Errors a person is meant to read: what is wrong, in which file, and what to do about it."""

from pathlib import Path


class SamnbError(Exception):
    """One readable line: what is wrong, then the remedy. The command line prints it bare."""

    def __init__(self, what: str, remedy: str = ""):
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what.rstrip('.')}. Remedy: {remedy}" if remedy else what)

    def __reduce__(self):
        # The default would call __init__ with the joined text when a worker process sends it home.
        return type(self), (self.what, self.remedy)


class DataError(SamnbError):
    """A fault in one file or folder; it never costs the other scans."""

    def __init__(self, file: Path | str, fault: str, remedy: str = ""):
        self.file = Path(file)
        self.fault = fault
        super().__init__(f"{file}: {fault}", remedy)

    def __reduce__(self):
        return type(self), (self.file, self.fault, self.remedy)


class LeakError(SamnbError):
    """One patient stands in two splits: every number computed from them would be wrong."""
