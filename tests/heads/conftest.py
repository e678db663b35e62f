"""Rows for support vector machines."""

import numpy as np
import pytest
from sklearn.datasets import make_blobs


@pytest.fixture(scope="session")
def rows():
    """A function that makes overlapping blobs with names for classes."""

    def make(n_classes=4, n=160, d=6, seed=0, std=4.0):
        X, y = make_blobs(n, n_features=d, centers=n_classes, cluster_std=std, random_state=seed)
        return X - X.mean(axis=0), np.array(["angry", "happy", "neutral", "sad", "surprise"])[y]

    return make
