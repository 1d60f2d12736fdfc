"""How well the tracker follows: drives through SynthCity that no network has seen.

Each drive is run four times, always with the heading unknown at its start:

* *single*: what :meth:`~cvsegguide.inference.localizer.Localizer.localize` answers for each of the
  first pictures alone, in the map tile that holds its camera;
* *track*: from anywhere in the first picture's tile;
* *wrong start*: from a place :data:`WRONG` metres off that is believed in firmly;
* *gap*: as *track*, but :data:`GAP` pictures in a row are missing.
"""

import math
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cvsegguide.console import note
from cvsegguide.errors import InferenceWarning, InputError
from cvsegguide.evaluation.bootstrap import percentile_interval
from cvsegguide.geo.heading import angular_difference
from cvsegguide.geo.slippy import tile_at, tile_bounds
from cvsegguide.progress import track as show_progress
from cvsegguide.synth.drives import generate_drive
from cvsegguide.tracking.belief import Box
from cvsegguide.tracking.filter import Settings
from cvsegguide.tracking.mosaic import Mosaic
from cvsegguide.tracking.table import read_frames
from cvsegguide.tracking.tracker import Frame, Tracker

if TYPE_CHECKING:
    from cvsegguide.inference.localizer import Localizer

RUNS = ("single", "track", "wrong", "gap")

FRAMES = 16
"""Of a drive."""

AFTER = 10
"""Frames after which the track is compared with single pictures."""

WRONG = 25.0
"""Metres by which a wrong start is off; it is believed in to 3 m."""

GAP = (6, 11)
"""First missing frame, and the first after them."""

FOUND = 5.0
"""Metres within which a track has found back."""

_ZOOM = 19


def evaluate(
    localizer: "Localizer",
    drives: int,
    seed: int = 910_001,
    fov: float = 70.0,
    rig: str = "car",
    settings: Settings | None = None,
    keep: Callable[[dict[str, Any]], object] | None = None,
) -> dict[str, Any]:
    """Measure a model's tracks.

    Args:
        localizer: The model and its device.
        drives: Number of drives; each is a city of its own.
        seed: Of the first; the next takes the next.
        fov: Field of view of the cameras in degrees, looking ahead.
        rig: Of the cameras, ``"car"`` or ``"anyone"``.
        settings: How the filter believes.
        keep: Is given the result so far after each drive.

    Returns:
        Plain numbers: for each run the errors' median and mean with 95 % intervals, all errors,
        and the ratio of track to single picture, of both, with its interval (None for fewer than
        two drives). Intervals are those of a bootstrap over drives: pictures of one are alike.
    """
    if drives < 1:
        raise InputError(f"at least one drive is needed, got {drives}", parameter="evaluate")
    found: list[dict[str, Any]] = []
    result: dict[str, Any] = {}
    for number in show_progress(range(drives), "drives"):
        began = time.perf_counter()
        called = f"drive {number + 1} of {drives} (seed {seed + number})"
        with tempfile.TemporaryDirectory(prefix="cvsegguide-drive-") as name:
            table = _drive(Path(name), seed + number, fov, rig)
            if table is None:
                note(f"{called}: only short streets")
                continue
            measured = _measure(localizer, table, number, fov, settings)
            found.append({"seed": seed + number, **measured})
        result = {
            "drives": len(found),
            "seed": seed,
            "seeds": [drive["seed"] for drive in found],
            "fov": fov,
            "rig": rig,
            "frames": FRAMES,
            "after": AFTER,
            "model": localizer.name,
            **_summarise(found),
        }
        if keep is not None:
            keep(result)
        last = {name: found[-1][name][-1] for name in RUNS}
        note(
            f"{called}: after {AFTER} pictures {last['track']:.1f} m, wrong start "
            f"{last['wrong']:.1f} m, gap {last['gap']:.1f} m; {time.perf_counter() - began:.0f} s"
        )
    if not found:
        raise InputError(
            "no town of these seeds has a way that is long enough", parameter="evaluate"
        )
    return result


