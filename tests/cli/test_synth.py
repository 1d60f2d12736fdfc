"""``cvsegguide synth`` from the outside."""

from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from PIL import Image

from cvsegguide.cli.main import main
from cvsegguide.data import BrooklynQueens
from cvsegguide.synth import scene_from_rasters
from helpers.commands import refusal
from helpers.files import write_raster


def place(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """80 m of crossing streets between houses at 0.5 m per pixel, with a wood in a corner."""
    cover = np.zeros((160, 160), np.uint8)
    cover[70:88] = 6
    cover[:, 70:88] = 6
    cover[76:80, 20:26] = 0
    cover[100:130, 100:130] = 5
    cover[10:40, 100:125] = 5
    cover[10:50, 10:50] = 1
    cover[100:150, 10:50] = 2
    photograph = np.random.default_rng(0).integers(0, 255, (160, 160, 3)).astype(np.uint8)
    Image.fromarray(photograph).save(folder / "photo.png")
    Image.fromarray(cover).save(folder / "cover.png")
    return photograph, cover


def test_a_city(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "city"
    line = f"synth {root} --tiles 1 --seed 2 --town 1 --panoramas 1 --size 16 64 --workers 1"
    assert main(line.split()) == 0
    assert "written" in capsys.readouterr().out
    assert len(BrooklynQueens(root, city="brooklyn").tiles) == 1


@pytest.mark.parametrize("georeferenced", [False, True])
def test_a_real_place(tmp_path: Path, georeferenced: bool) -> None:
    """How large a pixel is, the photograph says, or ``--gsd``."""
    photograph, _ = place(tmp_path)
    root, file, gsd = tmp_path / "place", tmp_path / "photo.png", "--gsd 0.5"
    if georeferenced:
        gsd, where = "", Affine(0.5, 0, 583_000, 0, -0.5, 4_507_000)
        file = write_raster(tmp_path / "photo.tif", photograph.transpose(2, 0, 1), where)
    line = f"synth {root} --overhead {file} --landcover {tmp_path / 'cover.png'} --size 16 64 {gsd}"
    assert main(line.split()) == 0
    data = BrooklynQueens(root, city="brooklyn")
    assert len(data.tiles) == 1
    assert len(data) >= 3
    sample = data[0]
    assert sample.landcover is not None
    assert sample.landcover[int(sample.row), int(sample.col)] == 6
    # The overhead picture is the photograph: its middle 58 m.
    middle = photograph[22:138, 22:138].mean() / 255
    assert float(sample.overhead.mean()) == pytest.approx(middle, abs=0.03)


def test_the_scene_of_a_place(tmp_path: Path) -> None:
    _, cover = place(tmp_path)
    scene = scene_from_rasters(cover, gsd=0.5, target_gsd=0.5)
    assert (scene.landcover[76:80, 20:26] == 6).all(), "lettering belongs to the road"
    assert (scene.landcover[cover == 5] == 5).all()
    assert scene.building_height[100:130, 100:130].min() > 2
    assert (scene.building_height[cover != 5] == 0).all()
    assert (scene.canopy_top[cover == 1] > scene.canopy_base[cover == 1]).all()
    assert (scene.ground != 1).all()
    assert len(scene.trees) > 3
    assert set(np.unique(scene.landcover)) == {1, 2, 5, 6, 7}
    for row, col, azimuth in scene.cameras:
        assert scene.ground[int(row), int(col)] == 6
        if col < 60:
            assert abs((azimuth + 90) % 180 - 0) < 15 or abs((azimuth + 90) % 180 - 180) < 15
    height = np.where(cover == 5, 20.0, 0.0)
    measured = scene_from_rasters(cover, height, 0.5, target_gsd=0.5)
    assert (measured.building_height[cover == 5] == 20.0).all()
    none = scene_from_rasters(np.where(cover == 1, 2, cover), gsd=0.5)
    assert len(none.trees) == 0


def test_unusable_input_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, cover = place(tmp_path)
    photo, good = tmp_path / "photo.png", tmp_path / "cover.png"
    Image.fromarray(cover[:100]).save(tmp_path / "short.png")
    Image.fromarray(np.where(cover == 6, 77, cover)).save(tmp_path / "odd.png")
    Image.fromarray(np.where(cover == 6, 7, cover)).save(tmp_path / "roadless.png")
    (tmp_path / "text.png").write_text("no picture")
    out = tmp_path / "out"
    place_of = f"--overhead {photo} --gsd 0.5"
    wrong = [
        ("", "--tiles"),
        ("--tiles 0", "tiles"),
        ("--set tiny", "--set: there is no 'tiny'"),
        ("--set synthcity --tiles 3", "--set"),
        ("--set synthcity --test 3", "--set"),
        ("--set synthcity --fov 90", "--fov: cannot be used with --set"),
        ("--drive 0", "--drive: must lie in 2.."),
        ("--drive 3 --spacing -1", "--spacing: must lie in"),
        ("--drive 3 --town 2", "--town: cannot be used with --drive"),
        ("--drive 3 --photographs randomised", "--photographs: cannot be used with --drive"),
        (f"{place_of} --landcover {good} --town 2", "--town: cannot be used with --overhead"),
        (f"--overhead {photo} --landcover {good}", "--gsd"),
        (f"{place_of} --landcover {good} --test 3", "--test"),
        ("--tiles 1 --fov 0", "--fov"),
        ("--tiles 1 --size 128 64", "--size"),
        ("--tiles 1 --workers 0", "workers"),
        (f"{place_of} --landcover {tmp_path / 'none.png'}", "none.png"),
        (f"{place_of} --landcover {tmp_path / 'text.png'}", "text.png"),
        (f"{place_of} --landcover {tmp_path / 'short.png'}", "100 x 160"),
        (f"{place_of} --landcover {tmp_path / 'odd.png'}", "unknown id 77"),
        (f"{place_of} --landcover {tmp_path / 'roadless.png'}", "no road"),
        (f"--overhead {photo} --landcover {good} --gsd 0.1", "less than one tile"),
        (f"--overhead {photo} --landcover {good} --gsd -1", "gsd"),
    ]
    for options, message in wrong:
        assert message in refusal(f"synth {out} {options}".split(), capsys, tmp_path), options
