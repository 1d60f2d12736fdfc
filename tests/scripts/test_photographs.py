"""Pairs over photographs: where the camera stands in a tile, and what the manifest says of it."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pandas
import pytest
from PIL import Image

from cvsegguide.data import Manifest
from helpers.scripts import SCRIPTS, load

SIDE = 256


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A folder of open sets with one photograph: an avenue from north to south, known as such."""
    for name in ("naip_urban_tree", "oam_fair_buildings", "dubai_mbrsc", "ucmerced"):
        (tmp_path / name).mkdir()
    (tmp_path / "naip_urban_tree/trees.csv").write_text("name,x_px,y_px\n")
    streets = tmp_path / "santa_monica_roads"
    streets.mkdir()
    picture = np.full((SIDE, SIDE, 3), (90, 130, 70), np.uint8)
    picture[:, 118:132] = (70, 70, 72)
    Image.fromarray(picture).save(streets / "santa_monica_2016_1.jpg", quality=95)
    labels = np.full((SIDE, SIDE), 2, np.uint8)
    labels[:, 118:132] = 6
    Image.fromarray(labels).save(streets / "santa_monica_2016_1.png")
    return tmp_path


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SCRIPTS / "photographs")
    return load("photographs/make_places")


def test_tiles_turn_about_their_camera(script: ModuleType) -> None:
    """A white spot at the camera lies where the row says, north where the heading says."""
    random = np.random.default_rng(0)
    for gsd in (0.3, 0.6):
        image = np.zeros((400, 400, 3), np.uint8)
        image[198:203, 198:203] = 255  # about the camera
        image[178:183, 198:203, 0] = 255  # twenty pixels north of it
        photograph = script.Photograph("made", "spot", image, image[..., 0], gsd)
        place = np.array([200.5, 200.5]) * gsd
        for _ in range(6):
            tile, _, row, col, angle = script.cut_tile(photograph, image[..., 0], place, random)
            spots = np.asarray(tile).astype(float)
            yy, xx = np.mgrid[0:256, 0:256] + 0.5
            white, red = spots[..., 1], spots[..., 0] - spots[..., 1]
            found = [float((white * axis).sum() / white.sum()) for axis in (yy, xx)]
            assert found == pytest.approx([row, col], abs=0.6)
            if red.sum() < 255:  # beyond the tile
                continue
            north = [float((red * axis).sum() / red.sum()) for axis in (yy, xx)]
            length = 20 * gsd / script.GSD
            turn = np.radians(-angle)  # azimuth of north in the tile
            expected = [row - length * np.cos(turn), col + length * np.sin(turn)]
            assert north == pytest.approx(expected, abs=1.0)


@pytest.mark.slow
def test_pairs_are_what_a_manifest_reads(script: ModuleType, photographs: Path) -> None:
    out = photographs / "places"
    command = [str(photographs), "--out", str(out), "--views", "2", "--tiles", "2"]
    assert script.main(command) == 0
    table = pandas.read_csv(out / "manifest.csv")
    assert len(table) == 4
    dataset = Manifest(out / "manifest.csv")
    for index in range(len(dataset)):
        sample = dataset[index]
        row, col = int(sample.row), int(sample.col)
        near = sample.overhead[:, max(row - 2, 0) : row + 3, max(col - 2, 0) : col + 3]
        assert float(near.std(dim=0).mean()) < 0.06, "the avenue is grey"
        assert sample.street.shape == (3, 128, 512)
        assert set(sample.landcover.unique().tolist()) <= set(range(9))
    (rows,) = (out / "rows").iterdir()
    before = rows.stat().st_mtime_ns
    assert script.main(command) == 0
    assert rows.stat().st_mtime_ns == before, "what is there is left alone"
