"""Scores and selections as rows of text; the console, Markdown and HTML show the same rows."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fusionfer.metrics import Scores
from fusionfer.statistics import corrected_resampled_t, proportion_interval

__all__ = [
    "Table",
    "are_shares",
    "class_table",
    "confusion_table",
    "figure_columns",
    "fold_scores",
    "heads_table",
    "markdown_table",
    "markdown_text",
    "overall_table",
    "selection_table",
    "undefined_table",
]

UNDEFINED = "–"  # an en dash: a hyphen would look like a minus sign without its number
_FIGURE = re.compile(r"[\N{EN DASH}]?|[<+\-±\N{MINUS SIGN}]?\d[\d.,]*( .*)?")  # a number, and what follows it
METRIC_NAMES = {
    "f1": "F1",
    "jaccard": "Jaccard",
    "dice": "Dice",
    "roc_auc": "ROC AUC",
    "recall": "recall (sensitivity)",
}


class Table(NamedTuple):
    """A table of text.

    Attributes
    ----------
    title : str
    header : tuple of str
        The first column names the rows, the others hold figures.
    rows : tuple of tuple of str
        Each as long as the header.
    note : str
        What the reader must know to read it; may be empty.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def overall_table(scores: Scores) -> Table:
    """Return the few figures that stand for the whole.

    Examples
    --------
    >>> from fusionfer.metrics import score
    >>> overall_table(score(["a", "b", "b"], ["a", "b", "a"])).rows[0]
    ('accuracy', '66.7 %')
    """
    rows = [
        ("accuracy", _share(scores.accuracy)),
        ("balanced accuracy", _share(scores.balanced_accuracy)),
        ("F1, macro average", _share(scores.macro["f1"])),
        ("F1, weighted average", _share(scores.weighted["f1"])),
    ]
    if scores.roc_auc is not None:
        rows.append(("ROC AUC, one class against the rest, macro average", _area(scores.roc_auc)))
    rows.append(("samples", f"{scores.n:,}"))
    return Table("Overall", ("figure", "value"), tuple(rows))


def class_table(scores: Scores) -> Table:
    """Return every figure of every class, and the macro and weighted averages, in percent (ROC AUC: 0 to 1)."""
    metrics = tuple(scores.per_class)

    def row(name: str, n: int, values: Mapping[str, float]) -> tuple[str, ...]:
        cells = (_area(values[m]) if m == "roc_auc" else _percent(values[m]) for m in metrics)
        return (name, f"{n:,}", *cells)

    rows = [
        row(name, int(scores.support[k]), {metric: values[k] for metric, values in scores.per_class.items()})
        for k, name in enumerate(scores.classes)
    ]
    rows += [row("macro average", scores.n, scores.macro), row("weighted average", scores.n, scores.weighted)]
    note = "In percent, ROC AUC from 0 to 1. Accuracy is that of one class against the rest."
    if scores.undefined:
        note += f" {UNDEFINED}: undefined, and left out of the averages."
    header = ("class", "samples", *(METRIC_NAMES.get(metric, metric) for metric in metrics))
    return Table("Classes", header, tuple(rows), note)


def confusion_table(scores: Scores, shares: bool = False) -> Table:
    """Return the confusion matrix: a row for each true class, a column for each predicted one.

    Parameters
    ----------
    scores : Scores
    shares : bool
        Percent of each row in the place of numbers of samples.

    Returns
    -------
    Table
    """

    def shown(count: int, n: int) -> str:
        return (_percent(count / n) if n else UNDEFINED) if shares else f"{count:,}"

    rows = tuple(
        (name, *(shown(count, sum(counts)) for count in counts))
        for name, counts in zip(scores.classes, scores.confusion.tolist(), strict=True)
    )
    header = ("true class", *(f"as {name}" for name in scores.classes))
    title = "Confusion matrix, percent of each true class" if shares else "Confusion matrix"
    return Table(title, header, rows, "Rows: true classes. Columns: what they were predicted as.")


def undefined_table(scores: Scores) -> Table:
    """Return what has no value, and why; no rows if everything has one."""
    rows = tuple((METRIC_NAMES.get(u.metric, u.metric), u.of, u.reason) for u in scores.undefined)
    return Table("Undefined figures", ("figure", "of", "reason"), rows)


def selection_table(
    selection: Mapping[str, Any], tests: Mapping[str, Scores] | None = None, intervals: bool = False
) -> Table:
    """Return what each candidate scored in the folds, and which was kept.

    Parameters
    ----------
    selection : mapping
        ``scores`` (candidate -> fold scores), ``selected``, ``scoring``, ``reason``, and where parameters were searched
        ``best_params`` (candidate -> parameters); as a model records it.
    tests : mapping of str to Scores, optional
        Scores of candidates on other samples, shown beside; they play no part in the selection.
    intervals : bool
        Whether to show 95 % intervals: those of the evidence, where the selection has it; else by the corrected t of
        Nadeau and Bengio (2003), as folds share training rows, or Wilson's where rows held out gave an accuracy.

    Returns
    -------
    Table
    """
    tests, params = tests or {}, selection.get("best_params")
    folds = {name: fold_scores(values) for name, values in selection["scores"].items()}
    in_percent = are_shares(folds.values())
    show = _fine_percent if in_percent else _number
    rows = []
    for name, values in folds.items():
        row = [name, *_mean_and_spread(values, show)]
        row += [_mean_interval(name, values, selection, show)] if intervals else []
        row += [_params(params.get(name, {}))] if params else []
        if tests:
            test = tests.get(name)
            figures = (test.accuracy, test.balanced_accuracy, test.macro["f1"]) if test else (math.nan,) * 3
            row += map(_percent, figures)
        rows.append((*row, "kept" if name == selection["selected"] else ""))
    header = ["candidate", "mean", "spread", *(["95 % interval"] if intervals else [])]
    header += ["parameters"] if params else []
    header += ["test accuracy", "test balanced accuracy", "test F1 (macro)"] if tests else []
    note = f"{_measure(selection, in_percent)}. {selection.get('reason', '')}"
    return Table("Selection", (*header, "choice"), tuple(rows), note.strip())


