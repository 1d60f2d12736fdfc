"""``cvsegguide ablate --root DIR --steps N --out DIR``: what the parts of a network are worth."""

import argparse
import gc
import io
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

from cvsegguide.data.configurations import read_configuration
from cvsegguide.errors import ConfigurationError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.description = (
        "Train and test networks that differ in one part, on the same data with the same budget; "
        "write ablation.json, ablation.md and ablation.png. Given again, it goes on where it was "
        "interrupted. --table guidance (the default): the published networks without guidance, "
        "guided by predicted and by true land cover; --table geometric: the parts of the geometric "
        "network, and the published architectures beside it."
    )
    parser.add_argument(
        "--table", default="guidance", metavar="NAME",
        help="guidance, geometric, or a YAML file of rows (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--root", metavar="DIR", help="folder of the data")
    parser.add_argument(
        "--config", metavar="NAME",
        help="configuration whose data, learning rate and schedule are used (default: "
        "mst-small-synthcity for guidance, else what the table names)",
    )  # fmt: skip
    parser.add_argument("--test-root", metavar="DIR", help="folder of the test data, if elsewhere")
    parser.add_argument(
        "--test", nargs="+", action="extend", metavar="[NAME=]PATH",
        help="test sets, not for guidance: manifests, or folders of SynthCity, Brooklyn & Queens "
        "or VIGOR (default: the configuration's)",
    )  # fmt: skip
    parser.add_argument(
        "--train", nargs="+", action="extend", metavar="PATH",
        help="places of the training data, one or several, each read as the configuration's is "
        "(not for guidance; default: as --root says)",
    )  # fmt: skip
    parser.add_argument("--out", default="ablation", metavar="DIR", help="default: %(default)s")
    only_guidance = _add_comparison_arguments(parser)
    _add_budget_arguments(parser, only_guidance)
    parser.add_argument("--json", action="store_true", help="what is in ablation.json, on stdout")


def _add_comparison_arguments(parser: argparse.ArgumentParser) -> Any:
    """What is compared; returns the group of options of ``--table guidance`` alone."""
    what = parser.add_argument_group("what is compared")
    what.add_argument("--seeds", nargs="+", type=int, default=[0], metavar="S")
    what.add_argument(
        "--rows", nargs="+", action="extend", metavar="NAME",
        help="rows of the table (not for guidance; default: all)",
    )  # fmt: skip
    what.add_argument(
        "--headings", nargs="+", metavar="H",
        help="what tests know of the heading: known, unknown (asked of networks that search "
        "headings), or degrees by which it may be off (not for guidance; default: known unknown)",
    )  # fmt: skip
    what = parser.add_argument_group("what is compared by --table guidance")
    what.add_argument("--networks", nargs="+", choices=["featup", "mst"], help="default: both")
    what.add_argument(
        "--guidance", nargs="+", choices=["none", "predicted", "truth"], help="default: all"
    )
    what.add_argument(
        "--recipes", nargs="+",
        choices=["corrected", "published-losses", "published"],
        help="corrected: this project's networks and losses; published-losses: its networks, the "
        "published losses; published: both as published (default: corrected)",
    )  # fmt: skip
    what.add_argument(
        "--backbone", choices=["auto", "efficientnet-lite0", "dino"],
        help="frozen backbone of the FeatUp rows; auto: DINO where its weights are on this "
        "machine, else EfficientNet-Lite0 (default: auto)",
    )  # fmt: skip
    return what


