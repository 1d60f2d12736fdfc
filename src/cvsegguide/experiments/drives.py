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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
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
    found = _Errors()
    result: dict[str, Any] = {}
    for number in show_progress(range(drives), "drives"):
        began = time.perf_counter()
        called = f"drive {number + 1} of {drives} (seed {seed + number})"
        with tempfile.TemporaryDirectory(prefix="cvsegguide-drive-") as name:
            table = _drive(Path(name), seed + number, fov, rig)
            if table is None:
                note(f"{called}: only short streets")
                continue
            _measure(found, localizer, table, number, fov, settings)
        found.seeds.append(seed + number)
        result = {
            "drives": len(found.seeds),
            "seed": seed,
            "seeds": list(found.seeds),
            "fov": fov,
            "rig": rig,
            "frames": FRAMES,
            "after": AFTER,
            "model": localizer.name,
            **_summary(found),
        }
        if keep is not None:
            keep(result)
        last = {name: errors[-1] for name, errors in found.runs.items()}
        note(
            f"{called}: after {AFTER} pictures {last['track']:.1f} m, wrong start "
            f"{last['wrong']:.1f} m, gap {last['gap']:.1f} m; {time.perf_counter() - began:.0f} s"
        )
    if not found.seeds:
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


@dataclass
class _Errors:
    """What was measured so far.

    Attributes:
        seeds: Of the drives.
        runs: Metres by run, drive after drive: of ``"single"`` :data:`AFTER` each, else one.
        turns: The same in degrees, NaN where no heading was found.
        by_frame: Metres after each frame of the tracks.
    """

    seeds: list[int] = field(default_factory=list)
    runs: dict[str, list[float]] = field(
        default_factory=lambda: {name: [] for name in ("single", "track", "wrong", "gap")}
    )
    turns: dict[str, list[float]] = field(default_factory=lambda: {"single": [], "track": []})
    by_frame: list[list[float]] = field(default_factory=list)


def _measure(
    found: _Errors,
    localizer: "Localizer",
    table: Path,
    number: int,
    fov: float,
    settings: Settings | None,
) -> None:
    """Add the errors of one drive, the ``number``-th; its map tiles lie beside ``table``."""
    frames = read_frames(table, fov)
    holes = [
        replace(frame, image=None) if GAP[0] <= index < GAP[1] else frame
        for index, frame in enumerate(frames)
    ]
    # the start is only there until each run begins with its own
    start: dict[str, Any] = {"start_pixel": (0, 0), "start_heading": 0.0}
    with Tracker(localizer, table.parent, settings=settings, **start) as tracker:
        for frame in frames[:AFTER]:
            away, turn = _localize_alone(localizer, tracker.mosaic, frame, table.parent)
            found.runs["single"].append(away)
            found.turns["single"].append(turn)
        tile = _cells_of_tile(tracker, frames[0])
        tracker.restart(box=tile)
        whole = tracker.follow(frames)
        found.runs["track"].append(float(whole.errors()[AFTER - 1]))
        found.turns["track"].append(float(whole.heading_errors()[AFTER - 1]))
        found.by_frame.append([round(float(value), 2) for value in whole.errors()])
        tracker.restart(position=_wrong_start(tracker, frames[0], number), deviation=3.0)
        found.runs["wrong"].append(float(tracker.follow(frames).errors()[-1]))
        tracker.restart(box=tile)
        found.runs["gap"].append(float(tracker.follow(holes).errors()[-1]))


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


def _summary(found: _Errors) -> dict[str, Any]:
    """The figures of the drives so far."""
    result: dict[str, Any] = {
        name: _figures(errors, len(found.seeds)) for name, errors in found.runs.items()
    }
    for name, angles in found.turns.items():
        known = [angle for angle in angles if math.isfinite(angle)]
        result[name]["heading_median"] = _rounded(np.median(known)) if known else None
    result.update(_ratios(found.runs["track"], found.runs["single"]))
    middle = np.median(np.array(found.by_frame), axis=0)
    result["track"]["by_frame_median"] = [_rounded(value) for value in middle]
    result["track"]["by_frame"] = [list(line) for line in found.by_frame]
    return result


def _drive(folder: Path, seed: int, fov: float, rig: str) -> Path | None:
    size = (192, 256) if fov * 192 / 256 <= 90 else (128, 512)
    try:
        return generate_drive(folder / "drive", FRAMES, seed, fov=fov, rig=rig, size=size)
    except InputError as error:
        if "no way through" in str(error):
            return None  # a town of short streets
        raise


_MIDDLES: dict[str, Callable[..., Any]] = {"median": np.median, "mean": np.mean}


def _ratios(track: Sequence[float], single: Sequence[float]) -> dict[str, Any]:
    """Track to single picture, with intervals."""
    whole: NDArray[np.float64] = np.array(track)
    parts: NDArray[np.float64] = np.array(single).reshape(len(whole), -1)

    def ratios(drives: NDArray[np.int64]) -> list[float]:
        return [middle(whole[drives]) / middle(parts[drives]) for middle in _MIDDLES.values()]

    result = _with_intervals(ratios, len(whole), "ratio_")
    if len(whole) < 2:
        result.update({f"ratio_{name}_interval": None for name in _MIDDLES})
    return result


def _figures(errors: list[float], drives: int) -> dict[str, Any]:
    """Of errors that lie in the order of the drives, as many of each."""
    values: NDArray[np.float64] = np.array(errors).reshape(drives, -1)
    result = _with_intervals(
        lambda some: [middle(values[some]) for middle in _MIDDLES.values()], drives
    )
    result["found"] = _rounded((values <= FOUND).mean())
    result["errors"] = [_rounded(value) for value in errors]
    return result


def _with_intervals(
    figures: Callable[[NDArray[np.int64]], list[float]], drives: int, prefix: str = ""
) -> dict[str, Any]:
    """``figures`` takes the numbers of drives and returns one for each name of the middles."""
    low, high = percentile_interval(figures, drives)
    result: dict[str, Any] = {}
    for name, *row in zip(_MIDDLES, figures(np.arange(drives)), low, high, strict=True):
        value, *interval = (_rounded(number) for number in row)
        result[f"{prefix}{name}"], result[f"{prefix}{name}_interval"] = value, interval
    return result


def _rounded(value: Any) -> float:
    return round(float(value), 3)
