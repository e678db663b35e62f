"""Manifests: CSV files that name pictures and say their label, split and group."""

from __future__ import annotations

import csv
import io
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from unicodedata import normalize

import numpy as np

from fusionfer.exceptions import DataError, UnknownNameError, unknown_name
from fusionfer.images._complaints import Complaint, settle, shorten
from fusionfer.images._decoding import MAX_PIXELS
from fusionfer.images._faceset import FaceSet
from fusionfer.images._names import split_of
from fusionfer.images._stores import Store, way_out

__all__ = ["Columns", "Table", "looks_like_manifest", "read_manifest", "read_table"]

_USUAL = {
    "path": "path file filename file_name filepath file_path image img image_path img_path image_file image_name "
    "imagename img_name pth",
    "label": "label labels emotion emotions expression class class_name target category",
    "split": "split usage set subset partition",
    "group": "group group_id subject subject_id person person_id identity participant actor",
}

_MAX_COLUMNS = 10_000


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a manifest; where None, they are found by their usual names."""

    path: str | None = None
    label: str | None = None
    split: str | None = None
    group: str | None = None

    @property
    def given(self) -> list[str]:
        """The options that are set."""
        return [f"{field.name}_column" for field in fields(self) if getattr(self, field.name) is not None]


@dataclass(frozen=True)
class Table:
    """A CSV file: its header, and each row with the number of the line that it ends on."""

    name: str
    header: list[str]
    rows: list[tuple[int, list[str]]]


def read_table(raw: bytes, name: str) -> Table:
    """Split a CSV file into cells; the delimiter is the one of comma, semicolon and tab that the header has most of.

    Raises
    ------
    DataError
        If the file is empty, not UTF-8, or no CSV.
    """
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        msg = f"{name} is UTF-16; save it as UTF-8 (in Excel: CSV UTF-8)."
        raise DataError(msg)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        msg = f"{name} is not UTF-8: byte 0x{raw[error.start]:02x} in line {line}. Save it as UTF-8."
        raise DataError(msg) from error
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    rows: list[tuple[int, list[str]]] = []
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append((reader.line_num, [cell.strip() for cell in cells]))
    except csv.Error as error:
        msg = f"{name}, line {reader.line_num}: {error}."
        raise DataError(msg) from error
    if not rows:
        msg = f"{name} is empty. A manifest has a header and one row for each picture."
        raise DataError(msg)
    return Table(name, rows[0][1], rows[1:])


def looks_like_manifest(raw: bytes, columns: Columns) -> bool:
    """Tell by its first line whether a CSV beside class folders has a column of paths and one of labels."""
    try:
        _find_columns(read_table(raw.split(b"\n", 1)[0], "").header, columns, "")
    except (DataError, UnknownNameError):
        return False
    return True


def _normal(column: str) -> str:
    return re.sub(r"[\s-]+", "_", column.strip().lower())


def _find_columns(header: Sequence[str], columns: Columns, name: str) -> dict[str, int]:
    """Return the positions of the columns; split and group may be lacking."""
    if len(header) > _MAX_COLUMNS:
        msg = f"{name} has {len(header):,} columns; a manifest has at most {_MAX_COLUMNS:,}."
        raise DataError(msg)
    found: dict[str, int] = {}
    faults: list[str] = []
    for what, usual in _USUAL.items():
        wanted = getattr(columns, what)
        if wanted is not None:
            if wanted not in header:
                raise unknown_name("column", wanted, header)
            found[what] = header.index(wanted)
            continue
        hits = [i for i, column in enumerate(header) if _normal(column) in usual.split()]
        if len(hits) == 1:
            found[what] = hits[0]
        elif hits:
            names = ", ".join(header[i] for i in hits)
            faults.append(f"several columns may hold the {what} ({names}); name one with {what}_column")
        elif what in ("path", "label"):
            faults.append(
                f"no column for the {what}; usual names are {', '.join(usual.split()[:6])}, or give {what}_column"
            )
    if faults:
        msg = f"{name}: {'; '.join(faults)}. Its first line reads: {shorten([c[:100] for c in header], 10)}."
        raise DataError(msg)
    return found


@dataclass
class _Row:
    """One row; `key` finds the picture in the store, and `id` is the path as the manifest writes it."""

    line: int
    id: str
    key: str
    label: str
    split: str
    group: str


def read_manifest(
    table: Table,
    store: Store,
    prefix: str = "",
    columns: Columns | None = None,
    *,
    allow_outside_root: bool = False,
    on_error: str = "fail",
    max_pixels: int = MAX_PIXELS,
) -> FaceSet:
    """Read the pictures that a manifest names.

    A bare file name that does not lie beside the manifest is looked for below it, and taken if there is just one.

    Parameters
    ----------
    table : Table
        The manifest.
    store : Store
        Where the pictures lie.
    prefix : str
        Folder of the manifest in the store, with a slash at the end; paths and ids are relative to it.
    columns : Columns, optional
        Names of the columns; by default they are found by their usual names.
    allow_outside_root : bool
        Whether absolute paths, ``..`` and links that leave the folder are followed. ``~`` is never expanded.
    on_error : {"fail", "skip"}
    max_pixels : int

    Raises
    ------
    DataError
        If columns are not found, or, with ``on_error="fail"``, if any row is wrong.
    UnknownNameError
        If a column is named that does not exist.
    """
    at = _find_columns(table.header, columns or Columns(), table.name)
    complaints: list[Complaint] = []
    finder = _Finder(store, prefix)
    kept: dict[str, _Row] = {}
    for line, cells in table.rows:
        try:
            row = _read_row(line, cells, len(table.header), at, allow_outside_root=allow_outside_root)
            finder.find(row)
        except _RowError as error:
            complaints.append((f"line {line}", str(error)))
            continue
        earlier = kept.setdefault(row.id, row)
        if earlier is not row:
            complaints.append((f"line {line}", f"{row.id} was in line {earlier.line} already"))
    skipped = settle(table.name, complaints, on_error)
    rows = list(kept.values())
    return FaceSet(
        ids=_column(row.id for row in rows),
        keys=tuple(row.key for row in rows),
        source=store,
        labels=_column(row.label for row in rows),
        splits=_column(row.split for row in rows),
        groups=_column(row.group for row in rows),
        name=table.name,
        notes=finder.notes(),
        skipped=skipped,
        max_pixels=max_pixels,
    )


class _RowError(ValueError):
    """What is wrong with one row."""


def _column(values: Iterable[str]) -> np.ndarray:
    return np.array(list(values), dtype=np.str_)


def _read_row(line: int, cells: Sequence[str], width: int, at: Mapping[str, int], *, allow_outside_root: bool) -> _Row:
    if len(cells) != width:
        msg = f"{len(cells)} cells instead of {width}"
        raise _RowError(msg)
    written = {what: cells[i] for what, i in at.items()}
    path = written["path"].replace("\\", "/")
    if not path:
        msg = "the path is empty"
        raise _RowError(msg)
    out = way_out(path)
    if "\0" in path or (out and not allow_outside_root):
        msg = f"the path {path!r} {out}; it must stay in the manifest's folder (allow others with allow_outside_root)"
        raise _RowError(msg)
    split = split_of(written.get("split", ""))
    if written.get("split") and not split:
        msg = f"unknown split {written['split']!r} (allowed: train, validation, test, and their usual variants)"
        raise _RowError(msg)
    path = posixpath.normpath(path)
    return _Row(line, normalize("NFC", path), path, written["label"], split, written.get("group", ""))


class _Finder:
    """Finds the picture of a row; the folder is listed only when a path does not lead to one at once."""

    def __init__(self, store: Store, prefix: str) -> None:
        self.store = store
        self.prefix = prefix
        self.by_path: dict[str, str] | None = None
        self.by_name: dict[str, list[str]] = {}
        self.found: list[str] = []

    def find(self, row: _Row) -> None:
        """Set the key of a row, and its id where the picture was found by its bare name.

        Raises
        ------
        _RowError
            If there is no such picture, or it cannot be used.
        """
        written = row.key
        if not written.startswith("/"):
            row.key = self.prefix + written
        fault = self.store.problem(row.key)
        if not fault:
            return
        self._list()
        path = (self.by_path or {}).get(row.id)
        if path is None and "/" not in written and len(self.by_name.get(row.id, [])) == 1:
            path = self.by_name[row.id][0]
            row.id = normalize("NFC", path)
            self.found.append(written)
        row.key = self.prefix + (written if path is None else path)
        if path is None or self.store.problem(row.key):
            msg = f"{written}: {fault}"
            raise _RowError(msg)

    def _list(self) -> None:
        if self.by_path is not None:
            return
        self.by_path = {}
        for key in self.store.list().pictures:
            if key.startswith(self.prefix):
                path = key[len(self.prefix) :]
                known = normalize("NFC", path)
                self.by_path[known] = path
                self.by_name.setdefault(known.rsplit("/", 1)[-1], []).append(path)

    def notes(self) -> tuple[str, ...]:
        """Tell how many pictures were found by their name alone."""
        if not self.found:
            return ()
        return (f"{len(self.found):,} pictures were found in subfolders by file name: {shorten(self.found, 3)}.",)
