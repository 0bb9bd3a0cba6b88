"""The programs that tests need from the system: Chromium for the site, bubblewrap for the grading sandbox.

``python -m tools.system`` installs what is missing with apt-get where it may (Debian, Ubuntu); elsewhere it names what
is missing and the command to type.
"""

import os
import shutil
import subprocess
import sys

PROGRAMS = {
    "chromium": ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"],
    "bubblewrap": ["bwrap"],
}


def find(package: str) -> str | None:
    """Return the path of the program that ``package`` installs, or None where it is missing."""
    return next((path for name in PROGRAMS[package] if (path := shutil.which(name))), None)


def require(package: str) -> str:
    """Return the path of the program that ``package`` installs; raise FileNotFoundError that says how to get it."""
    path = find(package)
    if path is None:
        raise FileNotFoundError(f"{' or '.join(PROGRAMS[package])} is not on PATH: run 'python -m tools.system'")
    return path


def chromium() -> str:
    """Return the path of Chromium or Chrome; raise FileNotFoundError where there is none."""
    return require("chromium")


def apt_get() -> list[str] | None:
    """Return the start of an apt-get command that this user may run without being asked anything, or None."""
    if shutil.which("apt-get") is None:
        return None
    if os.geteuid() == 0:
        return ["apt-get"]
    if (
        shutil.which("sudo")
        and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    ):
        return ["sudo", "-n", "apt-get"]
    return None


def install(packages: list[str]) -> None:
    """Install Debian packages; a failure shows in what ``find`` returns afterwards."""
    command = apt_get()
    if command is None:
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    print(f"tools.system: installing {', '.join(packages)} with apt-get", flush=True)
    for arguments in (["-qq", "update"], ["-qq", "install", "--yes", "--no-install-recommends", *packages]):
        subprocess.run(command + arguments, env=environment, stdout=subprocess.DEVNULL, check=False)


def main() -> int:
    """Find every program, install the missing ones, and return 1 if some are still missing."""
    missing = [package for package in PROGRAMS if find(package) is None]
    if missing:
        install(missing)
    missing = [package for package in PROGRAMS if find(package) is None]
    if missing:
        print(
            f"tools.system: missing {', '.join(missing)}. On Debian or Ubuntu type:\n"
            f"    sudo apt-get update && sudo apt-get install --yes {' '.join(missing)}\n"
            "Elsewhere install Chromium or Chrome and bubblewrap (bwrap), and put them on PATH.",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
