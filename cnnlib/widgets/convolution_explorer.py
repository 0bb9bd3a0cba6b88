"""The convolution explorer: edit an input and a kernel, and watch every number of the output being made."""

from pathlib import Path

from numpy.typing import ArrayLike

from cnnlib.testing import DECK_FILTER, DECK_IMAGE
from cnnlib.widgets.base import Choice, HybridWidget, Matrix, Whole


class ConvolutionExplorer(HybridWidget):
    """An interactive two-dimensional convolution (cross-correlation, as frameworks have it) of one channel.

    Takes `x` (H, W) with at most 12 rows and columns and `weight` (kh, kw) with at most 7, both matrices of finite
    numbers; `stride` 1–4, `padding` 0–3 zeros on every side, `dilation` 1–3; and `mode`, ``"correlation"`` or
    ``"convolution"`` (the kernel turned by 180°). A kernel larger than the padded input is allowed: the widget says why
    it has no output. Every property may be set later, and follows what the reader edits.

    Raises ValueError, naming the argument, its value and what was expected.

    >>> explorer = ConvolutionExplorer([[1, 0], [0, 1]], [[1, 2]], stride=2)
    >>> explorer
    ConvolutionExplorer(x=[[1, 0], [0, 1]], weight=[[1, 2]], stride=2, padding=0, dilation=1, mode='correlation')
    """

    _esm = Path(__file__).with_suffix(".js")
    _element = "cnn-convolution-explorer"
    _props = ("x", "weight", "stride", "padding", "dilation", "mode")
    _fallback = (
        "Convolution explorer: an input, a kernel and their output as grids of numbers. It runs on the course's site, "
        "and in a notebook when this cell is run."
    )

    x = Matrix(help="input (H, W)").tag(sync=True)
    weight = Matrix(max_side=7, help="kernel (kh, kw)").tag(sync=True)
    stride = Whole(1, 4).tag(sync=True)
    padding = Whole(0, 3).tag(sync=True)
    dilation = Whole(1, 3).tag(sync=True)
    mode = Choice("correlation", "convolution").tag(sync=True)

    def __init__(
        self,
        x: ArrayLike = DECK_IMAGE,
        weight: ArrayLike = DECK_FILTER,
        *,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        mode: str = "correlation",
    ) -> None:
        super().__init__(x=x, weight=weight, stride=stride, padding=padding, dilation=dilation, mode=mode)
