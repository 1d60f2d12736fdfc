"""The site, built once; and a small world in which the documents' examples run."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio

from helpers import documents
from helpers.brooklyn_queens import make_tree
from helpers.files import write_raster


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation, built strictly: whatever MkDocs warns of is an error."""
    os.environ["NO_MKDOCS_2_WARNING"] = "1"
    pytest.importorskip("material", reason="needs cvsegguide[docs]")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    folder = tmp_path_factory.mktemp("site")
    config = load_config(
        str(documents.REPOSITORY / "mkdocs.yml"), site_dir=str(folder), strict=True
    )
    build(config)
    return folder


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of the names that the documents use; :func:`world` copies them."""
    from cvsegguide.app.uploads import EXAMPLES

    folder = tmp_path_factory.mktemp("places")
    example = EXAMPLES["roundabout"]
    shutil.copy(example["overhead"], folder / "overhead.tif")
    for name in ("street.jpg", "0.jpg", "1.jpg"):
        shutil.copy(example["street"], folder / name)
    with rasterio.open(folder / "overhead.tif") as source:
        pixels = source.read()
    side = pixels.shape[1]
    # tracking looks for its camera about 73.95 W 40.72 N
    height, width = 0.2262 * side / 111_320, 0.2262 * side / (111_320 * np.cos(np.radians(40.72)))
    transform = rasterio.transform.from_bounds(
        -73.95 - width / 2, 40.72 - height / 2, -73.95 + width / 2, 40.72 + height / 2, side, side
    )
    write_raster(folder / "city.tif", pixels, transform, "EPSG:4326")
    make_tree(folder / "data", tiles=1, outside=False)
    return folder


@pytest.fixture
def world(places: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder that holds what the documents' examples name."""
    folder = tmp_path / "world"
    shutil.copytree(places, folder)
    monkeypatch.chdir(folder)
    return folder