def report(result: dict[str, Any]) -> str:
    """The figures as a table for people."""
    lines = [
        f"{result['drives']} drives, {result['frames']} pictures of {result['fov']:g} degrees, "
        f"start heading unknown, model {result['model']}",
        f"{'':<34}{'median':>22}{'mean':>22}{'within 5 m':>13}",
    ]
    for name, text in (
        ("single", "single picture, localised in its tile"),
        ("track", f"track after {result['after']} pictures"),
        ("wrong", f"after a start {WRONG:g} m off, at the end"),
        ("gap", f"after {GAP[1] - GAP[0]} missing pictures, at the end"),
    ):
        row = result[name]
        numbers = ""
        for key in ("median", "mean"):
            low, high = row[f"{key}_interval"]
            numbers += f"{row[key]:>8.2f} [{low:.1f}, {high:.1f}]".ljust(22)
        lines.append(f"{text:<38}{numbers}{100 * row['found']:>6.0f} %")
    ratios = []
    for name in ("median", "mean"):
        interval = result[f"ratio_{name}_interval"]
        text = "" if interval is None else f" [{interval[0]:.3f}, {interval[1]:.3f}]"
        ratios.append(f"{name} {result[f'ratio_{name}']:.3f}{text}")
    lines.append(f"track / single picture: {', '.join(ratios)}")
    return "\n".join(lines)


def _measure(
    localizer: "Localizer", table: Path, number: int, fov: float, settings: Settings | None
) -> dict[str, Any]:
    """The errors of one drive, the ``number``-th; its map tiles lie beside ``table``.

    Returns:
        Metres of each run, :data:`AFTER` of ``"single"`` and else one; ``turns`` of ``"single"``
        and ``"track"`` in degrees, NaN where no heading was found; and ``by_frame``, metres after
        each frame of the track.
    """
    frames = read_frames(table, fov)
    holes = [
        replace(frame, image=None) if GAP[0] <= index < GAP[1] else frame
        for index, frame in enumerate(frames)
    ]
    # the start is only there until each run begins with its own
    start: dict[str, Any] = {"start_pixel": (0, 0), "start_heading": 0.0}
    with Tracker(localizer, table.parent, settings=settings, **start) as tracker:
        alone = [
            _localize_alone(localizer, tracker.mosaic, frame, table.parent)
            for frame in frames[:AFTER]
        ]
        tile = _cells_of_tile(tracker, frames[0])
        tracker.restart(box=tile)
        whole = tracker.follow(frames)
        tracker.restart(position=_wrong_start(tracker, frames[0], number), deviation=3.0)
        wrong = tracker.follow(frames)
        tracker.restart(box=tile)
        gap = tracker.follow(holes)
    turns = {"single": [turn for _, turn in alone], "track": [whole.heading_errors()[AFTER - 1]]}
    return {
        "single": [away for away, _ in alone],
        "track": [whole.errors()[AFTER - 1]],
        "wrong": [wrong.errors()[-1]],
        "gap": [gap.errors()[-1]],
        "turns": turns,
        "by_frame": whole.errors(),
    }


def _localize_alone(
    localizer: "Localizer", mosaic: Mosaic, frame: Frame, folder: Path
) -> tuple[float, float]:
    """Metres and degrees by which `localize` is off, that knows the map tile and no heading."""
    assert frame.image is not None
    assert frame.truth is not None
    lon, lat, heading = frame.truth
    x, y = tile_at(lon, lat, _ZOOM)
    tile = next((folder / "overhead" / "images" / str(_ZOOM) / str(x)).glob(f"{y}.*"))
    with warnings.catch_warnings():
        # that a network knows no headings
        warnings.simplefilter("ignore", InferenceWarning)
        found = localizer.localize(tile, frame.image, heading=None, fov=frame.fov)
    assert found.lon is not None
    assert found.lat is not None
    away = math.dist(mosaic.locate(found.lon, found.lat), mosaic.locate(lon, lat)) * mosaic.gsd
    if found.heading is None:
        return away, math.nan
    return away, abs(angular_difference(found.heading, heading))


