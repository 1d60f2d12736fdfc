"""Arithmetic on linear colours, three numbers."""

from cvsegguide.synth.compiled import F32, inlined

Color = tuple[float, float, float]


@inlined
def scale(color: Color, factor: float) -> Color:
    """A colour made lighter or darker."""
    return color[0] * factor, color[1] * factor, color[2] * factor


@inlined
def blend(color: Color, other: Color, share: float) -> Color:
    """A colour with a share of another one."""
    return (
        color[0] + share * (other[0] - color[0]),
        color[1] + share * (other[1] - color[1]),
        color[2] + share * (other[2] - color[2]),
    )


@inlined
def color_at(row: F32, first: int) -> Color:
    """The colour in three columns of a row."""
    return row[first], row[first + 1], row[first + 2]


@inlined
def add(one: Color, other: Color) -> Color:
    """The light of both."""
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]


@inlined
def multiply(color: Color, light: Color) -> Color:
    """A colour in coloured light."""
    return color[0] * light[0], color[1] * light[1], color[2] * light[2]
