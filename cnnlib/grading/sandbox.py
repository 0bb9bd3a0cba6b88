"""The sandbox in which a submission runs: bubblewrap, prlimit and timeout.

Inside there is no network, no other process, no file of the machine but the C libraries, Python's standard
library and NumPy, all read-only; `/tmp` is a few megabytes of memory that vanish with it. Site packages
(cnnlib, torch, SciPy) are not mounted. Where the sandbox cannot be made, nothing runs.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
from pathlib import Path

import numpy as np

from cnnlib.grading import runner

WALL_SECONDS = 30.0  # the runner stops slow calls long before
CPU_SECONDS = 30
MEMORY_BYTES = 1_500_000_000  # address space
FILE_BYTES = 1_000_000
TMP_BYTES = 8_000_000
OUTPUT_BYTES = 16_000_000  # of returned arrays, all frames together
TOOLS = {"bwrap": "bubblewrap", "prlimit": "util-linux", "timeout": "coreutils"}


class SandboxError(RuntimeError):
    """The sandbox cannot be made on this machine: nothing was run."""


def run(request: bytes, *, wall: float = WALL_SECONDS) -> list[bytes]:
    """Run one request in a fresh sandbox and return the frames that came back whole, at most `OUTPUT_BYTES` of them.

    A sandbox that could not be made raises SandboxError; a submission that dies, hangs or floods costs only its
    missing frames.
    """
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            command(wall),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            start_new_session=True,
        )
        try:
            writer = threading.Thread(target=_feed, args=(process, request), daemon=True)
            writer.start()
            output = _read(process)
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            writer.join()
            assert process.stdout is not None
            process.stdout.close()
        frames = split_frames(output)
        if not frames:  # not even the runner's own greeting, sent before any line of the submission runs
            complaints.seek(0)
            raise SandboxError(explain(complaints.read(2000).decode(errors="replace").strip()))
        return frames


def _feed(process: subprocess.Popen[bytes], request: bytes) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError, OSError), process.stdin as pipe:
        pipe.write(request)


def _read(process: subprocess.Popen[bytes]) -> bytes:
    """Read what comes out, but no more than `OUTPUT_BYTES`."""
    assert process.stdout is not None
    output = bytearray()
    while len(output) <= OUTPUT_BYTES and (chunk := os.read(process.stdout.fileno(), 1 << 16)):
        output += chunk
    return bytes(output[:OUTPUT_BYTES])


def split_frames(output: bytes) -> list[bytes]:
    """Cut the output into its frames; stop at the first that is not whole."""
    frames = []
    start = 0
    while start + 8 <= len(output):
        size = int.from_bytes(output[start : start + 8], "big")
        if start + 8 + size > len(output):
            break
        frames.append(output[start + 8 : start + 8 + size])
        start += 8 + size
    return frames


def command(wall: float) -> list[str]:
    """Return the whole command line of the sandbox."""
    tools = {name: shutil.which(name) for name in TOOLS}
    missing = [name for name, path in tools.items() if path is None]
    if missing:
        packages = " ".join(dict.fromkeys(TOOLS[name] for name in missing))
        raise SandboxError(
            f"grading needs {' and '.join(missing)}, which this machine lacks: submissions are run in a sandbox or not "
            f"at all. On Debian or Ubuntu: sudo apt install {packages}"
        )
    limits = (f"--cpu={CPU_SECONDS}", f"--as={MEMORY_BYTES}", f"--fsize={FILE_BYTES}", "--core=0", "--nofile=64")
    return [
        *(str(tools["timeout"]), "-k", "1", f"{wall:g}"),
        *(str(tools["prlimit"]), *limits, "--"),
        *(str(tools["bwrap"]), *isolation(), *libraries(), *python()),
        *("--dev", "/dev", "--size", str(TMP_BYTES), "--perms", "1777", "--tmpfs", "/tmp", "--chdir", "/tmp"),
        *("--remount-ro", "/dev", "--remount-ro", "/"),
        *("/python/bin/python", "-P", "-S", "-B", "/runner.py"),
    ]


def isolation() -> list[str]:
    """Return the options that cut the submission off from the machine.

    An ordinary user gets a user namespace. Root gets none: there the runner becomes nobody itself, because
    a root mapped into a namespace is still exempt from the limit on processes.
    """
    if os.getuid() == 0:
        spaces = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
        rights = ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        spaces, rights = ["--unshare-all", "--unshare-user"], ["--cap-drop", "ALL"]
    environment = {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "PYTHONPATH": "/packages",
    }
    variables = [word for name, value in environment.items() for word in ("--setenv", name, value)]
    return [*spaces, *rights, "--die-with-parent", "--new-session", "--clearenv", *variables]


def libraries() -> list[str]:
    """Return the options that mount the system's C libraries, and hide every Python package among them."""
    options = []
    for folder in ("/lib", "/lib32", "/lib64"):  # links into /usr, but folders on an older system
        path = Path(folder)
        if path.is_symlink():
            options += ["--symlink", f"usr{folder}", folder]
        elif path.is_dir():
            options += ["--ro-bind", folder, folder]
    options += ["--perms", "0755", "--dir", "/usr", "--perms", "0755", "--dir", "/etc"]
    for folder in ("/usr/lib", "/usr/lib32", "/usr/lib64", "/etc/ld.so.cache", "/etc/alternatives"):
        options += ["--ro-bind-try", folder, folder]
    for packages in sorted(Path("/usr/lib").glob("python3*")):
        options += hidden(str(packages))
    return options


