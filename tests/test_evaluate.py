"""Evaluation: exact on small examples, whatever the batches; it leaves the model as it was."""

import pytest
import torch
from small_training import digits, network
from torch import nn
from torch.nn import functional as F

from cnnlib.evaluate import PRECISIONS, autocast, evaluate


class Fixed(nn.Module):
    """Logits that are the first values of each image."""

    def forward(self, x):
        return x.flatten(1)


LOGITS = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 5.0]])


def test_a_small_example_by_hand():
    result = evaluate(Fixed(), LOGITS.view(4, 3, 1, 1), torch.tensor([0, 1, 2, 2]))
    assert result.accuracy == 0.75
    assert result.confusion.tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 1]]  # row: true; column: answered
    picked = LOGITS[range(4), [0, 1, 2, 2]]
    assert result.loss == pytest.approx((LOGITS.exp().sum(1).log() - picked).mean().item(), rel=1e-6)


@pytest.mark.parametrize("batch_size", [1, 3, 37, 1000])
def test_the_size_of_the_batches_does_not_matter(batch_size):
    model, (images, labels) = network(), digits(37)
    result = evaluate(model, images, labels, batch_size=batch_size)
    with torch.no_grad():
        logits = model.eval()(images.float() / 255)
    assert result.loss == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-5)
    assert result.accuracy == (logits.argmax(1) == labels).sum().item() / 37
    assert result.confusion.sum() == 37
    for true in range(10):
        for answered in range(10):
            both = ((labels == true) & (logits.argmax(1) == answered)).sum()
            assert result.confusion[true, answered] == both


def test_classes_that_no_image_has_are_in_the_matrix():
    result = evaluate(Fixed(), LOGITS.view(4, 3, 1, 1), torch.zeros(4, dtype=torch.int64))
    assert result.confusion.tolist() == [[1, 2, 1], [0, 0, 0], [0, 0, 0]]


def test_the_model_is_left_as_it_was():
    model = network()
    model[1].eval()
    model[0].weight.grad = torch.ones_like(model[0].weight)
    modes = [module.training for module in model.modules()]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(3)
    draws = torch.get_rng_state()
    evaluate(model, *digits(37))
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(model[0].weight.grad, torch.ones_like(model[0].weight))
    assert torch.equal(torch.get_rng_state(), draws)
    assert torch.is_grad_enabled()
    with pytest.raises(ValueError, match="labels run"):
        evaluate(model, digits(5)[0], digits(5)[1] + 7)
    assert [module.training for module in model.modules()] == modes


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision(precision):
    model, (images, labels) = network(), digits(37)
    seen = []
    model[6].register_forward_hook(lambda module, args, output: seen.append(output.dtype))
    mixed, exact = (evaluate(model, images, labels, precision=name) for name in (precision, "float32"))
    assert seen == [PRECISIONS[precision], torch.float32]
    assert mixed.loss == pytest.approx(exact.loss, rel=0.02)
    assert mixed.loss != exact.loss


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.zeros(0, 3, 1, 1), torch.zeros(0, dtype=torch.int64)), r"images is torch.float32 \(0, 3, 1, 1\)"),
        ((torch.zeros(3, 1, 1), torch.zeros(3, dtype=torch.int64)), r"expected \(N, C, H, W\) of uint8 or floats"),
        ((torch.zeros(2, 3, 1, 1).int(), torch.zeros(2, dtype=torch.int64)), "images is torch.int32"),
        ((torch.zeros(2, 3, 1, 1), torch.zeros(3, dtype=torch.int64)), r"labels is torch.int64 \(3,\); expected int64"),
        ((torch.zeros(2, 3, 1, 1), torch.zeros(2)), r"labels is torch.float32 \(2,\); expected int64 of shape \(2,\)"),
        ((torch.zeros(2, 3, 1, 1), torch.tensor([0, 3])), "labels run from 0 to 3; expected 0 to 2, as the model has"),
        ((torch.zeros(2, 3, 1, 1), torch.tensor([-1, 2])), "labels run from -1 to 2; expected 0 to 2"),
    ],
    ids=["empty", "rank", "integers", "too many labels", "float labels", "too large", "negative"],
)
def test_bad_data_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        evaluate(Fixed(), *arguments)


def test_other_bad_arguments_are_named():
    for model, message in (
        (nn.Identity(), r"model returns \(4, 3, 1, 1\); expected logits of shape \(4, classes\)"),
        (nn.Flatten(0), r"model returns \(12,\); expected logits of shape \(4, classes\)"),
        (nn.MaxPool2d(1, return_indices=True), "model returns tuple; expected logits"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate(model, LOGITS.view(4, 3, 1, 1), torch.tensor([0, 1, 2, 2]))
    with pytest.raises(ValueError, match="batch_size is 0; expected an integer of at least 1"):
        evaluate(Fixed(), LOGITS.view(4, 3, 1, 1), torch.tensor([0, 1, 2, 2]), batch_size=0)
    with pytest.raises(ValueError, match="precision is 'int8'; expected one of 'float32', 'bfloat16', 'float16'"):
        autocast(torch.device("cpu"), "int8")
