"""``cvsegguide app``: the web page."""

import argparse
import contextlib
import errno
import os
import socket
import tempfile
import threading
from importlib.resources import files

from cvsegguide.cli.localize import DEVICE, MODEL
from cvsegguide.cli.parsing import add_options
from cvsegguide.console import complain
from cvsegguide.errors import ConfigurationError

LOCAL = ["127.0.0.1", "localhost", "::1", "[::1]"]
"""Names of this machine alone: only a browser on it gets an answer."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.description = (
        "Serve a page on this machine: drop an overhead image and a street view, see where the "
        "picture was taken. Nothing leaves the machine. Ctrl+C ends it and removes what was "
        "uploaded."
    )
    host = (
        "address to listen on (127.0.0.1: this machine alone; 0.0.0.0 lets everybody in who can "
        "reach it: there is no password)"
    )
    text = f"add a model to the chooser, once per model: {MODEL}; the first is preselected"
    parser.add_argument("--model", action="append", default=[], metavar="M", help=text)
    add_options(
        parser,
        ("--host ADDRESS=127.0.0.1", str, host),
        ("--port N=7861", int, "port; 0: a free one"),
        DEVICE,
        ("--open", bool, "open the page in a browser"),
        ("--max-upload MB=64", float, "of one file"),
        ("--max-megapixels N=64", float, "of a picture"),
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until interrupted; exit status 0."""
    for name in ("max_upload", "max_megapixels"):
        if not 0 < getattr(arguments, name) < 1e6:
            raise ConfigurationError("a positive number is wanted", parameter=name)
    if not 0 <= arguments.port < 65536:
        raise ConfigurationError(f"from 0 to 65535, got {arguments.port}", parameter="port")
    try:
        from gradio.themes import Default
        from starlette.middleware import Middleware
        from starlette.middleware.trustedhost import TrustedHostMiddleware

        from cvsegguide.app.page import Page
    except ModuleNotFoundError as error:
        if error.name not in ("gradio", "starlette"):
            raise
        raise ConfigurationError(
            "app: the library 'gradio' is missing: pip install 'cvsegguide[app]'"
        ) from None
    models = tuple(dict.fromkeys([*arguments.model, *_bundled()]))
    if not models:
        raise ConfigurationError("none is bundled with this version; name one", parameter="model")
    port = _free_port(arguments.host, arguments.port)
    with tempfile.TemporaryDirectory(prefix="cvsegguide-app-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        page = Page(models, arguments.device, round(arguments.max_megapixels * 1e6))
        # a stranger's name can be made to point to 127.0.0.1
        names = LOCAL if arguments.host in LOCAL else ["*"]
        guard = Middleware(TrustedHostMiddleware, allowed_hosts=names)
        page.launch(
            server_name=arguments.host,
            server_port=port,
            inbrowser=arguments.open,
            max_file_size=round(arguments.max_upload * (1 << 20)),
            app_kwargs={"middleware": [guard]},
            prevent_thread_lock=True,
            css_paths=str(files("cvsegguide.app") / "page.css"),
            # fonts of the reader's own system: none is fetched
            theme=Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
            footer_links=[],
            run_history=False,
            ssr_mode=False,
            share=False,
            quiet=True,
        )
        if arguments.host not in LOCAL:
            complain(
                "warning", "whoever reaches this machine can use the page; there is no password"
            )
        print(f"the page is at {page.local_url} (Ctrl+C ends it)", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
        page.close()
    return 0


def _free_port(host: str, port: int) -> int:
    """The port, or for 0 one that nobody listens on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family) as probe:
            return int(probe.getsockname()[1])
    except OSError as error:
        culprit = "port" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "host"
        raise ConfigurationError(f"{host}, port {port}: {error.strerror}", culprit) from None


def _bundled() -> list[str]:
    """Names of the bundled weights, the default ones first, found without PyTorch."""
    folder = files("cvsegguide") / "weights"
    names = [entry.name for entry in folder.iterdir() if (entry / "model.safetensors").is_file()]
    return sorted(names, key=lambda name: (name != "synthcity", name))
