"""Which headings are tried, and how the best one is read off."""

import pytest

from cvsegguide.models.headings import best_heading, heading_grid


def test_what_is_tried() -> None:
    assert heading_grid(0.0) is None
    full = heading_grid(180.0)
    assert full is not None
    assert len(full) == 64
    assert full[0] == -180.0
    assert 0.0 in full
    some = heading_grid(10.0)
    assert some is not None
    assert (float(some[0]), float(some[-1])) == (-10.0, 10.0)
    assert 0.0 in some
    assert float(some.diff().max()) <= 2.82


@pytest.mark.parametrize("true", [3.0, -41.3, 178.9, -179.5])
def test_between_the_steps_and_over_the_seam(true: float) -> None:
    turns = heading_grid(180.0)
    assert turns is not None
    away = (turns - true + 180.0).remainder(360.0) - 180.0
    found = best_heading((-(away**2) / 50.0)[None], turns)
    assert float(found) == pytest.approx(true, abs=0.05)


def test_at_the_end_of_a_range_there_is_no_vertex() -> None:
    turns = heading_grid(10.0)
    assert turns is not None
    assert float(best_heading(turns[None] * 0.3, turns)) == 10.0
