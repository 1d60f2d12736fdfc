"""``cvsegguide track TABLE``: follow a camera along a drive."""

import argparse
import json
import math
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING, Any

from cvsegguide import console
from cvsegguide.cli.localize import add_model_arguments, add_place_arguments, chosen_localizer
from cvsegguide.cli.parsing import add_options, given, refuse
from cvsegguide.errors import ConfigurationError
from cvsegguide.io.atomic import write_text

if TYPE_CHECKING:
    from cvsegguide.inference.localizer import Localizer
    from cvsegguide.tracking import Frame, Settings, Track


_PASSED_ON = (
    *("start", "start_pixel", "start_error", "start_heading", "start_heading_error"),
    *("bounds", "gsd", "camera_height"),
)
_SETTINGS = ("headings", "temper", "doubt", "floor", "margin", "walk", "walk_turn", "settle")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.description = (
        "Follow a camera along a drive through overhead imagery of any size. TABLE has a row a "
        "frame: street (picture; empty: missing), forward, left, turn or distance, turn "
        "(odometry), fov, compass; with lon, lat, heading (truth) errors are told. --out DIR "
        "writes track.parquet, track.geojson, track.gif and track.png. With --evaluate N the "
        "tracker is measured on N synthetic drives instead."
    )
    parser.add_argument("table", metavar="TABLE", nargs="?", help="frames, .csv or .parquet")
    parser.add_argument("--out", metavar="DIR", help="folder for the results")
    add_model_arguments(parser, onnx=False)
    add_place_arguments(parser)
    overhead = "raster, or folder of map tiles z/x/y.jpg (default: the tiles beside TABLE)"
    fov = (
        "degrees from left to right of pictures whose row does not say (default: 360; with "
        "--evaluate: 70)"
    )
    height = "metres above the ground of the camera (default: a usual one, 1.5 to 3 m)"
    add_options(
        parser,
        ("--overhead FILE_OR_DIR", str, overhead),
        ("--fov D", float, fov),
        ("--camera-height M", float, height),
        ("--no-animation", bool, "no track.gif"),
    )
    azimuth = "azimuth of the first picture's centre, degrees clockwise from true north"
    add_options(
        parser.add_argument_group("where the drive begins (default: anywhere, any heading)"),
        ("--start LON LAT", float, "degrees"),
        ("--start-pixel ROW COL", float, "the same in pixels of the overhead imagery"),
        ("--start-error M=10", float, "standard deviation in metres"),
        ("--start-heading D", float, azimuth),
        ("--start-heading-error D=10", float, "standard deviation in degrees"),
    )
    too_sure = "power of a picture's likelihood; below 1 for a model that is too sure"
    add_options(
        parser.add_argument_group("how it believes (docs/tracking.md)"),
        ("--headings X", int, "number of headings"),
        ("--temper X", float, too_sure),
        ("--doubt X", float, "probability that a picture tells nothing"),
        ("--floor X", float, "share of the belief that is spread around, each picture"),
        ("--margin X", float, "metres around the belief that are searched"),
        ("--walk X", float, "metres of a step without odometry (standard deviation)"),
        ("--walk-turn X", float, "degrees of the same"),
        ("--settle X", int, "pictures that must agree before other places are given up"),
    )
    add_options(
        parser.add_argument_group("measurement"),
        ("--evaluate N", int, "make N SynthCity drives and track them"),
        ("--seed S", int, "of the first drive (default: 910001)"),
        ("--rig NAME", str, "car or anyone, see `cvsegguide synth --help`"),
    )


def run(arguments: argparse.Namespace) -> int:
    """Track, save and print; exit status 0."""
    fov = arguments.fov
    if fov is not None and not (math.isfinite(fov) and 0 < fov <= 360):
        raise ConfigurationError(f"must lie in (0, 360] degrees, got {fov:g}", "fov")
    if arguments.evaluate is not None:
        return _evaluate(arguments)
    refuse(arguments, "goes with `evaluate`", "seed", "rig")
    if arguments.table is None:
        raise ConfigurationError("which frames? (or `evaluate` N)", "table")
    if arguments.start is not None and arguments.start_pixel is not None:
        raise ConfigurationError("`start` and `start_pixel`: give one of them")
    settings = _settings(arguments)
    table = Path(arguments.table)
    from cvsegguide.tracking.table import read_frames

    frames = read_frames(table, 360.0 if fov is None else fov)
    overhead = _overhead(arguments, table)
    localizer = chosen_localizer(arguments.model, arguments.device)
    result = localizer.track(frames, overhead, settings=settings, **given(arguments, *_PASSED_ON))
    written = _write(arguments, localizer, result, frames, overhead) if arguments.out else []
    if console.settings.json:
        print(json.dumps(_summary(result), indent=1, allow_nan=False))
    else:
        _print(result)
        for path in written:
            console.done(f"{path} written")
    return 0


