"""A sample of a cross-view data set, and batches of them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor

from cvsegguide.errors import InputError
from cvsegguide.geo.bounds import Bounds
from cvsegguide.geo.reference import GeoReference


class _MappingAccess:
    """Fields by ``sample["name"]`` as well as by ``sample.name``."""

    def __getitem__(self, name: str) -> Any:
        try:
            return getattr(self, name)
        except AttributeError:
            raise KeyError(name) from None

    def keys(self) -> Iterator[str]:
        return (entry.name for entry in fields(self))  # type: ignore[arg-type]


@dataclass
class Sample(_MappingAccess):
    """One street view and the overhead tile that it was taken in.

    Attributes:
        id: Unique name within the data set.
        overhead: ``(3, H, W)`` float32 in [0, 1], RGB, north up.
        street: ``(3, h, w)`` float32 in [0, 1], RGB, equirectangular, centred on the horizon;
            its vertical extent is ``fov * h / w`` degrees.
        landcover: ``(H, W)`` uint8 class ids, or None.
        row, col: Position of the camera in overhead pixels (pixel centres at +0.5).
        heading: Azimuth of the street view's centre column, degrees clockwise from north.
        fov: Horizontal extent of the street view in degrees.
        gsd: Metres per overhead pixel.
        bounds: Geographic bounds of the tile, or None.
        sightline: ``(H, W)`` float32, the published localisation target, or None.
        labels: Further rasters on the overhead grid by name (land use, building age, building
            function, height in metres), where the data set has them and they were asked for.
        reference: The tile's own frame where it is another than ``bounds`` spread evenly, as of a
            raster in a projected system; None otherwise, and once the tile was changed.
        street_range: ``(h', w')`` float32 metres along the ground to what the street view shows
            there, on a coarser grid of the same extent; 0 where that is not known, as of sky.
            None where the data set does not have it.
        valid: ``(H, W)`` bool, False where the overhead image has no data; None: it has them
            everywhere.
    """

    id: str
    overhead: Tensor
    street: Tensor
    landcover: Tensor | None
    row: float
    col: float
    heading: float
    fov: float
    gsd: float
    bounds: Bounds | None
    sightline: Tensor | None = None
    labels: dict[str, Tensor] = field(default_factory=dict)
    reference: GeoReference | None = None
    street_range: Tensor | None = None
    valid: Tensor | None = None


@dataclass
class Batch(_MappingAccess):
    """Samples stacked along a first dimension B.

    Attributes:
        id: B names.
        overhead: ``(B, 3, H, W)``; street: ``(B, 3, h, w)``; float32 in [0, 1].
        landcover: ``(B, H, W)`` uint8, or None when any sample has none.
        position: ``(B, 2)`` float32 ``(row, col)`` in overhead pixels.
        heading, fov, gsd: ``(B,)`` float32.
        bounds: B bounds or Nones.
        sightline: ``(B, H, W)`` float32, or None when any sample has none.
        labels: ``(B, H, W)`` by name, for the names that all samples have.
        references: B frames or Nones; empty: all None.
        street_range: ``(B, h', w')`` float32, 0 for samples that have none; None when none has.
        valid: ``(B, H, W)`` bool, or None when no sample has any.
    """

    id: list[str]
    overhead: Tensor
    street: Tensor
    landcover: Tensor | None
    position: Tensor
    heading: Tensor
    fov: Tensor
    gsd: Tensor
    bounds: list[Bounds | None]
    sightline: Tensor | None = None
    labels: dict[str, Tensor] = field(default_factory=dict)
    references: list[GeoReference | None] = field(default_factory=list)
    street_range: Tensor | None = None
    valid: Tensor | None = None

    def __len__(self) -> int:
        return len(self.id)

    def sample(self, index: int) -> Sample:
        """One of the samples; its tensors share memory with the batch."""
        row, col = self.position[index].tolist()
        own = self.map(lambda values: values[index])
        rasters = ("overhead", "street", "landcover", "sightline", "street_range", "valid")
        numbers = ("heading", "fov", "gsd")
        values: dict[str, Any] = {name: own[name] for name in (*rasters, "labels")}
        return Sample(
            **values | {name: float(own[name]) for name in numbers},
            id=self.id[index],
            row=row,
            col=col,
            bounds=self.bounds[index],
            reference=self.references[index] if self.references else None,
        )

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        """A copy with every tensor on ``device``."""
        return self.map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Batch":
        """A copy in page-locked memory (called by the DataLoader)."""
        return self.map(lambda tensor: tensor.pin_memory())

    def map(self, function: Callable[[Tensor], Tensor]) -> "Batch":
        """A copy with ``function`` applied to every tensor, labels included."""
        tensors: dict[str, Any] = {
            name: function(self[name]) for name in self.keys() if isinstance(self[name], Tensor)
        }
        labels = {name: function(label) for name, label in self.labels.items()}
        return replace(self, labels=labels, **tensors)


def _stack_streets(samples: Sequence[Sample]) -> tuple[Tensor, Tensor, Tensor]:
    """Street views ``(B, 3, h, w)``, headings and extents ``(B,)``, black around the smaller."""
    streets = [sample.street for sample in samples]
    headings = [sample.heading for sample in samples]
    fovs = [sample.fov for sample in samples]
    if len({street.shape for street in streets}) > 1:
        height = max(street.shape[-2] for street in streets)
        width = max(street.shape[-1] for street in streets)
        step = fovs[0] / streets[0].shape[-1]
        for i, street in enumerate(streets):
            rows, cols = street.shape[-2:]
            # Widths are whole columns: half a column either way is the same scale.
            if abs(fovs[i] / cols / step - 1) > 0.5 / cols + 0.5 / streets[0].shape[-1]:
                raise InputError(
                    f"samples '{samples[0].id}' and '{samples[i].id}' of one batch have street "
                    "views of different pixels per degree; set street_size"
                )
            down, across = height - rows, width - cols
            left, top = across // 2, down // 2
            streets[i] = torch.nn.functional.pad(street, (left, across - left, top, down - top))
            # An odd number of missing columns moves the centre by half a column.
            headings[i] += (across - 2 * left) / 2 * fovs[i] / cols
            fovs[i] *= width / cols
    return (
        torch.stack(streets),
        torch.tensor(headings, dtype=torch.float32),
        torch.tensor(fovs, dtype=torch.float32),
    )


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples into a :class:`Batch`.

    Street views of unequal size (limited fields of view) are set into the largest, black around
    them, and their ``fov`` grows with them: columns still look where the batch says.

    Raises:
        InputError: Tiles differ in size, or street views in pixels per degree.
    """

    def numbers(name: str) -> Tensor:
        return torch.tensor([getattr(sample, name) for sample in samples], dtype=torch.float32)

    def optional(name: str) -> Tensor | None:
        tensors = [getattr(sample, name) for sample in samples]
        return None if any(tensor is None for tensor in tensors) else torch.stack(tensors)

    ranges = [sample.street_range for sample in samples]
    known = next((one for one in ranges if one is not None), None)
    street_range = None
    if known is not None:  # pairs over photographs beside those of SynthCity
        nothing = torch.zeros_like(known)
        street_range = torch.stack([nothing if one is None else one for one in ranges])
    sizes = {tuple(sample.overhead.shape) for sample in samples}
    if len(sizes) > 1:
        raise InputError(
            f"the tiles of one batch differ in size ({', '.join(map(str, sorted(sizes)))}); "
            "set overhead_size"
        )
    street, heading, fov = _stack_streets(samples)
    valid = None
    if any(sample.valid is not None for sample in samples):
        everywhere = torch.ones(samples[0].overhead.shape[-2:], dtype=torch.bool)
        valid = torch.stack([everywhere if one.valid is None else one.valid for one in samples])
    return Batch(
        id=[sample.id for sample in samples],
        overhead=torch.stack([sample.overhead for sample in samples]),
        street=street,
        landcover=optional("landcover"),
        position=torch.stack([numbers("row"), numbers("col")], dim=1),
        heading=heading,
        fov=fov,
        gsd=numbers("gsd"),
        bounds=[sample.bounds for sample in samples],
        sightline=optional("sightline"),
        labels={
            name: torch.stack([sample.labels[name] for sample in samples])
            for name in samples[0].labels
            if all(name in sample.labels for sample in samples)
        },
        references=[sample.reference for sample in samples],
        street_range=street_range,
        valid=valid,
    )
