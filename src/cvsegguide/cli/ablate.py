"""``cvsegguide ablate --root DIR --steps N --out DIR``: guidance x backbone in one command."""

import argparse
import io
from contextlib import redirect_stdout
from pathlib import Path

from cvsegguide.errors import ConfigurationError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.description = (
        "Train and test the published networks without guidance, guided by predicted and by true "
        "land cover, on the same data with the same budget; write ablation.json, ablation.md and "
        "ablation.png. Given again, it goes on where it was interrupted."
    )
    parser.add_argument("--root", metavar="DIR", help="folder of the data")
    parser.add_argument(
        "--config", default="mst-small-synthcity", metavar="NAME",
        help="configuration whose data, learning rate and schedule are used "
        "(default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--test-root", metavar="DIR", help="folder of the test data, if elsewhere")
    parser.add_argument("--out", default="ablation", metavar="DIR", help="default: %(default)s")
    what = parser.add_argument_group("what is compared")
    what.add_argument("--networks", nargs="+", default=["featup", "mst"], choices=["featup", "mst"])
    what.add_argument(
        "--guidance", nargs="+", default=["none", "predicted", "truth"],
        choices=["none", "predicted", "truth"],
    )  # fmt: skip
    what.add_argument(
        "--recipes", nargs="+", default=["corrected"],
        choices=["corrected", "published-losses", "published"],
        help="corrected: this project's networks and losses; published-losses: its networks, the "
        "published losses; published: both as published (default: corrected)",
    )  # fmt: skip
    what.add_argument("--seeds", nargs="+", type=int, default=[0], metavar="S")
    what.add_argument(
        "--backbone", default="auto", choices=["auto", "efficientnet-lite0", "dino"],
        help="frozen backbone of the FeatUp rows; auto: DINO where its weights are on this "
        "machine, else EfficientNet-Lite0 (default: auto)",
    )  # fmt: skip
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
    budget.add_argument(
        "--size", default="tiny", choices=["tiny", "small", "full"],
        help="of the networks (default: %(default)s)",
    )  # fmt: skip
    budget.add_argument(
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
        "--report-only", action="store_true", help="write the tables of the rows that are there"
    )
    parser.add_argument("--json", action="store_true", help="what is in ablation.json, on stdout")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return the exit status.

    Raises:
        ConfigurationError: An option or the configuration is unusable.
        CVSegGuideError: What training or testing finds fault with.
    """
    import yaml

    from cvsegguide.cli import fit
    from cvsegguide.console import note, show
    from cvsegguide.evaluation.ablation import Plan, choose_backbone, is_finished, run_rows
    from cvsegguide.evaluation.ablation_report import report
    from cvsegguide.evaluation.sources import open_dataset

    def execute(argv: list[str]) -> int:
        with redirect_stdout(io.StringIO()):  # tables of single rows are in their folders
            return fit.run(argv)

    path = fit.configuration_file(arguments.config)
    try:
        base = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"--config {arguments.config}: cannot be read ({error})") from None
    if not isinstance(base, dict):
        raise ConfigurationError(f"--config {arguments.config}: holds no configuration")
    options = []
    if arguments.root is not None:
        options += ["--root", arguments.root]
    if arguments.test_root is not None:
        options += ["--data.test.root", arguments.test_root]
    backbone = "efficientnet-lite0"  # of no row
    if "featup" in arguments.networks and not arguments.report_only:
        backbone = choose_backbone(arguments.backbone)
    plan = Plan(
        base=base,
        networks=arguments.networks,
        guidance=arguments.guidance,
        recipes=arguments.recipes,
        seeds=arguments.seeds,
        backbone=backbone,
        size=arguments.size,
        steps=arguments.steps,
        epochs=arguments.epochs,
        evaluations=arguments.evaluations,
        pixels=arguments.pixels,
        learning_rate=arguments.learning_rate,
        batch_size=arguments.batch_size,
        precision=arguments.precision,
        workers=arguments.workers,
        validation_batches=arguments.validation_batches,
        augmentation=not arguments.no_augmentation,
        arguments=options,
        command=_command(arguments),
    )
    out = Path(arguments.out)
    if not arguments.report_only:
        if not all(is_finished(out / row.name) for row in plan.rows()):
            # what is wrong with the test data had better be known before hours of training
            changes = {} if arguments.test_root is None else {"root": arguments.test_root}
            open_dataset(arguments.config, arguments.root, "test", changes)
        run_rows(plan, out, execute, note)
    if arguments.json:
        with redirect_stdout(io.StringIO()):
            content = report(plan, out)
        show(content)
    else:
        report(plan, out)
    return 0


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
