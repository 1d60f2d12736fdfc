"""The options of ``fit``, ``validate``, ``test`` and ``predict`` beside Lightning's."""

from argparse import SUPPRESS, ArgumentParser
from typing import Any

LAST = "last.ckpt"
"""The checkpoint that a run is resumed from."""

SUBCOMMANDS = {
    "fit": ("Train a model.", ("train", "val")),
    "validate": ("Evaluate a model on the data set `val`.", ("val",)),
    "test": ("Evaluate a model on the data set `test`.", ("test",)),
    "predict": (
        "Localise every pair of the data set `predict`, or of `test` where there is none.",
        ("predict", "test"),
    ),
}
"""What each sub-command does, and which data sets it opens."""

TRAINER_DEFAULTS = {
    "max_epochs": 100,
    "gradient_clip_val": 1.0,
    "num_sanity_val_steps": 0,
    "log_every_n_steps": 10,
    "use_distributed_sampler": False,
}


_OURS = {"model", "datamodule", "ckpt_path", "weights_only", "verbose", "return_predictions"}

TRAINER_ARGUMENTS = {
    name: _OURS | {"train_dataloaders", "val_dataloaders", "dataloaders"} for name in SUBCOMMANDS
}
"""Sub-commands and which arguments of the trainer's methods are ours to give."""


def usage(subcommand: str) -> str:
    """The first line of a sub-command's help."""
    own = "[--resume]" if subcommand == "fit" else "--weights RUN"
    own += {"test": " [--sweep]", "predict": " [--pairs TABLE]"}.get(subcommand, "")
    return (
        f"cvsegguide {subcommand} --config NAME [--root DIR] [--out DIR] {own} [--option value ...]"
    )


def add_config_option(parser: ArgumentParser) -> None:
    """``--config``, the first option of all."""
    from jsonargparse import ActionConfigFile  # type: ignore[attr-defined]

    parser.add_argument(
        "-c",
        "--config",
        action=ActionConfigFile,
        metavar="NAME",
        help="A YAML file (config.yaml of a run, for one), or the name of a bundled "
        "configuration such as mst-small-synthcity.",
    )


def add_own_options(parser: ArgumentParser, subcommand: str, text: Any = str | None) -> None:
    """What people need most, and what only one sub-command knows.

    Args:
        parser: Takes the options.
        subcommand: Whose.
        text: Type of an option that is a word or nothing; argparse knows no unions.
    """
    out = (
        "Folder of the run or of the results (default: runs/NAME after the configuration; for "
        "results a folder inside that of the weights)."
    )
    resume = f"Go on from {LAST} in the folder of the run where there is one."
    weights = (
        "What to evaluate: folder of a run, its .ckpt, or anything that Localizer.from_pretrained "
        "reads (default: the run whose config.yaml is given)."
    )
    pairs = (
        "The pairs to localise: a manifest, CSV or (Geo)Parquet, whose rows need not say where the "
        "camera stood."
    )
    add = parser.add_argument
    root = "Folder of the data, for every data set of the configuration."
    add("--root", type=text, default=SUPPRESS, metavar="DIR", help=root)
    add("--out", type=text, default=None, metavar="DIR", help=out)
    if subcommand == "fit":
        add("--resume", action="store_true", help=resume)
    else:
        add("--weights", type=text, default=None, metavar="RUN", help=weights)
    if subcommand == "predict":
        add("--pairs", type=text, default=SUPPRESS, metavar="TABLE", help=pairs)
    if subcommand == "test":
        pictures = "Leave the pictures out of report.html and report.md."
        add("--no-pictures", action="store_true", help=pictures)
        add("--sweep", action="store_true", help="Also measure narrower views and worse headings.")


def add_saving_options(parser: ArgumentParser, text: Any = str | None) -> None:
    """Averaging and saving; ``text`` as for :func:`add_own_options`."""
    add = parser.add_argument_group("averaging and saving").add_argument
    decay = "Decay of the moving average of the weights; 0 for none."
    add("--ema", type=float, default=0.999, help=decay)
    minutes = f"How often {LAST} is written within an epoch; 0 for never."
    add("--save_every_minutes", type=float, default=10.0, help=minutes)
    steps = f"Steps after which {LAST} is written within an epoch; 0 for never."
    add("--save_every_steps", type=int, default=0, help=steps)


def data_sets_needed(subcommand: str, options: Any) -> tuple[str, ...]:
    """The data sets that a sub-command opens."""
    _, names = SUBCOMMANDS[subcommand]
    if subcommand == "predict":
        return names[:1] if options.data.get("predict") is not None else names[1:]
    return names
