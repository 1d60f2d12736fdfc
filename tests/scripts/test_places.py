"""Views over photographs and maps, at a tiny size."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cvsegguide.data import Manifest
from helpers.scripts import load


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grey avenue between red houses and a green park; the photograph shows the map's classes."""
    root = tmp_path_factory.mktemp("maps")
    ids = np.zeros((320, 320), np.uint8)
    ids[:, 150:162] = 6
    ids[40:280:24, 120:140] = 5
    ids[41:281:24, 121:140] = 5
    picture = np.full((320, 320, 3), (90, 85, 80), np.uint8)
    picture[ids == 6] = (60, 60, 62)
    picture[ids == 5] = (150, 70, 60)
    picture[100:200, 200:300] = (60, 120, 50)
    Image.fromarray(picture).save(root / "7.jpg", quality=95)
    Image.fromarray(ids).save(root / "7_landcover.png")
    return root


def test_views_show_where_their_cameras_stand(maps: Path, tmp_path: Path, capsys) -> None:
    script = load("real_places")
    out = tmp_path / "views"
    assert script.main(["make", str(maps), "--out", str(out), "--views", "3"]) == 0
    dataset = Manifest(out / "manifest.csv")
    assert len(dataset) == 3
    for index in range(3):
        sample = dataset[index]
        assert sample.overhead.shape == (3, 256, 256)
        assert sample.gsd == pytest.approx(57.9 / 256, rel=1e-3)
        # The camera is on the avenue of the map and of the photograph.
        row, col = int(sample.row), int(sample.col)
        assert sample.landcover is not None
        assert int(sample.landcover[row, col]) == 6
        colour = sample.overhead[:, max(row - 3, 0) : row + 4, max(col - 3, 0) : col + 4]
        assert float(colour.mean()) == pytest.approx(61 / 255, abs=0.05)
        assert float(sample.street.std()) > 0.02
    # The same places, cameras and street views with another overhead picture.
    other = tmp_path / "rendered"
    more = ["--views", "3", "--overhead", "rendered-coarse"]
    assert script.main(["make", str(maps), "--out", str(other), *more]) == 0
    assert (other / "manifest.csv").read_text() == (out / "manifest.csv").read_text()
    assert (other / "street/7-0.jpg").read_bytes() == (out / "street/7-0.jpg").read_bytes()
    assert (other / "overhead/7-0.png").read_bytes() != (out / "overhead/7-0.png").read_bytes()
    assert script.main(["make", str(tmp_path / "nowhere"), "--out", str(other)]) == 2
    assert "no such folder" in capsys.readouterr().err


def test_trees_stand_where_the_photograph_is_green(maps: Path) -> None:
    script = load("real_places")
    picture = np.asarray(Image.open(maps / "7.jpg"))
    ids = np.asarray(Image.open(maps / "7_landcover.png"))
    cover = script.with_vegetation(picture, ids)
    assert (cover[110:190, 210:290] == script.GRASS).all(), "even and bright: grass"
    dark = (picture * 0.5).astype(np.uint8)
    assert (script.with_vegetation(dark, ids)[110:190, 210:290] == script.CANOPY).all()
    assert (cover[ids == 6] == 6).all()
    assert not np.isin(cover[:, :100], (script.GRASS, script.CANOPY)).any()


def test_share_above_by_hand() -> None:
    script = load("real_places")
    posterior = np.zeros((10, 10), np.float32)
    posterior[2, 2], posterior[5, 5], posterior[5, 7] = 0.5, 0.2, 0.3
    assert script.share_above(posterior, 5.5, 5.5, 0.0) == pytest.approx(0.02)
    assert script.share_above(posterior, 5.5, 5.5, 2.1) == pytest.approx(0.01)
    found = script.clustered(np.array([1.0, 1.0, 9.0]), np.array(["a", "a", "b"]), 200)
    assert found["median"] == [1.0, 1.0, 9.0]
    assert found["within_1m"][0] == pytest.approx(2 / 3)


@pytest.mark.slow
def test_report_of_a_test(maps: Path, tmp_path: Path, capsys) -> None:
    from cvsegguide.cli.main import main

    script = load("real_places")
    out, result = tmp_path / "views", tmp_path / "test"
    assert script.main(["make", str(maps), "--out", str(out), "--views", "2"]) == 0
    command = ["test", "--config", "geometric-synthcity", "--weights", "synthcity"]
    command += ["--data.test", "cvsegguide.data.Manifest"]
    command += ["--data.test.path", str(out / "manifest.csv"), "--data.num_workers", "0"]
    assert main([*command, "--no-pictures", "--out", str(result)]) == 0
    assert script.main(["report", str(out), str(result), "--pictures", "1"]) == 0
    found = json.loads((result / "places.json").read_text())
    metrics = json.loads((result / "metrics.json").read_text())
    assert found["views"] == 2
    assert found["error"]["mean"][0] == pytest.approx(metrics["position"]["mean"], abs=1e-3)
    assert Image.open(result / "worst.jpg").size[0] > 1000
