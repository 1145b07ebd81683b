"""A styled table whose text is its caption: without one, a notebook would keep a memory address."""

from pandas.io.formats.style import Styler


class Page(Styler):
    """A `Styler` that is the same text in every run."""

    def __init__(self, *parts, **options):
        super().__init__(*parts, **options)
        # The site's theme puts a light ground behind every other table on dark pages.
        self.set_table_attributes('class="dataframe"')

    def __repr__(self) -> str:
        rows, columns = self.data.shape
        return self.caption or f"table of {rows} rows and {columns} columns"
