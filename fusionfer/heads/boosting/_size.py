"""What a fit takes: in memory, with codes and slices in files, and of the disk there."""

from __future__ import annotations

from typing import NamedTuple

from fusionfer.exceptions import DataError
from fusionfer.heads.boosting._slices import slice_count
from fusionfer.memory import allowed_bytes, planned_bytes, size

__all__ = [
    "SHARE",
    "FitSize",
    "columns_at_once",
    "cutting_threads",
    "fits_in_memory",
    "plain_size",
    "sliced_size",
    "stays_in_memory",
]

#: What is kept from round to round goes to files when it would take more than this part of the planned memory.
SHARE = 0.25
#: The part of the allowed memory that reading columns of a map may take.
_READING = 0.25
_SORTING = 48  # bytes a row that a thread takes to cut one column: its order, its values, where new ones begin
_PIECE = 1 << 14  # rows that the plain head hands over at a time
_SKETCH = 160_000  # bytes a column in which XGBoost finds quantiles
_FIXED = 12_000_000  # XGBoost's own code in Python, and small things


class FitSize(NamedTuple):
    """Bytes that a fit takes beside the rows that it is given and the libraries.

    `kept` is what stays from round to round where all is in memory, `in_memory` the peak then; `in_files` is the peak
    where codes and slices are in files, and `disk` what these take.
    """

    kept: int
    in_memory: int
    in_files: int
    disk: int


def sliced_size(
    n: int, d: int, n_classes: int, *, n_slices: int | str = "auto", threads: int = 1, validation: float = 0.1
) -> FitSize:
    """Estimate what a fit of ``xgb-wn`` takes.

    Parameters
    ----------
    n, d : int
        Rows, those held out included, and columns.
    n_classes : int
        At least 2.
    n_slices : int or "auto"
        As `WeightNormalisedXGBClassifier` has it.
    threads : int
        Threads of the fit.
    validation : float
        Part of the rows that are stopped by.

    Returns
    -------
    FitSize

    Examples
    --------
    >>> from fusionfer.memory import memory_limit
    >>> with memory_limit(4 << 30):
    ...     size = sliced_size(1_000_000, 2560, 7)
    >>> f"{size.in_memory / 1e9:.0f} GB, {size.in_files / 1e9:.0f} GB with files of {size.disk / 1e9:.0f} GB"
    '16 GB, 1 GB with files of 8 GB'
    """
    outputs = 1 if n_classes == 2 else n_classes
    slices = slice_count(n_slices, d)
    grown = int(n * (1 - validation))
    # A slice keeps its bins twice, by rows and by columns; for each tree of a round the place of every row, and its
    # margin; of the rows that are stopped by, which have no bins, numbers and columns.
    kept = n * d + 2 * grown * d + slices * grown * (12 * outputs + 20) + 8 * (n - grown) * d
    rounds, cutting = _of_rounds(n, outputs), _of_cutting(n, d, threads)
    return FitSize(
        kept=kept,
        in_memory=max(kept + rounds, n * d + cutting) + _FIXED,
        in_files=max(rounds, cutting) + _FIXED,
        disk=n * d + 2 * grown * d + 16 * slices * grown + slices * 100_000,
    )


def plain_size(
    n: int, d: int, n_classes: int, *, max_bin: int = 256, max_depth: int = 6, mapped: bool = False
) -> FitSize:
    """Estimate what a fit of ``xgb`` takes; `mapped` says that its rows are in files, and would be read for it."""
    outputs = 1 if n_classes == 2 else n_classes
    each = 1 if max_bin <= 256 else 2
    kept = 2 * each * n * d + (4 * n * d if mapped else 0)
    # XGBoost keeps the histograms of all nodes of a tree: two float64 a bin.
    rounds = _of_rounds(n, outputs) + 16 * max_bin * d * min(2 << max_depth, 2 * n) + _SKETCH * d
    return FitSize(
        kept=kept,
        in_memory=kept + rounds + _FIXED,
        in_files=rounds + 8 * d * _PIECE + _FIXED,
        disk=2 * each * n * d + 16 * n + 100_000,
    )


def fits_in_memory(kept: int) -> bool:
    """Whether so many bytes may be kept in memory from round to round."""
    return kept <= SHARE * planned_bytes()


def stays_in_memory(kept: int, device: str = "cpu") -> bool:
    """Whether so many bytes are kept in memory from round to round; only the CPU reads what is in files.

    Raises
    ------
    DataError
        If they would have to go to files, and the device is another.
    """
    if fits_in_memory(kept):
        return True
    if device != "cpu":
        msg = (
            f"device={device!r} reads no bins from files, and this fit keeps {size(kept)}: more than {SHARE:.0%} of "
            f"the {size(planned_bytes())} of memory that is planned with. Leave device='cpu', which goes on in files, "
            f"or allow at least {size(kept / SHARE)} with --memory (fusionfer.memory.memory_limit)."
        )
        raise DataError(msg)
    return False


def cutting_threads(n: int, threads: int) -> int:
    """How many of so many threads, at least 1, cut columns of n rows: theirs is half of the room for reading."""
    return max(1, min(threads, int(0.5 * _READING * allowed_bytes() // (_SORTING * max(n, 1)))))


def columns_at_once(n: int, d: int, threads: int) -> int:
    """How many columns of n rows, at least 1, are read together from a map and cut by `cutting_threads` of these."""
    room = _READING * allowed_bytes() - cutting_threads(n, threads) * _SORTING * n
    return max(1, min(d, int(room // (4 * max(n, 1)))))


def _of_cutting(n: int, d: int, threads: int) -> int:
    return 4 * n * columns_at_once(n, d, threads) + cutting_threads(n, threads) * _SORTING * n


def _of_rounds(n: int, outputs: int) -> int:
    """Margins, derivatives and what trees give, of all rows: so many float32 at the peak of a round."""
    return 10 * 4 * n * outputs + 64 * n
