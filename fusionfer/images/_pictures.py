"""Pictures from several places as one set, named by the paths that were given."""

from __future__ import annotations

import zipfile
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np

from fusionfer.exceptions import DataError
from fusionfer.images._complaints import Complaint, settle, shorten
from fusionfer.images._decoding import MAX_PIXELS
from fusionfer.images._faceset import FaceSet, Source
from fusionfer.images._reading import read_faces
from fusionfer.images._stores import FolderStore, Store, ZipStore, is_picture

__all__ = ["read_pictures"]


class _Several:
    """Several sources as one; a key is the number of the source and its own key."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = tuple(sources)

    def read(self, key: Any) -> bytes | np.ndarray:
        number, own = key
        return self.sources[number].read(own)


def read_pictures(paths: Sequence[str | Path], *, on_error: str = "skip", max_pixels: int = MAX_PIXELS) -> FaceSet:
    """Read pictures, folders and zips as one set without labels and splits, as `fusionfer predict` takes them.

    Every picture below a folder, or in a zip, is taken; what the folders are called, and manifests among them, mean
    nothing here. A picture that is reached twice counts once.

    Parameters
    ----------
    paths : sequence of str or Path
        Pictures, folders and zips; also CSV files that `read_faces` reads.
    on_error : {"skip", "fail"}
        skip: a path that cannot be read is listed in `skipped`, with its reason, and does not stop the rest.
    max_pixels : int
        Pictures with more pixels are refused when they are decoded.

    Returns
    -------
    FaceSet
        Ids are the paths as given, and for what lies in a folder or a zip, that path and the one within.

    Raises
    ------
    DataError
        With ``on_error="fail"`` for the first path that cannot be read; always if there is not one picture.
    """
    sources: list[Source] = []
    found: dict[str, tuple[str, tuple[int, Hashable]]] = {}  # id -> the path as written, key
    skipped: list[Complaint] = []
    for path in dict.fromkeys(map(str, paths)):
        try:
            source, pictures, refused = _look_into(path, on_error, max_pixels)
        except DataError as error:
            if on_error == "fail":
                raise
            skipped.append((path, str(error)))
            continue
        for name, key in pictures:
            earlier, _ = found.setdefault(normalize("NFC", name), (name, (len(sources), key)))
            if earlier != name:
                refused.append((name, "occurs twice, in names that differ only in how accents are encoded"))
        sources.append(source)
        skipped += settle(path, refused, on_error)
    if not found:
        msg = "There is no picture to read. " + " ".join(reason for _, reason in skipped[:3])
        raise DataError(msg)
    return FaceSet(
        ids=np.array(list(found), dtype=np.str_),
        keys=tuple(key for _, key in found.values()),
        source=_Several(sources),
        name=shorten(list(dict.fromkeys(map(str, paths))), 3),
        skipped=tuple(dict(skipped).items()),
        max_pixels=max_pixels,
    )


_Pictures = list[tuple[str, Hashable]]  # path, key


def _look_into(path: str, on_error: str, max_pixels: int) -> tuple[Source, _Pictures, list[Complaint]]:
    """Return where the pictures of one path lie, their names and keys, and what is refused."""
    prefix = path.rstrip("/") + "/"
    store = _store(Path(path))
    if store is not None:
        listing = store.list()
        if listing.pictures or listing.refused:
            refused = [(prefix + inner, reason) for inner, reason in listing.refused]
            return store, [(prefix + inner, inner) for inner in listing.pictures], refused
    faces = read_faces(path, on_error=on_error, max_pixels=max_pixels)  # or its error, which says what there is instead
    names = [path] if is_picture(path) and store is None else [prefix + inner for inner in faces.ids.tolist()]
    refused = [(prefix + place, reason) for place, reason in faces.skipped]
    return faces.source, list(zip(names, faces.keys, strict=True)), refused


def _store(path: Path) -> Store | None:
    try:
        if path.is_dir():
            return FolderStore(path)
        if path.is_file() and not is_picture(path.name) and zipfile.is_zipfile(path):
            return ZipStore(path)
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}."
        raise DataError(msg) from error
    return None
