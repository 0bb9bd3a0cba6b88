"""A local server of the built site, with gzip as web hosts do it: for the browser tests and the measurements."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

COMPRESSED = {".html", ".js", ".css", ".svg", ".json", ".ipynb", ".md"}


class Handler(SimpleHTTPRequestHandler):
    """Serve a folder, text compressed, over connections that stay open."""

    protocol_version = "HTTP/1.1"

    def send_head(self):
        """Answer with the compressed file where the client takes gzip and the kind of file gains by it."""
        path = Path(self.translate_path(self.path))
        if path.is_dir():
            path = path / "index.html"
        takes_gzip = "gzip" in self.headers.get("Accept-Encoding", "")
        if not (takes_gzip and path.suffix in COMPRESSED and path.is_file()):
            return super().send_head()
        data = gzip.compress(path.read_bytes(), 6)
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(path))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        return BytesIO(data)

    def log_message(self, format, *args):
        """Say nothing: tests and measurements print their own findings."""


@contextmanager
def serve(directory: Path) -> Iterator[str]:
    """Serve ``directory`` on a free port of this machine and yield its address, which ends in a slash."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(directory)))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
