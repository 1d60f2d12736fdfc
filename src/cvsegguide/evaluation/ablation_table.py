"""Ablations by a table of rows: what each changes in one configuration, and what that costs.

Rows differ in what they name and in nothing else: the same samples in the same order, the same
transforms, the same number of pairs. Each is an ordinary run of ``fit``, then one run of ``test``
for every test set and knowledge of the heading, in a folder of its own, so that an interrupted
ablation goes on where it was. The bundled tables lie in ``cvsegguide/ablations``.
"""

import math
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from cvsegguide.data.configurations import folders_below
from cvsegguide.errors import ConfigurationError, DatasetError

FOLDER = Path(__file__).resolve().parents[1] / "ablations"
"""Where the bundled tables lie."""

HEADINGS = {"known": 0.0, "unknown": 180.0}
"""Largest error of the compass in degrees that is simulated."""


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
        raise ConfigurationError(
            f"--headings {heading}: must be {', '.join(HEADINGS)} or degrees from 0 to 180"
        )
    return error


SETTINGS = "ablation.yaml"
"""What a row is trained with, in its folder."""

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


@dataclass(frozen=True)
class Variant:
    """One row of a table.

    Attributes:
        name: For people.
        changes: What it changes in the configuration's ``model``.
        batch_size: Pairs in a step, where it has its own.
        learning_rate_factor: Its learning rate as a share of the configuration's.
        sightlines: Whether its losses need sightline maps.
    """

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    batch_size: int | None = None
    learning_rate_factor: float = 1.0
    sightlines: bool = False

    @property
    def slug(self) -> str:
        """Its name as the name of a folder."""
        return re.sub(r"[^a-z0-9.]+", "-", self.name.lower()).strip("-.")


@dataclass(frozen=True)
class VariantTable:
    """Rows that are compared.

    Attributes:
        name: Of the table.
        config: The configuration that rows change, where the caller names none.
        reference: Name of the row that the others are compared with.
        rows: All of them.
    """

    name: str
    config: str | None
    reference: str
    rows: tuple[Variant, ...]

    def chosen(self, names: Sequence[str] | None) -> "VariantTable":
        """The table with the rows of these names only, and the reference.

        Raises:
            ConfigurationError: There is no such row.
        """
        if not names:
            return self
        known = {row.name: row for row in self.rows}
        for name in names:
            if name not in known:
                raise ConfigurationError(
                    f"--rows '{name}': the table '{self.name}' has {', '.join(known)}"
                )
        kept = tuple(row for row in self.rows if row.name in names)
        return VariantTable(self.name, self.config, self.reference, kept)


def read_table(source: str) -> VariantTable:
    """The bundled table of that name, or that of a YAML file.

    Raises:
        ConfigurationError: There is no such table, or it is unusable.
    """
    path = FOLDER / f"{source}.yaml"
    if not path.is_file():
        path = Path(source)
    if not path.is_file():
        names = ", ".join(["guidance", *sorted(entry.stem for entry in FOLDER.glob("*.yaml"))])
        raise ConfigurationError(
            f"--table {source}: there is neither such a file nor a bundled table ({names})"
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(f"--table {source}: cannot be read ({reason})") from None
    if not isinstance(content, dict) or not isinstance(content.get("rows"), dict):
        raise ConfigurationError(f"--table {source}: has no rows")
    unknown = sorted(set(content) - {"config", "reference", "rows"})
    if unknown:
        raise ConfigurationError(f"--table {source}: '{unknown[0]}' is no entry of a table")
    rows = tuple(_variant(source, str(name), row) for name, row in content["rows"].items())
    if not rows:
        raise ConfigurationError(f"--table {source}: has no rows")
    slugs = [row.slug for row in rows]
    for row in rows:
        if not row.slug or slugs.count(row.slug) > 1:
            raise ConfigurationError(f"--table {source}: row '{row.name}' needs a name of its own")
    reference = str(content.get("reference", rows[0].name))
    if reference not in [row.name for row in rows]:
        raise ConfigurationError(f"--table {source}: the reference '{reference}' is no row")
    return VariantTable(path.stem, content.get("config"), reference, rows)


def _variant(source: str, name: str, content: Any) -> Variant:
    content = {} if content is None else content
    if not isinstance(content, dict):
        raise ConfigurationError(f"--table {source}: row '{name}' must hold what it changes")
    changes = dict(content)
    own = {
        key: changes.pop(key)
        for key in ("batch_size", "learning_rate_factor", "sightlines")
        if key in changes
    }
    for key in ("network_arguments", "loss_weights"):
        if not isinstance(changes.get(key, {}), dict):
            raise ConfigurationError(f"--table {source}: row '{name}': {key} must hold entries")
    if changes.get("weights") and ("network" in changes or "network_arguments" in changes):
        raise ConfigurationError(
            f"--table {source}: row '{name}': weights bring their own network and its arguments"
        )
    for key, value in own.items():
        if key == "sightlines":
            usable = isinstance(value, bool)
        else:
            kinds = int if key == "batch_size" else (int, float)
            usable = isinstance(value, kinds) and not isinstance(value, bool) and value > 0
        if not usable:
            raise ConfigurationError(f"--table {source}: row '{name}': {key} is {value!r}")
    return Variant(name, changes, **own)


@dataclass(frozen=True)
class EvaluationSet:
    """A test set: its name, and its entries as a configuration has them."""

    name: str
    entries: tuple[Mapping[str, Any], ...]


def evaluation_set(option: str) -> EvaluationSet:
    """``NAME=PATH`` or ``PATH`` of ``--test``: a manifest or a folder that is recognised.

    Raises:
        DatasetError: Nothing that is known lies there.
        ConfigurationError: The name cannot be that of a folder.
    """
    from cvsegguide.evaluation.sources import recognised

    name, found, path = option.partition("=")
    if not found:
        name, path = "", option
    given = Path(path)
    name = name or (given.stem if given.is_file() else given.name) or "test"
    if not re.fullmatch(r"[\w. -]+", name):
        raise ConfigurationError(f"--test {option}: '{name}' cannot name a folder (NAME=PATH)")
    return EvaluationSet(name, (recognised(given),))


@dataclass(frozen=True)
class TableRun:
    """One row with one seed."""

    variant: Variant
    seed: int

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.variant.slug}-{self.seed}"

    def __str__(self) -> str:
        return f"{self.variant.name}, seed {self.seed}"


