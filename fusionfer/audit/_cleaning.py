"""clean_splits: from what an audit found to splits of which none knows the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fusionfer.audit._auditing import Audit
from fusionfer.exceptions import DataError, ImageError, unknown_name
from fusionfer.images import SPLITS, FaceSet, SplitFile, split_faces

__all__ = ["KEEP", "clean_splits"]

#: Which split stays whole: the latest, or the earliest.
KEEP = ("test", "train")

Progress = Callable[[int, int, str], None]


def clean_splits(
    faces: FaceSet,
    found: Audit,
    keep: str = "test",
    *,
    split: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> SplitFile:
    """Decide which pictures have to leave, so that nothing that the audit found stands in more than one split.

    Copies (exact and near) and the pictures of one person belong together, also through others: if A is a copy of B,
    and B one of C, all three do. What belongs together and stands in one split becomes a group there, which neither
    folds nor a drawn split divide.

    1. Pictures that cannot be read, and those without a split, are left out.
    2. Copies that contradict each other (several labels) leave train: at most one of them is right. Who was trained
       already has learned them, so with ``keep="train"`` their copies in other splits leave as well.
    3. Of what belongs together and stands in several splits, ``keep="test"`` keeps the part in the latest split, so
       that the test split stays as published; ``keep="train"`` keeps the part in the earliest, so that models that
       were trained already can be tested without copies.

    Parameters
    ----------
    faces : FaceSet
        What was audited.
    found : Audit
        Of these faces.
    keep : {"test", "train"}
    split : str, optional
        ``"70/30"`` or ``"70/15/15"``, for data that bring no splits: drawn as `split_faces` does, with copies as
        groups, so that nothing has to leave.
    seed : int
        Of that draw.
    progress : callable, optional
        ``progress(done, total, what)``.

    Returns
    -------
    SplitFile
        One row a face, in their order.

    Raises
    ------
    DataError
        If the audit is of other faces, there are no splits, there are some and `split` is given, or nothing would be
        left of a split.
    UnknownNameError
        If `keep` is neither of both.

    Examples
    --------
    >>> from fusionfer.audit import audit
    >>> from fusionfer.images import generate_faces
    >>> faces = generate_faces(3, takes=1, size=48)
    >>> clean_splits(faces, audit(faces, near=False)).describe()
    'Splits of generated faces (clean): train 14, test 7.'
    """
    if keep not in KEEP:
        raise unknown_name("part to keep whole:", keep, KEEP, plural="parts to keep whole")
    alike = _linked(len(faces), _rows(faces, found))
    person_of = np.where(faces.groups != "", np.unique(faces.groups, return_inverse=True)[1], -1)
    together = _linked(len(faces), [*_members(alike), *_members(person_of)])
    groups = _names(faces, together)
    if split is not None:
        faces = split_faces(replace(faces, groups=groups), split, seed)
    if not np.any(faces.splits != ""):
        msg = (
            f"{faces.name} brings no splits that could be cleaned. Draw some that divide no copies with split='70/30' "
            "(fusionfer audit --clean FILE --split 70/30)."
        )
        raise DataError(msg)
    digests, reasons = _read(faces, found, progress)
    reasons = np.where((reasons == "") & (faces.splits == ""), "no split", reasons).astype(object)
    usable = reasons == ""
    for rows in _members(alike):
        labels = sorted(set(faces.labels[rows].tolist()) - {""})
        if len(labels) > 1:
            some = rows[(faces.splits[rows] == "train") & (reasons[rows] == "")]
            reasons[some] = f"contradicting copies: {', '.join(labels)}"
    for rows in _members(together):
        _leave(faces, rows[usable[rows]], alike, keep, reasons)
    stay = reasons == ""
    _refuse_empty(faces, stay)
    splits = np.where(stay, faces.splits, "")
    name = f"{faces.name} (clean)"
    return SplitFile(faces.ids, digests, faces.labels, splits, groups, reasons.astype(np.str_), name)


def _rows(faces: FaceSet, found: Audit) -> list[np.ndarray]:
    """Rows of each group of copies, exact ones and near ones."""
    place = {one: i for i, one in enumerate(faces.ids.tolist())}
    groups = [one.ids for one in (*found.copies, *found.near)]
    strange = sorted({one for ids in groups for one in ids if one not in place})
    if strange or found.n_samples != len(faces):
        msg = f"The audit of {found.name} is not of these {len(faces):,} faces: it is of {found.n_samples:,}"
        msg += f", and {len(strange):,} of its copies are not among them (first: {strange[0]})" if strange else ""
        raise DataError(f"{msg}.")
    return [np.array([place[one] for one in ids]) for ids in groups]


def _linked(n: int, groups: Iterable[np.ndarray]) -> np.ndarray:
    """Return the number of the component of each of n rows, where the rows of each group are linked."""
    links = [(rows[0], row) for rows in groups for row in rows[1:]]
    pairs = np.array(links, dtype=np.intp).reshape(-1, 2)
    graph = coo_array((np.ones(len(pairs), dtype=np.int8), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1])


def _members(component: np.ndarray) -> list[np.ndarray]:
    """Rows of each component that has several; -1 is none."""
    order = np.argsort(component, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(component[order])) + 1)
    return [rows for rows in parts if len(rows) > 1 and component[rows[0]] >= 0]


def _names(faces: FaceSet, together: np.ndarray) -> np.ndarray:
    """Name what belongs together by a person of it, or by its first picture; single rows keep their own group."""
    names = faces.groups.astype(object)
    for rows in _members(together):
        persons = sorted(set(faces.groups[rows].tolist()) - {""})
        names[rows] = persons[0] if persons else f"copies of {faces.ids[rows[0]]}"
    return names.astype(np.str_)


def _read(faces: FaceSet, found: Audit, progress: Progress | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the digest of each picture, and why it cannot be used, if so."""
    known = dict(found.unreadable)
    digests, reasons = [], []
    for i, one in enumerate(faces.ids.tolist()):
        reason = known.get(one, "")
        try:
            digests.append(faces.digest(i))
        except ImageError as error:
            digests.append("")
            reason = reason or str(error)
        reasons.append(f"unreadable: {' '.join(reason.split())}" if reason else "")
        if progress is not None and (i + 1) % 1024 == 0:
            progress(i + 1, len(faces), "hashes")
    if progress is not None:
        progress(len(faces), len(faces), "hashes")
    return np.array(digests, dtype=np.str_), np.array(reasons, dtype=np.str_)


def _leave(faces: FaceSet, rows: np.ndarray, alike: np.ndarray, keep: str, reasons: np.ndarray) -> None:
    """Write into `reasons` why rows of what belongs together must leave their split, where nothing else is known."""
    splits = faces.splits[rows]
    there = [split for split in SPLITS if np.any(splits == split)]
    if len(there) < 2:
        return
    stays = there[-1] if keep == "test" else there[0]
    first = {int(alike[row]): row for row in rows[splits == stays][::-1]}
    for row in rows[(splits != stays) & (reasons[rows] == "")]:
        twin = first.get(int(alike[row]))
        person = faces.groups[row] or "of a copy"
        reasons[row] = f"person in {stays}: {person}" if twin is None else f"copy in {stays}: {faces.ids[twin]}"


def _refuse_empty(faces: FaceSet, stay: np.ndarray) -> None:
    empty = [split for split in SPLITS if np.any(faces.splits == split) and not np.any(stay & (faces.splits == split))]
    if empty:
        msg = (
            f"{faces.name}: nothing would be left of {' and '.join(empty)}, as each of its pictures has a copy, or its "
            "person, in another split. Draw splits that divide neither: with split='70/30', from data without splits."
        )
        raise DataError(msg)
