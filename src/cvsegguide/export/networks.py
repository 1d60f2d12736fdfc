"""Networks in a form that can be written as a graph: tensors in, tensors out, any batch."""

from typing import Any

import torch
from torch import Tensor, nn

from cvsegguide import __version__
from cvsegguide.errors import ConfigurationError
from cvsegguide.inference import description as names
from cvsegguide.inference.description import Description
from cvsegguide.landcover import scheme_of
from cvsegguide.models.base import LocalizationModel


class ExportedNetwork(nn.Module):
    """A network with its posterior, whose inputs and outputs have names.

    Args:
        model: The network; it is copied.

    Attributes:
        inputs, outputs: Names in order (see docs/export.md).
    """

    def __init__(self, model: LocalizationModel) -> None:
        super().__init__()
        self.model: Any = model.prepare_export()
        self.inputs = [names.OVERHEAD, names.STREET]
        self.outputs = [names.HEATMAP, names.POSTERIOR]
        if model.guidance == "truth":
            self.inputs.append(names.LANDCOVER)
        if model.searches_headings:
            self.inputs.append(names.HEADINGS)
            self.outputs.append(names.HEADING_LOG)
        if self._segments():
            self.outputs.append(names.SCORES)

    def _segments(self) -> bool:
        try:
            with torch.no_grad():
                self.model.segment(torch.zeros(1, 3, *self.model.overhead_size))
        except ConfigurationError:
            return False  # guided by true land cover: it has no head of its own
        return True

    def example(self, batch: int, seed: int = 0) -> dict[str, Tensor]:
        """Inputs by name: smooth noise, the middle of the street view looking at nothing."""
        generator = torch.Generator().manual_seed(seed)

        def image(size: tuple[int, int]) -> Tensor:
            coarse = torch.rand(batch, 3, size[0] // 4, size[1] // 4, generator=generator)
            return nn.functional.interpolate(coarse, size=size, mode="bilinear")

        found = {
            names.OVERHEAD: image(self.model.overhead_size),
            names.STREET: image(self.model.street_size),
        }
        found[names.STREET][-1, :, :, : self.model.street_size[1] // 4] = 0.0
        if names.LANDCOVER in self.inputs:
            size = (batch, *self.model.overhead_size)
            found[names.LANDCOVER] = torch.randint(1, 9, size, generator=generator)
        if names.HEADINGS in self.inputs:
            found[names.HEADINGS] = torch.linspace(-20.0, 20.0, 2 * batch + 1)
        return found

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """:attr:`outputs` in order, of :attr:`inputs` in order."""
        return self.answer(self.model, *tensors)

    def answer(self, model: Any, *tensors: Tensor) -> tuple[Tensor, ...]:
        """:meth:`forward` by another model, such as the one that was copied."""
        given = dict(zip(self.inputs, tensors, strict=True))
        overhead, street = given[names.OVERHEAD], given[names.STREET]
        landcover = given.get(names.LANDCOVER)
        prediction = model(overhead, street, landcover, given.get(names.HEADINGS))
        scores = prediction.landcover
        if scores is None and names.SCORES in self.outputs:
            scores = model.segment(overhead)
        results = {
            names.HEATMAP: prediction.heatmap,
            names.POSTERIOR: model.log_posterior(prediction),
            names.HEADING_LOG: prediction.heading_log,
            names.SCORES: scores,
        }
        return tuple(results[name] for name in self.outputs)


def describe(model: LocalizationModel, name: str, license_note: str) -> Description:
    """Metadata of a network.

    Raises:
        ConfigurationError: Its land-cover channels belong to no built-in scheme.
    """
    scheme = scheme_of(model.channels)
    config = model.config()
    return Description(
        model=name,
        architecture=str(config.get("model", type(model).__name__)),
        version=__version__,
        overhead_size=model.overhead_size,
        street_size=model.street_size,
        street_extent=model.street_extent,
        gsd=float(model.gsd),
        guidance=model.guidance,
        channels=tuple(model.channels),
        channel_ids=tuple(scheme.channels.values()),
        class_ids=scheme.ids,
        class_names=tuple(entry.name for entry in scheme.classes),
        searches_headings=model.searches_headings,
        any_size=model.any_size,
        density=model.density,
        inverse_temperature=float(model.inverse_temperature()),
        license=license_note,
        config=config,
    )
