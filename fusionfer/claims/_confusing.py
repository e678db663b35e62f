"""Every figure that follows from a confusion matrix whose cells are known up to rounding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from fusionfer.claims._intervals import Interval, harmonic, mean, quotient

__all__ = ["any_average", "averages", "class_figures", "f1_of_averages", "total"]

_NOTHING = Interval.point(0)


def class_figures(counts: Sequence[Sequence[Interval]], supports: Sequence[int], k: int) -> dict[str, Interval | None]:
    """Return the figures of class `k`; None for those that are undefined.

    Parameters
    ----------
    counts : sequence of sequence of Interval, K x K
        Rows are true classes, columns predicted ones.
    supports : sequence of int, length K
        What the rows add up to, which is known exactly. With it each figure is a function of true and false positives
        alone, that rises with the former and falls with the latter: its bounds are reached.
    k : int

    Returns
    -------
    dict
        precision, recall, specificity, accuracy (of the class against the rest), f1 and jaccard.
    """
    n, s, tp = sum(supports), supports[k], counts[k][k]
    fp = total(row[k] for i, row in enumerate(counts) if i != k)
    true_negative = Interval(n - s - fp.high, n - s - fp.low)
    right = Interval(n - s + tp.low - fp.high, n - s + tp.high - fp.low)
    predicted = Interval(tp.low + fp.high, tp.high + fp.low)  # with few and with many true positives
    return {
        "precision": quotient(tp, predicted),
        "recall": quotient(tp, _NOTHING.add(s)),
        "specificity": quotient(true_negative, _NOTHING.add(n - s)),
        "accuracy": quotient(right, _NOTHING.add(n)),
        "f1": quotient(tp.times(2), predicted.add(s)),
        "jaccard": quotient(tp, Interval(fp.high, fp.low).add(s)),
    }


def averages(values: Sequence[Interval | None], supports: Sequence[int] | None = None) -> tuple[Interval, ...]:
    """Return what an average over classes can be, by each way to treat those without a value.

    Parameters
    ----------
    values : sequence of Interval or None
    supports : sequence of int, optional
        Weights; without them each class counts the same.

    Returns
    -------
    tuple of Interval
        Without the classes that have no value, and with 0 in their places: both are common.
    """
    weights: list[int] = [1] * len(values) if supports is None else list(supports)
    known = [one for one in values if one is not None]
    known_weights = [w for one, w in zip(values, weights, strict=True) if one is not None]
    found = []
    if any(known_weights):
        found.append(mean(known, known_weights))
    if len(known) < len(values) and any(weights):
        found.append(mean([_NOTHING if one is None else one for one in values], weights))
    return tuple(found)


def f1_of_averages(
    precisions: Sequence[Interval | None], recalls: Sequence[Interval | None], supports: Sequence[int] | None = None
) -> tuple[Interval, ...]:
    """Return what F1 of the average precision and recall can be: some call it the average F1 (Opitz and Burst 2019)."""
    return tuple(harmonic(p, r) for p in averages(precisions, supports) for r in averages(recalls, supports))


def any_average(values: Sequence[Interval | None]) -> Interval:
    """Return where a mean over classes lies, whatever its weights; classes without a value may count as 0."""
    known = [_NOTHING if one is None else one for one in values]
    return Interval(min(known).low, max(one.high for one in known))


def total(cells: Iterable[Interval]) -> Interval:
    """Return what the sum of `cells` can be."""
    added = Interval(Fraction(0), Fraction(0))
    for cell in cells:
        added = added.plus(cell)
    return added
