"""Inputs side by side on threads of their own give what they give one after the other."""

import multiprocessing
import time
from collections.abc import Iterator

import pytest
import torch

from cvsegguide.lanes import each, lanes_for, parts, submit, using_threads, working
from cvsegguide.models import base
from cvsegguide.models.registry import create_model


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    with using_threads(2):
        yield


def seen_in_lane(_: int) -> tuple[int, bool, bool]:
    return torch.get_num_threads(), torch.is_inference_mode_enabled(), torch.is_grad_enabled()


def test_a_lane_has_one_thread_and_the_callers_mode() -> None:
    with torch.inference_mode():
        assert each(seen_in_lane, range(4)) == [(1, True, False)] * 4
    with torch.no_grad():
        assert each(seen_in_lane, range(4)) == [(1, False, False)] * 4
    assert each(seen_in_lane, range(4)) == [(2, False, True)] * 4  # gradients: no lanes
    assert torch.get_num_threads() == 2


def test_lanes_are_those_that_inputs_keep_busy() -> None:
    with torch.no_grad():
        assert [lanes_for(count) for count in range(5)] == [1, 1, 2, 2, 2]
        assert lanes_for(8, most=1) == 1
        torch.set_num_threads(3)
        assert [lanes_for(count) for count in range(2, 6)] == [1, 3, 1, 3]  # 4 / 6 idle too long
        torch.set_num_threads(1)
        assert lanes_for(8) == 1


def test_groups_are_few_but_keep_lanes_busy() -> None:
    def lengths(count: int, together: int) -> list[int]:
        covered = parts(count, together)
        assert [n for part in covered for n in range(count)[part]] == list(range(count))
        return [part.stop - part.start for part in covered]

    with torch.no_grad():
        assert lengths(1, 4) == [1]
        assert lengths(2, 4) == [1, 1]
        assert lengths(8, 4) == [4, 4]  # a group for each of two lanes
        assert lengths(8, 3) == [2, 2, 2, 2]
        assert lengths(5, 1) == [1] * 5
        assert lengths(9, 4) == [2, 2, 2, 3]
        assert lengths(0, 4) == [0]
        torch.set_num_threads(1)
        assert lengths(8, 4) == [4, 4]  # one after the other
        assert lengths(3, 4) == [3]
    assert lengths(9, 9) == [9]  # gradients


def test_results_come_in_order_and_errors_are_raised() -> None:
    def half(number: int) -> int:
        if number % 2:
            raise ValueError(f"{number} is odd")
        return number // 2

    with torch.no_grad():
        assert each(half, range(0, 100, 2)) == list(range(50))
        with pytest.raises(ValueError, match="3 is odd"):
            each(half, [2, 3, 4])
        assert each(half, [2, 4]) == [1, 2]  # lanes go on


def test_what_was_not_begun_is_left_out_after_an_error() -> None:
    begun = []

    def fail(number: int) -> None:
        begun.append(number)
        time.sleep(0.05)
        raise ValueError("no")

    with torch.no_grad(), pytest.raises(ValueError, match="no"):
        each(fail, range(20))
    assert len(begun) < 10


def test_threads_that_work_beside_lanes_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.no_grad():
        with working(2):
            assert torch.get_num_threads() == 1
            assert submit(seen_in_lane, 0, 2).result()[0] == 1
        assert torch.get_num_threads() == 2


@pytest.mark.parametrize("count", [4, 6, 7, 9])
def test_parts_of_a_batch_are_as_many_as_lanes(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(4)
    parts = []

    def counted(function, items):  # type: ignore[no-untyped-def]
        parts.append(len(items))
        return each(function, items)

    monkeypatch.setattr(base, "each", counted)
    model = create_model("mst-tiny").eval()
    with torch.inference_mode():
        found = model(torch.rand(count, 3, 64, 64), torch.rand(count, 3, 32, 128)).heatmap
    assert len(found) == count
    assert parts == ([] if lanes_of(count) == 1 else [4])


def lanes_of(count: int) -> int:
    with torch.no_grad():
        return lanes_for(count)


def in_child(queue: "multiprocessing.Queue[list[int]]") -> None:
    with torch.no_grad():
        queue.put(each(lambda number: number + 1, [1, 2]))


def test_a_forked_process_has_lanes_of_its_own() -> None:
    with torch.no_grad():
        each(lambda number: number, [1, 2])
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=in_child, args=(queue,))
    child.start()
    assert queue.get(timeout=60) == [2, 3]
    child.join()


def partly_seen(street: torch.Tensor) -> torch.Tensor:
    """Of each view other columns are black."""
    for number, view in enumerate(street):
        view[..., 7 * number : 7 * number + 30] = 0
    return street


@pytest.mark.parametrize(
    ("name", "turns"),
    [
        ("geometric-tiny", None),
        ("geometric-tiny", [0.0, 90.0, 180.0, 30.0, 120.0]),
        ("mst-tiny", None),
        ("featup-tiny", None),
    ],
)
def test_a_batch_is_its_pairs(name: str, turns: list[float] | None) -> None:
    torch.manual_seed(2)
    model = create_model(name).eval()
    arguments = {} if turns is None else {"headings": torch.tensor(turns)}
    overhead = torch.rand(5, 3, *model.overhead_size)
    street = partly_seen(torch.rand(5, 3, *model.street_size))
    with torch.inference_mode():
        together = model(overhead, street, **arguments)
        torch.set_num_threads(1)
        singly = [
            model(overhead[i : i + 1], street[i : i + 1], **arguments) for i in range(len(street))
        ]
    for what in ("heatmap", "landcover", "heading", "heading_log"):
        found = getattr(together, what)
        if found is None:
            assert getattr(singly[0], what) is None
            continue
        expected = torch.cat([getattr(single, what) for single in singly])
        assert torch.allclose(found, expected, atol=1e-4), what


def test_many_views_of_one_tile_are_each_their_own() -> None:
    torch.manual_seed(2)
    model = create_model("geometric-tiny").eval()
    with torch.inference_mode():
        above = model.encode_overhead(torch.rand(1, 3, *model.overhead_size))
        street = partly_seen(torch.rand(4, 3, *model.street_size))
        together = model.predict(above, model.encode_street(street)).heatmap
        for view, heatmap in zip(street, together, strict=True):
            alone = model.predict(above, model.encode_street(view[None])).heatmap
            assert torch.allclose(heatmap, alone[0], atol=1e-5)
