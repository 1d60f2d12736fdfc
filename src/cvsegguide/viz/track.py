"""A run of the tracker as pictures: an animation, and a strip of a few of its moments.

Drawn with Pillow alone: an animation has many frames.
"""

import math
from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from cvsegguide.io.atomic import atomic_path
from cvsegguide.io.images import ImageLike, read_image
from cvsegguide.io.resampling import resample
from cvsegguide.progress import track as show_progress
from cvsegguide.viz.parts import round_length

if TYPE_CHECKING:
    from cvsegguide.tracking.mosaic import Mosaic
    from cvsegguide.tracking.track import Snapshot, Track

ESTIMATE, TRUTH, INK = (0, 229, 255), (57, 255, 20), (255, 255, 255)
PANEL = 420
"""Side of a map in pixels."""

VIEW = 110
"""Height of the street view under it."""

_FOOT = 64
_LARGEST = 260.0
"""Metres of a map; longer paths are followed."""

_SMALLEST = 70.0
_INFERNO = ((0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164))
"""Five stops of matplotlib's colour map (CC0), dark to bright."""


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
        _few_colors(_frame(track, mosaic, index, views[index]))
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
    pictures = [_frame(track, mosaic, index, views[index]) for index in chosen]
    gap = 6
    strip = Image.new(
        "RGB",
        (sum(picture.width + gap for picture in pictures) - gap, pictures[0].height),
        (255, 255, 255),
    )
    left = 0
    for picture in pictures:
        strip.paste(picture, (left, 0))
        left += picture.width + gap
    with atomic_path(path) as temporary:
        strip.save(temporary, "PNG")


def _frame(track: "Track", mosaic: "Mosaic", index: int, view: ImageLike | None) -> Image.Image:
    """One frame: map, street view, and what the numbers say."""
    top, left, side = _window(track, index)
    picture = Image.new("RGB", (PANEL, PANEL + VIEW + _FOOT), (24, 24, 28))
    image, _ = mosaic.read(top, left, side, side)
    shown = resample(image, (PANEL, PANEL)).astype(np.float32) * 0.8
    mass = _mass(track.snapshots[index], top, left, side)
    strength = np.sqrt(mass / max(float(mass.max()), 1e-30))
    weight = np.clip(strength * 1.3, 0.0, 0.9)[..., None] * (strength > 0.03)[..., None]
    shown = shown * (1 - weight) + _colors(strength) * weight
    board = Image.fromarray(np.clip(shown, 0, 255).astype(np.uint8))
    _draw_path(ImageDraw.Draw(board), track, index, (top, left, PANEL / side))
    _scale_bar(ImageDraw.Draw(board), side * track.gsd)
    picture.paste(board, (0, 0))
    _paste_view(picture, view)
    _write(ImageDraw.Draw(picture), track, index)
    return picture


def _few_colors(picture: Image.Image) -> Image.Image:
    """At most 256 colours, of which those of the drawing are not mixed with the photograph's."""
    own = picture.quantize(224, dither=Image.Dither.NONE).getpalette() or []
    ramp = _colors(np.linspace(0.1, 1.0, 24)).round().astype(int)
    drawn = [*TRUTH, *ESTIMATE, *INK, 0, 0, 0, *ramp.ravel().tolist()]
    palette = Image.new("P", (1, 1))
    palette.putpalette((drawn + own[: 3 * 224])[:768])
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)


def _window(track: "Track", index: int) -> tuple[int, int, int]:
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


def _mass(snapshot: "Snapshot", top: int, left: int, side: int) -> NDArray[np.float64]:
    """The belief on the pixels of the panel: the cell that each lies in."""
    places = (np.arange(PANEL) + 0.5) * side / PANEL
    rows = np.floor((places + top - snapshot.top) / snapshot.cell).astype(int)
    cols = np.floor((places + left - snapshot.left) / snapshot.cell).astype(int)
    height, width = snapshot.mass.shape
    inside = ((rows >= 0) & (rows < height))[:, None] & ((cols >= 0) & (cols < width))[None]
    mass = snapshot.mass[np.clip(rows, 0, height - 1)][:, np.clip(cols, 0, width - 1)]
    return np.where(inside, mass, 0.0)


