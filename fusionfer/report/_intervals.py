"""Intervals of every figure of one evaluation: what other faces of the same kind may give."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fusionfer.metrics import Scores
from fusionfer.report._tables import METRIC_NAMES, UNDEFINED, Table, overall_table
from fusionfer.statistics import percentile_interval, proportion_interval

__all__ = ["average_intervals", "class_intervals", "describe_intervals", "interval_table", "overall_interval_table"]

_DRAWS = 2000


def class_intervals(scores: Scores, level: float = 0.95) -> dict[str, np.ndarray]:
    """Return an interval of every figure of every class that is a share of samples.

    Accuracy, precision, recall (sensitivity) and specificity are shares of samples, and so is the Jaccard index: of the
    TP + FP + FN samples that are of the class or said to be, TP are both. Their intervals are Wilson's, given how many
    samples stand below the fraction. F1 = Dice = 2 J / (1 + J) grows with the Jaccard index J, so the ends of its
    interval are those of J, converted. The samples count as independent: with several pictures of each person the true
    intervals are wider.

    Parameters
    ----------
    scores : Scores
    level : float
        How often such an interval holds the true figure, between 0 and 1.

    Returns
    -------
    dict of str to ndarray of float64, shape (K, 2)
        Metric -> lower and upper end for each class, in [0, 1], NaN where the figure is undefined; without ``roc_auc``.

    References
    ----------
    Wilson (1927), Journal of the American Statistical Association 22, 209-212. Recommended, also for few samples, by
    Brown, Cai and DasGupta (2001), Statistical Science 16, 101-133.
    """
    tp = np.diag(scores.confusion)
    fp = scores.confusion.sum(axis=0) - tp
    fn = scores.support - tp
    tn = scores.n - tp - fp - fn

    def share(hits: np.ndarray, n: Any) -> np.ndarray:
        return np.stack(proportion_interval(hits, n, level=level), axis=-1)

    jaccard = share(tp, tp + fp + fn)
    overlap = 2 * jaccard / (1 + jaccard)
    return {
        "accuracy": share(tp + tn, scores.n),
        "precision": share(tp, tp + fp),
        "recall": share(tp, tp + fn),
        "specificity": share(tn, tn + fp),
        "f1": overlap,
        "jaccard": jaccard,
        "dice": overlap,
    }


def average_intervals(scores: Scores, level: float = 0.95, seed: int = 0) -> dict[str, tuple[float, float]]:
    """Return intervals of the figures that stand for the whole.

    That of the accuracy is Wilson's. Balanced accuracy and the macro averages are no shares: theirs are percentiles of
    2,000 bootstrap samples. These are drawn from the confusion matrix, which is the same as to draw samples with
    replacement and to count them. The samples count as independent.

    Parameters
    ----------
    scores : Scores
    level : float
        How often such an interval holds the true figure, between 0 and 1.
    seed : int
        Of the bootstrap samples.

    Returns
    -------
    dict of str to (float, float)
        ``accuracy``, ``balanced_accuracy``, and ``macro_<metric>`` for precision, recall, specificity, F1, Jaccard and
        Dice; the ends in [0, 1], NaN where the figure is undefined.

    References
    ----------
    Efron and Tibshirani (1993), An introduction to the bootstrap, section 13.3.
    """
    low, high = proportion_interval(np.trace(scores.confusion), scores.n, level=level)
    K = len(scores.classes)
    drawn = np.random.default_rng(seed).multinomial(scores.n, scores.confusion.ravel() / scores.n, size=_DRAWS)
    drawn = drawn.reshape(_DRAWS, K, K)
    tp = np.diagonal(drawn, axis1=1, axis2=2)
    fp, fn = drawn.sum(axis=1) - tp, drawn.sum(axis=2) - tp
    tn = scores.n - tp - fp - fn
    parts = {
        "precision": (tp, tp + fp),
        "recall": (tp, tp + fn),
        "specificity": (tn, tn + fp),
        "f1": (2 * tp, 2 * tp + fp + fn),
        "jaccard": (tp, tp + fp + fn),
        "dice": (2 * tp, 2 * tp + fp + fn),
    }
    found = {f"macro_{name}": _percentiles(_macro(*part), level) for name, part in parts.items()}
    return {"accuracy": (float(low), float(high)), "balanced_accuracy": found["macro_recall"], **found}


def describe_intervals(scores: Scores, level: float = 0.95) -> dict[str, Any]:
    """Return all intervals as JSON knows them: pairs of numbers, None where a figure is undefined."""

    def pair(ends: Any) -> list[float] | None:
        return None if np.isnan(ends).any() else [float(ends[0]), float(ends[1])]

    of_classes = class_intervals(scores, level)
    return {
        "level": level,
        **{name: pair(ends) for name, ends in average_intervals(scores, level).items()},
        "per_class": {
            name: {metric: pair(ends[k]) for metric, ends in of_classes.items()}
            for k, name in enumerate(scores.classes)
        },
    }


def interval_table(scores: Scores, level: float = 0.95) -> Table:
    """Return every figure of every class, and the macro and weighted averages, in percent with intervals."""
    ends, averages = class_intervals(scores, level), average_intervals(scores, level)
    metrics = tuple(scores.per_class)

    def cell(metric: str, value: float, interval: Any = (math.nan, math.nan)) -> str:
        if math.isnan(value):
            return UNDEFINED
        if metric == "roc_auc":
            return f"{value:.3f}"
        known = "" if np.isnan(interval).any() else f" ({100 * interval[0]:.1f}\N{EN DASH}{100 * interval[1]:.1f})"
        return f"{100 * value:.1f}{known}"

    none = np.full((len(scores.classes), 2), math.nan)
    rows = [
        (name, f"{scores.support[k]:,}", *(cell(m, scores.per_class[m][k], ends.get(m, none)[k]) for m in metrics))
        for k, name in enumerate(scores.classes)
    ]
    macro = [cell(m, scores.macro[m], averages.get(f"macro_{m}", none[0])) for m in metrics]
    rows.append(("macro average", f"{scores.n:,}", *macro))
    rows.append(("weighted average", f"{scores.n:,}", *(cell(m, scores.weighted[m]) for m in metrics)))
    note = (
        f"In percent with {100 * level:.0f} % intervals, ROC AUC from 0 to 1. Intervals of classes are Wilson's (of F1 "
        "and Dice by way of the Jaccard index), those of macro averages percentiles of the bootstrap; all take the "
        "samples as independent. Accuracy is that of one class against the rest; F1 and Dice are the same figure."
    )
    note += f" {UNDEFINED}: undefined, and left out of the averages." if scores.undefined else ""
    header = ("class", "samples", *(METRIC_NAMES.get(metric, metric) for metric in metrics))
    return Table("Classes", header, tuple(rows), note)


def overall_interval_table(scores: Scores, title: str = "Overall", level: float = 0.95) -> Table:
    """Return the few figures that stand for the whole, with intervals."""
    averages = average_intervals(scores, level)
    known = {
        "accuracy": averages["accuracy"],
        "balanced accuracy": averages["balanced_accuracy"],
        "F1, macro average": averages["macro_f1"],
    }
    table = overall_table(scores)
    rows = []
    for name, value in table.rows:
        low, high = known.get(name, (math.nan, math.nan))
        rows.append((name, value, "" if math.isnan(low) else f"{100 * low:.1f} % to {100 * high:.1f} %"))
    return Table(title, (*table.header, f"{100 * level:.0f} % interval"), tuple(rows))


def _macro(numerators: np.ndarray, denominators: np.ndarray) -> np.ndarray:
    """Return the mean ratio of the classes of each draw that have one, shape (draws,); NaN where none has."""
    defined = denominators > 0
    ratios = np.divide(numerators, denominators, out=np.zeros(numerators.shape), where=defined)
    n = defined.sum(axis=1)
    return np.divide(ratios.sum(axis=1), n, out=np.full(len(n), np.nan), where=n > 0)


def _percentiles(values: np.ndarray, level: float) -> tuple[float, float]:
    known = values[~np.isnan(values)]
    return percentile_interval(known, level=level) if len(known) else (float("nan"), float("nan"))