@dataclass(frozen=True)
class TablePlan:
    """What all rows share.

    Attributes:
        base: Content of the configuration that rows change.
        table: The rows.
        tests: Test sets.
        headings: What is known of the heading, see :func:`heading_error`; ``unknown`` is asked of
            networks that search headings.
        seeds: Every row is trained once with each.
        steps, epochs: The budget. A row with a batch size of its own takes as many steps as give
            it no fewer pairs than the others.
        evaluations: How often a budget in steps is interrupted for validation.
        learning_rate, batch_size, precision, validation_batches: What differs from the
            configuration; None changes nothing.
        augmentation: Whether the configuration's transforms are used.
        resident: Whether the training set stays in the memory of the device; None leaves that to
            the configuration.
        train: Folders or files that are trained on, each read as the first training set of the
            configuration is; empty: those of the configuration.
        arguments: Options of ``fit`` that say where the data are.
        command: The command that made the plan, for the record.
    """

    base: Mapping[str, Any]
    table: VariantTable
    tests: Sequence[EvaluationSet] = ()
    headings: Sequence[str] = tuple(HEADINGS)
    seeds: Sequence[int] = (0,)
    steps: int | None = None
    epochs: int | None = None
    evaluations: int = 5
    learning_rate: float | None = None
    batch_size: int | None = None
    precision: str | None = None
    validation_batches: int | None = None
    augmentation: bool = True
    resident: bool | None = None
    train: Sequence[str] = ()
    arguments: Sequence[str] = ()
    command: Sequence[str] = ()

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.epochs is None):
            raise ConfigurationError("--steps, --epochs: give one of them, the budget of a row")
        for option, value in (
            ("--steps", self.steps),
            ("--epochs", self.epochs),
            ("--evaluations", self.evaluations),
            ("--batch-size", self.batch_size),
            ("--validation-batches", self.validation_batches),
        ):
            if value is not None and value < 1:
                raise ConfigurationError(f"{option}: must be at least 1, got {value}")
        for heading in self.headings:
            heading_error(heading)
        if self.train and not _listed((self.base.get("data") or {}).get("train")):
            raise ConfigurationError("--train: the configuration has no training set to replace")
        names = [test.name for test in self.tests]
        for name in names:
            if names.count(name) > 1:
                raise ConfigurationError(f"--test: two test sets are called '{name}' (NAME=PATH)")

    @property
    def batch(self) -> int:
        """Pairs in a step of a row without a batch size of its own."""
        return int(self.batch_size or (self.base.get("data") or {}).get("batch_size") or 5)

    def rows(self) -> list[TableRun]:
        """All rows, in the order in which they are trained: the reference first."""
        first = [row for row in self.table.rows if row.name == self.table.reference]
        rest = [row for row in self.table.rows if row.name != self.table.reference]
        return [TableRun(row, seed) for seed in self.seeds for row in [*first, *rest]]

    def model(self, variant: Variant) -> dict[str, Any]:
        """The ``model`` of a row's configuration."""
        model = deepcopy(dict(self.base.get("model") or {}))
        changes = deepcopy(dict(variant.changes))
        arguments = dict(model.pop("network_arguments", None) or {})
        if "network" in changes:
            arguments = {key: arguments[key] for key in _SHARED_ARGUMENTS if key in arguments}
            for key in _OTHER_NETWORK:
                model.pop(key, None)
        model.pop("weights", None)  # they would bring a network of their own
        weights = {**(model.pop("loss_weights", None) or {}), **changes.pop("loss_weights", {})}
        arguments.update(changes.pop("network_arguments", {}))
        if self.learning_rate is not None:
            model["learning_rate"] = self.learning_rate
        if variant.learning_rate_factor != 1.0:
            rate = float(model.get("learning_rate") or 3e-4)
            model["learning_rate"] = float(f"{rate * variant.learning_rate_factor:.3g}")
        if arguments and not changes.get("weights"):
            model["network_arguments"] = arguments
        if weights:
            model["loss_weights"] = weights
        model.update(changes)
        return model

    def configuration(self, run: TableRun) -> dict[str, Any]:
        """The configuration that ``fit`` gets for a row."""
        base = deepcopy(dict(self.base))
        variant = run.variant
        data = dict(base.get("data") or {})
        if self.train:
            first = _listed(data["train"])[0]
            data["train"] = [_elsewhere(first, folder) for folder in self.train]
        for split in ("train", "val"):
            for entry in _listed(data.get(split)):
                if variant.sightlines:
                    _ask_for_sightlines(entry)
        size = data["batch_size"] = variant.batch_size or self.batch
        if not self.augmentation:
            data["transforms"] = []
        if self.resident is not None:
            data["resident"] = self.resident
        trainer = dict(base.get("trainer") or {})
        if self.steps is not None:
            steps = -(-self.steps * self.batch // size)
            batches = int(trainer.get("accumulate_grad_batches") or 1)
            trainer.update(
                max_steps=steps,
                max_epochs=-1,
                limit_train_batches=-(-steps // self.evaluations) * batches,
            )
        else:
            trainer["max_epochs"] = self.epochs
        if self.precision is not None:
            trainer["precision"] = self.precision
        if self.validation_batches is not None:
            trainer["limit_val_batches"] = self.validation_batches
        result = {
            "seed_everything": run.seed,
            "model": self.model(variant),
            "data": data,
            "trainer": trainer,
        }
        result.update({key: base[key] for key in ("ema",) if key in base})
        return result

    def settings(self, run: TableRun) -> str:
        """The configuration of a row as YAML, with where its data lie."""
        text: str = yaml.safe_dump(self.configuration(run), sort_keys=False)
        return f"# {run}\n# options: {' '.join(self.arguments)}\n{text}"


def check_rows(plan: TablePlan) -> dict[str, bool]:
    """Build every row's network and losses once, so that faults are found before any training.

    Returns:
        By the row's name, whether its network searches headings.

    Raises:
        ConfigurationError: A row asks for what there is not; the message names it.
    """
    from cvsegguide.errors import CVSegGuideError
    from cvsegguide.training.losses import create_loss
    from cvsegguide.training.networks import build_network

    searching = {}
    for variant in plan.table.rows:
        model = plan.model(variant)
        try:
            network = build_network(
                model.get("network", "mst-small"),
                model.get("network_arguments"),
                model.get("weights"),
            )
            create_loss(model.get("losses", "corrected"), model.get("loss_weights"))
        except CVSegGuideError as error:
            raise ConfigurationError(f"row '{variant.name}': {error}") from None
        searching[variant.name] = network.searches_headings
    return searching


def configured_test(base: Mapping[str, Any], root: str | None) -> EvaluationSet:
    """The test set of the configuration itself, with ``--root`` as ``fit`` takes it.

    Raises:
        DatasetError: The configuration has none.
    """
    data = base.get("data") or {}
    entries = deepcopy(_listed(data.get("test")))
    if not entries:
        raise DatasetError("--test: the configuration has no test set, so name one ([NAME=]PATH)")
    if root is not None and isinstance(data.get("test"), dict):
        for entry in entries:
            entry.setdefault("init_args", {})["root"] = folders_below(data, root)["test"]
    return EvaluationSet("test", tuple(entries))


def evaluation_entries(plan: TablePlan, test: EvaluationSet) -> list[dict[str, Any]]:
    """Entries of ``data.test`` for a test set, its pictures sized as the training's."""
    entries = [deepcopy(dict(entry)) for entry in test.entries]
    train = _listed((plan.base.get("data") or {}).get("train"))
    given = dict((train[0].get("init_args") if train else None) or {})
    for entry in entries:
        arguments = entry["init_args"] = dict(entry.get("init_args") or {})
        for key in _PICTURES:
            if key in given:
                arguments.setdefault(key, given[key])
        if str(entry.get("class_path", "")).endswith("BrooklynQueens"):
            city = Path(str(arguments.get("root", ""))) / str(arguments.get("city", "brooklyn"))
            if (city / "labels" / "landcover").is_dir():
                arguments.setdefault("labels", ["landcover"])  # nobody looks at sightlines here
        if str(entry.get("class_path", "")).endswith("Manifest"):
            arguments.setdefault("sightlines", False)
    return entries


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


def _listed(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, list) else [value]
