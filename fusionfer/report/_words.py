"""What figures show, in words, for those who cannot see them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fusionfer.metrics import Scores
from fusionfer.report._tables import UNDEFINED, are_shares, fold_scores

__all__ = ["class_words", "confusion_words", "curves_words", "fold_words", "roc_words"]

_MISTAKES = 5


def confusion_words(scores: Scores) -> str:
    """Say how much of each class is predicted right, and what the most common mistakes are.

    Examples
    --------
    >>> from fusionfer.metrics import score
    >>> confusion_words(score(["joy", "joy", "fear", "fear"], ["joy", "joy", "joy", "fear"]))
    'Confusion matrix of 2 classes. Right: fear 50 %, joy 100 %. Most common mistakes: fear as joy 50 %.'
    """
    support = scores.support
    shares = np.divide(
        scores.confusion, support[:, None], out=np.zeros(scores.confusion.shape), where=support[:, None] > 0
    )
    right = ", ".join(
        f"{name} {_percent(shares[k, k]) if support[k] else UNDEFINED}" for k, name in enumerate(scores.classes)
    )
    wrong = shares - np.diag(np.diag(shares))
    order = np.argsort(-wrong, axis=None, kind="stable")[:_MISTAKES]
    mistakes = [
        f"{scores.classes[i]} as {scores.classes[j]} {_percent(wrong[i, j])}"
        for i, j in zip(*np.unravel_index(order, wrong.shape), strict=True)
        if wrong[i, j] > 0
    ]
    more = f"Most common mistakes: {', '.join(mistakes)}." if mistakes else "No mistakes."
    return f"Confusion matrix of {len(scores.classes)} classes. Right: {right}. {more}"


def class_words(scores: Scores) -> str:
    """Say the F1 of each class."""
    found = zip(scores.classes, scores.per_class["f1"].tolist(), strict=True)
    return f"Bars, F1: {', '.join(f'{name} {_percent(value)}' for name, value in found)}."


def curves_words(histories: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Say the best accuracy in validation of each network, and of how many epochs."""
    shown = [
        f"{name} {100 * max(epoch['validation_accuracy'] for epoch in epochs):.1f} % of {len(epochs)} epochs"
        for name, epochs in histories.items()
        if len(epochs)
    ]
    return f"Lines, best accuracy in validation: {', '.join(shown)}."


def fold_words(selection: Mapping[str, Any]) -> str:
    """Say the mean score of each candidate."""
    folds = {name: fold_scores(values) for name, values in selection["scores"].items()}
    shares = are_shares(folds.values())
    means = {name: float(np.mean(values)) if len(values) else math.nan for name, values in folds.items()}
    shown = [f"{name} {f'{100 * mean:.2f} %' if shares else f'{mean:.4g}'}" for name, mean in means.items()]
    return f"Points, mean score: {', '.join(shown)}; kept: {selection['selected']}."


def roc_words(scores: Scores) -> str:
    """Say the area under the curve of each class."""
    areas = [] if scores.auc is None else zip(scores.classes, scores.auc.tolist(), strict=True)
    shown = [f"{name} {UNDEFINED if math.isnan(area) else f'{area:.3f}'}" for name, area in areas]
    return f"ROC curves, areas: {', '.join(shown)}."


def _percent(share: float) -> str:
    return UNDEFINED if math.isnan(share) else f"{100 * share:.0f} %"
