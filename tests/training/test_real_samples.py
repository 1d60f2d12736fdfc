"""The whole path on real pictures: train, export, load, localise.

Three samples are trained on and the same three are localised. That shows that pictures, labels,
losses, checkpoints and the localiser fit together and that a network can learn through them; it
says nothing about places that it has not seen.
"""

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import cvsegguide
from cvsegguide.cli.main import main
from cvsegguide.landcover import NYC
from helpers.brooklyn_queens import make_sample_tree

OVERHEAD, STREET = 128, (64, 256)


def configuration(root: Path) -> dict[str, object]:
    """A network of two million parameters on tiles of 128 x 128 pixels, 0.45 m each."""
    data = {
        "class_path": "cvsegguide.data.BrooklynQueens",
        "init_args": {
            "root": str(root),
            "city": "brooklyn",
            "overhead_size": OVERHEAD,
            "street_size": list(STREET),
        },
    }
    return {
        "seed_everything": 0,
        "model": {
            "network": "mst-tiny",
            "network_arguments": {
                "overhead_size": [OVERHEAD, OVERHEAD],
                "street_size": list(STREET),
                "gsd": 0.4524,
            },
            "learning_rate": 0.002,
            "warmup_steps": 5,
        },
        "data": {"train": data, "val": data, "test": data, "batch_size": 3, "num_workers": 0},
        "trainer": {
            "max_epochs": 60,
            "check_val_every_n_epoch": 60,
            "accelerator": "cpu",
            "logger": False,
        },
    }


@pytest.mark.slow
def test_train_on_the_real_samples_and_localise_them(shared: Path, tmp_path: Path) -> None:
    root = tmp_path / "tree"
    pairs = make_sample_tree(root, shared, cities=("brooklyn",))
    config = tmp_path / "samples.yaml"
    config.write_text(yaml.safe_dump(configuration(root)))
    run = tmp_path / "run"
    assert main(["fit", "--config", str(config), "--out", str(run)]) == 0

    localizer = cvsegguide.Localizer.from_pretrained(run, device="cpu")
    correct = pixels = 0
    for number, pair in enumerate(pairs):
        folder = root / pair.city
        result = localizer.localize(
            folder / "overhead/images" / pair.tile,
            folder / "streetview/images" / pair.panorama,
            heading=0.0,
            fov=360.0,
        )
        error = 0.2262 * float(np.hypot(result.row - pair.row, result.col - pair.col))
        assert error < 3.0, f"{pair.panorama}: {error:.2f} m"
        assert result.lon == pytest.approx(pair.lon, abs=4e-5)
        assert result.lat == pytest.approx(pair.lat, abs=3e-5)
        assert result.posterior.sum() == pytest.approx(1.0, abs=1e-4)
        label = folder / "labels/landcover" / pair.tile
        truth = NYC.fold(np.asarray(Image.open(label.with_suffix(".png"))))
        correct += int((NYC.fold(result.landcover) == truth).sum())
        pixels += truth.size
        result.save(tmp_path / f"result{number + 1}")
        assert (tmp_path / f"result{number + 1}" / "posterior.tif").exists()
    assert correct / pixels > 0.85, f"land cover: {100 * correct / pixels:.1f} %"

    assert main(["test", "--config", str(run / "config.yaml"), "--out", str(tmp_path / "t")]) == 0
