"""The filter: from frame to frame, what is believed about the camera.

A histogram filter (Thrun, Burgard and Fox 2005, chapter 4.1; Markov localisation) over position and
heading. Each frame the belief is moved by odometry (or spread by a random walk), multiplied by what
the picture says, and mixed with a little of a uniform distribution over its surroundings.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from cvsegguide.errors import InputError
from cvsegguide.geo import wrap_degrees
from cvsegguide.tracking.belief import Belief, Box, Estimate
from cvsegguide.tracking.likelihood import Likelihood, temper_scores
from cvsegguide.tracking.motion import Motion

MOST_STATES = 120_000_000
"""States that a belief may have: 480 MB."""


_NEAR = 8.0
"""Metres around the belief that a confident track looks at."""

_WIDE = 40_000
"""Cells (180 m square) that an unsettled track keeps looking at."""

_SETTLED = 0.9
"""Probability of the mode at which a picture counts for a settled track."""


@dataclass(frozen=True)
class Settings:
    """How the filter believes.

    Attributes:
        headings: Number of headings.
        temper: Power of a picture's likelihood, see
            :func:`~cvsegguide.tracking.likelihood.temper_scores`.
        doubt: Probability that a picture tells nothing.
        floor: Share of the belief that goes to every state around alike, each picture: how the
            track comes back from a wrong start.
        margin: Metres around the belief that are searched at least.
        every: A confident track looks at its own headings and surroundings alone, and all around
            with every so many pictures.
        walk, walk_turn: Standard deviations of a step without odometry, metres and degrees.
        patience: Pictures in a row that speak against the track before more is searched.
        settle: Pictures in a row after which a track with one probable place counts as settled.
            Until then no place that was possible is given up: one picture often favours a wrong
            street, several that fit the motion seldom do.
    """

    headings: int = 64
    temper: float = 0.3
    doubt: float = 0.2
    floor: float = 0.002
    margin: float = 25.0
    walk: float = 8.0
    walk_turn: float = 20.0
    patience: int = 4
    every: int = 4
    settle: int = 3

    def __post_init__(self) -> None:
        for name, low, high in (
            ("headings", 8, 720),
            ("temper", 0.01, 10.0),
            ("doubt", 1e-6, 0.99),
            ("floor", 0.0, 0.5),
            ("margin", 1.0, 1e4),
            ("walk", 0.01, 1e4),
            ("walk_turn", 0.0, 360.0),
            ("patience", 1, 10**6),
            ("every", 1, 10**6),
            ("settle", 0, 10**6),
        ):
            value = getattr(self, name)
            if not (math.isfinite(value) and low <= value <= high):
                raise InputError(f"must lie in {low:g}..{high:g}, got {value:g}", parameter=name)


class HistogramFilter:
    """Follows one camera, frame by frame, in cells of a map.

    Args:
        likelihood: What a picture says of the states of a map.
        settings: How it believes.
        device: Where it computes.

    Attributes:
        belief: What is believed after the last frame; None before :meth:`start`.
        evidence: Of the last picture: how much more likely it was under the belief than anywhere
            around; NaN for a frame without picture.
        lost: Whether the pictures have spoken against the track for long: more is searched.
    """

    def __init__(
        self,
        likelihood: Likelihood,
        settings: Settings | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.likelihood = likelihood
        self.settings = settings or Settings()
        self.device = torch.device(device)
        self.belief: Belief | None = None
        self.evidence = math.nan
        self.lost = False
        self._against = 0
        self._pictures = 0
        self._agreed = 0
        self._margin = self._cells(self.settings.margin)

    @property
    def settled(self) -> bool:
        """Whether one place has been probable for long enough to look at its surroundings only."""
        return self._agreed >= self.settings.settle and not self.lost

    def _cells(self, metres: float) -> int:
        return math.ceil(metres / self.likelihood.cell)

    def start(
        self,
        position: tuple[float, float] | None = None,
        deviation: float = 10.0,
        heading: float | None = None,
        heading_error: float = 10.0,
        box: Box | None = None,
    ) -> None:
        """Begin.

        Args:
            position: ``(row, col)`` in cells of the map; None: anywhere in ``box``.
            deviation: Standard deviation of it in metres.
            heading: Degrees clockwise from the map's up; None: any.
            heading_error: Standard deviation of it in degrees.
            box: Cells where the camera may be; None: the whole map.

        Raises:
            InputError: There are too many states, or the position lies off the map.
        """
        count, extent, cell = self.settings.headings, self.likelihood.extent, self.likelihood.cell
        if position is None:
            area = (box or extent).within(extent)
            if min(area.shape) < 1:
                raise InputError("lies outside the overhead imagery", parameter="start")
            if math.prod(area.shape) * count > MOST_STATES:
                side = math.sqrt(MOST_STATES / count) * cell
                metres = " x ".join(f"{length * cell:.0f}" for length in reversed(area.shape))
                raise InputError(
                    f"{metres} m are too large to begin anywhere with {count} headings "
                    f"(at most about {side:.0f} x {side:.0f} m); give a start",
                    parameter="start",
                )
            belief = Belief.uniform(area, extent, cell, count, self.device)
            known = self.likelihood.known(area)
            if not bool(known.any()):
                raise InputError("there is no overhead imagery there", parameter="start")
            belief = belief.with_mass(belief.mass * known)
        else:
            row, col = position
            if not (extent.top <= row < extent.bottom and extent.left <= col < extent.right):
                raise InputError("lies outside the overhead imagery", parameter="start")
            belief = Belief.around(row, col, deviation, extent, cell, count, self.device)
        if heading is not None:
            belief = belief.with_headings(wrap_degrees(heading), heading_error)
        self.belief = belief
        self._against, self._pictures, self._agreed, self.lost = 0, 0, 0, False
        self._margin = self._cells(self.settings.margin)

    def step(
        self,
        view: NDArray[np.uint8] | None,
        motion: Motion | None = None,
        fov: float = 360.0,
        compass: float | None = None,
        compass_error: float = 5.0,
        first: bool = False,
    ) -> Estimate:
        """Take in one frame.

        Args:
            view: ``(h, w, 3)`` uint8, the street view, or None.
            motion: The step since the previous frame, or None.
            fov: Horizontal extent of the street view in degrees.
            compass: Measured heading in degrees clockwise from the map's up, or None.
            compass_error: Standard deviation of it.
            first: The first frame of a drive: nothing moved before it.

        Returns:
            What is believed after it.
        """
        if self.belief is None:
            self.start()
        assert self.belief is not None
        belief, settings = self.belief, self.settings
        if not first:
            walk = np.diag(np.square([settings.walk, settings.walk, settings.walk_turn]))
            belief = belief.move(motion or Motion(0.0, covariance=walk))
            belief = belief.resize(belief.support(1e-5))
        if compass is not None:
            belief = belief.with_headings(compass, compass_error)
        self.evidence = math.nan
        if view is not None:
            belief = self._look(belief, view, fov)
        self.belief = belief
        estimate = belief.estimate()
        if view is not None:
            self._agreed = self._agreed + 1 if estimate.probability >= _SETTLED else 0
        return estimate

    def _look(self, belief: Belief, view: NDArray[np.uint8], fov: float) -> Belief:
        """The belief after a picture."""
        settings = self.settings
        support = belief.support(2 * settings.floor)
        sure = belief.area() < 0.1 * math.prod(support.grow(self._margin).shape) * belief.cell**2
        around = not sure or self._against > 0 or self.lost or self._pictures % settings.every == 0
        around = around or not self.settled
        self._pictures += 1
        margin = self._margin if around else min(self._margin, self._cells(_NEAR))
        while math.prod(support.grow(margin).shape) * settings.headings > MOST_STATES:
            margin //= 2
        box = support.grow(margin)
        if not self.settled:
            box = box.union(self._possible(belief))
        belief = belief.resize(box)
        known = self.likelihood.known(belief.box)
        belief = belief.mix(0.5 if self.lost else settings.floor, known)
        heading, chosen = None, torch.ones(len(belief.mass), dtype=torch.bool)
        if not self.likelihood.knows_headings:
            heading = belief.estimate().heading
        elif not around:
            share = belief.mass.sum(dim=(1, 2)).cpu()
            chosen = share > max(2 * settings.floor / len(share), 1e-4)
        with torch.inference_mode():
            scores = self.likelihood.scores(
                view, fov, belief.box, belief.headings()[chosen.numpy()], heading
            )
            likelihood = temper_scores(scores, settings.temper, settings.doubt)
        if len(likelihood) == int(chosen.sum()) < len(chosen):
            whole = torch.full_like(belief.mass, settings.doubt)
            whole[chosen.to(whole.device)] = likelihood
            likelihood = whole
        belief, self.evidence = belief.update(likelihood)
        self._watch(sure)
        return belief

    def _possible(self, belief: Belief) -> Box:
        """What is possible, as much of it as :data:`_WIDE` cells hold."""
        rest = 1e-5
        box = belief.support(rest)
        while math.prod(box.shape) > _WIDE and rest < self.settings.floor:
            rest *= 2
            box = belief.support(rest)
        return box

    def _watch(self, sure: bool) -> None:
        """Search more after pictures that a confident track did not foresee, less once it does."""
        settings = self.settings
        if self.evidence >= 2.0:
            self._against, self.lost = 0, False
            self._margin = max(self._cells(settings.margin), self._margin // 2)
            return
        self.lost = False
        if sure and self.evidence < 0.7:
            self._against += 1
        if self._against >= settings.patience:
            self._against, self.lost = 0, True
            self._margin *= 2
