"""Requests and answers; the only module that knows of HTTP."""

import asyncio
import contextlib
import json
import threading
import traceback
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

from aiohttp import web

from cvsegguide import __version__
from cvsegguide.app import examples
from cvsegguide.app.guard import SETTINGS, Handler, fault, guard, is_wildcard
from cvsegguide.app.questions import read_question
from cvsegguide.app.sessions import BusyError, GoneError, LostError, Session, Store
from cvsegguide.app.settings import Settings
from cvsegguide.app.uploads import Upload, accept_overhead, accept_street
from cvsegguide.app.wording import display_name
from cvsegguide.app.worker import ARCHIVE, Load, Worker
from cvsegguide.errors import ConfigurationError, CVSegGuideError, InputError

FILES = {
    ARCHIVE: "everything (zip)",
    "posterior.tif": "posterior (GeoTIFF)",
    "landcover.tif": "land cover (GeoTIFF)",
    "regions.geojson": "regions (GeoJSON)",
    "areas.geojson": "50 % and 90 % areas (GeoJSON)",
    "figure.png": "figure (PNG)",
    "result.json": "numbers (JSON)",
}
"""What can be downloaded: file -> label."""

_STATIC = Path(str(files("cvsegguide.app"))) / "static"
_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".tif": "image/tiff",
    ".geojson": "application/geo+json",
    ".json": "application/json",
    ".zip": "application/zip",
}
_SWEEP_SECONDS = 60.0
_JSON_BYTES = 65536

_store = web.AppKey("store", Store)
_worker = web.AppKey("worker", Worker)
_load = web.AppKey("load", object)
_decoding = web.AppKey("decoding", asyncio.Semaphore)


def build(settings: Settings, load: Load | None = None) -> web.Application:
    """The application, ready to be run.

    Args:
        settings: What to serve.
        load: How models are loaded; by default as everywhere.

    Raises:
        ConfigurationError: There is no model to choose.
    """
    if not settings.models:
        raise ConfigurationError("--model: no weights to choose from")
    app = web.Application(
        middlewares=[guard, _errors], client_max_size=settings.limits.upload_bytes
    )
    app[SETTINGS] = settings
    app[_load] = load
    app.add_routes(
        [
            web.get("/", _page),
            web.get("/static/{name}", _static),
            web.get("/examples/{name}", _thumbnail),
            web.post("/api/sessions", _open_session),
            web.post("/api/{session}/uploads/{kind}", _upload),
            web.post("/api/{session}/examples/{name}", _take_example),
            web.get("/api/{session}/uploads/{upload}/{kind}", _preview),
            web.post("/api/{session}/jobs", _ask),
            web.get("/api/{session}/jobs/{job}", _job),
            web.get("/api/{session}/results/{result}", _result),
            web.get("/api/{session}/results/{result}/layers/{name}", _layer),
            web.get("/api/{session}/results/{result}/files/{name}", _download),
        ]
    )
    app.cleanup_ctx.append(_life)
    return app


def serve(settings: Settings, started: Callable[[str], None]) -> None:
    """Run until interrupted.

    Args:
        settings: What to serve, and where.
        started: Called with the page's address once it can be opened.

    Raises:
        InputError: The address cannot be listened on.
    """

    async def forever() -> None:
        runner, address = await _start(settings)
        try:
            started(address)
            await _until_told(asyncio.get_running_loop())
        finally:
            await runner.cleanup()

    asyncio.run(forever())


