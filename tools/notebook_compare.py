"""Compare a stored notebook with a fresh run of it: pictures by their pixels, everything else to the byte."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
from nbformat import NotebookNode
from PIL import Image

from tools.notebook_checks import label

# Mean absolute difference of 8-bit pixels. Another machine may round a line's edge otherwise; one digit
# that changes in a figure of 640 × 480 already gives more.
PIXEL_TOLERANCE = 0.01


def differences(stored: NotebookNode, fresh: NotebookNode) -> list[str]:
    """Return what differs between two notebooks, cell by cell; image/png is compared by decoded pixels."""
    if len(stored.cells) != len(fresh.cells):
        return [f"{len(stored.cells)} cells stored, {len(fresh.cells)} in a fresh run"]
    found = []
    for index, (old, new) in enumerate(zip(stored.cells, fresh.cells, strict=True)):
        if _text(old) != _text(new):
            found.append(f"{label(stored, index)} differs from a fresh run:\n- {_text(old)}\n+ {_text(new)}")
            continue
        for old_png, new_png in zip(_pictures(old), _pictures(new), strict=True):
            found += [f"{label(stored, index)}: {what}" for what in picture_differences(old_png, new_png)]
    if stored.metadata != fresh.metadata:
        found.append(f"notebook metadata {stored.metadata} differ from {fresh.metadata}")
    return found


def picture_differences(stored: str, fresh: str) -> list[str]:
    """Compare two PNG files in base64; a picture that cannot be decoded is a difference."""
    if stored == fresh:
        return []
    try:
        old, new = _pixels(stored), _pixels(fresh)
    except (OSError, ValueError, SyntaxError) as error:  # Pillow raises SyntaxError on a broken chunk
        return [f"a picture cannot be decoded: {error}"]
    if old.shape != new.shape:
        return [f"a picture has shape {old.shape}, {new.shape} in a fresh run"]
    gap = float(np.abs(old - new).mean())
    return [f"a picture differs by {gap:.3f} grey levels on average"] if gap > PIXEL_TOLERANCE else []


def _pixels(png: str) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(png, validate=False))) as image:
        return np.asarray(image.convert("RGBA"), dtype=np.float64)  # (height, width, 4)


def _pictures(cell: NotebookNode) -> list[str]:
    return [output.data["image/png"] for output in cell.get("outputs", []) if "image/png" in output.get("data", {})]


def _text(cell: NotebookNode) -> str:
    """Return a cell as JSON in which every PNG is a placeholder."""
    plain: dict[str, Any] = json.loads(json.dumps(cell))
    for output in plain.get("outputs", []):
        if "image/png" in output.get("data", {}):
            output["data"]["image/png"] = "(compared by its pixels)"
    return json.dumps(plain, sort_keys=True, ensure_ascii=False)
