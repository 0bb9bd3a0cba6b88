"""The page of experiments on inputs tells what the committed results say: in tables, pictures and sentences."""

import re
from statistics import mean, median

import pytest
from written_pages import assert_picture_drawn, assert_tables_written

from experiments import dimension, error_by_epsilon, minimal_norms, price, transferability
from experiments.minimal_norms import sizes
from experiments.verdicts import over_seeds
from tools import input_experiments
from tools.experiments import PICTURES, results


@pytest.fixture(scope="module")
def text():
    return input_experiments.PAGE.read_text("utf-8")


def test_the_page_is_up_to_date(tmp_path, text):
    stale = re.sub(r"(?<=verdict-)(right|wrong|unclear)", "unknown", text)
    assert_tables_written(text, input_experiments.contents(), stale, tmp_path / "input_experiments.md")
    assert set(re.findall(r"<!-- (\w+) -->", text)) == set(input_experiments.contents())


@pytest.mark.parametrize("name", sorted(input_experiments.drawn()))
def test_the_pictures_are_drawn_with_the_committed_numbers(name, text):
    shown, draw = input_experiments.drawn()[name]
    assert_picture_drawn(PICTURES / f"experiment-{name}.png", draw(shown), shown)
    assert f"](_static/experiment-{name}.png)" in text


def test_the_sign_the_steps_and_the_cliff(text):
    found = {
        (row["network"], row["eps"], row["attack"]): 100 * float(row["error"]) for row in results("error_by_epsilon")
    }

    def told(network, eps, *attacks):
        return [f"{found[network, f'{eps:.5f}', attack]:.0f}" for attack in attacks]

    lenet = told("lenet5_mnist", 0.2, "random signs", "scaled gradient", "FGSM")
    assert (
        "{} % of the digits under noise, {} % under the scaled gradient and {} % with the sign".format(*lenet) in text
    )
    left = 100 - found["resnet20_cifar10", f"{8 / 255:.5f}", "FGSM"]
    assert f"still has {left:.0f} % of the images right under FGSM at 8 levels of 255" in text
    assert told("resnet20_cifar10", 4 / 255, "PGD") == ["100"]  # "and none under PGD at half of that"
    one_level = told("resnet20_cifar10", 1 / 255, "PGD", "random signs")
    assert "takes ResNet-20 from 9 % to {} % wrong with PGD, and to {} % with noise".format(*one_level) in text
    assert f"wrong at {told('digits_cnn_digits', 0.4, 'random signs')[0]} %" in text
    trained = "wong_kolter_mnist_robust"
    assert f"has {found[trained, '0.30000', 'ensemble']:.1f} % of the digits wrong" in text
    assert told(trained, 0.375, "ensemble", "random signs") == ["100", "2"]
    assert found["lenet5_mnist", "0.30000", "ensemble"] == 100  # "where the plain one has none right"
    trained = error_by_epsilon.TRAINED
    more = [
        found[trained[data], f"{eps:.5f}", "ensemble"] - found[trained[data], f"{eps:.5f}", "PGD"]
        for data, eps in error_by_epsilon.TRAINED_EPS.items()
    ]
    assert "finds {:.1f} and {:.1f} points more than PGD".format(*more) in text


def test_the_nearest_mistakes_and_what_rounding_leaves_of_them(text):
    def far(network, attack, norm="2"):
        return median(sizes(network, attack, norm))

    def row_of(network, attack):
        return minimal_norms.row(network, attack)

    true = sizes("linear", "closed form")
    above = {
        attack: median(found / least for found, least in zip(sizes("linear", attack), true, strict=True)) - 1
        for attack in ("DeepFool", "L-BFGS", "Carlini–Wagner")
    }
    assert [round(100 * value, 1) for value in above.values()] == [0, 0, 0.3]  # "end at it … 0.3 % above"
    lenet, resnet = "lenet5_mnist", "resnet20_cifar10"
    three = ("Carlini–Wagner", "L-BFGS", "PGD")
    near = [far(lenet, attack) for attack in three]
    assert max(near) / min(near) < 1.03
    asked = [row_of(lenet, attack)["mean_queries"] for attack in three]
    assert "after {}, {} and {} questions about each image".format(*asked) in text
    assert f"was given {row_of(resnet, three[0])['mean_queries']} in place of {asked[0]}" in text
    assert [round(100 * (1 - far(resnet, attack) / far(resnet, three[0]))) for attack in three[1:]] == [14, 13]
    assert 1.5 < far(lenet, "FGSM") / min(near) < 1.6
    assert 3 < far(resnet, "FGSM") / far(resnet, three[0]) < 4
    jumps = [far(lenet, attack) / min(near) for attack in ("HopSkipJump", "HopSkipJump, 5,000")]
    assert round(jumps[0], 1) == 2.0
    assert 1.25 < jumps[1] < 1.3
    kept = {
        (network, attack): float(row_of(network, attack)["survived_rounding"])
        for network in (lenet, resnet)
        for attack in (*three, "FGSM", "DeepFool")
    }
    assert 0.2 < 1 - kept[lenet, three[0]] < 0.3  # "a quarter"
    assert round(3 * (1 - kept[resnet, three[0]])) == 2
    assert round(10 * (1 - kept[resnet, "PGD"])) == 9
    assert all(
        kept[network, "FGSM"] == max(kept[network, attack] for attack in (*three, "FGSM", "DeepFool"))
        for network in (lenet, resnet)
    )
    assert f"{far(resnet, 'L-BFGS'):.2f}" == "0.07"
    assert 0.3 < 255 * far(resnet, "L-BFGS") / 3072**0.5 < 0.36  # "a third of a level each"
    assert 0.4 < mean(size > 1 for size in sizes(resnet, "FGSM")) < 0.5  # "nearly half of the images"
    assert mean(size > 1 for size in sizes(resnet, "Carlini–Wagner")) < 0.05
    assert f"within {255 * far(resnet, 'PGD', 'inf'):.1f} of a level" in text


