"""What was measured, as tables on screen, as Markdown and as a page of HTML."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cvsegguide.evaluation.streaming import RECALL_THRESHOLDS
from cvsegguide.io.atomic import atomic_path, write_text

if TYPE_CHECKING:
    from cvsegguide.evaluation.report_pictures import Picture

Table = tuple[list[str], list[list[str]]]
"""Head, and rows of as many cells."""

PICTURES = "pictures"
"""Folder of the pictures that ``report.md`` shows."""

BASELINE_NOTE = (
    "Baselines never see the street view. The land-cover prior's weights maximise the likelihood "
    "of these very samples: no other prior by class does better. Intervals (95 %, bootstrap) "
    "say what another draw of samples from the same place would change."
)


def format_number(value: Any, digits: int = 2, factor: float = 1.0) -> str:
    """A figure times ``factor``; ``-`` for None."""
    return "-" if value is None else f"{factor * float(value):.{digits}f}"


def format_interval(
    figures: Mapping[str, Any], name: str, digits: int = 2, factor: float = 1.0
) -> str:
    """A figure times ``factor``, and its interval where ``{name}_low`` and ``_high`` are known."""
    low, high = figures.get(f"{name}_low"), figures.get(f"{name}_high")
    text = format_number(figures.get(name), digits, factor)
    if text == "-" or low is None or high is None:
        return text
    return f"{text} [{format_number(low, digits, factor)}, {format_number(high, digits, factor)}]"


def format_difference(entry: Mapping[str, float] | None, sign: str = "+") -> str:
    """``value``, ``low`` and ``high`` as a signed figure with its interval; ``-`` for None."""
    if entry is None:
        return "-"
    value, low, high = (f"{entry[name]:{sign}.2f}" for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


_RECALLS = [
    (f"within {threshold:g} m %", f"recall_{threshold:g}m", 1, 100)
    for threshold in RECALL_THRESHOLDS
]
_ERRORS = [("mean m", "mean", 2, 1), ("median m", "median", 2, 1)]
_QUANTILES = [(f"{share} % m", f"p{share}", 2, 1) for share in (25, 75, 90)]
"""Columns of tables of errors: head, name of the figure, digits, factor."""


def _fill(
    first: str, columns: Sequence[tuple[str, str, int, float]], lines: Mapping[str, Any]
) -> Table:
    """A table with a row for each of the figures ``lines`` that stand under a name."""
    rows = [
        [
            name,
            *(format_interval(figures, key, digits, factor) for _, key, digits, factor in columns),
        ]
        for name, figures in lines.items()
    ]
    return [first, *(column[0] for column in columns)], rows


def position_table(figures: Mapping[str, Any]) -> Table:
    """The model and the baselines: errors, recalls with 95 % intervals, likelihood."""
    model = {**figures.get("position", {}), "nll": figures.get("posterior", {}).get("nll")}
    columns = [*_ERRORS, *_QUANTILES, *_RECALLS, ("NLL nats", "nll", 2, 1)]
    return _fill("predictor", columns, {"model": model, **figures.get("baselines", {})})


def _direction_table(position: Mapping[str, Any]) -> Table:
    parts = {
        part: {
            key.removeprefix(f"{part}_"): value
            for key, value in position.items()
            if key.startswith(part)
        }
        for part in ("lateral", "longitudinal")
    }
    known = {part: figures for part, figures in parts.items() if figures}
    return _fill("part", [*_ERRORS, *_RECALLS], known)


def _posterior_table(figures: Mapping[str, Any]) -> Table:
    rows = []
    for key, value in figures.get("regions", {}).items():
        label = "probability of the camera's region (mean), %"
        if key.startswith("hit_"):
            label = f"camera among the {key[4:]} likeliest regions, %"
        rows.append([label, format_number(value, 1, 100)])
    for key, value in figures.get("posterior", {}).items():
        if key.endswith("_area_m2"):
            label = f"area of the {key[3:-8]} % set (median), m²"
            rows.append([label, format_number(value, 1)])
        elif key.endswith("_coverage"):
            rows.append([f"cameras inside the {key[3:-9]} % set, %", format_number(value, 1, 100)])
        elif key == "mean_certain":
            rows.append(["mean error without the most uncertain fifth, m", format_number(value)])
    return ["posterior", "value"], rows


def _landcover_tables(scores: Mapping[str, Any]) -> tuple[Table, Table]:
    """IoU and Dice by class, and pixels by true class (rows) and predicted class."""
    rows = [
        [name, format_number(iou, 1, 100), format_number(scores["dice_of"][name], 1, 100)]
        for name, iou in scores["iou"].items()
    ]
    rows.append(["mean", *(format_number(scores[key], 1, 100) for key in ("miou", "dice"))])
    rows.append([f"pixels right: {100 * scores['accuracy']:.1f} %", "", ""])
    confusion = [
        [name, *map(str, line)]
        for name, line in zip(scores["classes"], scores["confusion"], strict=True)
    ]
    return (
        (["class", "IoU %", "Dice %"], rows),
        (["pixels: true / predicted", *scores["classes"]], confusion),
    )


def report_tables(figures: Mapping[str, Any]) -> list[tuple[str, Table]]:
    """All tables that there are figures for, with their headings."""
    position = figures.get("position", {})
    found = [("Position (95 % bootstrap intervals in brackets)", position_table(figures))]
    published = figures.get("published")
    if published:
        own = {key: position.get(key) for key in ("mean", "median")}
        others = {"this model": own, **{row["method"]: row for row in published["rows"]}}
        table = _fill("method", _ERRORS, others)
        found.append((f"Published on {published['protocol']}", table))
    found.append(("Error across and along the heading", _direction_table(position)))
    found.append(("Regions and calibration", _posterior_table(figures)))
    if figures.get("landcover"):
        classes, confusion = _landcover_tables(figures["landcover"])
        found += [("Land cover", classes), ("Confusion of land cover", confusion)]
    heading = figures.get("heading")
    if heading:
        row = [format_number(heading[key]) for key in ("mean", "median", "p90")]
        found.append(("Heading", (["mean °", "median °", "90 % °"], [row])))
    return [(title, table) for title, table in found if table[1]]


def _headline(figures: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The few figures that a reader looks at first: name, value, what stands below it."""
    position = figures.get("position", {})
    found = []
    for name, label, digits, factor, unit in (
        ("median", "median error", 2, 1, "m"),
        ("mean", "mean error", 2, 1, "m"),
        ("recall_1m", "within 1 m", 1, 100, "%"),
        ("recall_5m", "within 5 m", 1, 100, "%"),
    ):
        if name in position:
            value, _, interval = format_interval(position, name, digits, factor).partition(" [")
            interval = interval.rstrip("]").replace(", ", " to ")
            found.append((label, f"{value} {unit}", interval and f"{interval} {unit} (95 %)"))
    coverage = figures.get("posterior", {}).get("hdr90_coverage")
    if coverage is not None:
        text = f"{100 * coverage:.1f} %"
        found.append(("cameras in the 90 % set", text, "90 % where calibrated"))
    if "landcover" in figures:
        scores = figures["landcover"]
        accuracy = f"{100 * scores['accuracy']:.1f} % of the pixels right"
        found.append(("land cover, mean IoU", f"{100 * scores['miou']:.1f} %", accuracy))
    return found


