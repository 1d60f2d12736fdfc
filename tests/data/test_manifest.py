"""Manifests: positions by every way of giving them, faults named, and the documented example."""

import csv
import json
import math
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyarrow
import pytest
from affine import Affine
from PIL import Image
from pyarrow import parquet
from rasterio.crs import CRS
from rasterio.warp import transform

from cvsegguide.data import Manifest
from cvsegguide.data.brooklyn_queens import BrooklynQueens
from cvsegguide.data.datamodule import DataModule
from cvsegguide.errors import ConfigurationError, DatasetError
from helpers.brooklyn_queens import make_tree, tile_lonlat
from helpers.files import write_picture, write_raster, write_table

X, Y = 154514, 197033
TILE = f"tiles/19/{X}/{Y}.png"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_picture(tmp_path / TILE, 256, 256)
    write_picture(tmp_path / "plain.png", 300, 300)
    write_picture(tmp_path / "views/a.jpg", 512, 128)
    write_picture(tmp_path / "views/b.jpg", 512, 256)
    write_picture(tmp_path / "views/phone.jpg", 400, 200)
    return tmp_path


def row_of(folder: Path, **cells: Any) -> Any:
    """The sample of a table with one row."""
    row = {"overhead": "plain.png", "street": "views/a.jpg", **cells}
    return Manifest(write_table(folder / "pairs.csv", [row]))[0]


def test_slippy_name_gives_the_place(folder: Path) -> None:
    lon, lat = tile_lonlat(X, Y, 60.25, 200.5)
    sample = row_of(folder, overhead=TILE, lon=repr(lon), lat=repr(lat), heading=370, id="mine")
    assert sample.id == "mine"
    assert (sample.row, sample.col) == pytest.approx((60.25, 200.5), abs=1e-5)
    assert sample.gsd == pytest.approx(0.22616, abs=1e-5)
    assert sample.heading == pytest.approx(10.0)
    assert sample.fov == 360.0
    assert sample.bounds == pytest.approx(
        (*tile_lonlat(X, Y, 256, 0), *tile_lonlat(X, Y, 0, 256)), abs=1e-9
    )
    assert sample.landcover is None


def test_bounds_in_the_table(folder: Path) -> None:
    bounds = {"west": 10.0, "south": 50.0, "east": 10.001, "north": 50.001}
    # A pixel of 0.001 degrees is narrower than high at 50 degrees north: not a square.
    with pytest.raises(DatasetError, match=r"line 2, column 'overhead': 300 x 300 pixels of"):
        row_of(folder, lon=10.0005, lat=50.0005, **bounds)
    wide = {**bounds, "east": 10.0 + 0.001 / math.cos(math.radians(50.0005))}
    sample = row_of(folder, lon=10.0, lat=50.001, **wide)
    assert (sample.row, sample.col) == pytest.approx((0.0, 0.0), abs=1e-6)
    sample = row_of(folder, lon=wide["east"], lat=50.00025, **wide)
    assert (sample.row, sample.col) == pytest.approx((192.0, 256.0), abs=1e-6)
    assert sample.gsd == pytest.approx(math.radians(0.001) * 6378137 / 256, rel=1e-4)


def test_rows_and_columns_with_gsd(folder: Path) -> None:
    sample = row_of(folder, row=150, col=75, gsd=0.5)
    assert (sample.row, sample.col) == pytest.approx((128.0, 64.0))
    assert sample.gsd == pytest.approx(0.5 * 300 / 256)
    assert sample.bounds is None
    native = Manifest(folder / "pairs.csv", overhead_size=None)[0]
    assert native.overhead.shape == (3, 300, 300)
    assert (native.row, native.col, native.gsd) == (150, 75, 0.5)


def test_geotiff_brings_its_own_georeference(folder: Path) -> None:
    """A UTM raster far from its central meridian: up is not true north, and headings say so."""
    west, north = 735000.0, 4520000.0  # zone 18: about 2.8 degrees east of the central meridian
    place = Affine(0.3, 0, west, 0, -0.3, north)
    write_raster(folder / "tile.tif", np.full((3, 200, 200), 90, np.uint8), place)
    (lon,), (lat,) = transform("EPSG:32618", "EPSG:4326", [west + 0.3 * 50], [north - 0.3 * 120])
    sample = row_of(folder, overhead="tile.tif", lon=repr(lon), lat=repr(lat), heading=90)
    assert (sample.row, sample.col) == pytest.approx((120 * 1.28, 50 * 1.28), abs=1e-3)
    assert sample.gsd == pytest.approx(0.3 / 1.28, rel=2e-3)  # the scale of UTM is not 1
    # Meridian convergence by the textbook: (lon - lon0) sin(lat).
    convergence = (lon + 75) * math.sin(math.radians(lat))
    assert convergence > 1
    # Grid up is `convergence` clockwise of true north, so east is less far from up.
    assert sample.heading == pytest.approx(90 - convergence, abs=0.01)


