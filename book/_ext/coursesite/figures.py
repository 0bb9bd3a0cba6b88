"""Figures: the text that stands for them, their size, and when a browser loads them."""

import hashlib
import json
import re
import struct
from base64 import b64decode
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)
STYLE = re.compile(r'\s*style="width: (\d+)px; height: (\d+)px;"')
IMAGE = re.compile(r"<img\b([^>]*?)\s*/?>")


def alternative_texts(notebook: dict) -> dict[str, str]:
    """Map the SHA-256 of each PNG that the notebook stores to its alternative text.

    The text is the output's metadata ``image/png.alt``, or else its ``text/plain`` unless that is a bare repr.
    """
    texts = {}
    for cell in notebook["cells"]:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "image/png" not in data:
                continue
            plain = "".join(data.get("text/plain", ""))
            alt = output.get("metadata", {}).get("image/png", {}).get("alt") or ("" if plain.startswith("<") else plain)
            texts[hashlib.sha256(b64decode("".join(data["image/png"]))).hexdigest()] = alt
    return texts


def describe(app: Sphinx, doctree: nodes.document) -> None:
    """Give every image of a notebook its alternative text, and warn of an image that has none."""
    source = Path(doctree["source"])
    texts = alternative_texts(json.loads(source.read_text("utf-8"))) if source.suffix == ".ipynb" else {}
    for image in doctree.findall(nodes.image):
        # MyST-NB names an output's file by the hash of its bytes.
        alt = image.get("alt") or texts.get(Path(image["uri"]).stem, "")
        if alt:
            image["alt"] = alt
        else:
            logger.warning("image %s has no alternative text", image["uri"], location=image)


def png_size(path: Path) -> tuple[int, int]:
    """Return the (width, height) that the header of the PNG at ``path`` states; raise ValueError if it is no PNG."""
    header = path.read_bytes()[:24]
    if header[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError(f"{path.name} is not a PNG file")
    return struct.unpack(">II", header[16:24])


def complete_images(html: str, page: Path) -> str:
    """Give the images of a page their size as attributes, and let them wait until they come near.

    A size in the notebook goes before the file's; docutils writes it as a style, which would not shrink in proportion.
    """

    def complete(match: re.Match) -> str:
        attributes = match[1]
        source = page.parent / re.search(r'src="([^"]+)"', attributes)[1]
        if style := STYLE.search(attributes):
            size = style.groups()
        else:
            size = png_size(source) if source.suffix == ".png" else None
        if size and " width=" not in attributes:
            attributes = STYLE.sub("", attributes) + f' width="{size[0]}" height="{size[1]}"'
        return f'<img{attributes} loading="lazy" decoding="async" />'

    return IMAGE.sub(complete, html)