def _cells_of_tile(tracker: Tracker, frame: Frame) -> Box:
    """The cells of the map tile that holds the camera."""
    assert frame.truth is not None
    bounds = tile_bounds(_ZOOM, *tile_at(frame.truth[0], frame.truth[1], _ZOOM))
    corners = (
        *tracker.mosaic.locate(bounds.west, bounds.north),
        *tracker.mosaic.locate(bounds.east, bounds.south),
    )
    return Box(*(round(value / tracker.filter.likelihood.pixels) for value in corners))


def _wrong_start(tracker: Tracker, frame: Frame, number: int) -> tuple[float, float]:
    """A place in cells that is :data:`WRONG` metres off, on the map."""
    assert frame.truth is not None
    likelihood = tracker.filter.likelihood
    row, col = tracker.mosaic.locate(frame.truth[0], frame.truth[1])
    angle = np.random.default_rng([number, 5]).uniform(0, 2 * math.pi)
    step = WRONG / likelihood.cell
    place = (
        row / likelihood.pixels + step * math.cos(angle),
        col / likelihood.pixels + step * math.sin(angle),
    )
    extent = likelihood.extent
    return (
        min(max(place[0], extent.top + 1.0), extent.bottom - 1.0),
        min(max(place[1], extent.left + 1.0), extent.right - 1.0),
    )


def _drive(folder: Path, seed: int, fov: float, rig: str) -> Path | None:
    size = (192, 256) if fov * 192 / 256 <= 90 else (128, 512)
    try:
        return generate_drive(folder / "drive", FRAMES, seed, fov=fov, rig=rig, size=size)
    except InputError as error:
        if "no way through" in str(error):
            return None  # a town of short streets
        raise


def _summarise(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The figures of the drives so far."""
    errors = {run: np.array([drive[run] for drive in found]) for run in RUNS}
    result: dict[str, Any] = {}
    for run, values in errors.items():
        result[run] = _with_intervals(lambda middle, some, v=values: middle(v[some]), len(found))
        result[run]["found"] = _round((values <= FOUND).mean())
        result[run]["errors"] = [_round(value) for value in values.ravel()]
    for run in ("single", "track"):
        angles = np.array([drive["turns"][run] for drive in found])
        known = angles[np.isfinite(angles)]
        result[run]["heading_median"] = _round(np.median(known)) if len(known) else None
    track, single = errors["track"], errors["single"]
    ratios = _with_intervals(
        lambda middle, some: middle(track[some]) / middle(single[some]), len(found)
    )
    result |= {f"ratio_{name}": value for name, value in ratios.items()}
    if len(found) < 2:
        result |= {f"ratio_{name}_interval": None for name in _MIDDLES}
    frames = np.array([drive["by_frame"] for drive in found])
    result["track"]["by_frame_median"] = [_round(value) for value in np.median(frames, axis=0)]
    result["track"]["by_frame"] = frames.round(2).tolist()
    return result


_MIDDLES: dict[str, Callable[..., Any]] = {"median": np.median, "mean": np.mean}


def _with_intervals(figure: Callable[..., Any], drives: int) -> dict[str, Any]:
    """``figure(middle, drives)`` for each of the middles, with its interval."""

    def figures(some: NDArray[np.int64]) -> list[float]:
        return [figure(middle, some) for middle in _MIDDLES.values()]

    result: dict[str, Any] = {}
    ends = percentile_interval(figures, drives)
    for name, value, low, high in zip(_MIDDLES, figures(np.arange(drives)), *ends, strict=True):
        result[name], result[f"{name}_interval"] = _round(value), [_round(low), _round(high)]
    return result


def _round(value: Any) -> float:
    return round(float(value), 3)
