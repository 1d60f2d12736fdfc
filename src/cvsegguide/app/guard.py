"""Who may ask, and what browsers are told: nothing of other sites, and nothing for them."""

import ipaddress
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

from cvsegguide.app.settings import Settings

SETTINGS = web.AppKey("settings", Settings)

MAP_HOST = "https://tile.openstreetmap.org"
"""The only foreign place that the page may ask, and only when somebody asks for the map."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def fault(status: int, message: str, lost: bool = False) -> web.Response:
    """A message for the page; ``lost``: its whole session is gone."""
    return web.json_response({"error": message, "lost": lost}, status=status)


def is_wildcard(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return host == ""


def host_is_ours(header: str, settings: Settings) -> bool:
    """Whether a request's ``Host`` is one that the app was started for.

    A page of a stranger can make its own name point to 127.0.0.1; the browser then names the
    stranger as host.
    """
    if is_wildcard(settings.host):
        return True
    try:
        name = urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return False
    allowed = {settings.host.lower()}
    if _is_loopback(settings.host):
        allowed |= {"localhost", "127.0.0.1", "::1"}
    return name in allowed


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_public(settings: Settings) -> bool:
    """Whether other machines can reach the page."""
    return not _is_loopback(settings.host)


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what other sites send; tell browsers to ask nobody else."""
    settings = request.app[SETTINGS]
    origin = request.headers.get("Origin")
    response: web.StreamResponse
    if not host_is_ours(request.host, settings):
        response = fault(421, "this address is not served here")
    elif request.method == "POST" and origin and urlsplit(origin).netloc != request.host:
        response = fault(403, "requests of other pages are not answered")
    else:
        response = await handler(request)
    if response.prepared:
        return response
    pictures = f"'self' blob: {MAP_HOST}" if settings.web_map else "'self' blob:"
    response.headers.update(
        {
            "Content-Security-Policy": (
                "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                f"img-src {pictures}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            ),
            "X-Content-Type-Options": "nosniff",
            # The map's server wants to know who asks; the path, which names the session, stays.
            "Referrer-Policy": "strict-origin-when-cross-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
        }
    )
    response.headers.setdefault("Cache-Control", "no-store")
    return response
