"""What is minimised: cross-entropy against one class, against shares of classes, or against any of several classes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["target_loss", "target_weight"]


def target_loss(
    logits: Tensor, targets: Tensor, weights: Tensor | None = None, *, smoothing: float = 0.0, any_of: bool = False
) -> Tensor:
    """Return the mean loss of a batch.

    With q the softmax of the logits and t the targets of a picture, the loss of a picture is [1]_

    - for classes, and for shares (their "cross-entropy loss"): -sum_k t_k log q_k. The gradient is that which drawing
      one label by the shares in each epoch has on average ("probabilistic label drawing");
    - for any of several classes ("multi-label learning"): -max_k {log q_k : t_k > 0}. Their code keeps a thousandth of
      the other classes, against the logarithm of 0, which does not occur here.

    With label smoothing e it is (1 - e) times that, plus e times the cross-entropy against 1/K for all K classes. With
    weights w of the classes -log q_k counts w_k times, and the sum is divided by the sum of `target_weight` in the
    place of the number of pictures. For classes both are what torch does.

    Parameters
    ----------
    logits : Tensor of float, shape (n, K)
    targets : Tensor of int64, shape (n,), or of float, shape (n, K)
        Classes, or shares that sum to 1.
    weights : Tensor of float, shape (K,), optional
    smoothing : float
        In [0, 1).
    any_of : bool
        Whether any class with a share is right.

    Returns
    -------
    Tensor of float, shape ()

    References
    ----------
    .. [1] E. Barsoum, C. Zhang, C. Canton Ferrer and Z. Zhang, "Training deep networks for facial expression
       recognition with crowd-sourced label distribution", ICMI 2016, section 3.
    """
    if not targets.is_floating_point():
        return functional.cross_entropy(logits, targets, weights, label_smoothing=smoothing)
    log_q = functional.log_softmax(logits, dim=1)
    if any_of:
        best, chosen = log_q.masked_fill(targets <= 0, -torch.inf).max(dim=1)
        losses = -best if weights is None else -best * weights[chosen]
    else:
        losses = -(targets * (log_q if weights is None else log_q * weights)).sum(dim=1)
    if smoothing:
        even = -(log_q if weights is None else log_q * weights).mean(dim=1)
        losses = (1.0 - smoothing) * losses + smoothing * even
    return losses.sum() / target_weight(targets, weights)


def target_weight(targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return what the targets of a batch weigh together: each picture its class's weight, or the mean by its shares.

    It does not depend on what is predicted, so that every process knows it of the whole batch.
    """
    if weights is None:
        return torch.tensor(float(len(targets)), device=targets.device)
    return (targets @ weights if targets.is_floating_point() else weights[targets]).sum()
