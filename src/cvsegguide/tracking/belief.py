"""A histogram over position and heading: what is believed about the camera.

The state is a grid of cells of a map and K headings. Only a window of the map is held, which grows
with the motion and is trimmed to where the probability is. Headings turn with the camera: a turn
moves the grid of headings as a whole and costs no accuracy.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import next_fast_len
from torch import Tensor
from torch.nn import functional

from cvsegguide.geo import wrap_degrees
from cvsegguide.tracking.motion import Motion, displacements

MODE_RADIUS = 5.0
"""Metres around the estimate whose probability is that of the mode."""

LEAST_BLUR = 0.4
"""Standard deviation in cells that a step spreads at least: a cell is no point."""


@dataclass(frozen=True)
class Box:
    """A window of the map in cells; bottom and right are exclusive."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """``(rows, columns)``."""
        return self.bottom - self.top, self.right - self.left

    def grow(self, cells: int) -> "Box":
        """The box with a border around."""
        return Box(self.top - cells, self.left - cells, self.bottom + cells, self.right + cells)

    def within(self, other: "Box") -> "Box":
        """The part of the box inside another; may be empty."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        return Box(
            top,
            left,
            max(top, min(self.bottom, other.bottom)),
            max(left, min(self.right, other.right)),
        )

    def union(self, other: "Box") -> "Box":
        """The smallest box that holds both."""
        return Box(
            min(self.top, other.top),
            min(self.left, other.left),
            max(self.bottom, other.bottom),
            max(self.right, other.right),
        )

    def relative_to(self, whole: "Box") -> "Box":
        """The box in cells of another's corner."""
        top, left = whole.top, whole.left
        return Box(self.top - top, self.left - left, self.bottom - top, self.right - left)

    def slices(self, whole: "Box") -> tuple[slice, slice]:
        """Its rows and columns in those of another box that holds it."""
        inner = self.relative_to(whole)
        return slice(inner.top, inner.bottom), slice(inner.left, inner.right)


@dataclass(frozen=True)
class Estimate:
    """What a belief says of the camera.

    Attributes:
        row, col: Position in cells of the map, fractions below a cell.
        heading: Degrees clockwise from the map's up, None where it is as good as unknown.
        heading_error: Standard deviation of the heading in degrees.
        covariance: ``(2, 2)`` of (down, right) in square metres, of the mode alone.
        probability: Of the camera being within :data:`MODE_RADIUS` metres of the position.
        area: Effective area in square metres: the exponential of the entropy of the position.
    """

    row: float
    col: float
    heading: float | None
    heading_error: float
    covariance: NDArray[np.float64]
    probability: float
    area: float


