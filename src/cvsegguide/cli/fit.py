"""``cvsegguide fit | validate | test | predict --config FILE.yaml [--option value ...]``."""

import logging
import re
import sys
import warnings
from itertools import pairwise
from pathlib import Path

from cvsegguide.errors import ConfigurationError

_NOISE = (
    ".*does not have many workers.*",
    ".*number of training batches.*smaller than the logging interval.*",
    ".*Checkpoint directory .* exists and is not empty.*",
    ".*in eval mode at the start of training.*",
    ".*not using .*MPS.*|.*GPU available but not used.*",
    ".*isinstance.treespec, LeafSpec.*",
    ".*find_unused_parameters=True was specified.*",
    ".*Found .* module.s. in eval mode.*",
    ".*recommended to use .self.log.*sync_dist.*",  # the metrics are joined already
)


def run(argv: list[str]) -> int:
    """Run a sub-command, ``argv[0]``, with its options; return the exit status.

    Raises:
        ConfigurationError: An option, the configuration file or what it asks for is unusable.
    """
    _check_files(argv)
    from jsonargparse import ArgumentError
    from lightning.pytorch.utilities.exceptions import MisconfigurationException

    from cvsegguide.training.command import Command

    for pattern in _NOISE:
        warnings.filterwarnings("ignore", pattern)
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)

    try:
        Command(argv)
    except ArgumentError as error:
        raise ConfigurationError(_line(str(error), argv[0])) from None
    except MisconfigurationException as error:
        raise ConfigurationError(_line(str(error), argv[0])) from None
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def _check_files(argv: list[str]) -> None:
    """Name the configuration file that is missing or no YAML: the parser would not."""
    import yaml

    names = [after for option, after in pairwise(argv) if option in ("--config", "-c")]
    names += [option.removeprefix("--config=") for option in argv if option.startswith("--config=")]
    for name in names:
        try:
            yaml.safe_load(Path(name).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"--config {name}: cannot be read ({error})") from None
        except yaml.YAMLError as error:
            raise ConfigurationError(f"--config {name}: no valid YAML ({error})") from None


def _line(message: str, subcommand: str) -> str:
    """The first telling line of jsonargparse's message."""
    lines = [line.strip(" -") for line in message.splitlines() if line.strip(" -")]
    text = " ".join(lines)
    text = re.sub(r"^(error: )?Parser key \"([^\"]+)\":", r"\2:", text)
    return f"{text[:400]} (see `cvsegguide {subcommand} --help`)"


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
