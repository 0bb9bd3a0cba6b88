"""Several processes: they compute what one computes, agree, and none waits for another that is gone."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from small_training import lenet
from two_processes import free_port

from cnnlib import distributed, weights

HERE = Path(__file__).parent
SCENARIOS = ("equal", "normalised", "resumed", "killed", "first_killed", "fails", "stuck", "absent", "apart", "uneven")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE}"}


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """The folder in which every scenario left what its processes said, and how each ended."""
    folder = tmp_path_factory.mktemp("two")
    command = [sys.executable, str(HERE / "two_processes.py"), str(folder), *SCENARIOS]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    ended = {}
    for line in done.stdout.splitlines():
        ended |= json.loads(line)
    return folder, ended


def said(played, name, rank):
    """The last line of a process, once it is checked that there is no traceback in the rest."""
    lines = (played[0] / f"{name}_{rank}.txt").read_text("utf-8").splitlines()
    assert not any("Traceback" in line for line in lines), lines
    return lines[-1]


def test_two_processes_train_lenet_as_one_does(played):
    assert played[1]["equal"]["codes"] == [0, 0]
    first, second = (torch.load(played[0] / "equal" / f"weights_{rank}.pt", weights_only=True) for rank in (0, 1))
    alone = lenet()
    for ours, theirs, expected in zip(first, second, alone, strict=True):
        assert torch.equal(ours, theirs)
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)
    assert (alone[0] - lenet(epochs=2)[0]).abs().max() > 1e-3  # there was something to learn


def test_with_batch_norm_and_early_stop_both_end_with_the_same_model_and_history(played):
    assert played[1]["normalised"]["codes"] == [0, 0]
    one, other = (torch.load(played[0] / "normalised" / f"weights_{rank}.pt", weights_only=True) for rank in (0, 1))
    assert one[1] == other[1]
    assert all(torch.equal(value, other[0][name]) for name, value in one[0].items())


def test_two_processes_that_were_stopped_go_on_to_the_same_bytes(played):
    for rank in (0, 1):
        resumed, direct = torch.load(played[0] / "resumed" / f"weights_{rank}.pt", weights_only=True)
        assert all(torch.equal(value, direct[name]) for name, value in resumed.items())


@pytest.mark.parametrize(("name", "survivor"), [("killed", 0), ("first_killed", 1), ("fails", 0), ("stuck", 0)])
def test_who_loses_another_says_so_and_ends(played, name, survivor):
    ended = played[1][name]
    assert ended["codes"][survivor] == 1
    assert ended["codes"][1 - survivor] == (1 if name == "fails" else -9)
    assert ended["seconds"] < 60
    assert re.match(
        rf"python -m cnnlib\.train: process {survivor} of 2 lost another one, which stopped or cannot be reached; its "
        r"own message says why\. Start the same command again: it goes on from the last checkpoint\. "
        r"\((Connection closed by peer|Read error|Timed out|.*[Cc]onnection|.*peer).*\)$",
        said(played, name, survivor),
    )
    left = {path.name for path in (played[0] / name).iterdir()}
    assert left == {"checkpoint.pt", "log.csv"}  # of the first epoch
    if name == "fails":
        assert said(played, name, 1) == "python -m cnnlib.train: [Errno 28] No space left on device"


def test_who_waits_for_one_that_never_comes_gives_up(played):
    assert played[1]["absent"]["codes"] == [1, 0]
    assert "process 0 of 2 lost another one, which stopped or cannot be reached" in said(played, "absent", 0)


def test_a_checkpoint_that_not_all_can_read_is_refused_by_all(played):
    assert played[1]["apart"]["codes"] == [1, 1]
    for rank in (0, 1):
        message = r"the number of epochs in the checkpoint is \[2, 0\] by process; expected one number for all"
        assert re.search(message, said(played, "apart", rank))


def test_a_batch_that_cannot_be_shared_is_refused(played):
    for rank in (0, 1):
        assert said(played, "uneven", rank).endswith("batch_size is 33; expected a multiple of 2, the processes")


def torchrun(*arguments):
    """Run two processes under torchrun on this machine."""
    launcher = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--master-port",
        str(free_port()),
    ]
    return subprocess.run(
        [*launcher, *arguments], env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False
    )


def test_torchrun_trains_as_one_process_does(tmp_path):
    options = ["--model", "digits_cnn", "--data", "digits", "--epochs", "2", "--batch-size", "100"]
    two = torchrun("-m", "cnnlib.train", *options, "--out", str(tmp_path / "two"))
    assert two.returncode == 0, two.stderr
    assert two.stdout.count("epoch 2") == 1  # process 0 alone speaks
    from cnnlib.command import train_command

    train_command([*options, "--out", str(tmp_path / "one")])
    one, two = (weights.read(tmp_path / name / "weights.npz") for name in ("one", "two"))
    for name, value in one.items():
        assert abs(value - two[name]).max() < 1e-5, name


def test_under_torchrun_too_a_killed_process_ends_the_training(tmp_path):
    script = f"from pathlib import Path; import os, two_processes as t; t.killed(Path({str(tmp_path)!r}), 0)"
    (tmp_path / "script.py").write_text(script, "utf-8")
    start = time.monotonic()
    done = torchrun(str(tmp_path / "script.py"))
    assert done.returncode == 1
    assert time.monotonic() - start < 120
    assert "Signal 9 (SIGKILL) received" in done.stderr


def test_alone_nothing_is_exchanged():
    model = torch.nn.BatchNorm2d(2)
    assert (distributed.rank(), distributed.count()) == (0, 1)
    assert distributed.parallel(model) is model
    assert distributed.total(torch.tensor(3.0)) == 3
    assert distributed.agreed((0.1, 7)) == [0.1, 7]
    distributed.share_buffers(model)
    distributed.check_equal("the number", 4)
    with distributed.processes(torch.device("cpu")):
        assert distributed.count() == 1
    with pytest.raises(RuntimeError, match="another kind"), distributed.explained():
        raise RuntimeError("a connection of another kind")


def test_devices():
    auto = distributed.local_device("auto")
    assert auto.type == ("cuda" if torch.cuda.is_available() else "cpu")
    for name in ("tpu", "meta", "cuda:", "cuda:x", "cuda1", "cpu:1", ""):
        with pytest.raises(ValueError, match=rf"device is '{name}'; expected 'auto', 'cpu', 'cuda', 'cuda:1' …"):
            distributed.local_device(name)


def test_cuda_where_there_is_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert distributed.local_device("auto") == torch.device("cpu")
    with pytest.raises(ValueError, match=r"device is 'cuda:0', and torch .* sees no GPU here; expected 'cpu'"):
        distributed.local_device("cuda:0")


def test_each_process_of_a_machine_takes_a_gpu_of_its_own(monkeypatch):
    taken = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert distributed.local_device("auto") == torch.device("cuda", 1) == taken[0]
    assert distributed.local_device("cuda:0") == torch.device("cuda", 0)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(ValueError, match="device is cuda:2; expected an index below 2, the GPUs here"):
        distributed.local_device("cuda")
