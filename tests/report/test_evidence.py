"""The table of evidence: the figures of the pairs, as people read them."""

import pytest

from fusionfer.report import evidence_table


def pair(**more):
    """Return one pair as a model records it."""
    found = {"first": "a + b", "second": "a", "difference": 0.0123, "interval": [-0.001, 0.02]}
    return {**found, "greater": 0.0125, "holm": 0.0004, **more}


@pytest.fixture
def evidence():
    """What a model may record."""
    return {
        "level": 0.95,
        "verdict": "Evidence for the hybrid.",
        "candidates": {"a": {"score": 0.5}, "a + b": {"score": 0.5123}},
        "pairs": [pair()],
        "optimism": {"sentence": "The winner is the best of 2."},
    }


def test_shares_are_shown_in_points(evidence):
    """Difference and interval in percentage points, with their sign; small p-values as such."""
    table = evidence_table(evidence)
    assert table.header == ("pair", "difference, points", "95 % interval", "p, better", "p, different (Holm)")
    assert table.rows == (("a + b less a", "+1.23", "-0.10 to +2.00", "0.013", "<0.001"),)
    assert table.note == "Evidence for the hybrid. The winner is the best of 2."


def test_other_scores_are_shown_as_they_are(evidence):
    """Losses are no shares."""
    evidence["candidates"]["a"]["score"] = -1.2
    table = evidence_table(evidence)
    assert table.header[1] == "difference"
    assert table.rows[0][1:3] == ("+0.0123", "-0.0010 to +0.0200")


def test_what_is_not_known_is_a_dash(evidence):
    """No interval, no test, no optimism; pairs of heads stand below."""
    evidence |= {
        "heads": [pair(first="x on a", second="y on a", interval=None, greater=None, holm=None)],
        "optimism": None,
    }
    table = evidence_table(evidence)
    assert table.rows[1] == ("x on a less y on a", "+1.23", "–", "–", "–")
    assert table.note == "Evidence for the hybrid."
