"""What a head says of each row."""

from __future__ import annotations

from dataclasses import dataclass

from fusionfer.export._graph import Value

__all__ = ["Decision"]


@dataclass(frozen=True)
class Decision:
    """Class and probabilities, as values of a graph.

    Attributes
    ----------
    index : Value of int64, shape (n,)
        Position of the class in the head's ``classes_``.
    proba : Value of float32 or float64, shape (n, K), or None
        None where the head gives no probabilities.
    """

    index: Value
    proba: Value | None
