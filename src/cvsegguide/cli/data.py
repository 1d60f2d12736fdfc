"""``cvsegguide data check | link | sightlines``: examine and prepare a data set."""

import argparse
import os
from pathlib import Path
from typing import Any

EPILOG = """examples:
  cvsegguide data check ROOT                 is every file there and whole, do the splits leak?
  cvsegguide data link ROOT                  which panoramas lie in which tile, as JSON
  cvsegguide data sightlines ROOT            write the published localisation target to disk

Documentation: docs/preparation.md
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the three jobs to the parser of ``cvsegguide data``."""
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    jobs = parser.add_subparsers(dest="job", metavar="JOB", required=True)

    check, link, sightlines = _add_check(jobs), _add_link(jobs), _add_sightlines(jobs)
    for job in (link, sightlines):
        job.add_argument("--json", action="store_true", help="what was done, as JSON on stdout")
    for job in (check, sightlines):
        job.add_argument(
            "--workers", type=int, default=os.cpu_count() or 1, metavar="N", help="threads"
        )


def _add_check(jobs: Any) -> argparse.ArgumentParser:
    check: argparse.ArgumentParser = jobs.add_parser(
        "check", help="examine a data set: files, labels, positions, splits"
    )
    check.add_argument(
        "root", type=Path, help="tree of Brooklyn & Queens or VIGOR, or a manifest file"
    )
    check.add_argument("--json", action="store_true", help="report as JSON instead of a table")
    check.add_argument(
        "--fix", action="store_true", help="write cleaned indices beside the originals"
    )
    check.add_argument(
        "--scheme",
        type=Path,
        metavar="FILE",
        help="class scheme (TOML) of a manifest's land cover (default: New York's)",
    )
    check.epilog = "example:\n  cvsegguide data check data --json"
    check.set_defaults(function=_check)
    return check


def _add_link(jobs: Any) -> argparse.ArgumentParser:
    link: argparse.ArgumentParser = jobs.add_parser(
        "link", help="write which panoramas lie in which tile"
    )
    _add_city(link)
    link.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="JSON to write (default: links.json in the city's folder; one city only)",
    )
    link.add_argument(
        "--compare",
        type=Path,
        metavar="FILE",
        help="count the differences to published links (.json, .json.gz, .pkl); one city only",
    )
    link.add_argument(
        "--exact",
        action="store_true",
        help="exact bounds, not rounded to six decimals as in the published links",
    )
    link.epilog = "example:\n  cvsegguide data link data --city brooklyn"
    link.set_defaults(function=_link)
    return link


def _add_sightlines(jobs: Any) -> argparse.ArgumentParser:
    sightlines: argparse.ArgumentParser = jobs.add_parser(
        "sightlines", help="write the sightline map of every pair"
    )
    _add_city(sightlines)
    sightlines.add_argument(
        "--sigma", type=float, default=64.0, help="of the Gaussian, pixels of a 256-pixel tile"
    )
    sightlines.add_argument(
        "--obstacles",
        type=int,
        nargs="+",
        default=[5],
        metavar="ID",
        help="land-cover ids that block the view (default: 5, building)",
    )
    sightlines.add_argument("--bits", type=int, choices=(8, 16), default=8, help="a pixel")
    sightlines.add_argument(
        "--overwrite", action="store_true", help="write maps anew that are there already"
    )
    sightlines.epilog = "example:\n  cvsegguide data sightlines data --sigma 64"
    sightlines.set_defaults(function=_sightlines)
    return sightlines


def _add_city(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("root", type=Path, help="tree in the layout of Brooklyn & Queens")
    parser.add_argument("--city", help="only this one, e.g. brooklyn (default: all there are)")


def run(arguments: argparse.Namespace) -> int:
    """Run the chosen job; exit status 1 when something is wrong with the data."""
    status: int = arguments.function(arguments)
    return status


def _check(arguments: argparse.Namespace) -> int:
    from cvsegguide.data.checks import check

    report = check(
        arguments.root, workers=arguments.workers, fix=arguments.fix, scheme=arguments.scheme
    )
    if arguments.json:
        print(report.to_json())
    else:
        report.print()
    return 0 if report.clean else 1


def _link(arguments: argparse.Namespace) -> int:
    import json

    from cvsegguide.console import done, show
    from cvsegguide.data.layout import (
        DECIMALS,
        city_folders,
        compare_links,
        link_city,
        read_links,
    )
    from cvsegguide.errors import ConfigurationError
    from cvsegguide.io.atomic import write_text

    cities = city_folders(arguments.root, arguments.city)
    if len(cities) > 1 and (arguments.out or arguments.compare):
        raise ConfigurationError(
            f"--out, --compare: name one --city (there are {', '.join(cities)})"
        )
    status = 0
    report: dict[str, dict[str, Any]] = {}
    for city, folder in cities.items():
        links = link_city(folder, None if arguments.exact else DECIMALS)
        names = links.names()
        empty = int((links.table.counts == 0).sum())
        count = len(links.table.indices)
        lines = [
            f"{city}: {count} links of {len(links.panoramas)} panoramas in "
            f"{len(names)} tiles ({empty} tiles have none)"
        ]
        report[city] = {
            "links": count,
            "panoramas": len(links.panoramas),
            "tiles": len(names),
            "empty_tiles": empty,
        }
        if arguments.compare:
            differences = compare_links(names, read_links(arguments.compare))
            lines += [f"  {what}: {count}" for what, count in differences.items()]
            report[city]["differences"] = dict(differences)
            if differences["links only here"] or differences["links only there"]:
                status = 1
        path = arguments.out or folder / "links.json"
        write_text(path, json.dumps(names, indent=0) + "\n")
        report[city]["written"] = str(path)
        if not arguments.json:
            done("\n".join([*lines, f"  written to {path}"]))
    if arguments.json:
        show(report)
    return status


def _sightlines(arguments: argparse.Namespace) -> int:
    from cvsegguide.console import complain, done, show
    from cvsegguide.data.layout import city_folders
    from cvsegguide.data.sightlines import write_sightlines

    status = 0
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
        lines = [f"{city}: {result.written} maps written, {result.kept} kept"]
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
        if not arguments.json:
            done("\n".join(lines))
    if arguments.json:
        show(report)
    return status
