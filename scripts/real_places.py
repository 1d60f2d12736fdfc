"""Street views rendered over real photographs and maps: make them, and read off a test on them.

    python scripts/real_places.py make ROOT --out DIR [--views N] [--places N]
    cvsegguide test --config geometric-synthcity --weights synthcity \\
        --data.test cvsegguide.data.Manifest --data.test.path DIR/manifest.csv --out RESULT
    python scripts/real_places.py report DIR RESULT [--weights synthcity] [--pictures N]

``ROOT`` holds overhead photographs ``N.jpg`` and land cover ``N_landcover.png`` of the same size
(ids of the New York City scheme; buildings, roads, parks and water are read, all else counts as
not known). Every place is a window of 270 m. Its buildings rise from the map to drawn heights,
trees and grass stand where the photograph is green (``--vegetation photograph``; a street map has
no trees) or where the map has parks (``map``), cars are drawn; the rest is
:func:`cvsegguide.synth.real_place.scene_from_rasters`. Cameras drive along the middle of the
roads. The overhead tile of a view, 57.9 m wide with the camera anywhere in it, is cut out of the
photograph between its pixels and enlarged to 256 pixels (bicubic).

What is real: the photograph, and where buildings, roads and trees lie. What is not: everything in
the street view, and the map's accuracy (photograph and map are off by a few pixels in places).

Controls, ``--overhead``: ``brightened`` gives every photograph a mean of 110 of 255; ``rendered``
photographs the very same scenes with SynthCity's renderer, ``rendered-coarse`` at the pixels of the
real photograph. Places, cameras, street views and tiles are the same in all of them, so that what
differs is the overhead picture alone.

``report`` groups by place: intervals are of a bootstrap over places, not views.
"""

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from cvsegguide.console import exit_status
from cvsegguide.errors import ConfigurationError, DatasetError
from cvsegguide.evaluation.bootstrap import percentile_interval
from cvsegguide.io.atomic import atomic_path, write_text
from cvsegguide.progress import track

PARK, WATER, BUILDING, ROAD = 2, 4, 5, 6
CANOPY, GRASS = 1, 2
WINDOW = 270.0
"""Side in metres of the part of a photograph that a place is made of."""

TILE = 256
SIDE = 57.9
"""Pixels and metres of the tile of a view."""

APART = 18.0
"""Metres between two cameras of a place, at least."""

GREEN = 0.045
"""Excess green ``(2 G - R - B) / (R + G + B)`` from which a pixel counts as vegetation."""

COLUMNS = (
    "id", "overhead", "street", "landcover", "row", "col", "gsd", "heading", "fov", "split",
    "pitch", "roll", "height",
)  # fmt: skip


def numbers(folder: Path) -> list[str]:
    """Names of the photographs that have a land cover, in the order of their numbers."""
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder")
    names = [path.stem for path in folder.glob("*.jpg")]
    names = [name for name in names if (folder / f"{name}_landcover.png").exists()]
    if not names:
        raise DatasetError(f"{folder}: holds no N.jpg with N_landcover.png")
    return sorted(names, key=lambda name: (len(name), name))


