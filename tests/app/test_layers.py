"""What the page shows is what was found."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cvsegguide.app.layers import (
    contours,
    describe,
    pooled,
    posterior_picture,
    write_areas,
    write_layers,
)
from cvsegguide.geo import GeoReference
from cvsegguide.inference.regions import regions
from cvsegguide.inference.result import Localization

SIDE, ROW, COL, SIGMA = 200, 80.0, 120.0, 10.0
GSD = 0.5


def gaussian() -> NDArray[np.float32]:
    rows, cols = np.mgrid[:SIDE, :SIDE] + 0.5
    mass = np.exp(-((rows - ROW) ** 2 + (cols - COL) ** 2) / (2 * SIGMA**2))
    return np.asarray(mass / mass.sum(), np.float32)


def localization(posterior: NDArray[np.float32], located: bool = True) -> Localization:
    landcover = np.full(posterior.shape, 6, np.uint8)
    landcover[:, :50] = 5
    landcover[:20] = 0
    transform = (GSD, 0.0, 585000.0, 0.0, -GSD, 4511000.0)
    reference = GeoReference("EPSG:32618", transform, *posterior.shape) if located else None
    size = reference.pixel_size if reference is not None else None
    area = None if size is None else size[0] * size[1]
    return Localization(
        posterior=posterior,
        landcover=landcover,
        row=ROW,
        col=COL,
        lon=-73.9 if located else None,
        lat=40.7 if located else None,
        heading=0.0,
        regions=regions(posterior, pixel_area=area, reference=reference),
        gsd=None if reference is None else reference.gsd,
        model="test",
        version="0",
        bounds=None if reference is None else reference.bounds,
        reference=reference,
        overhead=np.zeros((*posterior.shape, 3), np.uint8),
        street=np.zeros((64, 128, 3), np.uint8),
        pixel_size=size,
    )


def enclosed(rings: list[list[tuple[float, float]]]) -> float:
    """Area inside of rings, holes taken off by their direction."""
    total = 0.0
    for ring in rings:
        x, y = np.array(ring).T
        total += float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2
    return abs(total)


@pytest.mark.parametrize("mass", [0.5, 0.9])
def test_areas_of_a_gaussian_are_circles_of_known_size(mass: float) -> None:
    radius = SIGMA * math.sqrt(-2 * math.log(1 - mass))
    (ring,) = contours(gaussian(), mass)
    distances = [math.hypot(col - COL, row - ROW) for col, row in ring]
    assert min(distances) > radius - 0.5
    assert max(distances) < radius + 0.5
    assert enclosed([ring]) == pytest.approx(math.pi * radius**2, rel=0.02)


def test_the_outline_of_a_single_pixel_lies_around_its_centre() -> None:
    posterior = np.zeros((50, 60), np.float32)
    posterior[10, 20] = 1.0
    (ring,) = contours(posterior, 0.9)
    cols, rows = np.array(ring).T
    assert cols.mean() == pytest.approx(20.5, abs=0.3)
    assert rows.mean() == pytest.approx(10.5, abs=0.3)
    assert enclosed([ring]) < 2


def test_two_places_have_two_outlines_also_where_large_images_are_drawn_smaller() -> None:
    posterior = np.zeros((3000, 2500), np.float32)
    posterior[100:140, 200:240] = 1
    posterior[2900:2960, 2460:] = 1
    posterior /= posterior.sum()
    rings = contours(posterior, 0.9)
    assert len(rings) == 2
    for ring in rings:
        cols, rows = np.array(ring).T
        assert cols.min() >= 0
        assert cols.max() <= 2500
        assert rows.max() <= 3000


def test_numbers_of_the_page() -> None:
    page = describe(localization(gaussian()), truth=(ROW + 6, COL + 8))
    json.dumps(page)
    half, most = page["areas"]
    assert (half["mass"], most["mass"]) == (0.5, 0.9)
    assert 0.5 <= half["probability"] < 0.51
    assert most["area_m2"] == pytest.approx(most["pixels"] * GSD**2, rel=1e-2)
    assert most["share"] == pytest.approx(most["pixels"] / SIDE**2)
    truth = page["truth"]
    assert truth["error_px"] == pytest.approx(10.0)
    assert truth["error_m"] == pytest.approx(5.0, rel=1e-2)
    assert truth["inside"] == [True, True]
    far = describe(localization(gaussian()), truth=(ROW + 16, COL))["truth"]
    assert far["inside"] == [False, True]
    # Rows 0 to 19 have no class: what remains is a quarter of buildings.
    shares = {entry["name"]: entry["share"] for entry in page["legend"]}
    assert shares == {"road": pytest.approx(0.75), "building": pytest.approx(0.25)}
    assert page["regions"][0]["probability"] >= 0.9
    (west, north), (east, _), (_, south), _ = page["corners"]
    assert west < east
    assert south < north


def test_an_image_without_a_place_has_numbers_in_pixels(tmp_path: Path) -> None:
    result = localization(gaussian(), located=False)
    page = describe(result, truth=(ROW, COL + 3))
    assert page["corners"] is None
    assert page["areas"][0]["area_m2"] is None
    assert page["truth"]["error_m"] is None
    assert page["truth"]["error_px"] == pytest.approx(3)
    assert write_layers(result, tmp_path) == ["posterior", "evidence", "landcover"]


def test_layers_cover_the_image_and_show_its_values(tmp_path: Path) -> None:
    result = localization(gaussian())
    names = write_layers(result, tmp_path)
    assert names == ["posterior", "evidence", "landcover", "sight"]
    pictures = {name: np.asarray(Image.open(tmp_path / f"{name}.png")) for name in names}
    assert all(picture.shape == (SIDE, SIDE, 4) for picture in pictures.values())
    posterior, evidence = pictures["posterior"], pictures["evidence"]
    assert posterior[80, 120, 3] > 220
    assert posterior[150, 20, 3] == 0
    # A thousandth of the maximum shows on the scale of the logarithm alone.
    row = int(ROW + SIGMA * math.sqrt(2 * math.log(2000)))
    assert posterior[row, 120, 3] < 20
    assert evidence[row, 120, 3] > 40
    cover = pictures["landcover"]
    assert tuple(cover[100, 10]) == (*result.scheme.palette[5], 255)
    assert cover[5, 10, 3] == 0
    # Behind the wall of buildings nothing is seen; the street beside the camera is.
    assert pictures["sight"][80, 10, 3] > 0
    assert pictures["sight"][80, 110, 3] == 0


def test_pooling_loses_no_peak() -> None:
    values = np.zeros((1000, 701), np.float32)
    values[999, 700] = 3.0
    small = pooled(values, 100)
    assert small.shape == (100, 71)
    assert small[-1, -1] == 3.0
    assert pooled(values[:50, :50], 100).shape == (50, 50)


def test_stronger_is_denser() -> None:
    alpha = posterior_picture(np.linspace(0, 1, 50)[None])[0, :, 3].astype(int)
    assert alpha[0] == 0
    assert (np.diff(alpha) >= 0).all()


def test_areas_as_geojson(tmp_path: Path) -> None:
    result = localization(gaussian())
    write_areas(result, tmp_path / "areas.geojson")
    features = json.loads((tmp_path / "areas.geojson").read_text())["features"]
    assert [feature["properties"]["mass"] for feature in features] == [0.5, 0.9]
    assert all(feature["geometry"]["type"] == "Polygon" for feature in features)
    unlocated = replace(result, reference=None)
    write_areas(unlocated, tmp_path / "areas.geojson")
    features = json.loads((tmp_path / "areas.geojson").read_text())["features"]
    assert [feature["geometry"] for feature in features] == [None, None]
