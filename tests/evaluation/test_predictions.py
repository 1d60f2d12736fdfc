"""The table of predictions out of the shards of several processes."""

import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from affine import Affine
from rasterio.warp import transform

from cvsegguide.data import Manifest
from cvsegguide.data.sample import collate
from cvsegguide.errors import InputError
from cvsegguide.evaluation.evaluator import Evaluator
from cvsegguide.evaluation.predictions import (
    interleave,
    to_table,
    write_predictions,
    write_predictions_geojson,
)
from cvsegguide.geo import GeoReference
from cvsegguide.models.base import Prediction
from helpers.files import write_picture, write_raster


@pytest.mark.parametrize("world", [1, 2, 3])
def test_rows_of_several_processes_are_one_table_in_order(world: int) -> None:
    rows = [{"id": str(number), "row": float(number)} for number in range(29)]
    table = interleave([to_table(rows[rank::world]) for rank in range(world)])
    assert table["id"].to_pylist() == [str(number) for number in range(29)]
    assert table["row"].to_pylist() == list(range(29))
    assert table["lon"].null_count == 29


PLACES = [(-74.1, 40.5), (-73.9, 40.8), None, (-74.3, 40.6), (-74.0, 40.9)]


def estimates(places: list[tuple[float, float] | None]) -> pa.Table:
    """A table of estimates at these places."""
    rows: list[dict[str, Any]] = []
    for number, place in enumerate(places):
        rows.append({"id": f"é{number}", "row": 1.5, "col": 2.0, "error_m": math.nan})
        if place is not None:
            rows[-1] |= {"lon": place[0], "lat": place[1], "region_p": [0.5, 0.25]}
    return to_table(rows)


def located(path: Path, places: list[tuple[float, float] | None]) -> Path:
    write_predictions(path, estimates(places))
    return path


def test_the_table_is_geoparquet(tmp_path: Path) -> None:
    """By the specification, version 1.1: metadata and well-known binary, byte by byte."""
    path = located(tmp_path / "predictions.parquet", PLACES)
    for metadata in (pq.read_metadata(path).metadata, pq.read_schema(path).metadata):
        geo = json.loads(metadata[b"geo"])
        assert geo["version"] == "1.1.0"
        column = geo["columns"][geo["primary_column"]]
        assert column["encoding"] == "WKB"
        assert column["geometry_types"] == ["Point"]
        assert column["bbox"] == [-74.3, 40.5, -73.9, 40.9]
        assert "crs" not in column, "that is, OGC:CRS84"
    table = pq.read_table(path)
    assert table.schema.field("error_m").metadata[b"description"].startswith(b"distance")
    for cell, place in zip(table["geometry"].to_pylist(), PLACES, strict=True):
        if place is None:
            assert cell is None
        else:
            assert cell[:1] == b"\x01"
            assert struct.unpack("<Idd", cell[1:]) == (1, *place)
    assert [entry.name for entry in tmp_path.iterdir()] == ["predictions.parquet"]


def test_geopandas_reads_it(tmp_path: Path) -> None:
    geopandas = pytest.importorskip("geopandas")
    frame = geopandas.read_parquet(located(tmp_path / "p.parquet", PLACES))
    assert frame.crs.equals("OGC:CRS84")
    assert [None if point is None else (point.x, point.y) for point in frame.geometry] == PLACES


def test_without_any_place(tmp_path: Path) -> None:
    path = located(tmp_path / "predictions.parquet", [None, None])
    geo = json.loads(pq.read_metadata(path).metadata[b"geo"])
    assert geo["columns"]["geometry"] == {"encoding": "WKB", "geometry_types": []}
    write_predictions_geojson(tmp_path / "p.geojson", estimates([None, None]))
    collection = json.loads((tmp_path / "p.geojson").read_text())
    assert "bbox" not in collection
    assert [feature["geometry"] for feature in collection["features"]] == [None, None]


def test_predictions_as_geojson(tmp_path: Path) -> None:
    write_predictions_geojson(tmp_path / "p.geojson", estimates(PLACES))
    text = (tmp_path / "p.geojson").read_text(encoding="utf-8")
    collection = json.loads(text, parse_constant=pytest.fail)  # NaN is no JSON
    assert collection["bbox"] == [-74.3, 40.5, -73.9, 40.9]
    first, _, nowhere, *_ = collection["features"]
    assert (first["type"], first["id"]) == ("Feature", "é0")
    assert first["geometry"] == {"type": "Point", "coordinates": [-74.1, 40.5]}
    assert first["properties"]["error_m"] is None
    assert first["properties"]["region_p"] == [0.5, 0.25]
    assert nowhere["geometry"] is None


@pytest.mark.parametrize("rows", [(3, 1), (2, 3)])
def test_gaps_and_repetitions_are_refused(rows: tuple[int, int]) -> None:
    parts = [to_table([{"id": str(number)} for number in range(count)]) for count in rows]
    with pytest.raises(InputError, match=r"predictions: process . of 2 has"):
        interleave(parts)


def test_places_and_headings_follow_the_raster_s_own_frame(tmp_path: Path) -> None:
    """A tile in UTM, far from its central meridian: bounds spread evenly miss by metres."""
    west, north, gsd, side = 735000.0, 4520000.0, 2.0, 128
    place = Affine(gsd, 0, west, 0, -gsd, north)
    write_raster(tmp_path / "tile.tif", np.full((3, side, side), 90, np.uint8), place)
    write_picture(tmp_path / "street.png", 64, 16, (90, 90, 90))
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("overhead,street,row,col,heading\ntile.tif,street.png,20,20,90\n")
    sample = Manifest(pairs, overhead_size=64)[0]
    batch = collate([sample])
    scores = torch.full((1, 64, 64), -50.0)
    scores[0, 60, 3] = 0.0  # its centre is row 121, column 7 of the file
    log_posterior = scores.flatten(1).log_softmax(1).view_as(scores)
    prediction = Prediction(None, scores[:, None], heading=batch.heading + 5.0)
    (row,) = Evaluator([], full=False).update(prediction, log_posterior, batch, None)
    (lon,), (lat,) = transform("EPSG:32618", "EPSG:4326", [west + gsd * 7.0], [north - gsd * 121.0])
    assert (row["lon"], row["lat"]) == pytest.approx((lon, lat), abs=1e-8)
    assert sample.bounds is not None
    spread = GeoReference.from_bounds(sample.bounds, 64, 64).rowcol_to_lonlat(60.5, 3.5)
    assert math.hypot(spread[0] - lon, spread[1] - lat) > 1e-5, "the test can tell"
    assert sample.heading != pytest.approx(90, abs=1)
    assert (row["heading_true"], row["heading"]) == pytest.approx((90, 95), abs=1e-3)
