"""Pickles from outside, without running what they ask to run.

A pickle is a program that may import and call anything. Here every import is refused but those
that rebuild numpy arrays; containers, strings, bytes and numbers need none.
"""

import pickle
from collections import OrderedDict
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from cvsegguide.errors import InputError


def load_plain_pickle(path: str | PathLike[str]) -> Any:
    """Read a pickle of builtin containers, strings, bytes, numbers and numpy arrays.

    Args:
        path: File, of any pickle protocol.

    Returns:
        The object.

    Raises:
        InputError: The file is missing or damaged, or asks for anything else; nothing of it has
            run then.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _PlainUnpickler(file).load()
    except _RefusedError as error:
        raise InputError(f"{path}: {error}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    except Exception as error:  # a damaged pickle fails in any way
        reason = (str(error).splitlines() or [""])[0][:120] or type(error).__name__
        raise InputError(f"{path}: not a readable pickle ({reason})") from None


class _RefusedError(pickle.UnpicklingError):
    """The pickle asks for something that is not plain data."""


def _plain_dtype(*arguments: Any, **options: Any) -> np.dtype[Any]:
    dtype: np.dtype[Any] = np.dtype(*arguments, **options)
    if dtype.hasobject:
        raise _RefusedError("holds a numpy array of objects, which is not plain data")
    return dtype


def _latin1(text: str, encoding: str) -> bytes:
    """How protocols 0 to 2 spell bytes."""
    if encoding != "latin1":
        raise _RefusedError(f"asks for the codec '{encoding[:20]}'")
    return text.encode("latin1")


def _bytes(content: bytes = b"") -> bytes:
    return bytes(memoryview(content))


def _bytearray(content: bytes = b"") -> bytearray:
    return bytearray(memoryview(content))


def _empty_array(kind: type, shape: tuple[int, ...], code: bytes) -> np.ndarray[Any, Any]:
    if kind is not np.ndarray:
        raise _RefusedError("asks for a subclass of numpy arrays")
    return np.ndarray(shape, _plain_dtype(code.decode() if isinstance(code, bytes) else code))


def _scalar(dtype: np.dtype[Any], data: bytes) -> Any:
    return np.frombuffer(data, dtype=_plain_dtype(dtype), count=1)[0]


def _from_buffer(data: Any, dtype: Any, shape: tuple[int, ...], order: str) -> Any:
    array = np.frombuffer(data, dtype=_plain_dtype(dtype))
    return array.reshape(shape, order="F" if order == "F" else "C")


PLAIN_GLOBALS: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): _plain_dtype,
    ("_codecs", "encode"): _latin1,
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("builtins", "complex"): complex,
    ("builtins", "bytes"): _bytes,
    ("builtins", "bytearray"): _bytearray,
    **{
        (f"numpy.{core}.{module}", name): function
        for core in ("core", "_core")
        for module, name, function in (
            ("multiarray", "_reconstruct", _empty_array),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _from_buffer),
        )
    },
}
"""What a pickle may import -> what it gets instead."""


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return PLAIN_GLOBALS[module.replace("__builtin__", "builtins"), name]
        except KeyError:
            wanted = f"{module}.{name}"[:80]
            raise _RefusedError(f"asks for '{wanted}', which is not plain data") from None

    def persistent_load(self, pid: Any) -> Any:
        raise _RefusedError("refers to objects outside of the pickle")
