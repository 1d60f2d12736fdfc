"""``cvsegguide doctor``: what is installed, which device, what works. It needs no network."""

import argparse
import importlib
import importlib.util
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from cvsegguide import __version__, console
from cvsegguide.console import processor_name, usable_cores

State = Literal["ok", "absent", "weak", "broken"]
"""``absent``: optional and not there; ``weak``: works, but slower or less than it could."""


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        group: ``versions``, ``machine``, ``folders``, ``works`` or ``extras``.
        name: What was looked at.
        state: How it is; only ``broken`` makes the exit status 1.
        text: What was found.
        remedy: What to do about it, or an empty string.
    """

    group: str
    name: str
    state: State
    text: str
    remedy: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.description = (
        "Say what is installed, on which device it would run, and what works: weights, kernels, "
        "coordinate systems, caches. Ends with status 1 when something essential is broken. "
        "Uses no network."
    )
    parser.add_argument("--json", action="store_true", help="JSON on stdout instead of a table")


def run(arguments: argparse.Namespace) -> int:
    """Examine and print; exit status 1 when something is broken."""
    findings = examine()
    broken = [finding.name for finding in findings if finding.state == "broken"]
    if arguments.json:
        console.show(
            {
                "version": __version__,
                "healthy": not broken,
                "findings": [asdict(finding) for finding in findings],
            }
        )
    else:
        _print(findings)
        print(f"broken: {', '.join(broken)}" if broken else "Everything essential works.")
    return 1 if broken else 0


def examine() -> list[Finding]:
    """Every finding, in the order of the report."""
    groups: dict[str, Callable[[], Iterator[Finding]]] = {
        "versions": _versions,
        "machine": _machine,
        "folders": _folders,
        "works": _works,
        "extras": _extras,
    }
    found = []
    for name, group in groups.items():
        try:
            found += list(group())
        except Exception as error:  # a report must not end at the fault that it is to report
            found.append(Finding(name, name, "broken", _reason(error)))
    return found


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


# -- versions -------------------------------------------------------------------------------


def _versions() -> Iterator[Finding]:
    yield Finding("versions", "cvsegguide", "ok", f"{__version__}, {Path(__file__).parents[1]}")
    supported = sys.version_info >= (3, 11)
    yield Finding(
        "versions",
        "python",
        "ok" if supported else "broken",
        f"{platform.python_version()}, {sys.executable}",
        "" if supported else "Python 3.11 or newer is needed",
    )
    for requirement, extra in _requirements():
        if not extra:
            yield _version(requirement)


def _requirements() -> list[tuple[Any, str]]:
    """What the package's own metadata ask for: requirement and name of the extra, or ''."""
    from packaging.requirements import Requirement

    found = []
    for line in metadata.requires("cvsegguide") or []:
        extra = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", line)
        found.append((Requirement(line), extra[1] if extra else ""))
    return found


def _version(requirement: Any) -> Finding:
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return Finding(
            "versions",
            requirement.name,
            "broken",
            "missing",
            f"pip install '{_plain(requirement)}'",
        )
    if not requirement.specifier.contains(version, prereleases=True):
        return Finding(
            "versions",
            requirement.name,
            "weak",
            f"{version}, not {requirement.specifier}",
            f"pip install '{_plain(requirement)}'",
        )
    return Finding("versions", requirement.name, "ok", version)


def _plain(requirement: Any) -> str:
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}{requirement.specifier}"


# -- machine --------------------------------------------------------------------------------


def _machine() -> Iterator[Finding]:
    yield Finding("machine", "system", "ok", platform.platform())
    cores = usable_cores()
    yield Finding("machine", "cores", "ok", f"{cores} of {os.cpu_count()} for this process")
    yield _memory()
    try:
        import torch

        from cvsegguide.inference.localizer import choose_device
    except Exception as error:
        yield Finding("machine", "device", "broken", _reason(error), "reinstall PyTorch")
        return
    threads = torch.get_num_threads()
    crowded = threads > cores
    yield Finding(
        "machine",
        "threads",
        "weak" if crowded else "ok",
        f"{threads} of PyTorch",
        f"more than cores: OMP_NUM_THREADS={cores} is faster" if crowded else "",
    )
    device = choose_device("auto")
    yield Finding("machine", "device", "ok", f"{device} ({_device_name(device)})")
    try:
        yield _bf16(device)
    except Exception as error:
        yield Finding("machine", "bf16", "weak", _reason(error))


def _memory() -> Finding:
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return Finding("machine", "memory", "ok", "unknown")
    limit = total
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            limit = min(limit, int(Path(path).read_text(encoding="ascii")))
    with suppress(OSError, AttributeError):
        words = re.findall(r"MemAvailable:\s+(\d+)", Path("/proc/meminfo").read_text("ascii"))
        free = int(words[0]) * 1024 if words else free
    text = f"{limit / 2**30:.1f} GiB, {min(free, limit) / 2**30:.1f} GiB of it free"
    scarce = limit < 2 * 2**30
    return Finding(
        "machine", "memory", "weak" if scarce else "ok", text, "2 GiB are wanted" if scarce else ""
    )


