"""Rows of experiments on inputs as they would be if all went as predicted, or if it went wrong."""

import numpy as np

from experiments.landscapes import LINE, places


def few_pixels(row, wrong):
    place = row["data"] + row["pixels"]
    evolution = {"digits1": 0.58, "cifar101": 0.2, "cifar105": 0.5}[place]
    found = {"everything": 0.6, "evolution": evolution, "luck": evolution / 2}
    if wrong:
        found = {"everything": 0.9, "evolution": 0.3 if row["data"] == "digits" else 0.5, "luck": 0.7}
    return {"fooled": found[row["search"]]}


def universal(row, wrong):
    if row["perturbation"] == "random signs":
        return {"test_fooled": 0.2 if wrong else 0.1}
    return {"train_fooled": 0.65, "test_fooled": 0.3 if wrong else 0.6}


def patch(row, wrong):
    found = {"patch": 0.4, "picture": 0.3} if wrong else {"patch": 0.7, "picture": 0.2}
    return {"test_taken": found.get(row["sticker"], 0.2 if wrong else 0.01)}


def physical(row, wrong):
    attack = row["attack"].split(" through ")[0]
    found = {"nothing": 0.2, "PGD": 0.5, "EOT": 0.8, "nearest": 0.25, "random signs": 0.22}
    destroyed = {"FGSM": 0.1, "PGD": 0.3}
    if wrong:
        found = {"nothing": 0.6, "PGD": 0.7, "EOT": 0.65, "nearest": 0.8, "random signs": 0.7}
        destroyed = {"FGSM": 0.3, "PGD": 0.1}
    fooled = found.get(attack, 0.5)
    return {"views_fooled": fooled, "print_fooled": fooled, "print_destroyed": destroyed.get(attack, 0.2)}


def certified(row, wrong):
    share, radius = {"0.12": (1, 0.29), "0.25": (0.9, 0.4), "0.5": (0.8, 0.9)}[row["sigma"]]
    withstand = {"withstand_attack": 0.7, "withstand_direction": 0.8}
    if wrong:
        share, radius = {"0.12": (0.5, 0.05), "0.25": (1, 0.6), "0.5": (0.9, 0.3)}[row["sigma"]]
        withstand = {"withstand_attack": 0.4, "withstand_direction": 0.3}
    if row["training"] == "plain":
        share, radius = 1, 1.2 if wrong else 0.01
    radii = [str(radius if i < 10 * share else 0.0) for i in range(10)]
    return {
        "radii": " ".join(radii),
        "certified": 0.5,
        "contradicted_attack": int(wrong),
        "contradicted_direction": 0,
        **withstand,
    }


def attribution_randomised(row, wrong):
    stays = row["method"] in ("guided backprop", "deconvnet")
    alike = (row["method"] == "integrated gradients") != wrong
    return {"halfway": 0.8 if stays != wrong else 0.2, "at_the_end": 0.4 if alike else 0.1}


def attribution_labels(row, wrong):
    kept = 1.3 if wrong else {"guided backprop": 0.8}.get(row["method"], 0.3)
    return {"alike": 0.5 if row["labels"] == "theirs" else 0.5 * kept, "known": 1}


def attribution_located(row, wrong):
    trained = row["network"] == "trained"
    before, gain = (0.4, -0.1) if wrong else (0.5, 0.2)
    gain = gain / 4 if row["method"] == "guided backprop" else gain
    return {"share": before + gain * trained, "area": 0.45}


def landscapes(row, wrong):
    d = np.array(places(LINE))
    steep = (row["network"] == "plain") != wrong and row["depth"] == "44"
    losses = 4 * d**2 + steep * (40 * d**2 + 5 * (np.arange(LINE) % 2 == 0) * (d != 0))
    if wrong and row["depth"] == "20":
        losses = losses * (400 if row["network"] == "plain" else 1)
    return {"losses": " ".join(map(str, losses))}


MADE = {
    made.__name__: made
    for made in (
        certified,
        few_pixels,
        universal,
        patch,
        physical,
        attribution_randomised,
        attribution_labels,
        attribution_located,
        landscapes,
    )
}
