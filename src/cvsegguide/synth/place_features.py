"""What the rasters of a real place do not say, drawn to fit them.

Heights per building, crowns over the canopy class, where the mapping car drove (the middle line of
roads), and cars along the curbs.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage import feature, morphology

from cvsegguide.synth import ids
from cvsegguide.synth.compiled import F32, F64, I32
from cvsegguide.synth.scene import Objects, Trees

Mask = NDArray[np.bool_]

_feature: Any = feature  # their type declarations are not complete
_morphology: Any = morphology

_CAR_COLORS = (
    *((200, 200, 202), (30, 30, 32), (110, 112, 116), (235, 235, 235)),
    *((120, 24, 24), (30, 50, 100), (60, 80, 60), (160, 150, 130)),
)


def draw_buildings(
    mask: Mask,
    height: F32 | None,
    gsd: float,
    random: np.random.Generator,
) -> tuple[I32, F32]:
    """Ids and roof heights; connected parts longer than a house are cut into lots."""
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


def draw_trees(
    canopy: Mask,
    height: F32 | None,
    gsd: float,
    random: np.random.Generator,
) -> tuple[Trees, F32, F32]:
    """Crowns that fill the canopy class, from its distance transform, largest first."""
    base = np.zeros(canopy.shape, np.float32)
    top = np.zeros(canopy.shape, np.float32)
    if not canopy.any():
        return Trees.from_table(np.zeros((0, 7))), base, top
    inside = ndimage.distance_transform_edt(canopy) * gsd
    capped = np.minimum(inside, 4.5) + 1e-3 * ndimage.gaussian_filter(
        random.random(canopy.shape), 3
    )
    peaks = _feature.peak_local_max(
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
    species = random.choice(5, len(peaks), p=[0.4, 0.3, 0.2, 0.06, 0.04])
    columns = peaks + 0.5, 0.05 + 0.035 * radius, radius, bottom, crown, species
    return Trees.from_table(np.column_stack(columns)), base, top


def find_cameras(road: Mask, building: Mask, gsd: float, spacing: float = 11.0) -> F64:
    """Row, column and azimuth along the middle lines of roads, about every ``spacing`` metres."""
    # Skeletons are taken at about 0.9 m per pixel: less whiskers, less time.
    step = max(1, round(0.9 / gsd))
    rows, cols = (side // step for side in road.shape)
    blocks = road[: rows * step, : cols * step].reshape(rows, step, cols, step).mean((1, 3))
    coarse = ndimage.binary_opening(blocks > 0.5, iterations=1)
    cell = gsd * step
    line = _morphology.skeletonize(coarse)
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


def draw_parked_cars(road: Mask, gsd: float, random: np.random.Generator) -> Objects:
    """Cars along the edges of roads, as the edge runs, here and there with a gap."""
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
    paint = random.choice(np.array(_CAR_COLORS, np.uint8), len(table))
    length = np.where(van, 5.4, random.uniform(4.0, 4.9, len(table)))
    height = np.where(van, 2.3, random.uniform(1.4, 1.75, len(table)))
    width, kind = np.where(van, 2.0, 1.8), np.where(van, ids.VAN, ids.CAR)
    columns = table[:, :3], length, width, height, kind, paint.reshape(-1, 3)
    return Objects.from_table(np.column_stack(columns))
