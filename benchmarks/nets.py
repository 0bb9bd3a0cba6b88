"""Measure whole training steps against torch: ``python -m benchmarks.nets [--json FILE] [--runs 5]``.

A step is forward, cross-entropy, backward and SGD with momentum on a batch of 64, float32, one thread. Torch trains its
own layers with autograd in the faster of its two memory layouts; ours is `cnnlib.nn_numpy`. Memory is what a step in a
fresh child needs above inputs, parameters and libraries. Results: ``benchmarks/results/nets.csv``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.harness import Row, main, peak_mib, ratio, run_child
from cnnlib import nn_numpy

BATCH = 64
SIZES = {"lenet5": (1, 28, 28), "resnet20": (3, 32, 32)}
LR, MOMENTUM, WEIGHT_DECAY = 0.05, 0.9, 5e-4


def batch(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return images and labels of a batch that is the same on every run."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(BATCH, *SIZES[name])).astype(np.float32)
    return x, generator.integers(0, 10, BATCH)


def our_step(name: str) -> Callable[[], float]:
    """Return a training step of the network in NumPy."""
    model = getattr(nn_numpy, name)(np.random.default_rng(1)).astype("float32")
    optimiser = nn_numpy.SGD(model, lr=LR, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
    x, target = batch(name)
    return lambda: nn_numpy.train_step(model, optimiser, x, target)


def torch_step(name: str, *, channels_last: bool) -> Callable[[], float]:
    """Return a training step of the same network made of torch's own layers."""
    import torch

    from benchmarks import torch_nets

    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = getattr(torch_nets, name)()
    for parameter in model.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=layout)
    images, labels = batch(name)
    x, target = torch.from_numpy(images).contiguous(memory_format=layout), torch.from_numpy(labels)
    optimiser = torch.optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)

    def step() -> float:
        loss = torch.nn.functional.cross_entropy(model(x), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss.item()

    return step


def measure(runs: int) -> Iterator[Row]:
    """Yield one row for each network."""
    for name in SIZES:
        peers = [torch_step(name, channels_last=last) for last in (False, True)]
        faster, milliseconds = ratio(our_step(name), peers, runs)
        ours = float(run_child("benchmarks.nets", "--peak", name, "ours", capture=True))
        theirs = min(
            float(run_child("benchmarks.nets", "--peak", name, layout, capture=True)) for layout in ("nchw", "nhwc")
        )
        yield {
            "shape": f"{name} batch {BATCH}",
            "direction": "step",
            "algorithm": "nn_numpy",
            "ratio": round(faster, 3),
            "milliseconds": round(milliseconds, 2),
            "peak_mib": round(ours, 1),
            "torch_peak_mib": round(theirs, 1),
        }


def print_peak(name: str, whose: str) -> None:
    """Print the memory that a second step needs; the first has loaded what the libraries load."""
    small = our_step(name) if whose == "ours" else torch_step(name, channels_last=whose == "nhwc")

    def step() -> list[int]:
        small()
        return []

    print(peak_mib(step))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peak"]:
        print_peak(*sys.argv[2:])
    else:
        main(__doc__, "nets", measure)
