"""Which way does a panorama look? Measured from the land cover around its camera.

From the land cover alone one can draw what class a camera should see in each direction: buildings
and trees as prisms of a usual height, ground classes on a plane, sky above
(:func:`predicted_classes`). If the panorama is turned the right way, its pixels of one class look
alike and those of different classes differ. The score of a rotation is the share of the
panorama's variance that the classes explain (the correlation ratio, eta squared), after each
row's mean is taken away, so that "bright above, dark below" explains nothing
(:func:`alignment_scores`). It is computed for every rotation and for the mirror image: no
threshold, no trained part, and the answer is free to be wrong.

The measured answer for Brooklyn & Queens stands in ``docs/preparation.md``.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cvsegguide.errors import InputError
from cvsegguide.geo import column_azimuths
from cvsegguide.landcover import NYC

Floats = NDArray[np.float64]
Classes = NDArray[np.uint8]

UNKNOWN, TREE, BUILDING, SKY = 0, 1, 5, 255
"""Ids in a predicted panorama; other ids are classes of the ground."""

CAMERA_HEIGHT = 2.5
BUILDING_HEIGHT = 8.0
CROWN_HEIGHTS = (3.0, 9.0)
"""Metres: the car's camera, two storeys, and a street tree's crown from bottom to top."""

_OWN_CAR = 0.9
"""Metres around the camera that are not compared."""
_FARTHEST = 12.0
"""Metres: nothing beyond the tile's edge is taken to stand higher than this."""


@dataclass(frozen=True)
class Alignment:
    """Scores of all rotations of one panorama.

    Attributes:
        headings: ``(W,)`` degrees in [-180, 180): the azimuth that the centre column would have.
        scores: ``(W,)`` share of the panorama's variance that the classes explain, per heading.
        mirrored: ``(W,)`` the same of the mirror image (columns to the right look
            counter-clockwise).
    """

    headings: Floats
    scores: Floats
    mirrored: Floats

    @property
    def best(self) -> float:
        """Heading with the highest score of the panorama as it is."""
        return float(self.headings[self.scores.argmax()])

    def standard(self) -> tuple[Floats, Floats]:
        """Both lists in standard deviations from the mean of all rotations of both."""
        together = np.concatenate([self.scores, self.mirrored])
        mean, deviation = together.mean(), max(float(together.std()), 1e-12)
        return (self.scores - mean) / deviation, (self.mirrored - mean) / deviation


def combined(alignments: list[Alignment]) -> Alignment:
    """Sum of the standard scores of several panoramas that share one heading.

    Raises:
        InputError: There are none, or they are of different widths.
    """
    if len({len(entry.headings) for entry in alignments}) != 1:
        raise InputError("expected one or more of the same width", parameter="alignments")
    parts = [entry.standard() for entry in alignments]
    return Alignment(
        alignments[0].headings,
        np.sum([scores for scores, _ in parts], axis=0),
        np.sum([mirrored for _, mirrored in parts], axis=0),
    )