def test_street_views_of_other_extent(folder: Path) -> None:
    half = row_of(folder, row=1, col=1, gsd=1, street="views/phone.jpg", fov=90, heading=200)
    # 90 x 45 degrees at 512 pixels a circle: 128 x 64.
    assert half.street.shape == (3, 64, 128)
    assert (half.fov, half.heading) == (90.0, 200.0)
    full = row_of(folder, row=1, col=1, gsd=1, street="views/b.jpg")
    assert full.street.shape == (3, 128, 512)
    write_picture(folder / "views/square.png", 400, 400)
    with pytest.raises(DatasetError, match=r"line 2, column 'fov': 360 degrees over 400 x 400"):
        row_of(folder, row=1, col=1, gsd=1, street="views/square.png")
    row = {"overhead": "plain.png", "street": "views/a.jpg", "row": 1, "col": 1, "gsd": 1}
    rows = [{**row, "street": "views/phone.jpg", "fov": 90}, row]
    manifest = Manifest(write_table(folder / "mixed.csv", rows))
    (batch,) = DataModule(test=manifest, batch_size=2, num_workers=0).test_dataloader()
    assert batch.street.shape == (2, 3, 128, 512)


def test_land_cover_and_another_class_scheme(folder: Path) -> None:
    ids = np.zeros((300, 300), np.uint8)
    ids[:, 200:] = 40
    ids[:100, :200] = 70
    Image.fromarray(ids).save(folder / "cover.png")
    place = {"row": 150, "col": 75, "gsd": 0.2262, "landcover": "cover.png"}
    plain = row_of(folder, **place)
    assert set(np.unique(plain.landcover)) == {0, 40, 70}
    (folder / "scheme.toml").write_text(
        'name = "other"\n[channels]\nbuilding = 40\n"tree canopy" = 70\n'
        '[[classes]]\nid = 40\nname = "house"\ncolor = [9, 9, 9]\nchannel = "building"\n'
        '[[classes]]\nid = 70\nname = "wood"\ncolor = [9, 9, 9]\nchannel = "tree canopy"\n'
        '[[classes]]\nid = 0\nname = "unknown"\ncolor = [9, 9, 9]\n'
    )
    sample = Manifest(folder / "pairs.csv", scheme=folder / "scheme.toml")[0]
    assert sample.landcover is not None
    assert sample.sightline is not None
    assert int(sample.landcover[200, 200]) == 5
    assert int(sample.landcover[10, 10]) == 1
    assert int(sample.landcover[200, 10]) == 0
    assert float(sample.sightline[:, 180:].max()) == 0.0  # the house and all behind it
    assert float(sample.sightline[10, 10]) > 0.0
    (folder / "scheme.toml").write_text(
        'name = "x"\n[channels]\nlava = 1\n[[classes]]\nid = 1\nname = "lava"\ncolor = [1, 1, 1]\n'
        'channel = "lava"\n'
    )
    with pytest.raises(ConfigurationError, match="guidance channel 'lava' is not one"):
        Manifest(folder / "pairs.csv", scheme=folder / "scheme.toml")


def test_splits_and_names(folder: Path) -> None:
    base = {"overhead": "plain.png", "row": 1, "col": 1, "gsd": 1}
    rows = [
        {**base, "street": "views/a.jpg", "split": "train"},
        {**base, "street": "views/b.jpg", "split": "test"},
        {**base, "street": "views/a.jpg", "split": "test"},
    ]
    path = write_table(folder / "pairs.csv", rows)
    every = Manifest(path)
    assert [every.sample_id(i) for i in range(3)] == ["views/a#1", "views/b", "views/a#3"]
    test = Manifest(path, split="test")
    assert [test[i].id for i in range(2)] == ["views/b", "views/a#3"]
    with pytest.raises(
        DatasetError, match=r"no row has the split 'val' \(there are: test, train\)"
    ):
        Manifest(path, split="val")


@pytest.mark.parametrize(("code", "named"), [(4326, True), (2263, True), (2263, False)])
def test_geoparquet(folder: Path, code: int, named: bool) -> None:
    lon, lat = tile_lonlat(X, Y, 100, 30)
    x, y = lon, lat
    if code != 4326:
        (x,), (y,) = transform("EPSG:4326", f"EPSG:{code}", [lon], [lat])
    point = struct.pack("<BI2d", 1, 1, x, y)
    crs = CRS.from_epsg(code).to_dict(projjson=True)
    if not named:
        crs.pop("id", None)
    geo = {
        "version": "1.1.0",
        "primary_column": "geometry",
        "columns": {"geometry": {"encoding": "WKB", "geometry_types": ["Point"], "crs": crs}},
    }
    table = pyarrow.table(
        {"overhead": [TILE], "street": ["views/a.jpg"], "heading": [45.0], "geometry": [point]}
    ).replace_schema_metadata({"geo": json.dumps(geo)})
    parquet.write_table(table, folder / "pairs.parquet")
    sample = Manifest(folder / "pairs.parquet")[0]
    assert (sample.row, sample.col) == pytest.approx((100, 30), abs=0.02)
    assert sample.heading == 45.0


