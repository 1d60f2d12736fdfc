"""Views of a made panorama: what is shown is told right, and errors are those of arithmetic."""

import argparse
import csv
import json
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from cvsegguide.errors import InputError
from cvsegguide.geo import GeoReference, angular_difference
from helpers.scripts import load

TILE = (154_400, 197_000)
REFERENCE = GeoReference.from_tile(19, *TILE, 256, 256)


@pytest.fixture
def script() -> ModuleType:
    return load("camera_heights")


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A panorama whose red is its column, that looks to 30 degrees, from pixel (100, 60)."""
    view = np.zeros((64, 256, 3), np.uint8)
    view[..., 0] = np.arange(256)
    Image.fromarray(view).save(tmp_path / "street.png")
    lon, lat = REFERENCE.rowcol_to_lonlat(100.0, 60.0)
    path = tmp_path / "manifest.csv"
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["overhead", "street", "heading", "lon", "lat"])
        for _ in range(5):
            table.writerow(["tile.png", "street.png", 30.0, float(lon), float(lat)])
    return path


class Answering:
    """Answers 3 pixels south and 4 east of the truth, the further the less it is told."""

    def __init__(self) -> None:
        self.asked: list[SimpleNamespace] = []

    def localize(self, overhead: Path, street: np.ndarray, **told: object) -> SimpleNamespace:
        self.asked.append(SimpleNamespace(street=street, **told))
        scale = {None: 3, 0.8: 1, "unknown": 2}[told["camera_height"]]
        return SimpleNamespace(
            reference=REFERENCE, gsd=0.5, row=100.0 + 3 * scale, col=60.0 + 4 * scale
        )


def test_views_are_told_as_they_are(script: ModuleType, manifest: Path) -> None:
    localizer = Answering()
    options = argparse.Namespace(seed=1, fov=90.0, heading_error=10.0)
    errors = script.measured(localizer, manifest, 0.8, options)

    assert errors["usual"] == pytest.approx([7.5] * 5, abs=0.01)
    assert errors["known"] == pytest.approx([2.5] * 5, abs=0.01)
    assert errors["searched"] == pytest.approx([5.0] * 5, abs=0.01)
    offs = []
    for asked in localizer.asked:
        assert asked.street.shape == (64, 64, 3)
        assert asked.fov == 90.0
        assert asked.heading_error == 10.0
        # The centre lies between two columns; column c of the panorama looks to 30 degrees
        # and (c + 0.5) / 256 of a turn, less half of one.
        left = int(asked.street[0, 31, 0])
        true = 30.0 + ((left + 1.0) / 256 - 0.5) * 360
        offs.append(angular_difference(asked.heading, true))
    assert np.abs(offs).max() <= 10.0 + 1e-6
    assert len({round(off, 3) for off in offs}) == 5  # one of each view, three times told
    assert len({asked.street[0, 0, 0] for asked in localizer.asked}) > 1


def test_a_height_that_is_no_height_is_said(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise InputError("rig: no")

    monkeypatch.setattr(script, "generate", refuse)
    assert script.main(["--out", str(tmp_path), "--height", "0.8"]) == 2
    assert "camera_heights: error: rig: no" in capsys.readouterr().err
    assert "0.8 m" not in script.cameras.RIGS
    assert script.main(["--out", str(tmp_path), "--fov", "5"]) == 2


def test_the_table_of_heights(
    script: ModuleType, manifest: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys
) -> None:
    made: list[float] = []

    def city(folder: Path, height: float, tiles: int, seed: int) -> Path:
        made.append(height)
        return manifest

    monkeypatch.setattr(script, "city", city)
    loader = SimpleNamespace(from_pretrained=lambda name: Answering())
    monkeypatch.setattr("cvsegguide.Localizer", loader, raising=False)
    command = ["--out", str(tmp_path / "out"), "--height", "0.8"]
    assert script.main(command) == 0
    shown = capsys.readouterr().out
    assert "| 0.8 | 7.50 [7.50, 7.50] | 0 | 2.50 [2.50, 2.50] | 100 | 5.00 [5.00, 5.00] |" in shown
    folder = tmp_path / "out/fov-360-heading-0"
    assert (folder / "heights.md").read_text() == shown
    figures = json.loads((folder / "heights.json").read_text())
    assert figures["0.8"]["known"] == pytest.approx([2.5] * 5, abs=0.01)
    # What is measured is measured.
    assert script.main(command) == 0
    assert made == [0.8]
