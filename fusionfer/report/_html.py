"""A folder with one page that stands alone, the same in Markdown, the figures and the numbers."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fusionfer.exceptions import ReportError
from fusionfer.report._figures import png_bytes
from fusionfer.report._tables import Table, html_table, markdown_table, markdown_text
from fusionfer.report._writing import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Picture", "write_report"]

_STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1c; --soft: #5f6368; --line: #dcdcdc; --page: #ffffff; --box: #f5f6f8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e8; --soft: #a3a8ad; --line: #3a3d41; --page: #17181a; --box: #222427; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 64rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1.1rem; margin: 2.25rem 0 .6rem; }
.lead { font-size: 1.1rem; margin: 0 0 1rem; }
.notes { margin: 1rem 0; padding: .7rem 1rem .7rem 2rem; background: var(--box); border-left: 4px solid #d55e00; }
.note { color: var(--soft); font-size: .9rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
th, td { padding: .35rem .7rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: bottom; }
th { font-weight: 600; }
tr > :first-child { text-align: left; padding-left: 0; }
tbody th { font-weight: 400; }
tbody tr:hover { background: var(--box); }
figure { margin: 2rem 0 0; }
figure img { max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
figcaption { color: var(--soft); font-size: .9rem; }
@media print {
  :root { --ink: #000; --soft: #444; --line: #bbb; --page: #fff; --box: #fff; }
  body { max-width: none; padding: 0; font-size: 11px; } figure, section, tr { break-inside: avoid; }
  .scroll { overflow: visible; }
}
"""


class Picture(NamedTuple):
    """A figure of a report.

    Attributes
    ----------
    name : str
        Of its file, without ending: letters, digits, ``_`` and ``-``.
    caption : str
        One sentence on what it shows; also what a screen reader says.
    figure : matplotlib.figure.Figure
    """

    name: str
    caption: str
    figure: Figure


def write_report(
    folder: str | Path,
    *,
    title: str,
    lead: str,
    notes: Sequence[str] = (),
    tables: Sequence[Table] = (),
    figures: Sequence[Picture] = (),
    data: Mapping[str, Any] | None = None,
) -> Path:
    """Write ``index.html``, ``report.md``, ``scores.json`` and the figures as PNG into a folder.

    Equal arguments give equal bytes; no date is put in. Everything is made in memory before the first file is written,
    and each file appears complete or not at all. Other files of the folder are left alone.

    Parameters
    ----------
    folder : path
        Made if it does not exist.
    title, lead : str
        Heading, and the one sentence that a hurried reader should read.
    notes : sequence of str
        What limits the result, shown at the top.
    tables : sequence of Table
        The first stands above the figures, the others below.
    figures : sequence of Picture
    data : mapping, optional
        All numbers, for machines; must be JSON without NaN.

    Returns
    -------
    Path
        Of ``index.html``, which needs no other file.

    Raises
    ------
    ReportError
        If a name is not a file name, `data` is not JSON, or a file cannot be written.
    """
    folder = Path(folder)
    names = [picture.name for picture in figures]
    wrong = [name for name in names if not re.fullmatch(r"[A-Za-z0-9_-]+", name) or names.count(name) > 1]
    if wrong:
        msg = f"Figures need names of letters, digits, _ and -, each once; not {', '.join(map(repr, wrong))}."
        raise ReportError(msg)
    try:
        numbers = json.dumps(data or {}, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        msg = f"The numbers of a report must be JSON: {error}."
        raise ReportError(msg) from error
    drawn = {picture.name: png_bytes(picture.figure) for picture in figures}
    files = {f"{name}.png": content for name, content in drawn.items()}
    files["scores.json"] = _encoded(numbers)
    files["report.md"] = _encoded(_markdown(title, lead, notes, tables, figures))
    files["index.html"] = _encoded(_page(title, lead, notes, tables, figures, drawn))
    for name, content in files.items():
        write_bytes(folder / name, content)
    return folder / "index.html"


def _page(
    title: str,
    lead: str,
    notes: Sequence[str],
    tables: Sequence[Table],
    figures: Sequence[Picture],
    drawn: Mapping[str, bytes],
) -> str:
    pictures = "".join(
        f'<figure>\n<img alt="{html.escape(picture.caption)}" '
        f'src="data:image/png;base64,{base64.b64encode(drawn[picture.name]).decode()}">\n'
        f"<figcaption>{html.escape(picture.caption)}</figcaption>\n</figure>\n"
        for picture in figures
    )
    listed = "".join(f"<li>{html.escape(note)}</li>\n" for note in notes)
    shown = [html_table(table) for table in tables if table.rows]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f'<h1>{html.escape(title)}</h1>\n<p class="lead">{html.escape(lead)}</p>\n'
        + (f'<ul class="notes">\n{listed}</ul>\n' if listed else "")
        + "".join([*shown[:1], pictures, *shown[1:]])
        + "</main>\n</body>\n</html>\n"
    )


def _markdown(title: str, lead: str, notes: Sequence[str], tables: Sequence[Table], figures: Sequence[Picture]) -> str:
    shown = [markdown_table(table) for table in tables if table.rows]
    pictures = [f"![{markdown_text(picture.caption)}]({picture.name}.png)\n" for picture in figures]
    parts = [f"# {markdown_text(title)}\n", f"{markdown_text(lead)}\n"]
    parts += ["".join(f"- {markdown_text(note)}\n" for note in notes)] if notes else []
    return "\n".join([*parts, *shown[:1], *pictures, *shown[1:]])


def _encoded(text: str) -> bytes:
    """Return UTF-8; file names that are none are shown with backslashes."""
    return text.encode("utf-8", "backslashreplace")
