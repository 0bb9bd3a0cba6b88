"""ZFNet: AlexNet in one tower, with a finer first layer."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from cnnlib.geometry import as_int
from cnnlib.models.building import dense_head, normal, takes_images
from cnnlib.models.seeding import seeded


def zfnet(*, num_classes: int = 1000, in_channels: int = 3, seed: int = 0) -> nn.Sequential:
    """Return the network of figure 3, for images (N, in_channels, 224, 224); 62,357,608 parameters.

    Zeiler and Fergus (2014), https://arxiv.org/abs/1311.2901. Kernels of 7 with stride 2 where AlexNet has 11 with
    stride 4, stride 2 in the second convolution, and no towers. Dropout of one half after the two hidden dense
    layers. The paper has "all weights" begin at 10⁻² and biases at zero (section 3): read as N(0, 0.01²), as AlexNet's.

    The figure gives sides of 110, 55, 26, 13 and 6, but no padding: with none before convolution 3, and what is left
    over dropped, they would be 109, 54, 25, 12 and 5. One row of zeros around the image gives 110. From 110 to 55
    and from 26 to 13, pooling of 3 × 3 with stride 2 must let its last window hang over the edge (`ceil_mode`); the
    last, from 13 to 6, fits.

    Deviations. "Contrast normalised across feature maps" is read as AlexNet's local response normalisation, with its
    constants, and follows the pooling of the first two stages as in the figure. While training, the paper also
    scales back kernels whose root mean square passes 0.1, which is no part of the network.

    Raises ValueError where an argument is not a positive integer, or the input of another shape.

    >>> import torch
    >>> with torch.device("meta"):
    ...     sum(p.numel() for p in zfnet().parameters())
    62357608
    """
    classes, channels = as_int("num_classes", num_classes, 1), as_int("in_channels", in_channels, 1)
    with seeded(seed):
        model = nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(channels, 96, 7, stride=2, padding=1),  # (N, 96, 110, 110)
                relu1=nn.ReLU(),
                pool1=nn.MaxPool2d(3, stride=2, ceil_mode=True),  # (N, 96, 55, 55)
                norm1=nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2),
                conv2=nn.Conv2d(96, 256, 5, stride=2),  # (N, 256, 26, 26)
                relu2=nn.ReLU(),
                pool2=nn.MaxPool2d(3, stride=2, ceil_mode=True),  # (N, 256, 13, 13)
                norm2=nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2),
                conv3=nn.Conv2d(256, 384, 3, padding=1),
                relu3=nn.ReLU(),
                conv4=nn.Conv2d(384, 384, 3, padding=1),
                relu4=nn.ReLU(),
                conv5=nn.Conv2d(384, 256, 3, padding=1),  # (N, 256, 13, 13)
                relu5=nn.ReLU(),
                pool5=nn.MaxPool2d(3, stride=2),  # (N, 256, 6, 6)
                **dense_head(256 * 6 * 6, classes),
            )
        )
        normal(model, std=0.01)
    takes_images(model, channels, 224, 224)
    return model
