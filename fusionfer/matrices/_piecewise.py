"""Any fitted classifier, asked about a matrix that stays in its files: piece by piece."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.metaestimators import available_if

from fusionfer.matrices._mapped import MappedMatrix, in_pieces, is_read_here

__all__ = ["piecewise"]


def piecewise(fitted: Any, X: Any) -> Any:
    """Return what answers as `fitted` does, without reading all of X where it stays in its files.

    Parameters
    ----------
    fitted : classifier
    X : ndarray or MappedMatrix
        What it will be asked about. A matrix that computes elsewhere, as that of `fusionfer.cluster`, is left to the
        classifier.

    Returns
    -------
    classifier
        With those of predict, predict_proba and decision_function that `fitted` has.
    """
    return _Piecewise(fitted) if is_read_here(X) else fitted


def _has(name: str) -> Any:
    return available_if(lambda self: hasattr(self.fitted, name))


class _Piecewise(ClassifierMixin, BaseEstimator):
    """Gives the answers of a fitted classifier to a scorer, for pieces of rows one after the other."""

    def __init__(self, fitted: Any) -> None:
        self.fitted = fitted
        self.classes_ = fitted.classes_

    def _ask(self, name: str, X: Any) -> np.ndarray:
        ask = getattr(self.fitted, name)
        return in_pieces(ask, X) if isinstance(X, MappedMatrix) else ask(X)

    @_has("predict")
    def predict(self, X: Any) -> np.ndarray:
        return self._ask("predict", X)

    @_has("predict_proba")
    def predict_proba(self, X: Any) -> np.ndarray:
        return self._ask("predict_proba", X)

    @_has("decision_function")
    def decision_function(self, X: Any) -> np.ndarray:
        return self._ask("decision_function", X)
