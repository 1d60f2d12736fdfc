"""Brooklyn & Queens: zoom-19 tiles, street-view panoramas and dense labels of New York City.

Source: S. Workman, M. U. Rafique, H. Blanton, N. Jacobs, "Revisiting Near/Remote Sensing with
Geospatial Attention", CVPR 2022, doi:10.48550/arXiv.2204.01807, which extends the data of
S. Workman et al., "A Unified Model for Near and Remote Sensing", ICCV 2017,
doi:10.1109/ICCV.2017.293. The pictures are Bing Maps tiles and Google Street View panoramas; the
set is given out by its authors for research and may not be passed on.

``docs/data.md`` has the layout. Tiles are 256 x 256, panoramas 1664 x 3328, and their centre column
looks north. ``overhead/locations.txt`` is not read: it follows from the names. Synthetic cities
alone have ``streetview/truth.csv``, true headings (:func:`read_headings`), and
``labels/street_depth/LAT/LON/LAT_LON.png``, centimetres in 16 bits.

A panorama belongs to every tile whose closed bounds hold it: a sample is such a pair. A quarter of
the tiles holds none.

Known faults of the labels: land cover was drawn from imagery and laser scans of 2010, the pictures
are younger; facades lean over streets, since the tiles are no true orthophotos; trees hang over
roads and hide them. The original system folds bare soil into grass; ids are left alone here.
"""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from cvsegguide.data.city_lists import (
    choose_pairs,
    places_in_tile,
    read_city,
    read_headings,
    read_index,
)
from cvsegguide.data.dataset import CrossViewDataset
from cvsegguide.data.decode import (
    decode_ids,
    decode_range,
    decode_unit,
    nearest,
    read_sparse,
)
from cvsegguide.data.lists import pack_names, refuse, require_folder
from cvsegguide.data.sample import Sample
from cvsegguide.errors import ConfigurationError
from cvsegguide.geo import Bounds, tile_gsd

LABELS = ("landcover", "sightline", "landuse", "age", "function", "height", "street_range")
"""Label kinds that :class:`BrooklynQueens` takes."""

CLASS_COUNTS = {"landcover": 9, "landuse": 13, "age": 15, "function": 208}
"""Number of classes of each kind of class label, ignored ids included."""

IGNORED_IDS: dict[str, tuple[int, ...]] = {
    "landcover": (0,),
    "landuse": (1,),
    "age": (0, 1),
    "function": (0, 1),
}
"""Ids that say nothing: no data, or no building."""

IGNORE_INDEX = 255
"""What ignored ids become in ``Sample.labels``. Land cover keeps 0, its own 'no data'."""

FOOT = 1200 / 3937
"""The US survey foot in metres."""

SIGMA = 64.0
"""Width of the published sightline target in pixels of a 256 x 256 tile."""

_NATIVE = 256


