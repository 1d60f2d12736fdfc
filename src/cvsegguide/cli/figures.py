"""``cvsegguide figures``: samples and what models make of them, ready for print."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cvsegguide.cli.localize import DEVICE
from cvsegguide.cli.parsing import add_options, check_least, refuse
from cvsegguide.console import done
from cvsegguide.errors import ConfigurationError
from cvsegguide.io.atomic import write_text
from cvsegguide.progress import track

if TYPE_CHECKING:
    from torch.utils.data import Dataset

    from cvsegguide.data.sample import Sample

FORMATS = ("png", "pdf", "svg", "jpg")
SPLITS = ("train", "val", "test", "predict")
DEFAULT_COUNT = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.description = (
        "Figures as in the paper: overhead image, true land cover and each model's land cover with "
        "its posterior, true position and estimate; street view and DPD below. Samples by their "
        "ids, by the best and worst of a table of predictions, or spread over the data set."
    )
    text = (
        "models in the order of their columns: bundled name, folder, .safetensors, published "
        "checkpoint or Hub id; TITLE=M gives a title (default: the bundled weights)"
    )
    parser.add_argument("--models", nargs="+", metavar="M", help=text)
    config = "YAML file or bundled configuration, as `test` takes it; gives the data set"
    root = (
        "folder of the data for the configuration; without one, what lies there is recognised: "
        "SynthCity, Brooklyn & Queens, VIGOR, or a manifest file"
    )
    data = parser.add_argument_group("data set")
    add_options(
        data,
        ("--config NAME", str, config),
        ("--root DIR", str, root),
        ("--split=test", SPLITS, "part of the data set"),
    )
    text = "arguments of the data set to change, such as city=queens"
    data.add_argument("--data", nargs="+", default=[], metavar="KEY=VALUE", help=text)
    samples = parser.add_argument_group("samples")
    samples.add_argument("--ids", nargs="+", metavar="ID", help="whole ids, or unique ends of them")
    add_options(
        samples,
        ("--best N=0", int, "the N smallest errors"),
        ("--worst N=0", int, "the N largest errors"),
        ("--predictions FILE", str, "predictions.parquet that --best and --worst look at"),
        ("--count N", int, "samples spread evenly where none are chosen (default: 3)"),
    )
    figure = parser.add_argument_group("figure")
    figure.add_argument(
        "--formats", nargs="+", default=["png"], choices=FORMATS, help="default: png"
    )
    add_options(
        figure,
        ("--out DIR=figures", str, "folder"),
        ("--per-page N=3", int, "samples on a page"),
        ("--dpi N=300", int, "dots per inch of pixels"),
        DEVICE,
    )


def run(arguments: argparse.Namespace) -> int:
    """Choose, localise, draw."""
    chosen = bool(arguments.ids or arguments.best or arguments.worst)
    check_least(arguments, 0, "best", "worst")
    check_least(arguments, 1, "count", "per_page")
    check_least(arguments, 30, "dpi")
    if not (arguments.best or arguments.worst):
        refuse(arguments, "says nothing without `best` or `worst`", "predictions")
    elif not arguments.predictions:
        raise ConfigurationError("`best`, `worst`: need `predictions` FILE, as `test` writes it")
    if chosen:
        refuse(arguments, "samples are chosen already", "count")

    from cvsegguide.evaluation.choice import find_samples, ranked_ids, spread
    from cvsegguide.evaluation.sources import open_dataset

    dataset = open_dataset(
        arguments.config, arguments.root, arguments.split, _assignments(arguments.data)
    )
    if chosen:
        ids = list(arguments.ids or [])
        if arguments.predictions:
            ids += ranked_ids(arguments.predictions, arguments.best, arguments.worst)
        places = find_samples(dataset, list(dict.fromkeys(ids)))
    else:
        places = spread(len(dataset), arguments.count or DEFAULT_COUNT)  # type: ignore[arg-type]
    written, record = _draw(arguments, dataset, places)
    done("\n".join(map(str, written)), record)
    return 0


def _draw(
    arguments: argparse.Namespace, dataset: "Dataset[Sample]", places: Sequence[int]
) -> tuple[list[Path], dict[str, Any]]:
    from cvsegguide.evaluation.examples import examples
    from cvsegguide.inference.torch_network import choose_device
    from cvsegguide.models.hub import default_weights, load_model
    from cvsegguide.viz.comparison import save_comparison

    device = choose_device(arguments.device)
    models = []
    for given in arguments.models or [default_weights()]:
        title, _, source = given.rpartition("=")
        models.append((title or Path(source).name or source, load_model(source).to(device)))
    found = [examples(models, [dataset[place]])[0] for place in track(places, "localising")]
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    pages = [
        found[first : first + arguments.per_page]
        for first in range(0, len(found), arguments.per_page)
    ]
    written: list[Path] = []
    for number, page in enumerate(pages):
        name = "comparison" if len(pages) == 1 else f"comparison-{number + 1}"
        written += save_comparison(page, out / name, arguments.formats, arguments.dpi)
    record: dict[str, Any] = {
        entry.sample.id: {
            answer.model: {
                "error_m": entry.error(number),
                "row": answer.row,
                "col": answer.col,
                "true_region": entry.true_rank(number),
                "dpd": [region.probability for region in answer.regions],
            }
            for number, answer in enumerate(entry.answers)
        }
        for entry in found
    }
    write_text(out / "comparison.json", json.dumps(record, indent=1) + "\n")
    return [*written, out / "comparison.json"], record


def _assignments(texts: Sequence[str]) -> dict[str, str]:
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ConfigurationError(f"`data` {text}: is not of the form KEY=VALUE")
        found[key] = value
    return found
