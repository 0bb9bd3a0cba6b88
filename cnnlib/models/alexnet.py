"""AlexNet: the two towers of 2012, one tower of the same widths, and the network of 2014 that libraries ship."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from cnnlib.geometry import as_int
from cnnlib.models.building import dense_head, normal, takes_images
from cnnlib.models.seeding import seeded


def alexnet(*, num_classes: int = 1000, in_channels: int = 3, seed: int = 0) -> nn.Sequential:
    """Return the network of 2012 in two towers, for images (N, in_channels, 227, 227); 60,965,224 parameters.

    Krizhevsky, Sutskever and Hinton (2012), section 3, https://doi.org/10.1145/3065386 for the reprint. The towers,
    one for each graphics card, are the two groups of convolutions 2, 4 and 5; convolution 3 and the dense layers see
    both. Local response normalisation follows the ReLU of convolutions 1 and 2, and pooling of 3 × 3 with stride 2
    follows it (sections 3.3 to 3.5). The paper's α = 10⁻⁴ multiplies the sum over n = 5 channels; torch divides its
    own by n, and so is given 5 · 10⁻⁴. Dropout of one half after the two hidden dense layers. Weights N(0, 0.01²);
    biases are one in convolutions 2, 4 and 5 and in the hidden dense layers, and zero elsewhere (section 5).

    The layers have 290,400, 186,624, 64,896, 64,896, 43,264, 4096, 4096 and 1000 neurons. The paper prints 253,440
    for the first, which is 55 · 48 · 96 and not 55 · 55 · 96.

    Deviations. The paper's images are 224 × 224, from which kernels of 11 with stride 4 do not give its 55 × 55
    maps; 227 do, as would three rows of zeros. The normalisation sums over neighbours among all channels, as the
    paper's formula says, where two cards would each sum over their own. Dropout doubles what it keeps in training,
    where the paper halves everything in testing.

    Raises ValueError where an argument is not a positive integer, or the input of another shape.

    >>> import torch
    >>> with torch.device("meta"):
    ...     sum(p.numel() for p in alexnet().parameters())
    60965224
    """
    return _network(2, num_classes, in_channels, seed)


def alexnet_one_tower(*, num_classes: int = 1000, in_channels: int = 3, seed: int = 0) -> nn.Sequential:
    """Return `alexnet` with every convolution over all channels, the form often drawn; 62,378,344 parameters.

    >>> import torch
    >>> with torch.device("meta"):
    ...     sum(p.numel() for p in alexnet_one_tower().parameters())
    62378344
    """
    return _network(1, num_classes, in_channels, seed)


def _network(towers: int, num_classes: int, in_channels: int, seed: int) -> nn.Sequential:
    classes, channels = as_int("num_classes", num_classes, 1), as_int("in_channels", in_channels, 1)
    with seeded(seed):
        model = nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(channels, 96, 11, stride=4),  # (N, 96, 55, 55)
                relu1=nn.ReLU(),
                norm1=nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2),
                pool1=nn.MaxPool2d(3, stride=2),  # (N, 96, 27, 27)
                conv2=nn.Conv2d(96, 256, 5, padding=2, groups=towers),  # (N, 256, 27, 27)
                relu2=nn.ReLU(),
                norm2=nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2),
                pool2=nn.MaxPool2d(3, stride=2),  # (N, 256, 13, 13)
                conv3=nn.Conv2d(256, 384, 3, padding=1),
                relu3=nn.ReLU(),
                conv4=nn.Conv2d(384, 384, 3, padding=1, groups=towers),
                relu4=nn.ReLU(),
                conv5=nn.Conv2d(384, 256, 3, padding=1, groups=towers),
                relu5=nn.ReLU(),
                pool5=nn.MaxPool2d(3, stride=2),  # (N, 256, 6, 6)
                **dense_head(256 * 6 * 6, classes),
            )
        )
        normal(model, std=0.01)
        for name in ("conv2", "conv4", "conv5", "fc6", "fc7"):
            nn.init.ones_(model.get_parameter(f"{name}.bias"))
    takes_images(model, channels, 227, 227)
    return model


def alexnet_2014(*, num_classes: int = 1000, in_channels: int = 3, seed: int = 0) -> nn.Sequential:
    """Return the narrower single tower of 2014, for images (N, in_channels, 224, 224); 61,100,840 parameters.

    Krizhevsky (2014), "One weird trick for parallelizing convolutional neural networks",
    https://arxiv.org/abs/1404.5997, as libraries ship it under the name AlexNet: 64, 192, 384, 256 and 256 channels,
    as in its author's own configuration file, where a footnote of the paper has 384 for the fourth; two rows of zeros
    around the image, dropout before the two hidden dense layers. The modules have torchvision's names, so that its
    weights can be loaded. Weights and biases are uniform in ±1 / √fan-in, torch's default.

    Deviations: no local response normalisation, which that file still has; none in those libraries either. They
    average the last maps to 6 × 6, which changes nothing at this size and is left out.

    Raises ValueError where an argument is not a positive integer, or the input of another shape.

    >>> import torch
    >>> with torch.device("meta"):
    ...     sum(p.numel() for p in alexnet_2014().parameters())
    61100840
    """
    classes, channels = as_int("num_classes", num_classes, 1), as_int("in_channels", in_channels, 1)
    with seeded(seed):
        features = nn.Sequential(
            nn.Conv2d(channels, 64, 11, stride=4, padding=2),  # (N, 64, 55, 55)
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),  # (N, 64, 27, 27)
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),  # (N, 192, 13, 13)
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),  # (N, 256, 6, 6)
        )
        classifier = nn.Sequential(
            nn.Dropout(0.5),
            nn.Linear(9216, 4096),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Linear(4096, classes),
        )
    model = nn.Sequential(OrderedDict(features=features, flatten=nn.Flatten(), classifier=classifier))
    takes_images(model, channels, 224, 224)
    return model
