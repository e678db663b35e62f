"""Classical classifier heads: scikit-learn classifiers over arrays, found by name.

A head is one private file with one class, and one line in `HEADS`; common tests run over all that are listed.
Importing this package loads no head.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fusionfer.exceptions import unknown_name

if TYPE_CHECKING:
    from fusionfer.heads._ecoc import LinearECOCClassifier

__all__ = ["HEADS", "Head", "LinearECOCClassifier", "make_head"]


@dataclass(frozen=True)
class Head:
    """One head that can be named.

    Attributes
    ----------
    name : str
        What users write.
    summary : str
        One line for lists.
    target : str
        Where its class is: ``module:Class``. Imported when it is first needed.
    """

    name: str
    summary: str
    target: str

    def load(self) -> type:
        """Import the class."""
        module, _, attribute = self.target.partition(":")
        return getattr(importlib.import_module(module), attribute)


HEADS: dict[str, Head] = {
    "ecoc": Head("ecoc", "one-vs-all linear SVMs, as MATLAB's fitcecoc", "fusionfer.heads._ecoc:LinearECOCClassifier"),
}


def make_head(head: Any, **params: Any) -> Any:
    """Return a new head by name, or the estimator that was given, unchanged.

    Parameters
    ----------
    head : str or estimator
        A name from `HEADS`, or any scikit-learn classifier.
    **params
        Parameters of the head; only with a name.

    Returns
    -------
    estimator
        Not fitted, where made by name.

    Raises
    ------
    UnknownNameError
        If there is no head, or no parameter, of that name.
    TypeError
        If `head` is neither a name nor a classifier, or parameters are given for an estimator.

    Examples
    --------
    >>> make_head("ecoc", C=0.5)
    LinearECOCClassifier(C=0.5)
    """
    if not isinstance(head, str):
        if isinstance(head, type) or not (hasattr(head, "fit") and hasattr(head, "predict")):
            names = ", ".join(HEADS)
            msg = f"A head is a name ({names}) or a scikit-learn classifier with fit and predict, not {head!r}."
            raise TypeError(msg)
        if params:
            msg = f"Parameters ({', '.join(params)}) go with the name of a head; use set_params on {head!r}."
            raise TypeError(msg)
        return head
    if head not in HEADS:
        raise unknown_name("head", head, HEADS)
    estimator = HEADS[head].load()()
    known = estimator.get_params(deep=False)
    for name in params:
        if name not in known:
            raise unknown_name(f"parameter of head {head!r}:", name, known, plural=f"parameters of head {head!r}")
    return estimator.set_params(**params)


def __getattr__(name: str) -> Any:
    """Import a head's class when it is asked for by its own name."""
    for head in HEADS.values():
        if head.target.endswith(f":{name}"):
            return head.load()
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
