"""The first minute: a city that no weights have seen, its street views localised and measured."""

import json
import time
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from cvsegguide.console import done, note
from cvsegguide.data.brooklyn_queens import BrooklynQueens
from cvsegguide.data.sample import collate
from cvsegguide.errors import ConfigurationError
from cvsegguide.evaluation.choice import spread
from cvsegguide.evaluation.evaluator import Evaluator, Row, measure
from cvsegguide.evaluation.predictions import to_table, write_predictions
from cvsegguide.evaluation.report import print_report, write_report
from cvsegguide.evaluation.report_pictures import draw_pictures
from cvsegguide.inference.localizer import Localizer
from cvsegguide.io.atomic import write_text
from cvsegguide.landcover import scheme_of
from cvsegguide.models.hub import default_weights
from cvsegguide.progress import track
from cvsegguide.synth import generate
from cvsegguide.viz.localization import save_with_figure


def demonstrate(
    out: str | PathLike[str],
    tiles: int,
    seed: int,
    model: str | PathLike[str] | None = None,
    samples: int = 24,
    as_json: bool = False,
    pictures: bool = True,
) -> dict[str, Any]:
    """Make a city, localise street views in it, print the errors and write the figures.

    Args:
        out: Folder; gets ``city/`` (Brooklyn & Queens layout), ``metrics.json``,
            ``predictions.parquet``, ``report.html``, ``report.md`` and, for the best, the median
            and the worst street view, ``best/``, ``median/`` and ``worst/`` with all files of a
            localisation.
        tiles: Overhead tiles of the city.
        seed: Seed of the city.
        model: Weights; the bundled ones by default.
        samples: Street views at most, spread evenly over the city.
        as_json: Print the metrics as JSON instead of tables.
        pictures: Whether the report has any.

    Returns:
        The content of ``metrics.json``.

    Raises:
        CVSegGuideError: The weights or the folder cannot be used, or the city has no street.
    """
    source = default_weights() if model is None else model
    localizer = Localizer.from_pretrained(source)
    out = Path(out)
    note(
        f"making a synthetic city of {tiles} tiles (seed {seed}; the first time on a machine its "
        "kernels are compiled, which takes half a minute) ..."
    )
    start = time.perf_counter()
    generate(out / "city", tiles=tiles, seed=seed)
    made = time.perf_counter() - start
    dataset = BrooklynQueens(out / "city", labels=("landcover",))
    if len(dataset) == 0:
        raise ConfigurationError(
            "this city has no street; take more of them or another `seed`", parameter="tiles"
        )
    chosen = spread(len(dataset), samples)

    note(f"localising {len(chosen)} street views with '{source}' ...")
    start = time.perf_counter()
    evaluator = Evaluator(localizer.model.channels, scheme_of(localizer.model.channels))
    predictions = out / "predictions.parquet"
    rows: list[Row] = []
    for index in track(chosen, "localising"):
        rows += measure(localizer.model, evaluator, collate([dataset[index]]))
    write_predictions(predictions, to_table(rows))
    elapsed = time.perf_counter() - start
    figures: dict[str, Any] = {
        **evaluator.compute(),
        "weights": str(source),
        "data": f"SynthCity, seed {seed}, {tiles} tiles",
        "split": "demonstration",
        "seconds": {"city": round(made, 2), "localisation": round(elapsed, 2)},
    }
    write_text(out / "metrics.json", json.dumps(figures, indent=2) + "\n")
    drawn = []
    if pictures:
        drawn = draw_pictures(predictions, dataset, localizer.model, places=chosen)
    report, _ = write_report(out, figures, drawn)
    saved = _save_extremes(localizer, dataset, chosen, [row["error_m"] for row in rows], out)
    if as_json:
        print(json.dumps(figures, indent=2))
    else:
        print_report(figures)
        names = ", ".join(str(folder / "figure.png") for folder in saved)
        done(f"Figures: {names}\nReport: {report}")
    return figures


def _save_extremes(
    localizer: Localizer,
    dataset: BrooklynQueens,
    chosen: Sequence[int],
    errors: Sequence[float],
    out: Path,
) -> list[Path]:
    """Write the best, the median and the worst localisation to folders, which are returned."""
    order = sorted(range(len(errors)), key=errors.__getitem__)
    picks = {"best": order[0], "median": order[len(order) // 2], "worst": order[-1]}
    for name, place in picks.items():
        sample = dataset[chosen[place]]
        overhead, street = dataset.paths(chosen[place])
        result = localizer.localize(overhead, street, heading=sample.heading, fov=sample.fov)
        save_with_figure(result, out / name, (sample.row, sample.col))
    return [out / name for name in picks]
