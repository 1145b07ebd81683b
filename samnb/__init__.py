"""samnb: annotation-efficient Segment Anything for medical images."""

from importlib.metadata import version

__version__ = version("samnb")
