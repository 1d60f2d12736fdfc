"""``cvsegguide segment OVERHEAD --out FILE.tif``: land cover of a raster of any size."""

import argparse
from pathlib import Path

from cvsegguide.cli.localize import (
    add_model_arguments,
    add_place_arguments,
    add_precision_argument,
    chosen_localizer,
)
from cvsegguide.cli.parsing import add_options, check_least
from cvsegguide.console import done
from cvsegguide.errors import ConfigurationError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.description = (
        "Write the land cover of an overhead raster as a tiled, compressed GeoTIFF with a colour "
        "table, on the raster's own grid. Any size: it is read and written by parts."
    )
    add_options(parser, ("OVERHEAD", str, "GeoTIFF or picture"))
    parser.add_argument("--out", required=True, metavar="FILE.tif", help="raster to write")
    add_model_arguments(parser)
    add_precision_argument(parser)
    add_place_arguments(parser)
    text = "windows that pass the network at once"
    add_options(parser, ("--batch-size N=4", int, text))


def run(arguments: argparse.Namespace) -> int:
    """Segment and write; exit status 0."""
    out = Path(arguments.out)
    if out.suffix.lower() not in (".tif", ".tiff"):
        raise ConfigurationError(f"--out {out}: the name must end in .tif")
    overhead = Path(arguments.overhead)
    if out.exists() and overhead.exists() and out.samefile(overhead):
        raise ConfigurationError(f"--out {out}: would overwrite its own input")
    check_least(arguments, 1, "batch_size")
    localizer = chosen_localizer(arguments.model, arguments.device, arguments.precision)
    localizer.batch_size = arguments.batch_size
    localizer.segment(arguments.overhead, out, bounds=arguments.bounds, gsd=arguments.gsd)
    done(f"{out} written", {"landcover": str(out), "model": arguments.model or localizer.name})
    return 0
