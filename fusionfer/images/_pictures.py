"""Pictures from several places as one set, named by the paths that were given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fusionfer.exceptions import DataError
from fusionfer.images._decoding import MAX_PIXELS
from fusionfer.images._faceset import FaceSet, Source
from fusionfer.images._reading import read_faces

__all__ = ["read_pictures"]


class _Several:
    """Several sources as one; a key is the number of the source and its own key."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = tuple(sources)

    def read(self, key: Any) -> bytes | np.ndarray:
        number, own = key
        return self.sources[number].read(own)


def read_pictures(paths: Sequence[str | Path], *, on_error: str = "skip", max_pixels: int = MAX_PIXELS) -> FaceSet:
    """Read pictures, folders and zips as one set without splits, as `fusionfer predict` takes them.

    Parameters
    ----------
    paths : sequence of str or Path
        Whatever `read_faces` reads; each once.
    on_error : {"skip", "fail"}
        skip: a path that cannot be read is listed in `skipped`, with its reason, and does not stop the rest.
    max_pixels : int
        Pictures with more pixels are refused when they are decoded.

    Returns
    -------
    FaceSet
        Ids are the paths as given, and for what lies in a folder or a zip, that path and the id within.

    Raises
    ------
    DataError
        With ``on_error="fail"`` for the first path that cannot be read; always if there is not one picture.
    """
    sets, names, skipped = [], [], []
    for path in dict.fromkeys(map(str, paths)):
        try:
            found = read_faces(path, on_error=on_error, max_pixels=max_pixels)
        except DataError as error:
            if on_error == "fail":
                raise
            skipped.append((path, str(error)))
            continue
        inside = Path(path).is_dir() or Path(path).suffix.lower() in {".zip", ".csv", ".tsv"}
        sets.append(found)
        names.append([f"{path.rstrip('/')}/{i}" if inside else path for i in found.ids])
        skipped += [(f"{path.rstrip('/')}/{i}", reason) for i, reason in found.skipped]
    if not sets:
        msg = "There is no picture to read. " + " ".join(reason for _, reason in skipped[:3])
        raise DataError(msg)
    return FaceSet(
        ids=np.array([name for of_one in names for name in of_one], dtype=np.str_),
        keys=tuple((number, key) for number, found in enumerate(sets) for key in found.keys),
        source=_Several([found.source for found in sets]),
        labels=np.concatenate([found.labels for found in sets]),
        groups=np.concatenate([found.groups for found in sets]),
        name=", ".join(found.name for found in sets[:3]) + (", ..." if len(sets) > 3 else ""),
        notes=tuple(note for found in sets for note in found.notes),
        skipped=tuple(skipped),
        max_pixels=max_pixels,
    )
