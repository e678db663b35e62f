"""What it takes to read caches: to check and to join them, to report on them, to judge labels by them."""

from __future__ import annotations

from fusionfer.costs._machine import cores, slowness
from fusionfer.costs._summing import summed
from fusionfer.memory import MAPPED_FROM, Estimate

__all__ = ["estimate_merging", "estimate_noise", "estimate_report", "estimate_verifying"]

_MB = 1 << 20
_PROGRAMS = 35 * _MB  # the interpreter, NumPy
_LEARNING = 130 * _MB  # with scikit-learn
_FIGURES = 80 * _MB  # matplotlib and what it draws
_ROW = 1400  # bytes of a row's ids, labels, groups and digests as text, once as bytes and once as characters
_CHECKED = 1.5e9  # bytes a second whose checksums are compared
_COPIED = 0.3e9  # bytes a second that are read, checked and written
_READ = 1.0e9  # bytes a second that a head is applied to
_START = 2.0  # seconds


def estimate_verifying(size: int, rows: int) -> Estimate:
    """Estimate what comparing the checksums of `size` bytes of caches takes, the largest of which has so many rows."""
    parts = [("programs", _PROGRAMS), ("tables of rows", rows * _ROW), ("blocks", 20 * _MB)]
    return summed("cache verify", parts, slowness() * (size / _CHECKED + rows * 5e-6 + _START))


def estimate_merging(size: int, rows: int) -> Estimate:
    """Estimate what joining `size` bytes of caches with so many rows takes."""
    parts = [("programs", _PROGRAMS), ("tables of rows", 3 * rows * _ROW), ("blocks", 60 * _MB)]
    return summed("cache merge", parts, slowness() * (size / _COPIED + rows * 1e-5 + _START))


def estimate_report(rows: int, columns: int, *, limit: int, pictures: bool = False) -> Estimate:
    """Estimate what a page takes that scores a model on a cache.

    Parameters
    ----------
    rows, columns : int
        Of the cache; 0 where none is scored.
    limit : int
        Bytes that are allowed; features of more than an eighth of them stay in their files.
    pictures : bool
        Whether faces are shown.

    Returns
    -------
    Estimate
    """
    matrix = 4 * rows * columns
    held = 2 * matrix if matrix <= MAPPED_FROM * limit else 200 * _MB
    parts = [
        ("programs", _LEARNING + _FIGURES),
        ("features", held),
        ("tables of rows", rows * (2 * _ROW + (900 if pictures else 0))),
    ]
    seconds = slowness() * (2 * matrix / _READ + rows * 2e-4 + 12.0 + 3.0 * pictures)
    return summed("report", parts, seconds)


def estimate_noise(rows: int, columns: int, classes: int, *, limit: int, folds: int = 5) -> Estimate:
    """Estimate what the search for wrong labels takes: softmax regression in so many folds.

    Parameters
    ----------
    rows, columns, classes : int
    limit : int
        Bytes that are allowed; features of more than an eighth of them stay in their files.
    folds : int

    Returns
    -------
    Estimate
    """
    matrix = 4 * rows * columns
    mapped = matrix > MAPPED_FROM * limit
    held = 200 * _MB if mapped else int(3.6 * matrix)
    gram = 3 * 8 * columns**2
    parts = [
        ("programs", _LEARNING), ("features", held), ("products", gram + 6 * 8 * rows * classes),
        ("tables of rows", 3 * rows * _ROW),
    ]  # fmt: skip
    flops = folds * 2.0 * rows * columns * classes * 900
    return summed("label noise", parts, slowness() * (flops / (40e9 * cores()) + folds * 1.0 + _START))
