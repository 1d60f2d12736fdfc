"""A street view and an overhead image of any size: windows, their answers, and those as one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvsegguide.errors import InputError
from cvsegguide.inference.inputs import MINIMUM_SIDE
from cvsegguide.inference.network import Answer, Network
from cvsegguide.inference.windows import Blender, Window, batches, lattice, resample_scores
from cvsegguide.io.rasters import MAX_PIXELS, Overhead
from cvsegguide.io.resampling import fill, resample
from cvsegguide.models.headings import best_heading
from cvsegguide.progress import track

ONE_TILE = 1.3
"""Images up to this many times larger or smaller than a model's tile are fitted into one."""

WHOLE = 4
"""Images of up to this many tiles a side are seen whole by networks that take any size."""

OVERLAP = 0.5
"""Part of a window that it shares with the next when an image is larger than a tile."""

CACHED = 16
"""Groups of windows of which a runtime keeps its side while an image is localised in again."""


@dataclass(frozen=True)
class Match:
    """What a network says of a street view and a whole overhead image ``(H, W)``.

    Attributes:
        scores: Log-probabilities ``(h, w)`` at the model's resolution.
        channels: ``(H, W)`` uint8, the best land-cover channel of each pixel, or None.
        turn: Degrees from the heading of the canvas to the best one, where headings were searched.
        heading_posterior: ``(K,)`` mass over the headings, that of the canvas first, or None.
    """

    scores: NDArray[np.float32]
    channels: NDArray[np.uint8] | None
    turn: float | None
    heading_posterior: NDArray[np.float32] | None


def match_image(
    network: Network,
    aerial: Overhead,
    canvases: Sequence[NDArray[np.float32]],
    landcover: tuple[NDArray[np.uint8], int] | None,
    headings: NDArray[np.float32] | None,
    batch_size: int,
    caches: dict[int, dict[str, Any]],
) -> Match:
    """Localise a street view in an overhead image, window by window where it is large.

    Args:
        network: What localises.
        aerial: The overhead image.
        canvases: ``(1, 3, h, w)`` each: the street view, as it may have been taken.
        landcover: Class ids ``(H, W)``, and the one that stands where there is none, for networks
            that are guided by them.
        headings: ``(K,)`` degrees to try, for networks that search headings.
        batch_size: Windows that pass the network at once.
        caches: What the runtime keeps of groups of windows, by number; empty at first.

    Raises:
        InputError: The image covers far more or far less than the network is made for.
    """
    plan = _make_plan(network, aerial)
    picture = fill(aerial.image, aerial.valid)
    mean = picture.reshape(-1, 3).mean(axis=0)
    tiles = plan.cut(resample(picture, plan.size), np.rint(mean).astype(np.uint8))
    guides = None
    if landcover is not None:
        ids, other = landcover
        guides = plan.cut(resample(ids, plan.size, nearest=True), np.uint8(other))
    heat, cover = Blender(plan.canvas, plan.windows), Blender(plan.canvas, plan.windows)
    search = None if headings is None else _HeadingSearch(headings)
    groups = list(batches(range(len(plan.windows)), batch_size))
    for number, group in enumerate(track(groups, "localising") if len(groups) > 1 else groups):
        cache = caches.setdefault(number, {}) if number < CACHED else {}
        guide = None if guides is None else np.stack([guides[index] for index in group])
        some = [tiles[index] for index in group]
        answers = [network.match(some, canvas, guide, headings, cache) for canvas in canvases]
        for place, index in enumerate(group):
            window = plan.windows[index]
            with np.errstate(invalid="ignore"):  # of damaged weights, which are told further on
                heatmap = np.logaddexp.reduce([answer.heatmap[place] for answer in answers])
            heat.add(window, heatmap)
            if answers[0].landcover is not None:
                cover.add(window, answers[0].landcover[place])
            if search is not None:
                search.add(answers, place, heat.share(window))
    # What was padded around the image has no probability.
    scores = network.log_posterior(heat.result()[None, :, *plan.inner])
    channels = None
    if answers[0].landcover is not None:
        best = resample_scores(cover.result()[:, *plan.inner], aerial.shape).argmax(axis=0)
        channels = best.astype(np.uint8)
    if search is None:
        return Match(scores, channels, None, None)
    return Match(scores, channels, *search.result())


