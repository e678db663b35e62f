"""What is known of the figures of one set of predictions, and what is said of one that follows from them."""

from __future__ import annotations

from dataclasses import dataclass

from fusionfer.claims._confusing import total
from fusionfer.claims._intervals import Interval
from fusionfer.claims._stating import Figure, Statement, System

__all__ = ["Derived", "Facts"]


@dataclass(frozen=True)
class Derived:
    """What a figure must be.

    Attributes
    ----------
    figure : Figure
    values : tuple of Interval
        One of these; several where a name has several common meanings.
    inputs : tuple of str
        What it follows from.
    because : str
        The rule.
    claim : Statement, optional
        What is compared with it, where that is no stated figure.
    """

    figure: Figure
    values: tuple[Interval, ...]
    inputs: tuple[str, ...]
    because: str
    claim: Statement | None = None


class Facts:
    """What is known of each figure; where statements contradict each other, all that any of them says."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.stated: dict[Figure, list[Statement]] = {}
        for one in system.statements:
            self.stated.setdefault(one.figure, []).append(one)

    def value(self, *figures: Figure) -> list[Interval | None] | None:
        """Return the value of each figure (None: undefined); None if one of them is not stated."""
        if not figures or any(figure not in self.stated for figure in figures):
            return None
        return [None if self._empty(figure) else self._one(figure) for figure in figures]

    def defined(self, *figures: Figure) -> list[Interval] | None:
        """Return the value of each figure; None if one of them is not stated, or undefined."""
        values = [one for one in self.value(*figures) or [] if one is not None]
        return values if values and len(values) == len(figures) else None

    def _empty(self, figure: Figure) -> bool:
        """Tell whether it is undefined even where 0 is printed: recall without samples, specificity without others."""
        if figure.name not in ("recall", "specificity") or not figure.is_class:
            return False
        supports = self.supports()
        if supports is None:
            return False
        of_class = supports[self.system.classes.index(figure.of)]
        return (of_class if figure.name == "recall" else sum(supports) - of_class) == 0

    def _one(self, figure: Figure) -> Interval | None:
        known = [one.value for one in self.stated[figure] if one.value is not None]
        if not known:
            return None
        meet: Interval | None = known[0]
        hull = known[0]
        for one in known[1:]:
            meet, hull = meet and meet.meet(one), hull.hull(one)
        found = meet or hull
        return found if figure.name in ("support", "n") else found.within(0, 1)

    def labels(self, *figures: Figure) -> tuple[str, ...]:
        """Return name and printed value of each."""
        return tuple(one.label for figure in figures for one in self.stated.get(figure, ()))

    def of_classes(self, name: str) -> list[Figure]:
        """Return the figure `name` of every class."""
        return [Figure(name, one, True) for one in self.system.classes]

    def supports(self) -> list[int] | None:
        """Return the samples of each class, if each is stated, or if there is a matrix of counts."""
        if self.system.runs > 1:
            return None
        stated = self.defined(*self.of_classes("support"))
        if stated and all(one.low == one.high for one in stated):
            return [int(one.low) for one in stated]
        for matrix in self.system.confusions:
            if not matrix.shares:
                return [int(total(row).low) for row in matrix.rows]
        return None

    def n(self) -> int | None:
        """Return the number of samples."""
        stated = self.defined(Figure("n"))
        if stated and stated[0].low == stated[0].high and self.system.runs == 1:
            return int(stated[0].low)
        supports = self.supports()
        return sum(supports) if supports else None

    def whole(self) -> bool:
        """Tell whether, as far as is known, every class has samples and every figure of it a value."""
        undefined = any(one.value is None for one in self.system.statements)
        empty = any(total(row).low + total(row).high <= 0 for matrix in self.system.confusions for row in matrix.rows)
        return not undefined and not empty and 0 not in (self.supports() or [1])
