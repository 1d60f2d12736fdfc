"""``cvsegguide benchmark [NAME ...]``: the project's speed and memory figures on this machine."""

import argparse
import json
import os
import platform
import time
from collections.abc import Sequence
from importlib import metadata
from typing import Any

from cvsegguide import __version__
from cvsegguide.console import detail, note
from cvsegguide.errors import ConfigurationError
from cvsegguide.machine import processor_name, usable_cores

LIBRARIES = ("torch", "torchvision", "timm", "lightning", "numpy", "numba", "rasterio", "pillow")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    from cvsegguide.benchmark.registry import SUBJECTS

    parser.description = (
        "Measure speed and memory, each beside a reference in the same run "
        f"(medians after warm-up). Names: {', '.join(SUBJECTS)}; all of them by default."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to measure")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, fewer repetitions")
    parser.add_argument("--json", action="store_true", help="JSON on stdout instead of a table")
    parser.add_argument(
        "--out", metavar="FILE.json", help="also write the JSON to a file, anew after each name"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="threads that PyTorch may use")
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="count seconds of this process on a core, not of the clock on the wall: for machines "
        "that others use; with --threads 1 (waiting, other processes' work and disks do not count)",
    )
    parser.add_argument(
        "--plot",
        metavar="DIR",
        help="instead, draw how time and memory grow with tile size, batch, raster area and number "
        "of tiles: growth.png and growth.json",
    )


def run(arguments: argparse.Namespace) -> int:
    """Measure and print; exit status 0, or 1 where something could not be measured."""
    from cvsegguide.benchmark import registry

    names = arguments.names or list(registry.SUBJECTS)
    for name in names:
        if name not in registry.SUBJECTS:
            raise ConfigurationError(
                f"there is no benchmark '{name}' (there are: {', '.join(registry.SUBJECTS)})"
            )
    if arguments.threads is not None:
        if arguments.threads < 1:
            raise ConfigurationError("--threads must be at least 1")
        import torch

        torch.set_num_threads(arguments.threads)
    if arguments.cpu_time:
        registry.clock = time.process_time
    if arguments.plot:
        if arguments.names:
            raise ConfigurationError("--plot measures growth and takes no names")
        from cvsegguide.benchmark.growth import draw

        for line in draw(arguments.plot, machine(), quick=arguments.quick):
            print(line)
        return 0
    report = _measure(names, arguments)
    if arguments.json:
        print(json.dumps(report, indent=2))
    else:
        _print_table(report)
    return 1 if report["failures"] else 0


def _measure(names: Sequence[str], arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure one name after the other; a file of ``--out`` has what there is after each."""
    from cvsegguide.benchmark import registry
    from cvsegguide.io.atomic import write_text

    rows: list[dict[str, Any]] = []
    failures: list[dict[str, str]] = []
    seconds: dict[str, float] = {}
    report = {
        "machine": machine(),
        "quick": arguments.quick,
        "clock": "processor" if arguments.cpu_time else "wall",
        "measurements": rows,
        "failures": failures,
        "seconds": seconds,
    }
    for name in names:
        note(f"measuring {name} ...")
        start = time.perf_counter()
        try:
            for measurement in registry.run(name, quick=arguments.quick):
                rows.append({"subject": name, **measurement.row()})
                detail(f"{measurement.name}: {measurement.value:.4g} {measurement.unit}")
        except Exception as error:  # one subject's fault must not lose the others
            reason = (str(error).strip() or "no message").splitlines()[0]
            failures.append({"subject": name, "error": f"{type(error).__name__}: {reason}"})
            note(f"{name} failed: {failures[-1]['error']}")
        seconds[name] = round(time.perf_counter() - start, 1)
        if arguments.out:
            write_text(arguments.out, json.dumps(report, indent=2) + "\n")
    note(f"measured in {sum(seconds.values()):.0f} s")
    return report


def machine() -> dict[str, Any]:
    """Processor, cores, memory, and the versions of the libraries that matter for speed."""
    import torch

    memory = None
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    return {
        "processor": processor_name(),
        "cores": usable_cores(),
        "memory_gib": memory,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch_threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "system": platform.system(),
        "cvsegguide": __version__,
        **{name: metadata.version(name) for name in LIBRARIES},
    }


def _print_table(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    host = report["machine"]
    table = Table(
        caption=f"{host['processor']}, {host['cores']} cores, {host['torch_threads']} threads, "
        f"torch {host['torch']}, Python {host['python']}, {report['clock']} time",
        title="medians, each beside its reference from the same run",
    )
    for title in ("what", "value", "reference", "ratio", "reference is", "note"):
        table.add_column(title, justify="right" if title in ("value", "ratio") else "left")
    for row in report["measurements"]:
        reference = "" if row["reference"] is None else f"{row['reference']:.4g} {row['unit']}"
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.3g}"
        table.add_row(
            row["name"],
            f"{row['value']:.4g} {row['unit']}",
            reference,
            ratio,
            row["reference_name"],
            row["note"],
        )
    Console().print(table)
