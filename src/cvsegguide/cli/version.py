"""``cvsegguide --version``: this package, torch and the device, without importing torch.

Importing torch takes seconds. Its version and what it was built for stand in a small file of its
own, and the graphics driver tells its devices through its library, as it would tell torch.
``cvsegguide doctor`` asks torch itself.
"""

import ctypes
import importlib.util
import platform
import sys
from pathlib import Path
from typing import Any

from cvsegguide import __version__


def versions() -> dict[str, Any]:
    """``version`` of this package, of ``torch`` (None without it) and ``python``; ``device``."""
    build = _torch_build()
    return {
        "version": __version__,
        "torch": build.get("__version__"),
        "device": device(build),
        "python": platform.python_version(),
    }


def version_line() -> str:
    """The same as a line."""
    found = versions()
    torch = found["torch"] or "not installed"
    return f"cvsegguide {found['version']}, torch {torch}, device {found['device']}"


def _torch_build() -> dict[str, Any]:
    """What stands in ``torch/version.py``: ``__version__``, ``cuda``, ``hip``, ..."""
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return {}
    path = Path(found.origin).with_name("version.py")
    try:
        spec = importlib.util.spec_from_file_location("_cvsegguide_torch_version", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    except Exception:  # a torch that was built otherwise
        from importlib import metadata

        return {"__version__": metadata.version("torch")}
    return vars(module)


def device(build: dict[str, Any]) -> str:
    """The device that ``--device auto`` takes, with its name where it has one.

    Args:
        build: What torch was built for: ``cuda``, ``hip`` (versions or None).
    """
    if build.get("cuda"):
        name = _first_cuda_device()
        if name is not None:
            return f"cuda ({name})"
    if build.get("hip") and Path("/dev/kfd").exists():
        return "cuda (ROCm)"
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return "mps"
    return "cpu"


def _first_cuda_device() -> str | None:
    """Name of the first device that NVIDIA's driver shows to this process, or None."""
    library = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    count, handle = ctypes.c_int(), ctypes.c_int()
    name = ctypes.create_string_buffer(128)
    try:
        driver = ctypes.CDLL(library)
        if (
            driver.cuInit(0)
            or driver.cuDeviceGetCount(ctypes.byref(count))
            or count.value < 1
            or driver.cuDeviceGet(ctypes.byref(handle), 0)
            or driver.cuDeviceGetName(name, len(name), handle)
        ):
            return None
    except (OSError, AttributeError):
        return None
    return name.value.decode(errors="replace")
