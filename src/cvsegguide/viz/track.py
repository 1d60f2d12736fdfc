"""A run of the tracker as pictures: an animation, and a strip of a few of its moments."""

import io
import math
from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from cvsegguide.io.atomic import atomic_path
from cvsegguide.io.images import ImageLike, read_image
from cvsegguide.progress import track as show_progress
from cvsegguide.viz import parts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from cvsegguide.tracking.mosaic import Mosaic
    from cvsegguide.tracking.track import Track

PANEL, VIEW, TEXT = 420, 110, 64
"""Side of a map in pixels, and the heights of the street view and the figures under it."""

_LARGEST = 260.0
"""Metres of a map; longer paths are followed."""

_SMALLEST = 70.0


def write_animation(
    path: str | PathLike[str],
    track: "Track",
    mosaic: "Mosaic",
    views: Sequence[ImageLike | None],
    milliseconds: int = 400,
) -> None:
    """Write an animated GIF: belief over the overhead image, path, ellipse, truth, street view.

    Args:
        path: Where it goes.
        track: The run.
        mosaic: The imagery, opened at the resolution that the run was made with.
        views: Street view of each frame, or None.
        milliseconds: Per frame; the last stays longer.
    """
    frames = [
        _draw_frame(track, mosaic, index, views[index])
        for index in show_progress(range(len(track.points)), "drawing")
    ]
    durations = [milliseconds] * (len(frames) - 1) + [4 * milliseconds]
    with atomic_path(path) as temporary:
        frames[0].save(
            temporary, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0
        )


def write_strip(
    path: str | PathLike[str],
    track: "Track",
    mosaic: "Mosaic",
    views: Sequence[ImageLike | None],
    moments: int = 5,
) -> None:
    """Write a PNG of a few frames side by side, the first and the last among them."""
    count = len(track.points)
    # The beginning tells most: how the belief narrows.
    shares = np.linspace(0.0, 1.0, min(moments, count)) ** 1.6
    chosen = sorted({round(float(share) * (count - 1)) for share in shares})
    pictures = [np.asarray(_draw_frame(track, mosaic, index, views[index])) for index in chosen]
    gap = np.full((len(pictures[0]), 6, 3), 255, np.uint8)
    strip = np.hstack([part for picture in pictures for part in (gap, picture)][1:])
    with atomic_path(path) as temporary:
        Image.fromarray(strip).save(temporary, "PNG")


def _draw_frame(
    track: "Track", mosaic: "Mosaic", index: int, view: ImageLike | None
) -> Image.Image:
    """One frame: map, street view, and what the numbers say."""
    from matplotlib.figure import Figure

    height = PANEL + VIEW + TEXT
    figure = Figure(figsize=(PANEL / 100, height / 100), facecolor="#18181c")
    _draw_map(figure.add_axes((0, 1 - PANEL / height, 1, PANEL / height)), track, mosaic, index)
    street = figure.add_axes((0, TEXT / height, 1, VIEW / height))
    street.set_axis_off()
    if view is None:
        street.text(0.5, 0.5, "no picture", color="white", ha="center", va="center")
    else:
        street.imshow(read_image(view))
    point = track.points[index]
    lines = [f"frame {point.frame}"]
    if point.error is not None:
        lines[0] += f"   error {point.error:.1f} m"
    if point.heading_difference is not None:
        lines[0] += f", {point.heading_difference:+.0f}°"
    lines += [f"{100 * point.probability:.0f} % within 5 m   area {point.effective_area:.0f} m²"]
    lines[1] += "   searching" if point.lost else ""
    figure.text(0.03, TEXT / 2 / height, "\n".join(lines), color="white", va="center")
    return Image.open(io.BytesIO(parts.render(figure, dpi=100))).convert("RGB")


def _draw_map(axes: "Axes", track: "Track", mosaic: "Mosaic", index: int) -> None:
    top, left, side = _find_window(track, index)
    box = (top, left, top + side, left + side)
    image, _ = mosaic.read(top, left, side, side)
    parts.show_map(axes, (0.8 * image).astype(np.uint8), 1.0, box)
    now, point, past = track.snapshots[index], track.points[index], track.snapshots[: index + 1]
    rows, cols = now.mass.shape
    cells = (now.top, now.left, now.top + rows * now.cell, now.left + cols * now.cell)
    parts.show_map(axes, parts.posterior_overlay(now.mass), 1.0, cells, interpolation="nearest")
    axes.set(xlim=(left, left + side), ylim=(top + side, top))
    parts.scale_bar(axes, track.gsd)
    true = [snapshot.truth for snapshot in past if snapshot.truth is not None]
    line: dict[str, Any] = {"linewidth": 1.5, "zorder": 2}
    axes.plot([col for _, col in true], [row for row, _ in true], color=parts.TRUTH, **line)
    way = np.array([(snapshot.row, snapshot.col) for snapshot in past])
    axes.plot(way[:, 1], way[:, 0], ".-", color=parts.ESTIMATES[0], markersize=5, **line)
    if now.truth is not None:
        parts.mark_truth(axes, *now.truth)
    east, north = point.ellipse(48) / track.gsd
    axes.fill(now.col + east, now.row - north, fill=False, edgecolor="white", zorder=3)
    if point.heading is not None:
        turn, length = math.radians(point.heading), side * 24 / PANEL
        tip = (now.row - length * math.cos(turn), now.col + length * math.sin(turn))
        axes.plot([now.col, tip[1]], [now.row, tip[0]], color=parts.ESTIMATES[0], linewidth=3)
    parts.mark_estimate(axes, now.row, now.col)


def _find_window(track: "Track", index: int) -> tuple[int, int, int]:
    """Top, left and side in map pixels: the whole path, or what lies around the estimate."""
    places = [(s.row, s.col) for s in track.snapshots]
    places += [s.truth for s in track.snapshots if s.truth is not None]
    low, high = np.min(places, axis=0), np.max(places, axis=0)
    side = max(float((high - low).max()) + 40.0 / track.gsd, _SMALLEST / track.gsd)
    middle = (low + high) / 2
    if side * track.gsd > _LARGEST:
        side = _LARGEST / track.gsd
        # The mean of a few frames, so that the map moves smoothly.
        near = track.snapshots[max(0, index - 3) : index + 4]
        middle = np.mean([(s.row, s.col) for s in near], axis=0)
    top, left = (round(float(value - side / 2)) for value in middle)
    return top, left, round(side)
