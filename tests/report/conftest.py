"""Scores and selections as the report gets them."""

import numpy as np
import pytest

from fusionfer.metrics import Scores, score


@pytest.fixture
def make_scores():
    """Return a function that makes scores of K classes, by default with names made of their numbers."""

    def make(names, n=300, proba=True):
        rng = np.random.default_rng(0)
        K = len(names)
        true = np.concatenate([np.arange(K), rng.integers(K, size=n)])
        said = np.where(rng.random(len(true)) < 0.6, true, rng.integers(K, size=len(true)))
        sure = np.eye(K)[said] + rng.random((len(true), K))
        return score(np.array(names)[true], np.array(names)[said], sure if proba else None, classes=names)

    return make


@pytest.fixture
def with_gaps():
    """Scores with a class that has no samples and is never predicted."""
    return Scores(
        ("joy", "fear", "contempt"), np.array([[3, 1, 0], [0, 2, 0], [0, 0, 0]]), np.array([0.9, 0.8, np.nan])
    )


@pytest.fixture
def selection():
    """What a model records of its selection."""
    return {
        "scoring": "balanced_accuracy",
        "scores": {"A": [0.5, 0.52, 0.54], "B": [0.55, 0.56, 0.57], "A+B": [0.6, 0.62, None]},
        "selected": "A+B",
        "reason": "A+B is kept: it beats both.",
    }
