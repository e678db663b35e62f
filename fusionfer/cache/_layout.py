"""The HDF5 side of a cache file: making one with all its room, and finding out where everything lies in one.

HDF5 is the container only. Once made, a file's structure never changes again: rows and marks are written and read at
the offsets found here, so that no killed writer can leave HDF5 metadata behind that cannot be read. HDF5 itself makes
files; it never reads one in this process (see `Checker`).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfer import __version__
from fusionfer.cache._checks import Checker
from fusionfer.cache._format import (
    FORMAT,
    KEY_BYTES,
    NEEDS,
    PAGE,
    REASON_BYTES,
    RECORD_BYTES,
    TEXT_BYTES,
    VERSION,
    canonical_json,
)
from fusionfer.cache._rows import TEXTS, RowTable
from fusionfer.exceptions import CacheError, CacheFormatError, DataError

if TYPE_CHECKING:
    import h5py

__all__ = ["Layout", "create_file", "file_size", "read_layout"]

_BYTE = np.dtype("u1")

#: What the texts of all rows may take in memory, where each takes as much as the longest of its column.
_TABLE_BYTES = 4 << 30


@dataclass(frozen=True, eq=False)
class Layout:
    """What a file holds, and at which byte each array of it begins.

    Attributes
    ----------
    path : Path
        The file.
    backbone, level : str
        What computed the features.
    dim, block_rows : int
        Columns of /features; rows that share a checksum and a commit.
    key, record : dict
        What decides a hit, and what is merely recorded.
    rows : RowTable
        Ids, labels, splits, groups, digests.
    offsets : dict of str to int
        First byte of /features, /state, /crc32 and /reasons.
    created, written_by : str
        Time (ISO 8601, UTC) and program.
    """

    path: Path
    backbone: str
    level: str
    dim: int
    block_rows: int
    key: dict[str, Any]
    record: dict[str, Any]
    rows: RowTable
    offsets: dict[str, int]
    created: str
    written_by: str

    @property
    def blocks(self) -> int:
        """Number of blocks of rows; the last one may be shorter than `block_rows`."""
        return -(-len(self.rows) // self.block_rows)

    def map(self, name: str) -> np.ndarray:
        """Return one of the four arrays that commits write, as a read-only memory map.

        Raises
        ------
        CacheFormatError
            If the file has become shorter since it was opened.
        """
        shape, dtype = _written(len(self.rows), self.dim, self.block_rows)[name]
        return _mapped(self.path, self.offsets[name], shape, dtype)


def _mapped(path: Path, offset: int, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Return a part of a file as a read-only memory map."""
    try:
        return np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape)
    except (OSError, ValueError) as error:
        msg = f"{path} has become shorter, or was taken away, while it was read ({error}); extract it again."
        raise CacheFormatError(msg) from error


def _written(n: int, dim: int, block_rows: int) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Shape and type of the arrays that commits write."""
    return {
        "features": ((n, dim), np.dtype("<f4")),
        "state": ((n,), np.dtype("u1")),
        "crc32": ((-(-n // block_rows),), np.dtype("<u4")),
        "reasons": ((n,), np.dtype(f"S{REASON_BYTES}")),
    }


def _tables(rows: RowTable, record: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return what is written once, when the file is made, as it is stored."""
    texts = {}
    for name in TEXTS:
        encoded = [value.encode() for value in getattr(rows, name).tolist()]
        texts[name] = np.array(encoded, dtype=f"S{max(1, max(map(len, encoded)))}")
    digests = np.frombuffer(bytes.fromhex("".join(d or "0" * 64 for d in rows.digests.tolist())), np.uint8)
    text = canonical_json(record).encode()
    if len(text) > RECORD_BYTES:
        msg = f"The record of a cache takes {len(text)} bytes as JSON; at most {RECORD_BYTES} are allowed."
        raise CacheError(msg)
    return {**texts, "digests": digests.reshape(-1, 32), "record": np.frombuffer(text, np.uint8)}


def _memory(n: int, widths: Iterable[int]) -> int:
    """Bytes of a `RowTable` in memory: 4 a sign, and 64 signs a digest."""
    return 4 * n * (sum(widths) + 64)


def _table_crc(key: bytes, tables: dict[str, np.ndarray]) -> int:
    """CRC-32 of the key's text and of what is written once, in this order."""
    crc = zlib.crc32(key)
    for name in (*TEXTS, "digests", "record"):
        crc = zlib.crc32(tables[name].tobytes(), crc)
    return crc


def file_size(rows: RowTable, dim: int, record: dict[str, Any], block_rows: int) -> int:
    """Bytes that a new file takes, a little rounded up."""
    arrays = sum(int(np.prod(s)) * d.itemsize for s, d in _written(len(rows), dim, block_rows).values())
    return arrays + sum(table.nbytes for table in _tables(rows, record).values()) + KEY_BYTES + 16 * PAGE


