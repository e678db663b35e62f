"""What a printed figure can have been before it was rounded, and what follows from that: exact, without floats."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

__all__ = ["Interval", "harmonic", "mean", "quotient", "rounded", "whole_shares"]

_ZERO, _ONE = Fraction(0), Fraction(1)


class Interval(NamedTuple):
    """All values from `low` to `high`, both included; fractions are exact, so that no float blurs an end."""

    low: Fraction
    high: Fraction

    @classmethod
    def point(cls, value: int | Fraction) -> Interval:
        """Return the interval that holds one value."""
        return cls(Fraction(value), Fraction(value))

    def plus(self, other: Interval) -> Interval:
        """Return what the sum can be."""
        return Interval(self.low + other.low, self.high + other.high)

    def add(self, value: int | Fraction) -> Interval:
        """Return it moved by `value`."""
        return Interval(self.low + value, self.high + value)

    def times(self, factor: int | Fraction) -> Interval:
        """Return it times `factor`, which is not negative."""
        return Interval(self.low * factor, self.high * factor)

    def within(self, low: int, high: int) -> Interval:
        """Return the part between `low` and `high`; the nearest end where there is none."""
        ends = (min(max(end, Fraction(low)), Fraction(high)) for end in self)
        return Interval(*ends)

    def hull(self, other: Interval) -> Interval:
        """Return the smallest interval that holds both."""
        return Interval(min(self.low, other.low), max(self.high, other.high))

    def meet(self, other: Interval) -> Interval | None:
        """Return what both hold, or None."""
        low, high = max(self.low, other.low), min(self.high, other.high)
        return Interval(low, high) if low <= high else None

    def gap(self, other: Interval) -> Fraction:
        """Return how far apart they are; 0 where they meet."""
        return max(self.low - other.high, other.low - self.high, _ZERO)


def rounded(value: Decimal, scale: int = 1) -> Interval:
    """Return what was rounded to `value`, divided by `scale`.

    Both ends belong to it: whether halves went up, down or to the even digit is not known.

    Parameters
    ----------
    value : Decimal
        With the digits that were printed: 98.96 and 98.960 are not the same.
    scale : int
        100 for percent.

    Returns
    -------
    Interval

    Examples
    --------
    >>> [float(end) for end in rounded(Decimal("98.96"))]
    [98.955, 98.965]
    """
    exponent = value.as_tuple().exponent
    half = Fraction(10) ** int(exponent) / 2
    return Interval((Fraction(value) - half) / scale, (Fraction(value) + half) / scale)


def mean(values: Sequence[Interval], weights: Sequence[int] | None = None) -> Interval:
    """Return what the mean of shares can be; weights are exact and not all 0."""
    weights = [1] * len(values) if weights is None else weights
    total = sum(weights)
    low = sum((w * one.low for w, one in zip(weights, values, strict=True)), _ZERO)
    high = sum((w * one.high for w, one in zip(weights, values, strict=True)), _ZERO)
    return Interval(low / total, high / total)


def quotient(part: Interval, whole: Interval) -> Interval | None:
    """Return part / whole, end by end: `whole` holds what goes with the low end of `part`, then with its high end.

    None where both are certainly 0; all from 0 to 1 where they may be: whether such a class is left out of an average
    or counts as 0 in it, the average stays within what that gives.
    """
    if part.high == 0 and whole.low == 0 and whole.high == 0:
        return None
    if whole.low == 0 or whole.high == 0:
        return Interval(_ZERO, _ONE)
    return Interval(part.low / whole.low, part.high / whole.high)


def harmonic(precision: Interval, recall: Interval) -> Interval:
    """Return what F1 = 2PR / (P + R) can be; it grows with both, and is 0 where both are."""

    def f1(p: Fraction, r: Fraction) -> Fraction:
        return 2 * p * r / (p + r) if p + r else _ZERO

    return Interval(f1(precision.low, recall.low), f1(precision.high, recall.high))


def whole_shares(share: Interval, n: int) -> Iterable[Interval]:
    """Yield the shares of n whole samples that are next to the middle of `share`: below (or on) it, and above."""
    below = (share.low + share.high) * n // 2
    for count in (below, below + 1):
        if 0 <= count <= n:
            yield Interval.point(Fraction(count, n))
