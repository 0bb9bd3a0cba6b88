"""The book's drawings: `base` holds what all share, each other file the figures of one subject."""

from cnnlib.plotting.base import COLOURS, figure, grid, new

__all__ = ["COLOURS", "figure", "grid", "new"]
