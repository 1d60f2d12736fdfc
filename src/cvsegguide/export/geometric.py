"""The geometric network in operations that every runtime has.

Complex numbers and Fourier transforms stay out of the file. A transform along an axis is a product
with a constant matrix of cosines and sines; correlation, inverse transform and interpolation
between cells are those of :mod:`cvsegguide.models.geometric.matching`, written with real and
imaginary parts. Headings are an input of any length, so that nothing may depend on their number:
what the network computes between the cells for the likeliest headings only, the file computes for
all of them and then leaves the others out, too.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cvsegguide.models.base import Prediction
from cvsegguide.models.geometric.matching import padded_size
from cvsegguide.models.geometric.network import LIKELY_HEADINGS, GeometricModel
from cvsegguide.models.geometric.overhead import CELL, OverheadFeatures
from cvsegguide.models.geometric.street import StreetFeatures

NEVER = -1e30
"""Logarithm of a probability of zero; infinities would become NaN in an interpolation."""

Complex = tuple[Tensor, Tensor]
"""Real and imaginary part."""


class Transforms(nn.Module):
    """Two-dimensional Fourier transforms between fixed sizes, as products of matrices.

    Args:
        map_size: ``(H, W)`` of maps in cells.
        radius: Of templates in cells.
    """

    def __init__(self, map_size: tuple[int, int], radius: int) -> None:
        super().__init__()
        self.map_size, self.radius = map_size, radius
        self.padded = padded_size(map_size, radius)
        template = (2 * radius + 1, 2 * radius + 1)
        for name, size in (("map", map_size), ("template", template)):
            for axis, (side, whole) in enumerate(zip(size, self.padded, strict=True)):
                count = whole if axis == 0 else whole // 2 + 1
                angle = _angles(torch.arange(count), torch.arange(side), whole)
                self._keep(f"{name}_{axis}", angle.cos(), -angle.sin())
        for fine in (1, CELL):
            for axis, (side, whole) in enumerate(zip(map_size, self.padded, strict=True)):
                places = torch.arange(fine * side, dtype=torch.float64) / fine
                places = places - radius + (1 - fine) / (2 * fine)
                self._keep(f"inverse_{fine}_{axis}", *_inverse_matrix(places, whole, axis))

    def _keep(self, name: str, cosine: Tensor, sine: Tensor) -> None:
        self.register_buffer(f"{name}_cos", cosine.float(), persistent=False)
        self.register_buffer(f"{name}_sin", sine.float(), persistent=False)

    def _pair(self, name: str) -> Complex:
        return getattr(self, f"{name}_cos"), getattr(self, f"{name}_sin")

    def forward(self, values: Tensor, kind: str) -> Complex:
        """Spectrum ``(..., P, Q)`` of ``"map"`` or ``"template"`` values ``(..., h, w)``."""
        (row_cos, row_sin), (col_cos, col_sin) = self._pair(f"{kind}_0"), self._pair(f"{kind}_1")
        real, imaginary = values @ col_cos.T, values @ col_sin.T
        return (
            row_cos @ real - row_sin @ imaginary,
            row_cos @ imaginary + row_sin @ real,
        )

    def inverse(self, spectrum: Complex, fine: int) -> Tensor:
        """See :func:`cvsegguide.models.geometric.matching.scores_at`."""
        rows, cols = self._pair(f"inverse_{fine}_0"), self._pair(f"inverse_{fine}_1")
        real, imaginary = spectrum
        down_real = rows[0] @ real - rows[1] @ imaginary
        down_imaginary = rows[0] @ imaginary + rows[1] @ real
        image: Tensor = down_real @ cols[0].T - down_imaginary @ cols[1].T
        return image


def _angles(frequencies: Tensor, places: Tensor, whole: int) -> Tensor:
    """``(frequencies, places)`` radians; products of whole numbers are reduced exactly."""
    product = frequencies.double()[:, None] * places.double()[None, :]
    return product.remainder(whole) * (2 * math.pi / whole)


def _inverse_matrix(places: Tensor, whole: int, axis: int) -> Complex:
    """What the frequencies of an axis contribute at ``places`` (in cells): ``(places, n)``."""
    if axis == 0:
        frequencies = torch.fft.fftfreq(whole, d=1 / whole, dtype=torch.float64)
    else:
        frequencies = torch.arange(whole // 2 + 1, dtype=torch.float64)
    angle = places[:, None] * frequencies[None, :] * (2 * math.pi / whole)
    cosine, sine = angle.cos() / whole, angle.sin() / whole
    highest = frequencies.abs() == whole / 2
    if axis == 0:
        # half of it in either direction
        sine = torch.where(highest, 0.0, sine)
    else:
        # of a real image: frequencies stand for their negatives, too
        twice = torch.where((frequencies == 0) | highest, 1.0, 2.0)
        cosine, sine = cosine * twice, sine * twice
    return cosine, sine


def correlated(spectrum: Complex, template: Complex) -> Complex:
    """See :func:`cvsegguide.models.geometric.matching.correlate`."""
    real, imaginary = (part.unsqueeze(1) for part in spectrum)
    other_real, other_imaginary = template
    return (
        (real * other_real + imaginary * other_imaginary).sum(dim=2),
        (imaginary * other_real - real * other_imaginary).sum(dim=2),
    )


class ExportedGeometricModel(GeometricModel):
    """A :class:`GeometricModel` that searches any number of headings, and nothing else."""

    transforms: Transforms

    def prepare(self) -> None:
        """Make the constants, once the size of the overhead image is settled."""
        height, width = (side // CELL for side in self.overhead_size)
        self.transforms = Transforms((height, width), self.joint_radius)

    def _match(
        self, above: OverheadFeatures, around: StreetFeatures, headings: Tensor | None
    ) -> Prediction:
        """See :meth:`GeometricModel.match_tile`; the heading itself is left to the caller."""
        assert headings is not None
        maps = self._maps(above)
        spectrum = self.transforms(maps, "map")
        inside = self.transforms(torch.ones_like(maps[:1, :1]), "map")
        polar = self._polar(around)

        coordinates = _turned(self.coordinates, headings, self.grid.directions)
        pairs = (polar.shape[0], headings.shape[0])
        # Products with ones, not expand: runtimes read its dynamic sizes in different ways.
        every = torch.ones_like(headings).view(1, -1, 1, 1, 1)
        each = torch.ones_like(polar[:, :1, :1, :1, None])
        metric = _to_metric(
            (polar[:, None] * every).reshape(-1, *polar.shape[1:]),
            (coordinates[None] * each).reshape(-1, *coordinates.shape[1:]),
        )
        metric = metric.reshape(*pairs, *metric.shape[1:])
        weight = metric[:, :, -1:] * self.within_reach
        template = self.transforms(metric[:, :, :-1] * weight, "template")
        product = correlated(spectrum, template)
        seen = correlated(inside, self.transforms(weight, "template"))
        damped = self.transforms.inverse(seen, 1).clamp_min(1.0) ** (-self.exponent)
        prior = self.prior_weight * above.prior * float(self.prior)

        several = (torch.ones_like(headings).sum() > 1.5).to(damped.dtype)
        sharp = 1.0 + (self.search_sharpness - 1.0) * several
        cells = (self.transforms.inverse(product, 1) * damped + prior) * sharp
        fine = self.transforms.inverse(product, CELL) * _enlarged(damped) + _enlarged(prior)
        fine = fine * sharp
        mass = cells.flatten(2).logsumexp(dim=2)
        # how many headings are likelier; of equal ones the first counts
        order = torch.arange(headings.shape[0])
        likelier = mass[:, None, :] > mass[:, :, None]
        equal = (mass[:, None, :] == mass[:, :, None]) & (order[None, :] < order[:, None])
        likely = (likelier | equal).to(mass.dtype).sum(dim=2) < LIKELY_HEADINGS
        chosen = likely[:, :, None, None]
        heatmap = torch.where(chosen, fine, NEVER).logsumexp(dim=1, keepdim=True)
        others = torch.where(chosen, NEVER, cells).logsumexp(dim=1, keepdim=True)
        heatmap = torch.logaddexp(heatmap, _enlarged(others))
        log = mass.log_softmax(dim=1)
        return Prediction(above.full_landcover(), heatmap, None, log)


def _to_metric(polar: Tensor, coordinates: Tensor) -> Tensor:
    """See :func:`cvsegguide.models.geometric.polar.to_metric`; one template for each map."""
    closed = torch.cat((polar[..., -1:], polar, polar[..., :1]), dim=-1)
    return F.grid_sample(
        closed, coordinates, mode="bilinear", padding_mode="border", align_corners=True
    )


def _turned(coordinates: Tensor, turns: Tensor, directions: int) -> Tensor:
    """See :func:`cvsegguide.models.geometric.polar.turn_coordinates`."""
    columns = (coordinates[..., 0] + 1) / 2 * (directions + 1) - 1.0
    columns = columns - turns[:, None, None] * (directions / 360.0)
    x = (columns.remainder(directions) + 1.0) / (directions + 1) * 2 - 1
    return torch.stack((x, coordinates[..., 1] + torch.zeros_like(x)), dim=-1)


def _enlarged(maps: Tensor) -> Tensor:
    return F.interpolate(maps, scale_factor=CELL, mode="bilinear", align_corners=False)
