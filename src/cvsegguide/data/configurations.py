"""Configurations of training and evaluation: where they lie, what they hold, where their data are.

A configuration is a YAML file, or the name of a bundled one (``cvsegguide/configs``).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from cvsegguide.errors import ConfigurationError

SPLITS = ("train", "val", "test", "predict")

BUNDLED = Path(__file__).resolve().parents[1] / "configs"


def configuration_file(name: str) -> Path:
    """The file of that name, else the bundled configuration of that name.

    Raises:
        ConfigurationError: There is neither.
    """
    path = Path(name)
    if path.exists() or path.suffix:
        return path
    bundled = BUNDLED / f"{name}.yaml"
    if not bundled.exists():
        names = ", ".join(sorted(entry.stem for entry in BUNDLED.glob("*.yaml")))
        raise ConfigurationError(
            f"there is neither a file '{name}' nor a bundled configuration of that name ({names})",
            parameter="config",
        )
    return bundled


def read_configuration(name: str) -> dict[str, Any]:
    """Content of a configuration.

    Raises:
        ConfigurationError: It is not there, or no YAML mapping.
    """
    path = configuration_file(name)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{name} cannot be read ({error})", parameter="config") from None
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(
            f"{name} is no valid YAML ({reason})", parameter="config"
        ) from None
    if not isinstance(content, dict):
        raise ConfigurationError(f"{name} holds no configuration", parameter="config")
    return content


def as_list(value: Any) -> list[Any]:
    """A list of what may be one thing, several or none."""
    return [] if value is None else list(value) if isinstance(value, list) else [value]


def folders_below(data: Mapping[str, Any], root: str) -> dict[str, str]:
    """Where each single data set of a configuration lies under another root.

    Where the folder of one holds those of all, as ``data`` does ``data/test``, they keep their
    places in it; else every data set gets the root itself.

    Args:
        data: The configuration's ``data``, in which some splits name one data set.
        root: The other root.

    Returns:
        The folder of each split that names one data set.
    """
    datasets = {name: data[name] for name in SPLITS if isinstance(data.get(name), dict)}
    configured = {
        name: Path(str(entry["init_args"]["root"]))
        for name, entry in datasets.items()
        if isinstance(entry.get("init_args"), dict) and entry["init_args"].get("root") is not None
    }
    tops = [
        top
        for top in configured.values()
        if all(folder.is_relative_to(top) for folder in configured.values())
    ]
    return {
        name: str(Path(root) / configured[name].relative_to(tops[0]))
        if tops and name in configured
        else root
        for name in datasets
    }
