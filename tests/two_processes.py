"""Pairs of processes that train together, each started by hand: forked, so that torch is imported once.

    python two_processes.py FOLDER SCENARIO …

Every process writes what it says to FOLDER/SCENARIO_RANK.txt; a line of JSON for each scenario gives exit codes and
seconds. A negative exit code is a signal.
"""

import datetime
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

import torch
from small_training import digits, lenet, network, run

from cnnlib import command, distributed
from cnnlib.data import augment

SHORT = datetime.timedelta(seconds=3)
COMMAND = ["--model", "digits_cnn", "--data", "digits", "--epochs", "6", "--batch-size", "128"]
COMMAND += ["--augment", "shift", "--out"]


def save(folder, rank, weights):
    """Keep weights for the test that compares them."""
    torch.save(weights, folder / f"weights_{rank}.pt")


def batch_norm(checkpoint=None, epochs=6):
    """Weights and history of a network with batch norm and dropout, which stops early."""
    images, labels = digits(140)
    model = network()
    rest = {"validation": (images[100:], labels[100:]), "schedule": lambda step: 0.2, "patience": 2, "epochs": epochs}
    history = run(model, images[:100], labels[:100], checkpoint=checkpoint, **rest)
    return model.state_dict(), [{**row, "seconds": 0} for row in history]


def equal(folder, rank):
    """LeNet-5."""
    save(folder, rank, lenet())


def normalised(folder, rank):
    """Batch norm, dropout, early stop."""
    save(folder, rank, batch_norm())


def resumed(folder, rank):
    """The same, stopped by an error in its third epoch and begun again."""
    stopped = False

    def change(epoch):
        nonlocal stopped
        stopped = stopped or epoch == 2
        if stopped:
            raise KeyError

    images, labels = digits(100)
    path = folder / "checkpoint.pt"
    try:
        run(network(), images, labels, checkpoint=path, each_epoch=change)
    except KeyError:
        model = network()
        run(model, images, labels, checkpoint=path)
        direct = network()
        run(direct, images, labels)
        save(folder, rank, (model.state_dict(), direct.state_dict()))


def in_step(rank, what):
    """An augmentation that does something in one process at its 15th batch."""
    calls = 0

    def change(x, generator):
        nonlocal calls
        calls += 1
        if calls == 15 and distributed.rank() == rank:
            what()
        return augment.shift(x, generator)

    return change


def killed(folder, rank):
    """Process 1 is killed."""
    command.AUGMENTATIONS["shift"] = in_step(1, lambda: os.kill(os.getpid(), signal.SIGKILL))
    command.train_command([*COMMAND, str(folder)])


def first_killed(folder, rank):
    """Process 0 is killed, which keeps the address at which the others meet."""
    command.AUGMENTATIONS["shift"] = in_step(0, lambda: os.kill(os.getpid(), signal.SIGKILL))
    command.train_command([*COMMAND, str(folder)])


def fails(folder, rank):
    """Process 1 ends with an error of its own."""

    def full():
        raise OSError(28, "No space left on device")

    command.AUGMENTATIONS["shift"] = in_step(1, full)
    command.train_command([*COMMAND, str(folder)])


def stuck(folder, rank):
    """Process 1 stands still and keeps its connections."""
    distributed.PATIENCE = SHORT
    command.AUGMENTATIONS["shift"] = in_step(1, lambda: os.kill(os.getpid(), signal.SIGSTOP))
    command.train_command([*COMMAND, str(folder)])


def absent(folder, rank):
    """Process 1 never comes."""
    distributed.PATIENCE = SHORT
    if not rank:
        command.train_command([*COMMAND, str(folder)])


def apart(folder, rank):
    """Each process has a disk of its own, and begins again from a checkpoint that only process 0 has."""
    with command.told_briefly(command.train_options()):
        batch_norm(checkpoint=folder / str(rank) / "checkpoint.pt", epochs=2)
        batch_norm(checkpoint=folder / str(rank) / "checkpoint.pt", epochs=2)


def uneven(folder, rank):
    """A batch that cannot be shared."""
    command.train_command([*COMMAND, str(folder), "--batch-size", "33"])


def child(scenario, folder, rank, port):
    """Fork one process of a scenario; return its id."""
    process = os.fork()
    if process:
        return process
    with (folder / f"{scenario.__name__}_{rank}.txt").open("w") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    environment = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in environment.items()})
    own = folder / scenario.__name__
    own.mkdir(exist_ok=True)
    with_command = scenario in (killed, first_killed, fails, stuck, absent, uneven)
    try:
        if with_command:
            scenario(own, rank)
        else:
            with distributed.processes(torch.device("cpu")):
                scenario(own, rank)
    except SystemExit as error:
        sys.stdout.flush()
        os._exit(error.code or 0)
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(99)
    os._exit(0)


def free_port():
    """Return a port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def play(scenario, folder):
    """Start both processes; return how and after how many seconds the first and the second ended."""
    port, start = free_port(), time.monotonic()
    children = [child(scenario, folder, rank, port) for rank in range(2)]
    codes = {}
    while len(codes) < 2:
        process, status = os.waitpid(-1, 0)
        codes[children.index(process)] = os.waitstatus_to_exitcode(status)
        if scenario is stuck and list(codes) == [0]:
            os.kill(children[1], signal.SIGKILL)
    return {"codes": [codes[0], codes[1]], "seconds": time.monotonic() - start}


if __name__ == "__main__":
    torch.optim.SGD([torch.zeros(1)]).step()  # the first step of any optimiser imports for seconds
    for name in sys.argv[2:]:
        print(json.dumps({name: play(globals()[name], Path(sys.argv[1]))}), flush=True)
