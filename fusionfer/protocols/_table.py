"""A replay as a table: what is claimed, what the protocol yields, and what is left without each cause."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fusionfer.protocols._protocol import PROTOCOLS, Protocol, read_protocol
from fusionfer.protocols._replay import Replay, Result
from fusionfer.report import Table

__all__ = ["claims_table", "replay_table"]


def replay_table(found: Replay) -> Table:
    """Return one row for each run: accuracy in percent, and the difference to the run before in points.

    Parameters
    ----------
    found : Replay

    Returns
    -------
    Table
    """
    protocol = found.protocol
    claimed = f"{protocol.claim.accuracy:.1f}" if protocol.claim.accuracy else "–"
    rows: list[tuple[str, ...]] = [(f"claimed: {protocol.paper}", claimed, "", "", "", "", "")]
    for number, result in enumerate(found.results):
        before = found.results[number - 1] if number else None
        rows.append(_row(result, before, last=number == len(found.results) - 1, alone=len(found.results) == 1))
    notes = []
    if found.reduced:
        notes.append(f"Reduced, or other than the protocol: {', '.join(found.reduced)}.")
    repeats = max(len(result.accuracies) for result in found.results)
    if repeats > 1:
        notes.append(f"Means of {repeats} draws of the split, lowest and highest in brackets; F1 of the first.")
    fewest = min((result.outcome.scores for result in reversed(found.results)), key=lambda scores: scores.n)
    error = 100 * math.sqrt(fewest.accuracy * (1 - fewest.accuracy) / fewest.n)
    notes.append(f"Chance moves an accuracy by about {error:.1f} points (one standard error, {fewest.n:,} faces).")
    return Table(
        f"{protocol.name}: {protocol.summary}",
        ("run", "accuracy, %", "difference", "macro F1, %", "trained on", "scored", "chosen"),
        tuple(rows),
        " ".join(notes),
    )


def _row(result: Result, before: Result | None, *, last: bool, alone: bool) -> tuple[str, ...]:
    accuracy = f"{100 * result.accuracy:.1f}"
    if len(result.accuracies) > 1:
        accuracy += f" ({100 * min(result.accuracies):.1f} to {100 * max(result.accuracies):.1f})"
    what = f"without {result.cause}" if result.cause else "the protocol as it is"
    if last and not result.remaining and not alone:
        what += ": honest"
    if result.leaking:
        what += " (leaks)"
    f1 = result.outcome.scores.macro["f1"]
    return (
        what,
        accuracy,
        "" if before is None else f"{100 * (result.accuracy - before.accuracy):+.1f}",
        f"{100 * f1:.1f}",
        f"{result.outcome.n_train:,}",
        f"{result.outcome.scores.n:,}",
        result.outcome.chosen,
    )


def claims_table(names: Sequence[str] = PROTOCOLS) -> Table:
    """Return the protocols that fusionfer brings, with what their papers claim.

    Parameters
    ----------
    names : sequence of str

    Returns
    -------
    Table
    """

    def row(protocol: Protocol) -> tuple[str, ...]:
        claimed = f"{protocol.claim.accuracy:g} %" if protocol.claim.accuracy else "–"
        return protocol.name, protocol.summary, protocol.paper, claimed

    return Table("Protocols", ("name", "what", "after", "claimed"), tuple(row(read_protocol(name)) for name in names))