def _add_budget_arguments(parser: argparse.ArgumentParser, what: Any) -> None:
    """What training may cost; sizes go to the group ``what``."""
    budget = parser.add_argument_group("budget")
    budget.add_argument("--steps", type=int, metavar="N", help="optimiser steps of a row")
    budget.add_argument("--epochs", type=int, metavar="N", help="or epochs of a row")
    budget.add_argument(
        "--evaluations", type=int, default=5, metavar="N",
        help="validations within a budget of steps (default: %(default)s)",
    )  # fmt: skip
    budget.add_argument("--validation-batches", type=int, metavar="N", help="default: all")
    budget.add_argument("--batch-size", type=int, metavar="N")
    budget.add_argument("--learning-rate", type=float, metavar="R")
    what.add_argument(
        "--size", choices=["tiny", "small", "full"], help="of the networks (default: tiny)"
    )
    what.add_argument(
        "--pixels", type=int, metavar="N",
        help="side of the overhead input; street views get N/2 x 2N (default: 64 for tiny, else "
        "256)",
    )  # fmt: skip
    budget.add_argument(
        "--no-augmentation", action="store_true",
        help="train on the pictures as they are; features of the frozen backbone are then cached",
    )  # fmt: skip
    budget.add_argument("--precision", metavar="P", help="such as bf16-mixed")
    budget.add_argument("--workers", type=int, metavar="N", help="processes that read data")
    budget.add_argument(
        "--resident", action="store_true", default=None,
        help="keep the training set in the memory of the device, decoded once for all rows (not "
        "for guidance; see data.resident of fit)",
    )  # fmt: skip
    budget.add_argument(
        "--jobs", type=int, metavar="N",
        help="rows that run at a time, as processes, each with --workers of its own (not for "
        "guidance; default: 1)",
    )  # fmt: skip
    budget.add_argument(
        "--report-only", action="store_true", help="write the tables of the rows that are there"
    )


_GUIDANCE_DEFAULTS: dict[str, Any] = {
    "networks": ["featup", "mst"],
    "guidance": ["none", "predicted", "truth"],
    "recipes": ["corrected"],
    "backbone": "auto",
    "size": "tiny",
    "pixels": None,
    "test_root": None,
}
"""Options of ``--table guidance`` alone."""

