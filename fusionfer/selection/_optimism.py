"""By how much the winner's score is too good, because it was chosen for its score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fusionfer.statistics import Resampled

__all__ = ["Choice", "optimism"]


@dataclass(frozen=True, eq=False)
class Choice:
    """How a winner is chosen from the scores of all candidates at all points.

    Attributes
    ----------
    widths : mapping of str to int
        Number of columns of each candidate, the hybrid last if there are several singles.
    n_points : int
        Points of the search.
    min_gain : float
        What the hybrid must gain.
    selected : int
        The column that won: candidate by candidate, point by point.
    singles_only : bool
        Whether a test kept a single block: the hybrid is then not taken for its mean in the draws either.
    """

    widths: Mapping[str, int]
    n_points: int
    min_gain: float
    selected: int
    singles_only: bool = False

    def winners(self, scores: np.ndarray) -> np.ndarray:
        """Column of the winner in each row of `scores` (samples, columns)."""
        table = scores.reshape(len(scores), -1, self.n_points)
        points = table.argmax(axis=2)
        best = np.take_along_axis(table, points[..., None], axis=2)[..., 0]
        widths = list(self.widths.values())
        singles = np.argsort(widths[:-1] or widths, kind="stable")  # of equals the narrowest is kept
        candidate = singles[best[:, singles].argmax(axis=1)]
        if len(widths) > 1 and not self.singles_only:
            hybrid = len(widths) - 1
            rival = np.take_along_axis(best, candidate[:, None], axis=1)[:, 0]
            candidate = np.where(best[:, hybrid] - rival > self.min_gain + 1e-12, hybrid, candidate)
        return candidate * self.n_points + points[np.arange(len(scores)), candidate]


def optimism(drawn: Sequence[Resampled], choices: Sequence[Choice], winner: int, score: float) -> dict[str, Any] | None:
    """Repeat the whole choice on rows drawn again, and judge each time on the rows that were not drawn.

    Parameters
    ----------
    drawn : sequence of Resampled
        For each head, scores of all its candidates at all points; the same rows for all heads.
    choices : sequence of Choice
        How each head's winner is chosen.
    winner : int
        The head that won.
    score : float
        The winner's score.

    Returns
    -------
    dict or None
        ``configurations``, ``samples``, ``score``, ``optimism``, ``corrected`` and ``sentence``; None where there was
        nothing to choose from.

    Notes
    -----
    This is BBC-CV, but for one step: what is averaged is by how much the winner of each draw falls behind the winner of
    all rows, on the same rows that were not drawn. Their mean is the same, without the noise that both share.

    References
    ----------
    Tsamardinos, Greasidou and Borboudakis (2018), Bootstrapping the out-of-sample predictions for efficient and
    accurate cross-validation, Machine Learning 107, 1895-1922.
    """
    tried = sum(found.inside.shape[1] for found in drawn)
    if tried < 2:
        return None
    each = np.arange(len(drawn[0].inside))
    columns = [choice.winners(found.inside) for choice, found in zip(choices, drawn, strict=True)]
    inside = np.stack([found.inside[each, column] for found, column in zip(drawn, columns, strict=True)])
    outside = np.stack([found.outside[each, column] for found, column in zip(drawn, columns, strict=True)])
    chosen = outside[inside.argmax(axis=0), each]
    excess = float(np.mean(drawn[winner].outside[:, choices[winner].selected] - chosen))
    return {
        "configurations": tried, "samples": len(each), "score": score, "optimism": excess, "corrected": score - excess,
        "sentence": f"The winner is the best of {tried} that were tried; less what that brings by chance, its score is "
        f"{score - excess:.4f} in the place of {score:.4f} (bootstrap bias correction).",
    }  # fmt: skip
