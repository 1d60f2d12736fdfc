"""Pictures and a running page whose answers follow from arithmetic."""

import contextlib
import http.client
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cvsegguide.app.server import running
from cvsegguide.app.settings import Limits, Settings
from cvsegguide.inference.localizer import Localizer
from helpers.models import ColourModel

RED, BLUE, YELLOW = (200, 40, 40), (40, 40, 200), (220, 210, 40)
GROUND = (90, 120, 90)
GSD = 0.5
BOUNDS = (-73.98, 40.7, -73.9796, 40.7003)


def overhead(spots: dict[tuple[int, int], tuple[int, int, int]], side: int = 64) -> NDArray[Any]:
    """A green field with spots of 3 x 3 pixels of a colour around ``(row, col)``."""
    image = np.full((side, side, 3), GROUND, np.uint8)
    for (row, col), colour in spots.items():
        image[row - 1 : row + 2, col - 1 : col + 2] = colour
    return image


def street(
    ahead: tuple[int, int, int], right: tuple[int, int, int] = GROUND, width: int = 256
) -> NDArray[Any]:
    """A panorama of 360 degrees: one colour in its middle, another a quarter to the right."""
    image = np.full((width // 2, width, 3), GROUND, np.uint8)
    half = width // 16
    image[:, width // 2 - half : width // 2 + half] = ahead
    image[:, 3 * width // 4 - half : 3 * width // 4 + half] = right
    return image


def encoded(image: NDArray[Any], kind: str = "PNG") -> bytes:
    """A picture as a file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind)
    return buffer.getvalue()


def write_geotiff(path: Path, image: NDArray[Any], crs: str = "EPSG:32618") -> Path:
    """A GeoTIFF of three bands near New York, pixels of ``GSD`` metres."""
    import rasterio
    from affine import Affine

    with rasterio.open(
        path, "w", driver="GTiff", height=image.shape[0], width=image.shape[1], count=3,
        dtype="uint8", crs=crs, transform=Affine(GSD, 0, 585000, 0, -GSD, 4511000),
    ) as dataset:  # fmt: skip
        dataset.write(image.transpose(2, 0, 1))
    return path


@contextlib.contextmanager
def page(limits: Limits | None = None, **options: Any) -> Iterator[str]:
    """The page on a free port with a network that looks at colours alone."""
    settings = Settings(port=0, models=("colours",), limits=limits or Limits(), **options)
    with running(settings, load=load_colours) as address:
        yield address


def load_colours(name: str) -> Localizer:
    """The test double of a network, of 64 x 64 pixels of half a metre."""
    return Localizer(ColourModel(sharpness=600.0), device="cpu", name=name)


class Visitor:
    """A browser without a screen: one session."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.facts = self.post("api/sessions")
        self.session = self.facts["session"]

    def request(
        self,
        method: str,
        path: str,
        body: bytes | Iterator[bytes] | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and content of an answer."""
        parts = urlsplit(self.address)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=300)
        try:
            connection.request(method, f"/{path}", body=body, headers=headers or {})
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    def post(self, path: str, body: bytes | None = None, **headers: str) -> dict[str, Any]:
        """What a request that must succeed answers."""
        status, _, content = self.request("POST", path, body, headers)
        assert status == 200, content
        return dict(json.loads(content))

    def upload(self, kind: str, content: bytes, name: str = "picture.png") -> dict[str, Any]:
        """Bring a picture."""
        path = f"api/{self.session}/uploads/{kind}"
        return self.post(path, content, **{"X-Filename": quote(name)})

    def ask(self, **wish: Any) -> dict[str, Any]:
        """Ask, wait, and return the answer or ``{"error": ...}``; heading 0 unless said."""
        wish = {"heading": 0, **wish}
        status, _, content = self.request(
            "POST", f"api/{self.session}/jobs", json.dumps(wish).encode()
        )
        answer = json.loads(content)
        if status != 200:
            return dict(answer)
        while True:
            report = self.get_json(f"api/{self.session}/jobs/{answer['job']}")
            if report["state"] == "failed":
                return {"error": report["error"]}
            if report["state"] == "done":
                return self.get_json(f"api/{self.session}/results/{report['result']}")

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and content."""
        status, _, content = self.request("GET", path)
        return status, content

    def get_json(self, path: str) -> dict[str, Any]:
        """An answer that must succeed."""
        status, content = self.get(path)
        assert status == 200, content
        return dict(json.loads(content))
