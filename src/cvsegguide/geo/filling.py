"""What a street view leaves open on a network's canvas, above and below."""

import math
from typing import Any

import numpy as np


def filled_up_and_down(canvas: Any, extent: float, vertical: float) -> Any:
    """Rows that the street view does not reach hold what it shows last.

    Networks are trained with views that fill the canvas from top to bottom, and know columns that
    are not seen, but no such rows: a sky that goes on is nearer to what they know than nothing.
    Above, the first row is repeated. Below, the last row's mean colour stands: details repeated
    there would be taken for things at the camera's feet.

    Args:
        canvas: ``(..., h, w)``, an array or a tensor, zero where the view shows nothing.
        extent: Degrees that its rows span, centred on the horizon.
        vertical: Degrees that the view spans, centred on the horizon.

    Returns:
        The same type and shape.
    """
    count = canvas.shape[-2]
    # Rows that lie inside as a whole: one more is mixed with what is not there.
    spare = math.ceil((extent - vertical) / 2 / extent * count - 1e-6)
    if spare <= 0 or 2 * spare >= count:
        return canvas
    filled = canvas[..., np.maximum(np.arange(count), spare), :]
    seen = (canvas.sum(-3).sum(-2) > 0)[..., None, :] * 1.0  # columns
    last = canvas[..., count - 1 - spare, :] * seen
    mean = last.sum(-1)[..., None] / (seen.sum(-1)[..., None] + 1e-9)
    filled[..., count - spare :, :] = (mean * seen)[..., None, :]
    return filled
