"""What an ECOCClassifier may be asked for, checked before anything is fitted."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from fusionfer.exceptions import unknown_name
from fusionfer.heads._training import above_zero, raise_complaints, thread_count, whole_number, yes_or_no
from fusionfer.heads.ecoc._cloned_training import check_learner
from fusionfer.heads.ecoc._coding import CODINGS
from fusionfer.heads.ecoc._decoding import DECODINGS
from fusionfer.heads.ecoc._losses import BINARY_LOSSES
from fusionfer.heads.linear import LOSSES

__all__ = ["check_parameters", "gives_posteriors", "loss_name", "needs_calibration"]

_LINEAR_ONLY = ("loss", "C", "tol", "max_iter")


def gives_posteriors(head: Any) -> bool:
    """Whether the learners give probabilities by themselves."""
    return head.loss == "logistic" if head.learner is None else hasattr(head.learner, "predict_proba")


def loss_name(head: Any) -> str:
    """Name of the binary loss: the one asked for, or the one that goes with the learners' scores."""
    return head.binary_loss or ("quadratic" if gives_posteriors(head) else "hinge")


def needs_calibration(head: Any) -> bool:
    """Whether scores must be calibrated before they can be decoded."""
    return loss_name(head) == "quadratic" and not gives_posteriors(head)


def check_parameters(head: Any) -> None:
    """Refuse parameters that mean nothing; numbers are all complained of at once.

    Raises
    ------
    UnknownNameError
        If a coding, decoding or loss is named that does not exist.
    TypeError
        If the learner is no classifier.
    DataError
        If a number is out of its range, or two parameters contradict each other.
    """
    if head.learner is not None:
        check_learner(head.learner)
    if isinstance(head.coding, str):
        _check_name("coding", "codings", head.coding, CODINGS)
    _check_name("decoding", "decodings", head.decoding, DECODINGS)
    _check_name("loss", "losses", head.loss, LOSSES)
    if head.binary_loss is not None:
        _check_name("binary loss", "binary losses", head.binary_loss, BINARY_LOSSES)
    complaints = [
        above_zero("C", head.C, also="auto"),
        above_zero("tol", head.tol),
        whole_number("max_iter", head.max_iter, 1),
        whole_number("max_learners", head.max_learners, 1),
        yes_or_no("probability", head.probability),
        thread_count("n_jobs", head.n_jobs),
    ]
    if head.class_weight is not None and not (isinstance(head.prior, str) and head.prior == "empirical"):
        complaints.append("prior would undo class_weight: both set the shares of the classes, give one of them")
    if head.learner is not None:
        defaults = inspect.signature(type(head)).parameters
        changed = [name for name in _LINEAR_ONLY if getattr(head, name) != defaults[name].default]
        if changed:
            complaints.append(f"{', '.join(changed)} belong to the linear learner; set such things on `learner`")
    raise_complaints(head, *complaints)


def _check_name(kind: str, plural: str, name: Any, known: Iterable[str]) -> None:
    if name not in list(known):
        raise unknown_name(kind, name, known, plural=plural)
