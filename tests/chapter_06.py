"""What the tests of the chapter on back-propagation share: the functions that its cells define."""

import ast
from pathlib import Path

import jupytext
import numpy as np
import torch
import torch.nn.functional as F

from cnnlib import nn_numpy, ops_torch
from cnnlib.data import digits, split
from cnnlib.ops_numpy import conv2d
from cnnlib.testing import adjoint_gap

SOURCE = Path(__file__).parent.parent / "book" / "chapters" / "06_backpropagation.md"
TEACHING = (ast.FunctionDef, ast.ClassDef)


def functions():
    """The functions, classes and small constants that the chapter defines in its cells, without running the rest."""
    cells = [cell.source for cell in jupytext.read(SOURCE, fmt="md:myst").cells if cell.cell_type == "code"]
    nodes = [node for source in cells if "%pip" not in source for node in ast.parse(source).body]
    kept = [node for node in nodes if isinstance(node, TEACHING) or _defines(node, "SHAPES")]
    images, labels = digits()
    space = {
        "np": np,
        "torch": torch,
        "F": F,
        "conv2d": conv2d,
        "adjoint_gap": adjoint_gap,
        "ops_torch": ops_torch,
        "device": "cpu",
        "labels": labels,
        "split": split,
        "batches": nn_numpy.batches,
        "he_normal": nn_numpy.he_normal,
        "X": torch.tensor(images[:, None]),
        "T": torch.tensor(labels),
    }
    exec(compile(ast.Module(kept, []), str(SOURCE), "exec"), space)
    return space


def _defines(node, name):
    return isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets)
