"""A resident training set is read once for all rows of an ablation."""

from pathlib import Path

import pytest
import torch

from cvsegguide.data import BrooklynQueens
from cvsegguide.data.loading import EpochSampler
from cvsegguide.data.resident import ResidentLoader, kept_sets
from helpers.brooklyn_queens import make_tree


def batches(root: Path, labels: list[str]) -> list[torch.Tensor]:
    dataset = BrooklynQueens(root, "brooklyn", labels=labels)
    sampler = EpochSampler(len(dataset), shuffle=False)
    loader = ResidentLoader(dataset, sampler, 2, [], torch.device("cpu"))
    return [batch.overhead for batch in loader]


def test_the_same_set_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_tree(tmp_path / "a", tiles=2, panoramas=1)
    make_tree(tmp_path / "b", tiles=1, panoramas=1)
    read: list[int] = []
    original = ResidentLoader._read

    def noted(loader: ResidentLoader) -> None:
        read.append(len(loader.dataset))  # type: ignore[arg-type]
        original(loader)

    monkeypatch.setattr(ResidentLoader, "_read", noted)
    with kept_sets():
        first = batches(tmp_path / "a", ["landcover"])
        again = batches(tmp_path / "a", ["landcover"])
        assert read == [2]
        assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
        batches(tmp_path / "a", ["landcover", "sightline"])
        assert read == [2, 2], "other labels are another set"
        batches(tmp_path / "b", ["landcover"])
        assert read == [2, 2, 1]
    batches(tmp_path / "a", ["landcover"])
    batches(tmp_path / "a", ["landcover"])
    assert read == [2, 2, 1, 2, 2], "elsewhere nothing is kept"
