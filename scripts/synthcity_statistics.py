"""How much of what a city holds, against New York and against real samples.

``python scripts/synthcity_statistics.py FILE.png`` measures windows of several cities and draws the
plot of the documentation.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np

from cvsegguide.io.atomic import atomic_path
from cvsegguide.landcover import NYC
from cvsegguide.synth import ids
from cvsegguide.synth.city import City
from cvsegguide.synth.compiled import F64
from cvsegguide.synth.plan.tables import AVENUE, EDGE, HALF

TARGETS: dict[int, tuple[float, float]] = {
    1: (0.15, 0.24),
    2: (0.09, 0.17),
    3: (0.005, 0.03),
    4: (0.007, 0.03),
    5: (0.22, 0.31),
    6: (0.15, 0.22),
    7: (0.14, 0.24),
    8: (0.007, 0.03),
}
"""Ranges that the shares of land cover should fall in: built-up Brooklyn and Queens in New York
City's 2010 land cover, but water and railway common enough to be learnt."""

SAMPLES: dict[int, tuple[float, float, float]] = {
    1: (0.236, 0.320, 0.393),
    5: (0.348, 0.228, 0.049),
    6: (0.130, 0.112, 0.420),
}
"""Shares in the three tiles of Brooklyn & Queens that were published as pictures, measured from
their land cover, which tells tree canopy, building, road and the rest apart."""

MAPS: dict[int, tuple[float, float, float]] = {
    5: (0.149, 0.237, 0.341),
    6: (0.11, 0.145, 0.189),
}
"""Shares in 440 street maps of New York, each 540 m wide: tenth percentile, mean, ninetieth. Their
roads are drawn as lines of a few widths."""

TILE = 256


@dataclass
class Statistics:
    """Measurements over windows of cities.

    Attributes:
        shares: ``(windows, 9)`` share of each land-cover id as seen from above.
        ground: ``(windows, 9)`` the same under the canopy.
        heights: ``(buildings,)`` metres, the highest point of every building.
        areas: ``(buildings,)`` square metres.
        streets, avenues: Roadway widths in metres, kerb to kerb, one entry a block side.
        block_short, block_long: Sides of blocks in metres, kerb to kerb.
        cameras: ``(tiles,)`` cameras in each tile that has any road.
    """

    shares: F64
    ground: F64
    heights: F64
    areas: F64
    streets: F64
    avenues: F64
    block_short: F64
    block_long: F64
    cameras: F64


def measure(seeds: Sequence[int], windows: int = 4, size: int = 1024) -> Statistics:
    """Measure ``windows`` random windows of ``size`` pixels in the city of each seed."""
    shares, ground, heights, areas = [], [], [], []
    streets: list[float] = []
    avenues: list[float] = []
    short: list[float] = []
    long: list[float] = []
    cameras: list[float] = []
    for seed in seeds:
        city = City(seed)
        random = np.random.default_rng([seed, 5])
        for _ in range(windows):
            row0, col0 = (int(v) for v in random.integers(-40_000, 40_000, 2))
            scene = city.scene(row0, col0, size, size)
            shares.append(np.bincount(scene.landcover.ravel(), minlength=9)[:9] / size**2)
            ground.append(np.bincount(scene.ground.ravel(), minlength=9)[:9] / size**2)
            numbers, index = np.unique(scene.building_id, return_inverse=True)
            top = np.zeros(len(numbers))
            np.maximum.at(top, index.ravel(), scene.building_height.ravel())
            area = np.bincount(index.ravel()) * scene.gsd**2
            heights.append(top[numbers > 0])
            areas.append(area[numbers > 0])
            cells, _tables = city.tables(row0, col0, size, size)
            for cell in cells:
                edges, halves = cell[EDGE : EDGE + 4], cell[HALF : HALF + 4]
                for half, major in zip(halves, cell[AVENUE : AVENUE + 4], strict=True):
                    (avenues if major else streets).append(2 * float(half))
                sides = edges[1::2] - edges[::2] - halves[::2] - halves[1::2]
                short.append(float(sides.min()))
                long.append(float(sides.max()))
            tiles = size // TILE
            road = (scene.ground[: tiles * TILE, : tiles * TILE] == ids.ROAD).reshape(
                tiles, TILE, tiles, TILE
            )
            edges = (np.arange(tiles + 1) * TILE).tolist()
            row, col = scene.cameras[:, :2].T
            taken = np.histogram2d(row, col, bins=[edges, edges])[0]
            cameras += taken[(taken > 0) | (road.mean(axis=(1, 3)) > 0.05)].tolist()
    return Statistics(
        np.array(shares),
        np.array(ground),
        np.concatenate(heights),
        np.concatenate(areas),
        np.array(streets),
        np.array(avenues),
        np.array(short),
        np.array(long),
        np.array(cameras),
    )


