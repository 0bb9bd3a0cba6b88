"""The sentences of the page of experiments on inputs that tell of pixels, stickers, certificates, maps and landscapes."""

from statistics import mean

import pytest

from experiments import attribution_randomised, harness
from experiments.verdicts import over_seeds
from tools import input_experiments


@pytest.fixture(scope="module")
def text():
    return input_experiments.PAGE.read_text("utf-8").replace("\n", " ")


def average(name, column, **where):
    """Return the mean over the seeds, in per cent."""
    return 100 * mean(over_seeds(name, where, column))


def test_what_maps_have_on_objects(text):
    def share(method, which):
        return average("attribution_located", "share", method=method, network=which)

    methods = attribution_randomised.METHODS
    trained, gains = (
        {method: share(method, "trained") - part * share(method, "untrained") for method in methods} for part in (0, 1)
    )
    area = average("attribution_located", "area", method="saliency", network="trained")
    assert f"would have {area:.0f} % there" in text
    assert max(trained, key=trained.get) == "guided backprop"
    assert f"with {trained['guided backprop']:.0f} % on the object" in text
    assert f"gains {gains['guided backprop']:.0f} points where saliency gains {gains['saliency']:.0f}" in text
    assert 45 < share("guided backprop", "untrained") < 55  # "half of that lies on the ground"
    assert min(trained, key=trained.get) == "occlusion"
    assert 30 < 100 - trained["Grad-CAM"] < 35  # "a third of Grad-CAM's"
    assert abs(share("Grad-CAM", "untrained") - area) < 0.5  # "as much as of a map that says nothing"


def test_what_maps_notice_of_random_layers(text):
    def after(method, layers):
        rows = harness.read(harness.RESULTS / "attribution_randomised.csv")
        return mean(float(row["by_layer"].split()[layers - 1]) for row in rows if row["method"] == method)

    first = {method: after(method, 1) for method in attribution_randomised.METHODS}
    guided = first.pop("guided backprop")
    told = f"correlate by {guided:.2f} with what they were, those of the others by "
    assert f"{told}{min(first.values()):.2f} to {max(first.values()):.2f}" in text
    halfway = [after(method, 19) for method in ("guided backprop", "saliency")]
    assert "still has twice what saliency has, {:.2f} against {:.2f}".format(*halfway) in text
    assert 1.8 < halfway[0] / halfway[1] < 2.2
    assert f"{after('deconvnet', 3):.2f} is left once the last convolution is gone" in text
    end = [after(method, 39) for method in ("integrated gradients", "saliency")]
    assert "keep {:.2f} with every layer random, where saliency keeps {:.2f}".format(*end) in text


def test_what_arrives_behind_the_printer(text):
    def of(attack, column):
        return average("physical", column, attack=attack)

    nothing = of("nothing", "print_fooled")
    assert f"About {nothing:.0f} % of the printed views of an unchanged image" in text
    lengths = [of(attack, "l2") / 100 for attack in ("nearest", "PGD", "EOT through print", "FGSM")]
    assert "a change of length {:.2f} where PGD's is {:.2f}".format(*lengths) in text
    assert "its length is {2:.2f}".format(*lengths) in text
    assert "a length of {3:.2f}".format(*lengths) in text
    assert 40 < 100 - of("nearest", "fooled") < 50  # "nearly half of them"
    assert abs(of("nearest", "print_fooled") - nothing) < 0.5  # "as often as nothing does"
    assert of("nearest, stretched", "print_fooled") - nothing < 3  # "hardly better"
    assert of("PGD", "fooled") == 100
    assert round(of("PGD", "print_fooled") - nothing) == 8  # "eight points more"
    assert f"fools in {of('EOT through print', 'print_fooled'):.0f} % of the prints" in text
    assert f"it fools on no more than {of('EOT through print', 'fooled'):.0f} %" in text
    destroyed = [of(attack, "print_destroyed") for attack in ("PGD", "FGSM")]
    assert "{:.0f} % of PGD's images destroyed and {:.0f} % of FGSM's".format(*destroyed) in text
