"""Checkpoints in the layout of the original code, with generated parameters."""

import json
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

GUIDANCE = {"": "predicted", "nSeg": "none", "Seg": "truth"}


def split(name: str) -> tuple[str, str]:
    """``"mst_nSeg"`` -> backbone and guidance."""
    backbone, _, suffix = name.partition("_")
    return backbone, GUIDANCE[suffix]


def generate(key: str, shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """The parameter that the parity data prescribes for a key."""
    rng = np.random.default_rng(zlib.crc32(key.encode()) + seed)
    x = np.asarray(rng.standard_normal(shape, dtype=np.float32))
    if key.endswith("range_temp"):
        x = 0.1 * x
    elif key.endswith("sigma_spatial"):
        x = 1 + 0.1 * x
    elif key.endswith("bias"):
        x = 0.02 * x
    elif len(shape) in (0, 1, 3):
        x = 1 + 0.1 * x
    else:
        x = x / math.sqrt(math.prod(shape[1:]))
    return torch.from_numpy(np.asarray(x, dtype=np.float32))


def state_dict(parity: Path, name: str, seed: int = 0) -> dict[str, Tensor]:
    """The state dict of one of the six published configurations."""
    listing: dict[str, Any] = json.loads((parity / f"{name}_keys.json").read_text())
    buffers = np.load(parity / "mst_buffers.npz")
    return {
        key: torch.from_numpy(buffers[entry["buffer"]])
        if isinstance(entry, dict)
        else generate(key, tuple(entry), seed)
        for key, entry in listing.items()
    }
