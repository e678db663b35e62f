"""Rounding undone, and arithmetic that keeps both ends."""

from decimal import ROUND_HALF_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusionfer.claims._intervals import Interval, harmonic, mean, quotient, rounded, whole_shares


@given(
    st.decimals(0, 1, places=9), st.integers(0, 6), st.sampled_from([ROUND_HALF_UP, ROUND_HALF_EVEN, ROUND_HALF_DOWN])
)
def test_rounding_is_undone(value, digits, rounding):
    """Whatever was rounded lies in the interval of the result, whichever way halves went."""
    printed = value.quantize(Decimal(1).scaleb(-digits), rounding=rounding)
    low, high = rounded(printed)
    assert low <= Fraction(value) <= high
    assert high - low == Fraction(1, 10**digits)


def test_percent():
    """The scale divides."""
    assert rounded(Decimal("98.96"), 100) == (Fraction("0.98955"), Fraction("0.98965"))


def test_meet_gap_hull_and_within():
    """Intervals that touch meet; those apart have a gap; clipping never leaves nothing."""
    a, b, c = (Interval(Fraction(low), Fraction(high)) for low, high in ((0, 2), (2, 3), (5, 6)))
    assert (a.meet(b), a.gap(b)) == ((2, 2), 0)
    assert (a.meet(c), a.gap(c), c.gap(a)) == (None, 3, 3)
    assert a.hull(c) == (0, 6)
    assert c.within(0, 1) == (1, 1)
    assert Interval(Fraction(-1, 2), Fraction(1, 2)).within(0, 1) == (0, Fraction(1, 2))


def test_harmonic():
    """F1 of both ends; 0 where nothing is right."""
    half, one, nothing = Interval.point(Fraction(1, 2)), Interval.point(1), Interval.point(0)
    assert harmonic(half, one) == Interval.point(Fraction(2, 3))
    assert harmonic(nothing, nothing) == nothing


def test_quotient():
    """None for 0 / 0, everything where that may be, else end by end."""
    nothing = Interval.point(0)
    assert quotient(nothing, nothing) is None
    assert quotient(Interval(Fraction(0), Fraction(1)), Interval(Fraction(0), Fraction(1))) == (0, 1)
    assert quotient(Interval(Fraction(1), Fraction(2)), Interval(Fraction(4), Fraction(3))) == (0.25, Fraction(2, 3))


def test_mean():
    """Weights count; without them each the same."""
    a, b = Interval.point(0), Interval.point(1)
    assert mean([a, b]) == (Fraction(1, 2),) * 2
    assert mean([a, b], [1, 3]) == (Fraction(3, 4),) * 2


@pytest.mark.parametrize("n", [1, 3, 40, 491])
def test_a_share_that_n_samples_can_give_is_near(n):
    """For each k of n the interval of the printed share meets one of the two that are yielded."""
    for k in range(n + 1):
        share = rounded(Decimal(k) / Decimal(n).quantize(Decimal("1."))).within(0, 1)
        printed = rounded((Decimal(k) / n).quantize(Decimal("0.0001"))).within(0, 1)
        assert min(one.gap(printed) for one in whole_shares(printed, n)) == 0
        assert share.low <= 1


def test_a_share_that_n_samples_cannot_give():
    """Half of 7 is 3/7 or 4/7."""
    assert list(whole_shares(rounded(Decimal("0.500")), 7)) == [Interval.point(Fraction(k, 7)) for k in (3, 4)]
