"""``cvsegguide localize OVERHEAD STREET``: one localisation."""

import argparse
import json
from typing import TYPE_CHECKING

from cvsegguide.cli.parsing import add_options
from cvsegguide.console import settings

if TYPE_CHECKING:
    from cvsegguide.inference.localizer import Localizer
    from cvsegguide.inference.result import Localization
    from cvsegguide.io.images import ImageLike


MODEL = (
    "name of bundled weights, directory or .safetensors file, Hugging Face repository id, or "
    "published .pth.tar checkpoint"
)
"""What ``--model`` takes, for the help."""

DEVICE = ("--device NAME=auto", str, "auto, cpu, cuda, cuda:1, mps, ...")


def add_model_arguments(parser: argparse.ArgumentParser, onnx: bool = True) -> None:
    """Options that choose a model, a file of ``export`` among them or not, and where it runs."""
    exported = ", or .onnx file of `export`" if onnx else ""
    text = f"{MODEL}{exported} (default: the bundled weights)"
    add_options(parser, ("--model M", str, text), DEVICE)


def add_precision_argument(parser: argparse.ArgumentParser) -> None:
    """The type of products."""
    text = "type that products are computed in; auto: bf16 on CUDA devices that have it, else fp32"
    add_options(parser, ("--precision=auto", ("auto", "bf16", "fp16", "fp32"), text))


def add_place_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that say where the overhead image lies."""
    bounds = (
        "bounds of the overhead image in degrees, longitude before latitude; they override the "
        "file's own"
    )
    gsd = "metres per pixel of the overhead image, where neither the file nor --bounds tell"
    add_options(parser, ("--bounds W S E N", float, bounds), ("--gsd G", float, gsd))


def chosen_model(argument: str | None) -> str:
    """The model asked for, else the bundled one.

    Raises:
        ConfigurationError: None was asked for, and none is bundled.
    """
    if argument is not None:
        return argument
    from cvsegguide.models.hub import default_weights

    return default_weights()


def chosen_localizer(model: str | None, device: str, precision: str = "auto") -> "Localizer":
    """The localizer of these options."""
    from cvsegguide.inference.localizer import Localizer

    return Localizer.from_pretrained(chosen_model(model), device=device, precision=precision)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.description = (
        "Find where in the overhead image the street view was taken. Prints the estimate and the "
        "most probable regions; --out DIR writes result.json, posterior.tif, landcover.tif, "
        "regions.geojson and figure.png."
    )
    add_options(
        parser,
        ("OVERHEAD", str, "GeoTIFF or picture, north up; z/x/y.png is a map tile"),
        ("STREET", str, "equirectangular street view, centred on the horizon"),
    )
    add_model_arguments(parser)
    add_precision_argument(parser)
    add_place_arguments(parser)
    azimuth = (
        "azimuth of the street view's centre, degrees clockwise from true north, or 'unknown': "
        "all headings are tried (models that cannot take it as north, with a warning)"
    )
    doubt = "largest error of --heading either way, degrees; that range is searched"
    heights = (
        "metres above the ground that the street view was taken from, or 'unknown': a few heights "
        "are tried (default: a usual one, 1.5 to 3 m)"
    )
    truth = "class ids on the overhead image's grid, for models guided by true land cover"
    lens = (
        "the street view is a photograph through an ordinary lens, held level, that is --fov "
        "degrees wide: 2 atan(18 / L) for a lens of L mm (full-frame equivalent)"
    )
    add_options(
        parser,
        ("--heading D=0", _heading, azimuth),
        ("--heading-error D=0", float, doubt),
        ("--fov D=360", float, "horizontal extent of the street view in degrees"),
        ("--camera-height M", _camera_height, heights),
        ("--landcover FILE", str, truth),
        ("--out DIR", str, "folder for the results"),
        ("--lens", bool, lens),
    )


def _heading(text: str) -> float | None:
    return None if text.lower() in ("unknown", "none") else float(text)


def _camera_height(text: str) -> float | str:
    return "unknown" if text.lower() == "unknown" else float(text)


# argparse puts them into its messages
_heading.__name__ = "heading"
_camera_height.__name__ = "camera height"


def run(arguments: argparse.Namespace) -> int:
    """Localise, save and print; exit status 0."""
    street: ImageLike = arguments.street
    if arguments.lens:
        from cvsegguide.geo import from_lens
        from cvsegguide.io.images import read_image

        street = from_lens(read_image(arguments.street), arguments.fov)
    localizer = chosen_localizer(arguments.model, arguments.device, arguments.precision)
    result = localizer.localize(
        arguments.overhead,
        street,
        bounds=arguments.bounds,
        gsd=arguments.gsd,
        heading=arguments.heading,
        heading_error=arguments.heading_error,
        fov=arguments.fov,
        landcover=arguments.landcover,
        camera_height=arguments.camera_height,
    )
    folder = None
    if arguments.out:
        from cvsegguide.viz.localization import save_with_figure

        folder = save_with_figure(result, arguments.out)
    if settings.json:
        print(json.dumps(result.to_dict(), indent=1))
        return 0
    print(_table(result))
    if folder is not None:
        print(f"{folder} written")
    return 0


def _table(result: "Localization") -> str:
    """A short text for people."""

    def place(lat: float | None, lon: float | None) -> str:
        return "" if lat is None else f"{lat:.6f}, {lon:.6f}"

    rows = {
        "estimate": f"row {result.row:.1f}, column {result.col:.1f}",
        "lat, lon": place(result.lat, result.lon),
        "heading": "unknown" if result.heading is None else f"{result.heading:.1f} degrees",
        "resolution": "unknown" if result.gsd is None else f"{result.gsd:.4g} m/px",
        "model": result.model,
    }
    lines = [f"{name:<11}{text}" for name, text in rows.items() if text]
    heads = f"{'region':<8}{'probability':>11}{'row':>9}{'column':>9}"
    heads += f"{'area':>11}" if result.gsd is not None else ""
    lines += ["", heads + ("  lat, lon" if result.lat is not None else "")]
    for region in result.regions[:5]:
        area = "" if region.area_m2 is None else f"{f'{region.area_m2:.1f} m2':>11}"
        lines.append(
            f"{region.rank:<8}{100 * region.probability:>9.1f} %{region.row:>9.1f}"
            f"{region.col:>9.1f}{area}  {place(region.lat, region.lon)}".rstrip()
        )
    rest = len(result.regions) - 5
    return "\n".join([*lines, f"... and {rest} more"] if rest > 0 else lines)
