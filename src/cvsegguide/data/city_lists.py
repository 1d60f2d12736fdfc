"""The lists of a city in the layout of Brooklyn & Queens: names, bounds, places, chosen pairs."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas
from numpy.typing import NDArray

from cvsegguide.data.linking import link_pairs
from cvsegguide.data.lists import AddFinding, parse_numbers, read_names, read_rows, refuse
from cvsegguide.data.manifest_table import read_frame
from cvsegguide.errors import DatasetError
from cvsegguide.geo import parse_tile_name, tile_bounds

_TOLERANCE = 0.02
"""Share of a tile by which ``bboxes.txt`` may differ from the slippy name."""

_NAME_TOLERANCE = 1e-5
"""Degrees by which ``locations.txt`` may differ from a panorama's name."""

Box = tuple[float, ...]


@dataclass
class City:
    """One city's tiles and panoramas, and which lies in which.

    Attributes:
        folder: Of the city.
        tiles, panoramas: Names in the order of the ``images.txt`` files, each once.
        bounds: ``(N, 4)`` degrees, NaN where unknown.
        boxes: Names in ``bboxes.txt`` with their line and, where it could be read, the box.
        lonlat: ``(M, 2)`` degrees, NaN where unknown.
        decimals: Places to which bounds are rounded before linking; None: they are exact.
    """

    folder: Path
    tiles: list[str]
    panoramas: list[str]
    bounds: NDArray[np.float64]
    boxes: dict[str, tuple[int, Box | None]]
    lonlat: NDArray[np.float64]
    decimals: int | None = None

    @cached_property
    def pairs(self) -> NDArray[np.int32]:
        """``(K, 2)``: tile and panorama of each link, in the order of tiles, then panoramas.

        Tiles and panoramas whose place is not known are in none.
        """
        bounds = self.bounds if self.decimals is None else np.round(self.bounds, self.decimals)
        return link_pairs(bounds, self.lonlat).astype(np.int32)

    @cached_property
    def first_tiles(self) -> NDArray[np.int32]:
        """``(M,)``: the first tile that each panorama lies in, -1 for none."""
        first = np.full(len(self.panoramas), -1, np.int32)
        # of repeated places the last assignment stays
        first[self.pairs[::-1, 1]] = self.pairs[::-1, 0]
        return first

    def names(self) -> dict[str, list[str]]:
        """Tile -> names of its panoramas, sorted: the form in which links are published."""
        names: dict[str, list[str]] = {tile: [] for tile in self.tiles}
        for tile, view in self.pairs.tolist():
            names[self.tiles[tile]].append(self.panoramas[view])
        return {tile: sorted(views) for tile, views in names.items()}


