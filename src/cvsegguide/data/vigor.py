"""VIGOR: panoramas and satellite tiles of four US cities, with positions inside the tile.

Source: S. Zhu, T. Yang, C. Chen, "VIGOR: Cross-View Image Geo-localization Beyond One-to-one
Retrieval", CVPR 2021, doi:10.48550/arXiv.2011.12172. Corrected labels: T. Lentsch, Z. Xia,
H. Caesar, J. F. P. Kooij, "SliceMatch: Geometry-Guided Aggregation for Cross-View Pose
Estimation", CVPR 2023, doi:10.48550/arXiv.2211.14651 (supplement, section A). The pictures come
from Google's Street View and Maps services; the set is given out by its authors for research and
may not be passed on.

``docs/data.md`` has the layout. Panoramas are 1024 x 2048, satellite tiles 640 x 640, north up and
named by their centre. A line of a list names a panorama and then four times
``satellite dRow dCol``: the *positive*, in whose middle quarter the camera stands, and three
*semi-positives*, which it stands in or near. Offsets are pixels of the 640 x 640 tile from the
camera to its centre, down and right counted so that the camera is at row ``320 + dRow`` and column
``320 - dCol``.

Splits: ``same`` area trains and tests in all four cities; ``cross`` area trains on NewYork and
Seattle and tests on SanFrancisco and Chicago. The validation panoramas are written to
``cvsegguide_splits/val_<area>_seed<seed>.txt`` and read from there ever after. Training and
validation share tiles, as is the custom; compare methods on the test split alone.

That the centre column looks north is the publishers' word; the tests have the label lists but no
pictures to show it with.

Known faults of the labels: the original offsets rest on a wrong ground resolution; the corrected
ones agree with the coordinates in the file names to 0.6 m. Some semi-positives do not contain the
camera: such pairs are left out and counted.
"""

import math
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Literal

import numpy as np
import pandas
from PIL import Image
from torch import Tensor

from cvsegguide.data.dataset import CrossViewDataset
from cvsegguide.data.decode import decode_rgb, rgb_tensor
from cvsegguide.data.lists import refuse, require_folder
from cvsegguide.data.sample import Sample
from cvsegguide.data.vigor_lists import (
    SIZE,
    list_panoramas,
    panorama_lonlat,
    read_lines,
    read_validation,
    satellite_lonlat,
)
from cvsegguide.errors import ConfigurationError
from cvsegguide.geo import Bounds
from cvsegguide.geo.bounds import EARTH_RADIUS

GSD = {"NewYork": 0.113248, "Seattle": 0.100817, "SanFrancisco": 0.118141, "Chicago": 0.111262}
"""Metres per pixel of the 640 x 640 tiles of each city."""

CITIES = tuple(sorted(GSD))
CROSS_AREA = {"train": ("NewYork", "Seattle"), "test": ("Chicago", "SanFrancisco")}
"""Cities of the cross-area protocol."""

COLUMNS = ["id", "city", "panorama", "satellite", "rank", "row", "col", "gsd", "lat", "lon"]
_FOLDERS = {"corrected": "splits__corrected", "original": "splits"}