def predicted_classes(
    landcover: Classes, row: float, col: float, gsd: float, size: tuple[int, int] = (64, 256)
) -> Classes:
    """What a camera should see, by class, with the centre column looking north.

    Args:
        landcover: ``(H, W)`` ids of the NYC scheme.
        row, col: The camera in pixels.
        gsd: Metres per pixel.
        size: ``(h, w)`` of the panorama; its vertical extent is ``360 h / w`` degrees.

    Returns:
        ``(h, w)`` uint8: the class that a pixel's ray meets first, :data:`SKY`, or
        :data:`UNKNOWN` where it leaves the tile before it meets anything.
    """
    height, width = size
    azimuths = np.radians(column_azimuths(width))[:, None]
    distances = np.arange(_OWN_CAR / gsd, np.hypot(*landcover.shape) + 1, 0.5)
    rows = np.floor(row - np.cos(azimuths) * distances).astype(np.int64)
    cols = np.floor(col + np.sin(azimuths) * distances).astype(np.int64)
    inside = (rows >= 0) & (rows < landcover.shape[0]) & (cols >= 0) & (cols < landcover.shape[1])
    seen = np.where(inside, landcover[rows * inside, cols * inside], UNKNOWN)
    edge = np.where(inside.all(1), len(distances) - 1, (~inside).argmax(1))
    metres = distances * gsd
    building, tree = seen == BUILDING, seen == TREE
    bottom, top = CROWN_HEIGHTS
    result = np.full(size, UNKNOWN, np.uint8)
    columns = np.arange(width)
    for y in range(height):
        tangent = np.tan(np.radians((height / 2 - y - 0.5) * 360.0 / width))
        level = CAMERA_HEIGHT + metres * tangent
        meets = (building & (level < BUILDING_HEIGHT)) | (level <= 0)
        meets |= tree & (level > bottom) & (level < top)
        first = np.where(meets.any(1), meets.argmax(1), len(distances))
        over = level[edge] > _FARTHEST
        result[y] = np.where(over, SKY, UNKNOWN)
        hit = first < edge
        result[y, hit] = seen[columns[hit], first[hit]]
    return result


def alignment_scores(
    street: NDArray[np.uint8], landcover: Classes, row: float, col: float, gsd: float
) -> Alignment:
    """Score every rotation of a panorama, and of its mirror image.

    Args:
        street: ``(h, w, 3)`` uint8, a full circle, its middle on the horizon (square pixels).
        landcover: ``(H, W)`` ids of the NYC scheme, north up.
        row, col: The camera in pixels.
        gsd: Metres per pixel.

    Raises:
        InputError: The picture or the raster has another shape or type.
    """
    street, landcover = np.asarray(street), np.asarray(landcover)
    if street.ndim != 3 or street.shape[2] != 3 or street.dtype != np.uint8:
        raise InputError(
            f"must be uint8 (h, w, 3), got {street.dtype} {street.shape}", parameter="street"
        )
    if landcover.ndim != 2 or landcover.dtype != np.uint8 or landcover.max() > max(NYC.ids):
        raise InputError("must be uint8 (H, W) with ids of the NYC scheme", parameter="landcover")
    height, width = street.shape[:2]
    classes = predicted_classes(landcover, row, col, gsd, (height, width))
    features = _features(street)
    scores, mirrored = (
        np.array([_explained(np.roll(view, shift, axis=1), classes) for shift in range(width)])
        for view in (features, features[:, ::-1])
    )
    # Content that has to move `shift` columns to the right looks that much further clockwise.
    headings = (np.arange(width) * 360.0 / width + 180.0) % 360.0 - 180.0
    return Alignment(headings, scores, mirrored)


def _features(street: NDArray[np.uint8]) -> Floats:
    """Brightness, colourfulness, greenness and roughness, each free of its row's mean."""
    colors = street / 255.0
    brightness = colors.mean(-1)
    down, right = np.gradient(brightness)
    features = np.stack(
        [
            brightness,
            colors.max(-1) - colors.min(-1),
            2 * colors[..., 1] - colors[..., 0] - colors[..., 2],
            np.log(0.01 + np.abs(down) + np.abs(right)),
        ],
        axis=-1,
    )
    features -= features.mean(axis=1, keepdims=True)
    deviation = features.std(axis=(0, 1))
    return np.asarray(features / np.where(deviation > 0, deviation, 1.0))


def _explained(features: Floats, classes: Classes) -> float:
    """Share of the variance that lies between classes, over pixels of known class."""
    known = classes != UNKNOWN
    labels, values = classes[known], features[known]
    if not len(labels):
        return 0.0
    counts = np.bincount(labels, minlength=256)
    values = values - values.mean(axis=0)
    total = float(np.square(values).sum())
    between = 0.0
    for channel in values.T:
        sums = np.bincount(labels, channel, 256)
        between += float((np.square(sums) / np.maximum(counts, 1)).sum())
    return between / total if total > 0 else 0.0
