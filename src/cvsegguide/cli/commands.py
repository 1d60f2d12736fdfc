"""The commands there are: where each is, and what the help says of it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """A row of the command table.

    Attributes:
        summary: One line for ``--help``.
        example: What ``--help`` shows behind the command's name.
        module: Imported when the command is used. It has ``add_arguments(parser)`` and
            ``run(arguments) -> int``, or, when ``raw``, ``run(argv) -> int`` with an own parser
            and ``add_frequent_arguments(parser, name)``.
        raw: The module parses the arguments itself (LightningCLI).
        json: Whether it has a result that ``--json`` may show.
    """

    summary: str
    example: str
    module: str
    raw: bool = False
    json: bool = True


def _command(name: str, summary: str, example: str = "", json: bool = True) -> Command:
    return Command(summary, example, f"cvsegguide.cli.{name}", json=json)


def _training(summary: str, example: str) -> Command:
    return Command(summary, example, "cvsegguide.cli.fit", raw=True)


COMMANDS = {
    "demo": _command(
        "demo", "make a small synthetic city and localise street views in it", "--out demo"
    ),
    "localize": _command(
        "localize",
        "localise one street view in an overhead image",
        "overhead.tif street.jpg --heading 0 --out result",
    ),
    "track": _command(
        "track",
        "follow a camera along a drive",
        "drive/drive.csv --start -44.99 40.74 --out result",
    ),
    "segment": _command(
        "segment", "land cover of a raster of any size", "overhead.tif --out landcover.tif"
    ),
    "synth": _command(
        "synth",
        "make a synthetic city, or views of a real place",
        "city --tiles 64 --seed 1 --validation 8 --test 8",
    ),
    "data": _command("data", "check, link and prepare a data set"),
    "fit": _training("train a model", "--config geometric-synthcity --root city --out run"),
    "validate": _training(
        "evaluate on the validation split", "--config run/config.yaml --out results"
    ),
    "test": _training(
        "evaluate on the test split",
        "--config geometric-synthcity --weights synthcity --root city --out results",
    ),
    "predict": _training(
        "localise every pair of a data set", "--pairs pairs.csv --weights synthcity --out results"
    ),
    "ablate": _command(
        "ablate",
        "what parts are worth: rows, table and plot",
        "--root city --steps 300 --out ablation",
    ),
    "figures": _command(
        "figures",
        "draw samples and what models make of them, as in the paper",
        "--root city --models synthcity --count 3",
    ),
    "convert": _command(
        "convert", "published checkpoint to safetensors", "checkpoint.pth.tar converted"
    ),
    "export": _command(
        "export",
        "a network as ONNX or as a torch.export program",
        "--model synthcity --out synthcity.onnx",
    ),
    "app": _command("app", "a web page to try it on, on this machine", "--open", json=False),
    "benchmark": _command("benchmark", "speed and memory on this machine", "localize --quick"),
    "doctor": _command("doctor", "what is installed, which device, what works", "--json"),
    "completion": _command("completion", "completion of words by TAB, for a shell", json=False),
}
