"""VGG against Table 1 of the paper."""

import pytest
import torch
from model_tables import assert_drawn_by_seed, assert_gradients_reach_everything, macs, on_meta, outputs, parameters
from torch import nn

from cnnlib.models import vgg
from cnnlib.models.vgg import vgg11, vgg13, vgg16, vgg19

IMAGE = (1, 3, 224, 224)


@pytest.mark.parametrize(
    ("build", "depths", "plain", "normalised"),
    [
        (vgg11, (1, 1, 2, 2, 2), 132_863_336, 132_868_840),
        (vgg13, (2, 2, 2, 2, 2), 133_047_848, 133_053_736),
        (vgg16, (2, 2, 3, 3, 3), 138_357_544, 138_365_992),
        (vgg19, (2, 2, 4, 4, 4), 143_667_240, 143_678_248),
    ],
)
def test_configurations(build, depths, plain, normalised):
    model = on_meta(build)
    assert parameters(model) == plain
    assert round(plain / 1e6) == {11: 133, 13: 133, 16: 138, 19: 144}[sum(depths) + 3]  # the paper's Table 2
    seen = outputs(model, IMAGE)
    for group, (depth, width) in enumerate(zip(depths, (64, 128, 256, 512, 512), strict=True), start=1):
        side = 224 // 2 ** (group - 1)
        assert [k for k in seen if k.startswith(f"conv{group}")] == [f"conv{group}_{i + 1}" for i in range(depth)]
        assert all(seen[f"{kind}{group}_{depth}"] == (width, side, side) for kind in ("conv", "relu"))
        assert isinstance(model.get_submodule(f"pool{group}"), nn.MaxPool2d)
        assert seen[f"pool{group}"] == (width, side // 2, side // 2)
    assert [seen[name] for name in ("flatten", "fc6", "fc7", "fc8", "")] == [
        (25088,),
        (4096,),
        (4096,),
        (1000,),
        (1000,),
    ]
    assert all(m.kernel_size == (3, 3) for m in model.modules() if isinstance(m, nn.Conv2d))
    assert [type(m).__name__ for m in model[-8:]] == ["Flatten", *["Linear", "ReLU", "Dropout"] * 2, "Linear"]
    assert model.drop6.p == model.drop7.p == 0.5
    assert parameters(on_meta(build, batch_norm=True)) == normalised
    assert list(outputs(on_meta(build, batch_norm=True), IMAGE))[:3] == ["conv1_1", "bn1_1", "relu1_1"]


def test_multiply_adds():
    model = on_meta(vgg16)
    assert macs(model, IMAGE) == 15_470_264_320
    assert macs(model, IMAGE, under="fc") == 123_633_664
    # the configuration of Table 1 whose layers are counted by hand: A
    convolutions = 3 * 64 * 224**2 + 64 * 128 * 112**2 + (128 + 256) * 256 * 56**2
    convolutions += (256 + 512) * 512 * 28**2 + (512 + 512) * 512 * 14**2
    assert macs(on_meta(vgg11), IMAGE) == 9 * convolutions + 123_633_664


def test_other_classes_and_channels():
    model = on_meta(vgg11, num_classes=10, in_channels=1)
    assert outputs(model, (2, 1, 224, 224))[""] == (10,)
    assert parameters(model) == 132_863_336 - 2 * 9 * 64 - 990 * 4097


def test_seed_forward_and_gradients(monkeypatch):
    monkeypatch.setattr(vgg, "WIDTHS", (8, 8, 16, 16, 16))  # the real ones have 100 million weights to draw
    model = assert_drawn_by_seed(lambda seed: vgg11(num_classes=5, seed=seed))
    assert all(not p.any() for name, p in model.named_parameters() if name.endswith("bias"))
    assert model.fc7.weight.std().item() == pytest.approx((2 / 4096) ** 0.5, rel=1e-3)
    x = torch.randn(2, *IMAGE[1:], generator=torch.Generator().manual_seed(0))
    for batch_norm in (False, True):
        model = vgg11(num_classes=5, batch_norm=batch_norm)
        logits = model(x)  # dropout draws from torch's own generator, as ever
        assert logits.shape == (2, 5)
        assert 0.1 < logits.detach().std() < 10
        loss = nn.functional.cross_entropy(logits, torch.tensor([2, 3]))
        assert_gradients_reach_everything(model, loss)
        assert torch.equal(model.eval()(x), model(x))


def test_bad_input_is_named():
    for options, message in (
        ({"batch_norm": 1}, "batch_norm is 1; expected True or False"),
        ({"num_classes": 0}, "num_classes is 0; expected an integer of at least 1"),
        ({"in_channels": 1.5}, "in_channels is 1.5"),
        ({"seed": -1}, "seed is -1"),
    ):
        with pytest.raises(ValueError, match=message):
            on_meta(vgg11, **options)
    with pytest.raises(ValueError, match=r"x has shape \(1, 3, 32, 32\); expected \(N, 3, 224, 224\)"):
        on_meta(vgg16)(torch.empty(1, 3, 32, 32, device="meta"))
