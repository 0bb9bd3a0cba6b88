"""Where the published files of a data set are looked for, and how they are known to be whole.

A file is looked for in the directory that the environment variable CNNLIB_DATA names, then in the user's cache, and is
downloaded to the cache if it is in neither. Both are laid out as the published archives unpack:

    MNIST/raw/{train,t10k}-{images-idx3,labels-idx1}-ubyte.gz
    cifar-10-batches-bin/{data_batch_1..5,test_batch}.bin

Every load compares the SHA-256 of what it read with the published one: tens of milliseconds for 30 MB.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import NamedTuple


class DataError(OSError):
    """A file of a data set is altered, or cannot be downloaded or stored; the message names it and says what to do."""


class Published(NamedTuple):
    """What is known of a file before it is read."""

    size: int  # bytes
    sha256: str


_BATCH = 30_730_000
PUBLISHED = {
    "MNIST/raw/train-images-idx3-ubyte.gz": Published(
        9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
    ),
    "MNIST/raw/train-labels-idx1-ubyte.gz": Published(
        28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
    ),
    "MNIST/raw/t10k-images-idx3-ubyte.gz": Published(
        1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
    ),
    "MNIST/raw/t10k-labels-idx1-ubyte.gz": Published(
        4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
    ),
    "cifar-10-batches-bin/data_batch_1.bin": Published(
        _BATCH, "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"
    ),
    "cifar-10-batches-bin/data_batch_2.bin": Published(
        _BATCH, "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"
    ),
    "cifar-10-batches-bin/data_batch_3.bin": Published(
        _BATCH, "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"
    ),
    "cifar-10-batches-bin/data_batch_4.bin": Published(
        _BATCH, "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"
    ),
    "cifar-10-batches-bin/data_batch_5.bin": Published(
        _BATCH, "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"
    ),
    "cifar-10-batches-bin/test_batch.bin": Published(
        _BATCH, "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"
    ),
}


def read(name: str) -> bytes:
    """Return the contents of the published file `name`, a key of PUBLISHED, or raise a DataError.

    What lies under CNNLIB_DATA is the user's: an altered file there is refused and left alone. The cache holds nothing
    that cannot be fetched again: an altered file there is replaced.
    """
    given = _given(name)
    if given is not None:
        return given
    cached = cache() / name
    if cached.is_file():
        content = cached.read_bytes()
        if not fault(name, content):
            return content
    from cnnlib.data import download

    download.fetch(name, cache())
    content = cached.read_bytes()
    if found := fault(name, content):  # another process, or a person, wrote there since
        raise DataError(f"{cached} {found}")
    return content


def _given(name: str) -> bytes | None:
    """Return the file under CNNLIB_DATA, or None where the variable is not set or the file is not there."""
    root = os.environ.get("CNNLIB_DATA")
    if not root:
        return None
    if not Path(root).is_dir():
        raise DataError(f"CNNLIB_DATA is {root!r}; expected a directory that holds {name}")
    path = Path(root, name)
    if not path.exists():
        return None
    content = path.read_bytes()
    if found := fault(name, content):
        raise DataError(f"{path} {found}: put the published file there, or remove this one to have it downloaded")
    return content


def fault(name: str, content: bytes) -> str:
    """Say in what `content` differs from the published file `name`; nothing if it does not."""
    expected = PUBLISHED[name]
    if len(content) != expected.size:
        return f"has {len(content):,} bytes; expected {expected.size:,}"
    digest = hashlib.sha256(content).hexdigest()
    return "" if digest == expected.sha256 else f"has SHA-256 {digest}; expected {expected.sha256}"


def cache() -> Path:
    """Return the user's cache directory for this package, which need not be there."""
    import pooch

    return Path(pooch.os_cache("cnnlib"))
