"""Many changed copies of one picture, put to a predict function in batches, no input twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import islice

import numpy as np

from fusionfer.exceptions import DataError

__all__ = ["Answers", "ClassIndex", "Predict", "Progress", "check_picture", "chosen_classes"]

#: From pictures to numbers of shape (n, K), such as probabilities.
Predict = Callable[[Sequence[np.ndarray]], np.ndarray]
Progress = Callable[[int, int, str], None]
#: Columns of `Predict`, or what says them when the values of the whole picture are known, or None: the largest.
ClassIndex = int | Sequence[int] | Callable[[np.ndarray], Sequence[int]] | None


class Answers:
    """Puts pictures to `predict`, at most `batch_size` at a time, and remembers what it said.

    Parameters
    ----------
    predict : callable
        From a list of pictures to an array of shape (n, K).
    batch_size : int
        Pictures of one call.

    Attributes
    ----------
    asked : int
        Pictures that went through `predict`.
    """

    def __init__(self, predict: Predict, batch_size: int) -> None:
        if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer) or batch_size < 1:
            msg = f"batch_size must be a whole number from 1, got {batch_size!r}."
            raise DataError(msg)
        self._predict, self._batch_size = predict, int(batch_size)
        self._known: dict[bytes, np.ndarray] = {}
        self.asked = 0

    def __call__(self, pictures: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield what `predict` says of each picture, in order; they are taken from the iterator batch by batch."""
        pictures = iter(pictures)
        while some := list(islice(pictures, self._batch_size)):
            keys = [blake2b(one.tobytes(), digest_size=16).digest() for one in some]
            new = {key: one for key, one in zip(keys, some, strict=True) if key not in self._known}
            if new:
                self._known |= zip(new, self._numbers(list(new.values())), strict=True)
                self.asked += len(new)
            yield from (self._known[key] for key in keys)

    def _numbers(self, pictures: list[np.ndarray]) -> np.ndarray:
        found = np.asarray(self._predict(pictures), dtype=np.float64)
        if found.ndim != 2 or len(found) != len(pictures):
            msg = f"predict must return an array of shape ({len(pictures)}, K), got {found.shape}."
            raise DataError(msg)
        if not np.isfinite(found).all():
            msg = "predict returned NaN or infinity. Check the picture and the model."
            raise DataError(msg)
        return found


def check_picture(pixels: np.ndarray) -> np.ndarray:
    """Refuse what is no picture.

    Raises
    ------
    DataError
    """
    if not isinstance(pixels, np.ndarray) or pixels.ndim not in (2, 3) or not pixels.size:
        came = f"an array of shape {pixels.shape}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
        msg = f"A picture must be an array of shape (height, width) or (height, width, channels), got {came}."
        raise DataError(msg)
    return pixels


def chosen_classes(class_index: ClassIndex, baseline: np.ndarray) -> np.ndarray:
    """Return which columns of `predict` are wanted: those named, or said by a function of `baseline`, or its largest.

    Raises
    ------
    DataError
        If there is no such column.
    """
    if class_index is None:
        return np.array([int(np.argmax(baseline))])
    chosen = np.atleast_1d(np.asarray(class_index(baseline) if callable(class_index) else class_index))
    if chosen.ndim != 1 or not len(chosen) or not np.issubdtype(chosen.dtype, np.integer):
        msg = f"class_index must be a whole number, several, or None, got {class_index!r}."
        raise DataError(msg)
    if chosen.min() < 0 or chosen.max() >= len(baseline):
        msg = f"class_index must be from 0 to {len(baseline) - 1}, got {class_index!r}."
        raise DataError(msg)
    return chosen.astype(np.intp)
