"""The layout of cloud-optimised TIFFs: directories first, then tiles, those of overviews foremost.

GDAL makes such files by a copy that unpacks and packs every tile again. Here tiles that are packed
already are brought into order. Fields that describe the picture (coordinate system, colours,
metadata) are GDAL's own, read from a file of one pixel.
"""

import struct
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

SIDE = 256
"""Of a tile in pixels."""

_CLASSIC = 2**32 - 2**16
"""Bytes up to which a file has offsets of four bytes."""

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 16: 8}
"""Bytes of a value by the number of its type."""

_SHORT, _LONG, _LONG8 = 3, 4, 16

_KIND, _WIDTH, _HEIGHT = 254, 256, 257
_ACROSS, _DOWN, _OFFSETS, _COUNTS = 322, 323, 324, 325

_PIXELS = frozenset({258, 259, 262, 277, 284, 320, 339, 42113})
"""Fields that overviews have, too: how values are stored, their colours, no data."""

_GHOST = (
    "LAYOUT=IFDS_BEFORE_DATA\n"
    "BLOCK_ORDER=ROW_MAJOR\n"
    "BLOCK_LEADER=SIZE_AS_UINT4\n"
    "BLOCK_TRAILER=LAST_4_BYTES_REPEATED\n"
    "KNOWN_INCOMPATIBLE_EDITION=NO\n "
)
"""What tells GDAL that a tile's size stands before it, so that it asks once a tile."""


@dataclass(frozen=True)
class Field:
    """A field of a directory.

    Attributes:
        kind: Number of the type.
        count: How many values.
        data: Their bytes, little-endian.
    """

    kind: int
    count: int
    data: bytes


@dataclass(frozen=True)
class Level:
    """The picture or an overview of it.

    Attributes:
        shape: ``(H, W)``.
        places: ``(rows, cols)`` where each packed tile begins in the file of tiles.
        sizes: ``(rows, cols)`` bytes of each.
    """

    shape: tuple[int, int]
    places: NDArray[np.int64]
    sizes: NDArray[np.int64]


def read_fields(data: bytes) -> dict[int, Field]:
    """Fields by tag of the first directory of a little-endian TIFF with short offsets."""
    if data[:4] != b"II*\0":
        raise ValueError("not a little-endian TIFF")
    (place,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, place)
    fields = {}
    for number in range(count):
        at = place + 2 + 12 * number
        tag, kind, length = struct.unpack_from("<HHI", data, at)
        size = _SIZES[kind] * length
        (start,) = struct.unpack_from("<I", data, at + 8) if size > 4 else (at + 8,)
        fields[tag] = Field(kind, length, data[start : start + size])
    return fields


def write_ordered(
    target: BinaryIO, fields: dict[int, Field], levels: list[Level], tiles: BinaryIO
) -> None:
    """Write a cloud-optimised TIFF.

    Args:
        target: A new file.
        fields: Of the picture, but for sizes and places.
        levels: The picture, then its overviews, each half as large.
        tiles: Holds the packed tiles.
    """
    total = sum(int(level.sizes.sum()) + 8 * level.sizes.size for level in levels)
    directories = 64 * 1024 + sum(24 * level.sizes.size for level in levels)
    big = total + directories + sum(len(field.data) for field in fields.values()) > _CLASSIC
    ghost = f"GDAL_STRUCTURAL_METADATA_SIZE={len(_GHOST):06d} bytes\n{_GHOST}".encode("ascii")
    header = 16 if big else 8
    start = header + len(ghost)
    start += start % 2
    # Twice: places of tiles are known once the directories' length is.
    length = len(_directories(fields, levels, start, 0, big))
    body = _directories(fields, levels, start, start + length, big)
    first = struct.pack("<2sHHHQ", b"II", 43, 8, 0, start) if big else b"II*\0"
    target.write(first if big else first + struct.pack("<I", start))
    target.write(ghost.ljust(start - header, b"\0"))
    target.write(body)
    for level in reversed(levels):
        for place, size in zip(level.places.flat, level.sizes.flat, strict=True):
            tiles.seek(int(place))
            packed = tiles.read(int(size))
            target.write(struct.pack("<I", size) + packed + packed[-4:])


def _directories(
    fields: dict[int, Field], levels: list[Level], start: int, data: int, big: bool
) -> bytes:
    """All directories, chained, the first at ``start``; the first tile comes at ``data``."""
    places = []
    for level in reversed(levels):
        steps = level.sizes.ravel() + 8
        places.append(data + np.cumsum(steps) - steps + 4)
        data += int(steps.sum())
    body = b""
    for index, (level, where) in enumerate(zip(levels, reversed(places), strict=True)):
        body += _directory(
            _of_level(fields, level, where, index, big),
            start + len(body),
            big,
            last=index == len(levels) - 1,
        )
    return body


def _of_level(
    fields: dict[int, Field], level: Level, places: NDArray[np.int64], index: int, big: bool
) -> dict[int, Field]:
    """The fields of one directory."""
    kept = {tag: field for tag, field in fields.items() if index == 0 or tag in _PIXELS}
    sizes = level.sizes.ravel()
    height, width = level.shape
    return kept | {
        _KIND: _numbers(_LONG, [int(index > 0)]),
        _WIDTH: _numbers(_LONG, [width]),
        _HEIGHT: _numbers(_LONG, [height]),
        _ACROSS: _numbers(_SHORT, [SIDE]),
        _DOWN: _numbers(_SHORT, [SIDE]),
        _OFFSETS: _numbers(_LONG8 if big else _LONG, places),
        _COUNTS: _numbers(_LONG, sizes),
    }


def _numbers(kind: int, values: list[int] | NDArray[np.int64]) -> Field:
    data = np.asarray(values).astype({_SHORT: "<u2", _LONG: "<u4", _LONG8: "<u8"}[kind])
    return Field(kind, data.size, data.tobytes())


def _directory(fields: dict[int, Field], start: int, big: bool, last: bool) -> bytes:
    """One directory at ``start``, then its longer values, to an even length."""
    entry, inline = (20, 8) if big else (12, 4)
    behind = start + (16 if big else 6) + entry * len(fields)
    entries, values = b"", b""
    for tag, field in sorted(fields.items()):
        entries += struct.pack("<HHQ" if big else "<HHI", tag, field.kind, field.count)
        if len(field.data) <= inline:
            entries += field.data.ljust(inline, b"\0")
        else:
            entries += struct.pack("<Q" if big else "<I", behind + len(values))
            values += field.data + b"\0" * (-len(field.data) % 8)
    following = 0 if last else behind + len(values)
    return (
        struct.pack("<Q" if big else "<H", len(fields))
        + entries
        + struct.pack("<Q" if big else "<I", following)
        + values
    )
