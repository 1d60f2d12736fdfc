"""Pickles from outside: plain data comes through, code does not run."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from cvsegguide.errors import InputError
from cvsegguide.io.pickles import load_plain_pickle
from helpers.files import Hostile


@pytest.mark.parametrize("protocol", range(6))
def test_plain_data_and_arrays_come_back(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "plain.pkl"
    data = {"a": [1, 2.5, "x", b"\xff\x00", None, True, (3, 4)], 7: -(2**70), "e": ""}
    arrays = [np.arange(12.0).reshape(3, 4).T, np.array([1, 2], np.uint8), np.array(["ä", "b"])]
    path.write_bytes(pickle.dumps([data, np.float32(2.5), *arrays], protocol))
    plain, scalar, *loaded = load_plain_pickle(path)
    assert plain == data
    assert scalar == 2.5
    for array, expected in zip(loaded, arrays, strict=True):
        np.testing.assert_array_equal(array, expected)
        assert array.dtype == expected.dtype


@pytest.mark.parametrize("protocol", range(6))
def test_code_does_not_run(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps({"links": Hostile(tmp_path / "made")}, protocol))
    with pytest.raises(InputError, match=r"evil\.pkl: .*mkdir"):
        load_plain_pickle(path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps([1, 2, 3])[:-2]])
def test_damaged_files_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "damaged.pkl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"damaged\.pkl"):
        load_plain_pickle(path)
    with pytest.raises(InputError, match=r"absent\.pkl"):
        load_plain_pickle(tmp_path / "absent.pkl")
