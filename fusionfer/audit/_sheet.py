"""The worst groups of copies, as a sheet of faces: one group a row."""

from __future__ import annotations

from collections import Counter
from pathlib import Path, PurePosixPath

import numpy as np

from fusionfer.audit._auditing import Audit, Copies
from fusionfer.exceptions import DataError, ReportError
from fusionfer.images import FaceSet

__all__ = ["worst_copies", "write_copies_sheet"]

_BLANK = np.full((1, 1), 255, dtype=np.uint8)  # where a group has fewer members than the sheet has columns


def worst_copies(found: Audit) -> list[Copies]:
    """Order groups of copies, exact and near: across splits and with several labels first, then the largest.

    Exact copies that belong to a group of near ones are not repeated.
    """
    told = {one for group in found.near for one in group.ids}
    groups = [*found.near, *(group for group in found.copies if group.ids[0] not in told)]
    return sorted(groups, key=lambda one: (-one.crosses - one.conflicts, not one.crosses, -len(one.ids)))


def write_copies_sheet(path: str | Path, faces: FaceSet, found: Audit, groups: int = 12, columns: int = 7) -> None:
    """Write a PNG of the worst groups of copies: under each picture its id, its label and its split.

    Parameters
    ----------
    path : str or Path
    faces : FaceSet
        What was audited.
    found : Audit
    groups : int
        At most so many groups, at least 1.
    columns : int
        At most so many pictures of a group, at least 2: each label and split that occurs before any comes twice.

    Raises
    ------
    DataError
        If there are no copies, or the audit is of other faces.
    ImageError
        If a picture cannot be read.
    ReportError
        If the file cannot be written.
    """
    from fusionfer.report import faces_figure, png_bytes

    shown = [_spread(group, columns) for group in worst_copies(found)[:groups]]
    if not shown:
        msg = f"{found.name} has no copies: there is nothing to draw."
        raise DataError(msg)
    place = {str(name): i for i, name in enumerate(faces.ids.tolist())}
    strange = [one for group in shown for one in group.ids if one not in place]
    if strange:
        msg = f"The audit of {found.name} is not of these {len(faces):,} faces: {strange[0]} is not among them."
        raise DataError(msg)
    width = max(len(group.ids) for group in shown)
    pixels, captions = [], []
    for group in shown:
        for one, label, split in zip(group.ids, group.labels, group.splits, strict=True):
            pixels.append(faces.load(place[one])[0])
            captions.append(f"{_short(one)}\n{label or 'no label'}\n{split or 'no split'}")
        pixels += [_BLANK] * (width - len(group.ids))
        captions += ["\n\n"] * (width - len(group.ids))
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png_bytes(faces_figure(pixels, captions, width)))
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror or error}."
        raise ReportError(msg) from error


def _spread(group: Copies, n: int) -> Copies:
    """Return n members of a group: the first of each label and split, then the others, in their order."""
    met: Counter[tuple[str, str]] = Counter()
    turn = []  # how many of the same label and split come before
    for kind in zip(group.labels, group.splits, strict=True):
        turn.append(met[kind])
        met[kind] += 1
    chosen = sorted(sorted(range(len(turn)), key=lambda i: (turn[i], i))[:n])
    ids, labels, splits = (tuple(values[i] for i in chosen) for values in (group.ids, group.labels, group.splits))
    return Copies(ids, labels, splits, group.changes)


def _short(name: str) -> str:
    """Return the end of an id, which tells pictures apart; folders are said by label and split."""
    stem = PurePosixPath(name).stem or name
    return stem if len(stem) <= 17 else f"…{stem[-16:]}"
