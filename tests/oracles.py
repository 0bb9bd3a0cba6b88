"""Other people's libraries, which ours is compared with where they are installed."""

import warnings

import pytest


def oracle(name):
    """Import another library, whose own warnings are none of ours; without it the test is skipped."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name)
