"""Published files fetched from the first mirror that has them whole.

A download is held in memory until its checksum is right, and a file takes its name only when all of it is on the disk:
a process that is killed, a disk that fills up or two processes at once leave no half of a file under its name. Two
processes that start together both download, and the same bytes are stored twice.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import tempfile
import textwrap
from collections.abc import Sequence
from pathlib import Path

from cnnlib.data.lookup import PUBLISHED, DataError, fault
from cnnlib.files import whole

MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
CIFAR10_ARCHIVES = (
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    "https://cave.cs.toronto.edu/kriz/cifar-10-binary.tar.gz",
)
CIFAR10_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"  # published on https://www.cs.toronto.edu/~kriz/cifar.html
TIMEOUT = (10, 60)  # seconds to connect, and without a byte


def fetch(name: str, folder: Path) -> None:
    """Download the file `name`, and those that share an archive with it, to `folder`, or raise a DataError."""
    _expect_writable(folder)
    if name.startswith("MNIST/"):
        urls = [mirror + Path(name).name for mirror in MNIST_MIRRORS]
        by_hand = f"download it from one of these addresses to {folder / name}"
        contents = {name: _first_whole(urls, f"sha256:{PUBLISHED[name].sha256}", _missing(name, folder), by_hand)}
    else:
        by_hand = f"download the archive from one of these addresses and unpack it in {folder}"
        archive = _first_whole(CIFAR10_ARCHIVES, f"md5:{CIFAR10_MD5}", _missing(name, folder), by_hand)
        contents = _unpack(archive, name)
    for member, content in contents.items():
        try:
            with whole(folder / member) as file:
                file.write(content)
        except OSError as error:
            raise _unwritable(folder, f"{member} of {len(content):,} bytes", error) from error


def _missing(name: str, folder: Path) -> str:
    given = os.environ.get("CNNLIB_DATA")
    return f"{name} is neither under CNNLIB_DATA ({given or 'not set'}) nor, whole, in the cache ({folder})"


def _first_whole(urls: Sequence[str], checksum: str, missing: str, by_hand: str) -> bytes:
    """Return what the first of `urls` serves with this checksum; where none does, say what became of each."""
    import requests

    algorithm, expected = checksum.split(":")
    failures = []
    for url in urls:
        try:
            content = _get(url)
        except requests.RequestException as error:
            reason = getattr(error.args[0] if error.args else None, "reason", error)  # what lay behind the retries
            failures.append(f"{url}: {textwrap.shorten(str(reason) or repr(reason), 200)}")
            if error.response is not None:
                error.response.close()
            continue
        digest = hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()
        if digest == expected:
            return content
        failures.append(f"{url}: {len(content):,} bytes of {algorithm} {digest}; expected {expected}")
    raise DataError(
        f"{missing}, and could not be downloaded:\n"
        + "".join(f"  {failure}\n" for failure in failures)
        + f"By hand: {by_hand}; or set CNNLIB_DATA to a directory laid out as that one."
    )


def _get(url: str) -> bytes:
    """Return what `url` serves, with a progress bar on the way."""
    import pooch
    from tqdm import tqdm

    content = io.BytesIO()
    with tqdm(desc=url.rsplit("/", 1)[1], total=1, unit="B", unit_scale=True) as bar:  # pooch sets the total
        # "identity": a .gz is wanted as it is, and some servers would have it unpacked on arrival
        pooch.HTTPDownloader(
            progressbar=bar, chunk_size=2**16, timeout=TIMEOUT, headers={"Accept-Encoding": "identity"}
        )(url, content, None)
    return content.getvalue()


def _unpack(archive: bytes, name: str) -> dict[str, bytes]:
    """Return the published files in `archive` by name, each of them whole."""
    contents = {}
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        for member in tar:
            if member.name in PUBLISHED and (file := tar.extractfile(member)):
                contents[member.name] = file.read()
                if found := fault(member.name, contents[member.name]):
                    raise DataError(f"{member.name} in the downloaded archive {found}")
    if name not in contents:
        raise DataError(f"{name} is not in the downloaded archive; it holds {', '.join(contents) or 'no such file'}")
    return contents


def _expect_writable(folder: Path) -> None:
    """Raise a DataError, before anything is downloaded, where `folder` takes no files."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise _unwritable(folder, "files", error) from error


def _unwritable(folder: Path, what: str, error: OSError) -> DataError:
    return DataError(
        f"the cache {folder} does not take {what} ({error.strerror or error}): make room, choose another cache by "
        "XDG_CACHE_HOME, or set CNNLIB_DATA to a directory that holds the data"
    )
