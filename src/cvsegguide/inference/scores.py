"""Scores of land cover in a window, and the best channel of each pixel.

On a CPU the scores of many pixels cost more to enlarge and to compare than a small network takes to
make them: here both happen channel by channel, in whole planes, without a branch.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cvsegguide.landcover import ClassScheme

_STEEP = 1e38
"""Less than the largest score by 1e-36 or more, times this, is less than any channel's number."""


class Scores:
    """Scores of a window at every pixel.

    Args:
        values: ``(C, H, W)``.

    Attributes:
        shape: ``(H, W)``.
    """

    def __init__(self, values: Tensor) -> None:
        self._values = values
        self.shape: tuple[int, int] = (values.shape[1], values.shape[2])

    def part(self, rows: slice, columns: slice) -> Tensor:
        """``(C, h, w)`` of the pixels there."""
        return self._values[:, rows, columns]

    def best(self, rows: slice, columns: slice) -> Tensor:
        """Each pixel's best channel, ``(h, w)`` uint8 on the CPU."""
        return best_channel(self.part(rows, columns)).cpu()


def best_channel(scores: Tensor) -> Tensor:
    """Each pixel's best channel of ``(C, H, W)``: ``(H, W)`` uint8.

    Scores are finite, and differ by 1e-36 or not at all. On a CPU it is the first of equals.
    """
    if scores.device.type == "cpu" and scores.dtype == torch.float32 and scores.stride(2) == 1:
        return _best_of_planes(scores, torch.empty_like(scores)).to(torch.uint8)
    # Faster on the CPU than argmax, several times.
    return scores.max(dim=0).indices.to(torch.uint8)


def _best_of_planes(scores: Tensor, room: Tensor) -> Tensor:
    """The first best channel of ``(C, H, W)`` float32, ``(H, W)`` float32.

    Comparisons of whole planes cost several times what sums and maxima do.

    Args:
        scores: Channels in planes.
        room: Memory of the same shape to work in; may be the scores themselves.
    """
    behind = torch.sub(scores, scores.amax(dim=0), out=room)
    first = -torch.arange(float(len(behind))).view(-1, 1, 1)
    return torch.add(first, behind, alpha=_STEEP, out=behind).amax(dim=0).neg_()


def landcover_ids(
    scores: Tensor, channels: Sequence[str], scheme: ClassScheme
) -> NDArray[np.uint8]:
    """Scores ``(C, H, W)`` to the class ids that stand for each pixel's best channel."""
    return named(best_channel(scores).cpu().numpy(), class_names(channels, scheme))


def class_names(channels: Sequence[str], scheme: ClassScheme) -> bytes:
    """The class id of each channel, of 256."""
    ids = [scheme.channels.get(name, i + 1) for i, name in enumerate(channels)]
    return bytes(ids).ljust(256, b"\0")


def named(best: NDArray[np.uint8], names: bytes) -> NDArray[np.uint8]:
    """Class ids of channels, writeable."""
    # Bytes for bytes: a third of what looking up by index takes.
    found = bytearray(best.tobytes()).translate(names)
    return np.frombuffer(found, np.uint8).reshape(best.shape)