def create_file(path: Path, *, key: dict[str, Any], record: dict[str, Any], rows: RowTable, block_rows: int) -> None:
    """Make a file with room for all rows, none of them decided. What is at `path` is replaced."""
    import h5py  # a process that only reads never loads it

    dim = key["dim"]
    key_text = canonical_json(key).encode()
    if len(key_text) > KEY_BYTES:
        msg = f"The key of a cache takes {len(key_text)} bytes as JSON; at most {KEY_BYTES} are allowed."
        raise CacheError(msg)
    tables = _tables(rows, record)
    memory = _memory(len(rows), (table.dtype.itemsize for table in tables.values()))
    if memory > _TABLE_BYTES:
        msg = (
            f"The texts of {len(rows)} rows would take {memory} bytes of memory, each as much as the longest; at most "
            f"{_TABLE_BYTES} are allowed. Shorten the paths, or split the data set."
        )
        raise CacheError(msg)
    written = _written(len(rows), dim, block_rows)
    features = written.pop("features")
    with h5py.File(path, "w") as file:
        for name, (shape, dtype) in written.items():
            _create(file, name, shape, dtype)
        for name in ("state", "crc32"):  # never filled by HDF5, and they must say "nothing yet"
            file[name][...] = 0
        for name, table in tables.items():
            _create(file, name, table.shape, table.dtype)
            file[name][...] = table.astype(file[name].dtype)
        texts = {
            "format": FORMAT,
            "backbone": key["backbone"],
            "level": key["level"],
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "written_by": f"fusionfer {__version__}",
            "needs": NEEDS,
        }
        for name, text in {**{k: v.encode() for k, v in texts.items()}, "key": key_text}.items():
            file.attrs.create(name, text, dtype=h5py.string_dtype("utf-8", max(1, len(text))))
        numbers = {"version": VERSION, "n": len(rows), "dim": dim, "block_rows": block_rows}
        for name, number in {**numbers, "table_crc32": _table_crc(key_text, tables)}.items():
            file.attrs.create(name, number, dtype="<i8")
    # /features comes last, so that a file that was cut off still says what it lacks; and it alone begins on a page,
    # as the small arrays need not waste one each.
    with h5py.File(path, "r+", alignment_threshold=1, alignment_interval=PAGE) as file:
        _create(file, "features", *features)


def _create(file: h5py.File, name: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Create one dataset, contiguous and allocated at once."""
    import h5py

    if dtype.kind == "S":
        dtype = h5py.string_dtype("utf-8", dtype.itemsize)
    how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    how.set_layout(h5py.h5d.CONTIGUOUS)
    how.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    how.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    space = h5py.h5s.create_simple(shape)
    h5py.h5d.create(file.id, name.encode(), h5py.h5t.py_create(dtype, logical=True), space, how)


def _decoded(table: np.ndarray) -> np.ndarray:
    """Return fixed-length UTF-8 as an array of str; at C speed where all is ASCII."""
    if table.view(np.uint8).max() < 128:
        return table.astype(np.str_)
    return np.array([value.decode() for value in table.tolist()], dtype=np.str_)


def _digests(table: np.ndarray) -> np.ndarray:
    """Return hashes as texts of 64 digits, empty where there is none."""
    digits = np.frombuffer(table.tobytes().hex().encode("utf-32-le"), "<U64")
    there = table.any(axis=1)
    return digits if there.all() else np.where(there, digits, "")


def read_layout(path: Path, *, cut_off: bool = False) -> Layout:
    """Find out what `path` holds; nothing is believed before it is checked, and no feature is read.

    Parameters
    ----------
    path : Path
        The file.
    cut_off : bool, default=False
        Whether the end of /features may be missing; `Layout.map` then refuses to map it.

    Raises
    ------
    CacheFormatError
        If the file is no cache, is damaged, or has another version; with all that was found.
    CacheError
        If it cannot be read at all.
    """
    check = Checker.open(path, cut_off=cut_off)
    check.format_and_version(FORMAT, VERSION)
    names = ("backbone", "level", "created", "written_by")
    texts = {name: check.text(name, TEXT_BYTES) for name in names}
    key_text = check.text("key", KEY_BYTES)
    n, dim, block_rows = (check.number(name, least=1) for name in ("n", "dim", "block_rows"))
    table_crc = check.number("table_crc32", least=0)
    check.links()
    check.stop_if_wrong()
    written = _written(n, dim, block_rows)
    offsets = {name: check.array(name, shape, dtype) for name, (shape, dtype) in written.items()}
    if offsets["features"] % PAGE:
        check.wrong(f"/features begins at byte {offsets['features']}, which is no multiple of {PAGE}")
    places = {name: check.strings(name, n, TEXT_BYTES) for name in TEXTS}
    places["digests"] = check.array("digests", (n, 32), _BYTE), _BYTE
    places["record"] = check.array("record", None, _BYTE, most=RECORD_BYTES), _BYTE
    check.disjoint()
    memory = _memory(n, (dtype.itemsize for _, dtype in places.values()))
    if memory > _TABLE_BYTES:
        check.wrong(f"its {n} rows of texts would take {memory} bytes of memory, more than {_TABLE_BYTES}")
    check.stop_if_wrong()
    tables = {
        name: _mapped(path, offset, check.structure.arrays[name].shape, dtype)
        for name, (offset, dtype) in places.items()
    }
    if _table_crc(key_text.encode(), tables) != table_crc:
        check.wrong("ids, labels, splits, groups, digests, key or record do not have the checksum written with them")
        check.stop_if_wrong()
    key = check.json_object(key_text.encode(), "key")
    record = check.json_object(tables["record"].tobytes(), "record")
    told = {"backbone": texts["backbone"], "level": texts["level"], "dim": dim}
    if {name: key.get(name) for name in told} != told:
        check.wrong("backbone, level or dim are not those of its key")
    check.stop_if_wrong()
    try:
        ids, labels, splits, groups = (_decoded(np.asarray(tables[name])) for name in TEXTS)
        rows = RowTable(ids, labels, splits, groups, _digests(np.asarray(tables["digests"])))
    except (DataError, UnicodeDecodeError) as error:
        check.wrong(f"ids, labels, splits or groups cannot be understood ({error})")
        check.stop_if_wrong()
    return Layout(
        path,
        texts["backbone"],
        texts["level"],
        dim,
        block_rows,
        key,
        record,
        rows,
        offsets,
        texts["created"],
        texts["written_by"],
    )
