"""What a desktop GIS finds in the files.

Asked of GDAL through rasterio and pyogrio.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.warp import transform as warp

from cvsegguide.geo import GeoReference
from cvsegguide.inference.regions import regions
from cvsegguide.inference.result import Localization
from cvsegguide.io.geotiff import create_geotiff, write_geotiff
from cvsegguide.io.vectors import write_geojson
from cvsegguide.landcover import NYC

SIDE = 300
MERCATOR = GeoReference.from_tile(19, 154400, 197000, SIDE, SIDE)
UTM = GeoReference("EPSG:32618", (0.2, 0.0, 583_000.0, 0.0, -0.2, 4_507_000.0), SIDE, SIDE)


def localization(reference: GeoReference | None) -> Localization:
    """A ring around the middle, which has a hole, and a disc beside it."""
    row, col = np.mgrid[:SIDE, :SIDE] + 0.5
    radius = np.hypot(row - 150, col - 150)
    mass = np.where((radius > 40) & (radius < 60), 1.0, 0.0)
    mass += np.where(np.hypot(row - 30, col - 30) < 12, 30.0, 0.0)
    posterior = (mass / mass.sum()).astype(np.float32)
    landcover = (np.arange(SIDE * SIDE).reshape(SIDE, SIDE) // 5 % 9).astype(np.uint8)
    return Localization(
        posterior=posterior,
        landcover=landcover,
        row=30.0,
        col=30.0,
        lon=None,
        lat=None,
        heading=0.0,
        regions=regions(posterior, reference=reference),
        gsd=0.2,
        model="test",
        version="0",
        bounds=None,
        reference=reference,
    )


@pytest.fixture(scope="module", params=[MERCATOR, UTM], ids=["mercator", "utm"])
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a localisation."""
    folder = tmp_path_factory.mktemp("result")
    return localization(request.param).save(folder)


def test_rasters_for_rasterio(saved: Path) -> None:
    """The same without GDAL's programs, which not everybody has."""
    result = localization(None)
    with rasterio.open(saved / "posterior.tif") as dataset:
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert np.array_equal(dataset.read(1), result.posterior)
        assert float(dataset.tags(1)["STATISTICS_STDDEV"]) == pytest.approx(
            float(result.posterior.std(dtype=np.float64)), rel=1e-5
        )
        assert dataset.block_shapes == [(256, 256)]
        assert dataset.descriptions[0]
        assert dataset.nodata is None, "every pixel has a probability"
        assert (dataset.mask_flag_enums, dataset.dtypes) == (([MaskFlags.all_valid],), ("float32",))
        reference = MERCATOR if dataset.crs.to_epsg() == 3857 else UTM
        assert f"EPSG:{dataset.crs.to_epsg()}" == reference.crs
        assert tuple(dataset.transform)[:6] == pytest.approx(reference.transform, abs=1e-6)
        assert dataset.shape == (reference.height, reference.width)
        for name, value in (
            ("MINIMUM", 0.0),
            ("MAXIMUM", result.posterior.max()),
            ("MEAN", result.posterior.mean(dtype=np.float64)),
        ):
            said = float(dataset.tags(1)[f"STATISTICS_{name}"])
            assert said == pytest.approx(float(value), rel=1e-5), name
        assert float(dataset.tags(1)["STATISTICS_VALID_PERCENT"]) == 100
    with rasterio.open(saved / "landcover.tif") as dataset:
        assert dataset.nodata == 0
        assert np.array_equal(dataset.read(1), result.landcover)
        assert dataset.colormap(1)[5] == (*NYC.palette[5].tolist(), 255)
        assert float(dataset.tags(1)["STATISTICS_MINIMUM"]) == 1, "no data does not count"
        assert dataset.overviews(1) == [2]
        assert dataset.colorinterp == (ColorInterp.palette,)
        assert dataset.colormap(1)[0][3] == 0, "no data is seen through"
        assert np.array_equal(dataset.dataset_mask() > 0, result.landcover > 0)
        for entry in NYC.classes[1:]:
            assert dataset.colormap(1)[entry.id] == (*entry.color, 255)
            assert dataset.tags()[f"CLASS_{entry.id}"] == entry.name


