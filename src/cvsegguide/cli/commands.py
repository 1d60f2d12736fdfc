"""The commands there are: where each is, and what the help says of it."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Command:
    """A row of the command table.

    Attributes:
        summary: One line for ``--help``.
        example: What ``--help`` shows behind the command's name.
        raw: LightningCLI parses the arguments: the module is :mod:`cvsegguide.cli.fit`, with
            ``run(argv) -> int`` and ``add_frequent_arguments(parser, name)``. Other commands have
            a module of their name, with ``add_arguments(parser)`` and ``run(arguments) -> int``.
        json: Whether it has a result that ``--json`` may show.
    """

    summary: str
    example: str = ""
    raw: bool = False
    json: bool = True


def load(name: str) -> Any:
    """The module of a command; it is imported when the command is used."""
    return import_module(f"cvsegguide.cli.{'fit' if COMMANDS[name].raw else name}")


COMMANDS = {
    "demo": Command("make a small synthetic city and localise street views in it", "--out demo"),
    "localize": Command(
        "localise one street view in an overhead image",
        "overhead.tif street.jpg --heading 0 --out result",
    ),
    "track": Command(
        "follow a camera along a drive", "drive/drive.csv --start -44.99 40.74 --out result"
    ),
    "segment": Command("land cover of a raster of any size", "overhead.tif --out landcover.tif"),
    "synth": Command(
        "make a synthetic city, or views of a real place",
        "city --tiles 64 --seed 1 --validation 8 --test 8",
    ),
    "data": Command("check, link and prepare a data set"),
    "fit": Command("train a model", "--config geometric-synthcity --root city --out run", raw=True),
    "validate": Command(
        "evaluate on the validation split", "--config run/config.yaml --out results", raw=True
    ),
    "test": Command(
        "evaluate on the test split",
        "--config geometric-synthcity --weights synthcity --root city --out results",
        raw=True,
    ),
    "predict": Command(
        "localise every pair of a data set",
        "--pairs pairs.csv --weights synthcity --out results",
        raw=True,
    ),
    "ablate": Command(
        "what parts are worth: rows, table and plot", "--root city --steps 300 --out ablation"
    ),
    "figures": Command(
        "draw samples and what models make of them, as in the paper",
        "--root city --models synthcity --count 3",
    ),
    "convert": Command("published checkpoint to safetensors", "checkpoint.pth.tar converted"),
    "export": Command(
        "a network as ONNX or as a torch.export program", "--model synthcity --out synthcity.onnx"
    ),
    "app": Command("a web page to try it on, on this machine", "--open", json=False),
    "benchmark": Command("speed and memory on this machine", "localize --quick"),
    "doctor": Command("what is installed, which device, what works", "--json"),
    "completion": Command("completion of words by TAB, for a shell", json=False),
}
