"""The two packages of operators have the same names, signatures and files; the `test_twins_*` files compare values."""

from __future__ import annotations

import inspect

from cnnlib import ops_numpy, ops_torch


def public(module):
    return {name: getattr(module, name) for name in module.__all__ if not name.endswith("_naive")}


def test_names_and_signatures_are_the_same():
    ours, theirs = public(ops_numpy), public(ops_torch)
    assert ours.keys() == theirs.keys()
    for name, function in ours.items():
        mine, other = inspect.signature(function), inspect.signature(theirs[name])
        described = [[(p.name, p.kind, p.default) for p in s.parameters.values()] for s in (mine, other)]
        assert described[0] == described[1], name


def test_files_and_their_order_are_the_same():
    files = [in_order(ops) for ops in (ops_numpy, ops_torch)]
    assert files[0] == files[1]


def in_order(ops):
    """Return file → names of its public functions, from the top to the bottom."""
    found = {}
    for name, function in sorted(public(ops).items(), key=lambda item: inspect.getsourcelines(item[1])[1]):
        found.setdefault(function.__module__.split(".")[-1], []).append(name)
    return found


def test_every_operator_has_its_backward():
    names = set(public(ops_numpy)) - {"conv2d_matrix"}
    assert {f"{n}_backward" for n in names if not n.endswith("_backward")} == {
        n for n in names if n.endswith("_backward")
    }
