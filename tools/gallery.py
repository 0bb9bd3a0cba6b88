"""Draw the gallery: ``python -m tools.gallery [name …]`` makes the pictures of ``book/input_gallery.md``, or some.

Each is computed on the shipped networks, MNIST's and CIFAR-10's test images under ``CNNLIB_DATA``, digits and
photographs that come along. A picture says in its description what made it: the networks with the checksums of their
weights, the command, torch's version, the date and seconds. All take two minutes of one thread.
"""

from __future__ import annotations

import datetime
import json
import sys
import time
import zlib
from collections.abc import Callable
from importlib.metadata import version

from matplotlib.figure import Figure

from cnnlib import weights
from cnnlib.plotting.base import DPI
from tools import gallery_attacks, gallery_inside
from tools.book import ROOT

PAGE = ROOT / "book" / "input_gallery.md"
PICTURES = ROOT / "book" / "_static"
DIGITS, LENET, RESNET = "digits_cnn_digits", "lenet5_mnist", "resnet20_cifar10"
DRAWN: dict[Callable[..., Figure], tuple[str, ...]] = {  # what draws a picture of its name, and the networks in it
    gallery_attacks.closed_form: (),
    gallery_attacks.one_step: (LENET,),
    gallery_attacks.nearest: (RESNET,),
    gallery_attacks.hardened: (LENET, "wong_kolter_mnist_robust"),
    gallery_attacks.one_pixel: (DIGITS,),
    gallery_attacks.one_for_all: (LENET,),
    gallery_attacks.evolved: (LENET,),
    gallery_attacks.climbed: (LENET,),
    gallery_attacks.views: (LENET,),
    gallery_attacks.printed: (LENET,),
    gallery_inside.filters: (RESNET,),
    gallery_inside.top_patches: (RESNET,),
    gallery_inside.pooled_patches: (LENET,),
    gallery_inside.channels: (RESNET,),
    gallery_inside.classes: (RESNET,),
    gallery_inside.attributions: (RESNET,),
    gallery_inside.inverted: (RESNET,),
    gallery_inside.dream: (RESNET,),
    gallery_inside.style: (RESNET,),
    gallery_inside.nearest_in_features: (LENET,),
    gallery_inside.probes: (LENET,),
}


def checksums(networks: tuple[str, ...]) -> dict[str, str]:
    """Return what tells the weights of shipped networks from others.

    >>> checksums(())
    {}
    """
    return {name: f"{zlib.crc32((weights.SHIPPED / f'{name}.npz').read_bytes()):08x}" for name in networks}


def write(draw: Callable[..., Figure], networks: tuple[str, ...]) -> None:
    """Draw one picture into the book."""
    start = time.process_time()
    drawn = draw(*(weights.load(name) for name in networks))
    made = {
        "command": f"python -m tools.gallery {draw.__name__}",
        "weights": checksums(networks),
        "torch": version("torch"),
        "date": datetime.date.today().isoformat(),
        "seconds": round(time.process_time() - start),
    }
    path = PICTURES / f"gallery-{draw.__name__}.png"
    drawn.savefig(path, dpi=DPI, metadata={"Software": None, "Description": json.dumps(made)})
    print(path.name, made["seconds"], "s")


def main(names: list[str]) -> None:
    """Draw the pictures of these names, or all."""
    known = {draw.__name__: draw for draw in DRAWN}
    for name in names:
        if name not in known:
            raise SystemExit(f"name is {name!r}; expected some of {', '.join(known)}")
    for name in names or known:
        write(known[name], DRAWN[known[name]])


if __name__ == "__main__":
    main(sys.argv[1:])
