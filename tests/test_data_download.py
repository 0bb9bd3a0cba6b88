"""Where published files are looked for, what is refused, and what an interrupted download leaves."""

import errno
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import data_server
import numpy as np
import pytest
from data_server import BATCHES, FILES, IMAGES, LABELS

from cnnlib import data
from cnnlib.data import download
from cnnlib.files import whole


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, no CNNLIB_DATA, and no proxy between a test and its server."""
    monkeypatch.delenv("CNNLIB_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "home" / "cnnlib"


@pytest.fixture
def server(cache):
    with data_server.serving() as running:
        yield running


@pytest.fixture
def offer(monkeypatch):
    return lambda *urls: data_server.offer(monkeypatch.setattr, *urls)


def put(folder, names, change=lambda content: content):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(change(FILES[name]))


def stored(folder):
    """Every file below `folder`, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_mnist_test():
    images, labels = data.mnist("test")
    assert images.dtype == np.uint8
    assert labels.dtype == np.int64
    assert np.array_equal(images, data_server.pixels[:, None])
    assert np.array_equal(labels, data_server.digits)
    images[0] = 0  # the arrays are the caller's to change


def assert_cifar10():
    for part, batches in (("train", data_server.records[:5]), ("test", data_server.records[5:])):
        images, labels = data.cifar10(part)
        flat = batches.reshape(-1, 3073)
        assert images.dtype == np.uint8
        assert labels.dtype == np.int64
        assert images.shape == (len(flat), 3, 32, 32)
        assert np.array_equal(labels, flat[:, 0])
        assert np.array_equal(images[:, 2, 1, 3], flat[:, 1 + 2 * 1024 + 32 + 3])  # blue, second row, fourth column
        images[0] = 0


def test_files_under_cnnlib_data_come_first(cache, server, offer, tmp_path, monkeypatch):
    offer(server.url())
    put(cache, FILES, lambda content: b"of no use")
    put(tmp_path / "mine", FILES)
    monkeypatch.setenv("CNNLIB_DATA", str(tmp_path / "mine"))
    assert_mnist_test()
    assert_cifar10()
    assert server.asked == []


def test_then_the_cache(cache, server, offer, tmp_path, monkeypatch):
    offer(server.url())
    put(cache, FILES)
    put(tmp_path / "here", FILES, lambda content: b"of no use")
    monkeypatch.chdir(tmp_path / "here")  # the working directory is no place to look
    (tmp_path / "empty").mkdir()
    for given in (str(tmp_path / "empty"), ""):
        monkeypatch.setenv("CNNLIB_DATA", given)
        assert_mnist_test()
        assert_cifar10()
    assert server.asked == []


def test_then_a_mirror_once(cache, server, offer, capsys):
    offer(server.url())
    for _ in range(2):
        assert_mnist_test()
        assert_cifar10()
    assert server.asked == [
        f"/whole/{name}" for name in (*(Path(n).name for n in (IMAGES, LABELS)), data_server.ARCHIVE)
    ]
    assert stored(cache) == FILES
    assert "t10k-images-idx3-ubyte.gz: 100%" in capsys.readouterr().err


@pytest.mark.parametrize("fault", ["missing", "altered", "truncated"])
def test_the_second_mirror_where_the_first_fails(cache, server, offer, fault):
    offer(server.url(fault), server.url())
    assert_mnist_test()
    assert_cifar10()
    assert stored(cache) == FILES


def test_no_network_says_what_was_sought_where_and_what_to_do(cache, offer):
    offer("http://127.0.0.1:9/a/", "http://127.0.0.1:9/b/")  # nobody listens at the discard port
    with pytest.raises(data.DataError) as caught:
        data.mnist("test")
    message = str(caught.value)
    for part in (IMAGES, "CNNLIB_DATA (not set)", f"the cache ({cache})", "/a/t10k-", "/b/t10k-", "refused"):
        assert part in message
    assert f"download it from one of these addresses to {cache / IMAGES}; or set CNNLIB_DATA" in message
    with pytest.raises(data.DataError, match=f"unpack it in {cache}; or set CNNLIB_DATA"):
        data.cifar10()
    assert stored(cache) == {}


def test_when_every_mirror_fails_each_failure_is_told(cache, server, offer):
    offer(*map(server.url, ("missing", "altered", "truncated")))
    with pytest.raises(data.DataError) as caught:
        data.mnist("test")
    told = str(caught.value).splitlines()[1:4]
    assert "404" in told[0]
    assert "sha256" in told[1]
    assert f"expected {data_server.TINY[IMAGES].sha256}" in told[1]
    assert "IncompleteRead" in told[2]
    with pytest.raises(data.DataError, match=r"md5 .*; expected"):
        data.cifar10()
    assert stored(cache) == {}


CHANGES = {
    "has 5 bytes; expected": lambda content: content[:5],
    "has SHA-256 .*; expected": lambda content: bytes([content[0] ^ 1]) + content[1:],
    "has 0 bytes": lambda content: b"",
}