def test_more_pixels_are_not_easier_to_fool(text):
    def of(start, side, column="linf"):
        return mean(over_seeds("dimension", {"start": start, "side": side}, column))

    assert {f"{of('zero', side):.3f}" for side in (28, 56, 112)} == {"0.037"}
    assert "the least ε stays at 0.037" in text
    moved = {side: of("zero", side, "moved_by_signs") for side in dimension.SIDES}
    assert f"is {moved[28]:.0f} on 28 × 28 pixels and {moved[112]:.0f} on 112 × 112" in text
    assert f"on 7 × 7 the least ε is {of('zero', 7):.3f}" in text
    gains = [moved[side] / of("zero", side, "moved_by_noise") for side in (7, 112)]
    assert "from {:.0f} times on 7 × 7 to {:.0f} times on 112 × 112".format(*gains) in text
    assert of("zero", 28, "moved_by_noise") > 3 * of("zero", 112, "moved_by_noise")  # "the noise moves less"
    errors = [of(start, 112, "test_error") for start in ("zero", "drawn")]
    assert abs(errors[0] - errors[1]) < 0.005  # "the same number of errors", of a thousand
    assert round(of("zero", 112) / of("drawn", 112)) == 5  # "five times smaller"


def test_what_travels_is_not_the_architecture(text):
    def fooled(source, target):
        where = {"source": source, "target": target, "eps": transferability.AT}
        return mean(over_seeds("transferability", where, "fooled"))

    table = {
        target: {source: fooled(source, target) for source in transferability.KINDS} for target in transferability.KINDS
    }
    assert f"is fooled by {100 * table['lenet5']['lenet5']:.0f} % of the images made with LeNet-5" in text
    assert all(min(by, key=by.get) == "lenet5" != max(by, key=by.get) for by in table.values())
    assert table["linear"]["linear"] > 0.99  # "as if they were itself"
    assert 0.85 < table["mlp"]["linear"] < 0.95  # "nine times in ten"
    assert sum(max(by, key=by.get) != target for target, by in table.items()) == 2  # "two of the four kinds"


def test_what_robustness_costs_and_what_the_cheap_kind_saves(text):
    def right(trained, eps, column):
        return 100 * mean(over_seeds("price", {"trained": trained, "eps": eps}, column))

    plain, clean = right("plain", 0.0, "clean"), {eps: right("PGD", eps, "clean") for eps in price.EPS}
    assert f"{clean[0.1]:.1f} % right after training with PGD at ε 0.1, {plain:.1f} % after plain training" in text
    assert round((clean[0.1] - plain) / 100 * 359) == 2  # "which is two images more"
    assert f"{clean[0.2]:.1f} % at ε 0.2 and {clean[0.3]:.1f} % at 0.3" in text
    robust = {eps: right("PGD", eps, "robust") for eps in price.EPS}
    assert (
        f"trained at 0.2 has {robust[0.2]:.1f} % right and the one trained at\n0.1 itself has {robust[0.1]:.1f}" in text
    )
    bought = [right(kind, 0.1, "robust") - right("plain", 0.0, "robust") for kind in ("noise", "PGD")]
    assert "buys {:.0f} points of the {:.0f} that PGD buys".format(*bought) in text
    times = [mean(right(kind, eps, "cpu_seconds") for eps in price.EPS) for kind in ("one step", "PGD")]
    assert f"takes {times[0] / times[1]:.2f} of the time" in text
    own, weak = right("one step", 0.3, "robust_own"), right("one step", 0.3, "robust_own_fgsm")
    assert f"{own:.1f} % of the images withstand" in text
    assert f"finds {weak:.1f} % right" in text
    assert right("PGD", 0.05, "robust_own") - right("one step", 0.05, "robust_own") < 1
    both = [right("PGD", 0.3, column) for column in ("robust_own_fgsm", "robust_own")]
    assert "finds {:.1f} % right and the ensemble {:.1f} %".format(*both) in text
    attacked = [("PGD", eps) for eps in price.EPS] + [("one step", eps) for eps in price.EPS]
    assert all(right(*which, "robust_own_fgsm") > right(*which, "robust_own") for which in attacked)
