"""Linear learners that share their rows, solved together: hinge, squared hinge, logistic and softmax loss."""

from __future__ import annotations

from fusionfer.heads.linear._problem import LOSSES, LinearProblem, LinearSolution, SoftmaxProblem
from fusionfer.heads.linear._solving import solve_linear, solve_many, solve_softmax, solve_softmax_many

__all__ = [
    "LOSSES",
    "LinearProblem",
    "LinearSolution",
    "SoftmaxProblem",
    "solve_linear",
    "solve_many",
    "solve_softmax",
    "solve_softmax_many",
]
