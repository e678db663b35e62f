"""Rows like features of faces, for the tests of the linear solvers."""

import numpy as np
import pytest


def _faces_like(n, d, n_classes, *, seed=0, spread=0.0, noise=1.5):
    rng = np.random.default_rng(seed)
    y = rng.choice(n_classes, size=n, p=np.arange(1, n_classes + 1) / np.arange(1, n_classes + 1).sum())
    y[:n_classes] = np.arange(n_classes)
    hidden = rng.normal(size=(n, max(8, n_classes))) * noise
    hidden[:, :n_classes] += 2 * np.eye(n_classes)[y]
    X = np.maximum(hidden @ rng.normal(size=(hidden.shape[1], d)) + rng.normal(size=(n, d)), 0)
    return X * np.logspace(0, spread, d), y


@pytest.fixture
def faces_like():
    """Correlated, positive, uncentred columns with class signal; `spread` is the log10 range of column scales."""
    return _faces_like


@pytest.fixture
def codes():
    """One-vs-all labels (n, K)."""
    return lambda y: np.where(y[:, None] == np.unique(y), 1, -1).astype(np.int8)
