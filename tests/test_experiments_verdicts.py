"""Predictions are judged by their rules."""

import pytest

from cnnlib.files import write_csv
from experiments import harness, verdicts
from experiments.harness import append, read
from experiments.verdicts import HOLDS, REFUTED, UNDECIDED
from tools import experiments

COMMITTED = harness.RESULTS


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A folder of results for a test to fill."""
    monkeypatch.setattr(harness, "RESULTS", tmp_path)
    monkeypatch.setenv("CNNLIB_RUNS", str(tmp_path / "runs"))
    return tmp_path


def test_three_seeds_are_found_where_they_are_asked_for(results):
    rows = [{"net": net, "images": 10, "seed": s, "error": s / 10} for net in ("a", "b") for s in (2, 0, 1)]
    append(results / "tried.csv", rows)
    assert verdicts.over_seeds("tried", {"net": "a", "images": 10}, "error") == [0.0, 0.1, 0.2]
    with pytest.raises(ValueError, match=r"tried.csv has seeds .*'1', '2', '2'\] where \{'images': 10\}"):
        verdicts.over_seeds("tried", {"images": 10}, "error")
    with pytest.raises(ValueError, match=r"has seeds \[\] where .*; expected 0, 1 and 2"):
        verdicts.over_seeds("tried", {"net": "c"}, "error")


def test_means_decide_or_ranges_do():
    apart, near, overlapping = [1, 2], [3, 4], [2, 3.5]
    assert verdicts.means_in_order(apart, near) == verdicts.means_in_order(apart, overlapping) == HOLDS
    assert verdicts.means_in_order(near, near) == verdicts.means_in_order(near, apart) == REFUTED
    assert verdicts.ranges_in_order(apart, near) == HOLDS
    assert verdicts.ranges_in_order(near, apart) == REFUTED
    assert verdicts.ranges_in_order(apart, overlapping) == verdicts.ranges_in_order(overlapping, near) == UNDECIDED
    assert verdicts.all_of([HOLDS, HOLDS]) == HOLDS


def features(row):
    learned = 0.6 if row["images"] == "300" else 0.3
    errors = {"pixels": 0.9, "untrained network": 0.8, "hog": 0.5, "sift": 0.5, "trained network": learned}
    return {"test_error": errors[row["features"]]}


def dense(row):
    conv = {"300": 0.1, "1000": 0.12}.get(row["images"], 0.15) if row["pixels"] == "in place" else 0.5
    errors = {"convolutional": conv, "local, equal macs": 0.2, "full, equal macs": 0.3}
    return {"test_error": errors.get(row["network"], 0.4)}


def depth(row):
    field = int(row["field"])
    answers = 1.0 if field >= int(row["object"]) else 0.5
    return {"test_accuracy": answers, "effective_field_untrained": field - 1, "effective_field": field}


def degradation(row):
    if "layer" in row:
        return {"gradient_norm": 0.5, "weight_norm": 0.5}
    return {
        "clean_train_loss": {"plain20": 0.3, "plain44": 0.7, "residual44": 0.1}.get(row["network"] + row["depth"], 0.2)
    }


def kernel_sizes(row):
    return {"test_error": {"one 7x7": 0.3, "three 3x3": 0.2}.get(row["block"], 0.4)}


def all_convolutional(row):
    dense_head = row["head"] == "fully connected"
    error = {"All": 0.2, "ConvPool": 0.3, "model C": 0.2, "strided C": 0.3}[row["stages"]]
    return {"test_error": error + 0.1 * dense_head, "train_losses": "2 0.1" if dense_head else "2 0.2"}


def normalisation(row):
    error = 0.2 if row["normalisation"] == "none" else 0.1
    return {"test_error": error, "train_losses": "1 0" if row["normalisation"] == "batch" else "2 0"}


def fine_tuning(row):
    many, longer = row["images"] == "1000", row["steps"] == "1200"
    scratch = 0.25 if longer else 0.4 if many else 0.5
    learned = 0.19 if many and row["trained"] == "all" else 0.2
    return {"test_error": learned if row["start"] == "labels" else scratch}


def hybrid(row):
    behind = 0.1 if row["images"] == "2500" else 0.06
    return {"test_error": {"resnet20": 0.3, "vit": 0.3 + behind}.get(row["network"], 0.2)}


AS_PREDICTED = {name: globals()[name] for name in experiments.JUDGED}  # the functions above, by their names


@pytest.mark.parametrize("name", experiments.JUDGED)
def test_results_as_predicted_hold_and_the_opposite_does_not(name, results):
    files = {file: read(COMMITTED / f"{file}.csv") for file in (name, f"{name}_layers")}
    for file, rows in files.items():
        if rows:
            write_csv(results / f"{file}.csv", list(rows[0]), [{**row, **AS_PREDICTED[name](row)} for row in rows])
    assert {verdict.outcome for verdict in experiments.JUDGED[name]()} == {HOLDS}
    rows = files[name]
    for row in rows:
        made = AS_PREDICTED[name](row)
        row |= {key: 0.9 - value for key, value in made.items() if not isinstance(value, str)}
    write_csv(results / f"{name}.csv", list(rows[0]), rows)
    assert REFUTED in {verdict.outcome for verdict in experiments.JUDGED[name]()}


def test_a_layer_that_hardly_moves_refutes_that_gradients_do_not_vanish(results):
    for file in ("degradation", "degradation_layers"):
        rows = [{**row, **degradation(row)} for row in read(COMMITTED / f"{file}.csv")]
        for row in rows:
            if (row["network"], row["depth"], row.get("epoch"), row.get("position")) == ("plain", "44", "5", "7"):
                row["gradient_norm"] = 0.04
        write_csv(results / f"{file}.csv", list(rows[0]), rows)
    assert [verdict.outcome for verdict in experiments.JUDGED["degradation"]()] == [HOLDS, HOLDS, REFUTED]
