"""Sentences of the page of experiments on inputs: of pixels, stickers, certificates, maps and landscapes."""

import math
from statistics import mean, median

import numpy as np
import pytest

from experiments import attribution_labels, attribution_randomised, certified, few_pixels, harness, landscapes
from experiments.verdicts import over_seeds
from tools import input_experiments, input_findings


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
    assert f"gains least, {gains['occlusion']:.0f} points" in text
    assert min(gains, key=gains.get) == "occlusion"
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
    without = [after(method, 3) for method in ("deconvnet", "saliency", "guided backprop")]  # logits, norm, convolution
    told = "deconvnet, with the first, has {:.2f} left; saliency, with the second, {:.2f}; guided backprop, with both, "
    assert (told + "{:.2f}").format(*without) in text
    end = [after(method, 39) for method in ("integrated gradients", "saliency")]
    assert "keep {:.2f} with every layer random, where saliency keeps {:.2f}".format(*end) in text


def test_what_maps_notice_of_shuffled_labels(text):
    def alike(method, labels):
        return mean(over_seeds("attribution_labels", {"method": method, "labels": labels}, "alike"))

    def right(labels):
        found = over_seeds("attribution_labels", {"method": "saliency", "labels": labels}, "right")
        return min(found), max(found)

    assert "has {:.0f} to {:.0f} % right, where a guess".format(*(100 * share for share in right("shuffled"))) in text
    assert "true labels has {:.0f} to {:.0f} % right".format(*(100 * share for share in right("theirs"))) in text
    assert min(over_seeds("attribution_labels", {"method": "saliency", "labels": "shuffled"}, "known")) == 1
    guided = [alike("guided backprop", labels) for labels in ("shuffled", "theirs")]
    assert f"guided backprop correlate by {guided[0]:.2f} with those of a network" in text
    assert f"Two networks that learned the labels have {guided[1]:.2f}" in text
    methods = attribution_randomised.METHODS
    theirs, shuffled, none = (
        {method: alike(method, labels) for method in methods} for labels in attribution_labels.LABELS
    )
    kept = {method: shuffled[method] / theirs[method] for method in methods}
    assert sorted(kept.values())[1] >= 0.75  # "five keep three quarters or more"
    assert f"Integrated gradients have {none['integrated gradients']:.2f} then" in text
    assert f"which multiplies by nothing, has {none['guided backprop']:.2f}" in text
    taken = {m: 100 * (theirs[m] - shuffled[m]) / (theirs[m] - none[m]) for m in sorted(methods)}
    cam, deconvnet, guided, integrated, occlusion, saliency = taken.values()
    told = f"{cam:.0f} % from Grad-CAM, {guided:.0f} from guided backprop, {deconvnet:.0f} from deconvnet, "
    told += (
        f"{integrated:.0f} from integrated gradients, {saliency:.0f} from saliency and {occlusion:.0f} from occlusion"
    )
    assert told in text
    assert "Grad-CAM goes from {:.2f} to {:.2f} by learning".format(none["Grad-CAM"], shuffled["Grad-CAM"]) in text
    assert 0.25 < 1 - mean(right("theirs")) < 0.4  # "wrong about a third"


def test_what_arrives_behind_the_printer(text):
    def of(attack, column):
        return average("physical", column, attack=attack)

    assert {row["images"] for row in harness.read(harness.RESULTS / "physical.csv")} == {"37"}
    assert "of 37 images that are right as files" in text
    nothing = of("nothing", "print_fooled")
    assert f"About {nothing:.0f} % of the printed views of an unchanged image" in text
    lengths = [of(attack, "l2") / 100 for attack in ("nearest", "PGD", "EOT through print", "FGSM")]
    assert "a change of length {:.2f} where PGD's is {:.2f}".format(*lengths) in text
    assert "Its length is {2:.2f}".format(*lengths) in text
    assert "a length of {3:.2f}".format(*lengths) in text
    assert 40 < 100 - of("nearest", "fooled") < 50  # "nearly half of them"
    assert abs(of("nearest", "print_fooled") - nothing) < 0.5  # "as often as nothing does"
    assert of("nearest, stretched", "print_fooled") - nothing < 3  # "hardly better"
    assert of("PGD", "fooled") == 100
    assert round(of("PGD", "print_fooled") - nothing) == 8  # "eight points more"
    assert f"fools in {of('EOT through print', 'print_fooled'):.0f} % of the prints" in text
    assert f"made for another, has {of('EOT through views', 'print_fooled') - nothing:.0f} points more" in text
    assert f"it fools on no more than {of('EOT through print', 'fooled'):.0f} %" in text
    destroyed = [of(attack, "print_destroyed") for attack in ("PGD", "FGSM")]
    assert "{:.0f} % of PGD's images destroyed and {:.0f} % of FGSM's".format(*destroyed) in text
    signs = of("random signs", "print_destroyed")
    assert f"lose {signs:.0f} % of the few that fool, no more than FGSM" in text
    assert signs < destroyed[1]
    assert abs(of("random signs", "l2") - of("FGSM", "l2")) < 0.1  # "as long"


