"""What stands before any computing: is it a hit, why not, and which rows do older files already have."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from fusionfer.cache._disk import disk_errors, require_room, reserve, sync_folder
from fusionfer.cache._file import FeatureFile
from fusionfer.cache._format import ABSENT, DONE, FAILED, block_name, canonical_json, key_differences
from fusionfer.cache._layout import Layout, create_file, file_size, read_layout
from fusionfer.cache._reading import StoredFeatures
from fusionfer.cache._rows import RowTable
from fusionfer.exceptions import CacheError, CacheFormatError

__all__ = ["NEW", "build_part", "differing_key", "find_key", "read_made", "refuse_other_data_set", "trusted_state"]

NEW = ".new"  # a part that is being built; whoever finds one may remove it, as it holds copies only


def refuse_other_data_set(folder: Path, here: list[StoredFeatures], rows: RowTable) -> None:
    """Keep two data sets from meeting in one folder, where the second would drop the rows of the first."""
    ids = set(rows.ids.tolist())
    for stored in here:
        common = len(ids.intersection(stored.rows.ids.tolist()))
        if 2 * common < len(stored.rows):
            msg = (
                f"{folder} holds another data set: only {common} of the {len(stored.rows)} ids in {stored.path.name} "
                f"are among the {len(rows)} given. Use another --cache for these images."
            )
            raise CacheError(msg)


def find_key(here: list[StoredFeatures], path: Path, key: dict[str, Any]) -> StoredFeatures | None:
    """Return the file at `path`, after a look whether its key is what its name says."""
    for stored in here:
        if stored.path == path:
            if canonical_json(stored.key) != canonical_json(key):
                msg = f"{path} has another key than its name says. Move it out of the folder."
                raise CacheError(msg)
            return stored
    return None


def differing_key(key: dict[str, Any], here: list[StoredFeatures]) -> str:
    """Say why no file is of this key: the closest of the same backbone and level, and the fields that differ."""
    candidates = []
    for stored in here:
        if (stored.backbone, stored.level) == (key["backbone"], key["level"]):
            differences = key_differences(stored.key, key)
            said = [f"{field}: {_short(old)} -> {_short(new)}" for field, (old, new) in differences.items()]
            candidates.append((len(said), stored.path.name, "; ".join(said)))
    if not candidates:
        return f"There is no cache of {block_name(key['backbone'], key['level'])} in this folder yet."
    _, name, differing = min(candidates)
    return f"{name} is of other features ({differing}); it stays as it is, beside a new file."


def trusted_state(stored: StoredFeatures, *, retry_failed: bool = False) -> tuple[np.ndarray, str]:
    """Return the states of a file with the rows of damaged blocks absent, and half a sentence if any is absent.

    With `retry_failed`, rows that are known to fail count as absent too.
    """
    state = stored.state.copy()
    if retry_failed:
        state[state == FAILED] = ABSENT
    for damage in stored.verify():
        state[damage.start : damage.stop] = ABSENT
    lost = int(np.sum(state == ABSENT))
    what = "missing, damaged or to be tried again" if retry_failed else "missing or damaged"
    return state, f"{lost} rows of {stored.path.name} are {what}" if lost else ""


def build_part(
    part: Path,
    sources: list[tuple[StoredFeatures, np.ndarray]],
    *,
    key: dict[str, Any],
    record: dict[str, Any],
    rows: RowTable,
    block_rows: int,
) -> int:
    """Make `part` for these rows and copy what the sources have of them; what is at `part` is replaced at the end.

    Parameters
    ----------
    part : Path
        Where the file shall lie.
    sources : list of (StoredFeatures, ndarray of uint8, shape (m,))
        Older files of the same key with the states that are to be trusted; the first that has a row gives it.
    key, record, rows, block_rows
        What the new file holds, see `CacheFolder.prepare`; the records of the sources are added to `record`.

    Returns
    -------
    int
        Number of rows that were copied, failed ones included.

    Raises
    ------
    StoreFullError
        If there is no room; the sources are untouched.
    """
    advice = "Older files are untouched. Free space, or give a --cache on another disk, and run the same command again."
    new = part.with_name(part.name + NEW)
    record = _with_history(record, [stored for stored, _ in sources])
    with disk_errors(part, "make", advice):
        new.unlink(missing_ok=True)
        size = file_size(rows, key["dim"], record, block_rows)
        require_room(part.parent, size)
        try:
            # A quota or limit should show here, in one line: met amid HDF5's last bytes it also prints tracebacks.
            with new.open("wb") as stream:
                reserve(stream.fileno(), size)
            create_file(new, key=key, record=record, rows=rows, block_rows=block_rows)
            copied = _fill(new, sources)
            os.replace(new, part)  # noqa: PTH105  (atomic: before it the old part counts, after it the new one)
            sync_folder(part.parent)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
    return copied


def read_made(new: Path) -> Layout:
    """Read back what HDF5 was to write; of errors while objects are closed h5py tells on stderr only.

    Raises
    ------
    CacheError
        If it is not there.
    """
    try:
        return read_layout(new)
    except CacheFormatError as error:
        msg = (
            f"Cannot make {new}: what was written does not read back, so the disk fails. Older files are untouched. "
            "Give a --cache on another disk."
        )
        raise CacheError(msg) from error


def _fill(new: Path, sources: list[tuple[StoredFeatures, np.ndarray]]) -> int:
    """Reserve the room of a new file and copy rows into it, block by block."""
    layout = read_made(new)
    with new.open("r+b", buffering=0) as stream:
        reserve(stream.fileno(), new.stat().st_size)
        os.fsync(stream.fileno())
    owner, origin = _origins(layout.rows, sources)
    with FeatureFile(new, new, layout, np.zeros(len(layout.rows), np.uint8), "extend", "") as writer:
        for start in range(0, len(layout.rows), layout.block_rows):
            block = slice(start, start + layout.block_rows)
            if np.any(owner[block] >= 0):
                writer.commit(start, *_gather(owner[block], origin[block], sources, layout.dim))
    return int(np.sum(owner >= 0))


def _origins(rows: RowTable, sources: list[tuple[StoredFeatures, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Return for each row the source that has it (-1 for none), and its row there."""
    owner, origin = np.full(len(rows), -1), np.full(len(rows), -1)
    for number, (stored, state) in enumerate(sources):
        found = stored.rows.find(rows)
        usable = (found >= 0) & (owner < 0)
        usable[usable] = (state[found[usable]] != ABSENT) & (stored.rows.digests[found[usable]] == rows.digests[usable])
        owner[usable], origin[usable] = number, found[usable]
    return owner, origin


def _gather(
    owner: np.ndarray, origin: np.ndarray, sources: list[tuple[StoredFeatures, np.ndarray]], dim: int
) -> tuple[np.ndarray, np.ndarray, dict[int, str]]:
    """Return what `FeatureFile.commit` takes for one block."""
    X = np.zeros((len(owner), dim), np.float32)
    done = np.zeros(len(owner), bool)
    failed = {}
    for number, (stored, state) in enumerate(sources):
        for i in np.flatnonzero(owner == number):
            row = int(origin[i])
            if state[row] == DONE:
                X[i], done[i] = stored.features_map[row], True
            else:
                failed[int(i)] = stored.reasons[row]
    return X, done, failed


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:12]}..."


def _with_history(record: dict[str, Any], sources: list[StoredFeatures]) -> dict[str, Any]:
    """Add the records under which rows that are taken over were computed, each once."""
    history: list[dict[str, Any]] = []
    for stored in sources:
        earlier = dict(stored.record)
        for old in [*earlier.pop("history", []), earlier]:
            if old not in history and old != record:
                history.append(old)
    return {**record, "history": history} if history else record
