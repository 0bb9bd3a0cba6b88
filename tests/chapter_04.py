"""What the tests of the chapter on convolution arithmetic share: its cells, its functions, the slides' arrays."""

import ast
from pathlib import Path

import jupytext
import numpy as np
import torch
import torch.nn.functional as F

from cnnlib.ops_numpy import conv2d
from cnnlib.shapes import conv_output_size

SOURCE = Path(__file__).parent.parent / "book" / "chapters" / "04_convolution_arithmetic.md"

IMAGE = np.array(
    [
        [1, 0, 0, 0, 0, 1],
        [0, 1, 0, 0, 1, 0],
        [0, 0, 1, 1, 0, 0],
        [1, 0, 0, 0, 1, 0],
        [0, 1, 0, 0, 1, 0],
        [0, 0, 1, 0, 1, 0],
    ],
    float,
)
DIAGONAL = np.array([[1, -1, -1], [-1, 1, -1], [-1, -1, 1]], float)
LAPLACIAN = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]], float)
NUMBERS = np.arange(1.0, 10).reshape(3, 3)


def cells():
    """The sources of the chapter's code cells."""
    return [cell.source for cell in jupytext.read(SOURCE, fmt="md:myst").cells if cell.cell_type == "code"]


def functions():
    """The functions that the chapter defines in its cells, without running the rest."""
    trees = [ast.parse(source) for source in cells() if "%pip" not in source]
    definitions = [node for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)]
    space = {
        "np": np,
        "torch": torch,
        "F": F,
        "conv2d": conv2d,
        "conv_output_size": conv_output_size,
        "device": "cpu",
    }
    exec(compile(ast.Module(definitions, []), str(SOURCE), "exec"), space)
    return space


def one_channel(image, kernel, **options):
    return conv2d(image[None, None], kernel[None, None], **options)[0, 0]


def rng():
    return np.random.default_rng(0)
