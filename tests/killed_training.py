"""One process that starts the same training again and again, and kills it, by SIGKILL, at moments drawn from a seed.

    python killed_training.py FOLDER SEED KILLS

Children are forked, so that torch is imported once. Half of the moments lie between epochs and in their middle, half in
the writing of a checkpoint. It prints how each child ended.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from cnnlib import command, files

OPTIONS = "--model digits_cnn --data digits --epochs 60 --batch-size 64 --augment shift --hold-out 700 --patience 50"


def begin(out, deadly_write):
    """Start the training in a child, which kills itself in its `deadly_write`-th call of a kind; return its id."""
    child = os.fork()
    if child:
        return child
    with (out.parent / "messages").open("a") as messages:
        os.dup2(messages.fileno(), 2)
        os.dup2(messages.fileno(), 1)
    if deadly_write:
        call, left = deadly_write
        owner, name = {"fsync": (os, "fsync"), "rename": (files.Path, "replace")}[call]
        usual = getattr(owner, name)

        def deadly(*arguments):
            nonlocal left
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            return usual(*arguments)

        setattr(owner, name, deadly)
    command.train_command([*OPTIONS.split(), "--out", str(out)])
    os._exit(0)


def epochs_done(out):
    """How many epochs the log has."""
    log = out / "log.csv"
    return len(log.read_text().splitlines()) - 1 if log.exists() else 0


def main(folder, seed, kills):
    """Kill so many times, then let it end."""
    torch.optim.SGD([torch.zeros(1)]).step()  # the first step of any optimiser imports for seconds
    draws, out = random.Random(seed), Path(folder) / "killed"
    for kill in range(kills):
        deadly_write = (draws.choice(("fsync", "rename")), draws.randrange(1, 5)) if kill % 2 else None
        child = begin(out, deadly_write)
        if not deadly_write:
            before, more, delay = epochs_done(out), draws.randrange(3), draws.uniform(0, 0.05)
            while epochs_done(out) < before + more:
                time.sleep(0.002)
            time.sleep(delay)
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        print(
            "killed" if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL else status, epochs_done(out)
        )
    for last in (out, Path(folder) / "uninterrupted"):
        print("ended", os.waitpid(begin(last, None), 0)[1])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
