"""``cvsegguide doctor`` and ``--version``: what is installed, which device, what works."""

import argparse
import importlib
import platform
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from cvsegguide import __version__, console
from cvsegguide.errors import first_sentence

DEVELOPMENT = ("dev", "test", "docs")
"""Extras that only those need who work on the package."""


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        group: ``versions``, ``machine``, ``works`` or ``extras``.
        name: What was looked at.
        state: ``absent``: optional and not there; only ``broken`` makes the exit status 1.
        text: What was found.
        remedy: What to do about it, or an empty string.
    """

    group: str
    name: str
    state: Literal["ok", "absent", "broken"]
    text: str
    remedy: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.description = (
        "Say what is installed, on which device it would run, and whether it localises, renders "
        "and trains. Ends with status 1 when something essential is broken. Uses no network."
    )


def run(arguments: argparse.Namespace) -> int:
    """Examine and print; exit status 1 when something is broken."""
    findings = [*_packages(), *_machine(), *_works()]
    broken = [finding.name for finding in findings if finding.state == "broken"]
    if console.settings.json:
        rows = [asdict(finding) for finding in findings]
        console.show({"version": __version__, "healthy": not broken, "findings": rows})
        return 1 if broken else 0
    width = max(len(finding.name) for finding in findings)
    for number, finding in enumerate(findings):
        if number == 0 or finding.group != findings[number - 1].group:
            print(finding.group)
        remedy = f"  -> {finding.remedy}" if finding.remedy else ""
        print(f"  {finding.state:<6}  {finding.name:<{width}}  {finding.text}{remedy}")
    print(f"broken: {', '.join(broken)}" if broken else "Everything essential works.")
    return 1 if broken else 0


def versions() -> dict[str, Any]:
    """``version`` of this package, of ``torch`` (None without it) and ``python``; ``device``."""
    found = {"version": __version__, "torch": None, "device": "cpu"}
    try:
        import torch

        from cvsegguide.inference.torch_network import choose_device
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
    else:
        device = choose_device("auto")
        name = f" ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else ""
        found |= {"torch": torch.__version__, "device": f"{device}{name}"}
    return {**found, "python": platform.python_version()}


def _packages() -> Iterator[Finding]:
    """What the package's own metadata ask for: the essential ones, then each extra."""
    from packaging.requirements import Requirement

    yield Finding("versions", "cvsegguide", "ok", f"{__version__}, {Path(__file__).parents[1]}")
    yield Finding("versions", "python", "ok", f"{platform.python_version()}, {sys.executable}")
    extras: dict[str, list[Requirement]] = {}
    for line in metadata.requires("cvsegguide") or []:
        requirement = Requirement(line)
        extra = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", line)
        if extra is None:
            yield _essential(requirement)
        elif extra[1] not in DEVELOPMENT:
            extras.setdefault(extra[1], []).append(requirement)
    for name, requirements in extras.items():
        found = {each.name: _installed(each.name) for each in requirements}
        text = ", ".join(f"{key} {value or 'is missing'}" for key, value in found.items())
        if all(found.values()):
            yield Finding("extras", name, "ok", text)
        else:
            yield Finding("extras", name, "absent", text, f"pip install 'cvsegguide[{name}]'")


def _essential(requirement: Any) -> Finding:
    version = _installed(requirement.name)
    if version is not None and requirement.specifier.contains(version, prereleases=True):
        return Finding("versions", requirement.name, "ok", version)
    text = "missing" if version is None else f"{version}, not {requirement.specifier}"
    remedy = f"pip install '{str(requirement).partition(';')[0]}'"
    return Finding("versions", requirement.name, "broken", text, remedy)


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _machine() -> Iterator[Finding]:
    try:
        yield Finding("machine", "device", "ok", str(versions()["device"]))
    except Exception as error:  # a report must not end at the fault that it is to report
        yield Finding("machine", "device", "broken", _reason(error), "reinstall PyTorch")
    processor = f"{console.processor_name()}, {console.usable_cores()} cores for this process"
    yield Finding("machine", "processor", "ok", processor)


def _works() -> Iterator[Finding]:
    fitting = "torch and torchvision must be from the same place"
    projection = "unset PROJ_LIB, PROJ_DATA and GDAL_DATA, or reinstall what is named"
    checks: tuple[tuple[str, Callable[[], str], str], ...] = (
        ("torchvision", lambda: _imports("torchvision.ops"), fitting),
        ("localising", _localise, projection),
        ("rendering", _render, "reinstall numba and numpy in versions that fit"),
        ("training", lambda: _imports("lightning.pytorch.cli"), "reinstall lightning"),
    )
    for name, check, remedy in checks:
        start = time.perf_counter()
        try:
            text = f"{check()} ({time.perf_counter() - start:.1f} s)"
            yield Finding("works", name, "ok", text)
        except Exception as error:
            yield Finding("works", name, "broken", _reason(error), remedy)


def _imports(module: str) -> str:
    importlib.import_module(module)
    return f"{module} imports"


def _localise() -> str:
    """From a GeoTIFF in UTM to files with degrees; the pictures show nothing."""
    import rasterio

    from cvsegguide.benchmark.localize import texture, write_raster
    from cvsegguide.inference.localizer import Localizer
    from cvsegguide.models.hub import default_weights
    from cvsegguide.viz.localization import save_with_figure

    localizer = Localizer.from_pretrained(default_weights())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "overhead.tif"
        write_raster(path, 256, localizer.model.gsd)
        result = localizer.localize(path, texture(256, 1024))
        save_with_figure(result, Path(folder) / "result")
    total = float(result.posterior.sum())
    if abs(total - 1) > 1e-3 or result.lon is None or abs(result.lon + 73.9691) > 0.001:
        raise ValueError(f"a posterior of {total:g} at longitude {result.lon}, not 1 at -73.97")
    return f"weights '{result.model}', GDAL {rasterio.__gdal_version__}, figure and files"


def _render() -> str:
    import numpy as np

    from cvsegguide.geo.sightline import sightline

    ids = np.zeros((16, 16), np.uint8)
    ids[:, 8] = 5
    seen = sightline(ids, 8.5, 2.5)
    if not (seen[8, 3] > 0 and seen[8, 12] == 0):
        raise ValueError("a wall does not hide what is behind it")
    return "kernels compile and are right"


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {first_sentence(str(error))}"
