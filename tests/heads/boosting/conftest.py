"""Small data with signal, and parameters that keep tests short."""

import numpy as np
import pytest
from sklearn.datasets import make_blobs


@pytest.fixture(scope="session")
def blobs():
    """Return X (300, 14) float32 and y as text, of four overlapping classes."""
    X, y = make_blobs(300, n_features=14, centers=4, cluster_std=6.0, random_state=0)
    return X.astype(np.float32), np.array(["angry", "happy", "neutral", "sad"])[y]