def python() -> list[str]:
    """Return the options that mount the runner, Python's standard library and NumPy, and nothing else of Python's."""
    standard = Path(sysconfig.get_path("stdlib"))
    inside = f"/python/lib/{standard.name}"
    options = [w for folder in ("/python", "/python/lib", "/packages") for w in ("--perms", "0755", "--dir", folder)]
    options += ["--ro-bind", str(Path(sys.executable).resolve()), "/python/bin/python"]
    options += ["--ro-bind", str(standard), inside]
    for name in ("site-packages", "dist-packages"):
        if (standard / name).is_dir():
            options += hidden(f"{inside}/{name}")
    shared = Path(sysconfig.get_config_var("LIBDIR") or "/") / str(sysconfig.get_config_var("INSTSONAME") or "")
    if sysconfig.get_config_var("Py_ENABLE_SHARED") and shared.is_file():
        options += [
            "--ro-bind",
            str(shared),
            f"/python/lib/{shared.name}",
            "--setenv",
            "LD_LIBRARY_PATH",
            "/python/lib",
        ]
    package = Path(np.__file__).parent
    options += ["--ro-bind", str(package), "/packages/numpy"]
    if (package.parent / "numpy.libs").is_dir():
        options += ["--ro-bind", str(package.parent / "numpy.libs"), "/packages/numpy.libs"]
    return [*options, "--ro-bind", str(Path(runner.__file__)), "/runner.py"]


def hidden(folder: str) -> list[str]:
    """Return the options that put an empty folder, read-only, over one that is mounted."""
    return ["--tmpfs", folder, "--remount-ro", folder]


def explain(complaint: str) -> str:
    """Say what to do where bubblewrap is there but may not make a sandbox."""
    return (
        f"the sandbox could not be started: {complaint or 'it ended without a word'}. bubblewrap needs unprivileged "
        "user namespaces (Ubuntu 24.04: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0) or, in a "
        "container, root with CAP_SYS_ADMIN."
    )


def require() -> None:
    """Raise SandboxError, with what to install or allow, unless an empty submission runs in the sandbox."""
    run(runner.pack({"cells": [], "questions": [], "seconds": runner.SECONDS}, {}), wall=WALL_SECONDS)
