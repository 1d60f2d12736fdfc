"""Tables of ablations: rows, and what each changes in one configuration.

The bundled tables lie in ``cvsegguide/ablations``.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from cvsegguide.errors import ConfigurationError

FOLDER = Path(__file__).resolve().parents[1] / "ablations"
"""Where the bundled tables lie."""


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        name: For people.
        changes: What it changes in the configuration's ``model``.
        against: The row that it is compared with, where that is not the table's reference.
        batch_size: Pairs in a step, where it has its own.
        learning_rate_factor: Its learning rate as a share of the configuration's.
        sightlines: Whether its losses need sightline maps.
    """

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    against: str | None = None
    batch_size: int | None = None
    learning_rate_factor: float = 1.0
    sightlines: bool = False

    @property
    def slug(self) -> str:
        """Its name as the name of a folder."""
        return re.sub(r"[^a-z0-9.]+", "-", self.name.lower()).strip("-.")


_ROW_ENTRIES = {entry.name for entry in fields(Row)} - {"name", "changes"}


@dataclass(frozen=True)
class Table:
    """Rows that are compared.

    Attributes:
        name: Of the table.
        rows: All of them.
        reference: Name of the row that the others are compared with.
        config: The configuration that rows change, where the caller names none.
        default: Names of the rows that are trained where none are chosen; empty: all.
        pixels: Side of the overhead input, where it is not the configuration's.
    """

    name: str
    rows: tuple[Row, ...]
    reference: str
    config: str | None = None
    default: tuple[str, ...] = ()
    pixels: int | None = None

    def choose(self, names: Sequence[str] | None = None) -> "Table":
        """The table with the rows of these names alone; by default the default ones.

        Raises:
            ConfigurationError: There is no such row.
        """
        names = names or self.default or [row.name for row in self.rows]
        known = [row.name for row in self.rows]
        for name in names:
            if name not in known:
                raise ConfigurationError(
                    f"the table '{self.name}' has {', '.join(known)}, not '{name}'",
                    parameter="rows",
                )
        return replace(self, rows=tuple(row for row in self.rows if row.name in names))


def read_table(source: str) -> Table:
    """The bundled table of that name, or that of a YAML file.

    Raises:
        ConfigurationError: There is no such table, or it is unusable.
    """
    path = FOLDER / f"{source}.yaml"
    if not path.is_file():
        path = Path(source)
    if not path.is_file():
        bundled = ", ".join(sorted(entry.stem for entry in FOLDER.glob("*.yaml")))
        raise _fault(f"there is neither a file '{source}' nor a bundled table ({bundled})")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise _fault(f"{source} cannot be read ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict) or not isinstance(content.get("rows"), dict):
        raise _fault(f"{source} holds no 'rows'")
    # `shared` is there for what YAML's anchors point to
    known = {"rows", "reference", "config", "default", "pixels", "shared"}
    others = sorted(set(content) - known)
    if others:
        raise _fault(f"{source}: '{others[0]}' is no entry of a table")
    rows = tuple(_read_row(source, str(name), row) for name, row in content["rows"].items())
    if not rows:
        raise _fault(f"{source} has no rows")
    names, slugs = [row.name for row in rows], [row.slug for row in rows]
    for row in rows:
        if not row.slug or slugs.count(row.slug) > 1:
            raise _fault(f"{source}: row '{row.name}' needs a name of its own")
    reference = str(content.get("reference", names[0]))
    default = tuple(content.get("default", ()))
    for name in (reference, *default, *(row.against for row in rows if row.against)):
        if name not in names:
            raise _fault(f"{source}: '{name}' is compared or trained, but is no row")
    return Table(path.stem, rows, reference, content.get("config"), default, content.get("pixels"))


def _fault(text: str) -> ConfigurationError:
    return ConfigurationError(text, parameter="table")


def _read_row(source: str, name: str, content: Any) -> Row:
    where = f"{source}: row '{name}'"
    content = {} if content is None else content
    if not isinstance(content, dict):
        raise _fault(f"{where} must hold what it changes")
    own = {key: value for key, value in content.items() if key in _ROW_ENTRIES}
    changes = {key: value for key, value in content.items() if key not in _ROW_ENTRIES}
    for key in ("network_arguments", "loss_weights"):
        if not isinstance(changes.get(key, {}), dict):
            raise _fault(f"{where}: {key} must hold entries")
    if changes.get("weights") and ("network" in changes or "network_arguments" in changes):
        raise _fault(f"{where}: weights bring their own network and its arguments")
    for key, kind in (("batch_size", int), ("learning_rate_factor", (int, float))):
        value = own.get(key, 1)
        if not isinstance(value, kind) or value <= 0:
            raise _fault(f"{where}: {key} is {value!r}")
    return Row(name, changes, **own)