def test_one_pixel_spoils_most_digits_and_luck_finds_it_too(text):
    rows = {
        (row["data"], row["search"], row["pixels"], row["seed"]): row
        for row in harness.read(harness.RESULTS / "few_pixels.csv")
    }
    everything = rows["digits", "everything", "1", "0"]
    assert f"Of the digits {100 * float(everything['fooled']):.0f} % have a pixel that spoils them" in text
    assert median(map(int, everything["ways"].split())) == 9  # "half of those have nine ways or more"

    def fooled(data, search, pixels=1):
        return average("few_pixels", "fooled", data=data, search=search, pixels=pixels)

    found = [fooled("digits", search) / float(everything["fooled"]) for search in ("evolution", "luck")]
    assert "Evolution finds {:.0f} % of them with 800 queries, luck {:.0f} %".format(*found) in text
    assert 0.5 < 1 - (1 - 1 / 1088) ** 799 < 0.54  # "about half of all the changes"
    for pixels, told in (("1", {4, 5}), ("5", {9, 14})):  # "four or five images of 37", "nine to fourteen"
        images = {
            round(37 * float(rows["cifar10", search, pixels, str(seed)]["fooled"]))
            for search in few_pixels.POPULATION
            for seed in (0, 1, 2)
        }
        assert {min(images), max(images)} == {min(told), max(told)}


def test_one_perturbation_adds_two_classes_and_a_coin_does_nearly_as_well(text):
    def fooled(kind, eps):
        return average("universal", "test_fooled", perturbation=kind, eps=eps)

    assert f"fool ResNet-20 on {fooled('universal', 5):.0f} % of the images" in text
    assert f"fitted to nothing, fool {fooled('random signs', 20):.0f} % of the images" in text
    assert f"At 5 of 255 the coin fools {fooled('random signs', 5):.0f} %" in text
    assert 80 < fooled("universal", 20) < 85  # "four fifths"
    lost = average("universal", "train_fooled", perturbation="universal", eps=10) - fooled("universal", 10)
    assert f"the perturbation of 10 is {lost:.0f} points weaker" in text
    own = [average("universal", "train_fooled", perturbation="universal", eps=eps) for eps in (20, 10)]
    assert "that it was fitted on, {:.0f} % where that of 10 fools {:.0f}".format(*own) in text
    shares = []
    for row in harness.read(harness.RESULTS / "universal.csv"):
        taken = [int(count) for count in row["test_taken_for"].split()]
        if (row["perturbation"], row["eps"]) == ("universal", "5"):
            shares.append((taken[2] + taken[3]) / sum(taken))  # birds and cats
        if (row["perturbation"], row["eps"]) == ("random signs", "20"):
            assert 0.75 < (taken[2] + taken[6]) / sum(taken) < 0.85  # "most … into birds and frogs", "four fifths"
    assert f"{100 * mean(shares):.1f} % of those fooled by the perturbation of 5" in text


def test_a_small_sticker_fails_and_a_wider_one_does_not(text):
    def taken(kind, width, column="test_taken"):
        return average("patch", column, sticker=kind, width=width)

    assert f"the patch fails: {taken('patch', 0.25):.0f} % of the test images" in text
    assert taken("patch", 0.25, "train_taken") < taken("patch", 0.25)  # "and no more of those that it was fitted on"
    wide = [taken(kind, 0.375) for kind in ("patch", "picture", "random colours")]
    assert "it has {:.0f} %, where a picture of the target has {:.0f} % and confetti {:.0f} %".format(*wide) in text
    by_target = over_seeds("patch", {"sticker": "patch", "width": 0.375}, "test_taken")
    assert max(by_target) == by_target[1]
    assert f"the most successful of the three, {100 * by_target[1]:.0f} %" in text
    assert 0.1 < math.pi * (0.375 / 2) ** 2 < 0.115  # "a tenth of their area"


