"""A scene from the rasters of a real place: photograph, land cover and, if there is one, height.

What the rasters do not say is drawn: heights per building, crowns over the canopy class, ground
below the canopy, cars along the curbs, and where the mapping car drove (the middle line of roads).
"""

import math
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvsegguide.errors import InputError
from cvsegguide.synth.scene import CAR, VAN, Objects, Scene, Trees

GSD = 0.2262
"""Metres per pixel that coarser rasters are brought to."""

CANOPY, GRASS, BUILDING, ROAD, PAVED = 1, 2, 5, 6, 7
_SHED = 14.0
"""Square metres below which a "building" is lettering of a map."""

_SPECK = 90.0
"""Square metres of unknown ground within a road that count as lettering, not as an island."""


def scene_from_rasters(
    overhead: NDArray[np.uint8] | None,
    landcover: NDArray[np.integer[Any]],
    height: NDArray[np.floating[Any]] | None = None,
    gsd: float = GSD,
    *,
    seed: int = 0,
    target_gsd: float | None = None,
) -> Scene:
    """Make a scene of a real place.

    Id 0 (no data) becomes other impervious; specks of it inside roads (names, arrows of a map)
    become road.

    Args:
        overhead: ``(H, W, 3)`` uint8 photograph, checked for size only: street views take no
            colour from it, so that the two views share no pixels. None = not at hand.
        landcover: ``(H, W)`` NYC ids 0 to 8.
        height: ``(H, W)`` metres above the ground of buildings and, where the canopy class lies,
            of crowns; None draws a height per building (connected part, long ones cut into lots).
        gsd: Metres per pixel of the rasters.
        seed: Everything drawn follows from it.
        target_gsd: Metres per pixel of the scene; by default ``gsd``, or 0.2262 if that is finer.

    Raises:
        InputError: Sizes do not match, ids are unknown, heights are not finite, or there is no
            road to stand on.
    """
    landcover = np.asarray(landcover)
    if landcover.ndim != 2 or min(landcover.shape) < 16:
        raise InputError(f"land cover: must be a raster of 16 x 16 or more, is {landcover.shape}")
    if not 0.02 <= gsd <= 5.0:
        raise InputError(f"gsd: must lie in 0.02..5 metres per pixel, got {gsd:g}")
    if not np.issubdtype(landcover.dtype, np.integer):
        raise InputError(f"land cover: ids must be whole numbers, are {landcover.dtype}")
    unknown = np.setdiff1d(landcover, np.arange(9))
    if len(unknown):
        raise InputError(f"land cover: unknown id {unknown[0]} (NYC ids are 0 to 8)")
    if overhead is not None and overhead.shape[:2] != landcover.shape:
        raise InputError(
            f"overhead is {_size(overhead.shape)}, but land cover is {_size(landcover.shape)}"
        )
    if height is not None:
        if height.shape != landcover.shape:
            raise InputError(
                f"height is {_size(height.shape)}, but land cover is {_size(landcover.shape)}"
            )
        if not np.isfinite(height).all():
            raise InputError("height: holds values that are not finite")
    if not (landcover == ROAD).any():
        raise InputError("land cover: has no road (id 6) for a camera to stand on")
    from scipy import ndimage

    random = np.random.default_rng([seed, 61])
    target = min(gsd, GSD) if target_gsd is None else target_gsd
    cover = _clean(landcover.astype(np.uint8), gsd)
    shape = tuple(max(16, round(side * gsd / target)) for side in cover.shape)
    cover = _enlarge(cover, (shape[0], shape[1]))
    tall = None
    if height is not None:
        rows, cols = _nearest(height.shape, cover.shape)
        tall = np.maximum(height[rows[:, None], cols[None, :]], 0.0).astype(np.float32)

    ids, roofs = _buildings(cover == BUILDING, tall, target, random)
    canopy = cover == CANOPY
    # Under crowns lies what lies around them; a crown over a road hides road.
    nearest = ndimage.distance_transform_edt(
        canopy | (cover == BUILDING), return_distances=False, return_indices=True
    )
    ground = np.where(canopy, cover[tuple(nearest)], cover).astype(np.uint8)
    ground[ground == CANOPY] = GRASS
    ground[canopy & (ground == BUILDING)] = GRASS
    trees, base, top = _trees(canopy, tall, target, random)
    cameras = _cameras(ground == ROAD, ids > 0, target)
    if len(cameras) == 0:
        raise InputError("land cover: no road is long enough for a camera to stand on")
    yy, xx = np.indices(cover.shape, dtype=np.float32) * np.float32(target)
    slope = random.uniform(-0.012, 0.012, 2)
    hills = 0.5 * np.sin(xx / 61.0 + random.uniform(0, 6)) * np.sin(yy / 83.0)
    elevation = (slope[0] * xx + slope[1] * yy + hills).astype(np.float32)
    return Scene(
        gsd=target,
        elevation=elevation,
        ground=ground,
        landcover=cover,
        building_id=ids,
        building_height=roofs,
        canopy_base=base,
        canopy_top=top,
        trees=trees,
        overhead_objects=Objects.empty(),
        street_objects=_parked_cars(ground == ROAD, target, random),
        markings=np.zeros(cover.shape, np.uint8),
        cameras=cameras,
        seed=seed,
        style={"place": "rasters", "gsd": gsd},
    )


