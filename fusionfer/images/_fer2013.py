"""The official fer2013.csv: one face a row, as 2304 numbers; rows are checked at once and parsed when asked for."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np

from fusionfer.exceptions import DataError, ImageError
from fusionfer.images._complaints import Complaint, settle
from fusionfer.images._decoding import MAX_PIXELS
from fusionfer.images._faceset import FaceSet
from fusionfer.images._names import split_of

__all__ = ["EMOTIONS", "SIDE", "Fer2013Source", "read_fer2013"]

EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
SIDE = 48

_COLUMNS = ("emotion", "pixels", "usage")
_USAGES = ("Training", "PublicTest", "PrivateTest")
_BOM = b"\xef\xbb\xbf"


def _cells(line: bytes) -> list[bytes]:
    """Split a row; neither numbers nor usages hold commas, so quotes are only trimmed."""
    return [cell.strip().strip(b'"').strip() for cell in line.split(b",")]


def _parse_pixels(text: bytes) -> np.ndarray:
    """Return the numbers as uint8 of shape (48, 48).

    Raises
    ------
    ValueError
        If these are not 2304 whole numbers from 0 to 255; says what they are.
    """
    # With digits and blanks alone, fromstring can neither stop early nor read signs and fractions.
    if text.translate(None, b"0123456789 "):
        word = next((word for word in text.split() if not word.isdigit()), None)
        msg = "pixels are separated by other signs than blanks"
        if word is not None:
            msg = f"pixel value {word[:20].decode('utf-8', 'replace')!r} is no whole number from 0 to 255"
        raise ValueError(msg)
    values = np.fromstring(text.decode("ascii"), dtype=np.int64, sep=" ")
    if len(values) != SIDE * SIDE:
        msg = f"{len(values)} pixels instead of {SIDE * SIDE}"
        raise ValueError(msg)
    if values.max() > 255:
        msg = f"pixel value {values.max()} is above 255"
        raise ValueError(msg)
    return values.astype(np.uint8).reshape(SIDE, SIDE)


class Fer2013Source:
    """Rows of a fer2013.csv by their place in the file.

    Parameters
    ----------
    path : Path
    column : int
        Position of the column of pixels.
    """

    def __init__(self, path: Path, column: int) -> None:
        self.path = path
        self.column = column

    def read(self, key: Hashable) -> np.ndarray:
        """Return the face whose row begins at byte `key`, uint8 of shape (48, 48)."""
        assert isinstance(key, int)
        try:
            with open(self.path, "rb") as file:
                file.seek(key)
                return _parse_pixels(_cells(file.readline())[self.column])
        except (OSError, ValueError, IndexError) as error:
            msg = f"The row at byte {key} of {self.path.name} cannot be read any more: {error}."
            raise ImageError(msg) from error


def read_fer2013(path: Path, *, on_error: str = "fail", max_pixels: int = MAX_PIXELS) -> FaceSet:
    """Read the official ``fer2013.csv`` (or ``icml_face_data.csv``) and check every row.

    Parameters
    ----------
    path : Path
        With the columns emotion (0 to 6), pixels and Usage, in any order.
    on_error : {"fail", "skip"}
    max_pixels : int

    Returns
    -------
    FaceSet
        With ids ``fer2013:<row>``, where rows are counted from 0 after the header; Training is train, PublicTest
        validation, PrivateTest test.

    Raises
    ------
    DataError
        If a column is missing, or, with ``on_error="fail"``, if any row is wrong; line numbers count from 1, the
        header included.
    """
    ids: list[str] = []
    keys: list[int] = []
    labels: list[str] = []
    splits: list[str] = []
    complaints: list[Complaint] = []
    with open(path, "rb") as file:
        header = file.readline()
        columns = _find_columns(header, path)
        at, row = len(header), -1
        for number, line in enumerate(file, start=2):
            start, at = at, at + len(line)
            if not line.strip():
                continue
            row += 1
            try:
                label, split = _check_row(_cells(line), columns)
            except ValueError as error:
                complaints.append((f"fer2013:{row} (line {number})", str(error)))
                continue
            ids.append(f"fer2013:{row}")
            keys.append(start)
            labels.append(label)
            splits.append(split)
    skipped = settle(str(path), complaints, on_error)
    return FaceSet(
        ids=np.array(ids, dtype=np.str_),
        keys=tuple(keys),
        source=Fer2013Source(path, columns[1]),
        labels=np.array(labels, dtype=np.str_),
        splits=np.array(splits, dtype=np.str_),
        name=str(path),
        skipped=skipped,
        max_pixels=max_pixels,
    )


def _find_columns(header: bytes, path: Path) -> tuple[int, int, int]:
    """Return the positions of emotion, pixels and Usage."""
    names = [cell.decode("utf-8", "replace").lower() for cell in _cells(header.removeprefix(_BOM))]
    missing = [name for name in _COLUMNS if name not in names]
    if missing:
        msg = (
            f"{path} has pixels as fer2013.csv has, but no column {' and '.join(missing)} (found: {', '.join(names)}). "
            "The official file has the columns emotion, pixels and Usage."
        )
        raise DataError(msg)
    emotion, pixels, usage = (names.index(name) for name in _COLUMNS)
    return emotion, pixels, usage


def _check_row(cells: Sequence[bytes], columns: tuple[int, int, int]) -> tuple[str, str]:
    """Return label and split of a row, or raise ValueError with all that is wrong with it."""
    if len(cells) <= max(columns):
        msg = f"{len(cells)} cells instead of {max(columns) + 1}: emotion, pixels or Usage is missing"
        raise ValueError(msg)
    emotion, usage = (cells[columns[i]].decode("utf-8", "replace") for i in (0, 2))
    faults = []
    if emotion not in {"0", "1", "2", "3", "4", "5", "6"}:
        faults.append(f"emotion {emotion!r} is not one of 0 to 6")
    try:
        _parse_pixels(cells[columns[1]])
    except ValueError as error:
        faults.append(str(error))
    if usage not in _USAGES:
        faults.append(f"Usage {usage!r} is not one of {', '.join(_USAGES)}" if usage else "Usage is missing")
    if faults:
        raise ValueError(", ".join(faults))
    return EMOTIONS[int(emotion)], split_of(usage)
