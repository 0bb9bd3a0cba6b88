"""Vision transformers: an image is cut into patches, and every patch asks all others.

Dosovitskiy et al. (2021), sections 3.1 and 4.1, https://arxiv.org/abs/2010.11929: each patch becomes a token by one
linear map, a convolution whose stride is its kernel; a learned class token goes before them and a learned embedding of
the position is added; blocks of attention and of two linear layers, each behind a layer norm and beside a shortcut;
the class token, normalised, is classified by a linear layer, as in the paper's fine-tuning.

Deviations: no dropout (the paper has 0.1 on ImageNet and ImageNet-21k, table 3), and no hidden layer in the head, which
the paper has in pre-training only. What the paper's text leaves open is as in its code: an ε of 1e-6 in layer norms,
Xavier's uniform weights (Glorot and Bengio, 2010) in attention and the two linear layers, positions from N(0, 0.02²),
the class token zero. Unlike there, the patches' map has Xavier's weights too (LeCun's there), the last layer is drawn
(zero there), biases of the two linear layers begin at zero (N(0, 10⁻¹²) there), and GELU is the exact one (its
approximation by tanh there): Hendrycks and Gimpel (2016), https://arxiv.org/abs/1606.08415.
"""

from __future__ import annotations

from functools import partial
from math import sqrt

import torch
from torch import Tensor, nn

from cnnlib.geometry import IntOrTuple, as_int, as_ints
from cnnlib.models.building import takes_images
from cnnlib.models.seeding import seeded