def _device_name(device: Any) -> str:
    import torch

    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
    built = torch.version.cuda or getattr(torch.version, "hip", None)
    name = processor_name()
    return f"{name}; no GPU found" if built and device.type == "cpu" else name


def _bf16(device: Any) -> Finding:
    """Whether 16-bit training pays: it works nearly everywhere, but is emulated on most CPUs."""
    import torch

    fast: bool | None = None
    if device.type == "cuda":
        fast = bool(torch.cuda.is_bf16_supported(including_emulation=False))
    elif device.type == "cpu":
        with suppress(OSError):
            flags = Path("/proc/cpuinfo").read_text("utf-8")
            fast = "avx512_bf16" in flags or "amx_bf16" in flags
    small = torch.ones(8, 8, dtype=torch.bfloat16, device=device)
    works = bool((small @ small == 8).all())
    if not works:
        return Finding("machine", "bf16", "weak", "wrong results", "train in 32 bits")
    words = {True: "in hardware", False: "emulated: no faster than 32 bits", None: "works"}
    return Finding("machine", "bf16", "ok", words[fast])


# -- folders --------------------------------------------------------------------------------


def _folders() -> Iterator[Finding]:
    places = [("temporary files", Path(tempfile.gettempdir()), True)]
    with suppress(Exception):
        from huggingface_hub import constants

        places.append(("models from the Hub", Path(constants.HF_HUB_CACHE), False))
    with suppress(Exception):
        from numba.core import config

        chosen: str = getattr(config, "CACHE_DIR", "")
        kernels = Path(chosen) if chosen else _numba_folder()
        places.append(("compiled kernels", kernels, False))
    with suppress(Exception):
        import matplotlib

        places.append(("fonts of matplotlib", Path(matplotlib.get_cachedir()), False))
    for name, path, essential in places:
        writable, free = _writable(path)
        state: State = "ok" if writable else "broken" if essential else "weak"
        text = f"{path}, {free / 2**30:.1f} GiB free" if writable else f"{path}: not writable"
        remedy = ""
        if not writable:
            variable = {
                "temporary files": "TMPDIR",
                "models from the Hub": "HF_HOME",
                "compiled kernels": "NUMBA_CACHE_DIR",
            }.get(name, "MPLCONFIGDIR")
            remedy = f"set {variable} to a folder that can be written to"
        yield Finding("folders", name, state, text, remedy)


def _numba_folder() -> Path:
    """Beside the kernels' sources, or in the user's cache where those cannot be written to."""
    beside = Path(__file__).resolve().parents[1] / "synth"
    if os.access(beside, os.W_OK):
        return beside / "__pycache__"
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "numba"


def _writable(path: Path) -> tuple[bool, int]:
    """Whether files can be made in a folder, or in the one that it would be made in; bytes free."""
    while not path.exists() and path != path.parent:
        path = path.parent
    try:
        with tempfile.NamedTemporaryFile(dir=path):
            return True, shutil.disk_usage(path).free
    except OSError:
        return False, 0


# -- what works -----------------------------------------------------------------------------


def _works() -> Iterator[Finding]:
    projection = "unset PROJ_LIB, PROJ_DATA and GDAL_DATA, or reinstall rasterio"
    checks: tuple[tuple[str, Callable[[], str], str], ...] = (
        ("torchvision", _torchvision, "torch and torchvision must be from the same place"),
        ("bundled weights", _weights, "reinstall cvsegguide"),
        ("coordinate systems", _coordinates, projection),
        ("GeoTIFF", _geotiff, "reinstall rasterio"),
        ("compiled kernels", _kernels, "reinstall numba and numpy in versions that fit"),
        ("figures", _figures, "reinstall matplotlib"),
        ("training", _training, "reinstall lightning and jsonargparse"),
    )
    for name, check, remedy in checks:
        start = time.perf_counter()
        try:
            text = check()
        except Exception as error:
            yield Finding("works", name, "broken", _reason(error), remedy)
        else:
            elapsed = time.perf_counter() - start
            yield Finding("works", name, "ok", f"{text} ({elapsed:.1f} s)")


def _torchvision() -> str:
    import torch
    from torchvision.ops import nms  # fails where it was built for another torch

    nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.ones(1), 0.5)
    return "fits torch"