def with_vegetation(
    photograph: NDArray[np.uint8], landcover: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Trees and grass where the photograph is green and the map has neither building nor road.

    Grass is what is green, even and not dark. Thresholds are those of summer photographs of New
    York, chosen by eye on four of them.
    """
    from scipy import ndimage

    colours = photograph.astype(np.float32)
    total = colours.sum(axis=2) + 1.0
    excess = (3.0 * colours[..., 1] - total) / total
    green = ndimage.gaussian_filter(excess, 1.0) > GREEN
    green &= ~np.isin(landcover, (BUILDING, ROAD, WATER))
    green = ndimage.binary_opening(green, np.ones((3, 3)))
    light = total / 3.0
    mean = ndimage.uniform_filter(light, 5)
    spread = np.sqrt(np.maximum(ndimage.uniform_filter(light**2, 5) - mean**2, 0.0))
    tree = green & ((spread > 8.0) | (mean < 55.0))
    out = np.where(np.isin(landcover, (BUILDING, ROAD, WATER)), landcover, 0).astype(np.uint8)
    out[green] = GRASS
    out[tree] = CANOPY
    return out


def _windows(
    landcover: NDArray[np.uint8], side: int, random: np.random.Generator
) -> tuple[int, int] | None:
    """Top left corner of a window about a piece of road; None where there is none to be had."""
    height, width = landcover.shape
    if side > min(height, width):
        return None
    half = side // 2
    inner = landcover[half : height - (side - half) + 1, half : width - (side - half) + 1]
    places = np.argwhere(inner == ROAD)
    if not len(places):
        return None
    row, col = places[random.integers(len(places))]
    return int(row), int(col)


def make_place(folder: Path, name: str, out: Path, options: argparse.Namespace) -> list[str]:
    """Render the views of one place; returns rows of the manifest."""
    from cvsegguide.synth.cameras import RIGS, draw_camera, free_cameras, without_obstacles
    from cvsegguide.synth.real_place import scene_from_rasters
    from cvsegguide.synth.street import draw_style, prepare, render_street

    with Image.open(folder / f"{name}.jpg") as picture:
        photograph = np.asarray(picture.convert("RGB"))
    with Image.open(folder / f"{name}_landcover.png") as picture:
        cover = np.asarray(picture)
    if cover.shape != photograph.shape[:2]:
        raise DatasetError(f"{folder / name}.jpg: is not of the size of its land cover")
    random = np.random.default_rng([options.seed, int(name) if name.isdigit() else len(name)])
    side = round(WINDOW / options.gsd)
    corner = _windows(cover, side, random)
    if corner is None:
        return []
    here = np.s_[corner[0] : corner[0] + side, corner[1] : corner[1] + side]
    photograph, cover = photograph[here], cover[here]
    if options.vegetation == "photograph":
        cover = with_vegetation(photograph, cover)
    seed = int(random.integers(1 << 31))
    scene = without_obstacles(scene_from_rasters(cover, None, options.gsd, seed=seed))
    scale = side / scene.ground.shape[0]  # pixels of the photograph per pixel of the scene
    gsd = options.gsd * scale
    margin = SIDE / gsd + 2
    places = free_cameras(scene)
    inside = (places[:, :2] > margin).all(axis=1)
    inside &= (places[:, :2] < scene.ground.shape[0] - margin).all(axis=1)
    places = places[inside]
    world = prepare(scene)
    photograph = overhead_of(options.overhead, photograph, scene)
    rows: list[str] = []
    taken: list[tuple[float, float]] = []
    for row, col, azimuth in places[random.permutation(len(places))]:
        if len(rows) == options.views:
            break
        if any(math.hypot(row - r, col - c) * gsd < APART for r, c in taken):
            continue
        taken.append((row, col))
        camera = draw_camera(row, col, azimuth, RIGS[options.rig], random)
        style = draw_style(int(random.integers(1 << 31)), seed % 4096)
        view = render_street(world, camera, (128, 512), (90.0, 360.0), style)
        at = random.uniform(0.0, TILE, 2)
        files = _save_view(out, f"{name}-{len(rows)}", view.image, photograph, scene, gsd,
                           (row, col), at)  # fmt: skip
        values = {
            **files,
            "id": f"{name}-{len(rows)}",
            "row": f"{at[0]:.3f}",
            "col": f"{at[1]:.3f}",
            "gsd": f"{SIDE / TILE:.6f}",
            "heading": f"{camera.heading:g}",
            "fov": "360",
            "split": name,
            "pitch": f"{camera.pitch:g}",
            "roll": f"{camera.roll:g}",
            "height": f"{camera.height:g}",
        }
        rows.append(",".join(values[column] for column in COLUMNS))
    return rows


def _save_view(
    out: Path,
    identity: str,
    street: NDArray[np.uint8],
    photograph: NDArray[np.uint8],
    scene: Any,
    gsd: float,
    camera: tuple[float, float],
    at: NDArray[np.float64],
) -> dict[str, str]:
    """Write a street view, and the tile and map in which its camera stands at ``at``.

    Args:
        out: Folder of the views.
        identity: Name of the view.
        street: ``(h, w, 3)``.
        photograph: Of the scene's extent, at any resolution.
        scene: Has the map, of ``gsd`` metres per pixel.
        gsd: See above.
        camera: ``(row, col)`` in pixels of the scene.
        at: ``(row, col)`` in pixels of the tile.

    Returns:
        The files by column of the manifest, relative to ``out``.
    """
    step = SIDE / TILE / gsd  # pixels of the scene per pixel of the tile
    top, left = camera[0] - at[0] * step, camera[1] - at[1] * step
    files = {
        "overhead": f"overhead/{identity}.png",
        "street": f"street/{identity}.jpg",
        "landcover": f"landcover/{identity}.png",
    }
    enlarged = photograph.shape[0] / scene.ground.shape[0]
    box = tuple(value * enlarged for value in (left, top, left + TILE * step, top + TILE * step))
    tile = Image.fromarray(photograph).resize((TILE, TILE), Image.Resampling.BICUBIC, box=box)
    tile.save(out / files["overhead"])
    Image.fromarray(street).save(out / files["street"], quality=90)
    ids = (np.arange(TILE) + 0.5) * step
    known = scene.landcover[(top + ids).astype(int)[:, None], (left + ids).astype(int)]
    # what the map knows: the rest is not held against anybody
    known = np.where(np.isin(known, (WATER, BUILDING, ROAD)), known, 0).astype(np.uint8)
    Image.fromarray(known).save(out / files["landcover"])
    return files


def overhead_of(kind: str, photograph: NDArray[np.uint8], scene: Any) -> NDArray[np.uint8]:
    """The overhead picture of a place: as it is, or what it is to be compared with.

    ``photograph``; ``brightened``: the same with a gain that makes its mean 110 of 255;
    ``rendered``: SynthCity's photograph of the scene, at the scene's pixels; ``rendered-coarse``:
    that at the pixels of the photograph.
    """
    if kind == "photograph":
        return photograph
    if kind == "brightened":
        gain = 110.0 / max(float(photograph.mean()), 1.0)
        bright: NDArray[np.uint8] = np.clip(photograph * gain, 0, 255).astype(np.uint8)
        return bright
    from cvsegguide.synth.overhead import render_overhead

    rendered: NDArray[np.uint8] = np.asarray(render_overhead(scene))
    if kind == "rendered":
        return rendered
    size = (photograph.shape[1], photograph.shape[0])
    coarse: NDArray[np.uint8] = np.asarray(
        Image.fromarray(rendered).resize(size, Image.Resampling.BOX)
    )
    return coarse


def make(options: argparse.Namespace) -> None:
    """Write the views and their manifest."""
    if not 0.1 <= options.gsd <= 2.0:
        raise ConfigurationError(f"--gsd: must lie in 0.1..2, got {options.gsd:g}")
    root, out = Path(options.root), Path(options.out)
    names = numbers(root)
    order = np.random.default_rng(options.seed).permutation(len(names))
    names = [names[index] for index in order]
    for kind in ("overhead", "street", "landcover"):
        (out / kind).mkdir(parents=True, exist_ok=True)
    rows: list[str] = []
    places = 0
    for name in track(names, "places"):
        if options.places and places == options.places:
            break
        made = make_place(root, name, out, options)
        rows += made
        places += bool(made)
    if not rows:
        raise DatasetError(f"{root}: no photograph has a road with {SIDE:g} m around")
    write_text(out / "manifest.csv", "\n".join([",".join(COLUMNS), *rows]) + "\n")
    print(f"{out / 'manifest.csv'}: {len(rows)} views of {places} places")


def clustered(
    values: NDArray[np.float64], groups: NDArray[np.str_], resamples: int = 2000
) -> dict[str, list[float]]:
    """Median, mean and shares within 1, 3, 5 m, each with its 95 % interval over groups."""

    def figures(some: NDArray[np.float64]) -> list[float]:
        shares = [float((some <= metres).mean()) for metres in (1.0, 3.0, 5.0)]
        return [float(np.median(some)), float(some.mean()), *shares]

    low, high = percentile_interval(lambda some: figures(values[some]), groups, resamples)
    names = ("median", "mean", "within_1m", "within_3m", "within_5m")
    rows = np.stack([figures(values), low, high], axis=1)
    return dict(zip(names, rows.tolist(), strict=True))


def report(options: argparse.Namespace) -> None:
    """Errors by place, share of the tile above the truth, and the best and worst as pictures."""
    import pandas as pd

    from cvsegguide.inference.localizer import Localizer

    root, result = Path(options.root), Path(options.result)
    views = pd.read_csv(root / "manifest.csv", dtype={"split": str, "id": str})
    table = pd.read_parquet(result / "predictions.parquet")
    columns = ["id", "split", "overhead", "street", "heading", "fov"]
    table = table.drop(columns=["heading", "fov"], errors="ignore").merge(views[columns], on="id")
    if not len(table):
        raise DatasetError(f"{result}: has no view of {root / 'manifest.csv'}")
    localizer = Localizer.from_pretrained(options.weights)
    above, near = [], []
    for row in track(list(table.itertuples()), "views"):
        posterior = _posterior(localizer, root, row)
        above.append(share_above(posterior, row.row_true, row.col_true, 0.0))
        near.append(share_above(posterior, row.row_true, row.col_true, 3.0 / row.gsd))
    table["share_above"], table["share_above_3m"] = above, near
    groups = table["split"].to_numpy(dtype=str)
    down = ((table["row"] - table["row_true"]) * table["gsd"]).to_numpy()
    right = ((table["col"] - table["col_true"]) * table["gsd"]).to_numpy()
    found: dict[str, Any] = {
        "weights": options.weights,
        "views": len(table),
        "places": int(table["split"].nunique()),
        "error": clustered(table["error_m"].to_numpy(), groups),
        "share_above": clustered(np.array(above), groups),
        "share_above_3m": clustered(np.array(near), groups),
        "found_offset": _offsets(down, right, groups),
    }
    write_text(result / "places.json", json.dumps(found, indent=1) + "\n")
    table.sort_values("error_m").to_csv(result / "places.csv", index=False)
    for name in ("median", "mean", "within_1m", "within_3m", "within_5m"):
        value, low, high = found["error"][name]
        factor, unit = (1.0, "m") if name in ("median", "mean") else (100.0, "%")
        print(
            f"error, {name}: {factor * value:.2f} [{factor * low:.2f}, {factor * high:.2f}] {unit}"
        )
    for name, text in (("share_above", "true pixel"), ("share_above_3m", "best within 3 m")):
        median, mean = found[name]["median"], found[name]["mean"]
        print(
            f"share of the tile scored above the {text}: median {100 * median[0]:.1f} %, "
            f"mean {100 * mean[0]:.1f} [{100 * mean[1]:.1f}, {100 * mean[2]:.1f}] %"
        )
    if options.pictures:
        table = table.sort_values("error_m").reset_index(drop=True)
        draws = {
            "best": table.head(options.pictures),
            "worst": table.tail(options.pictures).iloc[::-1],
            "middle": table.iloc[_middle(len(table), options.pictures)],
        }
        for name, rows in draws.items():
            sheet = _sheet(localizer, root, list(rows.itertuples()))
            with atomic_path(result / f"{name}.jpg") as temporary:
                sheet.save(temporary, "JPEG", quality=88)
            print(f"{result / f'{name}.jpg'} written")


def share_above(posterior: NDArray[np.float32], row: float, col: float, radius: float) -> float:
    """Share of the pixels that are likelier than the likeliest within ``radius`` pixels."""
    height, width = posterior.shape
    rows, cols = np.arange(height) + 0.5, np.arange(width) + 0.5
    close = np.hypot(rows[:, None] - row, cols - col) <= max(radius, 0.71)
    if not close.any():
        close[min(int(row), height - 1), min(int(col), width - 1)] = True
    return float((posterior > posterior[close].max()).mean())


def _offsets(
    down: NDArray[np.float64], right: NDArray[np.float64], groups: NDArray[np.str_]
) -> dict[str, float]:
    """How far the views of a place that were found (within 8 m) agree in missing the map."""
    near = np.hypot(down, right) <= 8.0
    lengths, rests = [], []
    for name in np.unique(groups[near]):
        some = near & (groups == name)
        if some.sum() < 3:
            continue
        middle = np.median(down[some]), np.median(right[some])
        lengths.append(math.hypot(*middle))
        rests += list(np.hypot(down[some] - middle[0], right[some] - middle[1]))
    if not lengths:
        return {}
    return {
        "places": len(lengths),
        "median_offset_m": float(np.median(lengths)),
        "median_rest_m": float(np.median(rests)),
        "median_error_of_them_m": float(np.median(np.hypot(down[near], right[near]))),
    }


def _middle(count: int, wanted: int) -> list[int]:
    first = max(0, count // 2 - wanted // 2)
    return list(range(first, min(count, first + wanted)))


def _posterior(localizer: Any, root: Path, row: Any) -> NDArray[np.float32]:
    result = localizer.localize(
        root / row.overhead, root / row.street, heading=row.heading, fov=row.fov, gsd=row.gsd
    )
    found: NDArray[np.float32] = result.posterior
    return found


def _sheet(localizer: Any, root: Path, rows: list[Any]) -> Image.Image:
    """A line a view: photograph with truth (green) and estimate (red), belief, street view."""
    line = TILE + 6
    sheet = Image.new("RGB", (2 * TILE + 1024 + 12, line * len(rows)), "white")
    for number, row in enumerate(rows):
        with Image.open(root / row.overhead) as picture:
            tile = picture.convert("RGB")
        posterior = _posterior(localizer, root, row)
        log = np.log(posterior + 1e-12)
        heat = np.clip((log - log.max() + 12.0) / 12.0, 0.0, 1.0)
        shade = np.asarray(tile, np.float32) * 0.35
        shade[..., 0] += 165 * heat
        shade[..., 1] += 120 * heat**2
        belief = Image.fromarray(np.clip(shade, 0, 255).astype(np.uint8))
        for image in (tile, belief):
            draw = ImageDraw.Draw(image)
            for at, colour in (
                ((row.row_true, row.col_true), (0, 255, 60)),
                ((row.row, row.col), (255, 40, 40)),
            ):
                y, x = at
                draw.ellipse((x - 6, y - 6, x + 6, y + 6), outline=colour, width=2)
            draw.text((4, 3), f"{row.id}: {row.error_m:.1f} m", fill=(255, 255, 0))
        with Image.open(root / row.street) as picture:
            street = picture.convert("RGB").resize((1024, 256), Image.Resampling.BICUBIC)
        sheet.paste(tile, (0, number * line))
        sheet.paste(belief, (TILE + 6, number * line))
        sheet.paste(street, (2 * TILE + 12, number * line))
    return sheet


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    making = commands.add_parser("make", help="render views over photographs and maps")
    making.add_argument("root", metavar="ROOT", help="folder of N.jpg and N_landcover.png")
    making.add_argument("--out", required=True, metavar="DIR", help="folder of the views")
    making.add_argument("--views", type=int, default=4, metavar="N", help="most per place")
    making.add_argument("--places", type=int, default=0, metavar="N", help="0: all")
    making.add_argument("--gsd", type=float, default=0.9, metavar="G", help="metres per pixel")
    making.add_argument("--rig", choices=("car", "anyone"), default="car")
    making.add_argument("--seed", type=int, default=0)
    making.add_argument(
        "--vegetation", choices=("photograph", "map"), default="photograph",
        help="where trees and grass stand",
    )  # fmt: skip
    making.add_argument(
        "--overhead", choices=("photograph", "brightened", "rendered", "rendered-coarse"),
        default="photograph", help="the photograph, or a control in its place",
    )  # fmt: skip
    making.set_defaults(run=make)
    reading = commands.add_parser("report", help="read off a test on these views")
    reading.add_argument("root", metavar="DIR", help="folder that `make` wrote")
    reading.add_argument("result", metavar="RESULT", help="folder that `cvsegguide test` wrote")
    reading.add_argument("--weights", default="synthcity", metavar="NAME")
    reading.add_argument("--pictures", type=int, default=6, metavar="N", help="0: none")
    reading.set_defaults(run=report)
    options = parser.parse_args(argv)
    return exit_status("real_places", lambda: options.run(options))


if __name__ == "__main__":
    sys.exit(main())
