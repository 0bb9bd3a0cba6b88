"""LeNet-5: as LeCun, Bottou, Bengio and Haffner published it in 1998, and as it is taught today."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnnlib.geometry import as_int
from cnnlib.models.building import he_normal, takes_images
from cnnlib.models.seeding import seeded

# Table I of the paper: a row for each map of S2, a column for each map of C3, a cross where one feeds the other.
TABLE = [
    "X...XXX..XXXX.XX",
    "XX...XXX..XXXX.X",
    "XXX...XXX..X.XXX",
    ".XXX..XXXX..X.XX",
    "..XXX..XXXX.XX.X",
    "...XXX..XXXX.XXX",
]

# Ten bitmaps, 7 wide and 12 high, drawn for this library in the manner of the paper's figure 3.
BITMAPS = """
..###..  ...##..  .#####.  .#####.  .....#.  #######  ..####.  #######  .#####.  .#####.
.##.##.  ..###..  ##...##  ##...##  ....##.  ##.....  .##..##  .....##  ##...##  ##...##
##...##  .####..  ##...##  .....##  ...###.  ##.....  ##.....  .....##  ##...##  ##...##
##...##  ...##..  .....##  .....##  ...###.  ##.....  ##.....  ....##.  ##...##  ##...##
##...##  ...##..  .....##  .....##  ..####.  ######.  ##.....  ....##.  ##...##  ##...##
##...##  ...##..  ....##.  ..####.  ..#.##.  ##...##  ######.  ...##..  .#####.  ##...##
##...##  ...##..  ...##..  .....##  .##.##.  .....##  ##...##  ...##..  ##...##  .######
##...##  ...##..  ..##...  .....##  .#..##.  .....##  ##...##  ..##...  ##...##  .....##
##...##  ...##..  .##....  .....##  ##..##.  .....##  ##...##  ..##...  ##...##  .....##
##...##  ...##..  ##.....  .....##  #######  .....##  ##...##  .##....  ##...##  .....##
.##.##.  ...##..  ##.....  ##...##  ....##.  ##...##  ##...##  .##....  ##...##  ##..##.
..###..  .######  #######  .#####.  ....##.  .#####.  .#####.  .##....  .#####.  .####..
"""


def lenet5(*, num_classes: int = 10, in_channels: int = 1, seed: int = 0) -> nn.Sequential:
    """Return LeNet-5 as it is taught today, for images (N, in_channels, 28, 28); 61,706 parameters.

    The same layers under the same names as `nn_numpy.lenet5`, so that weights move from one to the other. Beside
    `lenet5_1998` it pads the image instead of being given a border, has ReLU for the scaled tanh, max pooling for
    the trainable subsampling, every map connected to every map, and a linear output. Weights N(0, 2 / fan-in),
    biases zero: He et al. (2015), https://arxiv.org/abs/1502.01852.

    Raises ValueError where an argument is not a positive integer, or the input of another shape.

    >>> sum(p.numel() for p in lenet5().parameters())
    61706
    """
    classes, channels = as_int("num_classes", num_classes, 1), as_int("in_channels", in_channels, 1)
    with seeded(seed):
        model = nn.Sequential(
            nn.Conv2d(channels, 6, 5, padding=2),  # (N, 6, 28, 28)
            nn.ReLU(),
            nn.MaxPool2d(2),  # (N, 6, 14, 14)
            nn.Conv2d(6, 16, 5),  # (N, 16, 10, 10)
            nn.ReLU(),
            nn.MaxPool2d(2),  # (N, 16, 5, 5)
            nn.Flatten(),
            nn.Linear(400, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
            nn.Linear(84, classes),
        )
        he_normal(model)
    takes_images(model, channels, 28, 28)
    return model


class ScaledTanh(nn.Module):
    """1.7159 tanh(2x / 3), the paper's equation 6: it takes ±1 to ±1, where its curvature is largest.

    >>> ScaledTanh()(torch.tensor([-1.0, 0.0, 1.0])).round(decimals=4)
    tensor([-1.,  0.,  1.])
    """

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return 1.7159 * torch.tanh(x * (2 / 3))


class Subsampling(nn.Module):
    """The sum of every 2 × 2 block, times a coefficient and plus a bias that each map learns: half the size.

    >>> layer = Subsampling(1)
    >>> _ = layer.weight.data.fill_(0.5), layer.bias.data.fill_(1)
    >>> layer(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])).item()
    6.0
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        sums = F.avg_pool2d(x, 2, divisor_override=1)
        return sums * self.weight.view(-1, 1, 1) + self.bias.view(-1, 1, 1)


