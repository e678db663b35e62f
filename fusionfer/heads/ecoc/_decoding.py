"""Decoding: from the scores of the learners to the loss of every class."""

from __future__ import annotations

import numpy as np

from fusionfer.exceptions import unknown_name
from fusionfer.heads.ecoc._losses import binary_loss

__all__ = ["DECODINGS", "average_losses"]

DECODINGS = ("lossweighted", "lossbased")


def average_losses(scores: np.ndarray, code: np.ndarray, loss: str, decoding: str = "lossweighted") -> np.ndarray:
    """Average binary loss of each class; the class with the least is predicted.

    With code m of class k and learner j, score s and binary loss g (see `binary_loss`):

    - lossbased [1]_: sum_j g(m_kj, s_j) / L, where a zero costs 1/2, as any loss at score 0;
    - lossweighted [2]_: sum_j |m_kj| g(m_kj, s_j) / sum_j |m_kj|, where a zero costs nothing.

    Classes that take part in few learners are so brought to the range of the others.

    Parameters
    ----------
    scores : ndarray of float64, shape (n, L)
        Scores of the learners; posteriors for the quadratic loss.
    code : ndarray of int8, shape (K, L)
        Side of each class in each learner: +1, -1, or 0 for none.
    loss : str
        Name of a binary loss.
    decoding : {"lossweighted", "lossbased"}
        Whether the learners that a class has no side in count.

    Returns
    -------
    ndarray of float64, shape (n, K)
        At least 0, except with the linear loss.

    Raises
    ------
    UnknownNameError
        If there is no such loss or decoding.

    References
    ----------
    .. [1] E. Allwein, R. Schapire, Y. Singer (2000). Reducing multiclass to binary: a unifying approach for margin
       classifiers. Journal of Machine Learning Research 1, 113-141.
    .. [2] S. Escalera, O. Pujol, P. Radeva (2010). On the decoding process in ternary error-correcting output codes.
       IEEE Transactions on Pattern Analysis and Machine Intelligence 32(1), 120-134.

    Examples
    --------
    >>> code = np.array([[1, 1, 0], [-1, 0, 1], [0, -1, -1]])
    >>> average_losses(np.array([[0.5, -2.0, 1.0]]), code, "hinge").round(4).tolist()
    [[0.875, 0.375, 0.5]]
    """
    if decoding not in DECODINGS:
        raise unknown_name("decoding", decoding, DECODINGS)
    code = np.asarray(code)
    positive, negative = (code > 0).astype(np.float64), (code < 0).astype(np.float64)
    # Only two values of the loss exist for a learner and a row, so products do what a (n, K, L) array would.
    total = binary_loss(loss, 1.0, scores) @ positive.T + binary_loss(loss, -1.0, scores) @ negative.T
    sides = np.count_nonzero(code, axis=1)
    if decoding == "lossweighted":
        return total / sides
    return (total + 0.5 * (code.shape[1] - sides)) / code.shape[1]