@dataclass(frozen=True)
class Belief:
    """A probability mass over K headings and the cells of a window.

    Attributes:
        mass: ``(K, h, w)`` float32, sums to 1.
        box: The window on the map.
        extent: All cells of the map, which the window never leaves.
        cell: Side of a cell in metres.
        turned: Heading of the first of the K, degrees clockwise from the map's up.
    """

    mass: Tensor
    box: Box
    extent: Box
    cell: float
    turned: float = 0.0

    @classmethod
    def uniform(
        cls, box: Box, extent: Box, cell: float, headings: int, device: torch.device | str = "cpu"
    ) -> "Belief":
        """Every state of a window alike."""
        box = box.within(extent)
        shape = (headings, *box.shape)
        mass = torch.full(shape, 1.0 / math.prod(shape), device=device)
        return cls(mass, box, extent, cell)

    @classmethod
    def around(
        cls,
        row: float,
        col: float,
        deviation: float,
        extent: Box,
        cell: float,
        headings: int,
        device: torch.device | str = "cpu",
    ) -> "Belief":
        """A normal distribution about a position (in cells), every heading alike.

        Args:
            deviation: Standard deviation in metres.
        """
        sigma = max(deviation / cell, LEAST_BLUR)
        reach = math.ceil(4 * sigma)
        box = Box(int(row) - reach, int(col) - reach, int(row) + reach + 1, int(col) + reach + 1)
        empty = cls.uniform(box, extent, cell, headings, device)
        rows, cols = empty.centres()
        distance = (rows[:, None] - row) ** 2 + (cols[None] - col) ** 2
        weight = torch.exp(-distance / (2 * sigma**2))
        return empty.with_mass(weight.expand(headings, -1, -1))

    @property
    def step(self) -> float:
        """Degrees between headings."""
        return 360.0 / len(self.mass)

    def headings(self) -> NDArray[np.float64]:
        """``(K,)`` degrees in ``[0, 360)``."""
        return np.asarray((self.turned + self.step * np.arange(len(self.mass))) % 360.0)

    def centres(self) -> tuple[Tensor, Tensor]:
        """Rows ``(h,)`` and columns ``(w,)`` of the cells' centres on the map."""
        rows = torch.arange(self.box.top, self.box.bottom, device=self.mass.device) + 0.5
        cols = torch.arange(self.box.left, self.box.right, device=self.mass.device) + 0.5
        return rows, cols

    def position(self) -> Tensor:
        """``(h, w)``: the mass of each cell, all headings together."""
        return self.mass.sum(dim=0)

    def with_mass(self, mass: Tensor) -> "Belief":
        """The same window with another mass, normalised; without any, it is uniform."""
        mass = torch.nan_to_num(mass.float(), nan=0.0, posinf=0.0).clamp_min(0.0)
        total = float(mass.sum(dtype=torch.float64))
        if not total > 0:
            return replace(self, mass=torch.full_like(mass, 1.0 / mass.numel()))
        return replace(self, mass=mass / total)

    def with_headings(self, heading: float, deviation: float) -> "Belief":
        """The belief after a compass: a normal distribution about ``heading`` degrees.

        A compass may fail: a hundredth of the weight goes to every heading alike.
        """
        sigma = math.hypot(deviation, self.step / 3)
        off = (self.headings() - heading + 180.0) % 360.0 - 180.0
        weight = np.exp(-0.5 * (off / sigma) ** 2)
        weight = 0.99 * weight / weight.sum() + 0.01 / len(weight)
        column = torch.tensor(weight, dtype=torch.float32, device=self.mass.device)
        return self.with_mass(self.mass * column[:, None, None])

    def resize(self, box: Box) -> "Belief":
        """The belief on another window: mass outside is dropped, new cells are empty."""
        box = box.within(self.extent)
        if box == self.box:
            return self
        mass = self.mass.new_zeros(len(self.mass), *box.shape)
        common = box.within(self.box)
        if min(common.shape) > 0:
            mass[:, *common.slices(box)] = self.mass[:, *common.slices(self.box)]
        return replace(self, box=box).with_mass(mass)

    def support(self, rest: float) -> Box:
        """The smallest window that leaves out at most ``rest`` of the mass at each of its sides."""
        position = self.position().double()

        def ends(line: Tensor) -> tuple[int, int]:
            upward = torch.cumsum(line, 0) / line.sum()
            first = int((upward <= rest).sum())
            last = int((upward < 1 - rest).sum()) + 1
            return min(first, len(line) - 1), min(max(last, first + 1), len(line))

        top, bottom = ends(position.sum(dim=1))
        left, right = ends(position.sum(dim=0))
        box = self.box
        return Box(box.top + top, box.left + left, box.top + bottom, box.left + right)

    def move(self, motion: Motion) -> "Belief":
        """The belief after a step: shifted and spread for each heading, and turned."""
        down_right, covariance = displacements(motion, self.headings(), self.step)
        mean = down_right / self.cell
        spread = covariance / self.cell**2 + LEAST_BLUR**2 * np.eye(2)
        variances = spread[:, (0, 1), (0, 1)]
        reach = math.ceil(float((np.abs(mean) + 4.0 * np.sqrt(variances)).max()))
        wide = self.resize(self.box.grow(reach))
        # Where the map ends, room for what leaves it, so that nothing wraps around.
        height, width = (next_fast_len(side + reach, real=True) for side in wide.box.shape)
        kernel = _kernels(mean, spread, (height, width), self.mass.device)
        spectrum = torch.fft.rfft2(wide.mass, s=(height, width)) * torch.fft.rfft2(kernel)
        mass = torch.fft.irfft2(spectrum, s=(height, width))
        mass = mass[:, : wide.box.shape[0], : wide.box.shape[1]]
        # What the transforms round is not there; and a belief that left the map knows nothing.
        mass = torch.where(mass > 1e-7 * wide.mass.max(), mass, 0.0)
        deviation = math.sqrt(motion.matrix()[2, 2]) / self.step
        if deviation > 0:
            mass = _spread_headings(mass, deviation)
        turned = wrap_degrees(self.turned + motion.turn)
        return replace(wide, turned=turned).with_mass(mass)

    def update(self, likelihood: Tensor) -> tuple["Belief", float]:
        """Bayes' rule.

        Args:
            likelihood: ``(K or 1, h, w)``.

        Returns:
            The belief after it, and the evidence: the likelihood that was expected.
        """
        mass = self.mass * likelihood
        return self.with_mass(mass), float(mass.sum(dtype=torch.float64))

    def mix(self, share: float, allowed: Tensor | None = None) -> "Belief":
        """With ``share`` of the mass given to all states alike (those of ``allowed`` cells)."""
        floor = torch.ones_like(self.mass)
        if allowed is not None:
            floor = floor * allowed.to(self.mass)
        total = float(floor.sum(dtype=torch.float64))
        if total == 0:
            return self
        return self.with_mass((1 - share) * self.mass + floor * (share / total))

    def estimate(self) -> Estimate:
        """Position and heading of the mode, below the cell."""
        position = self.position()
        smooth = functional.avg_pool2d(
            position[None, None], 3, stride=1, padding=1, count_include_pad=False
        )[0, 0]
        index = int(smooth.argmax())
        rows, cols = self.centres()
        row, col = float(rows[index // position.shape[1]]), float(cols[index % position.shape[1]])
        for _ in range(40):  # mean shift: up to the mode of the smoothed mass
            weight = position * self._bell(row, col)
            before, total = (row, col), weight.sum()
            row = float((weight.sum(dim=1) * rows).sum() / total)
            col = float((weight.sum(dim=0) * cols).sum() / total)
            if math.hypot(row - before[0], col - before[1]) < 0.003:
                break
        near = self._near(row, col, MODE_RADIUS / 2)
        heading, deviation = self._heading(near)
        return Estimate(
            row=row,
            col=col,
            heading=heading,
            heading_error=deviation,
            covariance=self._covariance(position, row, col),
            probability=float((position * self._near(row, col, MODE_RADIUS)).sum()),
            area=self.area(),
        )

    def area(self) -> float:
        """The exponential of the entropy of the position, in square metres."""
        position = self.position().double()
        entropy = -torch.special.xlogy(position, position).sum()
        return float(entropy.exp()) * self.cell**2

    def _bell(self, row: float, col: float) -> Tensor:
        """Weights about a position: a normal curve, narrower than a mode, wider than a cell."""
        rows, cols = self.centres()
        sigma = max(MODE_RADIUS / 4 / self.cell, 0.8)
        down = torch.exp(-0.5 * ((rows - row) / sigma) ** 2)
        right = torch.exp(-0.5 * ((cols - col) / sigma) ** 2)
        return down[:, None] * right[None]

    def _near(self, row: float, col: float, radius: float) -> Tensor:
        rows, cols = self.centres()
        distance = torch.hypot((rows[:, None] - row), (cols[None] - col)) * self.cell
        return distance <= max(radius, 0.8 * self.cell)

    def _covariance(self, position: Tensor, row: float, col: float) -> NDArray[np.float64]:
        """About the estimate, of the cells near it that hold more than a hundredth of its peak."""
        weight = position * self._near(row, col, 3 * MODE_RADIUS)
        weight = torch.where(weight > 0.01 * weight.max(), weight, 0.0).double()
        weight = weight / weight.sum()
        rows, cols = self.centres()
        down = (rows.double() - row) * self.cell
        right = (cols.double() - col) * self.cell
        both = float((weight * down[:, None] * right[None]).sum())
        matrix = np.array(
            [
                [float((weight.sum(dim=1) * down**2).sum()), both],
                [both, float((weight.sum(dim=0) * right**2).sum())],
            ]
        )
        return matrix + np.eye(2) * self.cell**2 / 12

    def _heading(self, near: Tensor) -> tuple[float | None, float]:
        """Mean and deviation of the headings about the most probable one."""
        share = (self.mass * near).sum(dim=(1, 2)).double().cpu().numpy()
        share = share / share.sum()
        best = int(share.argmax())
        off = (self.headings() - self.headings()[best] + 180.0) % 360.0 - 180.0
        weight = np.where(np.abs(off) <= 45.0, share, 0.0)
        mean = float((weight * off).sum() / weight.sum())
        around = (off - mean + 180.0) % 360.0 - 180.0
        deviation = math.sqrt(float((share * around**2).sum()) + self.step**2 / 12)
        if weight.sum() < 0.5 and deviation > 60.0:
            return None, deviation
        return wrap_degrees(float(self.headings()[best]) + mean), deviation


def _kernels(
    mean: NDArray[np.float64],
    covariance: NDArray[np.float64],
    shape: tuple[int, int],
    device: torch.device,
) -> Tensor:
    """Normal distributions ``(K, *shape)`` about ``mean`` cells, wrapping around, sum 1."""

    def offsets(length: int) -> Tensor:
        steps = torch.arange(length, device=device)
        return torch.where(steps > length // 2, steps - length, steps).float()

    inverse = torch.tensor(np.linalg.inv(covariance), dtype=torch.float32, device=device)
    centre = torch.tensor(mean, dtype=torch.float32, device=device)
    down = offsets(shape[0])[None, :, None] - centre[:, 0, None, None]
    right = offsets(shape[1])[None, None, :] - centre[:, 1, None, None]
    a, b, d = (inverse[:, i, j, None, None] for i, j in ((0, 0), (0, 1), (1, 1)))
    kernel = torch.exp(-0.5 * (a * down**2 + 2 * b * down * right + d * right**2))
    return kernel / kernel.sum(dim=(1, 2), keepdim=True)


def _spread_headings(mass: Tensor, deviation: float) -> Tensor:
    """Diffusion around the circle of headings, of exactly this variance in steps."""
    count = len(mass)
    frequency = torch.arange(count // 2 + 1, device=mass.device) * (2 * math.pi / count)
    damping = torch.exp(deviation**2 * (torch.cos(frequency) - 1))[:, None, None]
    spread: Tensor = torch.fft.irfft(torch.fft.rfft(mass, dim=0) * damping, n=count, dim=0)
    return spread