def places_in_tile(bounds: NDArray[np.float64], lonlat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where points lie in a tile, 0 to 1 from its north and its west edge.

    Tiles are Web Mercator: even in longitude and in the Mercator ordinate.

    Args:
        bounds: ``(4,)`` west, south, east, north.
        lonlat: ``(..., 2)``.

    Returns:
        ``(..., 2)`` shares of height and width.
    """
    west, south, east, north = bounds
    top, bottom = np.arcsinh(np.tan(np.radians([north, south])))
    rows = (top - np.arcsinh(np.tan(np.radians(lonlat[..., 1])))) / (top - bottom)
    return np.stack([rows, (lonlat[..., 0] - west) / (east - west)], axis=-1)


def read_city(folder: Path, add: AddFinding, decimals: int | None = None) -> City:
    """Read the lists of one city's folder.

    Bounds follow from the slippy name; ``bboxes.txt`` is checked against it, to 2 % of a tile.
    Where a name is not slippy, ``bboxes.txt`` gives the bounds. Without ``locations.txt`` the
    positions of panoramas come from their names.

    Args:
        folder: The city's folder.
        add: Takes what is wrong.
        decimals: Places to which bounds are rounded before linking, as for the published links
            (:data:`~cvsegguide.data.layout.DECIMALS`): positions are given to six places, and a
            panorama whose place was rounded onto a border counts for both tiles. None takes the
            exact bounds.
    """
    listed = folder / "overhead" / "images.txt"
    tiles, _ = read_names(listed, add)
    if not tiles:
        add("malformed", listed, "lists no files")
    path = folder / "overhead" / "bboxes.txt"
    boxes = _read_boxes(path, add) if path.exists() else {}
    bounds = np.full((len(tiles), 4), np.nan)
    for row, name in enumerate(tiles):
        tile = parse_tile_name(name)
        line, box = boxes.get(name, (0, None))
        if tile is not None:
            bounds[row] = tile_bounds(*tile)
        elif box is not None:
            bounds[row] = box
        if not line and path.exists():
            add("malformed", path, f"no line for the tile '{name}'", name)
        elif not line and tile is None:
            detail = f"'{name}' is no slippy tile name (z/x/y.jpg), and there is no bboxes.txt"
            add("malformed", listed, detail, name)
        elif box is not None and tile is not None:
            west, south, east, north = bounds[row]
            allowed = _TOLERANCE * np.array([east - west, north - south] * 2)
            if (np.abs(np.array(box) - bounds[row]) > allowed).any():
                detail = (
                    f"line {line}: the box of '{name}' is not that of the tile "
                    f"(west {west:.6f}, south {south:.6f}, east {east:.6f}, north {north:.6f})"
                )
                add("contradiction", path, detail, name)
    panoramas, lonlat = _read_places(folder / "streetview", add)
    return City(folder, list(tiles), panoramas, bounds, boxes, lonlat, decimals)


def _read_boxes(path: Path, add: AddFinding) -> dict[str, tuple[int, Box | None]]:
    boxes: dict[str, tuple[int, Box | None]] = {}
    for line, text in read_rows(path, add):
        name, *fields = (part.strip() for part in text.split(","))
        box = None
        try:
            lat, lon, other_lat, other_lon = parse_numbers(fields, 4)
            if lat == other_lat or lon == other_lon:
                raise ValueError(f"the box of '{name}' has no area")
            lats, lons = sorted((lat, other_lat)), sorted((lon, other_lon))
            box = (lons[0], lats[0], lons[1], lats[1])
        except ValueError as error:
            add("malformed", path, f"line {line}: {error}", name)
        boxes[name] = line, box
    return boxes


def _read_places(folder: Path, add: AddFinding) -> tuple[list[str], NDArray[np.float64]]:
    """Names and ``(M, 2)`` longitude, latitude of a city's panoramas."""
    listed, path = folder / "images.txt", folder / "locations.txt"
    names, count = read_names(listed, add)
    if not names:
        add("malformed", listed, "lists no files")
    lonlat = np.full((len(names), 2), np.nan)
    lines = read_rows(path, add) if path.exists() else None
    if lines is not None and len(lines) != count:
        add("malformed", path, f"has {len(lines)} lines, but {listed.name} has {count}", "")
    for row, (name, place) in enumerate(names.items()):
        try:
            named = parse_numbers(Path(name).stem.split("_"), 2)
        except ValueError:
            named = ()
        if lines is None:
            if not named:
                detail = f"no place in the name '{name[:80]}', and there is no {path.name}"
                add("malformed", listed, detail, name)
            lonlat[row] = named[::-1] or np.nan
            continue
        if place >= len(lines):
            continue
        line, text = lines[place]
        try:
            lat, lon = parse_numbers(text.replace(",", " ").split(), 2)
            if abs(lat) > 90 or abs(lon) > 180:
                raise ValueError(f"no latitude,longitude: {lat:g},{lon:g}")
        except ValueError as error:
            add("malformed", path, f"line {line}: {error}", name)
            continue
        lonlat[row] = lon, lat
        if named and np.abs(np.subtract(named, (lat, lon))).max() > _NAME_TOLERANCE:
            detail = f"line {line}: ({lat}, {lon}) is not the place in the name '{name}'"
            add("contradiction", path, detail, name)
    return list(names), lonlat


def read_headings(folder: Path, names: list[str]) -> NDArray[np.float64] | None:
    """``(M,)`` azimuths of the panoramas' centre columns in degrees, where the folder says them.

    A synthetic city does, in ``streetview/truth.csv`` (columns ``name``, without suffix,
    ``heading`` and ``fov``); the published set does not, and there the centre column looks north.

    Raises:
        DatasetError: A panorama is not in the table, or shows less than 360 degrees: such views are
            none that this layout can describe.
    """
    path = folder / "streetview" / "truth.csv"
    if not path.exists():
        return None
    frame = read_frame(path)
    for column in ("name", "heading", "fov"):
        if column not in frame:
            raise DatasetError(f"{path}: line 1: no column '{column}'")
    frame = frame.drop_duplicates("name", keep="last").set_index("name")
    frame = frame.reindex([name.rpartition(".")[0] for name in names])
    headings, extents = (
        pandas.to_numeric(frame[column], errors="coerce").to_numpy(np.float64)
        for column in ("heading", "fov")
    )
    for row in np.flatnonzero(~np.isfinite(headings + extents)):
        raise DatasetError(f"{path}: no heading and fov of '{names[row][:80]}'")
    for row in np.flatnonzero(extents != 360.0):
        raise DatasetError(
            f"{path}: '{names[row][:80]}' shows {extents[row]:g} degrees, no whole panorama; read "
            "this city by its manifest.csv (Manifest)"
        )
    return headings


def read_index(path: Path) -> list[tuple[int, list[str]]]:
    """Numbers of the lines of an index file (from 1) and the names in them."""
    rows = read_rows(path, refuse())
    parts = [(n, [part.strip() for part in line.partition("#")[0].split(",")]) for n, line in rows]
    return [(number, names) for number, names in parts if names != [""]]


def choose_pairs(path: Path, lines: list[tuple[int, list[str]]], city: City) -> NDArray[np.int32]:
    """Pairs that an index file chooses, in their own order.

    Raises:
        DatasetError: A line names nothing of the city.
    """
    tiles = {name: row for row, name in enumerate(city.tiles)}
    panoramas = {name: row for row, name in enumerate(city.panoramas)}
    keep: tuple[list[int], list[int], list[int]] = ([], [], [])
    for number, names in lines:
        tile, view = tiles.get(names[0]), panoramas.get(names[-1])
        if len(names) == 1 and tile is not None:
            keep[0].append(tile)
        elif len(names) == 1 and view is not None:
            keep[1].append(view)
        elif len(names) == 2 and tile is not None and view is not None:
            keep[2].append(tile * len(panoramas) + view)
        else:
            raise DatasetError(
                f"{path}: line {number}: '{','.join(names)[:120]}' is neither a tile nor a "
                "panorama of the city, nor a pair of them"
            )
    tile_of, view_of = city.pairs.astype(np.int64).T
    codes = (tile_of, view_of, tile_of * len(panoramas) + view_of)
    chosen = [np.isin(code, wanted) for code, wanted in zip(codes, keep, strict=True)]
    return city.pairs[np.any(chosen, axis=0)]
