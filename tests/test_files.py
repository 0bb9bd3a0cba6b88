"""Files that are there whole, or not at all: whatever happens while they are written."""

import errno
import os
import re
import signal
import subprocess
import sys

import pytest

from cnnlib.files import whole, write_whole


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_until_all_is_written_the_old_contents_are_there(tmp_path):
    path = tmp_path / "deep" / "file"
    write_whole(path, b"old")
    with whole(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert names(path.parent) == ["file"]


def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(TypeError, match="bytes-like"), whole(path) as file:
        file.write("text")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("call", ["os.fsync", "files.Path.replace"])
def test_a_process_killed_while_it_writes_leaves_the_old_file(tmp_path, call):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    script = f"""
import os, signal, sys
from cnnlib import files
{call} = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)
files.write_whole(files.Path(sys.argv[1]), b"new")
"""
    assert subprocess.run([sys.executable, "-c", script, str(path)], check=False).returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    partial, file = names(tmp_path)
    assert re.fullmatch(r"\.file\.\d+\.partial", partial)
    write_whole(path, b"new")
    assert names(tmp_path) == [file]


def test_the_parts_of_other_files_stay(tmp_path):
    for name in (".a.1.partial", ".ab.1.partial", ".[a].1.partial", "a"):
        (tmp_path / name).touch()
    write_whole(tmp_path / "a", b"")
    assert names(tmp_path) == [".[a].1.partial", ".ab.1.partial", "a"]
    write_whole(tmp_path / "[a]", b"")
    assert names(tmp_path) == [".ab.1.partial", "[a]", "a"]


def test_a_full_disk_is_told_with_the_name_of_the_file(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=rf"cannot write {path}: No space left on device") as caught:
        write_whole(path, b"new")
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_a_folder_that_cannot_be_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"cannot write .*file/in/it: Not a directory"):
        write_whole(tmp_path / "file" / "in" / "it", b"x")
    with pytest.raises(IsADirectoryError, match=rf"cannot write {tmp_path}"):
        write_whole(tmp_path, b"x")
