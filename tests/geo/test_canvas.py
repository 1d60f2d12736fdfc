"""The canvas without PyTorch equals the one with it."""

import numpy as np
import pytest
import torch

from cvsegguide.geo.canvas import street_canvas_array
from cvsegguide.geo.panorama import street_canvas


@pytest.mark.parametrize(
    ("shape", "heading", "fov", "size"),
    [
        ((416, 832), 0.0, 360.0, (64, 256)),  # shrunk to the canvas itself
        ((416, 832), 33.3, 360.0, (64, 256)),
        ((211, 503), -77.7, 360.0, (64, 256)),  # sizes without a common divisor
        ((16, 64), 123.4, 360.0, (64, 256)),  # enlarged
        ((64, 256), 359.9, 360.0, (64, 256)),
        ((300, 400), 200.1, 90.0, (64, 256)),  # a part of the circle, across its seam
        ((99, 800), -50.3, 123.4, (32, 128)),  # less than the canvas's height
    ],
)
def test_equals_the_canvas_of_training(shape, heading, fov, size):
    view = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    wanted, _ = street_canvas(
        torch.from_numpy(view).permute(2, 0, 1)[None],
        torch.tensor([heading]),
        torch.tensor([fov]),
        size,
        (90.0, 360.0),
    )
    found = street_canvas_array(view, heading, fov, size, (90.0, 360.0))
    assert found.dtype == np.float32
    assert found.shape == (3, *size)
    assert np.abs(found - wanted[0].numpy()).max() < 1e-5


def test_a_field_of_view_beyond_the_circle_is_refused():
    with pytest.raises(ValueError, match="360"):
        street_canvas_array(np.zeros((8, 16, 3), np.uint8), 0.0, 361.0, (8, 16), (90.0, 360.0))
