"""``cvsegguide data check | link | sightlines``: examine and prepare a data set."""

import argparse
import json
from pathlib import Path
from typing import Any

from cvsegguide.cli.parsing import add_options
from cvsegguide.console import complain, done, settings, usable_cores
from cvsegguide.errors import ConfigurationError
from cvsegguide.io.atomic import write_text

EPILOG = """examples:
  cvsegguide data check ROOT                 is every file there and whole, do the splits leak?
  cvsegguide data link ROOT                  which panoramas lie in which tile, as JSON
  cvsegguide data sightlines ROOT            write the published localisation target to disk

Documentation: docs/preparation.md
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the three jobs to the parser of ``cvsegguide data``."""
    parser.epilog = EPILOG
    jobs = parser.add_subparsers(dest="job", metavar="JOB", required=True)

    scheme = "class scheme (TOML) of a manifest's land cover (default: New York's)"
    workers = (f"--workers N={usable_cores()}", int, "threads")
    tree = (
        ("ROOT", Path, "tree in the layout of Brooklyn & Queens"),
        ("--city NAME", str, "only this one, e.g. brooklyn (default: all there are)"),
    )
    check = jobs.add_parser("check", help="examine a data set: files, labels, positions, splits")
    add_options(
        check,
        ("ROOT", Path, "tree of Brooklyn & Queens or VIGOR, or a manifest file"),
        ("--fix", bool, "write cleaned indices beside the originals"),
        ("--scheme FILE", Path, scheme),
        workers,
    )
    check.epilog = "example:\n  cvsegguide data check data --json"
    check.set_defaults(function=_check)

    out = "JSON to write (default: links.json in the city's folder; one city only)"
    exact = "exact bounds, not rounded to six decimals as in the published links"
    link = jobs.add_parser("link", help="write which panoramas lie in which tile")
    add_options(
        link,
        *tree,
        ("--out FILE", Path, out),
        ("--exact", bool, exact),
    )
    link.epilog = "example:\n  cvsegguide data link data --city brooklyn"
    link.set_defaults(function=_link)

    sightlines = jobs.add_parser("sightlines", help="write the sightline map of every pair")
    add_options(
        sightlines,
        *tree,
        ("--sigma S=64", float, "of the Gaussian, pixels of a 256-pixel tile"),
        ("--bits=8", (8, 16), "a pixel"),
        ("--overwrite", bool, "write maps anew that are there already"),
        workers,
    )
    text = "land-cover ids that block the view (default: 5, building)"
    sightlines.add_argument(
        "--obstacles", type=int, nargs="+", default=[5], metavar="ID", help=text
    )
    sightlines.epilog = "example:\n  cvsegguide data sightlines data --sigma 64"
    sightlines.set_defaults(function=_sightlines)


def run(arguments: argparse.Namespace) -> int:
    """Run the chosen job; exit status 1 when something is wrong with the data."""
    status: int = arguments.function(arguments)
    return status


def _check(arguments: argparse.Namespace) -> int:
    from cvsegguide.data.checks import check

    report = check(
        arguments.root, workers=arguments.workers, fix=arguments.fix, scheme=arguments.scheme
    )
    if settings.json:
        print(report.to_json())
    else:
        report.print()
    return 0 if report.clean else 1


def _link(arguments: argparse.Namespace) -> int:
    from cvsegguide.data import layout
    from cvsegguide.data.city_lists import read_city
    from cvsegguide.data.lists import refuse

    cities = layout.city_folders(arguments.root, arguments.city)
    if len(cities) > 1 and arguments.out:
        raise ConfigurationError(f"name one `city` (there are {', '.join(cities)})", "out")
    lines: list[str] = []
    report: dict[str, dict[str, Any]] = {}
    for city, folder in cities.items():
        links = read_city(folder, refuse(), None if arguments.exact else layout.DECIMALS)
        names = links.names()
        found = {
            "links": len(links.pairs),
            "panoramas": len(links.panoramas),
            "tiles": len(names),
            "empty_tiles": sum(not views for views in names.values()),
        }
        lines.append(
            f"{city}: {found['links']} links of {found['panoramas']} panoramas in "
            f"{found['tiles']} tiles ({found['empty_tiles']} tiles have none)"
        )
        path = arguments.out or folder / "links.json"
        write_text(path, json.dumps(names, indent=0) + "\n")
        lines.append(f"  written to {path}")
        report[city] = {**found, "written": str(path)}
    done("\n".join(lines), report)
    return 0


def _sightlines(arguments: argparse.Namespace) -> int:
    from cvsegguide.data.layout import city_folders
    from cvsegguide.data.sightlines import write_sightlines

    status = 0
    lines: list[str] = []
    report: dict[str, dict[str, Any]] = {}
    for city, folder in city_folders(arguments.root, arguments.city).items():
        result = write_sightlines(
            folder,
            sigma=arguments.sigma,
            obstacles=arguments.obstacles,
            bits=arguments.bits,
            overwrite=arguments.overwrite,
            workers=arguments.workers,
            description=f"sightlines of {city}",
        )
        lines += [f"{city}: {result.written} maps written, {result.kept} kept"]
        if result.blind:
            lines.append(f"  {result.blind} maps are empty: the camera stands inside an obstacle")
        for path, reason in list(result.faults.items())[:20]:
            complain("warning", f"{path}: {reason}")
        if result.faults:
            lines.append(f"  {len(result.faults)} tiles have no usable land cover")
            status = 1
        report[city] = {
            "written": result.written,
            "kept": result.kept,
            "blind": result.blind,
            "faults": {str(path): reason for path, reason in result.faults.items()},
        }
    done("\n".join(lines), report)
    return status
