"""bfloat16 in compiled loops, which compute in float32.

NumPy has no such type: its bits, the upper half of a float32's, are a uint16. Maps of either type
go through the same loops.
"""

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic, overload

_BITS = ir.IntType(32)


def _number(value: int) -> Any:
    return ir.Constant(_BITS, value)


def _widening(_: Any, bits: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        upper = builder.shl(builder.zext(arguments[0], _BITS), _number(16))
        return builder.bitcast(upper, ir.FloatType())

    return types.float32(types.uint16), generate


def _narrowing(_: Any, value: Any) -> Any:
    """To the nearest, of two the even one."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits = builder.bitcast(arguments[0], _BITS)
        odd = builder.and_(builder.lshr(bits, _number(16)), _number(1))
        rounded = builder.add(builder.add(bits, _number(0x7FFF)), odd)
        return builder.trunc(builder.lshr(rounded, _number(16)), ir.IntType(16))

    return types.uint16(types.float32), generate


_widened: Any = intrinsic(_widening)
_narrowed: Any = intrinsic(_narrowing)


def float_of(value: Any) -> Any:
    """An element of a map as float32, in compiled loops."""
    return value


@overload(float_of)
def _float_of(value: Any) -> Any:
    if value == types.uint16:

        def of_half(value: Any) -> Any:
            return _widened(value)

        return of_half

    def of_whole(value: Any) -> Any:
        return value

    return of_whole


def as_in(before: Any, value: Any) -> Any:
    """A float32 as the map has it that ``before``, what stood there, is an element of."""
    return value


@overload(as_in)
def _as_in(before: Any, value: Any) -> Any:
    if before == types.uint16:

        def as_half(before: Any, value: Any) -> Any:
            return _narrowed(value)

        return as_half

    def as_whole(before: Any, value: Any) -> Any:
        return value

    return as_whole
