"""Which rows of a cache file can be believed, whatever happened to it; one that was cut off is read as far as it is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from fusionfer.cache._format import ABSENT, PART, SUFFIX, key8
from fusionfer.cache._layout import read_layout
from fusionfer.cache._reading import StoredFeatures, open_stored
from fusionfer.exceptions import CacheError, CacheFormatError

__all__ = ["Examination", "examine"]


@dataclass(frozen=True, eq=False)
class Examination:
    """What was found in one file.

    Attributes
    ----------
    path : Path
        The file.
    stored : StoredFeatures or None
        What can be read; None if nothing in the file can be believed.
    state : ndarray of uint8, shape (n,)
        States of the rows, with those that are damaged absent.
    damaged : ndarray of bool, shape (n,)
        Rows that a sound file would have: those of blocks that do not have their checksum, and in a finished file
        those without any mark.
    why : str
        What is wrong, in half a sentence; empty for a sound file.
    """

    path: Path
    stored: StoredFeatures | None
    state: np.ndarray
    damaged: np.ndarray
    why: str

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong; an unfinished file may be."""
        return not self.why

    @property
    def finished(self) -> bool:
        """Whether the file's name says that no row is open."""
        return self.path.suffix != PART

    @property
    def samples(self) -> list[str]:
        """Ids of the damaged rows; none where nothing can be believed, not even the ids."""
        return [] if self.stored is None else [str(i) for i in self.stored.rows.ids[self.damaged]]


def examine(path: Path) -> Examination:
    """Look at every block of `path`, finished or not.

    Returns
    -------
    Examination
        Also of files that cannot be opened: what is wrong is a result here, not an error.
    """
    none = np.empty(0, np.uint8)
    try:
        stored = _open(path)
        damages = stored.verify()
        reasons = {damage.reason for damage in damages}
        state = np.array(stored.state)
    except CacheError as error:
        return Examination(path, None, none, none.astype(bool), str(error))
    damaged = np.zeros(len(state), bool)
    for damage in damages:
        damaged[damage.start : damage.stop] = True
    lost = (state == ABSENT) & ~damaged
    if path.suffix != PART and lost.any():
        damaged |= lost
        reasons.add("nothing is marked as done")
    state[damaged] = ABSENT
    said = [f"{int(damaged.sum())} of {len(state)} rows: {', '.join(sorted(reasons))}"] if damaged.any() else []
    if _foreign_name(path, stored):
        said.append(f"it is another file's content: its key is {key8(stored.key)}, not what its name says")
    return Examination(path, stored, state, damaged, "; ".join(said))


def _foreign_name(path: Path, stored: StoredFeatures) -> bool:
    """Whether the name promises a key, in 8 hexadecimal digits before the suffix, that the file has not."""
    promised = path.name.removesuffix(PART).removesuffix(SUFFIX).rpartition(".")[2]
    looks_like_one = len(promised) == 8 and not promised.strip("0123456789abcdef")
    return looks_like_one and promised != key8(stored.key)


def _open(path: Path) -> StoredFeatures:
    """Open a file, or what is left of it where its end is missing: features come last, so all else may be there."""
    try:
        return open_stored(path)
    except CacheFormatError:
        layout = read_layout(path, cut_off=True)
        return _CutOff(layout, np.array(layout.map("state")))


class _CutOff(StoredFeatures):
    """A file whose end is missing; the rows before it can be read, and `verify` tells of the others."""

    @cached_property
    def features_map(self) -> np.ndarray:
        """The rows that are there; float32, shape (fewer than n, dim)."""
        begin = self.layout.offsets["features"]
        count = max(0, self.path.stat().st_size - begin) // (4 * self.dim)
        if not count:  # there are no empty memory maps
            return np.empty((0, self.dim), "<f4")
        return np.memmap(self.path, "<f4", "r", begin, (min(count, len(self.rows)), self.dim))