class TableConv2d(nn.Module):
    """A convolution in which an output map sees only the input maps that a table gives it.

    The table has a row for each input map, a column for each output map, and an X for each connection. There is one
    kernel a connection: `weight` is (connections, k, k), column by column. Each application lays the kernels out in a
    dense (C_out, C_in, k, k) weight that is zero elsewhere; those zeros are no parameters and nothing trains them.

    >>> layer = TableConv2d(["X.X", ".XX"], 3)
    >>> layer.weight.shape, layer.out_maps.tolist(), layer.in_maps.tolist()
    (torch.Size([4, 3, 3]), [0, 1, 2, 2], [0, 1, 0, 1])
    """

    in_maps: Tensor
    out_maps: Tensor

    def __init__(self, table: list[str], kernel_size: int) -> None:
        super().__init__()
        crosses = [(o, i) for o in range(len(table[0])) for i in range(len(table)) if table[i][o] == "X"]
        self.shape = (len(table[0]), len(table), kernel_size, kernel_size)
        self.weight = nn.Parameter(torch.zeros(len(crosses), kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(len(table[0])))
        self.register_buffer("out_maps", torch.tensor([o for o, _ in crosses]), persistent=False)
        self.register_buffer("in_maps", torch.tensor([i for _, i in crosses]), persistent=False)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        dense = self.weight.new_zeros(self.shape).index_put((self.out_maps, self.in_maps), self.weight)
        return F.conv2d(x, dense, self.bias)


class BitmapDistances(nn.Module):
    """Minus the squared distance of F6's 84 units to the bitmap of each digit, ink +1 and paper −1: (N, classes).

    The codes are fixed: no parameters, and no part of the state.

    >>> layer = BitmapDistances(10)
    >>> layer(layer.codes)[3].argmax().item()
    3
    """

    codes: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        rows = [row.split() for row in BITMAPS.split("\n")[1:-1]]  # 12 rows of 10 pieces
        digits = ["".join(row[digit] for row in rows) for digit in range(num_classes)]
        codes = [[1.0 if pixel == "#" else -1.0 for pixel in digit] for digit in digits]
        self.register_buffer("codes", torch.tensor(codes), persistent=False)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return -(x.unsqueeze(1) - self.codes).square().sum(2)


def lenet5_1998(*, num_classes: int = 10, in_channels: int = 1, seed: int = 0) -> nn.Sequential:
    """Return LeNet-5 as published, for images (N, in_channels, 32, 32); exactly 60,000 trainable parameters.

    LeCun, Bottou, Bengio and Haffner (1998), section II.B, https://doi.org/10.1109/5.726791: trainable subsampling,
    the table of connections between S2 and C3, a scaled tanh after every layer up to F6, and radial basis functions
    that measure how far F6's 84 units are from a bitmap of each digit. The paper scales pixels so that paper is −0.1
    and ink 1.175, which `Normalise([0.1 / 1.275], [1 / 1.275], padding=2)` does to a 28 × 28 image with ink 1.
    Weights and biases are uniform in ±2.4 / fan-in, as there (appendix A).

    Deviations. The bitmaps were drawn anew after figure 3, for the digits alone. The paper's distances are to be
    small for the right class; the logits are minus these distances, so that the nearest code has the largest.
    Softmax cross-entropy on them is the paper's equation 9 without its constant e^−j, the "rubbish" class.

    Raises ValueError where `num_classes` is not 1 to 10, or the input of another shape.

    >>> sum(p.numel() for p in lenet5_1998().parameters())
    60000
    """
    classes, channels = as_int("num_classes", num_classes, 1), as_int("in_channels", in_channels, 1)
    if classes > 10:
        raise ValueError(f"num_classes is {num_classes}; expected at most 10, the digits that have a bitmap")
    with seeded(seed):
        stages: OrderedDict[str, nn.Module] = OrderedDict(
            c1=nn.Conv2d(channels, 6, 5),  # (N, 6, 28, 28)
            c1_tanh=ScaledTanh(),
            s2=Subsampling(6),  # (N, 6, 14, 14)
            s2_tanh=ScaledTanh(),
            c3=TableConv2d(TABLE, 5),  # (N, 16, 10, 10)
            c3_tanh=ScaledTanh(),
            s4=Subsampling(16),  # (N, 16, 5, 5)
            s4_tanh=ScaledTanh(),
            c5=nn.Conv2d(16, 120, 5),  # (N, 120, 1, 1)
            c5_tanh=ScaledTanh(),
            flatten=nn.Flatten(),
            f6=nn.Linear(120, 84),
            f6_tanh=ScaledTanh(),
            output=BitmapDistances(classes),
        )
        _draw_uniformly(stages, {"c1": 25 * channels, "s2": 4, "s4": 4, "c5": 400, "f6": 120})
    model = nn.Sequential(stages)
    takes_images(model, channels, 32, 32)
    return model


@torch.no_grad()
def _draw_uniformly(stages: Mapping[str, nn.Module], fan_in: dict[str, int]) -> None:
    """Draw from ±2.4 / fan-in; the fan-in of a map of C3 depends on its column of the table."""
    for name, number in fan_in.items():
        for parameter in stages[name].parameters():
            nn.init.uniform_(parameter, -2.4 / number, 2.4 / number)
    c3 = stages["c3"]
    assert isinstance(c3, TableConv2d)
    bound = torch.tensor([2.4 / (25 * column.count("X")) for column in zip(*TABLE, strict=True)])  # (16,)
    c3.weight.uniform_(-1, 1).mul_(bound[c3.out_maps].view(-1, 1, 1))
    c3.bias.uniform_(-1, 1).mul_(bound)


def connections_1998() -> dict[str, int]:
    """Return how many connections each layer of `lenet5_1998` has: its units times what each sums, biases included.

    The paper says 340,908.

    >>> sum(connections_1998().values())
    340908
    """
    return {
        "c1": 6 * 28 * 28 * (5 * 5 + 1),
        "s2": 6 * 14 * 14 * (2 * 2 + 1),
        "c3": 10 * 10 * ("".join(TABLE).count("X") * 5 * 5 + 16),
        "s4": 16 * 5 * 5 * (2 * 2 + 1),
        "c5": 120 * (16 * 5 * 5 + 1),
        "f6": 84 * (120 + 1),
        "output": 10 * 84,
    }
