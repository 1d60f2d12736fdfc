"""A data set from a configuration of ``test``, or from what lies in a folder."""

import json
import re
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
        root: Folder of the data; see :func:`recognise_dataset` for what it means without
            ``config``.
        split: ``train``, ``val``, ``test`` or ``predict``.
        changes: Constructor arguments to change, as text.

    Raises:
        ConfigurationError: There is nothing to open, or an argument is unusable.
        DatasetError: What the data set finds fault with; or it is empty.
    """
    if config is not None:
        content = read_configuration(config)
        if split == "predict" and not (content.get("data") or {}).get("predict"):
            split = "test"
        entries = configured_entries(config, content, root, split)
    elif root is not None:
        entries = [recognise_dataset(Path(root))]
    else:
        raise ConfigurationError("`root` or `config` has to name the data")
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


def recognise_dataset(root: Path) -> Entry:
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
    raise DatasetError(f"{root}: {fault}; name a configuration (`config`)")


def configured_entries(
    config: str, content: Mapping[str, Any], root: str | None, split: str
) -> list[Entry]:
    """The data sets of a configuration, under another root as ``fit`` takes it.

    Args:
        config: Its name, for messages.
        content: What it holds.
        root: Folder of the data, or a manifest's file; None: as configured.
        split: ``train``, ``val``, ``test`` or ``predict``.

    Raises:
        ConfigurationError: It has none for the split.
    """
    data = content.get("data")
    entries = as_list(data.get(split)) if isinstance(data, dict) else []
    if not isinstance(data, dict) or not entries:
        raise ConfigurationError(f"{config}: has no data.{split}", parameter="config")
    if any(not isinstance(entry, dict) or "class_path" not in entry for entry in entries):
        raise ConfigurationError(f"{config}: data.{split} names no class_path", parameter="config")
    entries = [{**entry, "init_args": dict(entry.get("init_args") or {})} for entry in entries]
    for arguments in (entry["init_args"] for entry in entries if root is not None):
        if arguments.get("path") is None:
            arguments["root"] = folders_below(data, str(root)).get(split, root)
        else:  # a manifest: the file itself, or the folder that holds one of that name
            named = Path(str(root))
            known = Path(str(arguments["path"])).name
            arguments["path"] = str(named if named.is_file() else named / known)
    return entries


class FaultFinder:
    """Mixed into a parser of jsonargparse: remembers what classes find fault with when made.

    jsonargparse wraps their errors in its own, and of several types that a value may have it keeps
    the first one's error, which need not be the telling one.

    Attributes:
        faults: The errors of ours, in order.
    """

    watched: tuple[type, ...] = ()
    faults: tuple[CVSegGuideError, ...] = ()

    def instantiate(self, *args: Any, **kwargs: Any) -> Any:
        """As jsonargparse's, with an eye on :attr:`watched`."""
        self.faults = ()

        def make(kind: type, *args: Any, **kwargs: Any) -> Any:
            try:
                return kind(*args, **kwargs)
            except CVSegGuideError as error:
                self.faults += (error,)
                raise

        makers = [(make, kind, True) for kind in self.watched]
        return super().instantiate(*args, **{"instantiators": makers, **kwargs})  # type: ignore[misc]


def _instance(entry: Entry, changes: Mapping[str, Any]) -> Any:
    from jsonargparse import ArgumentError, ArgumentParser

    from cvsegguide.data.dataset import CrossViewDataset

    class Parser(FaultFinder, ArgumentParser):
        watched = (CrossViewDataset,)

    parser = Parser(exit_on_error=False)
    parser.add_subclass_arguments(CrossViewDataset, "data")
    options = [f"--data.{key}={value}" for key, value in changes.items()]
    try:
        content = parser.parse_args([f"--data={json.dumps(entry)}", *options])
        return parser.instantiate(content).data
    except (ArgumentError, ValueError, TypeError) as error:
        if parser.faults:
            raise parser.faults[0] from None
        reason = " ".join(str(error).split())
        # What jsonargparse tried besides, and where in its tables, is of no use.
        reason = re.sub(r"^.*?Problem with given class_path '[^']*': ", "", reason)
        raise ConfigurationError(f"data: {reason.partition(' - Expected a ')[0][:300]}") from None
