"""Tables in terminals of every width."""

import pytest

from cvsegguide.evaluation.report import fitted, position_table

FIGURES = {
    "position": {
        "mean": 5.81, "mean_low": 2.02, "mean_high": 10.19, "median": 1.25, "p25": 0.5, "p75": 3.5,
        "p90": 20.2, "recall_1m": 0.43, "recall_3m": 0.7, "recall_5m": 0.76, "recall_10m": 0.81,
    },
    "posterior": {"nll": 5.82},
}  # fmt: skip


def widest(table: tuple[list[str], list[list[str]]]) -> int:
    head, rows = table
    return 1 + sum(
        max(len(name), *(len(row[i]) for row in rows)) + 3 for i, name in enumerate(head)
    )


@pytest.mark.parametrize("width", [80, 100, 140])
def test_nothing_is_cut(width: int) -> None:
    head, rows = fitted(position_table(FIGURES), width)
    assert widest((head, rows)) <= width
    assert head[:3] == ["predictor", "mean m", "median m"]
    assert rows[0][:3] == ["model", "5.81", "1.25"]
    assert "within 1 m %" in head


def test_a_wide_terminal_keeps_everything() -> None:
    table = position_table(FIGURES)
    assert fitted(table, 250) == table
    assert table[1][0][1] == "5.81 [2.02, 10.19]"
