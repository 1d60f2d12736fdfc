"""The benchmark of loading runs, and measures what it says."""

import pytest

from cvsegguide.benchmark import loader
from cvsegguide.data import BrooklynQueens


def test_measures_every_number_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "_STREET", (104, 208))
    monkeypatch.setattr(loader, "_against_a_network", lambda *_: [])
    results = loader.measure(quick=True)
    assert [result.name for result in results] == [
        "loading, no workers",
        "loading, 1 worker",
        "loading, 2 workers",
    ]
    for result in results:
        assert result.unit == "pairs/s"
        assert result.value > 0
        assert result.ratio is not None


def test_the_plain_reader_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reference and loader do the same work: a tree of full panoramas, all its pairs."""
    monkeypatch.setattr(loader, "_STREET", (256, 512))
    with loader._tree() as root:
        dataset = BrooklynQueens(root, "queens")
        assert len(dataset) == 8
        sample = dataset[0]
        assert sample.street.shape == (3, 128, 512)
        assert sample.sightline is not None
        assert loader._rate_of_plain_reader(dataset, 8) > 0