def _colors(strength: NDArray[np.float64]) -> NDArray[np.float64]:
    stops = np.linspace(0.0, 1.0, len(_INFERNO))
    return np.stack([np.interp(strength, stops, band) for band in np.array(_INFERNO).T], axis=-1)


def _draw_path(
    draw: ImageDraw.ImageDraw, track: "Track", index: int, frame: tuple[int, int, float]
) -> None:
    top, left, scale = frame

    def at(row: float, col: float) -> tuple[float, float]:
        return (col - left) * scale, (row - top) * scale

    past = track.snapshots[: index + 1]
    truth = [at(*s.truth) for s in past if s.truth is not None]
    if len(truth) > 1:
        draw.line(truth, fill=TRUTH, width=2)
    way = [at(s.row, s.col) for s in past]
    if len(way) > 1:
        draw.line(way, fill=ESTIMATE, width=2)
    for x, y in way[:-1]:
        draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=ESTIMATE, outline=(0, 0, 0))
    now, point = track.snapshots[index], track.points[index]
    if now.truth is not None:
        x, y = at(*now.truth)
        draw.ellipse((x - 8, y - 8, x + 8, y + 8), outline=TRUTH, width=3)
    x, y = at(now.row, now.col)
    east, north = scale / track.gsd * point.ellipse(48)
    ring = list(zip((x + east).tolist(), (y - north).tolist(), strict=True))
    draw.line([*ring, ring[0]], fill=INK, width=1)
    if point.heading is not None:
        turn = math.radians(point.heading)
        tip = (x + 24 * math.sin(turn), y - 24 * math.cos(turn))
        draw.line((x, y, *tip), fill=ESTIMATE, width=4)
    draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=ESTIMATE, outline=(0, 0, 0))


def _scale_bar(draw: ImageDraw.ImageDraw, metres: float) -> None:
    length = round_length(0.3 * metres)
    right = 14 + length / metres * PANEL
    draw.rectangle((13, PANEL - 17, right + 1, PANEL - 11), fill=(0, 0, 0))
    draw.rectangle((14, PANEL - 16, right, PANEL - 12), fill=INK)
    _text(draw, (14, PANEL - 34), f"{length:g} m", 13)


def _paste_view(picture: Image.Image, view: ImageLike | None) -> None:
    if view is None:
        _text(ImageDraw.Draw(picture), (PANEL // 2 - 44, PANEL + VIEW // 2 - 8), "no picture", 16)
        return
    pixels = Image.fromarray(read_image(view))
    scale = min(PANEL / pixels.width, VIEW / pixels.height)
    size = max(1, round(pixels.width * scale)), max(1, round(pixels.height * scale))
    picture.paste(
        pixels.resize(size, Image.Resampling.BILINEAR),
        ((PANEL - size[0]) // 2, PANEL + (VIEW - size[1]) // 2),
    )


def _write(draw: ImageDraw.ImageDraw, track: "Track", index: int) -> None:
    point = track.points[index]
    first = f"frame {point.frame}"
    if point.error is not None:
        first += f"   error {point.error:.1f} m"
    if point.heading_difference is not None:
        first += f", {point.heading_difference:+.0f}°"
    state = "   searching" if point.lost else ""
    second = (
        f"{100 * point.probability:.0f} % within 5 m   area {point.effective_area:.0f} m2{state}"
    )
    _text(draw, (12, PANEL + VIEW + 7), first, 17)
    _text(draw, (12, PANEL + VIEW + 34), second, 15)


def _text(draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, size: int) -> None:
    font = ImageFont.load_default(size)
    draw.text(place, text, fill=INK, font=font, stroke_width=2, stroke_fill=(0, 0, 0))
