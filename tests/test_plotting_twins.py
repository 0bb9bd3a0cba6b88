"""Whoever has computed something finds what draws it."""

import importlib
import re

import pytest

from cnnlib import attacks, defend, plotting, visualize

HELPERS = {"activations", "filter_direction", "gram", "rank_correlation"}  # a part of something else, or numbers
FUNCTIONS = sorted(name for name in visualize.__all__ if name[0].islower() and name not in HELPERS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_visualisation_says_what_draws_it(name):
    ((module, function),) = re.findall(r"Drawn by `cnnlib\.plotting\.(\w+)\.(\w+)`", getattr(visualize, name).__doc__)
    assert callable(getattr(importlib.import_module(f"cnnlib.plotting.{module}"), function))
    assert re.search(rf"`(visualize\.)?{name}`", plotting.__doc__)


def test_the_list_of_drawings_names_what_there_is():
    found = re.findall(r"`(images|inside|lines|landscapes|attacks|robustness|seeds)\.(\w+)", plotting.__doc__)
    assert len(found) > 20
    for module, function in found:
        here = importlib.import_module(f"cnnlib.plotting.{module}")
        assert hasattr(here, function) or (module == "attacks" and hasattr(attacks, function)), (module, function)


@pytest.mark.parametrize("name", ["Result", "universal", "patch", "fooling_by_ascent", "fool_linear", "survival"])
def test_the_list_names_what_attacks_return(name):
    assert name in plotting.__doc__
    assert name == "Result" or hasattr(attacks, name)


@pytest.mark.parametrize("name", ["diagnose", "certify"])
def test_the_list_names_what_defences_return(name):
    assert f"`defend.{name}`" in plotting.__doc__
    assert hasattr(defend, name)
