"""Finding, and asking for, the programs that tests need."""

import pytest

from tools import system


def test_programs_are_found_by_any_of_their_names(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert system.find("chromium") is None
    with pytest.raises(FileNotFoundError, match=r"chromium or .* is not on PATH: run 'python -m tools\.system'"):
        system.chromium()
    program = tmp_path / "google-chrome"
    program.write_text("#!/bin/sh\n", "utf-8")
    program.chmod(0o755)
    assert system.chromium() == str(program)


def test_what_is_missing_is_named_with_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert system.main() == 1
    printed = capsys.readouterr().err
    assert "missing chromium, bubblewrap" in printed
    assert "sudo apt-get install --yes chromium bubblewrap" in printed


def test_what_is_missing_is_installed_where_that_is_possible(tmp_path, monkeypatch):
    commands = []
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(system, "apt_get", lambda: ["apt-get"])
    monkeypatch.setattr(system.subprocess, "run", lambda command, **options: commands.append(command))
    assert system.main() == 1
    assert commands[0] == ["apt-get", "-qq", "update"]
    assert commands[1][-2:] == ["chromium", "bubblewrap"]
