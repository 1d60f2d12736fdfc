"""One network, cameras of several heights: what `cvsegguide localize` finds.

    python scripts/camera_heights.py --out DIR [--weights synthcity] [--height H ...]

For every height a SynthCity is made, of the same places, whose cameras stand level H metres above
the ground. Each street view is localised as if its height were usual, with its height given, and
with the heights searched (`--camera-height`). ``heights.md`` and ``heights.json`` hold the
figures; a height whose figures are there is not measured again.
"""

import argparse
import csv
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cvsegguide.console import exit_status
from cvsegguide.errors import ConfigurationError
from cvsegguide.evaluation.bootstrap import bootstrap_intervals
from cvsegguide.evaluation.report import write_table
from cvsegguide.io.atomic import write_text
from cvsegguide.io.images import read_image
from cvsegguide.progress import track
from cvsegguide.synth import cameras, generate

if TYPE_CHECKING:
    from cvsegguide import Localizer

HEIGHTS = (0.8, 1.2, 2.5, 3.5, 4.5, 6.0)
"""Metres: a delivery robot's, a wheelchair's, a car's roof, a van's, a truck's, a mast's."""


def city(folder: Path, height: float, tiles: int, seed: int) -> Path:
    """A SynthCity of level cameras of one height, a panorama a tile; returns its manifest."""
    name = f"{height:g} m"
    cameras.RIGS[name] = cameras.Rig(height=(height, height))
    try:
        generate(folder, tiles, seed, town=3, panoramas=1, rig=name, workers=1)
    finally:
        del cameras.RIGS[name]
    return folder / "brooklyn" / "manifest.csv"


def measured(
    localizer: "Localizer", manifest: Path, height: float, options: argparse.Namespace
) -> dict[str, list[float]]:
    """Errors in metres of all views of a manifest, by what is known of the height."""
    with manifest.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    random = np.random.default_rng(options.seed)
    ways: dict[str, float | str | None] = {"usual": None, "known": height, "searched": "unknown"}
    errors: dict[str, list[float]] = {name: [] for name in ways}
    for row in track(rows, f"{height:g} m"):
        view = read_image(manifest.parent / row["street"])
        width = view.shape[1]
        look, off = random.uniform(0, 1), random.uniform(-1, 1) * options.heading_error
        columns = 2 * round(options.fov / 360 * width / 2)
        first = int(look * width)
        shown = np.roll(view, -first, axis=1)[:, :columns]
        # Before the roll the centre column looked to the recorded heading.
        turn = ((first + columns / 2) / width - 0.5) * 360.0
        for name, given in ways.items():
            found = localizer.localize(
                manifest.parent / row["overhead"],
                np.ascontiguousarray(shown),
                heading=(float(row["heading"]) + turn + off) % 360.0,
                heading_error=options.heading_error,
                fov=360.0 * columns / width,
                camera_height=given,
            )
            assert found.reference is not None
            assert found.gsd is not None
            true = found.reference.lonlat_to_rowcol(float(row["lon"]), float(row["lat"]))
            away = math.hypot(found.row - float(true[0]), found.col - float(true[1]))
            errors[name].append(away * found.gsd)
    return errors


def cells(height: float, errors: dict[str, list[float]]) -> list[str]:
    """A row of the table."""
    line = [f"{height:g}"]
    for values in errors.values():
        low, high = bootstrap_intervals(values)["median"]
        near = 100 * float((np.array(values) <= 5.0).mean())
        line += [f"{np.median(values):.2f} [{low:.2f}, {high:.2f}]", f"{near:.0f}"]
    return line


def compare(options: argparse.Namespace) -> None:
    """Measure what is not measured yet; write and print the table."""
    if not 20 <= options.fov <= 360:
        raise ConfigurationError("--fov: must lie in 20..360 degrees")
    from cvsegguide import Localizer

    out = Path(options.out)
    results = out / f"fov-{options.fov:g}-heading-{options.heading_error:g}"
    localizer = Localizer.from_pretrained(options.weights)
    figures: dict[str, Any] = {}
    for height in options.height:
        done = results / f"{height:g}.json"
        if not done.exists():
            manifest = city(out / f"{height:g}", height, options.tiles, options.seed)
            errors = measured(localizer, manifest, height, options)
            write_text(done, json.dumps(errors) + "\n")
        figures[f"{height:g}"] = json.loads(done.read_text(encoding="utf-8"))
    head = ["camera m"]
    for name in ("as usual", "height given", "searched"):
        head += [f"{name}: median m", "within 5 m %"]
    rows = [cells(float(name), errors) for name, errors in figures.items()]
    write_table(results / "heights", figures, (head, rows))


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of sets and results")
    parser.add_argument("--weights", default="synthcity", metavar="NAME")
    parser.add_argument("--height", type=float, nargs="+", default=list(HEIGHTS), metavar="H")
    parser.add_argument("--tiles", type=int, default=108, metavar="N")
    parser.add_argument("--seed", type=int, default=771_234, metavar="S")
    parser.add_argument("--fov", type=float, default=360.0, metavar="D")
    parser.add_argument("--heading-error", type=float, default=0.0, metavar="D")
    options = parser.parse_args(argv)
    return exit_status("camera_heights", lambda: compare(options))


if __name__ == "__main__":
    sys.exit(main())
