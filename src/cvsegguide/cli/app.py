"""``cvsegguide app``: the web page."""

import argparse

from cvsegguide.console import complain


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.description = (
        "Serve a page on this machine: drop an overhead image and a street view, see where the "
        "picture was taken. Nothing leaves the machine. Ctrl+C ends it and removes what was "
        "uploaded."
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen on (default: 127.0.0.1, this machine alone; 0.0.0.0 lets everybody "
        "in who can reach it: there is no password)",
    )
    parser.add_argument(
        "--port", type=int, default=7861, metavar="N", help="port (default: 7861; 0: a free one)"
    )
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="M",
        help="add a model to the chooser, once per model: directory, .safetensors file, Hugging "
        "Face repository id, or published .pth.tar checkpoint; the first is preselected",
    )
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda, cuda:1, mps, ... (default: auto)"
    )
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    parser.add_argument(
        "--no-map",
        action="store_true",
        help="do not offer the map of OpenStreetMap (the browser fetches it when asked)",
    )
    parser.add_argument(
        "--max-upload", type=float, default=64.0, metavar="MB", help="of one file (default: 64)"
    )
    parser.add_argument(
        "--max-megapixels",
        type=float,
        default=32.0,
        metavar="N",
        help="of an overhead image (default: 32)",
    )
    parser.add_argument(
        "--max-area",
        type=float,
        default=0.25,
        metavar="KM2",
        help="ground that an overhead image covers, in square kilometres (default: 0.25)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until interrupted; exit status 0."""
    from cvsegguide.errors import ConfigurationError

    for name in ("max_upload", "max_megapixels", "max_area"):
        if not 0 < getattr(arguments, name) < 1e6:
            raise ConfigurationError(f"--{name.replace('_', '-')}: a positive number is wanted")
    if not 0 <= arguments.port < 65536:
        raise ConfigurationError(f"--port: from 0 to 65535, got {arguments.port}")
    try:
        from cvsegguide.app.guard import is_public
        from cvsegguide.app.server import serve
    except ModuleNotFoundError as error:
        if error.name != "aiohttp":
            raise
        raise ConfigurationError(
            "app: the library 'aiohttp' is missing: pip install 'cvsegguide[app]'"
        ) from None
    from cvsegguide.app.settings import MEBIBYTE, Limits, Settings

    models = list(dict.fromkeys([*arguments.model, *_bundled()]))
    if not models:
        raise ConfigurationError("--model: no weights are bundled with this version; name some")
    settings = Settings(
        host=arguments.host,
        port=arguments.port,
        models=tuple(models),
        device=arguments.device,
        web_map=not arguments.no_map,
        limits=Limits(
            upload_bytes=round(arguments.max_upload * MEBIBYTE),
            overhead_pixels=round(arguments.max_megapixels * 1e6),
            ground_km2=arguments.max_area,
        ),
    )

    def started(address: str) -> None:
        if is_public(settings):
            complain(
                "warning",
                "whoever reaches this machine can use the page; there is no password",
            )
        print(f"the page is at {address} (Ctrl+C ends it)", flush=True)
        if arguments.open:
            import webbrowser

            webbrowser.open(address)

    serve(settings, started)
    return 0


def _bundled() -> list[str]:
    """Names of the bundled weights, the default ones first.

    ``models.hub`` knows them, too, but PyTorch comes with it, and the page need not wait for that.
    """
    from importlib.resources import files

    folder = files("cvsegguide") / "weights"
    if not folder.is_dir():
        return []
    names = [entry.name for entry in folder.iterdir() if (entry / "model.safetensors").is_file()]
    return sorted(names, key=lambda name: (name != "synthcity", name))
