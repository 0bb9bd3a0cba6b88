"""Images that come with the package: nothing is downloaded.

`cnnlib/assets/LICENCES.md` says where each is from and under what licence.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

ASSETS = Path(__file__).parents[1] / "assets"
PHOTOS = ("astronaut", "chelsea", "china", "coffee", "flower", "rocket")


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return the 1,797 handwritten digits: images (1797, 8, 8) from 0 to 1, labels (1797,) from 0 to 9.

    Each pixel counts the ink in a block of 4 × 4 of the scanned bitmap, 0 to 16, here divided by 16. Images are
    float64, labels int64. Alpaydin and Kaynak (1998), test set of https://doi.org/10.24432/C50P49.

    >>> images, labels = digits()
    >>> images.shape, labels[:5]
    ((1797, 8, 8), array([0, 1, 2, 3, 4]))
    """
    with np.load(ASSETS / "digits.npz") as stored:
        return stored["images"] / 16.0, stored["labels"].astype(np.int64)


def split(labels: np.ndarray, held_out: float, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return shuffled indices (training, held out) in which every class is held out in the same proportion.

    labels (N,) of integers. Raises ValueError for others, and unless `held_out` lies between 0 and 1.

    >>> train, test = split(np.array([0, 0, 0, 0, 1, 1]), 0.5, np.random.default_rng(0))
    >>> len(train), len(test)
    (3, 3)
    """
    if not isinstance(labels, np.ndarray) or labels.ndim != 1 or labels.dtype.kind not in "iu" or not labels.size:
        found = f"{labels.dtype} {labels.shape}" if isinstance(labels, np.ndarray) else type(labels).__name__
        raise ValueError(f"labels is {found}; expected integers of shape (N,)")
    if not isinstance(held_out, float) or not 0 < held_out < 1:
        raise ValueError(f"held_out is {held_out!r}; expected a fraction between 0 and 1")
    kept, out = [], []
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        cut = round(held_out * len(members))
        out.append(members[:cut])
        kept.append(members[cut:])
    return generator.permutation(np.concatenate(kept)), generator.permutation(np.concatenate(out))


def photo(name: str) -> np.ndarray:
    """Return a photograph, (H, W, 3), RGB, float64 from 0 to 1.

    "astronaut" is Eileen Collins, "chelsea" a cat, "china" a pagoda, "coffee" a cup of espresso, "flower" a dahlia and
    "rocket" a Falcon 9 at dusk. All but the first, which is square, are wider than high; the longer side has 256 to 320
    pixels. Raises ValueError for another name.

    >>> photo("chelsea").shape
    (200, 300, 3)
    """
    if name not in PHOTOS:
        raise ValueError(f"name is {name!r}; expected one of {', '.join(map(repr, PHOTOS))}")
    with np.load(ASSETS / f"{name}.npz") as stored:
        return stored["image"] / 255.0


def photos() -> dict[str, np.ndarray]:
    """Return all the photographs by name, each as `photo` does.

    >>> list(photos())
    ['astronaut', 'chelsea', 'china', 'coffee', 'flower', 'rocket']
    """
    return {name: photo(name) for name in PHOTOS}
