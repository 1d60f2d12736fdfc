"""The lists of a city in the layout of Brooklyn & Queens: names, bounds, places, chosen pairs.

Read strictly: a line that cannot be used is an error that names it. Only where somebody says which
names are needed (a cleaned index) are faults that concern the others passed over.
"""

from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cvsegguide.data.dataset import parse_numbers, read_lines
from cvsegguide.data.linking import link_table
from cvsegguide.errors import DatasetError
from cvsegguide.geo import parse_tile_name, tile_bounds

_TOLERANCE = 0.02
"""Share of a tile by which ``bboxes.txt`` may differ from the slippy name."""


def read_tiles(
    folder: Path, needed: Collection[str] | None = None
) -> tuple[list[str], NDArray[np.float64], NDArray[np.bool_]]:
    """Names, bounds ``(N, 4)``, and which names are slippy, of the tiles of one city's folder.

    Bounds follow from the slippy name; ``bboxes.txt`` is checked against it, to 2 % of a tile.
    Where a name is not slippy, ``bboxes.txt`` gives the bounds.

    Args:
        folder: The city's folder.
        needed: Names of tiles whose place must be known. The bounds of others that are missing,
            malformed or contradicted become NaN. None: all are needed.

    Raises:
        DatasetError: A list is missing or malformed, or a box contradicts the name of its tile.
    """
    names = _names(folder / "overhead" / "images.txt", needed)
    path = folder / "overhead" / "bboxes.txt"
    boxes = _read_boxes(path, needed) if path.exists() else None
    bounds = np.full((len(names), 4), np.nan)
    slippy = np.zeros(len(names), np.bool_)
    for row, name in enumerate(names):
        try:
            bounds[row], slippy[row] = _tile_place(folder / "overhead", row, name, boxes)
        except DatasetError:
            if needed is None or name in needed:
                raise
    return names, bounds, slippy


def _tile_place(
    folder: Path, row: int, name: str, boxes: dict[str, tuple[int, tuple[float, ...]]] | None
) -> tuple[tuple[float, ...], bool]:
    """Bounds of one tile, and whether its name is slippy."""
    path = folder / "bboxes.txt"
    box = None
    if boxes is not None:
        if name not in boxes:
            raise DatasetError(f"{path}: no line for the tile '{name}'")
        number, box = boxes[name]
    tile = parse_tile_name(name)
    if tile is not None:
        exact = west, south, east, north = tuple(tile_bounds(*tile))
        if box is not None:
            allowed = _TOLERANCE * np.array([east - west, north - south] * 2)
            if (np.abs(np.array(box) - exact) > allowed).any():
                raise DatasetError(
                    f"{path}: line {number}: the box of '{name}' is not that of the tile "
                    f"(west {west:.6f}, south {south:.6f}, east {east:.6f}, north {north:.6f})"
                )
        return exact, True
    if box is None:
        raise DatasetError(
            f"{folder / 'images.txt'}: line {row + 1}: '{name}' is no slippy "
            "tile name (z/x/y.jpg), and there is no bboxes.txt"
        )
    return box, False


def read_panoramas(
    folder: Path, needed: Collection[str] | None = None
) -> tuple[list[str], NDArray[np.float64]]:
    """Names and ``(M, 2)`` longitude, latitude of the panoramas of one city's folder.

    Without ``locations.txt`` the positions come from the names.

    Args:
        folder: The city's folder.
        needed: Names of panoramas whose place must be known. The places of others that are
            malformed become NaN. None: all are needed.

    Raises:
        DatasetError: A list is missing or malformed, or the two are of different length.
    """
    listed = folder / "streetview" / "images.txt"
    names = _names(listed, needed)
    path = folder / "streetview" / "locations.txt"
    if path.exists():
        lines = read_lines(path)
        if needed is not None:  # blank lines count in neither list, as in ``data check``
            lines = [line for line in lines if line]
        elif len(lines) != len(names):
            raise DatasetError(
                f"{path}: has {len(lines)} lines, but {listed.name} has {len(names)}"
            )
        fields = [line.replace(",", " ").split() for line in lines]
        fields = (fields + [[]] * len(names))[: len(names)]
    else:
        path = listed
        fields = [Path(name).stem.split("_") for name in names]
    lonlat = np.full((len(names), 2), np.nan)
    for row, parts in enumerate(fields):
        try:
            lat, lon = parse_numbers(path, row + 1, parts, 2)
            if not (-90 <= lat <= 90 and -180 <= lon <= 180):
                raise DatasetError(
                    f"{path}: line {row + 1}: no latitude,longitude: {lat:g},{lon:g}"
                )
        except DatasetError:
            if needed is None or names[row] in needed:
                raise
            continue
        lonlat[row] = lon, lat
    return names, lonlat