@dataclass(frozen=True)
class _Plan:
    """How an overhead image meets a model's tiles.

    Attributes:
        size: ``(h, w)`` of the image at the model's resolution.
        canvas: ``(H, W)`` that windows cover: ``size``, or what the network takes where that is
            larger.
        windows: The tiles.
    """

    size: tuple[int, int]
    canvas: tuple[int, int]
    windows: list[Window]

    @property
    def inner(self) -> tuple[slice, slice]:
        """The part of the canvas that the image covers: its middle."""
        top, left = (
            (whole - side) // 2 for whole, side in zip(self.canvas, self.size, strict=True)
        )
        return slice(top, top + self.size[0]), slice(left, left + self.size[1])

    def cut(self, image: NDArray[np.uint8], beyond: Any) -> list[NDArray[np.uint8]]:
        """The windows of an image of :attr:`size`, with ``beyond`` around it."""
        if self.size != self.canvas:
            inner, image = image, np.empty((*self.canvas, *image.shape[2:]), np.uint8)
            image[:] = beyond
            image[self.inner] = inner
        return [image[window.rows, window.columns] for window in self.windows]


def _make_plan(network: Network, aerial: Overhead) -> _Plan:
    tile, pixel = network.overhead_size, aerial.pixel_size
    if pixel is None:
        scale = min(tile[0] / aerial.shape[0], tile[1] / aerial.shape[1])
        exact = (aerial.shape[0] * scale, aerial.shape[1] * scale)
    else:
        gsd = network.gsd
        exact = (aerial.shape[0] * pixel[0] / gsd, aerial.shape[1] * pixel[1] / gsd)
        extent = max(exact[0] / tile[0], exact[1] / tile[1])
        if not network.keeps_scale and 1 / ONE_TILE <= extent <= ONE_TILE:
            exact = (exact[0] / extent, exact[1] / extent)
        if min(exact) < MINIMUM_SIDE or exact[0] * exact[1] > MAX_PIXELS:
            metres = " x ".join(
                _metres(side * size) for side, size in zip(aerial.shape, pixel, strict=True)
            )
            fault = "too small" if min(exact) < MINIMUM_SIDE else "too large"
            raise InputError(
                f"{aerial.name}: it covers {metres} m at {aerial.gsd:.3g} m/px, {fault} for a "
                f"model of {tile[0] * gsd:.3g} m tiles; is its resolution right?"
            )
    size = (max(1, round(exact[0])), max(1, round(exact[1])))
    canvas = (max(size[0], tile[0]), max(size[1], tile[1]))
    step = network.any_size
    if step is not None and max(size) <= WHOLE * max(tile):
        canvas = tile = (-(-size[0] // step) * step, -(-size[1] // step) * step)
    return _Plan(size, canvas, lattice(canvas, tile, OVERLAP))


def _metres(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


class _HeadingSearch:
    """What windows say of the heading: what several of them see counts once."""

    def __init__(self, headings: NDArray[np.float32]) -> None:
        self._headings = headings
        self._joint: list[NDArray[np.float64]] = []  # of windows, (K,) each
        self._best: list[tuple[float, float]] = []  # mass and turn

    def add(self, answers: Sequence[Answer], number: int, share: NDArray[np.float32]) -> None:
        """Add a window.

        Args:
            answers: About some windows, of each canvas.
            number: Of the window among those.
            share: ``(H, W)``, how much of each pixel counts as this window's.
        """
        heatmaps = [answer.heatmap[number, 0] for answer in answers]
        logs = [np.asarray(answer.heading_log, np.float64)[number] for answer in answers]
        masses = np.array([_log_sum(heatmap) for heatmap in heatmaps])
        joint = np.logaddexp.reduce(masses[:, None] + np.stack(logs))
        mass = _log_sum(np.logaddexp.reduce(heatmaps) + np.log(share))
        self._joint.append(joint - np.logaddexp.reduce(joint) + mass)
        log = logs[int(masses.argmax())]
        self._best.append((mass, float(best_heading(log[None], self._headings)[0])))

    def result(self) -> tuple[float, NDArray[np.float32]]:
        """The turn of the best window, and the mass over turns, the given heading first."""
        total = np.logaddexp.reduce(self._joint)
        masses = np.exp(total - np.logaddexp.reduce(total))
        # rotations rise from -180 degrees
        return max(self._best)[1], np.roll(masses, -(len(masses) // 2)).astype(np.float32)


def _log_sum(values: NDArray[np.floating]) -> float:
    """The logarithm of the sum of exponentials."""
    highest = values.max()
    return float(highest + np.log(np.exp(values - highest, dtype=np.float64).sum()))