def table(statistics: Statistics) -> str:
    """The class shares beside their target ranges, as Markdown."""
    lines = ["| class | share | target | three real tiles | 440 maps |", "|---|---|---|---|---|"]
    for entry in NYC.classes:
        if entry.id in TARGETS:
            low, high = TARGETS[entry.id]
            share = statistics.shares[:, entry.id].mean()
            tiles = ", ".join(f"{v:.0%}" for v in SAMPLES.get(entry.id, ()))
            maps = f"{MAPS[entry.id][1]:.1%}" if entry.id in MAPS else ""
            lines.append(
                f"| {entry.name} | {share:.1%} | {low:.1%} to {high:.1%} | {tiles} | {maps} |"
            )
    return "\n".join(lines)


def plot(statistics: Statistics, path: str | PathLike[str]) -> None:
    """Draw shares with targets, heights, widths and cameras per tile into a small picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 5.6), dpi=75, layout="constrained")
    axes = figure.subplots(2, 3)
    axis = axes[0, 0]
    for k, (value, (low, high)) in enumerate(TARGETS.items()):
        entry = next(e for e in NYC.classes if e.id == value)
        share = statistics.shares[:, value].mean()
        axis.bar(k, 100 * share, color=np.array(entry.color) / 255, alpha=0.6)
        axis.plot([k - 0.3, k + 0.3, k + 0.3, k - 0.3, k - 0.3],
                  [100 * v for v in (low, low, high, high, low)], "k-", lw=0.8)  # fmt: skip
    axis.set_xticks(
        range(len(TARGETS)),
        [next(e for e in NYC.classes if e.id == v).name for v in TARGETS],
        rotation=40,
        ha="right",
        fontsize=8,
    )
    for value, measured in SAMPLES.items():
        place = list(TARGETS).index(value)
        axis.plot([place - 0.15] * 3, [100 * v for v in measured], "x", color="#06c", ms=5,
                  label="three real tiles" if value == 1 else None)  # fmt: skip
    for value, (low, mean, high) in MAPS.items():
        beside = list(TARGETS).index(value) + 0.15
        axis.plot([beside, beside], [100 * low, 100 * high], "-", color="#c60", lw=1.2)
        axis.plot([beside], [100 * mean], "o", color="#c60", ms=4,
                  label="440 maps, 10 to 90 %" if value == 5 else None)  # fmt: skip
    axis.set_ylim(0, 62)
    axis.legend(fontsize=7)
    axis.set_title("land cover, % (bars: SynthCity, boxes: aims)", fontsize=9)
    axes[0, 1].hist(
        np.clip(statistics.heights, 0, 60),
        bins=np.arange(0, 62, 1.5),
        weights=statistics.areas / statistics.areas.sum() * 100,
        color="#b55",
    )
    axes[0, 1].set_title("building height in m, % of built area", fontsize=9)
    axes[0, 2].hist(statistics.streets, bins=np.arange(6, 28, 0.5), color="#777", label="streets")
    axes[0, 2].hist(statistics.avenues, bins=np.arange(6, 28, 0.5), color="#333", label="avenues")
    axes[0, 2].legend(fontsize=8)
    axes[0, 2].set_title("roadway, kerb to kerb, m", fontsize=9)
    axes[1, 0].hist(statistics.block_short, bins=np.arange(0, 320, 10), color="#68a", label="short")
    axes[1, 0].hist(statistics.block_long, bins=np.arange(0, 320, 10), color="#a86", alpha=0.7,
                    label="long")  # fmt: skip
    axes[1, 0].legend(fontsize=8)
    axes[1, 0].set_title("sides of blocks, m", fontsize=9)
    axes[1, 1].hist(statistics.cameras, bins=np.arange(-0.5, 17), color="#5a5")
    axes[1, 1].set_title(
        f"cameras per tile with a street, mean {statistics.cameras.mean():.1f}", fontsize=9
    )
    axes[1, 2].boxplot([100 * statistics.shares[:, v] for v in TARGETS], showfliers=False)
    axes[1, 2].set_xticks(range(1, len(TARGETS) + 1), [str(v) for v in TARGETS])
    axes[1, 2].set_title("land cover by id, %, spread over windows", fontsize=9)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")


def main(path: str) -> None:
    """Measure 16 cities, print the table, write the plot."""
    statistics = measure(range(16), windows=4)
    sys.stdout.write(table(statistics) + "\n")
    heights = statistics.heights[statistics.areas > 25]
    sys.stdout.write(
        f"buildings: median {np.median(heights):.1f} m, 5 to 95 %: "
        f"{np.percentile(heights, 5):.1f} to {np.percentile(heights, 95):.1f} m\n"
        f"streets: median {np.median(statistics.streets):.1f} m, avenues: median "
        f"{np.median(statistics.avenues):.1f} m\n"
        f"cameras per tile with a street: {statistics.cameras.mean():.2f}\n"
    )
    plot(statistics, Path(path))


if __name__ == "__main__":
    main(sys.argv[1])
