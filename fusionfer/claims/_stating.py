"""What a paper states: figures with their printed digits, where each stands, and of which predictions it speaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from fusionfer.claims._intervals import Interval

__all__ = ["AVERAGES", "Confusion", "Figure", "Paper", "Statement", "System"]

#: Of what a figure can be, beside single classes. "overall": an average that the paper does not name.
AVERAGES = ("overall", "macro", "weighted", "micro")


class Figure(NamedTuple):
    """One quantity: which figure, and of which class or average.

    Names that mean the same (sensitivity and recall, Dice and F1) are the same figure; a statement keeps its own.
    """

    name: str
    of: str = "overall"
    is_class: bool = False

    @property
    def label(self) -> str:
        """As it is called in a message."""
        name = {"f1": "F1", "auc": "AUC", "n": "samples"}.get(self.name, self.name.replace("_", " "))
        if self.is_class:
            return f"{name} of {self.of}"
        return name if self.of == "overall" else f"{self.of} {name}"


@dataclass(frozen=True)
class Statement:
    """A figure as it was printed.

    Attributes
    ----------
    figure : Figure
    called : str
        The paper's own name of it, such as "sensitivity" for recall.
    text : str
        What was printed, such as "98.96 %".
    value : Interval or None
        What it can have been before it was rounded: shares from 0 to 1, counts as they are. None where the paper
        says that the figure is undefined.
    source : str
        Where it stands.
    """

    figure: Figure
    called: str
    text: str
    value: Interval | None
    source: str

    @property
    def label(self) -> str:
        """Name and printed value."""
        return f"{self.figure._replace(name=self.called).label} {self.text}"


class Confusion(NamedTuple):
    """A printed confusion matrix.

    Attributes
    ----------
    rows : tuple of tuple of Interval
        True classes in the order of the system's classes, columns likewise.
    shares : bool
        Whether each row was divided by its sum.
    source : str
    """

    rows: tuple[tuple[Interval, ...], ...]
    shares: bool
    source: str


@dataclass(frozen=True)
class System:
    """All that a paper states of one set of predictions.

    Attributes
    ----------
    name : str
    classes : tuple of str
        All classes, or none where the paper does not list them all.
    statements : tuple of Statement
    confusions : tuple of Confusion
    hard_labels : bool
        Whether the AUC was computed from predicted labels instead of probabilities.
    runs : int
        More than 1 where the figures are means over runs or folds.
    """

    name: str
    classes: tuple[str, ...] = ()
    statements: tuple[Statement, ...] = ()
    confusions: tuple[Confusion, ...] = ()
    hard_labels: bool = False
    runs: int = 1


@dataclass(frozen=True)
class Paper:
    """A paper's tables.

    Attributes
    ----------
    name, title : str
        Of the file; what was published where.
    missing : str
        What is not at hand of it, and therefore not tested.
    systems : tuple of System
    """

    name: str
    title: str
    missing: str
    systems: tuple[System, ...]
