"""Which of the ranked regions the camera stands in."""

import numpy as np
from numpy.typing import NDArray

from cvsegguide.inference.regions import regions


def true_region(
    posterior: NDArray[np.floating], row: float, col: float
) -> tuple[int, float, list[float]]:
    """Rank and probability of the region that holds a position, and all probabilities.

    Args:
        posterior: ``(H, W)``, sums to 1.
        row, col: The true position in pixels.

    Returns:
        ``(rank, probability, probabilities)``: rank 0 and probability 0 when the position lies in
        no region.
    """
    height, width = posterior.shape
    y, x = min(max(int(row), 0), height - 1), min(max(int(col), 0), width - 1)
    found = regions(posterior)
    probabilities = [region.probability for region in found]
    for region in found:
        top, left = y - region.top, x - region.left
        high, wide = region.cutout.shape
        if 0 <= top < high and 0 <= left < wide and region.cutout[top, left]:
            return region.rank, region.probability, probabilities
    return 0, 0.0, probabilities
