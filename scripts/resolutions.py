"""One network, overhead imagery of several resolutions: what `cvsegguide test` finds.

    python scripts/resolutions.py SET/manifest.csv --out DIR [--weights synthcity] [--gsd G ...]

The tiles of a manifest (a SynthCity has one in each city's folder) are resampled to every ground
sampling distance G (bicubic, antialiased), written, read back and brought to the network's pixels,
as imagery of that resolution would be. The area of a tile stays the same. Finer than the original
nothing is gained: there it is a check that resampling costs nothing. ``resolutions.md`` and
``resolutions.json`` hold the figures; a resolution whose figures are there is not measured again.
"""

import argparse
import csv
import json
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from cvsegguide.console import exit_status
from cvsegguide.errors import ConfigurationError, DatasetError
from cvsegguide.evaluation.report import format_interval, write_table
from cvsegguide.io.atomic import atomic_path
from cvsegguide.progress import track

DISTANCES = (0.11, 0.15, 0.2262, 0.3, 0.45, 0.9)
"""Metres per pixel; VIGOR has 0.10 to 0.12, zoom 19 to 17 at New York 0.23, 0.45 and 0.90."""


def resampled(table: Path, gsd: float, out: Path, limit: int) -> Path:
    """Write the pairs of a manifest with overhead tiles of another resolution.

    Returns:
        The new manifest; street views and land cover stay where they are.
    """
    if not table.is_file():
        raise DatasetError(f"{table}: no such file")
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"overhead", "street", "gsd", "lon", "lat", "west"} <= set(rows[0]):
        raise DatasetError(f"{table}: is not the manifest of a SynthCity")
    if limit:
        rows = rows[:: max(1, len(rows) // limit)][:limit]
    for row in track(rows, f"{gsd:g} m"):
        source = table.parent / row["overhead"]
        target = out / "tiles" / Path(row["overhead"]).with_suffix(".png")
        if not target.exists():
            with Image.open(source) as picture:
                scale = float(row["gsd"]) / gsd
                size = (round(picture.width * scale), round(picture.height * scale))
                tile = picture.convert("RGB").resize(size, Image.Resampling.BICUBIC)
            with atomic_path(target) as temporary:
                tile.save(temporary, "PNG")
        row["overhead"] = str(target.resolve())
        row["street"] = str((table.parent / row["street"]).resolve())
        # of another size than the tile, now: it is not what is measured here
        row["landcover"] = ""
        row["gsd"] = f"{gsd:g}"
    path = out / "manifest.csv"
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def measure(manifest: Path, out: Path, options: argparse.Namespace) -> None:
    """Run ``cvsegguide test`` on a manifest; its figures go to ``metrics.json``."""
    from cvsegguide.cli.main import main as cvsegguide

    command = ["test", "--config", "geometric-synthcity", "--weights", options.weights]
    command += ["--data.test", "cvsegguide.data.Manifest", "--data.test.path", str(manifest)]
    command += ["--model.heading_error", f"{options.heading_error:g}", "--no-pictures"]
    command += ["--data.num_workers", "0", "--out", str(out)]
    if cvsegguide(command):
        raise ConfigurationError(f"{manifest}: the test has failed")


def cells(gsd: float, position: dict[str, float]) -> list[str]:
    """A row of the table."""
    errors = [format_interval(position, name) for name in ("median", "mean")]
    shares = [format_interval(position, name, 1, 100) for name in ("recall_1m", "recall_5m")]
    return [f"{gsd:g}", *errors, *shares]


def compare(options: argparse.Namespace) -> None:
    """Measure what is not measured yet; write and print the table."""
    if any(not 0.02 <= gsd <= 3.0 for gsd in options.gsd):
        raise ConfigurationError("--gsd: must lie in 0.02..3 metres per pixel")
    out = Path(options.out)
    figures: dict[str, Any] = {}
    rows = []
    for gsd in options.gsd:
        folder = out / f"{gsd:g}"
        done = folder / "test" / "metrics.json"
        if not done.exists():
            manifest = resampled(Path(options.table), gsd, folder, options.limit)
            measure(manifest, folder / "test", options)
        found = json.loads(done.read_text(encoding="utf-8"))
        figures[f"{gsd:g}"] = {name: found[name] for name in ("position", "posterior")}
        rows.append(cells(gsd, found["position"]))
    head = ["m per pixel", "median m", "mean m", "within 1 m %", "within 5 m %"]
    write_table(out / "resolutions", figures, (head, rows))


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", metavar="MANIFEST", help="manifest.csv of a city")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the results")
    parser.add_argument("--weights", default="synthcity", metavar="NAME")
    parser.add_argument("--gsd", type=float, nargs="+", default=list(DISTANCES), metavar="G")
    parser.add_argument("--limit", type=int, default=0, metavar="N", help="pairs; 0: all")
    parser.add_argument("--heading-error", type=float, default=0.0, metavar="D")
    options = parser.parse_args(argv)
    return exit_status("resolutions", lambda: compare(options))


if __name__ == "__main__":
    sys.exit(main())
