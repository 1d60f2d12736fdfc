"""The conditions of a sweep, its table and its plot."""

import pytest
import torch

from cvsegguide.evaluation.sweeps import Degraded, conditions, sweep_table
from helpers.tiny import TinyPairs


def figures(mean: float, **more) -> dict:
    position = {"mean": mean, "mean_low": mean - 0.1, "mean_high": mean + 0.1, "median": mean,
                "recall_5m": 0.5}  # fmt: skip
    return {"position": position, "baselines": {"tile centre": {"mean": 20.0}}, **more}


def test_views_are_as_narrow_and_headings_as_wrong_as_they_are_said_to_be() -> None:
    found = conditions()
    for fov in (360, 180, 108, 70):
        condition = found[f"{fov}° view, known heading"]
        sample = Degraded(TinyPairs(length=2), condition.transforms)[1]
        # The tiny views have 32 columns: an extent is as good as half a column.
        assert sample.fov == pytest.approx(fov, abs=360 / 32)
        assert condition.heading_error == 0
    errors = [condition.heading_error for condition in found.values()]
    assert errors == [0, 0, 0, 0, 10, 45, 180]


def test_the_same_sample_is_cut_in_the_same_way_again() -> None:
    narrow = Degraded(TinyPairs(length=3), conditions()["70° view, known heading"].transforms)
    assert narrow[2].heading == narrow[2].heading
    assert torch.equal(narrow[2].street, narrow[2].street)
    assert len({narrow[i].heading for i in range(3)}) > 1


def test_the_table_tells_headings_where_they_were_searched() -> None:
    plain = sweep_table({"a": figures(1.0), "b": figures(2.0)})
    assert "heading, median °" not in plain[0]
    assert [row[0] for row in plain[1]] == ["a", "b", "tile centre"]
    head, rows = sweep_table({"a": figures(1.0), "b": figures(2.0, heading={"median": 3.21})})
    assert head[-1] == "heading, median °"
    assert [row[-1] for row in rows] == ["-", "3.2", "-"]
    assert {len(row) for row in rows} == {len(head)}