_TABLE_DEFAULTS: dict[str, Any] = {
    "train": [],
    "test": None,
    "rows": None,
    "headings": ["known", "unknown"],
    "jobs": 1,
    "resident": None,
}
"""Options of the other tables alone."""


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return the exit status.

    Raises:
        ConfigurationError: An option or the configuration is unusable.
        CVSegGuideError: What training or testing finds fault with.
    """
    guidance = arguments.table == "guidance"
    mine, others = (_GUIDANCE_DEFAULTS, _TABLE_DEFAULTS)
    if not guidance:
        mine, others = others, mine
    for name in others:
        if getattr(arguments, name) is not None:
            option = "--" + name.replace("_", "-")
            raise ConfigurationError(f"{option}: does not go with --table {arguments.table}")
        delattr(arguments, name)
    for name, default in mine.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, default)
    content = _run_guidance(arguments) if guidance else _run_table(arguments)
    if arguments.json:
        from cvsegguide.console import show

        show(content)
    return 0


def _execute(argv: list[str]) -> int:
    """Run ``fit`` or ``test``; tables of single rows are in their folders."""
    from cvsegguide.cli import fit

    try:
        with redirect_stdout(io.StringIO()):
            return fit.run(argv)
    finally:
        # Loaders of a finished run must be gone before the next one forks its readers: their
        # remains in those would complain of workers that are not theirs.
        gc.collect()


def _silent(arguments: argparse.Namespace) -> AbstractContextManager[Any]:
    """Where the tables go: nowhere with ``--json``."""
    return redirect_stdout(io.StringIO()) if arguments.json else nullcontext()


def _run_guidance(arguments: argparse.Namespace) -> dict[str, Any]:
    from cvsegguide.console import note
    from cvsegguide.evaluation.ablation import Plan, choose_backbone, is_finished, run_rows
    from cvsegguide.evaluation.ablation_report import report
    from cvsegguide.evaluation.sources import open_dataset

    arguments.config = arguments.config or "mst-small-synthcity"
    base = read_configuration(arguments.config)
    options = []
    if arguments.root is not None:
        options += ["--root", arguments.root]
    if arguments.test_root is not None:
        options += ["--data.test.root", arguments.test_root]
    plan = Plan(
        base=base,
        networks=arguments.networks,
        guidance=arguments.guidance,
        recipes=arguments.recipes,
        backbone="efficientnet-lite0" if arguments.backbone == "auto" else arguments.backbone,
        size=arguments.size,
        pixels=arguments.pixels,
        workers=arguments.workers,
        arguments=options,
        **_shared(arguments),
    )
    out = Path(arguments.out)
    if not arguments.report_only:
        if not all(is_finished(out / row.name) for row in plan.rows()):
            # what is wrong with the test data had better be known before hours of training
            changes = {} if arguments.test_root is None else {"root": arguments.test_root}
            open_dataset(arguments.config, arguments.root, "test", changes)
        if "featup" in arguments.networks:
            plan = replace(plan, backbone=choose_backbone(arguments.backbone))
        run_rows(plan, out, _execute, note)
    with _silent(arguments):
        return report(plan, out)


def _shared(arguments: argparse.Namespace) -> dict[str, Any]:
    """What plans of either kind of table take from the command line."""
    names = ("seeds", "steps", "epochs", "evaluations", "learning_rate", "batch_size", "precision")
    return {
        **{name: getattr(arguments, name) for name in (*names, "validation_batches")},
        "augmentation": not arguments.no_augmentation,
        "command": _command(arguments),
    }


def _run_table(arguments: argparse.Namespace) -> dict[str, Any]:
    from cvsegguide.console import note
    from cvsegguide.evaluation.ablation_runs import Processes, run_table
    from cvsegguide.evaluation.ablation_table import (
        TablePlan,
        check_rows,
        configured_test,
        evaluation_entries,
        evaluation_set,
        read_table,
    )
    from cvsegguide.evaluation.ablation_table_report import report
    from cvsegguide.evaluation.sources import open_entries

    table = read_table(arguments.table)
    arguments.config = arguments.config or table.config
    if arguments.config is None:
        raise ConfigurationError(f"--config: the table '{table.name}' names none, so give one")
    if arguments.jobs < 1:
        raise ConfigurationError(f"--jobs: must be at least 1, got {arguments.jobs}")
    base = read_configuration(arguments.config)
    if arguments.test:
        tests = [evaluation_set(option) for option in arguments.test]
    else:
        tests = [configured_test(base, arguments.root)]
    plan = TablePlan(
        base=base,
        table=table.chosen(arguments.rows),
        tests=tests,
        headings=arguments.headings,
        resident=arguments.resident,
        train=arguments.train,
        arguments=[] if arguments.root is None else ["--root", arguments.root],
        **_shared(arguments),
    )
    out = Path(arguments.out)
    failed: list[str] = []
    if not arguments.report_only:
        for test in tests:  # faults had better be known before hours of training
            open_entries(evaluation_entries(plan, test), "test")
        searching = check_rows(plan)
        if arguments.jobs == 1:
            failed = run_table(
                plan, out, searching, lambda argv, _: _execute(argv), note, arguments.workers
            )
        else:
            with Processes() as processes:
                failed = run_table(
                    plan, out, searching, processes.execute, note, arguments.workers,
                    arguments.jobs,
                )  # fmt: skip
    try:
        with _silent(arguments):
            return report(plan, out)
    finally:
        if failed:
            raise ConfigurationError(f"not finished: {'; '.join(failed)}")


def _command(arguments: argparse.Namespace) -> list[str]:
    """The command with all its options, defaults included, for the record."""
    words = ["cvsegguide", "ablate"]
    for name, value in vars(arguments).items():
        if value is None or value is False or name in ("quiet", "verbose", "json", "report_only"):
            continue
        words.append("--" + name.replace("_", "-"))
        values = value if isinstance(value, list) else [] if value is True else [value]
        words += [str(part) for part in values]
    return words