class Attention(nn.Module):
    """Self-attention in `heads` slices of the features: x (N, L, in_dim) → (N, L, dim).

    softmax(Q Kᵀ / √d) V with d = dim / heads: without the root, the scores of long vectors are far apart, and the
    softmax is nearly a choice. Nothing is kept: `weights` gives the weights for an x. The weights of `qkv` and `out`
    are those of `ops_numpy.multi_head_attention`. Vaswani et al. (2017), section 3.2, https://arxiv.org/abs/1706.03762.

    Raises ValueError unless `heads` divides `dim`.

    >>> Attention(8, 8, heads=2).weights(torch.zeros(1, 4, 8))[0, 0, 0]
    tensor([0.2500, 0.2500, 0.2500, 0.2500], grad_fn=<SelectBackward0>)
    """

    def __init__(self, in_dim: int, dim: int, *, heads: int) -> None:
        super().__init__()
        dim, self.heads = as_int("dim", dim, 1), as_int("heads", heads, 1)
        if dim % heads:
            raise ValueError(f"heads is {heads}; expected a divisor of dim, {dim}")
        self.qkv = nn.Linear(as_int("in_dim", in_dim, 1), 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        query, key, value = self._slices(x)
        y = self.scores(query, key).softmax(dim=-1) @ value  # (N, heads, L, d)
        return self.out(y.transpose(1, 2).flatten(2))  # (N, L, dim)

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        """Return how well each key answers each query, (N, heads, L, L), before the softmax over the keys."""
        return query @ key.mT / sqrt(query.shape[-1])

    def weights(self, x: Tensor) -> Tensor:
        """Return how much each position takes of each other, (N, heads, L, L): every row sums to 1."""
        query, key, _ = self._slices(x)
        return self.scores(query, key).softmax(dim=-1)

    def _slices(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return queries, keys and values, (N, heads, L, d) each."""
        return self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind()


def feed_forward(dim: int, hidden: int) -> nn.Sequential:
    """Return the two linear layers of a block, the same for each position, with a GELU between them."""
    return nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)): (N, L, dim) → (N, L, dim)."""

    def __init__(self, dim: int, *, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attention = Attention(dim, dim, heads=heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = feed_forward(dim, hidden)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class VisionTransformer(nn.Module):
    """The network that `vit` makes; its positions begin with the class token, then row by row of patches."""

    def __init__(self, embed: nn.Conv2d, blocks: nn.Sequential, *, dim: int, patches: int, num_classes: int) -> None:
        super().__init__()
        self.embed = embed
        self.class_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.position = nn.Parameter(torch.empty(1, 1 + patches, dim))
        self.blocks = blocks
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        tokens = self.embed(x).flatten(2).mT  # (N, patches, dim)
        tokens = torch.cat([self.class_token.expand(len(x), -1, -1), tokens], dim=1) + self.position
        return self.head(self.norm(self.blocks(tokens))[:, 0])


def xavier_uniform(model: nn.Module) -> None:
    """Draw the weights of all linear layers and convolutions, queries, keys and values as three; biases become 0."""
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in model.modules():
        if isinstance(module, Attention):
            for weight in module.qkv.weight.detach().chunk(3):
                nn.init.xavier_uniform_(weight)


def attention_maps(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Return what every attention of `model` weighs while it looks at x: its name → (N, heads, L, L), no gradients.

    Made for networks of this file and of `coatnet`. The model stays as it is, in its mode: call `eval` before.

    >>> model = vit_cifar()
    >>> maps = attention_maps(model, torch.zeros(1, 3, 32, 32))
    >>> len(maps), maps["blocks.0.attention"].shape
    (5, torch.Size([1, 4, 129, 129]))
    """
    maps: dict[str, Tensor] = {}
    attentions = [(name, module) for name, module in model.named_modules() if isinstance(module, Attention)]
    hooks = [module.register_forward_pre_hook(partial(_keep, maps=maps, name=name)) for name, module in attentions]
    try:
        with torch.no_grad():
            model(x)
    finally:
        for hook in hooks:
            hook.remove()
    return maps


def _keep(module: Attention, args: tuple[Tensor, ...], *, maps: dict[str, Tensor], name: str) -> None:
    maps[name] = module.weights(args[0])


def vit(
    *,
    image_size: IntOrTuple = 224,
    patch_size: IntOrTuple = 16,
    dim: int = 768,
    depth: int = 12,
    heads: int = 12,
    mlp_ratio: int = 4,
    num_classes: int = 1000,
    in_channels: int = 3,
    seed: int = 0,
) -> VisionTransformer:
    """Return a vision transformer of `depth` blocks, for images (N, in_channels, *image_size).

    `image_size` and `patch_size` are an int or (height, width); between the two linear layers of a block are
    mlp_ratio · dim features. Raises ValueError, naming the argument, where patches do not fill the image, `heads` does
    not divide `dim`, a number is not a positive integer, or the input has another shape.

    >>> model = vit(image_size=8, patch_size=4, dim=16, depth=2, heads=2, num_classes=3)
    >>> model(torch.zeros(5, 3, 8, 8)).shape
    torch.Size([5, 3])
    """
    height, width = as_ints("image_size", image_size, 2, 1)
    down, across = as_ints("patch_size", patch_size, 2, 1)
    if height % down or width % across:
        raise ValueError(f"patch_size is {patch_size!r}; expected that it divides image_size, {image_size!r}")
    patches, dim = (height // down) * (width // across), as_int("dim", dim, 1)
    channels, hidden = as_int("in_channels", in_channels, 1), dim * as_int("mlp_ratio", mlp_ratio, 1)
    with seeded(seed):
        embed = nn.Conv2d(channels, dim, (down, across), stride=(down, across))
        blocks = nn.Sequential(*(Block(dim, heads=heads, hidden=hidden) for _ in range(as_int("depth", depth, 1))))
        classes = as_int("num_classes", num_classes, 1)
        model = VisionTransformer(embed, blocks, dim=dim, patches=patches, num_classes=classes)
        xavier_uniform(model)
        nn.init.normal_(model.position, std=0.02)
    takes_images(model, channels, height, width)
    return model


def vit_b16(*, num_classes: int = 1000, in_channels: int = 3, seed: int = 0) -> VisionTransformer:
    """Return ViT-B/16, table 1, for 224 × 224 images: 86,567,656 parameters.

    >>> with torch.device("meta"):
    ...     sum(p.numel() for p in vit_b16().parameters())
    86567656
    """
    return vit(num_classes=num_classes, in_channels=in_channels, seed=seed)


def vit_cifar(*, num_classes: int = 10, in_channels: int = 3, seed: int = 0) -> VisionTransformer:
    """Return a small transformer for 32 × 32 images with the budget of ResNet-20: 260,618 parameters.

    Not of the paper. Its patches are 4 pixels high and 2 wide, for 42.6 million multiply–adds beside the 40.6 million
    of ResNet-20: with as many parameters, square patches of 4 pixels take half of that, those of 2 more than twice.

    >>> sum(p.numel() for p in vit_cifar().parameters())
    260618
    """
    return vit(
        image_size=32,
        patch_size=(4, 2),
        dim=64,
        depth=5,
        heads=4,
        num_classes=num_classes,
        in_channels=in_channels,
        seed=seed,
    )
