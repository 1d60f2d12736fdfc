"""``cvsegguide synth DIR``: a synthetic city, or street views of a real place."""

import argparse

from cvsegguide.cli.parsing import add_options, given, refuse
from cvsegguide.console import done
from cvsegguide.errors import ConfigurationError

_CITY = ("tiles", "town", "photographs", "validation", "test", "panoramas")
_RASTERS = ("overhead", "landcover", "height", "gsd")
_VIEWS = ("seed", "rig", "panoramas", "size", "fov")


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
    add_options(
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
    add_options(
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
    add_options(
        view,
        ("--panoramas N", int, "most per tile (default: all)"),
        ("--size H W", int, "pixels, H = W / 2 for full panoramas (default: 128 512)"),
        ("--fov D", float, narrower),
        ("--rig NAME=car", str, rigs),
    )


def run(arguments: argparse.Namespace) -> int:
    """Make the data set; exit status 0."""
    if arguments.frames is not None:
        return _drive(arguments)
    refuse(arguments, "goes with --drive", "spacing")
    if arguments.name is not None:
        beside = "cannot be used with --set, which has its own"
        refuse(arguments, beside, "seed", "size", "fov", *_CITY)
    if given(arguments, *_RASTERS):
        return _real_place(arguments)
    from cvsegguide.synth.generation import generate, generate_named

    if arguments.name is not None:
        root = generate_named(arguments.directory, arguments.name, workers=arguments.workers)
    else:
        if arguments.tiles is None:
            raise ConfigurationError("how many? (or `name` NAME, or `overhead` FILE)", "tiles")
        options = {"seed": 0, **given(arguments, "workers", *_CITY, *_VIEWS)}
        root = generate(arguments.directory, **options)
    done(f"{root} written", {"directory": str(root)})
    return 0


def _drive(arguments: argparse.Namespace) -> int:
    from cvsegguide.synth.drives import generate_drive

    beside = "cannot be used with --drive"
    refuse(arguments, beside, "name", "workers", *_CITY, *_RASTERS)
    options = given(arguments, "frames", "seed", "spacing", "fov", "size", "rig")
    table = generate_drive(arguments.directory, **options)
    done(f"{table} written", {"table": str(table)})
    return 0


def _real_place(arguments: argparse.Namespace) -> int:
    from cvsegguide.synth.real_place import generate_from_rasters

    for name in ("overhead", "landcover"):
        if getattr(arguments, name) is None:
            raise ConfigurationError("a real place needs `overhead` and `landcover`", name)
    refuse(arguments, "cannot be used with --overhead", "name", "workers", *_CITY[:-1])
    options = given(arguments, *_RASTERS, *_VIEWS)
    root = generate_from_rasters(arguments.directory, **options)
    done(f"{root} written", {"directory": str(root)})
    return 0