def test_plain_parquet_with_missing_cells(folder: Path) -> None:
    lon, lat = tile_lonlat(X, Y, 100, 30)
    pandas.DataFrame(
        {
            "overhead": [TILE, "plain.png"],
            "street": ["views/a.jpg", "views/b.jpg"],
            "lon": [lon, None],
            "lat": [lat, None],
            "row": [None, 3.0],
            "col": [None, 4.0],
            "gsd": [None, 1.0],
        }
    ).to_parquet(folder / "pairs.parquet")
    manifest = Manifest(folder / "pairs.parquet", overhead_size=None)
    assert (manifest[0].row, manifest[0].col) == pytest.approx((100, 30), abs=1e-5)
    assert (manifest[1].row, manifest[1].col) == (3.0, 4.0)


def test_unusable_tables(folder: Path) -> None:
    path = folder / "pairs.csv"
    for content, message in (
        (b"", "not a readable table"),
        (b"a,b\n1,2\n", r"has no column 'overhead' \(it has: a, b\)"),
        (
            b"overhead,street,row,col\nplain.png,views/none.jpg,1,1\n",
            r"line 2, column 'street': .*none\.jpg: no such file",
        ),
    ):
        path.write_bytes(content)
        with pytest.raises(DatasetError, match=message):
            Manifest(path)
    (folder / "pairs.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(DatasetError, match=r"pairs\.parquet: not a readable table"):
        Manifest(folder / "pairs.parquet")
    with pytest.raises(DatasetError, match="no such file"):
        Manifest(folder / "nothing.csv")
    path.write_text("overhead,street,row,col,gsd\nplain.png,views/a.jpg,1,1,1\n")
    with pytest.raises(DatasetError, match="has no column 'split'"):
        Manifest(path, split="train")
    (folder / "plain.png").write_bytes((folder / "plain.png").read_bytes()[:300])
    with pytest.raises(DatasetError, match=r"plain\.png: ") as caught:
        Manifest(path)[0]
    assert "\n" not in str(caught.value)


def test_documented_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs docs/data.md: its table, and the code under it, on pictures of the names it uses."""
    text = (Path(__file__).parents[2] / "docs/data.md").read_text()
    (table,) = re.findall(r"```csv\n(.*?)```", text, re.DOTALL)
    (code,) = re.findall(r"```python\n# manifest\n(.*?)```", text, re.DOTALL)
    pairs = make_tree(tmp_path / "bq", cities=("queens",))
    dataset = BrooklynQueens(tmp_path / "bq", "queens")
    folder = tmp_path / "my-city"
    folder.mkdir()
    (folder / "pairs.csv").write_text(table)
    for number, cells in enumerate(csv.DictReader(table.splitlines())):
        overhead, street = dataset.paths(number)
        for source, name in ((overhead, cells["overhead"]), (street, cells["street"])):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(source.read_bytes())
        if cells["landcover"]:
            source = tmp_path / "bq/queens/labels/landcover" / pairs[number].tile
            (folder / cells["landcover"]).parent.mkdir(parents=True, exist_ok=True)
            (folder / cells["landcover"]).write_bytes(source.with_suffix(".png").read_bytes())
    monkeypatch.chdir(tmp_path)
    printed: list[str] = []
    exec(code, {"print": lambda *parts: printed.append(" ".join(map(str, parts)))})
    promised = re.findall(r"^(?:    )?# -> (.*)$", code, re.MULTILINE)
    assert printed == promised


def test_positions_may_be_what_one_asks_for(folder: Path) -> None:
    rows = [
        {"overhead": TILE, "street": "views/a.jpg", "row": "", "col": ""},
        {"overhead": TILE, "street": "views/b.jpg", "row": 20, "col": 30},
    ]
    path = write_table(folder / "pairs.csv", rows)
    with pytest.raises(DatasetError, match=r"line 2.*'lon': the camera has no position"):
        Manifest(path)
    unknown, known = Manifest(path, positions="optional")
    assert math.isnan(unknown.row)
    assert math.isnan(unknown.col)
    assert unknown.bounds == known.bounds
    assert (known.row, known.col) == (20, 30)
    bare = write_table(folder / "bare.csv", [{"overhead": TILE, "street": "views/a.jpg"}])
    (only,) = Manifest(bare, positions="optional")
    assert math.isnan(only.row)
