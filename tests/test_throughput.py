"""The benchmark of whole networks: every way is measured in the mode that it names, against the processor's float32."""

import pytest
import torch
from torch import nn

from benchmarks import throughput


@pytest.fixture
def flags():
    """Let the flags that the benchmark sets be as they were afterwards."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    found = cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32
    yield
    cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32 = found


def test_a_network_is_measured_in_use_and_in_training(flags, monkeypatch):
    modes = []

    class Noted(nn.Sequential):
        def forward(self, x):
            modes.append((self.training, torch.is_grad_enabled(), len(x)))
            return super().forward(x)

    networks = {"small": (lambda: Noted(nn.Flatten(), nn.Linear(4, 2)), (1, 2, 2), 3, 3)}
    monkeypatch.setattr(throughput, "NETWORKS", networks)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    rows = list(throughput.measure(runs=2))
    assert [(row["use"], row["precision"]) for row in rows] == [
        (use, precision) for precision in ("float32", "bfloat16") for use in ("in use", "training")
    ]
    assert modes == 2 * [*4 * [(False, False, 3)], *4 * [(True, True, 3)]]  # two calls of four do not count
    assert [row["speedup"] for row in rows[:2]] == ["1", "1"]
    for row, base in zip(rows[2:], rows[:2], strict=True):
        ratio = float(row["images_per_second"]) / float(base["images_per_second"])
        assert float(row["speedup"]) == pytest.approx(ratio, rel=2e-3)