def generate_from_rasters(
    directory: str | PathLike[str],
    overhead: str | PathLike[str],
    landcover: str | PathLike[str],
    height: str | PathLike[str] | None = None,
    *,
    gsd: float,
    seed: int = 0,
    rig: str = "car",
    size: tuple[int, int] = (128, 512),
    extent: tuple[float, float] | None = None,
    panoramas: int = 0,
) -> Path:
    """Make a data set in Brooklyn & Queens layout from the rasters of a real place.

    The rasters are brought to 0.2262 m per pixel and cut into as many whole tiles as fit (the
    middle of the place), which bear slippy names on the spot of ocean that SynthCity uses, not
    those of the place. Street views are rendered; see :func:`scene_from_rasters`. It is one job in
    one process: when cut off it leaves ``DIR.part`` behind and starts anew.

    Args:
        directory: Empty or new folder; ``BrooklynQueens(directory, city="brooklyn")`` reads it.
        overhead, landcover, height: Pictures or GeoTIFFs of equal size.
        gsd: Metres per pixel of the rasters.
        seed, rig, size, extent, panoramas: As in :func:`~cvsegguide.synth.generation.generate`.

    Raises:
        InputError: A file is missing or unreadable, the rasters do not fit each other, or they
            cover less than one tile (58 m).
    """
    import json
    import shutil
    from dataclasses import replace

    from PIL import Image

    from cvsegguide import __version__
    from cvsegguide.io.atomic import write_text
    from cvsegguide.synth.generation import (
        EDITION,
        Chunk,
        Settings,
        check_settings,
        square_extent,
        write_scene,
    )
    from cvsegguide.synth.writer import TILE, Layout, anchor

    photograph = _read(overhead, "RGB")
    cover = _read(landcover, "ids")
    tall = None if height is None else _read(height, "height")
    for name, raster in ((overhead, photograph), (height, tall)):
        if raster is not None and raster.shape[:2] != cover.shape:
            raise InputError(
                f"{name}: is {_size(raster.shape)}, but {landcover} is {_size(cover.shape)}"
            )
    extent = square_extent(size) if extent is None else extent
    settings = Settings(seed, 1, size=size, extent=extent, rig=rig, panoramas=panoramas)
    check_settings(settings)
    try:
        scene = scene_from_rasters(photograph, cover, tall, gsd, seed=seed, target_gsd=GSD)
    except InputError as error:
        raise InputError(f"{landcover}: {error}") from None
    rows, cols = (side // TILE for side in scene.ground.shape)
    if rows < 1 or cols < 1:
        raise InputError(
            f"{landcover}: {_size(cover.shape)} at {gsd:g} m per pixel cover less than one tile "
            f"of {TILE * GSD:.0f} m"
        )
    root = Path(directory)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise InputError(f"{root}: exists and is not an empty folder")
    view = np.asarray(
        Image.fromarray(photograph).resize(
            (scene.ground.shape[1], scene.ground.shape[0]), Image.Resampling.BICUBIC
        )
    )
    top = (scene.ground.shape[0] - rows * TILE) // 2
    left = (scene.ground.shape[1] - cols * TILE) // 2
    x, y = anchor("brooklyn")
    tiles = tuple((i, j) for i in range(rows) for j in range(cols))
    part = Path(f"{root}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        chunk = Chunk(str(part), "brooklyn", 0, 0, seed, x, y, tiles)
        names, truth = write_scene(
            chunk,
            settings,
            replace(scene, style={}),
            photograph=view[top : top + rows * TILE, left : left + cols * TILE],
            inset=(top, left),
        )
        if not truth:
            raise InputError(f"{landcover}: no camera stands within the tiles that fit")
        Layout(part / "brooklyn").write_lists(names, truth)
        record = {
            "name": "street views of a real place",
            "version": __version__,
            "edition": EDITION,
            "license": "of the street views CC0-1.0; of the overhead picture as its source",
            "seed": seed,
            "settings": settings.record(),
            "overhead": Path(overhead).name,
            "landcover": Path(landcover).name,
            "height": None if height is None else Path(height).name,
            "gsd": gsd,
        }
        write_text(part / "synthcity.json", json.dumps(record, indent=1) + "\n")
        if root.exists():
            root.rmdir()
        part.rename(root)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return root


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} x {shape[1]} pixels"


def _read(path: str | PathLike[str], kind: str) -> NDArray[Any]:
    """A raster by GDAL: three bands, ids, or heights."""
    import warnings

    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path) as source:
                if source.width * source.height > 1 << 28:
                    raise InputError(f"{path}: is larger than 268 million pixels")
                bands: NDArray[Any] = source.read()
    except (RasterioError, OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a raster ({error})") from None
    if kind == "RGB":
        if len(bands) == 1:
            bands = np.repeat(bands, 3, axis=0)
        if len(bands) < 3 or bands.dtype != np.uint8:
            raise InputError(f"{path}: an overhead picture has 3 bands of 8 bits")
        rgb: NDArray[Any] = np.ascontiguousarray(np.moveaxis(bands[:3], 0, -1))
        return rgb
    if len(bands) != 1:
        raise InputError(f"{path}: must have one band, has {len(bands)}")
    if kind == "ids" and not np.issubdtype(bands.dtype, np.integer):
        raise InputError(f"{path}: class ids must be whole numbers, are {bands.dtype}")
    single: NDArray[Any] = bands[0]
    return single if kind == "ids" else single.astype(np.float32)


def _clean(cover: NDArray[np.uint8], gsd: float) -> NDArray[np.uint8]:
    """Give lettering on roads to the road, and what is left without data to paved ground."""
    from scipy import ndimage

    cover = cover.copy()
    # Marks of the map, not houses: they go to what surrounds them.
    houses, count = ndimage.label(cover == BUILDING)
    if count:
        area = ndimage.sum_labels(cover == BUILDING, houses, np.arange(1, count + 1)) * gsd * gsd
        speck = np.append(False, area < _SHED)[houses]
        if speck.any() and not speck.all():
            nearest = ndimage.distance_transform_edt(
                speck, return_distances=False, return_indices=True
            )
            cover = cover[tuple(nearest)]
    empty = (cover == 0) | (cover == PAVED)
    parts, count = ndimage.label(empty)
    if count:
        index = np.arange(1, count + 1)
        area = ndimage.sum_labels(empty, parts, index) * gsd * gsd
        around = ndimage.binary_dilation(cover == ROAD, iterations=1) & empty
        border = empty & ~ndimage.binary_erosion(empty, border_value=1)
        touching = ndimage.sum_labels(around, parts, index)
        edge = np.maximum(ndimage.sum_labels(border, parts, index), 1)
        # An island of grass or paving is larger; a speck beside a house touches the house too.
        road = (area < _SPECK) & (touching / edge > 0.8)
        cover[np.append(False, road)[parts]] = ROAD
    cover[cover == 0] = PAVED
    return cover


def _nearest(
    old: tuple[int, ...], new: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rows = ((np.arange(new[0]) + 0.5) * old[0] / new[0]).astype(np.int64)
    cols = ((np.arange(new[1]) + 0.5) * old[1] / new[1]).astype(np.int64)
    return rows, cols


def _enlarge(cover: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Resample ids: the class with the largest interpolated share, so that edges stay smooth."""
    from PIL import Image

    if cover.shape == shape:
        return cover
    best = np.full(shape, -1.0, np.float32)
    out = np.zeros(shape, np.uint8)
    for value in np.unique(cover):
        share = Image.fromarray((cover == value).astype(np.float32))
        grown = np.asarray(share.resize((shape[1], shape[0]), Image.Resampling.BILINEAR))
        better = grown > best
        best[better] = grown[better]
        out[better] = value
    return out


def _buildings(
    mask: NDArray[np.bool_],
    height: NDArray[np.float32] | None,
    gsd: float,
    random: np.random.Generator,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Ids and roof heights; connected parts longer than a house are cut into lots."""
    from scipy import ndimage

    parts, _ = ndimage.label(mask)
    ids = np.zeros(mask.shape, np.int32)
    roofs = np.zeros(mask.shape, np.float32)
    used = 0
    for index, box in enumerate(ndimage.find_objects(parts), 1):
        rows, cols = np.nonzero(parts[box] == index)
        area = len(rows) * gsd * gsd
        y, x = (rows - rows.mean()) * gsd, (cols - cols.mean()) * gsd
        angle = 0.5 * math.atan2(2 * float((x * y).mean()), float((x * x).mean() - (y * y).mean()))
        along = x * math.cos(angle) + y * math.sin(angle)
        span = float(np.ptp(along)) + gsd
        depth = area / span
        lots = 1
        if span > 18 and depth < 24:
            lots = max(1, round(span / random.uniform(6.0, 12.0)))
        lot = np.minimum(((along - along.min()) / span * lots).astype(int), lots - 1)
        common = _drawn_height(area / lots, random)
        for k in range(lots):
            here = rows[lot == k] + box[0].start, cols[lot == k] + box[1].start
            if len(here[0]) == 0:
                continue
            used += 1
            ids[here] = used
            own = common if random.random() < 0.6 else _drawn_height(area / lots, random)
            if height is not None:
                measured = height[here]
                roofs[here] = np.where(
                    measured > 1.5, measured, max(2.5, float(np.median(measured)))
                )
            else:
                roofs[here] = own
    return ids, roofs


def _drawn_height(area: float, random: np.random.Generator) -> float:
    """Storeys of 3.2 m: sheds low, houses of two or three, large footprints mixed."""
    if area < 35:
        return float(random.uniform(2.6, 4.0))
    if area < 260:
        storeys = random.choice([1, 2, 3, 4, 5], p=[0.08, 0.46, 0.30, 0.12, 0.04])
    else:
        storeys = random.choice([1, 2, 3, 4, 6, 8, 14], p=[0.2, 0.22, 0.18, 0.16, 0.14, 0.07, 0.03])
    return float(3.2 * storeys + random.uniform(0.4, 1.6))


def _trees(
    canopy: NDArray[np.bool_],
    height: NDArray[np.float32] | None,
    gsd: float,
    random: np.random.Generator,
) -> tuple[Trees, NDArray[np.float32], NDArray[np.float32]]:
    """Crowns that fill the canopy class, from its distance transform, largest first."""
    from scipy import ndimage
    from skimage import feature

    base = np.zeros(canopy.shape, np.float32)
    top = np.zeros(canopy.shape, np.float32)
    if not canopy.any():
        none = np.zeros(0, np.float32)
        empty = Trees(none.astype(np.float64), none.astype(np.float64), none, none, none, none,
                      np.zeros(0, np.uint8))  # fmt: skip
        return empty, base, top
    inside = ndimage.distance_transform_edt(canopy) * gsd
    capped = np.minimum(inside, 4.5) + 1e-3 * ndimage.gaussian_filter(
        random.random(canopy.shape), 3
    )
    feature_functions: Any = feature
    peaks = feature_functions.peak_local_max(
        capped,
        min_distance=max(2, round(3.2 / gsd)),
        labels=canopy.astype(int),
        exclude_border=False,
    )
    if len(peaks) == 0:
        peaks = np.argwhere(canopy)[:1]
    radius = np.clip(inside[peaks[:, 0], peaks[:, 1]], 1.0, 4.5) * random.uniform(
        1.05, 1.35, len(peaks)
    )
    owner = np.zeros(canopy.shape, np.int32)
    owner[peaks[:, 0], peaks[:, 1]] = np.arange(1, len(peaks) + 1)
    away, nearest = ndimage.distance_transform_edt(owner == 0, return_indices=True)
    belongs = owner[tuple(nearest)] - 1
    bottom = random.uniform(1.9, 3.6, len(peaks))
    crown = bottom + radius * random.uniform(1.3, 2.3, len(peaks))
    if height is not None:
        measured = height[peaks[:, 0], peaks[:, 1]]
        crown = np.where(measured > 3.0, measured, crown)
        bottom = np.minimum(bottom, 0.5 * crown)
    share = np.clip(away * gsd / radius[belongs], 0, 0.97)
    dome = np.sqrt(1 - share**2)
    middle = bottom + 0.4 * (crown - bottom)
    top[canopy] = (middle[belongs] + (crown - middle)[belongs] * dome)[canopy]
    base[canopy] = (middle[belongs] - (middle - bottom)[belongs] * dome)[canopy]
    return (
        Trees(
            row=peaks[:, 0] + 0.5,
            col=peaks[:, 1] + 0.5,
            trunk_radius=(0.05 + 0.035 * radius).astype(np.float32),
            crown_radius=radius.astype(np.float32),
            crown_base=bottom.astype(np.float32),
            crown_top=crown.astype(np.float32),
            species=random.choice(5, len(peaks), p=[0.4, 0.3, 0.2, 0.06, 0.04]).astype(np.uint8),
        ),
        base,
        top,
    )


def _cameras(
    road: NDArray[np.bool_], building: NDArray[np.bool_], gsd: float, spacing: float = 11.0
) -> NDArray[np.float64]:
    """Row, column and azimuth along the middle lines of roads, about every ``spacing`` metres."""
    from scipy import ndimage
    from skimage import morphology

    # Skeletons are taken at about 0.9 m per pixel: less whiskers, less time.
    step = max(1, round(0.9 / gsd))
    rows, cols = (side // step for side in road.shape)
    blocks = road[: rows * step, : cols * step].reshape(rows, step, cols, step).mean((1, 3))
    coarse = ndimage.binary_opening(blocks > 0.5, iterations=1)
    cell = gsd * step
    morphology_functions: Any = morphology
    line = morphology_functions.skeletonize(coarse)
    clear = ndimage.distance_transform_edt(coarse) * cell
    points = np.argwhere(line & (clear > 2.0))
    chosen: list[tuple[float, float, float]] = []
    taken = np.zeros(line.shape, bool)
    reach = max(1, round(spacing / cell))
    window = max(2, round(6.0 / cell))
    for r, c in points:
        if taken[r, c]:
            continue
        taken[max(0, r - reach) : r + reach + 1, max(0, c - reach) : c + reach + 1] = True
        near = line[max(0, r - window) : r + window + 1, max(0, c - window) : c + window + 1]
        i, j = np.nonzero(near)
        if len(i) < 4:
            continue
        i, j = i - i.mean(), j - j.mean()
        # Largest second moment: the street's direction, up to 180 degrees.
        angle = 0.5 * math.atan2(2 * float((i * j).mean()), float((j * j).mean() - (i * i).mean()))
        azimuth = (90.0 + math.degrees(angle)) % 180.0
        row, col = (r + 0.5) * step, (c + 0.5) * step
        if not building[int(row), int(col)]:
            chosen.append((row, col, azimuth))
    return np.array(chosen).reshape(-1, 3)


def _parked_cars(road: NDArray[np.bool_], gsd: float, random: np.random.Generator) -> Objects:
    """Cars along the edges of roads, as the edge runs, here and there with a gap."""
    from scipy import ndimage

    inside = ndimage.distance_transform_edt(road) * gsd
    smooth = ndimage.gaussian_filter(inside, 1.0 / gsd)
    down, right = np.gradient(smooth)
    # 1.2 m from the curb; roads narrower than 6 m have no parking.
    wide = ndimage.maximum_filter(inside, size=round(10.0 / gsd)) > 3.0
    curb = np.argwhere(road & wide & (np.abs(inside - 1.25) < 0.6 * gsd))
    curb = curb[random.permutation(len(curb))]
    cell = 3.1
    taken: dict[tuple[int, int], list[tuple[float, float]]] = {}
    rows = []
    for r, c in curb:
        size = math.hypot(down[r, c], right[r, c])
        if size < 0.4 * gsd:
            continue
        x, y = c * gsd, r * gsd
        key = (int(y // cell), int(x // cell))
        close = (
            (x - u) ** 2 + (y - v) ** 2 < 6.3**2
            for i in range(-3, 4)
            for j in range(-3, 4)
            for u, v in taken.get((key[0] + i, key[1] + j), ())
        )
        if any(close):
            continue
        taken.setdefault(key, []).append((x, y))
        if random.random() < 0.35:
            continue
        # Along the curb: across the direction in which the distance grows.
        azimuth = math.degrees(math.atan2(right[r, c], -down[r, c])) + 90.0
        azimuth += 180.0 * (random.random() < 0.5) + random.normal(0, 2)
        rows.append((r + 0.5, c + 0.5, azimuth % 360.0, random.random()))
    table = np.array(rows).reshape(-1, 4)
    van = table[:, 3] > 0.88
    paint = random.choice(
        np.array([[200, 200, 202], [30, 30, 32], [110, 112, 116], [235, 235, 235], [120, 24, 24],
                  [30, 50, 100], [60, 80, 60], [160, 150, 130]], np.uint8),
        len(table),
    )  # fmt: skip
    return Objects(
        table[:, 0],
        table[:, 1],
        table[:, 2],
        np.where(van, 5.4, random.uniform(4.0, 4.9, len(table))).astype(np.float32),
        np.where(van, 2.0, 1.8).astype(np.float32),
        np.where(van, 2.3, random.uniform(1.4, 1.75, len(table))).astype(np.float32),
        np.where(van, VAN, CAR).astype(np.uint8),
        paint.reshape(-1, 3),
    )
