"""Measure images a second of whole networks: ``python -m benchmarks.throughput [--json FILE] [--runs 5]``.

LeNet-5, AlexNet (one tower), VGG-16 and ResNet-50 (v1), in use and in training (forward, backward, a step of SGD), on
one thread of the processor and, where there is a CUDA GPU, on it: float32, tf32, bfloat16, and compiled in bfloat16.
The decks say that a GPU made AlexNet 50 times as fast; `speedup` is against the processor's float32 here, of one
thread and small batches; all cores of a processor would narrow it. Medians of `runs` calls by the clock, after two that
do not count. Results: ``benchmarks/results/throughput.csv``.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import nn

from benchmarks.harness import Row, main
from cnnlib.evaluate import autocast
from cnnlib.models import alexnet_one_tower, lenet5, resnet50, vgg16

NETWORKS = {
    "LeNet-5": (lenet5, (1, 28, 28), 256, 4096),
    "AlexNet": (alexnet_one_tower, (3, 227, 227), 16, 512),
    "VGG-16": (vgg16, (3, 224, 224), 2, 64),
    "ResNet-50": (resnet50, (3, 224, 224), 4, 128),
}  # constructor, image, images in a batch on the processor, and on a GPU


class Way(NamedTuple):
    """Where and how a network computes."""

    device: str
    precision: str
    compiled: bool


PROCESSOR = [Way("cpu", "float32", False), Way("cpu", "bfloat16", False)]
GPU = [
    Way("cuda", "float32", False),
    Way("cuda", "tf32", False),
    Way("cuda", "bfloat16", False),
    Way("cuda", "bfloat16", True),
]


def calls(model: nn.Module, x: torch.Tensor, way: Way) -> dict[str, Callable[[], object]]:
    """Return a call that answers, and one that takes a step of training; the model is to be in its mode before."""
    target = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-9)
    network = torch.compile(model) if way.compiled else model
    precision = "bfloat16" if way.precision == "bfloat16" else "float32"

    def answer() -> None:
        with torch.no_grad(), autocast(x.device, precision):
            network(x)

    def step() -> None:
        with autocast(x.device, precision):
            loss = nn.functional.cross_entropy(network(x).float(), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return {"in use": answer, "training": step}


def seconds(call: Callable[[], object], device: str, runs: int) -> float:
    """Return the median time of a call."""
    times = []
    for run in range(runs + 2):
        if device == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        call()
        if device == "cuda":
            torch.cuda.synchronize()
        if run >= 2:
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def measure(runs: int) -> Iterator[Row]:
    """Yield one row for each network, way and use."""
    torch.backends.cudnn.benchmark = True
    ways = PROCESSOR + (GPU if torch.cuda.is_available() else [])
    for name, (constructor, shape, small, large) in NETWORKS.items():
        base: dict[str, float] = {}
        for way in ways:
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = way.precision == "tf32"
            batch = small if way.device == "cpu" else large
            model = constructor().to(way.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            x = torch.rand(batch, *shape, device=way.device).contiguous(memory_format=torch.channels_last)
            for use, call in calls(model, x, way).items():
                model.train(use == "training")
                rate = batch / seconds(call, way.device, runs)
                yield {
                    "network": name,
                    "use": use,
                    "device": torch.cuda.get_device_name() if way.device == "cuda" else "one thread",
                    "precision": way.precision,
                    "compiled": way.compiled,
                    "batch": batch,
                    "images_per_second": f"{rate:.4g}",
                    "speedup": f"{rate / base.setdefault(use, rate):.4g}",
                }


if __name__ == "__main__":
    main(__doc__, "throughput", measure)
