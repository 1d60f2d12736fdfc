"""``cvsegguide synth DIR``: a synthetic city, or street views of a real place."""

import argparse

from cvsegguide.cli.parsing import add_values
from cvsegguide.console import done
from cvsegguide.errors import ConfigurationError

_CITY = ("tiles", "town", "photographs", "validation", "test", "panoramas")
_RASTERS = ("overhead", "landcover", "height", "gsd")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.description = (
        "Make a SynthCity in Brooklyn & Queens layout: overhead tiles, street views, land cover, "
        "height, depth and the truth about every camera. With --overhead and --landcover the same "
        "from rasters of a real place. A city that was cut off goes on when it is called again; a "
        "real place starts anew."
    )
    parser.add_argument("directory", metavar="DIR", help="folder to make or to complete")
    city = parser.add_argument_group("a city")
    text = "a named set: synthcity-small or synthcity"
    city.add_argument("--set", dest="name", metavar="NAME", help=text)
    randomised = (
        "plausible, or randomised: materials, light and camera far beyond the real thing, for "
        "training (default: plausible)"
    )
    add_values(
        city,
        ("--tiles N", int, "tiles of the city 'brooklyn'"),
        ("--seed S", int, "another seed is another city"),
        ("--validation N", int, "tiles of 'queens', another city"),
        ("--test N", int, "tiles of 'test/queens', a third city"),
        ("--town N", int, "tiles along the side of a town of one style (default: 4)"),
        ("--photographs NAME", str, randomised),
        ("--workers N", int, "processes (default: all cores)"),
        ("--spacing M", float, "metres between the pictures of a drive (default: 8)"),
    )
    text = (
        "instead of a city, a drive of N pictures through one, for `cvsegguide track` "
        "(--fov 70 and --size 192 256 unless given)"
    )
    city.add_argument("--drive", type=int, metavar="N", dest="frames", help=text)
    add_values(
        parser.add_argument_group("a real place"),
        ("--overhead FILE", str, "photograph, GeoTIFF or picture"),
        ("--landcover FILE", str, "ids of the New York City raster"),
        ("--height FILE", str, "metres above ground; drawn if not given"),
        ("--gsd G", float, "metres per pixel of the rasters, where FILE does not say"),
    )
    view = parser.add_argument_group("street views")
    narrower = (
        "degrees from left to right; less than 360 looks in any direction, as manifest.csv says "
        "(default: 360)"
    )
    rigs = "car: level, 2.5 m high; anyone: 1.5 to 3 m, tilted, compass a few degrees off"
    add_values(
        view,
        ("--panoramas N", int, "most per tile (default: all)"),
        ("--size H W", int, "pixels (default: 128 512)"),
        ("--fov D", float, narrower),
        ("--rig NAME=car", str, rigs),
    )
    text = "full panoramas, 180 degrees high (give H = W / 2)"
    view.add_argument("--full", action="store_true", help=text)


def run(arguments: argparse.Namespace) -> int:
    """Make the data set; exit status 0."""
    if arguments.frames is not None:
        return _drive(arguments)
    if arguments.spacing is not None:
        raise ConfigurationError("goes with --drive", "spacing")
    if arguments.name is not None:
        _refuse(arguments, "--set, which has its own", "seed", "size", "fov", "full", *_CITY)
    arguments.fov = 360.0 if arguments.fov is None else arguments.fov
    arguments.size = arguments.size or (128, 512)
    if any(getattr(arguments, name) is not None for name in _RASTERS):
        return _real_place(arguments)
    from cvsegguide.synth.generation import generate, generate_named

    if arguments.name is not None:
        root = generate_named(arguments.directory, arguments.name, workers=arguments.workers)
    else:
        if arguments.tiles is None:
            raise ConfigurationError("--tiles: how many? (or --set NAME, or --overhead FILE)")
        root = generate(
            arguments.directory,
            arguments.tiles,
            0 if arguments.seed is None else arguments.seed,
            validation=arguments.validation or 0,
            test=arguments.test or 0,
            town=4 if arguments.town is None else arguments.town,
            panoramas=arguments.panoramas or 0,
            size=tuple(arguments.size),
            extent=_extent(arguments),
            rig=arguments.rig,
            photographs=arguments.photographs or "plausible",
            workers=arguments.workers,
        )
    done(f"{root} written", {"directory": str(root)})
    return 0


def _drive(arguments: argparse.Namespace) -> int:
    from cvsegguide.synth.drives import generate_drive

    _refuse(arguments, "--drive", "name", "workers", "full", *_CITY, *_RASTERS)
    table = generate_drive(
        arguments.directory,
        arguments.frames,
        0 if arguments.seed is None else arguments.seed,
        spacing=8.0 if arguments.spacing is None else arguments.spacing,
        fov=70.0 if arguments.fov is None else arguments.fov,
        size=tuple(arguments.size or (192, 256)),
        rig=arguments.rig,
    )
    done(f"{table} written", {"table": str(table)})
    return 0


def _refuse(arguments: argparse.Namespace, beside: str, *names: str) -> None:
    """Complain of options that would be ignored beside another."""
    for name in names:
        value = getattr(arguments, name)
        if value is not None and value is not False:
            raise ConfigurationError(f"cannot be used with {beside}", name)


def _extent(arguments: argparse.Namespace) -> tuple[float, float]:
    """Square pixels over the field of view."""
    from cvsegguide.synth.settings import square_extent

    if arguments.full and arguments.fov != 360.0:
        raise ConfigurationError("--full: means 360 degrees, and cannot be used with --fov")
    if not 0 < arguments.fov <= 360:
        raise ConfigurationError(f"--fov: must lie in 0..360 degrees, got {arguments.fov:g}")
    if min(arguments.size) < 1:
        raise ConfigurationError("--size: sides must be positive")
    if arguments.full:
        return 180.0, 360.0
    extent = square_extent(tuple(arguments.size), arguments.fov)
    if extent[0] > 180.0:
        raise ConfigurationError(
            f"--size: {arguments.fov:g} degrees in {arguments.size[1]} columns reach beyond the "
            "poles in so many rows"
        )
    return extent


def _real_place(arguments: argparse.Namespace) -> int:
    from cvsegguide.synth.real_place import generate_from_rasters

    for name in ("overhead", "landcover"):
        if getattr(arguments, name) is None:
            raise ConfigurationError("a real place needs `overhead` and `landcover`", name)
    gsd = arguments.gsd
    if gsd is None:
        from cvsegguide.io.rasters import open_raster

        with open_raster(arguments.overhead) as raster:
            gsd = raster.gsd
        if gsd is None:
            text = f"{arguments.overhead} does not say where it lies; give metres per pixel"
            raise ConfigurationError(text, "gsd")
    _refuse(arguments, "--overhead", "name", "workers", *_CITY[:-1])
    root = generate_from_rasters(
        arguments.directory,
        arguments.overhead,
        arguments.landcover,
        arguments.height,
        gsd=gsd,
        seed=0 if arguments.seed is None else arguments.seed,
        rig=arguments.rig,
        size=tuple(arguments.size),
        extent=_extent(arguments),
        panoramas=arguments.panoramas or 0,
    )
    done(f"{root} written", {"directory": str(root)})
    return 0