def _weights() -> str:
    """Load every set of weights, and run the default one."""
    import torch

    from cvsegguide.models.hub import bundled_weights, default_weights, load_model

    default = default_weights()
    names = list(bundled_weights())
    for name in names:
        model = load_model(name)
        if name != default:
            continue
        generator = torch.Generator().manual_seed(0)
        overhead = torch.rand(1, 3, *model.overhead_size, generator=generator)
        street = torch.rand(1, 3, *model.street_size, generator=generator)
        with torch.inference_mode():
            posterior = model.log_posterior(model(overhead, street)).exp()
        total = float(posterior.sum())
        if not 0.999 < total < 1.001:
            raise ValueError(f"the posterior of '{name}' sums to {total:g}")
    return f"{', '.join(names)}; '{default}' localises"


def _coordinates() -> str:
    import rasterio
    from rasterio.crs import CRS
    from rasterio.warp import transform

    # The central meridian of zone 18, on the equator, has the easting 500 km by definition.
    (x,), (y,) = transform(CRS.from_epsg(4326), CRS.from_epsg(32618), [-75.0], [0.0])
    if abs(x - 500_000) > 0.01 or abs(y) > 0.01:
        raise ValueError(f"75 W on the equator came out as {x:.2f}, {y:.2f} in UTM zone 18 N")
    return f"GDAL {rasterio.__gdal_version__}, PROJ {rasterio.__proj_version__} and its data"


def _geotiff() -> str:
    import numpy as np

    from cvsegguide.geo import GeoReference
    from cvsegguide.geo.bounds import Bounds
    from cvsegguide.io.geotiff import write_geotiff

    band = np.arange(64, dtype=np.uint8).reshape(8, 8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "test.tif"
        reference = GeoReference.from_bounds(Bounds(-74.0, 40.0, -73.9, 40.1), 8, 8)
        write_geotiff(path, band, reference)
        import rasterio

        with rasterio.open(path) as dataset:
            if not (dataset.read(1) == band).all() or dataset.crs.to_epsg() != 4326:
                raise ValueError("what was written is not what is read")
    return "written and read"


def _kernels() -> str:
    import numba
    import numpy as np

    from cvsegguide.geo.sightline import sightline

    ids = np.zeros((16, 16), np.uint8)
    ids[:, 8] = 5
    seen = sightline(ids, 8.5, 2.5)
    if not (seen[8, 3] > 0 and seen[8, 12] == 0):
        raise ValueError("a wall does not hide what is behind it")
    return f"numba {numba.__version__}"


def _figures() -> str:
    import io

    from matplotlib.figure import Figure

    figure = Figure(figsize=(1, 1))
    figure.text(0, 0, "posterior")
    figure.savefig(io.BytesIO(), format="png")
    return "drawn"


def _training() -> str:
    importlib.import_module("lightning.pytorch.cli")
    return "lightning and jsonargparse are there"


# -- extras ---------------------------------------------------------------------------------


def _extras() -> Iterator[Finding]:
    """Every extra of the package that people use, and those that make single functions work."""
    groups: dict[str, list[Any]] = {}
    for requirement, extra in _requirements():
        if extra and extra not in ("dev", "test", "docs") and requirement.name != "cvsegguide":
            groups.setdefault(extra, []).append(requirement)
    for extra, requirements in groups.items():
        found, missing = [], []
        for requirement in requirements:
            try:
                found.append(f"{requirement.name} {metadata.version(requirement.name)}")
            except metadata.PackageNotFoundError:
                missing.append(requirement.name)
        yield Finding(
            "extras",
            extra,
            "absent" if missing else "ok",
            ", ".join([*found, *(f"no {name}" for name in missing)]),
            f"pip install 'cvsegguide[{extra}]'" if missing else "",
        )
    listed = {requirement.name for group in groups.values() for requirement in group}
    for name, use in (
        ("onnxruntime", "running an exported model"),
        ("aiohttp", "the web page"),
        ("playwright", "the tests of the web page"),
        ("tensorboard", "curves of training"),
    ):
        if name in listed:
            continue
        with suppress(metadata.PackageNotFoundError):
            yield Finding("extras", name, "ok", f"{metadata.version(name)}, for {use}")
            continue
        yield Finding("extras", name, "absent", f"for {use}", f"pip install {name}")


# -- on screen ------------------------------------------------------------------------------


def _print(findings: list[Finding]) -> None:
    """A line each: words, not a table, so that nothing is cut off in a narrow terminal."""
    colour = console.has_colour(sys.stdout)
    codes = {"ok": "32", "absent": "2", "weak": "33", "broken": "1;31"}
    width = max(len(finding.name) for finding in findings)
    group = ""
    for finding in findings:
        if finding.group != group:
            print(("" if not group else "\n") + finding.group)
            group = finding.group
        state = f"{finding.state:<6}"
        if colour:
            state = f"\x1b[{codes[finding.state]}m{state}\x1b[0m"
        remedy = f"  -> {finding.remedy}" if finding.remedy else ""
        print(f"  {state}  {finding.name:<{width}}  {finding.text}{remedy}")
    print()
