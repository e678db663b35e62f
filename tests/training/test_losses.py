"""The losses against one class, shares, and any of several classes, by loops over samples."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from fusionfer.training._losses import target_loss, target_weight

LOGITS = torch.tensor(np.random.default_rng(0).normal(size=(5, 4)), dtype=torch.float64)
ROWS = [[0.5, 0.5, 0, 0], [0, 1, 0, 0], [0.25] * 4, [0, 0, 0.2, 0.8], [0.5, 0, 0, 0.5]]
SHARES = torch.tensor(ROWS, dtype=torch.float64)
WEIGHTS = torch.tensor([0.5, 1.0, 2.0, 3.0]).double()


def by_hand(any_of, weights, smoothing):
    """Follow the formulas of Barsoum et al. 2016, picture by picture."""
    total = norm = 0.0
    w = [1.0] * 4 if weights is None else weights.tolist()
    for scores, t in zip(LOGITS.tolist(), SHARES.tolist(), strict=True):
        z = sum(math.exp(s) for s in scores)
        nll = [-math.log(math.exp(s) / z) for s in scores]
        if any_of:
            k = min((k for k in range(4) if t[k] > 0), key=lambda k: nll[k])
            loss = w[k] * nll[k]
        else:
            loss = sum(t[k] * w[k] * nll[k] for k in range(4))
        total += (1 - smoothing) * loss + smoothing * sum(w[k] * nll[k] for k in range(4)) / 4
        norm += sum(t[k] * w[k] for k in range(4))
    return total / norm


@pytest.mark.parametrize("any_of", [False, True])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_shares(any_of, weights, smoothing):
    """Cross-entropy to the shares, and the smallest loss of those that are right; with weights and smoothing."""
    found = target_loss(LOGITS, SHARES, weights, smoothing=smoothing, any_of=any_of)
    assert found.item() == pytest.approx(by_hand(any_of, weights, smoothing), rel=1e-12)


@pytest.mark.parametrize("any_of", [False, True])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_certain_shares_are_classes(any_of, weights, smoothing):
    """Where one class has everything, both are torch's loss of that class."""
    classes = torch.tensor([0, 3, 1, 1, 2])
    expected = functional.cross_entropy(LOGITS, classes, weights, label_smoothing=smoothing)
    certain = functional.one_hot(classes, 4).double()
    for targets in (classes, certain):
        found = target_loss(LOGITS, targets, weights, smoothing=smoothing, any_of=any_of)
        torch.testing.assert_close(found, expected)
    torch.testing.assert_close(target_weight(certain, weights).double(), target_weight(classes, weights).double())


def test_a_class_that_is_not_right_is_not_taught():
    """Of several right classes the likeliest is raised; the gradient of the others is that of the softmax alone."""
    logits = torch.zeros(1, 3, requires_grad=True)
    with torch.no_grad():
        logits[0, 0] = 0.5
    target_loss(logits, torch.tensor([[0.5, 0.5, 0.0]]), any_of=True).backward()
    q = torch.softmax(logits.detach(), dim=1)
    torch.testing.assert_close(logits.grad, q - torch.tensor([[1.0, 0, 0]]))


def test_confident_mistakes_have_a_finite_loss():
    """What is as good as impossible costs much, but neither infinity nor NaN."""
    logits = torch.tensor([[200.0, 0.0, 0.0]], requires_grad=True)
    loss = target_loss(logits, torch.tensor([[0.0, 0.5, 0.5]]), any_of=True)
    loss.backward()
    assert loss.item() == pytest.approx(200.0)
    assert torch.isfinite(logits.grad).all()
