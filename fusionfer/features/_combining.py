"""Which caches of a folder are read, and how several become one table of features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fusionfer.cache import CacheFolder, StoredFeatures
from fusionfer.exceptions import DataError, unknown_name
from fusionfer.fusion import align
from fusionfer.matrices import MappedMatrix
from fusionfer.memory import MAPPED_FROM, planned_bytes

__all__ = ["choose", "combine"]

_CHUNK = 4096  # rows copied at a time, so that no second copy of a block is ever in memory


def choose(folder: CacheFolder, features: Sequence[str] | Mapping[str, str] | None) -> dict[str, Path]:
    """Return block name -> file for what is asked for."""
    if features is None:
        return folder.default_blocks()
    if isinstance(features, Mapping):
        chosen = {name: folder.resolve(spec) for name, spec in features.items()}
    else:
        specs = [features] if isinstance(features, str) else list(features)
        names = {path: name for name, path in folder.blocks().items()}
        paths = [folder.resolve(spec) for spec in specs]
        if len(set(paths)) < len(paths):
            msg = f"A block is named twice: {', '.join(specs)}."
            raise DataError(msg)
        chosen = {names[path]: path for path in paths}
    if not chosen:
        raise unknown_name("block", "", folder.blocks())
    return chosen


def combine(folder: Path, stored: Mapping[str, StoredFeatures], mapped: bool | None) -> dict[str, Any]:
    """Align caches by id, leave out what failed in any, and put the columns side by side: the fields of `Features`."""
    names, parts = list(stored), list(stored.values())
    ids, index_of = align({name: part.rows.ids for name, part in stored.items()})
    indices = [index_of[name] for name in names]
    columns = _agreed_columns(folder, names, parts, indices)
    good = np.all([part.done[index] for part, index in zip(parts, indices, strict=True)], axis=0)
    notes = []
    if len(ids) < max(len(part.rows) for part in parts):
        sizes = ", ".join(f"{name} {len(part.rows)}" for name, part in stored.items())
        notes.append(f"{len(ids)} samples are in every block ({sizes}); the others are left out.")
    if not good.all():
        notes.append(f"{int(np.sum(~good))} of {len(ids)} samples are left out, as a block has no features of them.")
    if not good.any():
        msg = f"{folder}: no sample has features in each of {', '.join(names)}; `fusionfer info` says why they failed."
        raise DataError(msg)
    indices = [index[good] for index in indices]
    ends = np.cumsum([part.dim for part in parts]).tolist()
    blocks = {name: slice(end - part.dim, end) for name, part, end in zip(names, parts, ends, strict=True)}
    return {
        "ids": ids[good],
        "X": _side_by_side(parts, indices, mapped),
        **{name: values[good] for name, values in columns.items()},
        "blocks": blocks,
        "provenance": {name: {"key": part.key, "record": part.record} for name, part in stored.items()},
        "notes": tuple(notes),
    }


def _agreed_columns(
    folder: Path, names: list[str], parts: list[StoredFeatures], indices: list[np.ndarray]
) -> dict[str, np.ndarray]:
    """Return y, splits, groups and digests of the common rows; what one cache does not know, another may."""
    agreed: dict[str, np.ndarray] = {}
    complaints = []
    for column in ("digests", "labels", "splits", "groups"):
        values = np.full(len(indices[0]), "", dtype=np.str_)
        for name, part, index in zip(names, parts, indices, strict=True):
            new = getattr(part.rows, column)[index]
            clash = np.flatnonzero((values != "") & (new != "") & (values != new))
            if len(clash):
                what = "images" if column == "digests" else column
                first = part.rows.ids[index[clash[0]]]
                complaints.append(f"{name} has other {what} for {len(clash)} common ids (first: {first})")
            values = np.where(values == "", new, values)
        agreed["y" if column == "labels" else column] = values
    if complaints:
        msg = (
            f"{folder}: the caches {', '.join(names)} are of different data sets, or of different states of "
            f"one: {'; '.join(complaints)}. Run `fusionfer extract` with all these backbones over the images of now."
        )
        raise DataError(msg)
    return agreed


def _side_by_side(parts: list[StoredFeatures], indices: list[np.ndarray], mapped: bool | None) -> Any:
    """Return all blocks as one float32 array, or unread; one cache of which all rows are wanted stays a memory map."""
    n, d = len(indices[0]), sum(part.dim for part in parts)
    if mapped is None:
        mapped = 4 * n * d > MAPPED_FROM * planned_bytes()
    if mapped:
        return MappedMatrix([part.X for part in parts], indices)
    if len(parts) == 1 and np.array_equal(indices[0], np.arange(len(parts[0].rows))):
        return parts[0].X
    X = np.empty((n, d), dtype=np.float32)
    end = 0
    for part, index in zip(parts, indices, strict=True):
        start, end = end, end + part.dim
        if np.array_equal(index, np.arange(len(part.rows))):
            part.copy_into(X[:, start:end])
            continue
        for row in range(0, n, _CHUNK):
            X[row : row + _CHUNK, start:end] = part.X[index[row : row + _CHUNK]]
    return X