def test_large_rasters_have_overviews(tmp_path: Path) -> None:
    """Down to one tile; of classes the most frequent one, never a mean that is another class."""
    band = np.full((1100, 1500), 2, np.uint8)
    band[::3] = 8
    with create_geotiff(tmp_path / "a.tif", band.shape, "uint8", palette=NYC.palette) as write:
        for top in range(0, 1100, 512):
            write(band[top : top + 512], top)
    with rasterio.open(tmp_path / "a.tif") as dataset:
        assert dataset.overviews(1) == [2, 4, 8]
        assert np.array_equal(dataset.read(1), band)
        assert set(np.unique(dataset.read(1, out_shape=(138, 188)))) == {2}
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


def test_a_raster_without_any_valid_pixel(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "a.tif", np.zeros((300, 20), np.uint8), nodata=0, palette=NYC.palette)
    with rasterio.open(tmp_path / "a.tif") as dataset:
        assert not dataset.read(1).any()


# -- vectors --------------------------------------------------------------------------------


def check_rfc7946(collection: dict[str, Any]) -> None:
    """The rules of the standard that can be checked in one file."""
    assert collection["type"] == "FeatureCollection"
    assert "crs" not in collection
    points = []
    for feature in collection["features"]:
        assert feature["type"] == "Feature"
        assert {"geometry", "properties"} <= feature.keys()
        shape = feature["geometry"]
        assert shape["type"] in ("Polygon", "MultiPolygon")
        parts = shape["coordinates"] if shape["type"] == "MultiPolygon" else [shape["coordinates"]]
        for rings in parts:
            for number, ring in enumerate(rings):
                assert len(ring) >= 4
                assert ring[0] == ring[-1]
                turns_left = shapely.LinearRing(ring).is_ccw
                assert turns_left == (number == 0), "right-hand rule"
                points += ring
    lon, lat = zip(*points, strict=True)
    assert collection["bbox"] == [min(lon), min(lat), max(lon), max(lat)]
    assert all(-180 <= x <= 180 for x in lon)
    assert all(-90 <= y <= 90 for y in lat)
    assert all(round(value, 7) == value for value in (*lon, *lat))


def test_regions_follow_the_standard(saved: Path) -> None:
    text = (saved / "regions.geojson").read_text(encoding="utf-8")
    collection = json.loads(text, parse_constant=pytest.fail)
    check_rfc7946(collection)
    assert len(collection["features"]) > 1
    assert collection["features"][0]["properties"]["rank"] == 1


def test_a_hole_runs_the_other_way(tmp_path: Path) -> None:
    outer = [(0.0, 0.0), (0.0, 9.0), (9.0, 9.0), (9.0, 0.0), (0.0, 0.0)]
    inner = [(row / 3 + 3, col / 3 + 3) for row, col in outer]
    for first, second in ((outer, inner), (outer[::-1], inner[::-1])):
        write_geojson(tmp_path / "a.geojson", [([[first, second]], {"rank": 1})], MERCATOR)
        collection = json.loads((tmp_path / "a.geojson").read_text())
        check_rfc7946(collection)
        assert len(collection["features"][0]["geometry"]["coordinates"]) == 2


def test_regions_for_gdal(saved: Path) -> None:
    """GDAL's reader finds polygons on WGS84, each a valid one, as large as we say."""
    pyogrio = pytest.importorskip("pyogrio")
    path = saved / "regions.geojson"
    features = json.loads(path.read_text(encoding="utf-8"))["features"]
    meta, _, shapes, values = pyogrio.raw.read(path)
    assert meta["crs"] == "EPSG:4326"
    assert "Polygon" in meta["geometry_type"]
    columns = dict(zip(meta["fields"], values, strict=True))
    assert columns["rank"].tolist() == [feature["properties"]["rank"] for feature in features]
    assert columns["probability"].dtype == np.float64
    polygons = shapely.from_wkb(shapes)
    assert shapely.is_valid(polygons).all()
    assert pyogrio.read_info(path)["total_bounds"] == pytest.approx(shapely.total_bounds(polygons))
    with rasterio.open(saved / "posterior.tif") as dataset:
        for polygon in polygons:
            inside = shapely.point_on_surface(polygon)
            (x,), (y,) = warp("EPSG:4326", dataset.crs, [inside.x], [inside.y])
            ((value,),) = dataset.sample([(x, y)])
            assert value > 0, "regions lie where the posterior does"
