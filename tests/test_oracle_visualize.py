"""The attributions of captum, where it is installed."""

import pytest
import torch
from attack_table import digits, victim
from torch import nn

from cnnlib import visualize, weights

captum = pytest.importorskip("captum.attr")


def colour_network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 3 * 2, 5),
    ).eval()


def colours():
    x = torch.rand(4, 3, 14, 13, generator=torch.Generator().manual_seed(0))
    return x, torch.tensor([0, 4, 2, 2])


NETWORKS = {
    "digits": lambda: (weights.load("digits_cnn_digits"), *(t[:12] for t in (digits()[0].float(), digits()[1]))),
    "digits, float64": lambda: (victim(), *digits(12)),
    "colours": lambda: (colour_network(), *colours()),
    "residual": lambda: (weights.load("resnet20_cifar10"), torch.rand(2, 3, 32, 32), torch.tensor([3, 7])),
}


@pytest.fixture(params=NETWORKS)
def case(request):
    torch.manual_seed(0)
    return NETWORKS[request.param]()


@pytest.mark.filterwarnings("ignore:.*")
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("saliency", "Saliency"), ("guided_backprop", "GuidedBackprop"), ("deconvnet", "Deconvolution")],
)
def test_gradients_are_captums(case, ours, theirs):
    model, x, y = case
    expected = getattr(captum, theirs)(model).attribute(x.clone().requires_grad_(), target=y)
    assert torch.equal(getattr(visualize, ours)(model, x, y), expected)


def test_integrated_gradients_are_captums(case):
    model, x, y = case
    for baseline in (0.0, 0.5):
        expected = captum.IntegratedGradients(model).attribute(x, baselines=baseline, target=y, n_steps=50)
        found = visualize.integrated_gradients(model, x, y, baseline=baseline)
        torch.testing.assert_close(found, expected.to(x.dtype), rtol=0, atol=1e-6)


@pytest.mark.filterwarnings("ignore:.*")
def test_grad_cam_is_captums(case):
    model, x, y = case
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            small = captum.LayerGradCam(model, module).attribute(x, target=y, relu_attributions=True)
            expected = captum.LayerAttribution.interpolate(small, x.shape[2:], "bilinear")
            assert torch.equal(visualize.grad_cam(model, x, y, name), expected)


@pytest.mark.parametrize(("window", "stride"), [((3, 3), (1, 1)), ((3, 2), (2, 2)), ((5, 4), (3, 4)), ((1, 8), (1, 5))])
def test_occlusion_is_captums(case, window, stride):
    model, x, y = case
    if x.dtype == torch.float64:
        pytest.skip("captum's occlusion answers in float32")
    if x.shape[-1] == 32:
        window, stride = tuple(4 * n for n in window), tuple(4 * n for n in stride)
    expected = captum.Occlusion(model).attribute(
        x, sliding_window_shapes=(x.shape[1], *window), strides=(x.shape[1], *stride), target=y, baselines=0.25
    )
    found = visualize.occlusion(model, x, y, window=window, stride=stride, baseline=0.25)
    assert torch.equal(found.expand_as(x), expected)
