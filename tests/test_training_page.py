"""What book/training.md says: its commands are understood, its scripts well-formed, its messages the program's."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from torch.distributed.run import get_args_parser

from cnnlib.command import evaluate_options, train_options, with_usual
from experiments.harness import RESULTS, read

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "book" / "training.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SHELL = [text for language, text in BLOCKS if language == "sh"]
YAML = [text for language, text in BLOCKS if language == "yaml"]


def commands():
    """Every command of the page, in words; those of the Kubernetes example too."""
    pods = [document for text in YAML for document in yaml.safe_load_all(text) if document["kind"] == "Job"]
    lines = [line for text in SHELL for line in text.replace("\\\n", " ").splitlines()]
    lines += [pod["spec"]["template"]["spec"]["containers"][0]["args"][0] for pod in pods]
    return [shlex.split(line) for line in lines if "-m cnnlib." in line]


def test_the_page_has_the_commands_it_should():
    assert len(commands()) == 8
    assert ["python", "-m", "cnnlib.train", "--model", "resnet20", "--data", "cifar10"] in commands()


@pytest.mark.parametrize("words", commands(), ids=lambda words: " ".join(words[:4]))
def test_every_command_is_understood(words):
    at = words.index("-m")
    if words[at + 1] == "cnnlib.evaluate":
        evaluate_options().parse_args(words[at + 2 :])
    else:
        with_usual(train_options().parse_args(words[at + 2 :]))
    if "torchrun" in words:
        launched = words[words.index("torchrun") + 1 :]
        launched = ["0" if word == "$JOB_COMPLETION_INDEX" else word for word in launched]
        options = get_args_parser().parse_args(launched)
        assert options.training_script == "cnnlib.train"
        assert options.module


def test_the_options_in_the_text_exist():
    known = {option for parser in (train_options(), evaluate_options()) for option in parser._option_string_actions}
    known |= set(get_args_parser()._option_string_actions)
    text = re.sub(r"^```.*?^```$", "", PAGE, flags=re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"`[^`]*?(--[a-z-]+)", text))
    assert named - known == {"--requeue"}  # Slurm's


@pytest.mark.parametrize("script", SHELL, ids=lambda text: text.split("\n")[0][:30])
def test_the_shell_understands_every_script(script, tmp_path):
    (tmp_path / "script").write_text(script, "utf-8")
    done = subprocess.run(["bash", "-n", tmp_path / "script"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_parts_of_the_kubernetes_example_fit_together():
    service, job = yaml.safe_load_all("".join(YAML))
    pod = job["spec"]["template"]["spec"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]}
    assert pod["subdomain"] == service["metadata"]["name"]
    assert job["spec"]["completionMode"] == "Indexed"
    (container,) = pod["containers"]
    words = shlex.split(container["args"][0])
    assert int(words[words.index("--nnodes") + 1]) == job["spec"]["completions"] == job["spec"]["parallelism"]
    assert words[words.index("--nproc-per-node") + 1] == str(container["resources"]["limits"]["nvidia.com/gpu"])
    first = f"{job['metadata']['name']}-0.{service['metadata']['name']}"
    assert words[words.index("--master-addr") + 1] == first
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


def test_the_messages_of_the_page_are_in_the_program():
    source = "".join(
        (ROOT / "cnnlib" / f"{name}.py").read_text("utf-8")
        for name in (*("train", "checkpoints", "divergence", "distributed", "files", "command"),)
    )
    for message in (
        "was begun with",
        "learning rate of epoch",
        "is of another model",
        "is no checkpoint, or is damaged",
        "is too large",
        "expected at most",
        "sees no GPU here",
        "cannot write",
        "lost another one",
    ):
        assert message in source
        assert message in PAGE


def test_what_one_step_and_a_ramp_do_is_what_was_measured():
    found = {(row["network"].split()[1], row["trial"]): row for row in read(RESULTS / "robust_recipes.csv")}

    def percent(data, trial, column):
        return f"{100 * float(found[data, trial][column]):.0f} %"

    one, three = (f"--adversary-steps {steps} --optimiser adamw --lr 0.003" for steps in (1, 3))
    assert f"has {percent('mnist', one, 'train_accuracy')} of its attacked images right" in PAGE
    assert f"it has {percent('mnist', one, 'robust_accuracy')} of held-out ones right" in PAGE
    assert (
        f"with {percent('mnist', three, 'train_accuracy')},\nand is: {percent('mnist', three, 'robust_accuracy')}"
        in PAGE
    )
    trials = [
        f"--epochs 60 --augment {augment} --adversary-ramp {ramp}" for augment in ("shift", "none") for ramp in (0, 0.7)
    ]
    shifted, grown, once, spared = (found["digits", trial] for trial in trials)
    assert float(shifted["validation_accuracy"]) < 0.12
    assert float(grown["validation_accuracy"]) > 0.9
    at_once, slowly = (percent("digits", row["trial"], "robust_accuracy") for row in (once, spared))
    assert f"keeps {at_once} of the held-out images under a stronger attack, the other {slowly}." in PAGE


def test_the_page_is_in_the_book():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
    behind = next(part for part in toc["parts"] if part["caption"] == "Behind the course")
    assert {"file": "book/training"} in behind["chapters"]
