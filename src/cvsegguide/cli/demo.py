"""``cvsegguide demo``: a small synthetic city that no weights have seen, localised."""

import argparse

from cvsegguide.console import settings
from cvsegguide.errors import ConfigurationError

DEMO_SEED = 990_001
"""Seeds from here on are kept for the demonstration; nothing is trained on them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.description = (
        "Make a small SynthCity, localise its street views with the bundled weights, print the "
        "errors and write the figures. Needs no data and no network."
    )
    parser.add_argument("--out", metavar="DIR", default="demo", help="folder (default: demo)")
    parser.add_argument("--tiles", type=int, default=9, metavar="N", help="size (default: 9)")
    parser.add_argument("--seed", type=int, default=DEMO_SEED, help="of the city")
    parser.add_argument("--model", metavar="M", help="weights (default: the bundled ones)")
    parser.add_argument("--samples", type=int, default=24, metavar="N", help="street views at most")
    parser.add_argument(
        "--no-pictures", action="store_true", help="leave the pictures out of the report"
    )


def run(arguments: argparse.Namespace) -> int:
    """Make, localise, report."""
    from cvsegguide.experiments.demonstration import demonstrate

    for name in ("tiles", "samples"):
        if getattr(arguments, name) < 1:
            raise ConfigurationError("must be at least 1", parameter=name)
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
