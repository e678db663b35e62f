"""A set of pictures as a set of faces: found once, cut out whenever a picture is asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fusionfer.exceptions import DataError, ImageError, unknown_name
from fusionfer.faces._detecting import get_detector
from fusionfer.faces._face import Face
from fusionfer.faces._preparing import FacePreparation
from fusionfer.images import FaceSet

__all__ = ["SEVERAL", "faces_of", "find_faceless", "find_photographs", "prepare_faces"]

SEVERAL = ("largest", "all")
_SLICE = 64  # pictures between two calls of progress
_ASKED = 8  # pictures in which `find_photographs` looks
_PHOTOGRAPH = 128  # side in pixels; what is smaller is taken for a crop
_SHARE = 1 / 3


@dataclass(frozen=True)
class _Cut:
    """The key of a prepared picture: that of the stored picture, and the face in it."""

    key: Hashable
    face: Face | None


@dataclass(frozen=True)
class _Stored:
    """The pictures of another source, whose keys are within `_Cut`."""

    source: Any

    def read(self, key: Any) -> bytes | np.ndarray:
        return self.source.read(key.key)


@dataclass(frozen=True)
class _Cutting:
    """What a FaceSet does to each picture after it was decoded."""

    preparation: FacePreparation

    def describe(self) -> dict[str, Any]:
        return self.preparation.describe()

    def apply(self, pixels: np.ndarray, key: Any) -> np.ndarray:
        return self.preparation.cut(pixels, key.face)


def prepare_faces(
    faces: FaceSet,
    preparation: FacePreparation,
    *,
    several: str = "largest",
    on_error: str = "fail",
    threads: int | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> FaceSet:
    """Find the faces in all pictures; return the set whose pictures are these faces.

    Nothing is stored: each picture is cut and normalised when it is asked for. Its digest stays that of the stored
    picture, on which the search for leaks rests.

    Parameters
    ----------
    faces : FaceSet
    preparation : FacePreparation
        With mode "none" no face is looked for, and whole pictures are normalised.
    several : {"largest", "all"}
        Of a picture with several faces take the largest, or all. With "all" ids are ``<id>#face<k>``, k from 1, the
        largest first, and those without a group get their picture's id as their group.
    on_error : {"fail", "skip"}
        What is done with a picture that cannot be decoded. One without a face is always left out.
    threads : int, optional
        By default as many as there are processors; the result does not depend on it.
    progress : callable, optional
        Called with (done, total, what).

    Returns
    -------
    FaceSet
        Pictures without a face are in `skipped`, with the reason; it may hold no face at all.

    Raises
    ------
    DataError
        If the set is prepared already.
    UnknownNameError
        If `several` or `on_error` is no such name.
    ImageError
        With ``on_error="fail"``, for the first picture that cannot be decoded.

    Examples
    --------
    >>> from fusionfer.images import generate_faces
    >>> faces = prepare_faces(generate_faces(2, takes=1), FacePreparation("none", "clahe"))
    >>> faces.prepared["photometric"]["name"]
    'clahe'
    """
    if several not in SEVERAL:
        raise unknown_name("choice of several faces", several, SEVERAL, plural="choices")
    if on_error not in ("fail", "skip"):
        raise unknown_name("on_error", on_error, ("fail", "skip"), plural="values")
    if faces.preparation is not None:
        msg = f"{faces.name}: the faces of this set were prepared already. Prepare the set that was read."
        raise DataError(msg)
    if not preparation.changes:
        return faces
    if preparation.mode == "none":
        return _prepared(faces, preparation, [(i, None) for i in range(len(faces))])
    chosen: list[tuple[int, Face | None]] = []
    names: list[str] = []
    left_out: list[tuple[str, str]] = []
    crowds = 0
    for i, found in enumerate(_look(faces, preparation, threads, progress)):
        name = str(faces.ids[i])
        if isinstance(found, ImageError):
            if on_error == "fail":
                msg = f"{name}: {found} Mend or remove it, or give on_error='skip' to go on without such images."
                raise ImageError(msg) from found
            left_out.append((name, str(found)))
        elif not found:
            left_out.append((name, "No face was found."))
        else:
            crowds += len(found) > 1
            taken = found if several == "all" else found[:1]
            chosen += [(i, face) for face in taken]
            names += [f"{name}#face{k}" if several == "all" else name for k in range(1, len(taken) + 1)]
    notes = faces.notes
    if crowds:
        what = "all were taken" if several == "all" else "the largest was taken"
        notes = (*notes, f"{crowds:,} of {len(faces):,} pictures show several faces; {what}.")
    prepared = _prepared(faces, preparation, chosen)
    groups = prepared.groups
    if several == "all":
        groups = np.where(groups != "", groups, faces.ids[[i for i, _ in chosen]] if chosen else "")
    return replace(
        prepared,
        ids=np.array(names, dtype=np.str_),
        groups=groups,
        notes=notes,
        skipped=(*faces.skipped, *left_out),
    )


def _prepared(faces: FaceSet, preparation: FacePreparation, chosen: list[tuple[int, Face | None]]) -> FaceSet:
    """Return the pictures at these places, a picture once for each face; ids may occur twice until they are named."""
    at = np.array([i for i, _ in chosen], dtype=np.intp)
    distinct = np.array([f"{faces.ids[i]}#{k}" for k, (i, _) in enumerate(chosen)], dtype=np.str_)
    return replace(
        faces,
        ids=faces.ids[at] if len(set(at.tolist())) == len(at) else distinct,
        keys=tuple(_Cut(faces.keys[i], face) for i, face in chosen),
        source=_Stored(faces.source),
        labels=faces.labels[at],
        splits=faces.splits[at],
        groups=faces.groups[at],
        preparation=_Cutting(preparation),
    )


def _look(
    faces: FaceSet,
    preparation: FacePreparation,
    threads: int | None,
    progress: Callable[[int, int, str], None] | None,
) -> list[tuple[Face, ...] | ImageError]:
    """Return for each picture its faces, or why it cannot be decoded."""
    find = preparation.find
    if find is None:
        msg = "Without a detector no faces are looked for."
        raise DataError(msg)

    def look(i: int) -> tuple[Face, ...] | ImageError:
        try:
            pixels, _ = faces.load(i)
        except ImageError as error:
            return error
        return find(pixels)

    found: list[tuple[Face, ...] | ImageError] = []
    with ThreadPoolExecutor(threads or os.cpu_count() or 1, thread_name_prefix="faces") as pool:
        for start in range(0, len(faces), _SLICE):
            found += pool.map(look, range(start, min(start + _SLICE, len(faces))))
            if progress is not None:
                progress(len(found), len(faces), "looking for faces")
    return found


def faces_of(faces: FaceSet) -> tuple[Face | None, ...]:
    """Return the face that each picture of a set shows; None where none was looked for."""
    return tuple(key.face if isinstance(key, _Cut) else None for key in faces.keys)


def find_faceless(
    faces: FaceSet, detector: Any = "haar", progress: Callable[[int, int, str], None] | None = None
) -> tuple[str, ...]:
    """Return ids of the pictures in which no face is found; what cannot be decoded is not among them.

    Parameters
    ----------
    faces : FaceSet
    detector : str, Path or callable
        As in `get_detector`. Detectors miss faces: how many of FER-2013 Haar does, stands in the documentation.
    progress : callable, optional

    Returns
    -------
    tuple of str
    """
    found = _look(faces, FacePreparation("detect", detector=detector), None, progress)
    return tuple(str(name) for name, some in zip(faces.ids, found, strict=True) if some == ())


def find_photographs(faces: FaceSet, detector: Any = None) -> tuple[str, ...]:
    """Return ids of pictures in which a face covers less than a third: photographs, not faces that were cut out.

    Cheap to ask: only the first eight pictures are looked at, and none whose sides are shorter than 128 pixels.

    Parameters
    ----------
    faces : FaceSet
        Not prepared.
    detector : Detector, optional
        By default Haar without eyes and turned faces.

    Returns
    -------
    tuple of str
    """
    find = detector or get_detector("haar", eyes=False, turn=0, max_side=480, neighbours=10)
    photographs = []
    for i in range(min(len(faces), _ASKED)):
        try:
            pixels, _ = faces.load(i)
        except ImageError:
            continue
        height, width = pixels.shape[:2]
        found = find(pixels) if min(height, width) >= _PHOTOGRAPH else ()
        if found and found[0].area < _SHARE * height * width:
            photographs.append(str(faces.ids[i]))
    return tuple(photographs)