def heads_table(selections: Mapping[str, Mapping[str, Any]], best: str) -> Table:
    """Return what each head scored on each candidate, what it would keep, and what was kept.

    Parameters
    ----------
    selections : mapping of str to mapping
        Head -> its selection, as `selection_table` takes it; all on the same candidates and folds.
    best : str
        The head that was kept.

    Returns
    -------
    Table
    """
    with_params = any(selection.get("best_params") for selection in selections.values())
    in_percent = are_shares(fold_scores(v) for selection in selections.values() for v in selection["scores"].values())
    show = _fine_percent if in_percent else _number
    rows = []
    for head, selection in selections.items():
        params = selection.get("best_params") or {}
        for name, values in selection["scores"].items():
            mark = ("kept" if head == best else "its best") if name == selection["selected"] else ""
            row = [head, name, *_mean_and_spread(fold_scores(values), show)]
            rows.append((*row, *([_params(params.get(name, {}))] if with_params else []), mark))
    header = ("head", "candidate", "mean", "spread", *(["parameters"] if with_params else []), "choice")
    note = f"{_measure(selections[best], in_percent)}, the same for all."
    return Table("Heads", header, tuple(rows), note)


def _mean_and_spread(values: np.ndarray, show: Callable[[float], str]) -> list[str]:
    mean = float(np.mean(values)) if len(values) else math.nan
    return [show(mean), show(float(np.std(values, ddof=1)) if len(values) > 1 else math.nan)]


def _mean_interval(name: str, values: np.ndarray, selection: Mapping[str, Any], show: Callable[[float], str]) -> str:
    weighed = (selection.get("evidence") or {}).get("candidates", {}).get(name, {}).get("interval")
    n = selection.get("held_out")
    if weighed:
        return f"{show(weighed[0])} to {show(weighed[1])}"
    if n and selection.get("scoring") == "accuracy" and len(values) == 1:
        low, high = map(float, proportion_interval(round(float(values[0]) * n), n))
    elif not n and len(values) > 1:
        found = corrected_resampled_t(values, 1 / (len(values) - 1))
        low, high = found.low, found.high
    else:
        return UNDEFINED
    return UNDEFINED if math.isnan(low) else f"{show(low)} to {show(high)}"


def _measure(selection: Mapping[str, Any], in_percent: bool) -> str:
    scoring = str(selection.get("scoring", "score")).replace("_", " ") + (" in percent" if in_percent else "")
    if selection.get("held_out"):
        return f"The {scoring} on {selection['held_out']:,} held-out rows"
    n_folds = max((len(values) for values in selection["scores"].values()), default=0)
    return f"Mean and standard deviation of the {scoring} over {n_folds} folds"


def fold_scores(values: Sequence[float | None]) -> np.ndarray:
    """Return the scores of the folds that have one, shape (n_folds,)."""
    return np.array([value for value in values if value is not None and math.isfinite(value)], dtype=np.float64)


def are_shares(folds: Any) -> bool:
    """Tell whether all fold scores are shares of something, from 0 to 1, so that percent makes sense."""
    return all(bool(np.all((values >= 0) & (values <= 1))) for values in folds)


def figure_columns(table: Table) -> tuple[bool, ...]:
    """Tell which columns hold figures, which stand at the right; the first never does."""
    return (
        False,
        *(all(_FIGURE.fullmatch(row[k]) for row in table.rows) for k in range(1, len(table.header))),
    )


def markdown_table(table: Table, level: int = 2) -> str:
    """Return the table in Markdown, with title, as a heading of that level, and note."""
    lines = [f"{'#' * level} {markdown_text(table.title)}", ""]
    if table.rows:
        right = ["---:" if figures else "---" for figures in figure_columns(table)]
        body = [[markdown_text(cell) for cell in row] for row in (table.header, *table.rows)]
        lines += [f"| {' | '.join(row)} |" for row in (body[0], right, *body[1:])]
    if table.note:
        lines += ["", markdown_text(table.note)]
    return "\n".join(lines) + "\n"


def markdown_text(text: str) -> str:
    """Return text on one line in which Markdown and HTML find nothing to act on."""
    return re.sub(r"([\\`*_{}\[\]<>#|~])", r"\\\1", " ".join(str(text).split())).replace("&", "&amp;")


def _params(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in params.items())


def _percent(value: float) -> str:
    return UNDEFINED if math.isnan(value) else f"{100 * value:.1f}"


def _fine_percent(value: float) -> str:
    return UNDEFINED if math.isnan(value) else f"{100 * value:.2f}"


def _share(value: float) -> str:
    return UNDEFINED if math.isnan(value) else f"{100 * value:.1f} %"


def _area(value: float) -> str:
    return UNDEFINED if math.isnan(value) else f"{value:.3f}"


def _number(value: float) -> str:
    return UNDEFINED if math.isnan(value) else f"{value:.4g}".replace("-", "\N{MINUS SIGN}")