@pytest.mark.parametrize("message", CHANGES)
@pytest.mark.parametrize(("load", "name"), [(data.mnist, LABELS), (data.cifar10, BATCHES[5])])
def test_an_altered_file_of_the_user_is_refused_and_left_alone(
    server, offer, tmp_path, monkeypatch, load, name, message
):
    offer(server.url())
    put(tmp_path, FILES)
    put(tmp_path, [name], CHANGES[message])
    before = stored(tmp_path)
    monkeypatch.setenv("CNNLIB_DATA", str(tmp_path))
    with pytest.raises(data.DataError, match=f"{tmp_path / name} {message}"):
        load("test")
    assert stored(tmp_path) == before
    assert server.asked == []


@pytest.mark.parametrize("change", CHANGES.values())
def test_an_altered_file_in_the_cache_is_replaced(cache, server, offer, change):
    offer(server.url())
    put(cache, FILES, change)
    assert_mnist_test()
    assert_cifar10()
    assert stored(cache) == FILES


def test_an_altered_file_in_the_cache_is_refused_without_a_network(cache, offer):
    offer("http://127.0.0.1:9/")
    put(cache, FILES, CHANGES["has 5 bytes; expected"])
    before = stored(cache)
    with pytest.raises(data.DataError, match=f"nor, whole, in the cache \\({cache}\\), and could not be downloaded"):
        data.mnist("test")
    assert stored(cache) == before


def test_cnnlib_data_must_be_a_directory(offer, tmp_path, monkeypatch):
    monkeypatch.setenv("CNNLIB_DATA", str(tmp_path / "typo"))
    with pytest.raises(data.DataError, match=f"CNNLIB_DATA is '{tmp_path}/typo'; expected a directory"):
        data.mnist()


def test_an_archive_with_other_contents_is_refused(cache, server, offer, monkeypatch):
    offer(server.url())
    cut = {name: content[:-1] for name, content in FILES.items()}
    for files, message in (
        (cut, f"{IMAGES} in the downloaded archive has"),
        ({BATCHES[1]: FILES[BATCHES[1]]}, f"{BATCHES[0]} is not in the downloaded archive; it holds {BATCHES[1]}"),
        ({"readme": b""}, "it holds no such file"),
    ):
        archive = data_server.tar(files)
        monkeypatch.setitem(data_server.SERVED, f"/{data_server.ARCHIVE}", archive)
        monkeypatch.setattr(download, "CIFAR10_MD5", data_server.hashlib.md5(archive).hexdigest())
        with pytest.raises(data.DataError, match=message):
            data.cifar10()
    assert stored(cache) == {}


def test_a_cache_that_takes_no_files_is_named_before_anything_is_downloaded(server, offer, tmp_path, monkeypatch):
    offer(server.url())
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(data.DataError, match=f"the cache {tmp_path}/file/cnnlib does not take files .*CNNLIB_DATA"):
        data.mnist("test")
    assert server.asked == []


class Full:
    """A file on a disk with room for half of what is written."""

    def __init__(self, file):
        self.file = file

    def write(self, content):
        self.file.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_leaves_no_half_of_a_file(cache, server, offer, monkeypatch):
    @contextmanager
    def full(path):
        with whole(path) as file:
            yield Full(file)

    offer(server.url())
    with monkeypatch.context() as patch:
        patch.setattr(download, "whole", full)
        for load, name in ((data.mnist, IMAGES), (data.cifar10, BATCHES[0])):
            size = f"{len(FILES[name]):,}"
            with pytest.raises(data.DataError, match=f"{cache} does not take {name} of {size} bytes .No space left"):
                load("test")
    assert stored(cache) == {}
    assert_mnist_test()


@pytest.mark.parametrize("part", ["valid", "", None, 0, ("train",), "Train"])
def test_an_unknown_part_is_named(offer, part):
    for load in (data.mnist, data.cifar10):
        with pytest.raises(ValueError, match=r"part is .*; expected 'train' or 'test'"):
            load(part)


def start(url, *arguments):
    command = [sys.executable, data_server.__file__, url, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


@pytest.mark.parametrize("load", ["mnist", "cifar10"])
def test_a_killed_download_leaves_nothing(cache, server, offer, load):
    with start(server.url("slow"), load, "test") as process:
        assert server.begun.acquire(timeout=30)
        process.send_signal(signal.SIGKILL)
    assert stored(cache) == {}
    offer(server.url())
    assert_mnist_test()
    assert_cifar10()


def test_two_processes_at_once_both_succeed(cache, server):
    processes = [start(server.url("slow"), "cifar10", "test") for _ in range(2)]
    for _ in processes:
        assert server.begun.acquire(timeout=30)  # both are in the middle of the download
    server.go_on.set()
    labels = [process.communicate(timeout=30)[0] for process in processes]
    assert labels == [f"{data_server.records[5, :, 0].tolist()}\n"] * 2
    assert stored(cache) == {name: FILES[name] for name in BATCHES}
