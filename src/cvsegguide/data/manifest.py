"""Manifest: anybody's own data, a table with a row a pair.

``docs/data.md`` says what its columns mean, and :mod:`cvsegguide.io.location` how an overhead image
is placed. Where up in the raster is not true north (a projected system), headings are turned to
count from up.
"""

import math
from os import PathLike
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from cvsegguide.data.broken import BrokenFileError
from cvsegguide.data.dataset import CrossViewDataset
from cvsegguide.data.decode import decode_ids, picture_size, rgb_tensor
from cvsegguide.data.manifest_rules import check_place, check_rows, check_view
from cvsegguide.data.manifest_table import place_of, read_table
from cvsegguide.data.sample import Sample
from cvsegguide.errors import ConfigurationError, DatasetError, InputError
from cvsegguide.geo import wrap_degrees
from cvsegguide.io.rasters import Overhead, read_overhead
from cvsegguide.io.resampling import fill, resample, resample_mask
from cvsegguide.landcover import NO_CHANNEL, NYC, ClassScheme

SIGMA_METRES = 64 * 0.2262
"""Width of the published sightline target on the ground (64 px at Queens)."""


class Manifest(CrossViewDataset):
    """The pairs of a table, in its order.

    Args:
        path: The table, ``.csv`` or ``.parquet``.
        split: Only rows with this word in the column ``split``.
        scheme: TOML file of the class scheme of the land cover (see
            :class:`~cvsegguide.landcover.ClassScheme`); ids are folded through its guidance
            channels into those of New York City. None: they are New York's already.
        sightlines: Whether to draw the sightline target where there is land cover.
        sigma: Its width in metres.
        positions: Whether every row must say where the camera stood. Samples of rows that do not
            have the row and column NaN, and only ``cvsegguide predict`` takes them.
        overhead_size, street_size, street_extent: See :class:`CrossViewDataset`. With
            ``overhead_size`` None tiles must be equally large to be put into one batch.

    Raises:
        DatasetError: The table is missing, unreadable, or has a cell that cannot be used; the
            message names file, row (from 1, without the header) and column.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        split: str | None = None,
        scheme: str | PathLike[str] | None = None,
        sightlines: bool = True,
        sigma: float = SIGMA_METRES,
        overhead_size: int | None = 256,
        street_size: tuple[int, int] | None = (128, 512),
        street_extent: float | None = 90.0,
        positions: Literal["required", "optional"] = "required",
    ) -> None:
        super().__init__(overhead_size, street_size, street_extent)
        self.path = Path(path)
        self.sightlines = sightlines
        self.sigma = sigma
        self._lookup = None if scheme is None else _to_nyc(scheme)
        self.table = read_table(self.path, self._refuse)
        if split is not None:
            if not self.table.has_splits:
                raise DatasetError(f"{self.path}: has no column 'split'")
            splits = self.table.columns["split"]
            if split.encode() not in splits:
                present = ", ".join(sorted({name.decode() for name in splits} - {""})) or "none"
                raise DatasetError(
                    f"{self.path}: no row has the split '{split}' (there are: {present})"
                )
            self.table = self.table.select(np.flatnonzero(splits == split.encode()))
        check_rows(self.table, self._refuse, positions == "required")
        if len(self.table):  # the commonest mistake: paths relative to somewhere else
            for column in ("overhead", "street"):
                path = self.table.file(column, 0)
                if not path.exists():
                    self._refuse("missing", 0, column, f"{path}: no such file")

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int) -> Sample:
        index = self._checked_index(index)
        tile = self._read_tile(index)
        height, width = tile.shape
        size = self._grid() or (height, width)
        down, across = size[0] / height, size[1] / width
        square = self.overhead_size is not None
        row, col = check_place(
            self.table, index, tile.shape, tile.reference, tile.gsd, self._refuse, square
        )
        view = self.table.file("street", index)
        check_view(self.table, index, picture_size(view), self._refuse)
        fov = self.table.number("fov", index, 360.0)
        reference = tile.reference
        up = 0.0 if reference is None else reference.up_azimuth
        pixel = tile.pixel_size or (1.0, 1.0)
        gsd = math.sqrt((pixel[0] / down) * (pixel[1] / across))
        row, col = row * down, col * across
        landcover = sightline = None
        if self.table.word("landcover", index):
            ids = decode_ids(self.table.file("landcover", index), size)
            ids = ids if self._lookup is None else self._lookup[ids]
            landcover = torch.from_numpy(ids)
            if self.sightlines and not math.isnan(row):
                sightline = self._draw_sightline(ids, row, col, self.sigma / gsd)
        return Sample(
            id=self.sample_id(index),
            overhead=rgb_tensor(resample(fill(tile.image, tile.valid), size)),
            street=self._street(view, fov),
            landcover=landcover,
            row=row,
            col=col,
            heading=wrap_degrees(self.table.number("heading", index, 0.0) - up),
            fov=fov,
            gsd=gsd,
            bounds=None if reference is None else reference.bounds,
            sightline=sightline,
            reference=None if reference is None else reference.resized(*size),
            valid=None if tile.valid.all() else torch.from_numpy(resample_mask(tile.valid, size)),
        )

    def sample_id(self, index: int) -> str:
        """The column ``id``, or the path of the street view without its suffix."""
        return self.table.word("id", index)

    def paths(self, index: int) -> tuple[Path, Path]:
        """Files of the overhead image and of the street view of a sample."""
        index = self._checked_index(index)
        return self.table.file("overhead", index), self.table.file("street", index)

    def _read_tile(self, index: int) -> Overhead:
        path = self.table.file("overhead", index)
        bounds, gsd = self.table.bounds(index), self.table.number("gsd", index)
        try:
            return read_overhead(path, bounds, None if math.isnan(gsd) else gsd)
        except ConfigurationError as error:
            self._refuse("malformed", index, "gsd" if bounds is None else "west", str(error))
            raise
        except InputError as error:
            raise BrokenFileError(path, str(error).removeprefix(f"{path}: ")) from None

    def _refuse(self, kind: str, row: int, column: str, detail: str) -> None:
        """What is wrong with a row is an error here."""
        number = int(self.table.rows[row]) if hasattr(self, "table") else row
        place = place_of(self.path, number)
        raise DatasetError(f"{self.path}: {place}, column '{column}': {detail}") from None


def _to_nyc(path: str | PathLike[str]) -> NDArray[np.uint8]:
    """``(256,)`` lookup from the ids of a scheme to those of New York City, by guidance channel."""
    scheme = ClassScheme.from_file(path)
    for channel in scheme.channels:
        if channel not in NYC.channels:
            raise ConfigurationError(
                f"{path}: guidance channel '{channel}' is not one of the models' "
                f"({', '.join(NYC.channels)})"
            )
    ids = np.zeros(256, np.uint8)
    order = list(scheme.channels)
    for value, channel in enumerate(scheme.channel_lookup):
        if channel != NO_CHANNEL:
            ids[value] = NYC.channels[order[channel]]
    return ids