class Vigor(CrossViewDataset):
    """Pairs of a panorama and a satellite tile, in the order of cities, then of the label files.

    Args:
        root: Folder that holds the cities' folders and the labels, in the layout of
            ``docs/data.md``. Positions need the label files alone.
        area: ``"same"`` or ``"cross"``.
        split: ``"train"`` (without the validation panoramas), ``"val"`` or ``"test"``.
        labels: ``"corrected"`` or ``"original"``.
        pairs: ``"positive"``, ``"semi-positive"``, or ``"all"`` of the tiles of a panorama.
        cities: Only these of the split's cities.
        seed: Chooses the validation panoramas.
        split_folder: Where the validation list is kept; ``cvsegguide_splits`` under ``root`` by
            default. Where it cannot be written, the list is made anew each time (it is the same).
        cleaned: Read the lists that ``cvsegguide data check ROOT --fix`` has written beside the
            originals, ``NAME.cleaned.txt``. The validation panoramas stay those of the originals.
        overhead_size, street_size, street_extent: See :class:`CrossViewDataset`.
        overhead_gsd: Metres per pixel that the tiles of all cities are brought to, in the middle
            of ``overhead_size`` pixels: what reaches beyond is cut off, what is missing stays
            black. For networks that know metres (the geometric one), since the cities' own
            resolutions differ by a sixth. None: every tile fills ``overhead_size``.

    Attributes:
        left_out: Number of pairs left out because the camera stands outside the tile.
        table: A row a sample: ``id``, ``city``, ``panorama``, ``satellite``, ``rank`` (0 positive,
            1 to 3 semi-positive), ``row``, ``col`` (pixels of 640 x 640), ``gsd`` (metres per such
            pixel), ``lat``, ``lon`` (of the camera, from the panorama's name).

    Raises:
        DatasetError: A label file is missing or malformed, naming file and line.
        ConfigurationError: An argument that is none of the above.
    """

    def __init__(
        self,
        root: str | PathLike[str],
        area: Literal["same", "cross"] = "same",
        split: Literal["train", "val", "test"] = "train",
        labels: Literal["corrected", "original"] = "corrected",
        pairs: Literal["positive", "semi-positive", "all"] = "positive",
        cities: Sequence[str] | None = None,
        seed: int = 0,
        split_folder: str | PathLike[str] | None = None,
        cleaned: bool = False,
        overhead_size: int | None = 256,
        street_size: tuple[int, int] | None = (128, 512),
        street_extent: float | None = 90.0,
        overhead_gsd: float | None = None,
    ) -> None:
        super().__init__(overhead_size, street_size, street_extent)
        if overhead_gsd is not None and not (overhead_gsd > 0 and overhead_size):
            raise ConfigurationError(
                f"must be positive, with an overhead_size, got {overhead_gsd:g}",
                parameter="overhead_gsd",
            )
        self.overhead_gsd = overhead_gsd
        for name, value, allowed in (
            ("area", area, ("same", "cross")),
            ("split", split, ("train", "val", "test")),
            ("labels", labels, tuple(_FOLDERS)),
            ("pairs", pairs, ("positive", "semi-positive", "all")),
        ):
            if value not in allowed:
                raise ConfigurationError(f"must be one of {allowed}, got '{value}'", parameter=name)
        self.root = require_folder(root, "the root of VIGOR")
        self.area, self.split = area, split
        part = "test" if split == "test" else "train"
        members = CITIES if area == "same" else CROSS_AREA[part]
        if cities is not None:
            unknown = [city for city in cities if city not in members]
            if unknown:
                raise ConfigurationError(
                    f"{unknown[0]} is not among those of this split ({', '.join(members)})",
                    parameter="cities",
                )
            members = tuple(city for city in members if city in cities)
        self.cities = members

        stem = "pano_label_balanced" if area == "cross" else f"same_area_balanced_{part}"
        suffix = "__corrected" if labels == "corrected" else ""
        folder = self.root / _FOLDERS[labels]
        lists = {city: folder / city / f"{stem}{suffix}.txt" for city in members}
        table = _read_pairs(lists, cleaned)
        keep = np.ones(len(table), np.bool_)
        if pairs != "all":
            keep &= (table["rank"] == 0).to_numpy() == (pairs == "positive")
        if split != "test":
            place = self.root / "cvsegguide_splits" if split_folder is None else Path(split_folder)
            # Cleaned lists are a part of the originals, from which the panoramas are chosen.
            every = [name for path in lists.values() for name in list_panoramas(path)]
            validation = read_validation(
                place / f"val_{area}_seed{seed}.txt", every, seed, keep=cities is None
            )
            keep &= table["panorama"].isin(validation).to_numpy() == (split == "val")
        offsets = np.abs(table[["row", "col"]].to_numpy(np.float64) - SIZE / 2)
        reach = np.full(len(table), SIZE / 2)
        if overhead_gsd is not None and overhead_size is not None:
            own = table["gsd"].to_numpy(np.float64)
            reach = np.minimum(reach, 0.5 * overhead_size * overhead_gsd / own)
        inside = offsets.max(axis=1, initial=0.0) <= reach
        self.left_out = int((keep & ~inside).sum())
        self.table = table[keep & inside].reset_index(drop=True)

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int) -> Sample:
        index = self._checked_index(index)
        satellite, panorama = self.paths(index)
        gsd = GSD[self.city(index)]
        if self.overhead_gsd is None:
            overhead = self._overhead(satellite)
        else:
            assert self.overhead_size is not None
            overhead = _centred(satellite, gsd / self.overhead_gsd, self.overhead_size)
        width = overhead.shape[-1]
        row, col = self.position(index)
        return Sample(
            id=self.sample_id(index),
            overhead=overhead,
            street=self._street(panorama),
            landcover=None,
            row=row,
            col=col,
            heading=0.0,
            fov=360.0,
            gsd=self.overhead_gsd or gsd * SIZE / width,
            bounds=self.bounds(index),
        )

    def sample_id(self, index: int) -> str:
        """``City/ID,lat,lon,`` of a positive, with ``/1`` to ``/3`` behind for semi-positives."""
        return str(self.table["id"].iloc[index])

    def city(self, index: int) -> str:
        """The city of a sample."""
        return str(self.table["city"].iloc[index])

    def paths(self, index: int) -> tuple[Path, Path]:
        """Files of the satellite tile and of the panorama of a sample."""
        row = self.table.iloc[index]
        folder = self.root / row.city
        return folder / "satellite" / row.satellite, folder / "panorama" / row.panorama

    def position(self, index: int) -> tuple[float, float]:
        """``(row, col)`` of a sample's camera in pixels of ``overhead_size`` (or of 640)."""
        row = self.table.iloc[self._checked_index(index)]
        size = self.overhead_size or SIZE
        scale = size / SIZE if self.overhead_gsd is None else row.gsd / self.overhead_gsd
        edge = (size - SIZE * scale) / 2
        return float(row["row"] * scale + edge), float(row["col"] * scale + edge)

    def bounds(self, index: int) -> Bounds:
        """Bounds of a sample's overhead image: its centre by name, its side by resolution."""
        lon, lat = satellite_lonlat(self.table["satellite"].iloc[index])
        side = GSD[self.city(index)] * SIZE
        if self.overhead_gsd is not None:
            side = self.overhead_gsd * (self.overhead_size or SIZE)
        north = math.degrees(side / 2 / EARTH_RADIUS)
        east = north / math.cos(math.radians(lat))
        return Bounds(lon - east, lat - north, lon + east, lat + north)


