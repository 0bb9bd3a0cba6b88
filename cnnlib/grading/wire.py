"""Read what comes out of the sandbox, where every byte may be forged.

NumPy's own readers trust the sizes that a file declares. Here a declared size counts for nothing until the
bytes are there, nothing is unpickled or decompressed, and only plain numbers pass.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from typing import Any

import numpy as np

from cnnlib.grading.runner import JSON_KEY, NUMBERS
from cnnlib.grading.spec import Arrays

ENTRIES = 2000
TEXT = 400  # characters of an error message


class WireError(ValueError):
    """These bytes are not a frame that the runner writes."""


def read_npy(data: bytes) -> np.ndarray:
    """Read one `.npy` of plain numbers whose header agrees with its length; raise WireError otherwise."""
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        if version != (1, 0):
            raise WireError(f".npy version is {version}; expected (1, 0)")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    except WireError:
        raise
    except Exception as error:  # NumPy's header parser fails in many ways
        raise WireError(f".npy header cannot be read: {type(error).__name__}") from error
    if dtype.kind not in NUMBERS or dtype.itemsize > 8 or dtype.subdtype is not None or fortran:
        raise WireError(f"dtype is {dtype}; expected plain numbers in row-major order")
    body = data[stream.tell() :]
    if any(n < 0 for n in shape) or math.prod(shape) * dtype.itemsize != len(body):
        raise WireError(f"shape is {shape}; expected the {len(body)} bytes that follow")
    return np.frombuffer(body, dtype).reshape(shape)


def read_frame(frame: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the JSON message and the arrays of one frame; raise WireError where it is anything else."""
    arrays = {}
    try:
        with zipfile.ZipFile(io.BytesIO(frame)) as archive:
            entries = archive.infolist()
            total = sum(entry.file_size for entry in entries)  # entries may overlap, so that a small file reads large
            if len(entries) > ENTRIES or total > len(frame):
                raise WireError(f"the frame has {len(entries)} entries of {total} bytes; expected what it holds")
            for entry in entries:
                if entry.compress_type != zipfile.ZIP_STORED:
                    raise WireError(f"{entry.filename!r} is compressed; expected it stored")
                arrays[entry.filename.removesuffix(".npy")] = read_npy(archive.read(entry))
        message = json.loads(arrays.pop(JSON_KEY).tobytes())
    except WireError:
        raise
    except Exception as error:  # zipfile and json fail in many ways on forged bytes, RecursionError among them
        raise WireError(f"the frame cannot be read: {type(error).__name__}") from error
    if not isinstance(message, dict):
        raise WireError(f"the message is a {type(message).__name__}; expected a dict")
    return message, arrays


def read_answers(
    message: dict[str, Any], arrays: dict[str, np.ndarray], calls: int, outputs: int
) -> list[Arrays | str]:
    """Return an answer for each call: arrays, or in words why there are none. Raises WireError where malformed."""
    listed = message.get("answers")
    if not isinstance(listed, list) or len(listed) != calls:
        raise WireError(f"answers is not a list of {calls}")
    answers: list[Arrays | str] = []
    for one in listed:
        if isinstance(one, dict) and isinstance(one.get("error"), str):
            answers.append(printable(one["error"]))
            continue
        keys = one.get("arrays") if isinstance(one, dict) else None
        if not isinstance(keys, list) or len(keys) != outputs or not all(isinstance(k, str) for k in keys):
            raise WireError(f"an answer is not {outputs} names of arrays")
        if not all(key in arrays for key in keys):
            raise WireError("an answer names an array that is not there")
        answers.append([arrays[key] for key in keys])
    return answers


def printable(text: str) -> str:
    r"""Return the text on one line, without control characters, cut to `TEXT` characters.

    >>> printable("a\x1b[31m\nb")
    'a [31m b'
    """
    return " ".join("".join(c if c.isprintable() else " " for c in text[:TEXT]).split())
