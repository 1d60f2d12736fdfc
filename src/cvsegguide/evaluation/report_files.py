"""The report of a run as files: ``report.html`` with everything in it, ``report.md``, pictures."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from cvsegguide.evaluation.report import (
    BASELINE_NOTE,
    Table,
    facts,
    heading_of,
    headline,
    markdown,
    tables,
)
from cvsegguide.evaluation.report_pictures import Picture
from cvsegguide.io.atomic import atomic_path, write_text

PICTURES = "pictures"
"""Folder of the pictures that ``report.md`` shows."""

_STYLE = """
body{font:15px/1.45 system-ui,-apple-system,"Segoe UI",sans-serif;color:#1c1c22;background:#fff;
 max-width:74rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0 0 .3rem;overflow-wrap:anywhere}
h2{font-size:1.1rem;margin:2rem 0 .5rem;border-bottom:1px solid #ddd;padding-bottom:.2rem}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.85rem}
th,td{padding:.28rem .6rem;text-align:right;white-space:nowrap;border-bottom:1px solid #eee}
th:first-child,td:first-child{text-align:left}
td small{display:block;color:#777;font-size:.75rem}
thead th{border-bottom:1px solid #999;font-weight:600}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem;font-size:.85rem}
dt{color:#666}dd{margin:0;overflow-wrap:anywhere}
.tiles{display:flex;flex-wrap:wrap;gap:.8rem;margin:1rem 0}
.tile{border:1px solid #ddd;border-radius:.5rem;padding:.6rem .9rem;min-width:8.5rem}
.tile b{display:block;font-size:1.45rem}.tile span{color:#666;font-size:.8rem;display:block}
.plots{margin-top:1rem;display:flex;flex-wrap:wrap;gap:1rem;align-items:flex-start}
figure{margin:0 0 1rem;max-width:100%}.plots figure{max-width:27rem}
img{max-width:100%;height:auto}figcaption,.note{color:#666;font-size:.82rem;max-width:46rem}
@media print{body{margin:0}figure,table{break-inside:avoid}}
"""


def write_report(
    out: Path,
    figures: Mapping[str, Any],
    pictures: Sequence[Picture] = (),
    note: str = "",
) -> list[Path]:
    """Write ``report.html``, ``report.md`` and, where there are any, the pictures of the latter.

    Args:
        out: Folder.
        figures: See :func:`cvsegguide.evaluation.report.markdown`.
        pictures: In the order of the report.
        note: Said at the end, such as why pictures are missing.

    Returns:
        The files that a reader opens.
    """
    folder = out / PICTURES
    for picture in pictures:
        with atomic_path(folder / picture.name) as temporary:
            temporary.write_bytes(picture.content)
    shown = [(picture.title, f"{PICTURES}/{picture.name}", picture.caption) for picture in pictures]
    write_text(out / "report.md", markdown(figures, shown, note))
    write_text(out / "report.html", page(figures, pictures, note))
    return [out / "report.html", out / "report.md"]


def page(figures: Mapping[str, Any], pictures: Sequence[Picture] = (), note: str = "") -> str:
    """The report as one HTML page without anything from elsewhere; every text is escaped."""
    title = heading_of(figures)
    body = [f"<h1>{escape(title)}</h1>", _definitions(facts(figures)), _tiles(headline(figures))]
    beside: dict[str, list[Picture]] = {}
    for picture in pictures:
        beside.setdefault(picture.beside, []).append(picture)
    for name, table in tables(figures):
        title_here = name.replace("in brackets", "below")
        body += [f"<h2>{escape(title_here)}</h2>", _table(table)]
        group = name.partition(" ")[0]
        if group == "Position":
            body.append(f'<p class="note">{escape(BASELINE_NOTE)}</p>')
        if group in beside:
            plots = "".join(map(_figure, beside.pop(group)))
            body.append(f'<div class="plots">{plots}</div>')
    for picture in [picture for rest in beside.values() for picture in rest]:
        body += [f"<h2>{escape(picture.title)}</h2>", _figure(picture, titled=False)]
    if note:
        body.append(f'<p class="note">{escape(note)}</p>')
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _definitions(entries: Iterable[tuple[str, str]]) -> str:
    lines = [f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in entries]
    return f"<dl>{''.join(lines)}</dl>"


def _tiles(entries: Iterable[tuple[str, str, str]]) -> str:
    tiles = [
        f'<div class="tile"><span>{escape(name)}</span><b>{escape(value)}</b>'
        f"<span>{escape(interval)}</span></div>"
        for name, value, interval in entries
    ]
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _table(table: Table) -> str:
    head, rows = table
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    lines = ["<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in rows]
    return (
        f'<div class="scroll"><table><thead><tr>{top}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _cell(text: str) -> str:
    """A value, its interval in small letters below it."""
    value, bracket, interval = text.partition(" [")
    if not bracket or not interval.endswith("]"):
        return escape(text)
    return f"{escape(value)}<small>{escape(interval[:-1].replace(', ', ' to '))}</small>"


def _figure(picture: Picture, titled: bool = True) -> str:
    content = base64.b64encode(picture.content).decode("ascii")
    title = f"<b>{escape(picture.title)}.</b> " if titled else ""
    return (
        f'<figure><img src="data:{picture.media_type};base64,{content}" '
        f'alt="{escape(picture.title)}">'
        f"<figcaption>{title}{escape(picture.caption)}</figcaption></figure>"
    )
