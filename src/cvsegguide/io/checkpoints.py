"""Weights files, read without running code: .pth.tar, .pt, .pth, .ckpt, .safetensors, pickles."""

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cvsegguide.errors import CheckpointError, InputError
from cvsegguide.io.pickles import PLAIN_GLOBALS, load_plain_pickle


def read_checkpoint(path: str | PathLike[str]) -> Any:
    """The content of a weights file, tensors on the CPU.

    Files of ``torch.save`` (zip and legacy format) go through ``torch.load(weights_only=True)``,
    plain pickles of numpy arrays through a restricted unpickler.

    Raises:
        CheckpointError: The file is missing, empty, damaged, or wants code to be run.
    """
    path = Path(path)
    if path.is_dir():
        raise CheckpointError(f"{path}: a folder, not a weights file")
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        reason = "no such file" if not path.exists() else f"cannot be read ({error.strerror})"
        raise CheckpointError(f"{path}: {reason}") from None
    if not head:
        raise CheckpointError(f"{path}: the file is empty")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_numpy_scalars()):
            # About the protocol of foreign pickles: what matters is said in the error.
            warnings.simplefilter("ignore", UserWarning)
            # Mapped, so that the optimiser's state, which nobody reads, takes no memory.
            return torch.load(
                path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
            )
    except (MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:  # damaged files raise nearly anything
        reason = _reason(path, error)
    if head.startswith(b"PK") and not zipfile.is_zipfile(path):
        raise CheckpointError(f"{path}: damaged or truncated: its end is missing")
    # A plain pickle of arrays; legacy files of torch are several pickles, and never this.
    if not zipfile.is_zipfile(path) and not _is_legacy_torch(path):
        try:
            return load_plain_pickle(path)
        except InputError as error:
            # Pickles of the first two protocols have no mark: such a file counts as one when it
            # asks for something by name.
            if head.startswith(b"\x80") or "asks for" in str(error):
                raise CheckpointError(str(error)) from None
            raise CheckpointError(f"{path}: not a PyTorch checkpoint") from None
    raise CheckpointError(f"{path}: {reason}")


def _numpy_scalars() -> list[Any]:
    """Lets figures of merit be numpy's numbers, which training scripts put beside the weights.

    PyTorch refuses them; they are rebuilt by our own functions, as in plain pickles.
    """
    wanted = ("scalar", "dtype")
    return [
        *((value, ".".join(key)) for key, value in PLAIN_GLOBALS.items() if key[1] in wanted),
        *(type(np.dtype(code)) for code in "?bBhHiIlLqQefd"),
    ]


_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
"""First object in files of torch.save before the zip format."""


def _is_legacy_torch(path: Path) -> bool:
    with path.open("rb") as file:
        return _LEGACY_MAGIC.to_bytes(10, "little") in file.read(64)


def _reason(path: Path, error: Exception) -> str:
    text = str(error)
    if isinstance(error, pickle.UnpicklingError):
        words = [
            word.strip(".,")
            for line in text.splitlines()
            if "global" in line.lower()
            for word in line.replace("`", "").split()
            if "." in word.strip(".,") and not word.startswith("torch.")
        ]
        if words or "Unsupported" in text:
            named = f" ({words[0]})" if words else ""
            return f"refused, because reading it would run code{named}"
    return f"not a weights file that can be read ({type(error).__name__}); is it whole?"


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{path}: not a safetensors file ({reason})") from None


def read_state_dict(path: str | PathLike[str]) -> dict[str, Tensor]:
    """The parameters in a weights file: name -> tensor.

    The dictionary is the file itself or its entry ``state_dict``; numpy arrays become tensors,
    and the prefix ``module.`` of data-parallel training is taken off.

    Raises:
        CheckpointError: As :func:`read_checkpoint`; or there are no parameters in it.
    """
    path = Path(path)
    content = read_checkpoint(path)
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not content:
        raise CheckpointError(f"{path}: holds {type(content).__name__}, not named parameters")
    state: dict[str, Tensor] = {}
    for name, value in content.items():
        if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "fiub":
            value = torch.from_numpy(np.array(value))
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(f"{path}: entry '{name}' is no parameter")
        state[name] = value
    if all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): value for name, value in state.items()}
    return state


def check_parameters(
    path: str | PathLike[str],
    state: Mapping[str, Tensor],
    expected: Mapping[str, tuple[int, ...]],
) -> None:
    """Compare names and shapes with what a network expects.

    Raises:
        CheckpointError: Names the first parameter that is missing, extra or misshapen, and says
            how many more there are.
    """
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    wrong = {
        "is missing": [name for name in expected if name not in shapes],
        "is not part of the network": [name for name in shapes if name not in expected],
        "has shape {}, not {}": [
            name for name in expected if name in shapes and shapes[name] != tuple(expected[name])
        ],
    }
    faults = [
        f"parameter '{names[0]}' {fault.format(shapes.get(names[0]), expected.get(names[0]))}"
        + (f" (and {len(names) - 1} more)" if len(names) > 1 else "")
        for fault, names in wrong.items()
        if names
    ]
    if faults:
        raise CheckpointError(f"{path}: {'; '.join(faults)}")
