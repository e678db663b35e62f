"""Data of which two blocks of columns know different things."""

import numpy as np
import pytest


def make_two_blocks(signal_a, signal_b, *, n=240, seed=0):
    """Four classes; block a tells {0,1} from {2,3}, block b tells {0,2} from {1,3}, as strongly as asked."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 4
    X = rng.normal(size=(n, 10))
    X[:, 0] += signal_a * (y // 2)
    X[:, 4] += signal_b * (y % 2)
    return X, y


@pytest.fixture
def two_blocks():
    """Return a function that makes X (n, 10) and y: block a is columns 0 to 4, b the others."""
    return make_two_blocks
