"""Which tests need MNIST and CIFAR-10 themselves."""

import os

import pytest

from cnnlib.data.lookup import PUBLISHED

ROOT = os.environ.get("CNNLIB_DATA", "")
here = pytest.mark.skipif(
    not all(os.path.isfile(os.path.join(ROOT, name)) for name in PUBLISHED), reason="CNNLIB_DATA holds no data sets"
)
