"""Probability mass functions over pixels: from scores, between grids, and their densest parts.

The definitions are in ``docs/results-and-posterior.md``.
"""

import numpy as np
from numpy.typing import NDArray


def mass_from_log(log_posterior: NDArray[np.floating]) -> NDArray[np.float64]:
    """Normalise log-probabilities ``(H, W)``, known up to a constant; uniform without any."""
    scores = np.asarray(log_posterior, np.float64)
    usable = np.isfinite(scores)
    if not usable.any():
        return _uniform(np.ones(scores.shape, bool))
    mass = np.zeros(scores.shape)
    mass[usable] = np.exp(scores[usable] - scores[usable].max())
    return np.asarray(mass / mass.sum())


def regrid(
    mass: NDArray[np.floating],
    size: tuple[int, int],
    valid: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """Carry a mass function over to another grid of the same extent, keeping mass where it is.

    The density is taken as bilinear between the centres of the pixels of ``mass`` (constant beyond
    the outermost) and integrated exactly over each new pixel: finer grids stay smooth, coarser
    grids sum what they cover, a flat density stays flat, and any rectangle keeps its mass up to
    what the interpolation blurs over half a pixel at its border.

    Args:
        mass: ``(h, w)``, not negative.
        size: ``(H, W)`` of the new grid.
        valid: ``(H, W)``, where False the result is 0.

    Returns:
        ``(H, W)`` float32 that sums to 1.
    """
    result = np.asarray(mass, np.float64)
    if result.shape != size:
        result = _integrate(_integrate(result, size[0]).T, size[1]).T
    if valid is not None:
        result = np.where(valid, result, 0.0)
    total = result.sum()
    if not total > 0:
        result = _uniform(valid if valid is not None else np.ones(size, bool))
        total = 1.0
    return np.ascontiguousarray(result / total, dtype=np.float32)


def _integrate(density: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Integrals of piecewise linear columns ``(n, m)`` over ``count`` equal parts of the rows."""
    length = len(density)
    if length == count:
        return density
    edges = np.linspace(0.0, length, count + 1)
    prefix = np.empty_like(density)  # integral up to the centre of each pixel
    prefix[0] = density[0] / 2
    np.cumsum((density[:-1] + density[1:]) / 2, axis=0, out=prefix[1:])
    prefix[1:] += prefix[0]
    index = np.clip(np.floor(edges - 0.5).astype(np.int64), 0, length - 1)
    following = np.minimum(index + 1, length - 1)
    # Before the first centre the offset is negative and the density constant.
    offset = (edges - 0.5 - index)[:, None]
    left = density[index]
    slope = np.where(offset < 0, 0.0, density[following] - left)
    integral = prefix[index] + left * offset + slope * offset**2 / 2
    return np.maximum(np.diff(integral, axis=0), 0.0)  # rounding may go below


def _uniform(valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.asarray(valid / max(1, int(valid.sum())), np.float64)


def highest_density_mask(posterior: NDArray[np.floating], mass: float = 0.9) -> NDArray[np.bool_]:
    """The smallest set of pixels that holds at least ``mass`` of the probability.

    Pixels are taken in the order of falling probability (of equal ones, the upper left first)
    until their sum reaches ``mass``.

    Args:
        posterior: ``(H, W)``, sums to 1.
        mass: In (0, 1].
    """
    if not 0.0 < mass <= 1.0:
        raise ValueError(f"mass must lie in (0, 1], got {mass}")
    flat = np.asarray(posterior, np.float64).ravel()
    # Pixels below (1 - mass) / N cannot sum to the rest of the mass, and need no sorting.
    least = (1.0 - mass) * flat.sum() / flat.size * (1 - 1e-6)
    falling = np.sort(flat[flat >= least])[::-1]
    cumulative = np.cumsum(falling)
    last = int(np.searchsorted(cumulative, mass * flat.sum() * (1 - 1e-9)))
    least = falling[min(last, len(falling) - 1)]
    chosen = flat > least
    # Of those that equal the least, as many as are needed.
    ties = np.flatnonzero(flat == least)
    chosen[ties[: last + 1 - int(chosen.sum())]] = True
    chosen &= flat > 0
    return np.asarray(chosen.reshape(posterior.shape))


def refined_mode(scores: NDArray[np.floating]) -> tuple[float, float]:
    """Position ``(row, col)`` of the maximum of log-probabilities ``(H, W)``, below a pixel.

    The vertex of the parabola through the maximum and its two neighbours, in each direction; at
    most half a pixel from the maximum's centre. Beside a neighbour that is not finite, or beside
    the border, it is the centre.
    """
    row, col = np.unravel_index(int(np.argmax(scores)), scores.shape)

    def vertex(line: NDArray[np.floating], index: int) -> float:
        if not 0 < index < len(line) - 1:
            return 0.0
        before, middle, after = (float(line[index + step]) for step in (-1, 0, 1))
        curvature = before - 2 * middle + after
        if not (np.isfinite(curvature) and curvature < 0):
            return 0.0
        return float(np.clip((before - after) / (2 * curvature), -0.5, 0.5))

    return (
        float(row) + 0.5 + vertex(scores[:, col], int(row)),
        float(col) + 0.5 + vertex(scores[row, :], int(col)),
    )
