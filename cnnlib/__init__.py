"""Convolutional neural networks in plain loops, in NumPy and in PyTorch.

Every number, figure and interactive of the course is computed here. Importing the package loads nothing
heavy: torch is imported by `cnnlib.ops_torch` and `cnnlib.nn_torch` alone.
"""

__version__ = "0.1.0"