def test_the_valley_of_the_deep_plain_network_is_high_and_not_torn(text):
    lines = landscapes.lines()
    width = {which: mean(map(landscapes.half_width, of)) for which, of in lines.items()}
    assert "apart by width, {:.2f} and {:.2f}".format(*(width[which, 44] for which in ("plain", "residual"))) in text
    assert 1.2 < width["residual", 20] / width["plain", 20] < 1.3  # "by a quarter"
    middle = [mean(line[landscapes.LINE // 2] for line in lines[which, 44]) for which in ("plain", "residual")]
    assert "its loss is {:.2f} where its twin's is {:.2f}".format(*middle) in text
    places = landscapes.places(landscapes.LINE)
    for line in lines["plain", 44]:
        second = np.diff(line, 2)
        assert (second < 0).sum() == 2  # "at two places of nine"
        assert min(abs(places[i + 1]) for i in np.flatnonzero(second < 0)) >= 0.29  # "never nearer than 0.3"


def test_the_deep_residual_network_has_the_deeper_hollow_and_not_the_wider(text):
    planes = {name: np.array(losses) for name, losses in input_findings.planes().items()}
    assert list(planes) == ["plain, 44 layers", "residual, 44 layers"]
    edges, better = [], []
    for losses in planes.values():
        around = np.pad(losses, 1, constant_values=np.inf)
        windows = np.lib.stride_tricks.sliding_window_view(around, (3, 3))
        assert np.argwhere(losses == windows.min((2, 3))).tolist() == [[4, 4]]  # "a single hollow"
        inside = np.zeros_like(losses, bool)
        inside[1:-1, 1:-1] = True
        edges.append(median(losses[~inside]))
        better.append((losses < math.log(10)).sum())
    plain, residual = edges
    assert f"the median loss is {residual:.1f} around it and {plain:.1f} around its plain twin" in text
    assert f"at {better[1]} of the places its loss is below that of guessing, at {better[0]} the plain" in text
    assert planes["residual, 44 layers"].min() < planes["plain, 44 layers"].min()


def test_how_much_is_certified_and_what_withstands(text):
    def share(radius, data, sigma, training="noisy"):
        return 100 * mean(certified.certified(radius, data=data, training=training, sigma=sigma))

    half = [share(0.5, data, sigma) for data in ("digits", "mnist") for sigma in (0.25, 0.5)]
    assert (
        "σ = 0.25 certifies {:.0f} % and 0.5 only {:.0f} %; on MNIST it is {:.0f} % and {:.0f} %".format(*half) in text
    )
    assert f"prove {certified.CEILING:.2f} σ" in text
    at_sigma = [share(0.5, data, 0.5, kind) for data in ("digits", "mnist") for kind in ("plain", "noisy")]
    assert "goes from {:.0f} to {:.0f} % on the digits and from {:.0f} to {:.0f} % on MNIST".format(*at_sigma) in text
    rows = harness.read(harness.RESULTS / "certified.csv")
    assert len(rows) == 36  # "36 trials"
    attack, direction = (
        100 * mean(float(row[f"withstand_{name}"]) for row in rows) for name in ("attack", "direction")
    )
    assert f"Over all settings {attack:.0f} % of the images withstand it, and {direction:.0f} % a random" in text
    withstand = average("certified", "withstand_attack", data="digits", training="noisy", sigma=0.5)
    assert f"{withstand:.0f} % withstand and {at_sigma[1]:.0f} % are certified" in text
    withstand = average("certified", "withstand_attack", data="mnist", training="noisy", sigma=0.5)
    assert f"on MNIST {withstand:.0f} and {at_sigma[3]:.0f}, a point short" in text
    assert 0.5 < 10 - (withstand - at_sigma[3]) < 1.5
    per_seed = [certified.certified(0.5, data="mnist", training="noisy", sigma=sigma) for sigma in (0.25, 0.5)]
    assert min(per_seed[0]) < max(per_seed[1])  # "with overlapping seeds"
