"""What a network keeps of an overhead tile in which several street views are localised."""

from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class EncodedTile:
    """The overhead branch's output, ``B`` tiles or one that all street views share.

    Attributes:
        landcover: Land-cover logits ``(B, C, H, W)``, or None.
        guidance: What the heatmap decoder sees of the land cover ``(B, C, H, W)``, or None.
        maps: Feature maps ``(B, C, h, w)`` that street views are compared with, coarsest first.
        inverse_lengths: Inverse length ``(B, h, w)`` of each map's projected features.
        kernels: Window weights of the upsampler's steps, where the network has one.
    """

    landcover: Tensor | None
    guidance: Tensor | None
    maps: list[Tensor]
    inverse_lengths: list[Tensor]
    kernels: list[Tensor] = field(default_factory=list)


def shared_by(tensor: Tensor, count: int) -> Tensor:
    """``(1 or count, ...)`` as ``(count, ...)``, without a copy."""
    return tensor.expand(count, *tensor.shape[1:])
