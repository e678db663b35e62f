"""Several selections on the same held-out rows: is the best winner better, and by how much is its score too good."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfer.selection._evidence import SAMPLES, Weighing, with_holm
from fusionfer.selection._judging import Judged
from fusionfer.selection._optimism import Choice, optimism
from fusionfer.statistics import Resampled, resample

if TYPE_CHECKING:
    from fusionfer.selection._selector import HybridSelector

__all__ = ["compare_winners"]


def compare_winners(selectors: Mapping[str, HybridSelector], best: str) -> dict[str, Any]:
    """Weigh the winner of several heads against those of the others.

    Parameters
    ----------
    selectors : mapping of str to HybridSelector
        Head -> its selection; all fitted to the same rows with the same folds (or held-out rows) and scoring.
    best : str
        The head that was kept.

    Returns
    -------
    dict
        ``heads``: the pairs of the best head's winner with each other head's, as ``evidence_["pairs"]`` of
        `HybridSelector`, Holm's p-values being for all of these; ``optimism``: as there, for the choice among all
        heads, candidates and points. Without `judged_` both say as much as scores over folds can.
    """
    names = {head: f"{head} on {selector.selected_}" for head, selector in selectors.items()}
    scores = {names[head]: selector.scores_[selector.selected_] for head, selector in selectors.items()}
    drawn = _drawn_together(selectors)
    choices = {head: _choice(selector) for head, selector in selectors.items()}
    resampled = right = None
    if drawn is not None:
        resampled = {names[head]: drawn[head].inside[:, choices[head].selected] for head in selectors}
        judged = {head: _judged(selector) for head, selector in selectors.items()}
        if judged[best].measure == "accuracy" and judged[best].groups is None:
            right = {names[head]: one.of_column(choices[head].selected) == one.y for head, one in judged.items()}
    weighing = Weighing(scores, selectors[best].evidence_["test_over_train"], 0.0, resampled, right)
    pairs = with_holm([weighing.pair(names[best], names[head]) for head in selectors if head != best])
    won = selectors[best].mean_scores_[selectors[best].selected_]
    found = None
    if drawn is not None:
        found = optimism(list(drawn.values()), list(choices.values()), list(selectors).index(best), won)
    return {"heads": pairs, "optimism": found}


def _judged(selector: HybridSelector) -> Judged:
    """What was said of the held-out rows, as an object again; only where it is known."""
    arrays: dict[str, Any] = selector.judged_ or {}
    return Judged(measure=selector.scoring, n_classes=len(selector.classes_), **arrays)


def _choice(selector: HybridSelector) -> Choice:
    """How a selection chose, and the column that won."""
    candidates, n_points = list(selector.search_results_), len(selector.search_points_)
    point = int(np.argmax(selector.search_results_[selector.selected_].mean(axis=1).round(12)))
    blocks = {name: columns.stop - columns.start for name, columns in selector.blocks_.items()}
    widths = {name: blocks.get(name, sum(blocks.values())) for name in candidates}
    selected = candidates.index(selector.selected_) * n_points + point
    by_test = selector.rule == "significant" and selector.selected_ != candidates[-1]
    return Choice(widths, n_points, selector.min_gain, selected, by_test)


def _drawn_together(selectors: Mapping[str, HybridSelector]) -> dict[str, Resampled] | None:
    """Scores of all heads on the same rows drawn again; None where single rows say nothing."""
    if any(selector.judged_ is None for selector in selectors.values()):
        return None
    judged = [_judged(selector) for selector in selectors.values()]
    scorings = [one.scoring(list(one.said)) for one in judged]
    if not judged[0].can_be_drawn:
        return None
    found = resample(
        lambda weights: np.concatenate([scores(weights) for scores in scorings], axis=1),
        len(judged[0].rows), judged[0].groups, samples=SAMPLES,
    )  # fmt: skip
    ends = np.cumsum([sum(len(said) for said in one.said.values()) for one in judged])[:-1]
    parts = zip(np.split(found.inside, ends, axis=1), np.split(found.outside, ends, axis=1), strict=True)
    return {head: Resampled(*part) for head, part in zip(selectors, parts, strict=True)}
