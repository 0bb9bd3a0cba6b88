"""What is said about networks that were trained against an attack: sums, verdicts, and where they are written."""

import json
import shutil

import pytest

from cnnlib import weights
from experiments import harness, robust_networks
from experiments.harness import append
from experiments.robust_networks import ENSEMBLE, NAMES, ORIGINAL, crc, path, record, totals, verdicts
from experiments.verdicts import HOLDS, REFUTED

WHOLE = {NAMES[0]: 359, NAMES[1]: 1000}


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """A function that fills the results: shares of the digits and of MNIST that are kept under each attack."""
    shutil.copytree(weights.SHIPPED, tmp_path / "weights")
    for module in (harness, robust_networks):
        monkeypatch.setattr(module, "RESULTS", tmp_path)
    monkeypatch.setattr(weights, "SHIPPED", tmp_path / "weights")
    monkeypatch.setenv("CNNLIB_RUNS", str(tmp_path / "runs"))

    def fill(kept, sound=True, twin=None):
        for name, shares in zip(NAMES, kept, strict=True):
            for attack, share in zip((ENSEMBLE, ORIGINAL), shares, strict=True):
                about = {"weights": name, "seed": 0, "crc32": crc(path(name, 0)), "attack": attack, "eps": 0.25}
                append(tmp_path / "robust_networks.csv", [about | part for part in parts(WHOLE[name], share)])
        if twin is not None:
            about = {"weights": NAMES[1], "seed": 2, "crc32": "any", "attack": ENSEMBLE, "eps": 0.25}
            append(tmp_path / "robust_networks.csv", [about | part for part in parts(1000, twin)])
        append(tmp_path / "robust_diagnosis.csv", [{"what": "restarts", "sound": sound}] * 2)

    return fill


def parts(images, share):
    half = images // 2
    for n in (half, images - half):
        yield {"images": n, "right": n, "robust": round(share * n)}


def test_as_predicted(made_up):
    made_up([(0.4, 0.398), (0.85, 0.845)])
    assert [verdict.outcome for verdict in verdicts()] == [HOLDS] * 4


@pytest.mark.parametrize(
    ("kept", "sound", "refuted"),
    [
        ([(0.24, 0.24), (0.85, 0.85)], True, 0),
        ([(0.4, 0.4), (0.85, 0.79)], True, 1),
        ([(0.4, 0.4), (0.85, 0.83)], True, 2),
        ([(0.4, 0.4), (0.85, 0.85)], False, 3),
    ],
)
def test_otherwise(made_up, kept, sound, refuted):
    made_up(kept, sound)
    assert verdicts()[refuted].outcome == REFUTED


def test_only_whole_sets_of_rows_about_these_very_weights_count(made_up):
    made_up([(0.4, 0.4), (0.85, 0.85)])
    assert totals(NAMES[1])[ENSEMBLE] == {"images": 1000, "right": 1000, "robust": 850, "eps": 0.25}
    results = robust_networks.RESULTS / "robust_networks.csv"
    results.write_text("".join(results.read_text("utf-8").splitlines(keepends=True)[:-1]), "utf-8")
    assert list(totals(NAMES[1])) == [ENSEMBLE]
    path(NAMES[0], 0).write_bytes(b"others")
    assert totals(NAMES[0]) == {}


def test_the_figures_are_written_beside_the_weights_and_nothing_else_changes(made_up):
    before = weights.provenance(NAMES[1])
    made_up([(0.4, 0.4), (0.85, 0.84)], twin=0.8)
    record(NAMES[1])
    after = weights.provenance(NAMES[1])
    common = {"norm": "inf", "eps": 0.25, "images": 1000, "every": 10, "clean_accuracy": 1.0}
    expected = [
        {"attack": ENSEMBLE, **common, "accuracy": 0.85, "accuracy_of_other_seeds": {"2": 0.8}},
        {"attack": ORIGINAL, **common, "accuracy": 0.84, "accuracy_of_other_seeds": {}},
    ]
    assert after == {**before, "robust": expected}


@pytest.mark.parametrize("name", NAMES)
def test_the_provenance_is_that_of_the_committed_rows(name):
    said = {found["attack"]: found for found in weights.provenance(name)["robust"]}
    sums = totals(name)
    assert said.keys() == sums.keys() >= {ENSEMBLE}
    for attack, total in sums.items():
        assert said[attack]["accuracy"] == total["robust"] / total["images"]
        assert said[attack]["images"] == WHOLE[name]


def test_what_the_shipped_networks_are_asked_for():
    digits, mnist = (json.loads(path(name, 0).with_suffix(".json").read_text("utf-8")) for name in NAMES)
    assert digits["test_accuracy"] >= 0.94
    assert all(found["accuracy"] >= 0.25 * found["clean_accuracy"] for found in digits["robust"])
    assert all(found["accuracy"] >= 0.8 for found in mnist["robust"])
