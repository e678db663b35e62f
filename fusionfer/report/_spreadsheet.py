"""CSV that every spreadsheet opens and none takes for formulas."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

from fusionfer.report._writing import write_bytes

__all__ = ["write_csv"]

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def write_csv(target: str | Path | TextIO, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table as CSV: UTF-8, commas, cells quoted where needed, one line a row.

    A cell that a spreadsheet would run as a formula (it begins with ``=``, ``+``, ``-``, ``@``, a tab or a line break,
    and is no number) gets a leading apostrophe.

    Parameters
    ----------
    target : path or text stream
        A file appears complete or not at all.
    header : sequence of str
        Names of the columns.
    rows : iterable of sequences
        Each as long as the header; None becomes an empty cell.

    Raises
    ------
    ReportError
        If the file cannot be written.

    Examples
    --------
    >>> import sys
    >>> write_csv(sys.stdout, ["image", "joy"], [["=cmd().jpg", 0.25], ["a,b.jpg", "-1e-3"]])
    image,joy
    '=cmd().jpg,0.25
    "a,b.jpg",-1e-3
    """
    # File names that are no Unicode get backslashes.
    content = "".join(_line(row) for row in [header, *rows]).encode("utf-8", "backslashreplace")
    if isinstance(target, str | Path):
        write_bytes(Path(target), content)
    else:
        target.write(content.decode("utf-8"))


def _line(row: Sequence[object]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerow(
        [_harmless(cell) for cell in row]
    )  # so that it quotes both signs
    return buffer.getvalue().removesuffix("\r\n") + "\n"


def _harmless(cell: object) -> str:
    text = "" if cell is None else str(cell)
    return f"'{text}" if text[:1] in tuple("=+-@\t\r\n") and not _NUMBER.fullmatch(text) else text
