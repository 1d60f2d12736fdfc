"""Scores of land cover from one confusion matrix."""

from collections.abc import Sequence
from typing import Any

from torchmetrics.classification import MulticlassConfusionMatrix


class LandCoverScores(MulticlassConfusionMatrix):
    """Pixel accuracy, intersection over union, Dice and the confusion matrix, streaming.

    ``update(predicted, target)`` takes ``(B, H, W)`` class indices or ``(B, C, H, W)`` scores, and
    ``(B, H, W)`` class indices, of which 255 is left out.

    Args:
        names: Names of the classes, in the order of their indices.
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(len(names), ignore_index=255, validate_args=False)
        self.names = tuple(names)

    def compute(self) -> dict[str, Any]:  # type: ignore[override]
        """``accuracy``, ``miou``, ``dice`` (means over the classes that occur in the truth or the
        prediction), ``iou`` and ``dice_of`` by class name, ``classes``, and ``confusion``: pixels
        by true class (rows) and predicted class (columns). Empty without any pixel."""
        counts = super().compute().cpu()
        matrix = counts.double()
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
            "confusion": counts.tolist(),
        }
