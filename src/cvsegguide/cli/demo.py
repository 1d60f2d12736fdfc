"""``cvsegguide demo``: a small synthetic city that no weights have seen, localised."""

import argparse

from cvsegguide.cli.parsing import add_options, check_least
from cvsegguide.console import settings

DEMO_SEED = 990_001
"""Seeds from here on are kept for the demonstration; nothing is trained on them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.description = (
        "Make a small SynthCity, localise its street views with the bundled weights, print the "
        "errors and write the figures. Needs no data and no network."
    )
    add_options(
        parser,
        ("--out DIR=demo", str, "folder"),
        ("--tiles N=9", int, "size"),
        (f"--seed S={DEMO_SEED}", int, "of the city"),
        ("--model M", str, "weights (default: the bundled ones)"),
        ("--samples N=24", int, "street views at most"),
        ("--no-pictures", bool, "leave the pictures out of the report"),
    )


def run(arguments: argparse.Namespace) -> int:
    """Make, localise, report."""
    from cvsegguide.experiments.demonstration import demonstrate

    check_least(arguments, 1, "tiles", "samples")
    demonstrate(
        arguments.out,
        tiles=arguments.tiles,
        seed=arguments.seed,
        model=arguments.model,
        samples=arguments.samples,
        as_json=settings.json,
        pictures=not arguments.no_pictures,
    )
    return 0