def _read_pairs(lists: dict[str, Path], cleaned: bool) -> pandas.DataFrame:
    """:attr:`Vigor.table` of the lists of cities, all of their pairs.

    Args:
        lists: City -> its original list.
        cleaned: Read those beside them, which a check has written.
    """
    rows = []
    for city, path in lists.items():
        path = path.with_name(f"{path.stem}.cleaned.txt") if cleaned else path
        for line in read_lines(path, refuse()):
            lon, lat = panorama_lonlat(line.panorama)
            name = f"{city}/{line.panorama.rsplit('.', 1)[0]}"
            for rank, (tile, (down, across)) in enumerate(
                zip(line.tiles, line.offsets, strict=True)
            ):
                rows.append(
                    (
                        f"{name}/{rank}" if rank else name,
                        *(city, line.panorama, tile, rank),
                        *(SIZE / 2 + down, SIZE / 2 - across, GSD[city], lat, lon),
                    )
                )
    return pandas.DataFrame(rows, columns=COLUMNS)


def _centred(path: Path, scale: float, size: int) -> Tensor:
    """A tile, 640 of whose pixels become ``640 * scale``, in the middle of ``size`` pixels.

    Returns:
        ``(3, size, size)`` in [0, 1], black where the tile does not reach.
    """
    image = Image.fromarray(decode_rgb(path))
    canvas = np.zeros((size, size, 3), np.uint8)
    edges, box = [], []
    for side in image.size:
        step = side / (SIZE * scale)  # pixels of the file per pixel of the canvas
        edge = max(0, math.ceil((size - side / step) / 2 - 1e-6))
        reach = min((size / 2 - edge) * step, side / 2)
        edges.append(edge)
        box += [side / 2 - reach, side / 2 + reach]
    across, down = (size - 2 * edge for edge in edges)
    shown = image.resize(
        (across, down), Image.Resampling.BILINEAR, box=(box[0], box[2], box[1], box[3])
    )
    canvas[edges[1] : edges[1] + down, edges[0] : edges[0] + across] = np.asarray(shown)
    return rgb_tensor(canvas)
