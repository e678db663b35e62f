"""What follows from a printed confusion matrix, of counts or of shares of each row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from fusionfer.claims._confusing import any_average, averages, class_figures, f1_of_averages, total
from fusionfer.claims._facts import Derived, Facts
from fusionfer.claims._intervals import Interval
from fusionfer.claims._stating import Confusion, Figure, Statement

__all__ = ["follow_matrix"]


def follow_matrix(facts: Facts, matrix: Confusion) -> Iterator[Derived]:
    """Yield all that follows from a matrix: from counts everything, from shares what the supports allow."""
    yield from _shares(facts, matrix) if matrix.shares else _counts(facts, matrix)


def _shares(facts: Facts, matrix: Confusion) -> Iterator[Derived]:
    """What follows from a matrix whose rows were divided by their sums."""
    for k, (one, row) in enumerate(zip(facts.system.classes, matrix.rows, strict=True)):
        cells = [cell.within(0, 1) for cell in row]
        if any(cell.low + cell.high > 0 for cell in row):  # a class without samples has a row of zeros
            added = total(cells)
            text = f"{float(sum(sum(cell) / 2 for cell in row)):.4g}"
            claim = Statement(Figure("sum of the row", one, True), "sum of the row", text, added, matrix.source)
            yield Derived(claim.figure, (Interval.point(1),), (), "each row adds up to all of its class", claim)
            because = "the recall is on the diagonal of the normalised confusion matrix"
            yield Derived(Figure("recall", one, True), (cells[k],), ("confusion matrix",), because)
    supports = facts.supports()
    if supports and sum(supports):
        rows = [[cell.within(0, 1).times(s) for cell in row] for row, s in zip(matrix.rows, supports, strict=True)]
        yield from _from_matrix(facts, rows, supports, "the normalised confusion matrix and the supports")


def _counts(facts: Facts, matrix: Confusion) -> Iterator[Derived]:
    supports = [int(total(row).low) for row in matrix.rows]
    n, labels = sum(supports), ("confusion matrix",)
    yield Derived(Figure("n"), (Interval.point(n),), labels, "the cells add up to the samples")
    for one, s in zip(facts.system.classes, supports, strict=True):
        yield Derived(Figure("support", one, True), (Interval.point(s),), labels, "a row adds up to its class")
    if n:
        yield from _from_matrix(facts, matrix.rows, supports, "the confusion matrix")


def _from_matrix(facts: Facts, rows: Sequence[Sequence[Interval]], supports: list[int], what: str) -> Iterator[Derived]:
    n, labels = sum(supports), ("confusion matrix",)
    because = f"it follows from {what}"
    diagonal = total(row[k] for k, row in enumerate(rows)).times(Fraction(1, n))
    accuracy = f"it is the diagonal over the sum of {what}"
    yield Derived(Figure("accuracy"), (diagonal,), labels, accuracy)
    figures = [class_figures(rows, supports, k) for k in range(len(rows))]
    for name in figures[0]:
        values = [one[name] for one in figures]
        for one, value in zip(facts.system.classes, values, strict=True):
            if value is not None:
                yield Derived(Figure(name, one, True), (value,), labels, because)
        macro, weighted = averages(values), averages(values, supports)
        if name == "f1":
            parts = [[one[part] for one in figures] for part in ("precision", "recall")]
            macro += f1_of_averages(parts[0], parts[1])
            weighted += f1_of_averages(parts[0], parts[1], supports)
        micro = (diagonal,) if name in ("precision", "recall", "f1") else ()
        for of, found in {"macro": macro, "weighted": weighted, "micro": micro}.items():
            if found:
                yield Derived(Figure(name, of), found, labels, because)
        if name == "recall" and macro:
            yield Derived(Figure("balanced_accuracy"), macro, labels, because)
        if name != "accuracy":
            means = macro + weighted + micro
            means = means if name in ("precision", "recall", "f1") and len(rows) > 2 else (any_average(values), *means)
            yield Derived(Figure(name), means, labels, f"no average of {what} is another")
