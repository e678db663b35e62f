"""Classical classifier heads: scikit-learn classifiers over arrays, found by name.

A head is one private file with one class, and one line in `HEADS`; common tests run over all that are listed.
Importing this package loads no head.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fusionfer.exceptions import unknown_name

if TYPE_CHECKING:
    from fusionfer.heads._describing import HeadDescription, Parameter, describe_head
    from fusionfer.heads._jobs import FitJob
    from fusionfer.heads._softmax import SoftmaxClassifier
    from fusionfer.heads._svm_linear import LinearSVMClassifier
    from fusionfer.heads._svm_nystroem import NystroemSVMClassifier
    from fusionfer.heads._svm_rbf import RBFSVMClassifier
    from fusionfer.heads.boosting._plain import PlainXGBClassifier
    from fusionfer.heads.boosting._weight_normalised import WeightNormalisedXGBClassifier
    from fusionfer.heads.ecoc import ECOCClassifier

__all__ = [
    "HEADS",
    "ECOCClassifier",
    "FitJob",
    "Head",
    "HeadDescription",
    "LinearSVMClassifier",
    "NystroemSVMClassifier",
    "Parameter",
    "PlainXGBClassifier",
    "RBFSVMClassifier",
    "SoftmaxClassifier",
    "WeightNormalisedXGBClassifier",
    "describe_head",
    "find_head",
    "make_head",
]


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
    aliases : tuple of str
        Other names for it.
    search : mapping of str to sequence
        Parameter -> values that ``--search`` tries, all with all.
    """

    name: str
    summary: str
    target: str
    aliases: tuple[str, ...] = ()
    search: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def load(self) -> type:
        """Import the class."""
        module, _, attribute = self.target.partition(":")
        return getattr(importlib.import_module(module), attribute)


#: What is no head, and where it is.
_ELSEWHERE = {
    **dict.fromkeys(("HeadDescription", "Parameter", "describe_head"), "fusionfer.heads._describing"),
    "FitJob": "fusionfer.heads._jobs",
}

# Eight values, for heads that fit all of them for little more than one.
_COSTS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)

# Targets name the module that defines the class: by that a saved model knows it.
HEADS: dict[str, Head] = {
    head.name: head
    for head in (
        Head(
            "ecoc",
            "error-correcting output codes, as MATLAB's fitcecoc",
            "fusionfer.heads.ecoc._classifier:ECOCClassifier",
            search={"C": _COSTS},
        ),
        Head(
            "svm-linear",
            "linear support vector machines, one for each class against the others",
            "fusionfer.heads._svm_linear:LinearSVMClassifier",
            aliases=("svm",),
            search={"C": _COSTS},
        ),
        Head(
            "svm-rbf",
            "support vector machines with a Gaussian kernel, one for each pair of classes",
            "fusionfer.heads._svm_rbf:RBFSVMClassifier",
            search={"C": (0.3, 1.0, 3.0, 10.0)},
        ),
        Head(
            "svm-nystroem",
            "the Gaussian kernel approximated by features, and linear support vector machines",
            "fusionfer.heads._svm_nystroem:NystroemSVMClassifier",
            search={"C": (0.1, 0.3, 1.0, 3.0)},
        ),
        Head(
            "softmax",
            "multinomial logistic regression",
            "fusionfer.heads._softmax:SoftmaxClassifier",
            search={"C": _COSTS},
        ),
        Head(
            "xgb",
            "XGBoost as it comes: the baseline",
            "fusionfer.heads.boosting._plain:PlainXGBClassifier",
            search={"eta": (0.05, 0.1, 0.3)},
        ),
        Head(
            "xgb-wn",
            "weight-normalised XGBoost on slices of the columns",
            "fusionfer.heads.boosting._weight_normalised:WeightNormalisedXGBClassifier",
            search={"max_depth": (3, 4, 6), "shares": ("proportional", "equal")},
        ),
    )
}


def find_head(name: str) -> Head:
    """Return the head of that name or alias.

    Raises
    ------
    UnknownNameError
        If there is none.
    """
    for head in HEADS.values():
        if name == head.name or name in head.aliases:
            return head
    raise unknown_name("head", name, [known for head in HEADS.values() for known in (head.name, *head.aliases)])


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
    ECOCClassifier(C=0.5)
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
    estimator = find_head(head).load()()
    known = estimator.get_params(deep=False)
    for name in params:
        if name not in known:
            raise unknown_name(f"parameter of head {head!r}:", name, known, plural=f"parameters of head {head!r}")
    return estimator.set_params(**params)


def __getattr__(name: str) -> Any:
    """Import a head's class, or what goes with heads, when it is asked for by its own name."""
    if name in _ELSEWHERE:
        return getattr(importlib.import_module(_ELSEWHERE[name]), name)
    for head in HEADS.values():
        if head.target.endswith(f":{name}"):
            return head.load()
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
