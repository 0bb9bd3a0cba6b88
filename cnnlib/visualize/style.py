"""Style transfer: the content of one image in the textures of another."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from cnnlib.checks import number
from cnnlib.inputs import Ascent, ascend
from cnnlib.visualize.layers import check, reading
from cnnlib.visualize.natural import Natural
from cnnlib.visualize.synthesis import relative_miss, some


def gram(planes: torch.Tensor) -> torch.Tensor:
    """Return how strongly the channels of (N, C, H, W) go together, (N, C, C): mean products over the positions.

    Where things are is lost, and what occurs together is kept: Gatys et al. (2016), section 2.2,
    https://doi.org/10.1109/CVPR.2016.265, who sum where this takes the mean, so that images of two sizes compare.

    >>> gram(torch.tensor([[[[1.0, 2.0]], [[0.0, 3.0]]]]))
    tensor([[[2.5000, 3.0000],
             [3.0000, 4.5000]]])
    """
    if not isinstance(planes, torch.Tensor) or planes.ndim != 4:
        found = tuple(planes.shape) if isinstance(planes, torch.Tensor) else repr(planes)
        raise ValueError(f"planes is {found}; expected (N, C, H, W)")
    flat = planes.flatten(2)
    return flat @ flat.mT / max(1, flat.shape[2])


def style_transfer(
    model: nn.Module,
    content: torch.Tensor,
    style: torch.Tensor,
    *,
    content_layer: str,
    style_layers: Sequence[str],
    style_weight: float = 1000.0,
    steps: int = 200,
    lr: float = 0.02,
) -> Ascent:
    """Return images that show what `content` (N, C, H, W) shows in the style of `style` (1, C, h, w), or (N, C, h, w).

    Gatys et al. (2016), section 2.3, https://doi.org/10.1109/CVPR.2016.265: one layer is to answer as to the content,
    and the Gram matrices of others are to be those of the style. Either miss is a squared distance relative to the
    squared length of what is wanted, so that networks compare; the mean over the style layers counts `style_weight`
    times. They minimise by L-BFGS from noise, and pool by means; here `Natural` steps begin at the content, pixels stay
    between 0 and 1, and the network is what it is. The history is minus the loss, and nothing is drawn. The model must
    take images of both sizes; the smaller the style, the finer are its textures.

    Raises ValueError for a style of another number of images or channels, style layers that do not put out
    (N, C, H, W), or none, layers that answer zero, a negative weight, and as `activations`.

    Drawn by `cnnlib.plotting.images.sheet`.

    >>> model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    >>> photo, canvas = torch.rand(1, 3, 8, 8), torch.rand(1, 3, 6, 6)
    >>> found = style_transfer(model, photo, canvas, content_layer="1", style_layers=["0"], steps=20)
    >>> bool(found.history[-1] > found.history[0])
    True
    """
    check(model, content)
    check(model, style)
    if len(style) not in {1, len(content)} or style.shape[1] != content.shape[1]:
        found, expected = tuple(style.shape), f"{content.shape[1]} channels, and one image or {len(content)}"
        raise ValueError(f"style is {found}; expected {expected}, as content has")
    if isinstance(style_layers, str) or not style_layers:
        raise ValueError(f"style_layers is {style_layers!r}; expected a list of at least one layer")
    if number("style_weight", style_weight) < 0:
        raise ValueError(f"style_weight is {style_weight}; expected a number of at least 0")
    with reading(model, content_layer, *style_layers) as read:
        with torch.no_grad():
            shown = some(read(content)[0], content_layer) if len(content) else content
            answers = zip(read(style)[1:], style_layers, strict=True)
            painted = [gram(some(_planes(answer, layer), layer)) for answer, layer in answers]

        def objective(x: torch.Tensor) -> torch.Tensor:
            shows, *paints = read(x)
            misses = [relative_miss(gram(a), b) for a, b in zip(paints, painted, strict=True)]
            return -relative_miss(shows, shown) - style_weight * torch.stack(misses).mean(0)

        return ascend(content, objective, step_rule=Natural(lr), project=lambda x: x.clamp(0, 1), steps=steps)


def _planes(answer: torch.Tensor, layer: str) -> torch.Tensor:
    if answer.ndim != 4:
        raise ValueError(f"layer is {layer!r}, which puts out {tuple(answer.shape)}; expected (N, C, H, W)")
    return answer
