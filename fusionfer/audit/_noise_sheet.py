"""The samples whose labels are contradicted most, as a sheet of faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fusionfer.audit._noise import LabelNoise
from fusionfer.exceptions import DataError, ReportError
from fusionfer.images import FaceSet, FerPlus

__all__ = ["write_noise_sheet"]


def write_noise_sheet(
    path: str | Path, faces: FaceSet, noise: LabelNoise, votes: FerPlus | None = None, n: int = 42
) -> None:
    """Write a PNG of the samples whose label is contradicted most: under each its label, what is suggested, the votes.

    Parameters
    ----------
    path : str or Path
    faces : FaceSet
        That holds them.
    noise : LabelNoise
    votes : FerPlus, optional
        Whose most frequent choices are shown as well.
    n : int
        At most so many faces, at least 1.

    Raises
    ------
    DataError
        If nothing is flagged, or a flagged sample is none of the faces.
    ImageError
        If a picture cannot be read.
    ReportError
        If the file cannot be written.
    """
    from fusionfer.report import faces_figure, png_bytes

    rows = noise.flagged[:n]
    if not len(rows):
        msg = f"None of {len(noise.ids):,} labels is contradicted: there is nothing to draw."
        raise DataError(msg)
    place = {str(name): i for i, name in enumerate(faces.ids.tolist())}
    ids = noise.ids[rows].tolist()
    strange = [name for name in ids if name not in place]
    if strange:
        msg = f"{len(strange)} flagged samples are no faces of {faces.name} (first: {strange[0]})."
        raise DataError(msg)
    captions = [f"{noise.labels[i]}\n→ {noise.suggested[i]}" for i in rows.tolist()]
    if votes is not None:
        some = faces.take([place[name] for name in ids])
        counts = votes.votes[votes.find(some.ids, some.splits)]
        captions = [f"{text}\n{_most(row, votes.columns)}" for text, row in zip(captions, counts, strict=True)]
    figure = faces_figure([faces.load(place[name])[0] for name in ids], captions)
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png_bytes(figure))
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror or error}."
        raise ReportError(msg) from error


def _most(votes: np.ndarray, names: tuple[str, ...]) -> str:
    """Return the choice with the most votes, and how many it has."""
    best = int(votes.argmax())
    return f"{names[best]} {votes[best]}/{votes.sum()}"