def read_headings(folder: Path, names: list[str]) -> NDArray[np.float64] | None:
    """``(M,)`` azimuths of the panoramas' centre columns in degrees, where the folder says them.

    A synthetic city does, in ``streetview/truth.csv`` (columns ``name``, without suffix,
    ``heading`` and ``fov``); the published set does not, and there the centre column looks north.

    Raises:
        DatasetError: The table is malformed, lacks a panorama, or lists views of less than 360
            degrees.
    """
    path = folder / "streetview" / "truth.csv"
    if not path.exists():
        return None
    header, *lines = read_lines(path) or [""]
    columns = header.split(",")
    wanted = ("name", "heading", "fov")
    if missing := [name for name in wanted if name not in columns]:
        raise DatasetError(f"{path}: line 1: no column '{missing[0]}'")
    place = [columns.index(name) for name in wanted]
    headings: dict[str, float] = {}
    for number, line in enumerate(lines, 2):
        fields = line.split(",")
        if len(fields) != len(columns):
            raise DatasetError(
                f"{path}: line {number}: {len(fields)} fields, but {len(columns)} columns"
            )
        name, *texts = (fields[column] for column in place)
        heading, fov = parse_numbers(path, number, texts, 2)
        if fov != 360.0:
            raise DatasetError(
                f"{path}: line {number}: '{name}' shows {fov:g} degrees, no whole panorama; read "
                "this city by its manifest.csv (Manifest)"
            )
        headings[name] = heading
    for row, name in enumerate(names, 1):
        if name.rpartition(".")[0] not in headings:
            raise DatasetError(f"{path}: no line for line {row} of images.txt, '{name[:80]}'")
    return np.array([headings[name.rpartition(".")[0]] for name in names])


def _names(path: Path, needed: Collection[str] | None) -> list[str]:
    names = read_lines(path)
    if needed is not None:
        names = [name for name in names if name]
    for number, name in enumerate(names, 1):
        faulty = not name or Path(name).is_absolute() or ".." in Path(name).parts
        if faulty and (needed is None or name in needed):
            raise DatasetError(f"{path}: line {number}: '{name[:80]}' is no file name")
    if not names:
        raise DatasetError(f"{path}: lists no files")
    return names


def _read_boxes(
    path: Path, needed: Collection[str] | None
) -> dict[str, tuple[int, tuple[float, ...]]]:
    boxes: dict[str, tuple[int, tuple[float, ...]]] = {}
    for number, line in enumerate(read_lines(path), 1):
        name, *fields = (part.strip() for part in line.split(","))
        try:
            lat, lon, other_lat, other_lon = parse_numbers(path, number, fields, 4)
            lats, lons = sorted((lat, other_lat)), sorted((lon, other_lon))
            if lats[0] == lats[1] or lons[0] == lons[1]:
                raise DatasetError(f"{path}: line {number}: the box of '{name}' has no area")
        except DatasetError:
            if needed is None or name in needed:
                raise
            continue
        boxes[name] = (number, (lons[0], lats[0], lons[1], lats[1]))
    return boxes


def link(bounds: NDArray[np.float64], lonlat: NDArray[np.float64]) -> NDArray[np.int32]:
    """``(K, 2)`` pairs of tile and panorama, of those whose place is known."""
    rows, views = (np.flatnonzero(~np.isnan(table).any(axis=1)) for table in (bounds, lonlat))
    table = link_table(bounds[rows], lonlat[views])
    tiles = np.repeat(rows, table.counts)
    return np.stack([tiles, views[table.indices]], axis=1).astype(np.int32)


def first_tiles(pairs: NDArray[np.int32], panoramas: int) -> NDArray[np.int32]:
    """``(M,)``: the first tile that each panorama lies in, -1 where there is none."""
    first = np.full(panoramas, -1, np.int32)
    first[pairs[::-1, 1]] = pairs[::-1, 0]  # of repeated places the last assignment stays
    return first


def read_index(path: Path) -> list[tuple[int, list[str]]]:
    """Numbers of the lines of an index file (from 1) and the names in them."""
    lines = enumerate(read_lines(path), 1)
    parts = [(n, [part.strip() for part in line.partition("#")[0].split(",")]) for n, line in lines]
    return [(number, names) for number, names in parts if names != [""]]


def chosen(
    path: Path,
    lines: list[tuple[int, list[str]]],
    pairs: NDArray[np.int32],
    tiles: list[str],
    panoramas: list[str],
) -> NDArray[np.int32]:
    """Pairs that an index file chooses, in their own order."""
    # A name that is listed again counts at its first place, as ``data check`` has it.
    tile_rows = {name: row for row, name in reversed(list(enumerate(tiles)))}
    panorama_rows = {name: row for row, name in reversed(list(enumerate(panoramas)))}
    keep_tile = np.zeros(len(tiles), np.bool_)
    keep_panorama = np.zeros(len(panoramas), np.bool_)
    keep_pair = set()
    for number, names in lines:
        if len(names) == 1 and names[0] in tile_rows:
            keep_tile[tile_rows[names[0]]] = True
        elif len(names) == 1 and names[0] in panorama_rows:
            keep_panorama[panorama_rows[names[0]]] = True
        elif len(names) == 2 and names[0] in tile_rows and names[1] in panorama_rows:
            keep_pair.add((tile_rows[names[0]], panorama_rows[names[1]]))
        else:
            raise DatasetError(
                f"{path}: line {number}: '{','.join(names)[:120]}' is neither a tile nor a "
                "panorama of the city, nor a pair of them"
            )
    keep = keep_tile[pairs[:, 0]] | keep_panorama[pairs[:, 1]]
    if keep_pair:
        keep |= np.array([(int(tile), int(view)) in keep_pair for tile, view in pairs])
    return pairs[keep]
