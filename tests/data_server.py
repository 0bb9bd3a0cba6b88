"""A tiny MNIST and CIFAR-10, and a server on this machine that offers them as well or as badly as a test wants.

`python data_server.py URL mnist test` loads the tiny images in a process of its own, and prints their labels.
"""

import gzip
import hashlib
import io
import struct
import sys
import tarfile
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from cnnlib.data import download, lookup

IMAGES, LABELS = "MNIST/raw/t10k-images-idx3-ubyte.gz", "MNIST/raw/t10k-labels-idx1-ubyte.gz"
BATCHES = [f"cifar-10-batches-bin/{stem}.bin" for stem in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")]
ARCHIVE = "cifar-10-binary.tar.gz"

pixels = np.random.default_rng(0).integers(0, 256, (4, 28, 28), np.uint8)
digits = np.array([7, 2, 1, 0], np.uint8)
records = np.random.default_rng(1).integers(0, 256, (6, 5, 3073), np.uint8)  # five images in each of six files
records[:, :, 0] %= 10


def idx(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def tar(files):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(stream.getvalue(), mtime=0)


FILES = {IMAGES: gzip.compress(idx(pixels), mtime=0), LABELS: gzip.compress(idx(digits), mtime=0)}
FILES |= {name: batch.tobytes() for name, batch in zip(BATCHES, records, strict=True)}
TINY = {name: lookup.Published(len(content), hashlib.sha256(content).hexdigest()) for name, content in FILES.items()}
WHOLE_ARCHIVE = tar({"cifar-10-batches-bin/readme.html": b"see", **{name: FILES[name] for name in BATCHES}})
SERVED = {"/" + name.rsplit("/", 1)[1]: FILES[name] for name in (IMAGES, LABELS)} | {f"/{ARCHIVE}": WHOLE_ARCHIVE}


def _handler(served, asked, begun, go_on):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            _, fault, path = self.path.split("/")
            content = served["/" + path]
            if fault == "missing":
                self.send_error(404)
                return
            if fault == "altered":
                content = content[:-1] + bytes([content[-1] ^ 1])
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            half = len(content) // 2
            self.wfile.write(content[:half])
            if fault == "slow":
                begun.release()
                go_on.wait(30)
            if fault != "truncated":
                self.wfile.write(content[half:])

        def log_message(self, *_):
            pass

    return Handler


class Server:
    """`url(fault)` is where each file is served whole, "missing", "altered", "truncated" or "slow"."""

    def __init__(self):
        self.asked = []  # paths, in the order in which they were asked for
        self.begun = threading.Semaphore(0)  # released by each slow answer that is half sent
        self.go_on = threading.Event()  # lets slow answers end
        handler = _handler(SERVED, self.asked, self.begun, self.go_on)
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.http.handle_error = lambda *_: None  # a client that was killed

    def url(self, fault="whole"):
        return f"http://127.0.0.1:{self.http.server_port}/{fault}/"


@contextmanager
def serving():
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.go_on.set()
        server.http.shutdown()
        thread.join()
        server.http.server_close()


def offer(put, *urls):
    """Make the tiny files the published ones, and `urls` their mirrors; `put(module, name, value)` sets."""
    put(lookup, "PUBLISHED", TINY)
    put(download, "PUBLISHED", TINY)
    put(download, "MNIST_MIRRORS", urls)
    put(download, "CIFAR10_ARCHIVES", tuple(url + ARCHIVE for url in urls))
    put(download, "CIFAR10_MD5", hashlib.md5(WHOLE_ARCHIVE).hexdigest())


def child():
    """Load in this process, from the mirror and the part that the command line names, and print the labels."""
    from cnnlib import data

    url, load, part = sys.argv[1:]
    offer(setattr, url)
    print({"mnist": data.mnist, "cifar10": data.cifar10}[load](part)[1].tolist())


if __name__ == "__main__":
    child()
