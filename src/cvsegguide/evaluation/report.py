"""Figures as tables: on screen and in Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from cvsegguide.evaluation.position import RECALL_THRESHOLDS

Table = tuple[list[str], list[list[str]]]


def _number(value: Any, digits: int = 2) -> str:
    return "-" if value is None else f"{float(value):.{digits}f}"


def _with_interval(
    figures: Mapping[str, Any], name: str, digits: int = 2, factor: float = 1
) -> str:
    if name not in figures:
        return "-"
    text = f"{factor * figures[name]:.{digits}f}"
    low, high = figures.get(f"{name}_low"), figures.get(f"{name}_high")
    if low is None or high is None:
        return text
    return f"{text} [{factor * low:.{digits}f}, {factor * high:.{digits}f}]"


def position_table(figures: Mapping[str, Any]) -> Table:
    """The model and the baselines: errors, recalls with 95 % intervals, likelihood."""
    recalls = [f"recall_{threshold:g}m" for threshold in RECALL_THRESHOLDS]
    head = ["predictor", "mean m", "median m", "25 % m", "75 % m", "90 % m"]
    head += [f"within {threshold:g} m %" for threshold in RECALL_THRESHOLDS] + ["NLL nats"]
    rows = []
    model = {**figures.get("position", {}), "nll": figures.get("posterior", {}).get("nll")}
    for name, values in [("model", model), *figures.get("baselines", {}).items()]:
        row = [name, _with_interval(values, "mean"), _with_interval(values, "median")]
        row += [_number(values.get(key)) for key in ("p25", "p75", "p90")]
        row += [_with_interval(values, key, 1, 100) for key in recalls]
        rows.append([*row, _number(values.get("nll"))])
    return head, rows


def direction_table(figures: Mapping[str, Any]) -> Table:
    """Errors across and along the heading."""
    position = figures.get("position", {})
    head = ["part", "mean m", "median m"]
    head += [f"within {threshold:g} m %" for threshold in RECALL_THRESHOLDS]
    rows = []
    for name in ("lateral", "longitudinal"):
        if f"{name}_mean" in position:
            row = [name, _number(position[f"{name}_mean"]), _number(position[f"{name}_median"])]
            row += [
                _number(100 * position[f"{name}_recall_{threshold:g}m"], 1)
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
        rows.append([label, _number(100 * value, 1)])
    for key, value in posterior.items():
        if key.endswith("_area_m2"):
            rows.append([f"area of the {key[3:-8]} % set (median), m²", _number(value, 1)])
        elif key.endswith("_coverage"):
            rows.append([f"cameras inside the {key[3:-9]} % set, %", _number(100 * value, 1)])
    return ["posterior", "value"], rows


def landcover_table(figures: Mapping[str, Any]) -> Table:
    """IoU and Dice by class, and their means."""
    scores = figures.get("landcover")
    if not scores:
        return ["class", "IoU %", "Dice %"], []
    rows = [
        [name, _number(100 * scores["iou"][name], 1), _number(100 * scores["dice_of"][name], 1)]
        for name in scores["iou"]
    ]
    rows.append(["mean", _number(100 * scores["miou"], 1), _number(100 * scores["dice"], 1)])
    return ["class", "IoU %", "Dice %"], rows


def _tables(figures: Mapping[str, Any]) -> list[tuple[str, Table]]:
    found = [
        ("Position (95 % bootstrap intervals in brackets)", position_table(figures)),
        ("Error across and along the heading", direction_table(figures)),
        ("Regions and calibration", posterior_table(figures)),
        ("Land cover", landcover_table(figures)),
    ]
    heading = figures.get("heading")
    if heading:
        row = [_number(heading["mean"]), _number(heading["median"]), _number(heading["p90"])]
        found.append(("Heading", (["mean °", "median °", "90 % °"], [row])))
    return [(title, table) for title, table in found if table[1]]


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as Markdown."""
    lines = ["| " + " | ".join(head) + " |"]
    lines.append("|" + "|".join(["---"] + ["---:"] * (len(head) - 1)) + "|")
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def markdown(figures: Mapping[str, Any]) -> str:
    """The report of a run as Markdown.

    Args:
        figures: What :meth:`cvsegguide.evaluation.evaluator.Evaluator.compute` returned, with
            ``weights``, ``data``, ``split`` and, where known, ``command``, ``git``, ``time``.
    """
    count = int(figures.get("position", {}).get("count", 0))
    parts = [
        f"# {figures.get('weights', 'model')} on {figures.get('data', 'data')}",
        f"{count} samples of the {figures.get('split', 'test')} split.",
    ]
    command = figures.get("command")
    if command:
        parts.append(f"Command: `{' '.join(command)}`")
    facts = [f"{key} {figures[key]}" for key in ("git", "time", "system") if figures.get(key)]
    if facts:
        parts.append("; ".join(facts) + ".")
    for title, (head, rows) in _tables(figures):
        parts += [f"## {title}", markdown_table(head, rows)]
    scores = figures.get("landcover")
    if scores:
        parts.append(
            f"Pixel accuracy {100 * scores['accuracy']:.1f} %. Confusion (pixels; rows are true):"
        )
        rows = [
            [name, *(str(value) for value in line)]
            for name, line in zip(scores["classes"], scores["confusion"], strict=True)
        ]
        parts.append(markdown_table(["", *scores["classes"]], rows))
    parts.append(
        "Baselines never see the street view. The land-cover prior's weights maximise the "
        "likelihood of these very samples: no other prior by class does better."
    )
    return "\n\n".join(parts) + "\n"


def print_table(figures: Mapping[str, Any]) -> None:
    """The same tables on standard output; in a narrow terminal without intervals."""
    for title, table in _tables(figures):
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
    for number, name in enumerate(head):
        shown.add_column(name, justify="left" if number == 0 else "right")
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
