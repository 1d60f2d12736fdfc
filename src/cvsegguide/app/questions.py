"""What the page asks, from JSON, checked."""

import math
from dataclasses import dataclass
from typing import Any

from cvsegguide.app.sessions import Session, Store
from cvsegguide.app.settings import Settings
from cvsegguide.app.uploads import Upload
from cvsegguide.errors import InputError


@dataclass(frozen=True)
class Question:
    """What somebody wants to know.

    Attributes:
        overhead, street: The pictures.
        model: Index into :attr:`~cvsegguide.app.settings.Settings.models`.
        heading: Azimuth of the street view's centre in degrees, None when unknown.
        heading_error: By how many degrees it may be off, either way.
        fov: Horizontal extent of the street view in degrees.
        lens: Whether it is a photograph through an ordinary lens, not equirectangular.
        gsd: Metres per overhead pixel, None when the picture knows or nobody does.
        bounds: ``(west, south, east, north)`` in degrees, or None.
    """

    overhead: Upload
    street: Upload
    model: int = 0
    heading: float | None = 0.0
    heading_error: float = 0.0
    fov: float = 360.0
    lens: bool = False
    gsd: float | None = None
    bounds: tuple[float, float, float, float] | None = None


def read_question(
    wish: dict[str, Any], store: Store, session: Session, settings: Settings
) -> Question:
    """What the page asks, checked.

    Raises:
        InputError: A value is missing or out of range; the message is for the page.
        GoneError: A picture is not kept any more.
    """

    def number(key: str, words: str, low: float, high: float) -> float | None:
        value = wish.get(key)
        if value is None:
            return None
        fine = isinstance(value, int | float) and not isinstance(value, bool)
        if not fine or not math.isfinite(value) or not low <= value <= high:
            raise InputError(f"{words}: a number from {low:g} to {high:g} is wanted")
        return float(value)

    for key, words in (("overhead", "an overhead image"), ("street", "a street view")):
        if not isinstance(wish.get(key), str):
            raise InputError(f"{words} is missing: drop one, or choose an example")
    model = wish.get("model", 0)
    if not isinstance(model, int) or not 0 <= model < len(settings.models):
        raise InputError("model: choose one of the list")
    bounds = wish.get("bounds")
    if bounds is not None:
        fine = isinstance(bounds, list) and len(bounds) == 4
        if not fine or not all(isinstance(value, int | float) for value in bounds):
            raise InputError("bounds: west, south, east and north are wanted, in degrees")
        bounds = tuple(float(value) for value in bounds)
    overhead = store.upload(session, wish["overhead"], "overhead")
    fov = number("fov", "field of view", 1, 360)
    gsd = number("gsd", "metres per pixel", 0.001, 1000)
    heading = number("heading", "heading", -360, 720)
    error = number("heading_error", "error of the heading", 0, 180)
    return Question(
        overhead=overhead,
        street=store.upload(session, wish["street"], "street"),
        model=model,
        heading=heading,
        heading_error=0.0 if error is None or heading is None else error,
        fov=360.0 if fov is None else fov,
        lens=wish.get("lens") is True,
        gsd=None if overhead.reference is not None else gsd,
        bounds=bounds,
    )
