"""A styled table whose text is its caption: without one, a notebook would keep a memory address."""

from pandas.io.formats.style import Styler


class Page(Styler):
    """A `Styler` that is the same text in every run."""

    def __repr__(self) -> str:
        rows, columns = self.data.shape
        return self.caption or f"table of {rows} rows and {columns} columns"