class BrooklynQueens(CrossViewDataset):
    """Pairs of a panorama and a tile that holds it, in the order of tiles, then panoramas.

    Args:
        root: Folder that holds ``brooklyn/`` and ``queens/``.
        city: Which of them.
        labels: Kinds to read, any of :data:`LABELS`; a missing file is then an error. None takes
            land cover and sightline where the city has land cover, and no labels elsewhere.
        index: Text file that chooses samples: a line names a tile (all its pairs), a panorama
            (all its pairs), or both, tile first, with a comma between; ``#`` begins a comment.
            When every line names both, as in ``index.cleaned.txt``, faults in the lists that
            concern other names do not matter.
        sightlines: ``"compute"`` draws sightlines from the land cover; ``"read"`` takes them from
            ``labels/depth``.
        sigma: Width of the sightline target in pixels of a 256 x 256 tile.
        overhead_size, street_size, street_extent: See :class:`CrossViewDataset`.

    Attributes:
        tiles, panoramas: Names as bytes, in the order of the ``images.txt`` files.
        bounds: ``(N, 4)`` float64 bounds of the tiles.
        lonlat: ``(M, 2)`` float64 positions of the panoramas.
        pairs: ``(K, 2)`` int32, indices of tile and panorama of each sample.

    Raises:
        DatasetError: A list is missing, malformed or contradicts another, naming file and line.
        ConfigurationError: An unknown city or label kind.
    """

    def __init__(
        self,
        root: str | PathLike[str],
        city: Literal["brooklyn", "queens"] = "brooklyn",
        labels: Sequence[str] | None = None,
        index: str | PathLike[str] | None = None,
        sightlines: Literal["compute", "read"] = "compute",
        sigma: float = SIGMA,
        overhead_size: int | None = 256,
        street_size: tuple[int, int] | None = (128, 512),
        street_extent: float | None = 90.0,
    ) -> None:
        super().__init__(overhead_size, street_size, street_extent)
        if city not in ("brooklyn", "queens"):
            raise ConfigurationError(
                f"must be 'brooklyn' or 'queens', got '{city}'", parameter="city"
            )
        if sightlines not in ("compute", "read"):
            raise ConfigurationError(
                f"must be 'compute' or 'read', got '{sightlines}'", parameter="sightlines"
            )
        self.city = city
        self.folder = require_folder(root, "the root of Brooklyn & Queens") / city
        require_folder(self.folder, f"the city '{city}' of Brooklyn & Queens")
        self.labels = self._label_kinds(labels)
        self.sightlines = sightlines
        self.sigma = sigma

        lines = None if index is None else read_index(Path(index))
        needed = None
        if lines is not None and all(len(names) == 2 for _, names in lines):
            needed = {name for _, names in lines for name in names}
        lists = read_city(self.folder, refuse(needed))
        self.tiles = pack_names(lists.tiles)
        self.panoramas = pack_names(lists.panoramas)
        self.bounds, self.lonlat = lists.bounds, lists.lonlat
        self.pairs = lists.pairs
        self._first_tile = lists.first_tiles
        self._headings = read_headings(self.folder, lists.panoramas)
        if index is not None and lines is not None:
            self.pairs = choose_pairs(Path(index), lines, lists)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        index = self._checked_index(index)
        tile, panorama = (int(value) for value in self.pairs[index])
        name = self.tiles[tile].decode()
        picture, view = self.paths(index)
        overhead = self._overhead(picture)
        height, width = overhead.shape[1:]
        row, col = places_in_tile(self.bounds[tile], self.lonlat[panorama]).tolist()
        row, col = row * height, col * width
        landcover, sightline, labels = self._read_labels(
            name, self._depth(tile, panorama), (height, width), row, col
        )
        return Sample(
            id=self.sample_id(index),
            overhead=overhead,
            street=self._street(view),
            landcover=landcover,
            row=row,
            col=col,
            heading=0.0 if self._headings is None else float(self._headings[panorama]),
            fov=360.0,
            gsd=self._gsd(tile, width),
            bounds=Bounds(*self.bounds[tile].tolist()),
            sightline=sightline,
            labels=labels,
            street_range=self._range(view),
        )

    def sample_id(self, index: int) -> str:
        """``z/x/y/LAT_LON``: tile and panorama without their suffixes."""
        tile, panorama = self.pairs[index]
        tile_name, view = self.tiles[tile].decode(), self.panoramas[panorama].decode()
        return f"{tile_name.rsplit('.', 1)[0]}/{Path(view).stem}"

    def position(self, index: int) -> tuple[float, float]:
        """``(row, col)`` of the camera of a sample without reading its pictures.

        In pixels of ``overhead_size``, or of 256 x 256 where that is None.
        """
        tile, panorama = self.pairs[self._checked_index(index)]
        row, col = places_in_tile(self.bounds[tile], self.lonlat[panorama]).tolist()
        size = self.overhead_size or _NATIVE
        return row * size, col * size

    def paths(self, index: int) -> tuple[Path, Path]:
        """Files of the tile and of the panorama of a sample."""
        tile, panorama = self.pairs[self._checked_index(index)]
        return (
            self.folder / "overhead" / "images" / self.tiles[tile].decode(),
            self.folder / "streetview" / "images" / self.panoramas[panorama].decode(),
        )

    def _gsd(self, tile: int, width: int) -> float:
        west, south, east, north = self.bounds[tile].tolist()
        return float(tile_gsd((south + north) / 2, 0, 1) * (east - west) / 360.0 / width)

    def _label_kinds(self, labels: Sequence[str] | None) -> tuple[str, ...]:
        if labels is None:
            present = (self.folder / "labels" / "landcover").is_dir()
            return ("landcover", "sightline") if present else ()
        if isinstance(labels, str):
            labels = (labels,)
        for kind in labels:
            if kind not in LABELS:
                raise ConfigurationError(
                    f"unknown kind '{kind}' (there are {', '.join(LABELS)})", parameter="labels"
                )
        return tuple(labels)

    def _read_labels(
        self, name: str, depth: Path, size: tuple[int, int], row: float, col: float
    ) -> tuple[Tensor | None, Tensor | None, dict[str, Tensor]]:
        folder = self.folder / "labels"
        landcover = sightline = None
        if "sightline" in self.labels and self.sightlines == "read":
            sightline = torch.from_numpy(decode_unit(depth, size))
        if "landcover" in self.labels or ("sightline" in self.labels and sightline is None):
            cover = decode_ids((folder / "landcover" / name).with_suffix(".png"), size)
            if "sightline" in self.labels and sightline is None:
                sigma = self.sigma * size[1] / _NATIVE
                sightline = self._draw_sightline(cover, row, col, sigma)
            if "landcover" in self.labels:
                landcover = torch.from_numpy(np.ascontiguousarray(cover))
        labels = {}
        for kind in self.labels:
            if kind in ("landuse", "age", "function"):
                ids = decode_ids((folder / kind / name).with_suffix(".png"), size)
                ids = np.where(np.isin(ids, IGNORED_IDS[kind]), IGNORE_INDEX, ids)
                labels[kind] = torch.from_numpy(ids.astype(np.uint8))
            elif kind == "height":
                feet = read_sparse((folder / kind / name).with_suffix(".npz"))
                labels[kind] = torch.from_numpy(nearest(feet, size) * np.float32(FOOT))
        return landcover, sightline, labels

    def _range(self, view: Path) -> Tensor | None:
        if "street_range" not in self.labels:
            return None
        name = view.relative_to(self.folder / "streetview" / "images")
        path = (self.folder / "labels" / "street_depth" / name).with_suffix(".png")
        return torch.from_numpy(
            decode_range(path, view, 360.0, self.street_size, self.street_extent)
        )

    def _depth(self, tile: int, panorama: int) -> Path:
        """File of a pair's sightline map: a panorama in several tiles has one for each."""
        from cvsegguide.data.sightlines import sightline_path

        name = self.tiles[tile].decode() if self._first_tile[panorama] != tile else None
        return sightline_path(self.folder, self.panoramas[panorama].decode(), name)