def _settings(arguments: argparse.Namespace) -> "Settings":
    from cvsegguide.tracking import Settings

    return Settings(**given(arguments, *_SETTINGS))


def _overhead(arguments: argparse.Namespace, table: Path) -> str:
    if arguments.overhead is not None:
        return str(arguments.overhead)
    if any((table.parent / name).is_dir() for name in ("overhead", "images")):
        return str(table.parent)
    raise ConfigurationError("which raster or folder of map tiles?", "overhead")


def _write(
    arguments: argparse.Namespace,
    localizer: "Localizer",
    result: "Track",
    frames: "list[Frame]",
    overhead: str,
) -> list[Path]:
    from cvsegguide.tracking.mosaic import open_mosaic
    from cvsegguide.viz.track import write_animation, write_strip

    out = Path(arguments.out)
    written = [out / "track.parquet"]
    result.write_table(written[0])
    if result.georeferenced:
        written.append(out / "track.geojson")
        result.write_geojson(written[-1])
    bounds = None if arguments.bounds is None else tuple(arguments.bounds)
    views = [frame.image for frame in frames]
    with open_mosaic(overhead, localizer.model.gsd, bounds, arguments.gsd) as mosaic:
        written.append(out / "track.png")
        write_strip(written[-1], result, mosaic, views)
        if not arguments.no_animation:
            written.append(out / "track.gif")
            write_animation(written[-1], result, mosaic, views)
    return written


def _summary(result: "Track") -> dict[str, Any]:
    last = result.points[-1]
    record: dict[str, Any] = {
        "frames": len(result.points),
        "pictures": sum(point.used for point in result.points),
        "model": result.model,
        "version": result.version,
        "last": last.record(),
    }
    known = [point.error for point in result.points if point.error is not None]
    if known:
        record["error"] = {"mean": mean(known), "median": median(known), "last": last.error}
    return record


def _print(result: "Track") -> None:
    last = result.points[-1]
    place = f"row {last.row:.1f}, column {last.col:.1f}"
    if last.lon is not None:
        place = f"{last.lat:.6f}, {last.lon:.6f} (lat, lon)"
    heading = "unknown" if last.heading is None else f"{last.heading:.0f} degrees"
    summary = _summary(result)
    print(f"{summary['frames']} frames, {summary['pictures']} pictures")
    print(
        f"last frame: {place}, heading {heading}, {100 * last.probability:.0f} % within 5 m, "
        f"effective area {last.effective_area:.0f} m2"
    )
    errors = {name: value for name, value in summary.get("error", {}).items() if value is not None}
    if errors:
        print("error: " + ", ".join(f"{name} {value:.1f} m" for name, value in errors.items()))


def _evaluate(arguments: argparse.Namespace) -> int:
    from cvsegguide.experiments.drives import evaluate, report

    if arguments.table is not None:
        raise ConfigurationError("makes its own drives and takes no TABLE", "evaluate")
    refuse(arguments, "the drives of `evaluate` have their rig's own", "camera_height")
    place = ("overhead", "bounds", "gsd", "start", "start_pixel", "start_heading")
    refuse(arguments, "does not go with `evaluate`", *place)
    settings = _settings(arguments)
    localizer = chosen_localizer(arguments.model, arguments.device)

    def keep(so_far: dict[str, Any]) -> None:
        if arguments.out:
            path = Path(arguments.out) / "tracking.json"
            write_text(path, json.dumps(so_far, indent=1) + "\n")

    result = evaluate(
        localizer,
        arguments.evaluate,
        seed=910_001 if arguments.seed is None else arguments.seed,
        fov=70.0 if arguments.fov is None else arguments.fov,
        rig=arguments.rig or "car",
        settings=settings,
        keep=keep,
    )
    print(json.dumps(result, indent=1) if console.settings.json else report(result))
    return 0