@contextlib.contextmanager
def running(settings: Settings, load: Load | None = None) -> Iterator[str]:
    """Serve from a thread of this process while the block runs; yields the page's address.

    Args:
        settings, load: As for :func:`build`.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="cvsegguide-app", daemon=True)
    thread.start()
    try:
        start = asyncio.run_coroutine_threadsafe(_start(settings, load), loop)
        runner, address = start.result()
        try:
            yield address
        finally:
            asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _start(settings: Settings, load: Load | None = None) -> tuple[web.AppRunner, str]:
    runner = web.AppRunner(build(settings, load), access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.port)
        await site.start()
    except OSError as error:
        await runner.cleanup()
        reason = error.strerror or str(error)
        raise InputError(
            f"--host {settings.host} --port {settings.port}: cannot be listened on ({reason})"
        ) from None
    port = runner.addresses[0][1]
    host = settings.host
    if is_wildcard(host):
        host = "localhost"
    return runner, f"http://{f'[{host}]' if ':' in host else host}:{port}/"


async def _until_told(loop: asyncio.AbstractEventLoop) -> None:
    """Wait for Ctrl+C or a polite request to end."""
    import signal

    told = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: KeyboardInterrupt does it
            loop.add_signal_handler(name, told.set)
    await told.wait()


async def _life(app: web.Application) -> Any:
    settings = app[SETTINGS]
    store = Store(settings.limits)
    app[_store] = store
    app[_worker] = Worker(settings, store, cast("Load | None", app[_load]))
    app[_decoding] = asyncio.Semaphore(2)
    app[_worker].start()

    async def sweep() -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            store.sweep()

    sweeping = asyncio.create_task(sweep())
    try:
        yield
    finally:
        sweeping.cancel()
        await app[_worker].close()
        store.close()


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Faults become messages for the page, which lives on."""
    try:
        return await handler(request)
    except GoneError as error:
        return fault(410, str(error), lost=isinstance(error, LostError))
    except BusyError as error:
        return fault(503, str(error))
    except CVSegGuideError as error:
        return fault(422, " ".join(str(error).split()))
    except web.HTTPException as error:
        return fault(error.status, error.reason or "not possible")
    except (asyncio.CancelledError, ConnectionError):
        raise
    except Exception:
        traceback.print_exc()
        return fault(500, "something went wrong that should not; the server's terminal says what")


def _session(request: web.Request) -> Session:
    return request.app[_store].session(request.match_info["session"])


async def _page(_: web.Request) -> web.StreamResponse:
    return _file(_STATIC / "index.html")


async def _static(request: web.Request) -> web.StreamResponse:
    name = request.match_info["name"]
    known = {path.name for path in _STATIC.iterdir() if path.suffix in _TYPES}
    if name not in known:
        raise web.HTTPNotFound(reason="no such file")
    return _file(_STATIC / name)


async def _thumbnail(request: web.Request) -> web.StreamResponse:
    example = examples.named(request.match_info["name"])
    return _file(example.thumbnail)


def _file(path: Path, name: str | None = None) -> web.StreamResponse:
    headers = {"Content-Type": _TYPES[path.suffix], "Cache-Control": "no-cache"}
    if path.suffix in (".html", ".css", ".js"):
        headers["Content-Type"] += "; charset=utf-8"
    if name is not None:
        headers["Content-Disposition"] = f'attachment; filename="{name}"'
        headers["Cache-Control"] = "no-store"
    return web.FileResponse(path, headers=headers)


async def _open_session(request: web.Request) -> web.StreamResponse:
    settings = request.app[SETTINGS]
    session = request.app[_store].open()
    return web.json_response(
        {
            "session": session.id,
            "version": __version__,
            "models": [display_name(name) for name in settings.models],
            "web_map": settings.web_map,
            "examples": [example.describe() for example in examples.every()],
            "files": [{"name": name, "label": label} for name, label in FILES.items()],
            "limits": {
                "upload_bytes": settings.limits.upload_bytes,
                "overhead_pixels": settings.limits.overhead_pixels,
                "street_pixels": settings.limits.street_pixels,
                "ground_km2": settings.limits.ground_km2,
            },
        }
    )


async def _upload(request: web.Request) -> web.StreamResponse:
    session = _session(request)
    kind = request.match_info["kind"]
    if kind not in ("overhead", "street"):
        raise web.HTTPNotFound(reason="no such kind of picture")
    name = display_name(unquote(request.headers.get("X-Filename", "")))
    limits = request.app[SETTINGS].limits
    store = request.app[_store]
    with store.arrival(session) as folder:
        path = folder / "received"
        await _receive(request, path, name)
        accept = accept_overhead if kind == "overhead" else accept_street
        async with request.app[_decoding]:
            loop = asyncio.get_running_loop()
            upload = await loop.run_in_executor(None, accept, path, name, limits)
        store.add_upload(session, upload)
    return web.json_response(upload.describe())


