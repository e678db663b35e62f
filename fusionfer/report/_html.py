"""A folder with one page that stands alone, the same in Markdown and JSON, and the figures."""

from __future__ import annotations

import base64
import functools
import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionfer.exceptions import ReportError
from fusionfer.report._figures import faces_figure, png_bytes
from fusionfer.report._parts import Code, Picture, Section, Sheet
from fusionfer.report._tables import Table, figure_columns, markdown_table, markdown_text
from fusionfer.report._thumbnails import thumbnail_bytes
from fusionfer.report._writing import write_bytes

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["write_report"]

_CSS_PIXELS = 96  # an inch


def write_report(
    folder: str | Path,
    *,
    title: str,
    lead: str,
    notes: Sequence[str] = (),
    sections: Sequence[Section] = (),
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
    sections : sequence of Section
        Those without anything to show are left out.
    data : mapping, optional
        All numbers, for machines; must be JSON without NaN. ``scores.json`` has them beside title, lead, notes and the
        sections as they are shown.

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
    shown = [section for section in map(_shown, sections) if section.items]
    drawn = {item.name: item for section in shown for item in section.items if isinstance(item, Picture | Sheet)}
    names = [item.name for section in shown for item in section.items if isinstance(item, Picture | Sheet)]
    wrong = [name for name in names if not re.fullmatch(r"[A-Za-z0-9_-]+", name) or names.count(name) > 1]
    if wrong:
        msg = f"Figures need names of letters, digits, _ and -, each once; not {', '.join(map(repr, wrong))}."
        raise ReportError(msg)
    head = {"title": title, "lead": lead, "notes": list(notes)}
    facts = {**head, **(data or {}), "sections": [_described(section) for section in shown]}
    try:
        numbers = json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        msg = f"The numbers of a report must be JSON: {error}."
        raise ReportError(msg) from error
    pictures = {name: _png(item) for name, item in drawn.items()}
    page = _template().render(**head, sections=[_entries(section, pictures) for section in shown])
    files = {f"{name}.png": content for name, content in pictures.items()}
    files["scores.json"] = _encoded(numbers)
    files["report.md"] = _encoded(_markdown(title, lead, notes, shown))
    files["index.html"] = _encoded(page)
    for name, content in files.items():
        write_bytes(folder / name, content)
    return folder / "index.html"


@functools.cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    return environment.from_string(resources.files("fusionfer.report").joinpath("page.html.jinja").read_text("utf-8"))


def _shown(section: Section) -> Section:
    """Return the section without what has nothing to show."""

    def shows(item: str | Code | Table | Picture | Sheet) -> bool:
        return bool(item.rows if isinstance(item, Table) else item.pixels if isinstance(item, Sheet) else item)

    return section._replace(items=tuple(item for item in section.items if shows(item)))


def _png(item: Picture | Sheet) -> bytes:
    return png_bytes(item.figure if isinstance(item, Picture) else faces_figure(item.pixels, item.captions))


def _entries(section: Section, pictures: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the section as the template takes it."""

    def entry(item: str | Code | Table | Picture | Sheet) -> tuple[str, Any]:
        if isinstance(item, str):
            return "text", item
        if isinstance(item, Code):
            return "code", item.text
        if isinstance(item, Table):
            return "table", {**item._asdict(), "figures": figure_columns(item)}
        if isinstance(item, Picture):
            width, height = (round(_CSS_PIXELS * size) for size in item.figure.get_size_inches())
            return "figure", {
                "caption": item.caption, "says": item.says or item.caption, "width": width, "height": height,
                "source": _data_uri(pictures[item.name]),
            }  # fmt: skip
        faces = [
            {"caption": caption, "says": "face: " + ", ".join(caption.split("\n")), "source": _data_uri(content)}
            for content, caption in zip(map(thumbnail_bytes, item.pixels), item.captions, strict=True)
        ]
        return "sheet", {"caption": item.caption, "faces": faces}

    return {"title": section.title, "entries": [entry(item) for item in section.items]}


def _described(section: Section) -> dict[str, Any]:
    """Return the section as JSON knows it; of figures, file and words."""

    def described(item: str | Code | Table | Picture | Sheet) -> dict[str, Any]:
        if isinstance(item, str):
            return {"text": item}
        if isinstance(item, Code):
            return {"commands": item.text.splitlines()}
        if isinstance(item, Table):
            return {"table": item._asdict()}
        words = {"file": f"{item.name}.png", "caption": item.caption}
        if isinstance(item, Picture):
            return {"figure": {**words, "says": item.says or item.caption}}
        return {"faces": {**words, "captions": list(item.captions)}}

    return {"title": section.title, "items": [described(item) for item in section.items]}


def _markdown(title: str, lead: str, notes: Sequence[str], sections: Sequence[Section]) -> str:
    def written(item: str | Code | Table | Picture | Sheet) -> str:
        if isinstance(item, str):
            return f"{markdown_text(item)}\n"
        if isinstance(item, Code):
            return "".join(f"    {line}\n" for line in item.text.splitlines())
        if isinstance(item, Table):
            return markdown_table(item, level=3)
        says = item.says or item.caption if isinstance(item, Picture) else item.caption
        caption = f"\n{markdown_text(item.caption)}\n" if says != item.caption else ""
        return f"![{markdown_text(says)}]({item.name}.png)\n{caption}"

    parts = [f"# {markdown_text(title)}\n", f"{markdown_text(lead)}\n"]
    parts += ["".join(f"- {markdown_text(note)}\n" for note in notes)] if notes else []
    for section in sections:
        parts += [f"## {markdown_text(section.title)}\n", *map(written, section.items)]
    return "\n".join(parts)


def _data_uri(content: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def _encoded(text: str) -> bytes:
    """Return UTF-8; file names that are none are shown with backslashes."""
    return text.encode("utf-8", "backslashreplace")
