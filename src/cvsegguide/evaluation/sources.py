"""A data set from a configuration of ``test``, or from what lies in a folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cvsegguide.data.configurations import as_list, folders_below, read_configuration
from cvsegguide.errors import ConfigurationError, CVSegGuideError, DatasetError

if TYPE_CHECKING:
    from torch.utils.data import Dataset

    from cvsegguide.data.sample import Sample

Entry = dict[str, Any]


def open_dataset(
    config: str | None, root: str | None, split: str, changes: Mapping[str, Any]
) -> "Dataset[Sample]":
    """Open a data set.

    Args:
        config: YAML file, or name of a bundled configuration; its ``data.SPLIT`` is opened.
        root: Folder of the data; see :func:`recognised` for what it means without ``config``.
        split: ``train``, ``val``, ``test`` or ``predict``.
        changes: Constructor arguments to change, as text.

    Raises:
        ConfigurationError: There is nothing to open, or an argument is unusable.
        DatasetError: What the data set finds fault with; or it is empty.
    """
    if config is not None:
        entries = _configured(config, root, split)
    elif root is not None:
        entries = [recognised(Path(root))]
    else:
        raise ConfigurationError("--root, --config: one of them has to name the data")
    return open_entries(entries, split, changes)


def open_entries(
    entries: Sequence[Entry], split: str, changes: Mapping[str, Any] | None = None
) -> "Dataset[Sample]":
    """Open the data sets of these entries as one.

    Args:
        entries: As a configuration has them.
        split: What they are for, for messages.
        changes: Constructor arguments to change, as text.

    Raises:
        ConfigurationError: An argument is unusable.
        DatasetError: What a data set finds fault with; or there is no sample.
    """
    opened = [_instance(entry, changes or {}) for entry in entries]
    if sum(map(len, opened)) == 0:
        raise DatasetError(f"data.{split}: the data set has no samples")
    if len(opened) == 1:
        first: Dataset[Sample] = opened[0]
        return first
    from torch.utils.data import ConcatDataset

    return ConcatDataset(opened)


def recognised(root: Path) -> Entry:
    """The data set that a folder or file holds, as an entry of a configuration.

    - a file: a manifest;
    - ``test/queens`` in it: the test city of a SynthCity;
    - ``queens`` or ``brooklyn`` in it: that city in the layout of Brooklyn & Queens;
    - ``splits`` or ``splits__corrected`` in it: VIGOR, same area, test.

    Raises:
        DatasetError: None of these.
    """
    if root.is_file():
        return {"class_path": "cvsegguide.data.Manifest", "init_args": {"path": str(root)}}
    cities = ((root / "test", "queens"), (root, "queens"), (root, "brooklyn"))
    for folder, city in cities:
        if (folder / city / "overhead").is_dir():
            arguments = {"root": str(folder), "city": city}
            return {"class_path": "cvsegguide.data.BrooklynQueens", "init_args": arguments}
    if any((root / name).is_dir() for name in ("splits__corrected", "splits")):
        arguments = {"root": str(root), "area": "same", "split": "test"}
        return {"class_path": "cvsegguide.data.Vigor", "init_args": arguments}
    fault = "holds none of the known data sets" if root.is_dir() else "no such folder or file"
    raise DatasetError(f"{root}: {fault}; name a configuration (--config)")


def _configured(config: str, root: str | None, split: str) -> list[Entry]:
    data = read_configuration(config).get("data")
    if not isinstance(data, dict):
        raise ConfigurationError(f"--config {config}: has no data")
    if split == "predict" and data.get("predict") is None:
        split = "test"
    given = data.get(split)
    if not given:
        raise ConfigurationError(f"--config {config}: has no data.{split}")
    entries = as_list(given)
    if any(not isinstance(entry, dict) or "class_path" not in entry for entry in entries):
        raise ConfigurationError(f"--config {config}: data.{split} names no class_path")
    entries = [{**entry, "init_args": dict(entry.get("init_args") or {})} for entry in entries]
    if root is not None:
        folder = folders_below(data, root).get(split, root)
        for entry in entries:
            path = entry["init_args"].get("path")
            if path is None:
                entry["init_args"]["root"] = folder
            else:  # a manifest: the file itself, or the folder that holds one of that name
                given = Path(root)
                entry["init_args"]["path"] = str(
                    given if given.is_file() else given / Path(str(path)).name
                )
    return entries


def _instance(entry: Entry, changes: Mapping[str, Any]) -> Any:
    import json
    import re

    from jsonargparse import ArgumentError, ArgumentParser

    from cvsegguide.data.dataset import CrossViewDataset

    parser = ArgumentParser(exit_on_error=False)
    faults: list[CVSegGuideError] = []

    def make(kind: type, *args: Any, **kwargs: Any) -> Any:
        try:
            return kind(*args, **kwargs)
        except CVSegGuideError as error:
            faults.append(error)  # jsonargparse wraps it
            raise

    parser.add_subclass_arguments(CrossViewDataset, "data")
    options = [f"--data.{key}={value}" for key, value in changes.items()]
    try:
        content = parser.parse_args([f"--data={json.dumps(entry)}", *options])
        made = parser.instantiate(content, instantiators=[(make, CrossViewDataset, True)])
        return made.data
    except (ArgumentError, ValueError, TypeError) as error:
        if faults:
            raise faults[0] from None
        reason = " ".join(str(error).split())
        # What jsonargparse tried besides, and where in its tables, is of no use.
        reason = re.sub(r"^.*?Problem with given class_path '[^']*': ", "", reason)
        raise ConfigurationError(f"data: {reason.partition(' - Expected a ')[0][:300]}") from None
