"""Figures as tables: on screen and in Markdown."""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cvsegguide.evaluation.cells import number, with_interval
from cvsegguide.evaluation.position import RECALL_THRESHOLDS
from cvsegguide.io.atomic import write_text

Table = tuple[list[str], list[list[str]]]


def position_table(figures: Mapping[str, Any]) -> Table:
    """The model and the baselines: errors, recalls with 95 % intervals, likelihood."""
    recalls = [f"recall_{threshold:g}m" for threshold in RECALL_THRESHOLDS]
    head = ["predictor", "mean m", "median m", "25 % m", "75 % m", "90 % m"]
    head += [f"within {threshold:g} m %" for threshold in RECALL_THRESHOLDS] + ["NLL nats"]
    rows = []
    model = {**figures.get("position", {}), "nll": figures.get("posterior", {}).get("nll")}
    for name, values in [("model", model), *figures.get("baselines", {}).items()]:
        row = [name, with_interval(values, "mean"), with_interval(values, "median")]
        row += [number(values.get(key)) for key in ("p25", "p75", "p90")]
        row += [with_interval(values, key, 1, 100) for key in recalls]
        rows.append([*row, number(values.get("nll"))])
    return head, rows


def published_table(figures: Mapping[str, Any]) -> Table:
    """This model and what others report for the same protocol."""
    published = figures.get("published")
    head = ["method", "mean m", "median m"]
    if not published:
        return head, []
    own = figures.get("position", {})
    rows = [["this model", number(own.get("mean")), number(own.get("median"))]]
    rows += [
        [row["method"], number(row["mean"]), number(row["median"])] for row in published["rows"]
    ]
    return head, rows


def direction_table(figures: Mapping[str, Any]) -> Table:
    """Errors across and along the heading."""
    position = figures.get("position", {})
    head = ["part", "mean m", "median m"]
    head += [f"within {threshold:g} m %" for threshold in RECALL_THRESHOLDS]
    rows = []
    for name in ("lateral", "longitudinal"):
        if f"{name}_mean" in position:
            row = [name, number(position[f"{name}_mean"]), number(position[f"{name}_median"])]
            row += [
                number(100 * position[f"{name}_recall_{threshold:g}m"], 1)
                for threshold in RECALL_THRESHOLDS
            ]
            rows.append(row)
    return head, rows


def posterior_table(figures: Mapping[str, Any]) -> Table:
    """Regions and highest-density sets."""
    rows = []
    regions, posterior = figures.get("regions", {}), figures.get("posterior", {})
    for key, value in regions.items():
        label = (
            f"camera among the {key[4:]} likeliest regions, %"
            if key.startswith("hit_")
            else "probability of the camera's region (mean), %"
        )
        rows.append([label, number(100 * value, 1)])
    for key, value in posterior.items():
        if key.endswith("_area_m2"):
            rows.append([f"area of the {key[3:-8]} % set (median), m²", number(value, 1)])
        elif key.endswith("_coverage"):
            rows.append([f"cameras inside the {key[3:-9]} % set, %", number(100 * value, 1)])
        elif key == "mean_certain":
            rows.append(["mean error without the most uncertain fifth, m", number(value)])
    return ["posterior", "value"], rows


def landcover_table(figures: Mapping[str, Any]) -> Table:
    """IoU and Dice by class, and their means."""
    scores = figures.get("landcover")
    if not scores:
        return ["class", "IoU %", "Dice %"], []
    rows = [
        [name, number(100 * scores["iou"][name], 1), number(100 * scores["dice_of"][name], 1)]
        for name in scores["iou"]
    ]
    rows.append(["mean", number(100 * scores["miou"], 1), number(100 * scores["dice"], 1)])
    rows.append([f"pixels right: {100 * scores['accuracy']:.1f} %", "", ""])
    return ["class", "IoU %", "Dice %"], rows


def confusion_table(figures: Mapping[str, Any]) -> Table:
    """Pixels by true class (rows) and predicted class."""
    scores = figures.get("landcover")
    if not scores:
        return [""], []
    rows = [
        [name, *(str(value) for value in line)]
        for name, line in zip(scores["classes"], scores["confusion"], strict=True)
    ]
    return ["pixels: true / predicted", *scores["classes"]], rows


