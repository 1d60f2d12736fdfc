"""``cvsegguide export --model M --out FILE``: a network as a file for other runtimes."""

import argparse
from pathlib import Path

from cvsegguide.cli.localize import MODEL, chosen_model
from cvsegguide.cli.parsing import add_options
from cvsegguide.console import done
from cvsegguide.errors import ConfigurationError

SUFFIXES = {"onnx": ".onnx", "torch-export": ".pt2"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.description = (
        "Write a network as one file for other runtimes: ONNX, or a program of torch.export. The "
        "batch stays free; sizes, classes and resolution are in the file's metadata. Its answers "
        "are compared with the network's before it appears."
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="FILE.onnx or FILE.pt2")
    add_options(
        parser,
        ("--model M", str, f"{MODEL} (default: the bundled weights)"),
        ("--format", tuple(SUFFIXES), "told from the name of the file by default"),
        ("--name NAME", str, "name of the weights in the metadata (default: the model's)"),
        ("--no-check", bool, "do not compare the file's answers with the network's"),
    )


def run(arguments: argparse.Namespace) -> int:
    """Export; exit status 0."""
    out = Path(arguments.out)
    chosen = arguments.format
    if chosen is None:
        chosen = next((key for key, value in SUFFIXES.items() if out.suffix == value), None)
        if chosen is None:
            raise ConfigurationError(
                f"--out {out}: the name must end in .onnx or .pt2 (or pass --format)"
            )
    elif out.suffix != SUFFIXES[chosen]:
        raise ConfigurationError(f"--out {out}: the name must end in {SUFFIXES[chosen]}")
    source = chosen_model(arguments.model)

    from cvsegguide.export.writing import need_onnx, write_onnx, write_program

    if chosen == "onnx":
        need_onnx(not arguments.no_check)

    from cvsegguide.export.licences import license_of
    from cvsegguide.models.hub import load_model

    model = load_model(source)
    name = arguments.name or Path(source).name
    write = write_onnx if chosen == "onnx" else write_program
    difference = write(model, out, name, license_of(source), not arguments.no_check)
    size = out.stat().st_size / 1e6
    said = "not checked" if difference is None else f"differs from the network by {difference:.1g}"
    done(
        f"{out} written: {size:.1f} MB, {said}",
        {"file": str(out), "format": chosen, "megabytes": size, "difference": difference},
    )
    return 0
