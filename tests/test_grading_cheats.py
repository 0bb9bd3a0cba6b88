"""Submissions that cheat, crash, loop and forge: they earn what their honest functions earn, and leave nothing behind.

Each file of fixtures/submissions/cheats says on its first line how many points its honest functions are worth.
"""

import os
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from grading_batches import grade, header

from cnnlib.grading import judge, sandbox
from cnnlib.grading.runner import SECONDS, pack
from cnnlib.grading.wire import read_frame

pytestmark = pytest.mark.sandbox
CHEATS = sorted((Path(__file__).parent / "fixtures" / "submissions" / "cheats").glob("*.py"))
REPOSITORY = Path(__file__).resolve().parent.parent
SECRET = "the-expected-answer-is-42"


def snapshot(folder):
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def sandboxed_processes():
    """Return the ids of processes, anywhere on the machine, that run a submission."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"/runner.py" in (folder / "cmdline").read_bytes():
                found.add(folder.name)
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def listener():
    """A server on this machine that notes whoever calls."""
    calls = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                calls.append(connection)
                connection.close()

        threading.Thread(target=listen, daemon=True).start()
        socket.create_connection(server.getsockname()).close()  # it does hear
        yield server.getsockname()[1], calls
        server.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def batch(tmp_path_factory, listener):
    """All cheats graded in one batch, with a folder to watch and shorter patience than usual."""
    port, calls = listener
    work = tmp_path_factory.mktemp("cheats")
    canary, folder, out = work / "canary", work / "submissions", work / "out"
    canary.mkdir()
    folder.mkdir()
    canary.chmod(0o777)
    (canary / "secret").write_text(SECRET)
    places = {"CANARY": str(canary), "OUT": str(out), "REPOSITORY": str(REPOSITORY), "PORT": str(port)}
    places |= {"SITE": str(Path(np.__file__).parent.parent), "SECRET": str(canary / "secret")}
    for path in CHEATS:
        text = path.read_text()
        for name, place in places.items():
            text = text.replace(name, place)
        (folder / path.name).write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judge, "SECONDS", {"load": 3.0, "call": 1.0, "question": 2.0})
        patch.setattr(judge, "ALONE_SECONDS", 6.0)
        patch.setattr(sandbox, "WALL_SECONDS", 12.0)
        patch.setenv("CNNLIB_TEST_SECRET", SECRET)
        before = snapshot(canary)
        started = time.monotonic()
        status, rows = grade(folder, out)
    return {
        "rows": rows,
        "status": status,
        "out": out,
        "before": before,
        "after": snapshot(canary),
        "calls": len(calls),
        "seconds": time.monotonic() - started,
        "alive": sandboxed_processes(),
    }


@pytest.mark.parametrize("path", CHEATS, ids=lambda path: path.stem)
def test_a_cheat_earns_what_its_honest_functions_earn(batch, path):
    row = batch["rows"][path.name]
    assert row["points"] == header(path)["points"], (batch["out"] / row["feedback"]).read_text()
    assert row["status"] == "marked"


def test_nothing_is_written_outside(batch):
    assert batch["after"] == batch["before"]
    assert sorted(path.name for path in batch["out"].iterdir()) == ["feedback", "grades.csv", "gradescope", "json"]
    for folder in (tempfile.gettempdir(), "/var/tmp", "/dev/shm", Path.home(), Path.cwd()):
        assert not (Path(folder) / "cnnlib-cheat").exists()


def test_nobody_was_called(batch):
    assert batch["calls"] == 1  # the fixture's own


def test_no_process_outlives_its_sandbox(batch):
    waited = time.monotonic() + 20
    left = batch["alive"]  # other tests may be grading at this moment: theirs end too
    while left and time.monotonic() < waited:
        time.sleep(0.2)
        left = batch["alive"] & sandboxed_processes()
    assert not left


def test_the_batch_is_finished(batch):
    assert batch["status"] == 0
    assert len(batch["rows"]) == len(CHEATS) >= 9
    assert batch["seconds"] < 80


def test_the_spy_found_nothing(batch):
    assert "loot of 0: []" in (batch["out"] / "feedback" / "spy.md").read_text()


def test_what_a_flood_says_is_cut_and_shown_as_text(batch):
    for path in batch["out"].rglob("flood.*"):
        text = path.read_text()
        assert len(text) < 20_000
        assert "\x1b" not in text
    assert "`" in (batch["out"] / "feedback" / "flood.md").read_text()


# --- the sandbox itself ------------------------------------------------------------------------------------------


def inside(source, **options):
    """Run one cell in the sandbox and return what it put into the list `told`."""
    cells = [
        "told = []",
        source,
        "def tell():\n    raise ValueError('told ' + repr(told))",
    ]
    question = {"name": "q", "function": "tell", "outputs": 1, "calls": [[]]}
    request = {"cells": cells, "questions": [question], "seconds": SECONDS}
    frames = [read_frame(frame)[0] for frame in sandbox.run(pack(request, {}), **options)]
    assert frames[1]["notes"] == []
    return frames[2]["answers"][0]["error"]


def test_it_is_nobody_with_no_rights():
    """No capability in effect or permitted, and no new privileges (prctl 39) by running other programs."""
    said = inside(
        "import ctypes, os\n"
        "class Caps(ctypes.Structure): _fields_ = [('version', ctypes.c_uint32), ('pid', ctypes.c_int)]\n"
        "class Data(ctypes.Structure): _fields_ = [(n, ctypes.c_uint32) for n in ('e', 'p', 'i')]\n"
        "head, data = Caps(0x20080522, 0), (Data * 2)()\n"
        "libc = ctypes.CDLL(None)\n"
        "libc.capget(ctypes.byref(head), data)\n"
        "told += [os.getuid() != 0, os.getgroups(), sum(d.e + d.p for d in data), libc.prctl(39, 0, 0, 0, 0)]\n"
        "try:\n    os.setuid(0)\nexcept OSError:\n    told += ['refused']\n"
    )
    assert "told [True, [], 0, 1, 'refused']" in said


def test_it_can_make_neither_processes_nor_threads():
    said = inside(
        "import os, threading\n"
        "try:\n    os.fork()\n    told.append('forked')\nexcept OSError:\n    pass\n"
        "try:\n    threading.Thread(target=print).start()\n    told.append('thread')\nexcept RuntimeError:\n    pass\n"
    )
    assert "told []" in said


def test_it_sees_no_files_but_python_and_numpy():
    said = inside(
        "import os\n"
        "told += [sorted(os.listdir('/')), sorted(os.listdir('/packages')), os.listdir('/tmp'), sorted(os.environ)]"
    )
    assert "'packages', 'python', 'runner.py', 'tmp', 'usr'" in said
    assert not any(word in said for word in ("proc", "root", "home", "sys", "work", "var", "HOME", "torch", "cnnlib"))


def test_it_can_write_nowhere_but_a_little_in_tmp():
    said = inside(
        "import errno, os\n"
        "for folder, _, _ in os.walk('/'):\n"
        "    try:\n"
        "        open(os.path.join(folder, 'x'), 'w').close()\n"
        "        told.append(folder)\n"
        "    except OSError:\n"
        "        pass\n"
    )
    assert "told ['/tmp']" in said


def test_its_disk_and_memory_are_small():
    said = inside(
        "import numpy as np\n"
        "try:\n    np.ones(1 << 30)\nexcept MemoryError:\n    told.append('memory')\n"
        "try:\n"
        "    for i in range(100):\n"
        "        with open(f'/tmp/{i}', 'wb') as file: file.write(bytes(900_000))\n"
        "except OSError:\n    told.append(i < 10)\n"
    )
    assert "told ['memory', True]" in said


def test_a_flooded_pipe_is_cut(monkeypatch):
    monkeypatch.setattr(sandbox, "OUTPUT_BYTES", 100_000)
    flood = (
        "import os\n"
        "for fd in range(3, 10):\n"
        "    try:\n        while True: os.write(fd, bytes(1 << 16))\n    except OSError: pass"
    )
    started = time.monotonic()
    frames = sandbox.run(pack({"cells": [flood], "questions": [], "seconds": SECONDS}, {}))
    assert sum(map(len, frames)) <= 100_000
    assert time.monotonic() - started < 6  # it was killed, not waited for


def test_the_wall_stops_what_nothing_else_does():
    deaf = (
        "import signal\n"
        "for number in (signal.SIGALRM, signal.SIGTERM): signal.signal(number, signal.SIG_IGN)\n"
        "while True: pass"
    )
    started = time.monotonic()
    frames = sandbox.run(pack({"cells": [deaf], "questions": [], "seconds": SECONDS}, {}), wall=2)
    assert len(frames) == 1
    assert time.monotonic() - started < 12


def test_the_command_line_shows_no_path_of_the_submissions(tmp_path):
    words = " ".join(sandbox.command(5.0))
    assert str(tmp_path) not in words
    assert str(REPOSITORY / "tests") not in words
    mounted = [word for word in sandbox.command(5.0) if word.startswith(str(REPOSITORY)) or "site-packages" in word]
    allowed = ("grading/runner.py", "/numpy", "/numpy.libs", f"python3.{sys.version_info[1]}/site-packages")
    assert all(word.endswith(allowed) for word in mounted), mounted
    assert os.fspath(REPOSITORY / "cnnlib") not in mounted
