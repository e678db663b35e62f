"""Differences between candidates, with their intervals and tests, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fusionfer.report._tables import UNDEFINED, Table, are_shares

__all__ = ["evidence_table"]


def evidence_table(evidence: Mapping[str, Any]) -> Table:
    """Return every pair that was compared, and what the tests come to.

    Parameters
    ----------
    evidence : mapping
        ``selection["evidence"]``, as a model records it.

    Returns
    -------
    Table
        Without rows where there was one block only; the note is the verdict, and by how much the winner's score is too
        good.
    """
    pairs = [*evidence["pairs"], *evidence.get("heads", ())]
    in_points = are_shares(np.array([one["score"]]) for one in evidence["candidates"].values())
    unit = ", points" if in_points else ""

    def figure(value: float) -> str:
        return f"{100 * value:+.2f}" if in_points else f"{value:+.4f}"

    rows = tuple(
        (
            f"{pair['first']} less {pair['second']}",
            figure(pair["difference"]),
            " to ".join(map(figure, pair["interval"])) if pair["interval"] else UNDEFINED,
            _p(pair["greater"]),
            _p(pair["holm"]),
        )
        for pair in pairs
    )
    level = f"{100 * evidence['level']:g} % interval"
    header = ("pair", f"difference{unit}", level, "p, better", "p, different (Holm)")
    notes = [evidence["verdict"], (evidence["optimism"] or {}).get("sentence", "")]
    return Table("Evidence", header, rows, " ".join(filter(None, notes)))


def _p(value: float | None) -> str:
    if value is None:
        return UNDEFINED
    return "<0.001" if value < 0.001 else f"{value:.3f}"
