"""Vision transformer and hybrid: the papers' counts, attention as in NumPy and torch, blocks by their formulas."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cnnlib import nn_torch
from cnnlib import ops_numpy as ops
from cnnlib.models.coatnet import CoAtNet, RelativeAttention, TransformerBlock, coatnet, coatnet_cifar, mbconv
from cnnlib.models.vit import Attention, Block, attention_maps, vit, vit_b16, vit_cifar
from cnnlib.testing import assert_close

SMALL = {"image_size": 8, "patch_size": (4, 2), "dim": 12, "depth": 2, "heads": 3, "num_classes": 5}
SMALL_HYBRID = {
    "image_size": (16, 8),
    "widths": (4, 8, 8, 16, 24),
    "depths": (2, 1, 2, 2, 1),
    "strides": (1, 2, 1, 2, 2),
    "head_dim": 8,
    "num_classes": 5,
}


def parameters(model):
    return sum(p.numel() for p in model.parameters())


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def varied(module, seed=0):
    """Return the module in float64 with every parameter and statistic moved, so that none is 0 or 1."""
    generator = np.random.default_rng(seed)
    module.double()
    for value in module.state_dict().values():
        if value.is_floating_point():
            value.add_(torch.from_numpy(generator.uniform(0.1, 0.5, value.shape)))
    return module


def test_the_counts_of_the_papers():
    with torch.device("meta"):
        base, other = vit_b16(), vit_b16(num_classes=3, in_channels=1)
        hybrid = coatnet()
    block = 12 * 768**2 + 13 * 768  # qkv 3d² + 3d, out d² + d, mlp 8d² + 5d, two layer norms 4d
    assert parameters(base) == 12 * block + (768 + 1) * 768 + (197 + 1 + 2) * 768 + 769 * 1000 == 86_567_656
    assert parameters(base) - parameters(other) == 2 * 256 * 768 + 769 * 997
    assert parameters(hybrid) == 24_446_292  # "25M" in the paper


def test_the_small_ones_have_the_budget_of_resnet20():
    tokens, dim, depth = 1 + 8 * 16, 64, 5
    macs = 128 * 24 * dim + depth * (tokens * 12 * dim**2 + 2 * tokens**2 * dim) + 10 * dim
    assert parameters(vit_cifar()) == 260_618
    assert macs == pytest.approx(40.8e6, rel=0.05)
    hybrid = coatnet_cifar()
    assert parameters(hybrid) == 215_744
    assert sum(v.numel() for v in hybrid.state_dict().values()) * 4 < 1e6  # bytes in float32


@pytest.mark.parametrize(("in_dim", "dim", "heads"), [(12, 12, 3), (12, 8, 1), (6, 12, 4)])
def test_attention_is_that_of_numpy_and_of_torch(in_dim, dim, heads):
    attention, x = varied(Attention(in_dim, dim, heads=heads)), drawn(2, 5, in_dim)
    state, array = nn_torch.state(attention), x.numpy()
    qkv = ops.linear(array, state["qkv.weight"], state["qkv.bias"]).reshape(2, 5, 3, heads, dim // heads)
    query, key, value = qkv.transpose(2, 0, 3, 1, 4)
    slices = ops.scaled_dot_product_attention(query, key, value)
    joined = slices.transpose(0, 2, 1, 3).reshape(2, 5, dim)
    assert_close(attention(x), ops.linear(joined, state["out.weight"], state["out.bias"]))
    assert_close(
        attention.weights(x), ops.scaled_dot_product_attention(query, key, np.broadcast_to(np.eye(5), (2, heads, 5, 5)))
    )
    assert_close(F.scaled_dot_product_attention(*map(torch.tensor, (query, key, value))), slices)
    if in_dim == dim:
        names = ("qkv.weight", "qkv.bias", "out.weight", "out.bias")
        whole = ops.multi_head_attention(array, array, array, *(state[n] for n in names), num_heads=heads)
        assert_close(attention(x), whole)


def test_the_gradients_of_attention_are_those_of_numpy_and_of_torch():
    attention, x = varied(Attention(12, 12, heads=3)), drawn(2, 5, 12).requires_grad_()
    grad_output = drawn(2, 5, 12, seed=1)
    attention(x).backward(grad_output)
    state, array = nn_torch.state(attention), x.detach().numpy()
    grads = ops.multi_head_attention_backward(
        grad_output.numpy(),
        array,
        array,
        array,
        *(state[n] for n in ("qkv.weight", "qkv.bias", "out.weight")),
        num_heads=3,
    )
    assert_close(x.grad, grads[0] + grads[1] + grads[2], rtol=1e-11)
    for parameter, grad in zip(
        (attention.qkv.weight, attention.qkv.bias, attention.out.weight), grads[3:6], strict=True
    ):
        assert_close(parameter.grad, grad, rtol=1e-11)
    theirs = nn.MultiheadAttention(12, 3, batch_first=True, dtype=torch.float64)
    pairs = zip(("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"), state.values(), strict=True)
    theirs.load_state_dict({name: torch.from_numpy(value) for name, value in pairs})
    y, weights = theirs(x, x, x, average_attn_weights=False)
    assert_close(attention(x), y)
    assert_close(attention.weights(x), weights)


def test_scores_are_divided_by_the_root_of_the_depth():
    attention, query, key = Attention(64, 64, heads=1), drawn(4, 1, 200, 64), drawn(4, 1, 200, 64, seed=1)
    assert attention.scores(query, key).std().item() == pytest.approx(1, abs=0.02)
    assert_close(attention.scores(query, key), 0.125 * query @ key.mT)


def test_a_relative_bias_is_one_number_for_each_head_and_offset():
    attention, x = varied(RelativeAttention(6, 8, heads=2, size=(2, 3))), drawn(3, 6, 6)
    query, key = drawn(3, 2, 6, 4), drawn(3, 2, 6, 4, seed=1)
    added = attention.scores(query, key) - Attention.scores(attention, query, key)
    places = [(row, column) for row in range(2) for column in range(3)]
    for i, (row, column) in enumerate(places):
        for j, (other_row, other_column) in enumerate(places):
            bias = attention.bias[:, other_row - row + 1, other_column - column + 2]
            assert_close(added[:, :, i, j], bias.expand(3, 2), rtol=1e-10)
    assert attention.bias.shape == (2, 3, 5)
    assert_close(attention.weights(x).sum(-1), torch.ones(3, 2, 6, dtype=torch.float64))
    assert "offset" not in attention.state_dict()


def test_a_transformer_block_is_its_formula_in_numpy():
    block, x = varied(Block(12, heads=3, hidden=20)), drawn(2, 5, 12)
    s, y = nn_torch.state(block), x.numpy()
    normal = ops.layer_norm(y, 12, s["norm1.weight"], s["norm1.bias"], eps=1e-6)
    names = ("qkv.weight", "qkv.bias", "out.weight", "out.bias")
    y = y + ops.multi_head_attention(normal, normal, normal, *(s[f"attention.{n}"] for n in names), num_heads=3)
    hidden = ops.layer_norm(y, 12, s["norm2.weight"], s["norm2.bias"], eps=1e-6)
    hidden = ops.gelu(ops.linear(hidden, s["mlp.0.weight"], s["mlp.0.bias"]))
    assert_close(block(x), y + ops.linear(hidden, s["mlp.2.weight"], s["mlp.2.bias"]))


@pytest.mark.parametrize(("stride", "channels"), [(1, 8), (2, 16)])
def test_a_relative_block_pools_both_of_its_branches(stride, channels):
    size = (4 // stride, 6 // stride)
    block = varied(TransformerBlock(8, channels, stride=stride, heads=2, size=size))
    x = drawn(2, 8, 4, 6)
    normal = F.layer_norm(x.movedim(1, 3), (8,), block.norm1.weight, block.norm1.bias, 1e-6).movedim(3, 1)
    pooled, shortcut = F.max_pool2d(normal, stride), F.max_pool2d(x, stride)
    if channels != 8:
        shortcut = F.conv2d(shortcut, block.shortcut[1].weight, block.shortcut[1].bias)
    y = shortcut.flatten(2).transpose(1, 2) + block.attention(pooled.flatten(2).transpose(1, 2))
    y = y + block.mlp(block.norm2(y))
    assert_close(block(x), y.transpose(1, 2).reshape(2, channels, *size))


@pytest.mark.parametrize(("stride", "channels"), [(1, 4), (2, 8)])
def test_an_inverted_residual_block_is_its_formula_in_numpy(stride, channels):
    block, x = varied(mbconv(4, channels, stride=stride)).eval(), drawn(2, 4, 6, 6)
    s = nn_torch.state(block)

    def norm(y, i):
        statistics = {name: s[f"main.{i}.{name}"] for name in ("running_mean", "running_var", "weight", "bias")}
        return ops.batch_norm(y, **statistics, training=False)[0]

    y = ops.conv2d(norm(x.numpy(), 0), s["main.1.weight"], stride=stride)
    y = ops.conv2d(ops.gelu(norm(y, 2)), s["main.4.weight"], padding=1, groups=4 * channels)
    y = ops.gelu(norm(y, 5))
    hidden = ops.gelu(ops.linear(y.mean((2, 3)), s["main.7.gate.0.weight"], s["main.7.gate.0.bias"]))
    gate = ops.sigmoid(ops.linear(hidden, s["main.7.gate.2.weight"], s["main.7.gate.2.bias"]))
    y = ops.conv2d(y * gate[:, :, None, None], s["main.8.weight"], s["main.8.bias"])
    shortcut = x.numpy()
    if stride > 1:
        shortcut = ops.max_pool2d(shortcut, stride)[0]
        shortcut = ops.conv2d(shortcut, s["shortcut.1.weight"], s["shortcut.1.bias"])
    assert_close(block(x), y + shortcut)


def test_tokens_are_patches_row_by_row_after_the_class_token():
    model, x = varied(vit(**SMALL)), drawn(2, 3, 8, 8)
    seen = []
    model.blocks.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    model(x)
    patches = [x[:, :, i : i + 4, j : j + 2].flatten(1) for i in (0, 4) for j in (0, 2, 4, 6)]
    embedded = F.linear(torch.stack(patches, 1), model.embed.weight.flatten(1), model.embed.bias)
    tokens = torch.cat([model.class_token.expand(2, 1, 12), embedded], 1) + model.position
    assert_close(seen[0], tokens)


def test_without_positions_a_transformer_does_not_see_where_a_patch_is():
    model, x = vit(**SMALL).double(), drawn(2, 3, 8, 8)
    turned = torch.roll(x, (4, 2), (2, 3))  # whole patches change places
    assert not torch.allclose(model(x), model(turned))
    nn.init.zeros_(model.position)
    assert_close(model(x), model(turned), rtol=1e-10)


def test_maps_are_what_each_attention_weighs_and_nothing_is_kept():
    for model, x in ((vit(**SMALL), drawn(2, 3, 8, 8)), (coatnet(**SMALL_HYBRID), drawn(2, 3, 16, 8))):
        varied(model).eval()
        inputs = {}
        attentions = {name: module for name, module in model.named_modules() if isinstance(module, Attention)}
        handles = [
            module.register_forward_pre_hook(lambda m, args, name=name, kept=inputs: kept.update({name: args[0]}))
            for name, module in attentions.items()
        ]
        logits = model(x)
        for handle in handles:
            handle.remove()
        maps = attention_maps(model, x)
        assert maps.keys() == attentions.keys()
        for name, weights in maps.items():
            assert_close(weights, attentions[name].weights(inputs[name]))
            assert not weights.requires_grad
            assert not attentions[name]._forward_pre_hooks
        assert_close(model(x), logits, rtol=0)


def test_a_hybrid_goes_down_by_its_strides():
    model = coatnet(**SMALL_HYBRID, in_channels=2)
    x, shapes = torch.zeros(3, 2, 16, 8), []
    for stage in (model.s0, model.s1, model.s2, model.s3, model.s4):
        x = stage(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(4, 16, 8), (8, 8, 4), (8, 8, 4), (16, 4, 2), (24, 2, 1)]
    assert model(torch.zeros(3, 2, 16, 8)).shape == (3, 5)


def test_a_hybrid_made_without_memory_takes_the_weights_of_another():
    model = coatnet(**SMALL_HYBRID, seed=3).eval()
    with torch.device("meta"):
        other = coatnet(**SMALL_HYBRID).eval()
    other.load_state_dict(model.state_dict(), assign=True)
    x = torch.randn(2, 3, 16, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(other(x), model(x))


@pytest.mark.parametrize(("make", "size"), [(vit_cifar, 32), (coatnet_cifar, 32)])
def test_small_networks_train(make, size):
    before = torch.get_rng_state()
    model, other = make(seed=1), make(seed=2)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(model.head.weight, other.head.weight)
    assert torch.equal(model.head.weight, make(seed=1).head.weight)
    x, target = drawn(8, 3, size, size).float(), torch.arange(8)
    calls = {m: 0 for m in model.modules() if not list(m.children())}
    for module in calls:
        module.register_forward_hook(lambda m, args, y: calls.update({m: calls[m] + 1}))
    optimiser, losses = torch.optim.AdamW(model.parameters(), lr=2e-3), []
    for _ in range(12):
        loss = F.cross_entropy(model(x), target)
        optimiser.zero_grad()
        loss.backward()
        if not losses:
            assert set(calls.values()) == {1}  # a module stands in one place
            assert all(p.grad.abs().max() > 0 for p in model.parameters())
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    with torch.autocast("cpu", torch.bfloat16):
        logits = model.eval()(x.contiguous(memory_format=torch.channels_last))
    assert torch.allclose(logits.float(), model(x), atol=0.2)


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (vit, {"patch_size": 3}, r"patch_size is 3; expected that it divides image_size, 8"),
        (vit, {"heads": 5}, "heads is 5; expected a divisor of dim, 12"),
        (vit, {"depth": 0}, "depth is 0; expected an integer of at least 1"),
        (vit, {"mlp_ratio": 1.5}, "mlp_ratio is 1.5; expected an integer"),
        (vit, {"num_classes": 0}, "num_classes is 0"),
        (vit, {"seed": -1}, "seed is -1"),
        (coatnet, {"widths": (4, 8, 8, 16)}, r"widths is \(4, 8, 8, 16\); expected five integers"),
        (coatnet, {"strides": 2}, "strides is 2; expected a sequence of positive integers"),
        (coatnet, {"depths": (2, 1, 2, 2, 0)}, "depths is 0; expected an integer of at least 1"),
        (coatnet, {"strides": (1, 2, 2, 2, 2)}, r"strides is \(1, 2, 2, 2, 2\); expected that their product divides"),
        (coatnet, {"widths": (4, 2, 8, 16, 24)}, r"widths is .*; expected at least 4 in s1 and s2"),
        (coatnet, {"head_dim": 7}, r"widths is .*; expected .* multiples of 7 in s3 and s4"),
    ],
)
def test_bad_options_are_named(make, options, message):
    with pytest.raises(ValueError, match=message):
        make(**({vit: SMALL, coatnet: SMALL_HYBRID}[make] | options))


@pytest.mark.parametrize("shape", [(2, 3, 8, 12), (2, 1, 8, 8), (3, 8, 8)])
def test_images_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"x has shape .*; expected \(N, 3, 8, 8\)"):
        vit(**SMALL)(torch.zeros(shape))
    hybrid = coatnet(**SMALL_HYBRID)
    assert isinstance(hybrid, CoAtNet)
    with pytest.raises(ValueError, match=r"x has shape .*; expected \(N, 3, 16, 8\)"):
        hybrid(torch.zeros(shape))
