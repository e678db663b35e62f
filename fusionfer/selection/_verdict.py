"""From tests to words: whether there is evidence for the hybrid, for a single block, or for neither."""

from __future__ import annotations

from typing import Any

from fusionfer.selection._deciding import p_text
from fusionfer.selection._evidence import beaten_by, beats_all

__all__ = ["conclude"]


def conclude(
    pairs: list[dict[str, Any]],
    hybrid: str | None,
    selected: str,
    *,
    test: str | None,
    rule: str,
    alpha: float,
    min_gain: float = 0.0,
) -> dict[str, Any]:
    """Say what the tests of the pairs with the hybrid come to.

    Parameters
    ----------
    pairs : list of dict
        From `Weighing.pairs`.
    hybrid : str or None
        The candidate of all blocks; None where there is one block.
    selected : str
        What was kept.
    test : str or None
        The test that decides.
    rule : {"greater", "significant"}
        By what it was kept.
    alpha : float
        Level of the test.
    min_gain : float
        What the hybrid had to gain.

    Returns
    -------
    dict
        ``outcome`` ("hybrid", "single", "open", or "alone" where there is one block), ``p`` (of "the hybrid beats every
        single block", or None) and ``verdict``, in words.
    """
    if hybrid is None:
        return {"outcome": "alone", "p": None, "verdict": "There is one block and nothing to compare it with."}
    p, rival = beats_all(pairs, hybrid), beaten_by(pairs, hybrid)
    n = sum(pair["first"] == hybrid for pair in pairs)
    beats = "beats every single block" + (f" by more than {min_gain:g}" if min_gain else "")
    if p is None or rival is None:
        why = (
            "the differences are the same in all folds"
            if test is not None
            else "this scoring is not one of single rows, and there is one split only"
        )
        outcome, verdict = "open", f"No evidence either way, as no test can be made: {why}."
    elif p <= alpha:
        which = f"the larger p of {n} tests" if n > 1 else "one test"
        outcome = "hybrid"
        verdict = f"Evidence for the hybrid: it {beats} ({p_text(p)}; {test}, {which})."
    elif rival[1] <= alpha:
        outcome, name = "single", rival[0]
        verdict = f"Evidence for a single block: {name} is better than the hybrid ({p_text(rival[1])}; {test}, Holm)."
    else:
        outcome = "open"
        verdict = f"No evidence either way: that the hybrid {beats} has {p_text(p)} ({test})."
    return {"outcome": outcome, "p": p, "verdict": verdict + _consequence(outcome, selected == hybrid, rule)}


def _consequence(outcome: str, kept_hybrid: bool, rule: str) -> str:
    """Say what was kept, where that does not go without saying."""
    if outcome == "open":
        return (
            f" The rule {rule!r} keeps the hybrid for its greater mean; a single block would be cheaper."
            if kept_hybrid
            else " The cheaper is kept: a single block."
        )
    if (outcome == "hybrid") != kept_hybrid:
        kept = "the hybrid" if kept_hybrid else "a single block"
        return f" By the means over the folds {kept} is kept all the same."
    return ""
