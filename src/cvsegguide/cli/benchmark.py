"""``cvsegguide benchmark [NAME ...]``: speed and memory on this machine."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from cvsegguide import console
from cvsegguide.benchmark.subjects import SUBJECTS, tasks
from cvsegguide.cli.parsing import add_options, check_least
from cvsegguide.errors import ConfigurationError, first_sentence
from cvsegguide.io.atomic import write_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.description = (
        "Measure speed and memory: medians after a run that warms up. "
        f"Names: {', '.join(SUBJECTS)}; by default all, and gpu where there is one."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to measure")
    add_options(
        parser,
        ("--quick", bool, "smaller sizes, fewer repetitions"),
        ("--out FILE.json", str, "also write the JSON to a file, anew after each name"),
        ("--threads N", int, "threads that PyTorch may use"),
    )


def run(arguments: argparse.Namespace) -> int:
    """Measure and print; exit status 0, or 1 where something could not be measured."""
    for name in arguments.names:
        if name not in SUBJECTS:
            known = ", ".join(SUBJECTS)
            raise ConfigurationError(f"there is no benchmark '{name}' (there are: {known})")
    check_least(arguments, 1, "threads")
    import torch

    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    everything = [name for name in SUBJECTS if name != "gpu" or torch.cuda.is_available()]
    report = _measure(arguments.names or everything, arguments)
    if console.settings.json:
        console.show(report)
    else:
        from cvsegguide.evaluation.report import print_table

        rows = [
            [row["name"], f"{row['value']:.4g} {row['unit']}", row["note"]]
            for row in report["measurements"]
        ]
        print_table("medians", (["what", "value", "note"], rows))
        print(", ".join(f"{name}: {value}" for name, value in report["machine"].items()))
    return 1 if report["failures"] else 0


def _measure(names: Sequence[str], arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure one name after the other; a file of ``--out`` has what there is after each."""
    from cvsegguide.benchmark.measurement import machine, measure

    rows: list[dict[str, Any]] = []
    failures: list[dict[str, str]] = []
    report = {
        "machine": machine(),
        "quick": arguments.quick,
        "measurements": rows,
        "failures": failures,
    }
    for name in names:
        console.note(f"measuring {name} ...")
        try:
            for task in tasks(name, arguments.quick):
                for measured in measure(task):
                    rows.append({"subject": name, **asdict(measured)})
                    console.detail(f"{measured.name}: {measured.value:.4g} {measured.unit}")
        except Exception as error:  # one subject's fault must not lose the others
            reason = f"{type(error).__name__}: {first_sentence(str(error)) or 'no message'}"
            failures.append({"subject": name, "error": reason})
            console.note(f"{name} failed: {reason}")
        if arguments.out:
            write_text(arguments.out, json.dumps(report, indent=2) + "\n")
    return report
