"""The benchmarks of networks on tiny ones: what they report is what they say."""

import math
import time
from pathlib import Path

import pytest
import torch

from cvsegguide.benchmark import featup, gpu, growth, many_streets, networks, registry, segment
from cvsegguide.benchmark.memory import peak_of, peak_of_process
from cvsegguide.cli.main import main
from cvsegguide.errors import CVSegGuideError


def test_forward_and_training_step_are_measured_per_pair() -> None:
    model = networks.build("mst-tiny")
    single = networks.forward("tiny", model, 1, 2)
    several = networks.forward("tiny", model, 4, 2)
    step = networks.training_step("tiny", model, 2, 1)
    for row in (single, several, step):
        assert row.unit == "s"
        assert 0 < row.value < 5
        assert row.reference is not None
    assert "differ by at most" in single.note
    assert float(single.note.split()[-1]) < 1e-4
    assert not model.training


def test_the_reference_takes_the_plain_path(monkeypatch: pytest.MonkeyPatch) -> None:
    from cvsegguide.models import linear

    seen = []
    networks.plainly(lambda: seen.append(linear.fast_paths()))()
    assert seen == [False]
    assert linear.fast_paths()


def test_many_street_views_share_a_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("mst-tiny", "featup-tiny", "geometric-tiny"):
        model = networks.build(name)
        overhead, street = networks.pairs(model, 3)
        with torch.inference_mode():
            found = many_streets.matcher(model, overhead[:1])(street)
            expected = model(overhead[:1].expand(3, -1, -1, -1), street)
        torch.testing.assert_close(found.heatmap, expected.heatmap, atol=1e-4, rtol=1e-4)


def test_exponents() -> None:
    sizes = [1.0, 2.0, 4.0, 8.0]
    assert growth.exponent(sizes, [3 * x**1.5 for x in sizes]) == pytest.approx(1.5)
    assert growth.exponent(sizes, [None, None, None, 1.0]) is None
    assert growth.exponent(sizes, [None, None, 2.0, 1.0]) is None  # a slope that noise makes


def test_growth_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def curves(quick: bool) -> list[growth.Series]:
        series = growth.Series("batch", "squares")
        for size in (4000, 8000):
            series.add(size, lambda size=size: torch.ones(size, size).sum(), 1)  # type: ignore[misc]
        return [series]

    monkeypatch.setattr(growth, "measure", curves)
    assert main(["benchmark", "--plot", str(tmp_path / "new"), "--quick"]) == 0
    assert "batch: squares: exponent of time" in capsys.readouterr().out
    assert (tmp_path / "new/growth.png").stat().st_size > 10_000
    assert (tmp_path / "new/growth.json").is_file()


def test_peaks() -> None:
    megabytes = peak_of(lambda: torch.ones(25_000_000).sum())
    if megabytes is not None:
        assert 80 < megabytes < 250
    small = peak_of_process("x = bytearray(1)")
    assert 60 < peak_of_process("x = bytearray(100_000_000)") - small < 140
    with pytest.raises(CVSegGuideError, match="ValueError: no"):
        peak_of_process("raise ValueError('no')")


def test_code_of_the_memory_benchmark_runs() -> None:
    code = featup._CODE.format(
        threads=1, name="featup-tiny", variant="corrected", context="plain_path()"
    )
    assert peak_of_process(code) > 50


def test_segment_writes_what_it_measures(tmp_path: Path) -> None:
    model = networks.build("geometric-tiny")
    path = segment.write_raster(tmp_path / "a.tif", 100, 130, model.gsd)
    segment.segment(model, path)
    assert path.with_suffix(".out.tif").is_file()


def test_without_cuda_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    assert gpu.measure(quick=True) == []
    assert "no CUDA device" in capsys.readouterr().err


def test_seconds_of_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "clock", time.process_time)
    (slept,) = registry.median_seconds(lambda: time.sleep(0.05), repeats=1)
    (wall,) = registry.median_seconds(lambda: time.sleep(0.05), repeats=1, wall=True)
    assert slept < 0.04 <= wall
    assert math.isfinite(slept)
