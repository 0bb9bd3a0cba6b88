"""Interactive pictures: one Python class and one script each, for notebooks and for the site."""

from cnnlib.widgets.backward_explorer import BackwardExplorer
from cnnlib.widgets.convolution_explorer import ConvolutionExplorer

__all__ = ["BackwardExplorer", "ConvolutionExplorer"]
