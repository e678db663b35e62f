"""RowTable: what a cache knows of each row besides its features."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np

from fusionfer.cache._format import TEXT_BYTES
from fusionfer.exceptions import DataError

__all__ = ["TEXTS", "RowTable"]

TEXTS = ("ids", "labels", "splits", "groups")
_HEX = re.compile(r"[0-9a-f]*")


@dataclass(frozen=True, eq=False)
class RowTable:
    """Ids, labels, splits, groups and image hashes, one of each per row.

    A row is the same as another if id *and* digest are; the other columns may change without any new forward pass.

    Attributes
    ----------
    ids : ndarray of str, shape (n,)
        Unique and not empty.
    labels, splits, groups : ndarray of str, shape (n,)
        Empty where unknown.
    digests : ndarray of str, shape (n,)
        SHA-256 of the stored image, 64 lower-case hexadecimal digits; empty where there is no image to be read.

    Raises
    ------
    DataError
        With all complaints at once.
    """

    ids: np.ndarray
    labels: np.ndarray
    splits: np.ndarray
    groups: np.ndarray
    digests: np.ndarray

    def __post_init__(self) -> None:
        complaints = []
        for name in (*TEXTS, "digests"):
            values = np.asarray(getattr(self, name))
            if values.ndim != 1 or len(values) != len(self.ids):
                complaints.append(f"{name} have shape {values.shape} for {len(self.ids)} ids")
                continue
            values = values.astype(np.str_)
            object.__setattr__(self, name, values)
            complaints += _text_complaints(name, values) if name in TEXTS else _digest_complaints(values)
        if len(self.ids) == 0:
            complaints.append("there is no row")
        elif not complaints:
            counts = Counter(self.ids.tolist())
            twice = [row_id for row_id, count in counts.items() if count > 1]
            if twice:
                complaints.append(f"{len(twice)} ids occur more than once (first: {', '.join(twice[:3])})")
            if "" in counts:
                complaints.append("an id is empty")
        if complaints:
            msg = f"These rows cannot be stored: {'; '.join(complaints)}."
            raise DataError(msg)

    def __len__(self) -> int:
        return len(self.ids)

    def same_as(self, other: RowTable) -> bool:
        """Tell whether all columns are equal, in the same order."""
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in (*TEXTS, "digests"))

    def find(self, other: RowTable) -> np.ndarray:
        """Return for each row of `other` the index of the same id here, -1 where there is none; int64, shape (n,)."""
        here = {row_id: i for i, row_id in enumerate(self.ids.tolist())}
        return np.array([here.get(row_id, -1) for row_id in other.ids.tolist()], dtype=np.int64)

    def difference(self, new: RowTable) -> str:
        """Say in half a sentence how `new` differs from this table; empty if it does not."""
        found = self.find(new)
        known = found >= 0
        changed = int(np.sum(self.digests[found[known]] != new.digests[known]))
        counts = {"new": int(np.sum(~known)), "changed": changed, "removed": len(self) - int(np.sum(known))}
        said = [f"{count} {what}" for what, count in counts.items() if count]
        others = [name for name in TEXTS[1:] if np.any(getattr(self, name)[found[known]] != getattr(new, name)[known])]
        if said:
            return f"images: {', '.join(said)}" + (f"; those in both with other {', '.join(others)}" if others else "")
        if np.any(found != np.arange(len(new))):
            others.append("order")
        return f"the same images with other {', '.join(others)}" if others else ""


def _text_complaints(name: str, values: np.ndarray) -> list[str]:
    """Say which texts HDF5's fixed-length strings could not give back as they came."""
    joined = "".join(values.tolist())
    if joined.isascii() and "\0" not in joined and values.dtype.itemsize <= 4 * TEXT_BYTES:
        return []  # the usual case, ten times faster
    found = []
    for value in sorted(set(values.tolist())):
        if "\0" in value:
            found.append(f"{name}: {value!r} holds a NUL sign")
        try:
            if len(value.encode()) > TEXT_BYTES:
                found.append(f"{name}: {value[:40]!r}... is longer than {TEXT_BYTES} bytes")
        except UnicodeEncodeError:
            found.append(f"{name}: {value!r} is no valid Unicode; rename the file")
    return found[:3]


def _digest_complaints(values: np.ndarray) -> list[str]:
    lengths = np.char.str_len(values)
    if np.isin(lengths, (0, 64)).all() and _HEX.fullmatch("".join(values.tolist())):
        return []
    wrong = [value for value in values.tolist() if len(value) not in (0, 64) or not _HEX.fullmatch(value)]
    return [f"digests: {wrong[0]!r} is no SHA-256 in 64 lower-case hexadecimal digits"]