async def _receive(request: web.Request, path: Path, name: str) -> None:
    """Write the body to a file, no more than allowed of it."""
    most = request.app[SETTINGS].limits.upload_bytes
    too_large = InputError(f"{name}: larger than the {most / (1 << 20):.0f} MB that are taken here")
    if (request.content_length or 0) > most:
        raise too_large
    received = 0
    patience = request.app[SETTINGS].limits.receive_seconds
    try:
        async with asyncio.timeout(patience):
            with path.open("wb") as file:
                async for part in request.content.iter_chunked(1 << 18):
                    received += len(part)
                    if received > most:
                        raise too_large
                    await asyncio.to_thread(file.write, part)
    except TimeoutError:
        raise InputError(f"{name}: took longer than {patience:g} seconds to come") from None


async def _take_example(request: web.Request) -> web.StreamResponse:
    session = _session(request)
    example = examples.named(request.match_info["name"])
    uploads: list[Upload] = []
    loop = asyncio.get_running_loop()
    limits = request.app[SETTINGS].limits
    store = request.app[_store]
    for kind in ("overhead", "street"):
        with store.arrival(session) as folder:
            async with request.app[_decoding]:
                upload = await loop.run_in_executor(None, example.upload, kind, folder, limits)
            store.add_upload(session, upload)
        uploads.append(upload)
    return web.json_response(
        {
            "overhead": uploads[0].describe(),
            "street": uploads[1].describe(),
            "heading": example.heading,
            "fov": example.fov,
        }
    )


async def _preview(request: web.Request) -> web.StreamResponse:
    session = _session(request)
    names = request.match_info
    upload = request.app[_store].upload(session, names["upload"], names["kind"])
    return _file(upload.preview)


async def _ask(request: web.Request) -> web.StreamResponse:
    session = _session(request)
    if (request.content_length or 0) > _JSON_BYTES:
        raise web.HTTPRequestEntityTooLarge(_JSON_BYTES, request.content_length or 0)
    try:
        wish = json.loads(await request.text())
    except ValueError:
        wish = None
    if not isinstance(wish, dict):
        raise InputError("the request is not understood; reload the page")
    question = read_question(wish, request.app[_store], session, request.app[SETTINGS])
    job = request.app[_worker].submit(session, question)
    return web.json_response({"job": job.id})


async def _job(request: web.Request) -> web.StreamResponse:
    worker = request.app[_worker]
    job = worker.job(_session(request), request.match_info["job"])
    if job is None:
        raise GoneError("this question is not known any more; press the button again")
    return web.json_response(
        {
            "state": job.state,
            "ahead": worker.ahead(job),
            "warm": worker.warm,
            "error": job.error,
            "result": job.result,
        }
    )


async def _result(request: web.Request) -> web.StreamResponse:
    session = _session(request)
    result = request.app[_store].result(session, request.match_info["result"])
    return web.json_response(result.page)


async def _layer(request: web.Request) -> web.StreamResponse:
    session = _session(request)
    result = request.app[_store].result(session, request.match_info["result"])
    name = request.match_info["name"]
    if name not in result.page["layers"]:
        raise web.HTTPNotFound(reason="no such layer")
    return _file(result.folder / f"{name}.png")


async def _download(request: web.Request) -> web.StreamResponse:
    session = _session(request)
    result = request.app[_store].result(session, request.match_info["result"])
    name = request.match_info["name"]
    if name not in FILES:
        raise web.HTTPNotFound(reason="no such file")
    ready = request.app[_worker].finished(session, result.id)
    if ready is not None:
        await ready.wait()
    path = result.folder / "files" / name
    if not path.is_file():
        raise GoneError("this file could not be written; the server's terminal says why")
    return _file(path, name)
