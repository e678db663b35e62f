"""Print tables and JSON to stdout."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

__all__ = ["print_json", "print_report_table", "print_table"]


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]], title: str = "") -> None:
    """Print one table; columns after the first are aligned to the right where they hold figures."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    body = [[str(cell) for cell in row] for row in rows]
    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, title_style="bold")
    for column, name in enumerate(header):
        figures = column > 0 and all(_is_figure(row[column]) for row in body)
        table.add_column(name, justify="right" if figures else "left", no_wrap=column == 0 or figures, overflow="fold")
    for row in body:
        table.add_row(*(Text(cell) for cell in row))
    if sys.stdout.isatty():
        console = Console(highlight=False)
        # rich cuts what may not be wrapped, figures too; the terminal wraps longer lines, and loses nothing.
        console.width = max(console.width, _keep_whole(table, [list(header), *body]))
        console.print(table)
        return
    # Without a terminal rich assumes 80 columns, and would wrap and pad what another program is to read.
    text = io.StringIO()
    Console(file=text, width=400, highlight=False).print(table)
    click.echo("\n".join(line.rstrip() for line in text.getvalue().splitlines()).strip("\n") + "\n")


def _keep_whole(table: Any, rows: Sequence[Sequence[str]]) -> int:
    """Make columns wide enough for whole figures and whole words; return how wide the table is at least."""
    from rich.cells import cell_len

    for k, column in enumerate(table.columns):
        parts = [part for row in rows for part in ([row[k]] if column.no_wrap else row[k].split())]
        column.min_width = max(map(cell_len, parts), default=0)
    return sum(column.min_width for column in table.columns) + 3 * len(table.columns)


def print_report_table(table: Any) -> None:
    """Print a `fusionfer.report.Table`: its title, rows and note, and a blank line."""
    print_table(table.header, table.rows, title=table.title)
    if table.note:
        click.echo(f"{table.note}\n")


def _is_figure(cell: str) -> bool:
    return not cell or cell[0] in "0123456789-−–+±" or cell in {"nan", "yes", "no"}


def print_json(value: Any) -> None:
    """Print indented JSON; NaN is refused, as no other program reads it."""
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False)
    click.echo(text.encode("utf-8", "replace").decode())  # a file name that is no UTF-8 shows as "?"
