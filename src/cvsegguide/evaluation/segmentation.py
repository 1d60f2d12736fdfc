"""Scores of land cover from one confusion matrix."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

IGNORED = 255


class LandCoverScores(Metric):
    """Pixel accuracy, intersection over union, Dice and the confusion matrix, streaming.

    Args:
        names: Names of the classes, in the order of their indices.
    """

    full_state_update = False
    is_differentiable = False
    confusion: Tensor

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = tuple(names)
        size = len(self.names)
        self.add_state(
            "confusion", default=torch.zeros(size, size, dtype=torch.int64), dist_reduce_fx="sum"
        )

    def update(self, predicted: Tensor, target: Tensor) -> None:
        """Add pixels.

        Args:
            predicted: ``(B, H, W)`` class indices, or ``(B, C, H, W)`` scores.
            target: ``(B, H, W)`` class indices; 255 is left out.
        """
        if predicted.ndim == target.ndim + 1:
            predicted = predicted.argmax(dim=1)
        size = len(self.names)
        valid = target != IGNORED
        pairs = target[valid].long() * size + predicted[valid].long()
        self.confusion += torch.bincount(pairs, minlength=size * size).reshape(size, size)

    def compute(self) -> dict[str, Any]:
        """``accuracy``, ``miou``, ``dice`` (means over the classes that occur in the truth or the
        prediction), ``iou`` and ``dice_of`` by class name, ``classes``, and ``confusion``: pixels
        by true class (rows) and predicted class (columns). Empty without any pixel."""
        matrix = self.confusion.cpu().double()
        if matrix.sum() == 0:
            return {}
        hit = matrix.diagonal()
        truth, guess = matrix.sum(dim=1), matrix.sum(dim=0)
        occurs = truth + guess > 0
        iou = hit / (truth + guess - hit)
        dice = 2 * hit / (truth + guess)
        order = [index for index in range(len(self.names)) if occurs[index]]
        return {
            "accuracy": (hit.sum() / matrix.sum()).item(),
            "miou": iou[occurs].mean().item(),
            "dice": dice[occurs].mean().item(),
            "iou": {self.names[index]: iou[index].item() for index in order},
            "dice_of": {self.names[index]: dice[index].item() for index in order},
            "classes": list(self.names),
            "confusion": self.confusion.tolist(),
        }
