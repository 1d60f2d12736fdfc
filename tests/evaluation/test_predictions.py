"""The table of predictions out of the shards of several processes."""

from pathlib import Path

import pandas as pd
import pytest

from cvsegguide.evaluation.predictions import PredictionWriter, merge_shards


@pytest.mark.parametrize("world", [1, 2, 3])
def test_shards_become_one_table_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world: int
) -> None:
    monkeypatch.setattr("cvsegguide.evaluation.predictions._GROUP", 4)
    path = tmp_path / "predictions.parquet"
    for rank in range(world):
        writer = PredictionWriter(path, rank)
        for number in range(rank, 29, world):
            writer.add([{"id": str(number), "row": float(number)}])
        writer.close()
    assert merge_shards(path, world) == 29
    table = pd.read_parquet(path)
    assert table["id"].tolist() == [str(number) for number in range(29)]
    assert table["row"].tolist() == list(range(29))
    assert [entry.name for entry in tmp_path.iterdir()] == ["predictions.parquet"]
