"""The training of networks as figures and a table: learning curves, ROC curves, networks side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfer.exceptions import DataError
from fusionfer.metrics import Scores
from fusionfer.report._figures import GREY, INK, PALE
from fusionfer.report._tables import UNDEFINED, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["curves_figure", "roc_figure", "roc_points", "training_table"]

# Okabe and Ito's palette without its yellow, which is too pale for a line on white.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#222222")
_STYLES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)))  # of the second and third round of colours


def training_table(scores: Mapping[str, Scores], title: str) -> Table:
    """Return networks side by side, with the figures of Singh and Mandloi 2025 (table 2) and a few more.

    Parameters
    ----------
    scores : mapping of str to Scores
        Name of each network (and optimizer) -> what it scored.
    title : str
        Says on which pictures.

    Returns
    -------
    Table
        In percent, ROC AUC from 0 to 1. Sensitivity is the same figure as recall.
    """
    names = ("accuracy", "precision", "recall", "sensitivity", "specificity", "F1", "weighted precision",
             "weighted recall", "ROC AUC")  # fmt: skip
    rows = []
    for name, one in scores.items():
        macro, weighted = one.macro, one.weighted
        recall = macro["recall"]
        shares = (one.accuracy, macro["precision"], recall, recall, macro["specificity"], macro["f1"],
                  weighted["precision"], weighted["recall"])  # fmt: skip
        area = math.nan if one.roc_auc is None else one.roc_auc
        rows.append((name, *(_shown(100 * share, 2) for share in shares), _shown(area, 3)))
    n = max((one.n for one in scores.values()), default=0)
    note = (
        f"In percent of {n:,} pictures, ROC AUC from 0 to 1; means over the classes where not weighted by their sizes. "
        "Recall and sensitivity are the same figure."
    )
    return Table(title, ("network", *names), tuple(rows), note)


def curves_figure(histories: Mapping[str, Sequence[Mapping[str, float]]]) -> Figure:
    """Draw loss and accuracy of each epoch: training as a thin broken line, validation as a full one.

    Parameters
    ----------
    histories : mapping of str to sequence of mapping
        Name of each network -> its epochs, with ``epoch``, ``train_loss``, ``train_accuracy``, ``validation_loss`` and
        ``validation_accuracy``.

    Returns
    -------
    Figure

    Raises
    ------
    DataError
        If there is no epoch in it.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    if not any(len(history) for history in histories.values()):
        msg = "There is no epoch to draw; give the history of a training that has finished one."
        raise DataError(msg)
    figure = Figure(figsize=(9.0, 3.6 + 0.16 * len(histories)), layout="constrained", facecolor="white")
    lines: list[Any] = []
    for number, (what, title, factor) in enumerate(
        [("loss", "cross-entropy, nats", 1.0), ("accuracy", "accuracy in percent", 100.0)], 1
    ):
        axes = figure.add_subplot(1, 2, number)
        for k, (name, history) in enumerate(histories.items()):
            colour, style = _line(k)
            epochs = [epoch["epoch"] for epoch in history]
            marker = "." if len(history) < 20 else ""
            train, validation = ([factor * epoch[f"{s}_{what}"] for epoch in history] for s in ("train", "validation"))
            (seen,) = axes.plot(epochs, train, color=colour, linewidth=0.9, linestyle=(0, (4, 2)), marker=marker)
            (new,) = axes.plot(epochs, validation, color=colour, linewidth=1.7, linestyle=style, marker=marker)
            if number == 1:
                seen.set_label(f"{name}, training")
                new.set_label(f"{name}, validation")
                lines += [seen, new]
        axes.set_title(title, size=9.5, color=GREY, loc="left")
        axes.set_xlabel("epoch", size=9.5, color=GREY)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        _quiet(axes)
    legend = figure.legend(handles=lines, loc="outside lower center", ncols=2, frameon=False, fontsize=8.5)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


def roc_points(is_class: np.ndarray, proba: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the ROC curve of one class against the rest.

    Parameters
    ----------
    is_class : ndarray of bool, shape (n,)
        Whether a sample is of the class; some must be and some not.
    proba : ndarray of float, shape (n,)
        Its probability.

    Returns
    -------
    false_positive, true_positive : ndarray of float, shape (m,)
        Rates from 0 to 1.
    threshold : ndarray of float, shape (m,)
        A sample counts as of the class from here on; the first is above all.

    Examples
    --------
    >>> false_positive, true_positive, _ = roc_points(np.array([True, False, True]), np.array([0.9, 0.5, 0.4]))
    >>> false_positive.tolist(), true_positive.tolist()
    ([0.0, 0.0, 1.0, 1.0], [0.0, 0.5, 0.5, 1.0])
    """
    order = np.argsort(-proba, kind="stable")
    sorted_proba = proba[order]
    ends = np.append(np.flatnonzero(np.diff(sorted_proba)), len(proba) - 1)  # equal ones count together
    hits = np.cumsum(is_class[order])[ends]
    others = ends + 1 - hits
    false_positive, true_positive = np.append(0.0, others / others[-1]), np.append(0.0, hits / hits[-1])
    return false_positive, true_positive, np.append(np.inf, sorted_proba[ends])


def roc_figure(y_true: np.ndarray, proba: np.ndarray, classes: Sequence[str]) -> Figure:
    """Draw the ROC curve of each class against the rest, with its area.

    Parameters
    ----------
    y_true : ndarray of str, shape (n,)
    proba : ndarray of float, shape (n, K)
        Columns in the order of `classes`.
    classes : sequence of str, length K

    Returns
    -------
    Figure

    Raises
    ------
    DataError
        If no class has samples both in it and outside.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 4.6), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=PALE, linewidth=1)
    drawn = 0
    for k, name in enumerate(classes):
        is_class = np.asarray(y_true) == name
        if not 0 < is_class.sum() < len(is_class):
            continue
        false_positive, true_positive, _ = roc_points(is_class, np.asarray(proba)[:, k])
        colour, style = _line(k)
        area = float(np.sum(np.diff(false_positive) * (true_positive[1:] + true_positive[:-1])) / 2)
        label = f"{name} ({area:.3f})"
        axes.plot(false_positive, true_positive, color=colour, linestyle=style, linewidth=1.5, label=label)
        drawn += 1
    if not drawn:
        msg = "There is no ROC curve to draw: no class has both samples of its own and samples of others."
        raise DataError(msg)
    axes.set_xlabel("false positive rate (1 - specificity)", size=9.5, color=GREY)
    axes.set_ylabel("true positive rate (recall)", size=9.5, color=GREY)
    axes.set_title("One class against the rest (area under the curve)", size=9.5, color=GREY, loc="left")
    axes.set_aspect("equal")
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.01)
    _quiet(axes)
    for text in axes.legend(loc="lower right", frameon=False, fontsize=8.5).get_texts():
        text.set_parse_math(False)
    return figure


def _line(k: int) -> tuple[str, Any]:
    return _COLOURS[k % len(_COLOURS)], _STYLES[k // len(_COLOURS) % len(_STYLES)]


def _quiet(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(PALE)
    axes.tick_params(which="both", length=0, labelcolor=INK, labelsize=8.5)
    axes.grid(color="#ececec", linewidth=0.8)
    axes.set_axisbelow(True)


def _shown(value: float, digits: int) -> str:
    return UNDEFINED if math.isnan(value) else f"{value:.{digits}f}"
