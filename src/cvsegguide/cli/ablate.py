"""``cvsegguide ablate``: rows that differ in one part, trained, tested and compared."""

import argparse
from pathlib import Path

from cvsegguide.cli.parsing import add_options, check_least, given
from cvsegguide.errors import ConfigurationError

_CHANGES = {
    "learning_rate": "model.learning_rate",
    "batch_size": "data.batch_size",
    "precision": "trainer.precision",
    "validation_batches": "trainer.limit_val_batches",
}
"""Options that change one value of the configuration."""

_PLANNED = (
    *("headings", "seeds", "steps", "epochs", "evaluations", "pixels", "root"),
    *("train", "command"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.description = (
        "Train and test networks that differ in one part, on the same data with the same budget; "
        "write ablation.json, ablation.md and ablation.png. Given again, it goes on where it was "
        "interrupted. --table guidance: the published networks without guidance, guided by "
        "predicted and by true land cover, on 64 pixels (guidance-full: as published); --table "
        "geometric: the parts of the geometric network, and the published ones beside it."
    )
    heading = (
        "what tests know of the heading: known, unknown (asked of networks that search headings), "
        "or degrees by which it may be off (default: known unknown)"
    )
    test = (
        "test sets: manifests, or folders of SynthCity, Brooklyn & Queens or VIGOR (default: the "
        "configuration's)"
    )
    add_options(
        parser.add_argument_group("what is compared"),
        ("--table NAME=guidance", str, "bundled, or a YAML file of rows"),
        ("--rows NAME ...", str, "rows of the table (default: its own)"),
        ("--seeds S ...", int, "every row is trained with each (default: 0)"),
    )
    plain = "train on pictures as they are"
    data = parser.add_argument_group("data")
    add_options(
        data,
        ("--config NAME", str, "configuration that rows change (default: the table's)"),
        ("--root DIR", str, "folder of the data"),
        ("--train PATH ...", str, "places to train on, each read as the configuration's is"),
        ("--headings H ...", str, heading),
        ("--pixels N", int, "side of the overhead input; street views get N/2 x 2N"),
    )
    data.add_argument("--test", nargs="+", action="extend", metavar="[NAME=]PATH", help=test)
    add_options(
        parser.add_argument_group("budget"),
        ("--steps N", int, "optimiser steps of a row"),
        ("--epochs N", int, "or epochs of a row"),
        ("--evaluations N=5", int, "validations within a budget of steps"),
        ("--validation-batches N", int, "of each validation (default: all)"),
        ("--batch-size N", int, "pairs in a step"),
        ("--learning-rate R", float, "default: the configuration's"),
        ("--precision P", str, "such as bf16-mixed"),
        ("--workers N", int, "processes of a row that read data"),
        ("--out DIR=ablation", str, "folder"),
        ("--no-augmentation", bool, plain),
        ("--report-only", bool, "write the tables of the rows that are there"),
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return the exit status.

    Raises:
        ConfigurationError: An option, the table or the configuration is unusable, or rows failed.
    """
    from cvsegguide.console import note, settings, show
    from cvsegguide.data.configurations import read_configuration
    from cvsegguide.evaluation.report import print_table
    from cvsegguide.evaluation.sources import configured_entries, open_entries
    from cvsegguide.experiments import ablation, ablation_report
    from cvsegguide.experiments.ablation_runs import run_rows
    from cvsegguide.experiments.ablation_table import read_table

    check_least(arguments, 1, "batch_size", "validation_batches")
    table = read_table(arguments.table)
    config = arguments.config or table.config
    if config is None:
        raise ConfigurationError(f"the table '{table.name}' names none", parameter="config")
    base = read_configuration(config)
    changes = given(arguments, *_CHANGES)
    tests = ablation.find_test_sets(arguments.test or [])
    if not tests:
        tests = {"test": configured_entries(config, base, arguments.root, "test")}
    out = Path(arguments.out)
    plan = ablation.Plan(
        base=base,
        table=table.choose(arguments.rows),
        tests=tests,
        changes={_CHANGES[name]: value for name, value in changes.items()},
        augmentation=not arguments.no_augmentation,
        **given(arguments, *_PLANNED),
    )
    failed: list[str] = []
    if not arguments.report_only:
        for test in plan.tests:  # faults had better be known before hours of training
            open_entries(plan.test_entries(test), "test")
        searching = ablation.check_rows(plan)
        failed = run_rows(plan, out, searching, note, arguments.workers)
    try:
        content = ablation_report.write_report(plan, out)
        if settings.json:
            show(content)
        else:
            for title, rows in ablation_report.tables(content).items():
                print_table(title, rows)
            print(f"written to {out / 'ablation.md'}, .json and .png")
    finally:
        if failed:
            raise ConfigurationError(f"not finished: {'; '.join(failed)}")
    return 0
