"""Pickles from outside: plain data comes through, code does not run."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from cvsegguide.errors import InputError
from cvsegguide.io.pickles import load_plain_pickle


class Touch:
    """Unpickling this would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", range(6))
def test_plain_data_comes_back(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "plain.pkl"
    data = {
        "a": [1, 2.5, "x", b"\xff\x00", None, True, (3, 4)],
        7: -(2**70),
        "e": "",
    }
    path.write_bytes(pickle.dumps(data, protocol))
    assert load_plain_pickle(path) == data


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_come_back(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "arrays.pkl"
    arrays = [np.arange(12.0).reshape(3, 4).T, np.array([1, 2], np.uint8), np.array(["ä", "b"])]
    path.write_bytes(pickle.dumps([*arrays, np.float32(2.5)], protocol))
    *loaded, scalar = load_plain_pickle(path)
    for array, expected in zip(loaded, arrays, strict=True):
        np.testing.assert_array_equal(array, expected)
        assert array.dtype == expected.dtype
    assert scalar == 2.5


@pytest.mark.parametrize("protocol", range(6))
def test_code_does_not_run(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps({"links": Touch(tmp_path / "made")}, protocol))
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
