"""Figures as cells of a table; ``-`` where there is none."""

from collections.abc import Mapping
from typing import Any


def number(value: Any, digits: int = 2, factor: float = 1.0) -> str:
    """A figure times ``factor``; None is no figure."""
    return "-" if value is None else f"{factor * float(value):.{digits}f}"


def with_interval(
    figures: Mapping[str, Any], name: str, digits: int = 2, factor: float = 1.0
) -> str:
    """A figure times ``factor``, and its interval where ``{name}_low`` and ``_high`` are given."""
    low, high = figures.get(f"{name}_low"), figures.get(f"{name}_high")
    text = number(figures.get(name), digits, factor)
    if text == "-" or low is None or high is None:
        return text
    return f"{text} [{number(low, digits, factor)}, {number(high, digits, factor)}]"


def signed(figures: Mapping[str, Any], name: str) -> str:
    """A difference in metres, signed, with its interval: of ``value``, ``low`` and ``high``."""
    if name not in figures:
        return "-"
    entry = figures[name]
    return f"{entry['value']:+.2f} [{entry['low']:+.2f}, {entry['high']:+.2f}]"
