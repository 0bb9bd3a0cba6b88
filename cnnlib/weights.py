"""Weights in files: small `.npz` without pickle, and those that come with the package.

`python -m tools.weights` makes the shipped ones again; beside each lies a JSON file with the command, seed, data,
versions, time and scores that made it.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnlib.files import write_whole

if TYPE_CHECKING:
    from torch import nn

SHIPPED = Path(__file__).parent / "assets" / "weights"


def names() -> list[str]:
    """Return the names of the shipped weights; those that end in `_robust` were trained against an attack."""
    return sorted(path.stem for path in SHIPPED.glob("*.npz"))


def provenance(name: str) -> dict[str, Any]:
    """Return what made the shipped weights of that name, and how well they do; ValueError for another name."""
    return json.loads(_path(name).with_suffix(".json").read_text("utf-8"))


def arrays(name: str) -> dict[str, np.ndarray]:
    """Return the shipped weights of that name as arrays, by the names of the network's parameters and buffers.

    `nn_numpy.load` takes those of LeNet-5, ResNet-20 and the digits network as they are.
    """
    return read(_path(name))


def load(name: str) -> nn.Module:
    """Return a shipped network, ready for use: images (N, C, H, W) with pixels from 0 to 1 in, logits out.

    It is a `Sequential` of `normalise` and `network`, in evaluation mode. Raises ValueError for an unknown name.
    """
    from collections import OrderedDict

    from torch import nn

    from cnnlib.models import build
    from cnnlib.models.normalise import Normalise

    made = provenance(name)
    network = build(made["model"], num_classes=made["num_classes"], in_channels=len(made["mean"]))
    put(network, arrays(name), name)
    normalise = Normalise(made["mean"], made["std"], padding=made["padding"])
    return nn.Sequential(OrderedDict(normalise=normalise, network=network)).eval()


def take(network: nn.Module) -> dict[str, np.ndarray]:
    """Return copies of a network's parameters and buffers by name; the number of batches seen is left out."""
    state = network.state_dict().items()
    return {k: v.detach().cpu().contiguous().numpy().copy() for k, v in state if not k.endswith("num_batches_tracked")}


def put(network: nn.Module, values: dict[str, np.ndarray], source: str) -> None:
    """Copy arrays into a network by name; raises ValueError, with nothing changed, where they are another's.

    `source` says in the message where they are from.
    """
    import torch

    own = {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    for key in sorted(own.keys() | values.keys()):
        found = values[key].shape if key in values else "missing"
        wanted = tuple(own[key].shape) if key in own else "nothing of that name"
        if found != wanted:
            raise ValueError(f"{source} holds weights of another network: {key} is {found}; expected {wanted}")
        if (values[key].dtype.kind == "f") != own[key].is_floating_point():
            raise ValueError(f"{source}: {key} is of {values[key].dtype}; expected {own[key].dtype}")
    with torch.no_grad():
        for key, value in own.items():
            value.copy_(torch.from_numpy(values[key]))


def write(path: Path, values: dict[str, np.ndarray]) -> None:
    """Write arrays to a `.npz` file, all or nothing; the same arrays give, with the same zlib, the same bytes.

    Raises OSError, naming the file, where it cannot be written.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for key, value in values.items():
            entry = zipfile.ZipInfo(f"{key}.npy")  # its date is always 1980
            entry.create_system = 3  # Unix, wherever it is written
            with archive.open(entry, "w") as member:
                np.lib.format.write_array(member, np.asarray(value, order="C"), allow_pickle=False)
    write_whole(path, content.getvalue())


def read(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a `.npz` file; raises ValueError, naming the file, where it is damaged or none."""
    content = path.read_bytes()
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            return dict(stored)
    except Exception as error:  # a damaged file can make a reader raise nearly anything
        raise ValueError(f"{path} is no file of weights, or is damaged ({error})") from error


def _path(name: str) -> Path:
    if name not in names():
        known = f"one of {', '.join(map(repr, names()))}" if names() else "none: this copy of cnnlib has no weights"
        raise ValueError(f"name is {name!r}; expected {known}")
    return SHIPPED / f"{name}.npz"
