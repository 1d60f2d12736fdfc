"""Street views that do not fill the canvas from top to bottom."""

import numpy as np
import pytest
import torch

from cvsegguide.geo.filling import filled_up_and_down
from cvsegguide.inference.localizer import Localizer
from helpers.models import ColourModel


def shown(view: np.ndarray, **options: float) -> torch.Tensor:
    """The canvas that reaches the network, 16 rows of 90 degrees."""
    model = ColourModel()
    overhead = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    Localizer(model, device="cpu").localize(overhead, view, gsd=model.gsd, **options)
    assert model.last_street is not None
    return model.last_street[0]


def stripes(rows: int = 64, columns: int = 256) -> np.ndarray:
    """Each sixteenth of the height has a grey of its own, brighter towards the ground."""
    grey = (np.arange(rows) // (rows // 16) * 10 + 40).astype(np.uint8)
    return np.repeat(np.repeat(grey[:, None, None], columns, axis=1), 3, axis=2)


def test_rows_that_a_view_does_not_reach_hold_what_it_shows_last():
    whole = shown(stripes())
    part = shown(stripes()[16:48])  # 45 of 90 degrees

    expected = whole[:, [4] * 4 + list(range(4, 12)) + [11] * 4]
    np.testing.assert_allclose(part, expected, atol=2 / 255)
    assert float(whole[0, 0, 0]) < float(part[0, 0, 0])


def test_details_are_repeated_above_and_not_below():
    canvas = torch.rand(2, 3, 16, 8) + 0.1
    canvas[..., :3] = 0  # columns that are not seen
    found = filled_up_and_down(canvas, 90.0, 45.0)
    mean = canvas[:, :, 11, 3:].mean(dim=-1)

    assert torch.equal(found[:, :, 4:12], canvas[:, :, 4:12])
    assert torch.equal(found[:, :, :4], canvas[:, :, 4:5].expand(-1, -1, 4, -1))
    torch.testing.assert_close(found[:, :, 12:, 3:], mean[..., None, None].expand(-1, -1, 4, 5))
    assert not found[..., :3].any()
    np.testing.assert_allclose(filled_up_and_down(canvas.numpy(), 90.0, 45.0), found, atol=1e-6)


def test_columns_that_a_view_does_not_reach_stay_black():
    part = shown(stripes()[16:48, 64:192], fov=180.0)  # 180 degrees wide, 45 high
    assert not part[..., :16].any()
    assert not part[..., 48:].any()
    assert (part[..., 17:47] > 0.1).all()


def test_a_view_that_fills_the_canvas_is_left_alone():
    canvas = torch.rand(1, 3, 16, 8)
    for vertical in (90.0, 90.0 - 1e-9, 120.0, 180.0):
        assert filled_up_and_down(canvas, 90.0, vertical) is canvas


@pytest.mark.parametrize("vertical", [84.0, 80.0])
def test_a_row_that_is_seen_in_part_is_not_repeated(vertical):
    """A row has 5.625 degrees: either height leaves the first and the last row unseen in part."""
    canvas = torch.arange(1.0, 17.0)[None, None, :, None].expand(1, 3, 16, 8)
    found = filled_up_and_down(canvas, 90.0, vertical)
    assert found[0, 0, :, 0].tolist() == pytest.approx([2, *range(2, 16), 15])
    np.testing.assert_array_equal(filled_up_and_down(canvas.numpy(), 90.0, vertical), found)


def test_a_sliver_is_left_alone():
    canvas = torch.rand(1, 3, 16, 8)
    assert filled_up_and_down(canvas, 90.0, 3.0) is canvas