def write_report(
    out: Path,
    figures: Mapping[str, Any],
    pictures: "Sequence[Picture]" = (),
    note: str = "",
) -> list[Path]:
    """Write ``report.html``, ``report.md`` and, where there are any, the pictures of the latter.

    Args:
        out: Folder.
        figures: What :meth:`cvsegguide.evaluation.evaluator.Evaluator.compute` returned, with
            ``weights``, ``data``, ``split`` and, where known, ``command``, ``git``, ``time``.
        pictures: In the order of the report.
        note: Said at the end, such as why pictures are missing.

    Returns:
        The files that a reader opens.
    """
    from jinja2 import Environment, PackageLoader

    title = f"{figures.get('weights', 'model')} on {figures.get('data', 'data')}"
    count = int(figures.get("position", {}).get("count", 0))
    facts = [("samples", f"{count}, {figures.get('split', 'test')} split")]
    facts.append(("command", shlex.join(map(str, figures.get("command") or []))))
    facts += [(name, str(figures.get(name) or "")) for name in ("git", "time", "system")]
    facts = [(name, text) for name, text in facts if text]
    tables = report_tables(figures)

    parts = [f"# {_plain(title)}", "\n".join(f"- {name}: {_plain(text)}" for name, text in facts)]
    for heading, (head, rows) in tables:
        cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
        parts += [f"## {heading}", markdown_table(head, cells)]
    parts.append(BASELINE_NOTE)
    for picture in pictures:
        with atomic_path(out / PICTURES / picture.name) as temporary:
            temporary.write_bytes(picture.content)
        address = f"![{picture.title}]({PICTURES}/{picture.name})"
        parts += [f"## {picture.title}", address, picture.caption]
    if note:
        parts.append(_plain(note))
    write_text(out / "report.md", "\n\n".join(parts) + "\n")

    loader = PackageLoader("cvsegguide.evaluation")
    template = Environment(loader=loader, autoescape=True).get_template("report.html")
    page = template.render(
        title=title,
        facts=facts,
        headline=_headline(figures),
        tables=tables,
        baseline_note=BASELINE_NOTE,
        pictures=pictures,
        note=note,
    )
    write_text(out / "report.html", page)
    return [out / "report.html", out / "report.md"]


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as Markdown."""
    lines = ["| " + " | ".join(head) + " |"]
    lines.append("|" + "|".join(["---"] + ["---:"] * (len(head) - 1)) + "|")
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    text = " ".join(str(text).split())
    for letter in "\\`*_[]<>|#":
        text = text.replace(letter, f"\\{letter}")
    return text


def print_report(figures: Mapping[str, Any]) -> None:
    """The tables on standard output; in a narrow terminal without intervals."""
    for title, table in report_tables(figures):
        if not title.startswith("Confusion"):
            print_table(title, table)


def print_table(title: str, table: Table) -> None:
    """A table on standard output, as wide as the terminal at most."""
    from rich.console import Console
    from rich.table import Table as RichTable

    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    head, rows = fit_table(table, console.width)
    if not any("[" in cell for row in rows for cell in row):
        title = title.partition(" (95 %")[0]
    shown = RichTable(title=title, title_justify="left")
    for column, name in enumerate(head):
        shown.add_column(name, justify="right" if column else "left")
    for row in rows:
        shown.add_row(*row)
    console.print(shown)


def fit_table(table: Table, width: int) -> Table:
    """A table of at most ``width`` characters: on its side, without intervals, or both."""
    whole = [table[0], *table[1]]
    bare = [[cell.partition(" [")[0] for cell in line] for line in whole]
    for lines in (whole, _turn(whole), bare, _turn(bare)):
        if 1 + sum(max(map(len, column)) + 3 for column in zip(*lines, strict=True)) <= width:
            break
    return lines[0], lines[1:]


def _turn(lines: list[list[str]]) -> list[list[str]]:
    return [list(line) for line in zip(*lines, strict=True)]
