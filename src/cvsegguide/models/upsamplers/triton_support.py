"""Whether there are Triton kernels: it comes with PyTorch on Linux, and compiles on first use."""

import importlib
import warnings
from functools import lru_cache
from types import ModuleType

import torch
from torch import Tensor


def triton_kernels(source: Tensor, radius: int) -> ModuleType | None:
    """The module of kernels where it can enlarge ``source`` ``(B, h, w, C)``, else None.

    It can on CUDA, without gradients, where there is Triton and it can compile. For the last it
    needs a C compiler; without one there is a warning, once.
    """
    if not source.is_cuda or torch.is_grad_enabled() or torch.compiler.is_compiling():
        return None
    if source.dtype not in (torch.float32, torch.bfloat16, torch.float16):
        return None
    module = _compiled_for(source.device)
    if module is None or radius > module.LARGEST_RADIUS or 2 * min(source.shape[1:3]) <= radius:
        return None
    return module


@lru_cache(maxsize=16)
def _compiled_for(device: torch.device) -> ModuleType | None:
    try:
        module = importlib.import_module("cvsegguide.models.upsamplers.triton_kernels")
    except ImportError:
        return None
    try:
        ones = torch.ones(1, 9, 8, 8, device=device)
        module.enlarge(ones[:, 0, :4, :4, None], module.fold(ones, 1), 1)
    except Exception as error:  # a compiler, a linker or a driver may fail in any way
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
        message = f"Triton cannot compile for {device} ({reason}): slower paths are taken"
        warnings.warn(message, RuntimeWarning, stacklevel=3)
        return None
    return module
