"""Maths: KaTeX renders it at build time; on a busy machine its server needs more patience than it is given."""

import time

from sphinx.application import Sphinx
from sphinxcontrib import katex

ATTEMPTS = 20


def start_server(app: Sphinx) -> None:
    """Start the server that renders the formulas, and try again where it is not listening yet."""
    katex.STARTUP_TIMEOUT = katex.RENDER_TIMEOUT = 60.0  # seconds
    for attempt in range(ATTEMPTS):
        try:
            katex.KaTeXServer.get()
            return
        except ConnectionRefusedError:
            # Its socket exists a moment before it accepts connections, and KaTeXServer.start does not wait for that.
            if attempt == ATTEMPTS - 1:
                raise
            time.sleep(0.1)
