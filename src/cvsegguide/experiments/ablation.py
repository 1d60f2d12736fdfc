"""The plan of an ablation: the configuration that each row of a table is trained with.

Rows differ in what they name and in nothing else: the same samples in the same order, the same
transforms, the same number of pairs.
"""

import math
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from cvsegguide.data.configurations import as_list
from cvsegguide.errors import ConfigurationError, CVSegGuideError
from cvsegguide.evaluation.sources import recognise_dataset
from cvsegguide.experiments.ablation_table import Row, Table
from cvsegguide.training.module import LocalizationTask

HEADINGS = {"known": 0.0, "unknown": 180.0}
"""Largest error of the compass in degrees that is simulated."""

_OTHER_NETWORK = (
    "network_arguments",
    "weights",
    "losses",
    "loss_weights",
    "position_sigma_m",
    "heading_turns",
    "heading_error",
)
"""Arguments of the training module that belong to the configuration's network."""

_SHARED_ARGUMENTS = ("overhead_size", "street_size", "gsd")
_PICTURES = ("overhead_size", "street_size", "street_extent")
_NATIVE_SIDE, _NATIVE_GSD = 256, 0.2262


def heading_error(heading: str) -> float:
    """Degrees by which a heading may be off: of a key of :data:`HEADINGS`, or as text.

    Raises:
        ConfigurationError: It is neither.
    """
    try:
        error = HEADINGS[heading] if heading in HEADINGS else float(heading)
    except ValueError:
        error = math.nan
    if not 0.0 <= error <= 180.0:
        known = ", ".join(HEADINGS)
        raise ConfigurationError(
            f"must be {known} or degrees from 0 to 180, got {heading}", parameter="headings"
        )
    return error


TestSets = Mapping[str, Sequence[Mapping[str, Any]]]
"""Test sets by name: the entries of each, as a configuration has them."""


def find_test_sets(options: Sequence[str]) -> TestSets:
    """``NAME=PATH`` or ``PATH`` each: a manifest or a folder that is recognised.

    Raises:
        DatasetError: Nothing that is known lies there.
        ConfigurationError: A name cannot be that of a folder, or two test sets have it.
    """
    found: dict[str, Sequence[Mapping[str, Any]]] = {}
    for option in options:
        *given, path = option.split("=", 1)
        place = Path(path)
        name = "".join(given) or (place.stem if place.is_file() else place.name) or "test"
        if not re.fullmatch(r"[\w. -]+", name):
            raise ConfigurationError(
                f"'{name}' of {option} cannot name a folder (NAME=PATH)", parameter="test"
            )
        if name in found:
            raise ConfigurationError(
                f"two test sets are called '{name}' (NAME=PATH)", parameter="test"
            )
        found[name] = (recognise_dataset(place),)
    return found


@dataclass(frozen=True)
class Run:
    """One row with one seed."""

    row: Row
    seed: int

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.row.slug}-{self.seed}"

    def __str__(self) -> str:
        return f"{self.row.name}, seed {self.seed}"


