"""How time and memory grow with tile size, batch, raster area and number of tiles."""

import json
import math
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from cvsegguide.benchmark import registry
from cvsegguide.benchmark.memory import peak_of
from cvsegguide.benchmark.networks import build, pairs
from cvsegguide.benchmark.segment import segment, write_raster
from cvsegguide.console import complain


@dataclass
class Series:
    """One curve.

    Attributes:
        axis: What grows: ``"tile size"``, ``"batch"``, ``"raster area"``, ``"tiles"``.
        name: Of what.
        size: The axis' values.
        seconds, megabytes: Medians, and peak memory added by a call (None where it cannot be
            measured).
    """

    axis: str
    name: str
    size: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    megabytes: list[float | None] = field(default_factory=list)

    def add(self, size: float, function: Callable[[], object], repeats: int) -> None:
        """Measure one point."""
        function()
        times = []
        for _ in range(repeats):
            start = registry.clock()
            function()
            times.append(registry.clock() - start)
        self.size.append(size)
        self.seconds.append(statistics.median(times))
        self.megabytes.append(peak_of(function))


def exponent(size: Sequence[float], values: Sequence[float | None]) -> float | None:
    """Slope of the straight line through ``log(values)`` over ``log(size)``, least squares.

    None of fewer than three values: noise alone would make it.
    """
    points = [
        (math.log(x), math.log(y))
        for x, y in zip(size, values, strict=True)
        if y is not None and y > 0
    ]
    if len(points) < 3:
        return None
    mean_x = statistics.fmean(x for x, _ in points)
    mean_y = statistics.fmean(y for _, y in points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread


AXES = {
    "tile size": "overhead pixels (a tile)",
    "batch": "pairs at once",
    "raster area": "pixels of the raster",
    "tiles": "tiles to link with 3.5 panoramas each",
}


def measure(quick: bool = False) -> Iterator[Series]:
    """All curves; every size doubles or quadruples the one before. One that fails is left out."""
    repeats = 1 if quick else 3
    with tempfile.TemporaryDirectory() as folder:
        for curves in (
            _tile_sizes(repeats, (128, 256) if quick else (128, 256, 512, 768)),
            _batches(repeats, (1, 2) if quick else (1, 2, 4, 8, 16)),
            _areas(repeats, Path(folder), (512, 1024) if quick else (1024, 2048, 4096, 8192)),
            _tiles(repeats, (1000, 4000) if quick else (2500, 10_000, 40_000, 160_000)),
        ):
            try:
                yield from curves
            except Exception as error:  # the other curves are wanted all the same
                complain("warning", f"a curve is missing: {type(error).__name__}: {error}")


_NETWORKS = ("geometric", "mst-small", "featup-small")


def _tile_sizes(repeats: int, sides: Sequence[int]) -> Iterator[Series]:
    for name in _NETWORKS:
        series = Series("tile size", name)
        for side in sides:
            model = build(name, overhead_size=[side, side])
            overhead, street = pairs(model, 1)

            def run(model: Any = model, pair: Any = (overhead, street)) -> None:
                with torch.inference_mode():
                    model(*pair)

            series.add(side**2, run, repeats)
        yield series


def _batches(repeats: int, sizes: Sequence[int]) -> Iterator[Series]:
    for name in _NETWORKS:
        series = Series("batch", name)
        model = build(name)
        for batch in sizes:
            inputs = pairs(model, batch)

            def run(model: Any = model, inputs: Any = inputs) -> None:
                with torch.inference_mode():
                    model(*inputs)

            series.add(batch, run, repeats)
        yield series


def _areas(repeats: int, folder: Path, sides: Sequence[int]) -> Iterator[Series]:
    series = Series("raster area", "segment, geometric")
    model = build("geometric")
    for side in sides:
        path = write_raster(folder / "raster.tif", side, side, model.gsd)
        series.add(side**2, lambda path=path: segment(model, path), min(repeats, 2))  # type: ignore[misc]
        path.unlink()
    yield series


def _tiles(repeats: int, counts: Sequence[int]) -> Iterator[Series]:
    from cvsegguide.benchmark.preparation import _city
    from cvsegguide.data.linking import link_panoramas

    series = Series("tiles", "linking panoramas")
    for count in counts:
        bounds, lonlat = _city(count, count * 7 // 2)
        series.add(count, lambda b=bounds, p=lonlat: link_panoramas(b, p), repeats)  # type: ignore[misc]
    yield series


def draw(
    folder: str | PathLike[str], machine: dict[str, Any], quick: bool = False
) -> Iterator[str]:
    """Measure, write ``growth.json`` and ``growth.png``; yields a line for each curve."""
    from cvsegguide.io.atomic import atomic_path, write_text

    folder = Path(folder)
    curves = list(measure(quick))
    rows = [
        {
            **asdict(curve),
            "time_exponent": exponent(curve.size, curve.seconds),
            "memory_exponent": exponent(curve.size, curve.megabytes),
        }
        for curve in curves
    ]
    write_text(folder / "growth.json", json.dumps({"machine": machine, "curves": rows}, indent=2))
    with atomic_path(folder / "growth.png") as temporary:
        _figure(curves, machine).savefig(temporary, dpi=110)
    for row in rows:
        powers = [row["time_exponent"], row["memory_exponent"]]
        time, memory = ("unknown (too few sizes)" if p is None else f"{p:.2f}" for p in powers)
        yield f"{row['axis']}: {row['name']}: exponent of time {time}, of memory {memory}"
    yield f"{folder / 'growth.png'} written"


def _axes(plot: Any, label: str, title: str) -> None:
    """Logarithmic axes with plain numbers; at least a decade high, so that flat looks flat."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    plot.set_xscale("log", base=2)
    plot.set_yscale("log")
    plot.set_xlabel(label)
    plot.set_ylabel(title)
    sizes = sorted({float(x) for line in plot.lines for x in line.get_xdata()})
    if sizes:
        plot.set_xticks(sizes)
        plot.xaxis.set_minor_locator(NullLocator())
        plot.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
        low, high = plot.get_ylim()
        middle, reach = math.sqrt(low * high), max(math.sqrt(high / low), math.sqrt(10.0))
        plot.set_ylim(middle / reach, middle * reach)
        plot.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.17), frameon=False)
    plot.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    plot.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    plot.yaxis.set_minor_formatter(NullFormatter())
    plot.grid(True, alpha=0.25)


def _short(value: float) -> str:
    base = 1024 if value % 1024 == 0 else 1000
    for unit, size in (("M", base**2), ("k", base)):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:g}"


def _figure(curves: list[Series], machine: dict[str, Any]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 8.5), layout="constrained")
    grid = figure.subplots(2, len(AXES))
    for column, (axis, label) in enumerate(AXES.items()):
        for row, (kind, title) in enumerate(
            (("seconds", "seconds"), ("megabytes", "peak memory added, MB"))
        ):
            plot = grid[row][column]
            for curve in (c for c in curves if c.axis == axis):
                values = getattr(curve, kind)
                drawn = [float("nan") if v is None or v <= 0 else v for v in values]
                if all(map(math.isnan, drawn)):
                    continue
                power = exponent(curve.size, values)
                label = curve.name if power is None else f"{curve.name}: $n^{{{power:.2f}}}$"
                plot.plot(curve.size, drawn, "o-", label=label)
            _axes(plot, label, title if column == 0 else "")
    threads = machine["torch_threads"]
    figure.suptitle(
        f"Growth with fitted exponents; {machine['processor']}, {threads} "
        f"thread{'' if threads == 1 else 's'}, torch {machine['torch']}"
    )
    return figure
