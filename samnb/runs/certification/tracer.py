"""Which lines of the package a piece of work executes."""

import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import CO_OPTIMIZED
from pathlib import Path
from types import CodeType, FrameType
from typing import Any


class LineTracer:
    """Notes executed lines of files below `root`, by file, until it is stopped.

    Lines of module and class bodies run once in a process, at import; they are kept apart, since
    whoever comes later needs them too.
    """

    def __init__(self, root: Path):
        self.root = f"{root.resolve()}/"
        self.at_import: dict[str, set[int]] = defaultdict(set)
        self.executed: dict[str, set[int]] = defaultdict(set)
        self._left: dict[CodeType, set[int]] = {}  # lines of a function not seen yet

    def start(self) -> None:
        threading.settrace(self._call)
        sys.settrace(self._call)

    def stop(self) -> None:
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]

    @contextmanager
    def noting(self) -> Iterator[dict[str, set[int]]]:
        """Only what runs inside the block, with all that ran at import until its end."""
        self.executed.clear()
        self._left.clear()
        seen: dict[str, set[int]] = {}
        try:
            yield seen
        finally:
            for file in {*self.executed, *self.at_import}:
                lines = self.executed.get(file, set()) | self.at_import.get(file, set())
                seen[file.removeprefix(self.root)] = lines

    def _call(self, frame: FrameType, event: str, argument: Any) -> Any:
        code = frame.f_code
        if not code.co_filename.startswith(self.root):
            return None
        if not code.co_flags & CO_OPTIMIZED:
            kept = self.at_import[code.co_filename]
            return self._noter(kept, None, frame)
        left = self._left.setdefault(code, {line for _, _, line in code.co_lines() if line})
        if not left:
            return None  # nothing new can happen here, so nothing is slowed down
        return self._noter(self.executed[code.co_filename], left, frame)

    @staticmethod
    def _noter(kept: set[int], left: set[int] | None, frame: FrameType) -> Any:
        kept.add(frame.f_lineno)
        if left is not None:
            left.discard(frame.f_lineno)

        def line(frame: FrameType, event: str, argument: Any) -> Any:
            if event == "line":
                kept.add(frame.f_lineno)
                if left is not None:
                    left.discard(frame.f_lineno)
            return line

        return line
