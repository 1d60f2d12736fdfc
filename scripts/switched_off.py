"""What the parts of a trained geometric network are worth: switched off, one by one.

    python scripts/switched_off.py SET/manifest.csv --out DIR [--weights synthcity] [--group COLUMN]

Every pair of a manifest is localised by the network as it is and without land cover in the score,
without the prior, without both, and without visibility; headings are known. Nothing is trained
again: this says what a part does for the network that learned with it, not what a network that
never had it would do. ``switched_off.md`` and ``switched_off.json`` hold errors and differences to
the whole network with 95 % bootstrap intervals, over groups of pairs where a column of the table
names them (``--group split`` for the places of ``real_places.py``).
"""

import argparse
import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from cvsegguide.console import exit_status
from cvsegguide.data import Manifest, collate
from cvsegguide.errors import ConfigurationError
from cvsegguide.evaluation.bootstrap import percentile_interval
from cvsegguide.evaluation.evaluator import Evaluator
from cvsegguide.evaluation.report import format_difference, format_interval, write_table
from cvsegguide.geo.panorama import street_canvas
from cvsegguide.models.geometric.network import GeometricModel
from cvsegguide.models.hub import load_model
from cvsegguide.progress import track

WHOLE = "nothing"
PARTS: dict[str, dict[str, Any]] = {
    WHOLE: {},
    "agreement of land cover": {"guidance": "none"},
    "prior": {"prior": False},
    "agreement and prior": {"guidance": "none", "prior": False},
    "visibility": {"visibility": False},
}
"""What is switched off, and the attributes of the network that do it."""

Figures = dict[str, dict[str, NDArray[np.float64]]]


def measure(model: GeometricModel, table: Manifest, numbers: list[int], batch_size: int) -> Figures:
    """``error_m`` and ``nll`` (nats) of every pair, for each of :data:`PARTS`."""
    usual = {name: getattr(model, name) for part in PARTS.values() for name in part}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in PARTS}
    starts = range(0, len(numbers), batch_size)
    try:
        for start in track(starts, "localising", len(starts)):
            batch = collate([table[number] for number in numbers[start : start + batch_size]])
            street = street_canvas(
                batch.street, batch.heading, batch.fov, model.street_size, model.street_extent
            )
            with torch.inference_mode():
                above, around = model.encode_overhead(batch.overhead), model.encode_street(street)
                for name, changes in PARTS.items():
                    for attribute, value in {**usual, **changes}.items():
                        setattr(model, attribute, value)
                    prediction = model.predict(above, around)
                    evaluator = Evaluator(model.channels)
                    posterior = model.log_posterior(prediction)
                    found[name] += evaluator.update(prediction, posterior, batch, None)
    finally:
        for attribute, value in usual.items():
            setattr(model, attribute, value)
    return {
        name: {key: np.array([row[key] for row in rows]) for key in ("error_m", "nll")}
        for name, rows in found.items()
    }


def compared(found: Figures, groups: ArrayLike | int) -> dict[str, dict[str, Any]]:
    """Errors, and differences to the whole network, with their intervals."""
    result: dict[str, dict[str, Any]] = {}
    whole = found[WHOLE]
    for name, figures in found.items():
        error, nll = figures["error_m"], figures["nll"]

        def all_of(
            some: NDArray[np.int64],
            error: NDArray[np.float64] = error,
            nll: NDArray[np.float64] = nll,
        ) -> list[float]:
            before = whole["error_m"][some]
            return [
                float(np.median(error[some])),
                float(error[some].mean()),
                float((error[some] <= 5.0).mean()),
                float(np.median(error[some]) - np.median(before)),
                float((error[some] - before).mean()),
                float((nll[some] - whole["nll"][some]).mean()),
            ]

        values = all_of(np.arange(len(error)))
        low, high = percentile_interval(all_of, groups)
        entry: dict[str, Any] = {"nll": float(nll.mean())}
        for number, key in enumerate(("median", "mean", "recall_5m")):
            entry |= {key: values[number], f"{key}_low": low[number], f"{key}_high": high[number]}
        for number, key in enumerate(("median_more", "mean_more", "nll_more"), 3):
            entry[key] = {"value": values[number], "low": low[number], "high": high[number]}
        result[name] = entry
    return result


def groups_of(path: Path, column: str | None, ids: list[str]) -> list[str] | int:
    """The group of each pair, or their number where each stands for itself."""
    if column is None:
        return len(ids)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or column not in rows[0] or "id" not in rows[0]:
        raise ConfigurationError(f"{path}: has no columns 'id' and '{column}' (--group)")
    named = {row["id"]: row[column] for row in rows}
    return [named[name] for name in ids]


def compare(options: argparse.Namespace) -> None:
    """Measure, write and print the table."""
    model = load_model(options.weights)
    if not isinstance(model, GeometricModel):
        raise ConfigurationError(f"--weights: {options.weights} is not a geometric network")
    path = Path(options.table)
    table = Manifest(path, sightlines=False)
    step = max(1, len(table) // options.limit) if options.limit else 1
    numbers = list(range(0, len(table), step))[: options.limit or None]
    groups = groups_of(path, options.group, [table.sample_id(number) for number in numbers])
    figures = compared(measure(model.eval(), table, numbers, options.batch_size), groups)
    head = ["switched off", "median m", "mean m", "within 5 m %", "NLL nats"]
    head += ["median more m", "mean more m", "NLL more nats"]
    rows = []
    for name, entry in figures.items():
        cells = [name, format_interval(entry, "median"), format_interval(entry, "mean")]
        cells += [format_interval(entry, "recall_5m", 1, 100), f"{entry['nll']:.2f}"]
        more = ("median_more", "mean_more", "nll_more")
        rows.append(
            cells + ["-" if name == WHOLE else format_difference(entry.get(key)) for key in more]
        )
    write_table(Path(options.out) / "switched_off", figures, (head, rows))


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", metavar="MANIFEST", help="manifest.csv of pairs")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the results")
    parser.add_argument("--weights", default="synthcity", metavar="NAME")
    parser.add_argument("--group", metavar="COLUMN", help="pairs that are alike share its value")
    parser.add_argument("--limit", type=int, default=0, metavar="N", help="pairs; 0: all")
    parser.add_argument("--batch-size", type=int, default=8, metavar="N")
    options = parser.parse_args(argv)
    return exit_status("switched_off", lambda: compare(options))


if __name__ == "__main__":
    sys.exit(main())