def tables(figures: Mapping[str, Any]) -> list[tuple[str, Table]]:
    """All tables that there are figures for, with their headings."""
    found = [
        ("Position (95 % bootstrap intervals in brackets)", position_table(figures)),
        (
            f"Published on {(figures.get('published') or {}).get('protocol')}",
            published_table(figures),
        ),
        ("Error across and along the heading", direction_table(figures)),
        ("Regions and calibration", posterior_table(figures)),
        ("Land cover", landcover_table(figures)),
        ("Confusion of land cover", confusion_table(figures)),
    ]
    heading = figures.get("heading")
    if heading:
        row = [number(heading["mean"]), number(heading["median"]), number(heading["p90"])]
        found.append(("Heading", (["mean °", "median °", "90 % °"], [row])))
    return [(title, table) for title, table in found if table[1]]


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as Markdown."""
    lines = ["| " + " | ".join(head) + " |"]
    lines.append("|" + "|".join(["---"] + ["---:"] * (len(head) - 1)) + "|")
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def write_table(path: Path, figures: Mapping[str, Any], table: Table) -> None:
    """Write figures to ``path.json`` and their table to ``path.md``, and print the table."""
    text = markdown_table(*table)
    write_text(path.with_name(f"{path.name}.json"), json.dumps(figures, indent=1) + "\n")
    write_text(path.with_name(f"{path.name}.md"), text + "\n")
    print(text)


BASELINE_NOTE = (
    "Baselines never see the street view. The land-cover prior's weights maximise the likelihood "
    "of these very samples: no other prior by class does better. Intervals (95 %, bootstrap) "
    "say what another draw of samples from the same place would change."
)


def heading_of(figures: Mapping[str, Any]) -> str:
    """What was measured on what."""
    return f"{figures.get('weights', 'model')} on {figures.get('data', 'data')}"


def facts(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Where the figures come from, as pairs of name and text."""
    position = figures.get("position", {})
    found = [
        ("samples", f"{int(position.get('count', 0))}, {figures.get('split', 'test')} split"),
        ("command", shlex.join(map(str, figures.get("command") or []))),
    ]
    found += [(name, str(figures.get(name) or "")) for name in ("git", "time", "system")]
    return [(name, text) for name, text in found if text]


def headline(figures: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The few figures that a reader looks at first: name, value, what stands below it."""

    def interval(name: str, digits: int, factor: float, unit: str) -> str:
        low, high = position.get(f"{name}_low"), position.get(f"{name}_high")
        if low is None or high is None:
            return ""
        return f"{factor * low:.{digits}f} to {factor * high:.{digits}f}{unit} (95 %)"

    position = figures.get("position", {})
    found = []
    for name, label in (("median", "median error"), ("mean", "mean error")):
        if name in position:
            text = f"{position[name]:.2f} m"
            found.append((label, text, interval(name, 2, 1, " m")))
    for threshold in (1, 5):
        name = f"recall_{threshold}m"
        if name in position:
            text = f"{100 * position[name]:.1f} %"
            found.append((f"within {threshold} m", text, interval(name, 1, 100, " %")))
    posterior = figures.get("posterior", {})
    if "hdr90_coverage" in posterior:
        text = f"{100 * posterior['hdr90_coverage']:.1f} %"
        found.append(("cameras in the 90 % set", text, "90 % where calibrated"))
    if "landcover" in figures:
        scores = figures["landcover"]
        accuracy = f"{100 * scores['accuracy']:.1f} % of the pixels right"
        found.append(("land cover, mean IoU", f"{100 * scores['miou']:.1f} %", accuracy))
    return found


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    text = " ".join(str(text).split())
    for letter in "\\`*_[]<>|#":
        text = text.replace(letter, f"\\{letter}")
    return text


def markdown(
    figures: Mapping[str, Any],
    pictures: Sequence[tuple[str, str, str]] = (),
    note: str = "",
) -> str:
    """The report of a run as Markdown.

    Args:
        figures: What :meth:`cvsegguide.evaluation.evaluator.Evaluator.compute` returned, with
            ``weights``, ``data``, ``split`` and, where known, ``command``, ``git``, ``time``.
        pictures: Title, address and caption of each.
        note: Said at the end.
    """
    parts = [f"# {_plain(heading_of(figures))}"]
    parts += [f"- {name}: {_plain(text)}" for name, text in facts(figures)]
    parts = [parts[0], "\n".join(parts[1:])]
    for title, (head, rows) in tables(figures):
        cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
        parts += [f"## {title}", markdown_table(head, cells)]
    parts.append(BASELINE_NOTE)
    for title, address, caption in pictures:
        parts += [f"## {title}", f"![{title}]({address})", caption]
    if note:
        parts.append(_plain(note))
    return "\n\n".join(parts) + "\n"


def print_table(figures: Mapping[str, Any]) -> None:
    """The same tables on standard output; in a narrow terminal without intervals."""
    for title, table in tables(figures):
        if table != confusion_table(figures):
            print_one(title, table)


def print_one(title: str, table: Table) -> None:
    """A table on standard output, as wide as the terminal at most."""
    from rich.console import Console
    from rich.table import Table as RichTable

    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    head, rows = fitted(table, console.width)
    if not any("[" in cell for row in rows for cell in row):
        title = title.partition(" (95 %")[0]
    shown = RichTable(title=title, title_justify="left")
    for column, name in enumerate(head):
        shown.add_column(name, justify="right" if column else "left")
    for row in rows:
        shown.add_row(*row)
    console.print(shown)


_SPARE = ("25 % m", "75 % m", "within 3 m %", "within 10 m %", "90 % m", "NLL nats")
"""Columns that a narrow terminal does without, the least missed first."""


def fitted(table: Table, width: int) -> Table:
    """A table of at most ``width`` characters: without intervals, then with fewer columns."""
    head, rows = table
    if _width(head, rows) > width:
        rows = [[cell.partition(" [")[0] for cell in row] for row in rows]
    for name in _SPARE:
        if _width(head, rows) <= width:
            break
        if name in head:
            index = head.index(name)
            head = head[:index] + head[index + 1 :]
            rows = [row[:index] + row[index + 1 :] for row in rows]
    return head, rows


def _width(head: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    columns = zip(head, *rows, strict=True)
    return 1 + sum(max(map(len, column)) + 3 for column in columns)
