"""How a camera moved between two frames, and how sure that is."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cvsegguide.errors import InputError


@dataclass(frozen=True)
class Motion:
    """A step in the frame of the camera before it.

    Attributes:
        forward, left: Metres along the camera's heading before the step, and to its left.
        turn: Change of the heading in degrees, clockwise positive.
        covariance: ``(3, 3)`` of (forward, left, turn) in metres and degrees. None: standard
            deviations of :func:`usual_deviations`.
    """

    forward: float
    left: float = 0.0
    turn: float = 0.0
    covariance: ArrayLike | None = None

    @classmethod
    def arc(
        cls, distance: float, turn: float = 0.0, covariance: ArrayLike | None = None
    ) -> "Motion":
        """A step of ``distance`` metres along an arc that turns by ``turn`` degrees.

        The chord of the arc is shorter than the arc and leaves half of the turn to the side.
        """
        half = math.radians(turn) / 2
        chord = distance * (math.sin(half) / half if abs(half) > 1e-9 else 1.0)
        return cls(chord * math.cos(half), -chord * math.sin(half), turn, covariance)

    def matrix(self) -> NDArray[np.float64]:
        """The covariance, given or usual.

        Raises:
            InputError: It is no covariance of three numbers.
        """
        if self.covariance is None:
            return np.diag(np.square(usual_deviations(self.forward, self.left, self.turn)))
        matrix = np.asarray(self.covariance, np.float64)
        if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
            raise InputError("odometry: the covariance is not 3 x 3 finite numbers")
        if not np.allclose(matrix, matrix.T) or np.linalg.eigvalsh(matrix).min() < -1e-9:
            raise InputError("odometry: the covariance is not symmetric and positive")
        return matrix


def usual_deviations(forward: float, left: float, turn: float) -> tuple[float, float, float]:
    """Standard deviations of odometry that says nothing of its own: metres, metres, degrees.

    Those of wheel or visual odometry of ordinary quality: 3 % of the way ahead, 2 % sideways, 3 %
    of the turn, and a little that is always there.
    """
    way = math.hypot(forward, left)
    return 0.1 + 0.03 * way, 0.1 + 0.02 * way, 0.5 + 0.03 * abs(turn)


def displacements(
    motion: Motion, headings: NDArray[np.float64], spread: float = 0.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A step on the map for each heading it may begin with.

    Args:
        motion: The step.
        headings: ``(K,)`` degrees clockwise from the map's up.
        spread: Degrees of a heading's bin: within it the way ahead is not known any better.

    Returns:
        ``(K, 2)`` metres (down, right), and ``(K, 2, 2)`` covariances of the same.
    """
    angle = np.radians(np.asarray(headings, np.float64))
    sine, cosine = np.sin(angle), np.cos(angle)
    # columns: what one metre ahead, and one to the left, are on the map (down, right)
    turned = np.stack(
        [np.stack([-cosine, -sine], axis=-1), np.stack([sine, -cosine], axis=-1)], axis=-2
    )  # (K, down/right, forward/left)
    body = np.array([motion.forward, motion.left])
    covariance = motion.matrix()[:2, :2]
    across = math.radians(spread) ** 2 / 12
    covariance = covariance + across * np.array(
        [[body[1] ** 2, -body[0] * body[1]], [-body[0] * body[1], body[0] ** 2]]
    )
    return turned @ body, turned @ covariance @ turned.transpose(0, 2, 1)
