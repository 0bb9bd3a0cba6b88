"""Which regions a class depends on: by the channels of a layer, or by hiding a part at a time.

Arguments are as in `cnnlib.visualize.gradients`; what comes back is a map of each image, (N, 1, H, W).
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from cnnlib.geometry import IntOrTuple, as_ints
from cnnlib.inputs.ascend import leaf
from cnnlib.visualize.gradients import as_baseline
from cnnlib.visualize.layers import check, logits_of, reading


def grad_cam(model: nn.Module, x: torch.Tensor, y: torch.Tensor, layer: str) -> torch.Tensor:
    """Return where a layer's channels speak for y: their sum, each weighted by its mean gradient; negatives are cut.

    Selvaraju et al. (2017), section 3, https://arxiv.org/abs/1610.02391. The map of the layer (N, C, h, w) is enlarged
    to the images linearly. ValueError for a layer that puts out anything else, or that y's logit does not depend on;
    for more see `activations`.

    Drawn by `cnnlib.plotting.inside.attributions`.
    """
    check(model, x, y)
    if not len(x):
        return x.new_zeros(0, 1, *x.shape[2:])
    with reading(model, layer, "") as read, torch.enable_grad():
        planes, logits = read(leaf(x))  # a model whose parameters are frozen needs it
        if planes.ndim != 4:
            raise ValueError(f"layer is {layer!r}, which puts out {tuple(planes.shape)}; expected (N, C, h, w)")
        score = logits_of(logits, y).sum()
        slopes = torch.autograd.grad(score, planes, allow_unused=True)[0] if score.requires_grad else None
    if slopes is None:
        raise ValueError(f"layer is {layer!r}, on which no logit depends; expected one on the way to them")
    map_ = (slopes.mean((2, 3), keepdim=True) * planes.detach()).sum(1, keepdim=True).relu()
    return F.interpolate(map_, x.shape[2:], mode="bilinear", align_corners=False)


def occlusion(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    window: IntOrTuple,
    stride: IntOrTuple = 1,
    baseline: float | torch.Tensor = 0.0,
) -> torch.Tensor:
    """Return by how much the logit of y falls when a window is hidden, for each pixel the mean over its windows.

    Zeiler and Fergus (2014), section 4.2, https://arxiv.org/abs/1311.2901, who hide with grey, `baseline=0.5`. A
    `window` (rows, columns) moves by `stride`; the last along an axis ends at the border, smaller where the strides do
    not fit. The model is asked once and then for each window. ValueError for a window larger than the image, a stride
    larger than the window, and a baseline that does not go with x.

    Drawn by `cnnlib.plotting.inside.attributions`.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False))
    >>> x, y = torch.rand(1, 1, 2, 2), torch.tensor([1])
    >>> torch.allclose(occlusion(model, x, y, window=1).flatten(), (x.flatten() * model[1].weight[1]), atol=1e-6)
    True
    """
    check(model, x, y)
    hidden, size = as_baseline(baseline, x), tuple(x.shape[2:])
    windows, strides = as_ints("window", window, 2, 1), as_ints("stride", stride, 2, 1)
    if any(of > whole for of, whole in zip(windows, size, strict=True)):
        raise ValueError(f"window is {windows}; expected at most the {size} of the images")
    if any(step > of for step, of in zip(strides, windows, strict=True)):
        raise ValueError(f"stride is {strides}; expected at most the window {windows}, so that no pixel is left out")
    total, count = x.new_zeros(len(x), 1, *size), x.new_zeros(1, 1, *size)
    if not len(x):
        return total
    corners = [range(0, n - of + step, step) for n, of, step in zip(size, windows, strides, strict=True)]
    with reading(model, "") as read, torch.no_grad():
        whole = logits_of(read(x)[0], y)
        for left in corners[1]:
            for top in corners[0]:
                part = (..., slice(top, top + windows[0]), slice(left, left + windows[1]))
                covered = x.clone()
                covered[part] = hidden[part]
                total[part] += (whole - logits_of(read(covered)[0], y)).view(-1, 1, 1, 1)
                count[part] += 1
    return total / count
