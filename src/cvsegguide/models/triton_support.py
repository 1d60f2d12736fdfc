"""Whether there are Triton kernels: it comes with PyTorch on Linux, and compiles on first use."""

import importlib
import warnings
from functools import lru_cache
from types import ModuleType

import torch


def kernels_of(module: str, device: torch.device) -> ModuleType | None:
    """A module of Triton's kernels; None where there is no Triton, or it cannot compile.

    For the second it needs a C compiler; without one there is a warning, once.

    Args:
        module: Its name.
        device: Where they are to run.
    """
    kernels = _imported(module)
    return kernels if kernels is not None and _compiles_for(device) else None


@lru_cache(maxsize=16)
def _imported(module: str) -> ModuleType | None:
    try:
        return importlib.import_module(module)
    except ImportError:
        return None


@lru_cache(maxsize=16)
def _compiles_for(device: torch.device) -> bool:
    from cvsegguide.models import layer_norm_kernel

    ones = torch.ones(8, device=device)
    try:
        layer_norm_kernel.layer_norm(ones[None], ones, ones, 1e-5, torch.float32)
    except Exception as error:  # a compiler, a linker or a driver may fail in any way
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
        message = f"Triton cannot compile for {device} ({reason}): slower paths are taken"
        warnings.warn(message, RuntimeWarning, stacklevel=3)
        return False
    return True