@dataclass(frozen=True)
class Plan:
    """What all rows share.

    Attributes:
        base: Content of the configuration that rows change.
        table: The rows.
        tests: Test sets.
        headings: What is known of the heading, see :func:`heading_error`; ``unknown`` is asked of
            networks that search headings.
        seeds: Every row is trained once with each.
        steps, epochs: The budget, one of them. A row with a batch size of its own takes as many
            steps as give it no fewer pairs than the others.
        evaluations: How often a budget in steps is interrupted for validation.
        changes: What differs from the configuration, by dotted names: ``trainer.precision``.
        pixels: Side of the overhead input, where that is neither the table's nor the
            configuration's; street views get ``pixels / 2`` x ``2 pixels``.
        augmentation: Whether the configuration's transforms are used.
        train: Folders or files that are trained on, each read as the first training set of the
            configuration is; empty: those of the configuration.
        root: Folder of the data for ``fit``, or None.
        command: The command that made the plan, for the record.
    """

    base: Mapping[str, Any]
    table: Table
    tests: TestSets = field(default_factory=dict)
    headings: Sequence[str] = tuple(HEADINGS)
    seeds: Sequence[int] = (0,)
    steps: int | None = None
    epochs: int | None = None
    evaluations: int = 5
    changes: Mapping[str, Any] = field(default_factory=dict)
    pixels: int | None = None
    augmentation: bool = True
    train: Sequence[str] = ()
    root: str | None = None
    command: Sequence[str] = ()

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.epochs is None):
            raise ConfigurationError("`steps`, `epochs`: give one of them, the budget of a row")
        for name in ("steps", "epochs", "evaluations", "pixels"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigurationError(f"must be at least 1, got {value}", parameter=name)
        for heading in self.headings:
            heading_error(heading)
        if self.train and not as_list((self.base.get("data") or {}).get("train")):
            raise ConfigurationError(
                "the configuration has no training set to replace", parameter="train"
            )

    @property
    def batch(self) -> int:
        """Pairs in a step of a row without a batch size of its own."""
        return int(self._changed()["data"].get("batch_size") or 5)

    @property
    def sides(self) -> dict[str, Any]:
        """Sizes of the pictures where they are not the configuration's."""
        side = self.pixels or self.table.pixels
        return {} if side is None else {"overhead_size": side, "street_size": [side // 2, 2 * side]}

    def runs(self) -> list[Run]:
        """All rows and seeds, in the order in which they are trained: the reference first."""
        rows = sorted(self.table.rows, key=lambda row: row.name != self.table.reference)
        return [Run(row, seed) for seed in self.seeds for row in rows]

    def _changed(self) -> dict[str, Any]:
        """The configuration with :attr:`changes`."""
        content = {name: dict(self.base.get(name) or {}) for name in ("model", "data", "trainer")}
        for name, value in self.changes.items():
            group, _, key = name.partition(".")
            content[group][key] = value
        return deepcopy(content)

    def model(self, row: Row) -> dict[str, Any]:
        """The ``model`` of a row's configuration."""
        model: dict[str, Any] = self._changed()["model"]
        changes = deepcopy(dict(row.changes))
        arguments = dict(model.pop("network_arguments", None) or {})
        if "network" in changes:
            arguments = {key: arguments[key] for key in _SHARED_ARGUMENTS if key in arguments}
            for key in _OTHER_NETWORK:
                model.pop(key, None)
        if self.sides:
            side = self.sides["overhead_size"]
            native = as_list(arguments.get("overhead_size", _NATIVE_SIDE))[0]
            arguments["gsd"] = float(arguments.get("gsd", _NATIVE_GSD)) * native / side
            arguments.update(self.sides, overhead_size=[side, side])
        model.pop("weights", None)  # they would bring a network of their own
        weights = {**(model.pop("loss_weights", None) or {}), **changes.pop("loss_weights", {})}
        arguments.update(changes.pop("network_arguments", {}))
        if row.learning_rate_factor != 1.0:
            rate = float(model.get("learning_rate") or 3e-4)
            model["learning_rate"] = float(f"{rate * row.learning_rate_factor:.3g}")
        if arguments and not changes.get("weights"):
            model["network_arguments"] = arguments
        if weights:
            model["loss_weights"] = weights
        model.update(changes)
        return model

    def configuration(self, run: Run) -> dict[str, Any]:
        """The configuration that ``fit`` gets for a row."""
        result = {
            "seed_everything": run.seed,
            "model": self.model(run.row),
            "data": self._data(run.row),
            "trainer": self._trainer(run.row.batch_size or self.batch),
        }
        if "ema" in self.base:
            result["ema"] = self.base["ema"]
        return result

    def _data(self, row: Row) -> dict[str, Any]:
        data: dict[str, Any] = self._changed()["data"]
        if self.train:
            first = as_list(data["train"])[0]
            data["train"] = [_elsewhere(first, folder) for folder in self.train]
        for split in ("train", "val", "test", "predict"):
            for entry in as_list(data.get(split)):
                if self.sides:
                    entry.setdefault("init_args", {}).update(self.sides)
                if row.sightlines and split in ("train", "val"):
                    _ask_for_sightlines(entry)
        data["batch_size"] = row.batch_size or self.batch
        if not self.augmentation:
            data["transforms"] = []
        return data

    def _trainer(self, batch: int) -> dict[str, Any]:
        trainer: dict[str, Any] = self._changed()["trainer"]
        if self.steps is not None:
            steps = -(-self.steps * self.batch // batch)
            batches = int(trainer.get("accumulate_grad_batches") or 1)
            limit = -(-steps // self.evaluations) * batches
            trainer.update(max_steps=steps, max_epochs=-1, limit_train_batches=limit)
        else:
            trainer["max_epochs"] = self.epochs
        return trainer

    def settings(self, run: Run) -> str:
        """The configuration of a row as YAML, with where its data lie."""
        text: str = yaml.safe_dump(self.configuration(run), sort_keys=False)
        return f"# {run}\n# root: {self.root}\n{text}"

    def test_entries(self, test: str) -> list[dict[str, Any]]:
        """Entries of ``data.test`` for a test set, its pictures sized as the training's."""
        entries = [deepcopy(dict(entry)) for entry in self.tests[test]]
        train = as_list((self.base.get("data") or {}).get("train"))
        trained = dict((train[0].get("init_args") if train else None) or {})
        for entry in entries:
            arguments = entry["init_args"] = dict(entry.get("init_args") or {})
            for key in _PICTURES:
                if key in trained:
                    arguments.setdefault(key, trained[key])
            arguments.update(self.sides)
            kind = str(entry.get("class_path", ""))
            if kind.endswith("BrooklynQueens"):
                city = Path(str(arguments.get("root", ""))) / str(arguments.get("city", "brooklyn"))
                if (city / "labels" / "landcover").is_dir():
                    arguments.setdefault("labels", ["landcover"])  # sightlines are not looked at
            if kind.endswith("Manifest"):
                arguments.setdefault("sightlines", False)
        return entries


def check_rows(plan: Plan) -> dict[str, bool]:
    """Build every row's network and losses once, so that faults are found before any training.

    Returns:
        By the row's name, whether its network searches headings.

    Raises:
        ConfigurationError: A row asks for what there is not; the message names it.
    """
    searching = {}
    for row in plan.table.rows:
        model = plan.model(row)
        try:
            names = ("network", "network_arguments", "weights", "losses", "loss_weights")
            task = LocalizationTask(**{name: model[name] for name in names if name in model})
        except CVSegGuideError as error:
            raise ConfigurationError(f"row '{row.name}': {error}") from None
        searching[row.name] = task.network.searches_headings
    return searching


def _elsewhere(entry: Mapping[str, Any], place: str) -> dict[str, Any]:
    """The same kind of data set in another place."""
    moved = deepcopy(dict(entry))
    arguments = moved["init_args"] = dict(moved.get("init_args") or {})
    manifest = str(moved.get("class_path", "")).endswith("Manifest")
    arguments["path" if manifest else "root"] = place
    return moved


def _ask_for_sightlines(entry: dict[str, Any]) -> None:
    arguments = entry.get("init_args") or {}
    if arguments.get("labels") and "sightline" not in arguments["labels"]:
        arguments["labels"] = [*arguments["labels"], "sightline"]
    if arguments.get("sightlines") is False:
        arguments["sightlines"] = True
