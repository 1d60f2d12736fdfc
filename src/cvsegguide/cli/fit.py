"""``cvsegguide fit | validate | test | predict --config FILE.yaml [--option value ...]``.

Three conveniences on top of LightningCLI: ``--config`` takes the name of a bundled configuration,
``--root DIR`` gives every data set of the configurations its folder, and ``--pairs TABLE`` lets
`predict` localise the pairs of a manifest, whether it says where the cameras stood or not.
"""

import argparse
import logging
import re
import warnings
from typing import Any

from cvsegguide.cli.parsing import Parser
from cvsegguide.console import settings
from cvsegguide.data.configurations import (
    configuration_file,
    folders_below,
    read_configuration,
)
from cvsegguide.errors import ConfigurationError
from cvsegguide.training.options import add_own_options, add_saving_options

_NOISE = (
    ".*does not have many workers.*",
    ".*Total length of .list. across ranks is zero.*",  # of a run without validation
    ".*number of training batches.*smaller than the logging interval.*",
    ".*Checkpoint directory .* exists and is not empty.*",
    ".*in eval mode at the start of training.*",
    ".*not using .*MPS.*|.*GPU available but not used.*",
    ".*isinstance.treespec, LeafSpec.*",
    ".*find_unused_parameters=True was specified.*",
    ".*Found .* module.s. in eval mode.*",
    ".*method of metric .* was called before the ``update`` method.*",  # no land cover
    ".*recommended to use .self.log.*sync_dist.*",  # the metrics are joined already
)


def run(argv: list[str]) -> int:
    """Run a sub-command, ``argv[0]``, with its options; return the exit status.

    Raises:
        ConfigurationError: An option, the configuration file or what it asks for is unusable.
    """
    given, argv = argv, _expand(argv)
    import torch
    from jsonargparse import ArgumentError
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    from cvsegguide.training.command import Command

    # Channels of pretrained encoders that are as good as zero make numbers too small for a CPU's
    # fast paths: a quarter of a training step of the geometric network went into those.
    torch.set_flush_denormal(True)
    if not settings.verbose:
        for pattern in _NOISE:
            warnings.filterwarnings("ignore", pattern)
        for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
            logging.getLogger(name).setLevel(logging.ERROR)

    try:
        Command(argv, given)
    except (ArgumentError, MisconfigurationException) as error:
        raise ConfigurationError(_line(str(error), argv[0])) from None
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):  # Lightning ends with status 1
            raise KeyboardInterrupt from None
        return int(stop.code or 0)
    return 0


def add_frequent_arguments(parser: argparse.ArgumentParser, name: str) -> None:
    """What people type; the hundreds of dotted options would need torch to list them.

    Args:
        parser: Takes the options; it completes words and knows how options are written.
        name: The sub-command.
    """
    parser.add_argument("-c", "--config", metavar="NAME")
    parser.add_argument("--seed_everything", type=int)
    add_own_options(parser, name, text=str)
    add_saving_options(parser, text=str)
    for option in ("max_epochs", "accelerator", "devices", "precision"):
        parser.add_argument(f"--trainer.{option}")


def _expand(argv: list[str]) -> list[str]:
    """Replace names of bundled configurations by their files, and ``--root`` by each data set's."""
    parser = Parser(prog=f"cvsegguide {argv[0]}", add_help=False)
    parser.add_argument("-c", "--config", action="append", default=[])
    parser.add_argument("--root")
    if argv[0] == "predict":
        parser.add_argument("--pairs")
    own, rest = parser.parse_known_args(argv[1:])
    expanded = [argv[0]]
    merged: dict[str, Any] = {}
    for name in own.config:
        expanded += ["--config", str(configuration_file(name))]
        merged.update(read_configuration(name).get("data") or {})
    if getattr(own, "pairs", None) is not None:
        expanded += ["--data.predict", "cvsegguide.data.manifest.Manifest"]
        expanded += ["--data.predict.path", own.pairs, "--data.predict.positions", "optional"]
    expanded += rest
    if own.root is not None:
        folders = folders_below(merged, own.root)
        if not folders:
            raise ConfigurationError("no configuration names a single data set", "root")
        for name, folder in folders.items():
            option = f"--data.{name}.root"
            if not any(word == option or word.startswith(f"{option}=") for word in rest):
                expanded += [option, folder]
    return expanded


def _line(message: str, subcommand: str) -> str:
    """The first telling line of jsonargparse's message."""
    lines = [line.strip(" -") for line in message.splitlines() if line.strip(" -")]
    text = " ".join(lines)
    text = re.sub(r"^(error: )?Parser key \"([^\"]+)\":", r"\2:", text)
    return f"{text[:400]} (see `cvsegguide {subcommand} --help`)"
