"""``cvsegguide ablate``: rows that differ in one part, trained, tested and compared."""

import argparse
from pathlib import Path
from typing import Any

from cvsegguide.errors import ConfigurationError

_CHANGES = {
    "learning_rate": "model.learning_rate",
    "batch_size": "data.batch_size",
    "resident": "data.resident",
    "precision": "trainer.precision",
    "validation_batches": "trainer.limit_val_batches",
}
"""Options that change one value of the configuration."""


_OPTIONS: dict[str, dict[str, tuple[type, str, str]]] = {
    "what is compared": {
        "--table": (str, "NAME", "bundled, or a YAML file of rows (default: guidance)"),
        "--rows": (str, "NAME ...", "rows of the table (default: its own)"),
        "--seeds": (int, "S ...", "every row is trained with each (default: 0)"),
    },
    "data": {
        "--config": (str, "NAME", "configuration that rows change (default: the table's)"),
        "--root": (str, "DIR", "folder of the data"),
        "--train": (str, "PATH ...", "places to train on, each read as the configuration's is"),
        "--test": (
            str, "[NAME=]PATH ...",
            "test sets: manifests, or folders of SynthCity, Brooklyn & Queens or VIGOR (default: "
            "the configuration's)",
        ),
        "--headings": (
            str, "H ...",
            "what tests know of the heading: known, unknown (asked of networks that search "
            "headings), or degrees by which it may be off (default: known unknown)",
        ),
        "--pixels": (int, "N", "side of the overhead input; street views get N/2 x 2N"),
    },
    "budget": {
        "--steps": (int, "N", "optimiser steps of a row"),
        "--epochs": (int, "N", "or epochs of a row"),
        "--evaluations": (int, "N", "validations within a budget of steps (default: 5)"),
        "--validation-batches": (int, "N", "of each validation (default: all)"),
        "--batch-size": (int, "N", "pairs in a step"),
        "--learning-rate": (float, "R", "default: the configuration's"),
        "--precision": (str, "P", "such as bf16-mixed"),
        "--workers": (int, "N", "processes of a row that read data"),
        "--jobs": (int, "N", "rows that run at a time (default: 1)"),
        "--out": (str, "DIR", "default: ablation"),
    },
}  # fmt: skip
"""Options with a value: type, name of the value (several with dots), help."""

_SWITCHES = {
    "--no-augmentation": "train on pictures as they are; features of frozen backbones are cached",
    "--resident": "keep the training set in the memory of the device (data.resident of fit)",
    "--report-only": "write the tables of the rows that are there",
}

_DEFAULTS: dict[str, Any] = {
    "table": "guidance",
    "seeds": [0],
    "headings": ["known", "unknown"],
    "train": [],
    "test": [],
    "evaluations": 5,
    "jobs": 1,
    "out": "ablation",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.description = (
        "Train and test networks that differ in one part, on the same data with the same budget; "
        "write ablation.json, ablation.md and ablation.png. Given again, it goes on where it was "
        "interrupted. --table guidance: the published networks without guidance, guided by "
        "predicted and by true land cover, on 64 pixels (guidance-full: as published); --table "
        "geometric: the parts of the geometric network, and the published ones beside it."
    )
    for title, options in _OPTIONS.items():
        group = parser.add_argument_group(title)
        for name, (kind, metavar, text) in options.items():
            many: dict[str, Any] = (
                {"nargs": "+", "action": "extend"} if metavar.endswith("...") else {}
            )
            metavar = metavar.removesuffix(" ...")
            group.add_argument(name, type=kind, metavar=metavar, help=text, **many)
    for name, text in _SWITCHES.items():
        parser.add_argument(name, action="store_true", help=text)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return the exit status.

    Raises:
        ConfigurationError: An option, the table or the configuration is unusable, or rows failed.
    """
    from cvsegguide.console import note, settings, show
    from cvsegguide.data.configurations import read_configuration
    from cvsegguide.evaluation.report import print_table
    from cvsegguide.evaluation.sources import open_entries
    from cvsegguide.experiments import ablation, ablation_report
    from cvsegguide.experiments.ablation_runs import run_rows
    from cvsegguide.experiments.ablation_table import read_table

    for name, default in _DEFAULTS.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, default)
    for name in ("jobs", "batch_size", "validation_batches"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise ConfigurationError(f"must be at least 1, got {value}", parameter=name)
    table = read_table(arguments.table)
    config = arguments.config or table.config
    if config is None:
        raise ConfigurationError(f"the table '{table.name}' names none", parameter="config")
    base = read_configuration(config)
    given = {target: getattr(arguments, name) for name, target in _CHANGES.items()}
    tests = [ablation.find_test_set(option) for option in arguments.test]
    out = Path(arguments.out)
    plan = ablation.Plan(
        base=base,
        table=table.choose(arguments.rows),
        tests=tests or [ablation.configured_test_set(base, arguments.root)],
        changes={target: value for target, value in given.items() if value},
        augmentation=not arguments.no_augmentation,
        features=out / "features",
        command=_command(arguments),
        **{
            name: getattr(arguments, name)
            for name in (
                "headings",
                "seeds",
                "steps",
                "epochs",
                "evaluations",
                "pixels",
                "train",
                "root",
            )
        },
    )
    failed: list[str] = []
    if not arguments.report_only:
        for test in plan.tests:  # faults had better be known before hours of training
            open_entries(plan.test_entries(test), "test")
        searching = ablation.check_rows(plan)
        failed = run_rows(plan, out, searching, note, arguments.workers, arguments.jobs)
    try:
        content = ablation_report.write_report(plan, out)
        if settings.json:
            show(content)
        else:
            title = "Ablation (95 % bootstrap intervals in brackets)"
            print_table(title, ablation_report.overview(content))
            print(f"written to {out / 'ablation.md'}, .json and .png")
    finally:
        if failed:
            raise ConfigurationError(f"not finished: {'; '.join(failed)}")
    return 0


def _command(arguments: argparse.Namespace) -> list[str]:
    """The command with all its options, defaults included, for the record."""
    words = ["cvsegguide", "ablate"]
    for name, value in vars(arguments).items():
        if value in (None, False, []) or name in ("quiet", "verbose", "json", "report_only"):
            continue
        words.append("--" + name.replace("_", "-"))
        values: list[Any] = value if isinstance(value, list) else [] if value is True else [value]
        words += [str(part) for part in values]
    return words
