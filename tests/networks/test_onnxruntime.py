"""Pooling to any size, written as products, is what torch computes."""

import pytest
import torch
from torch import nn

from fusionfer.networks._onnxruntime import _pooling_as_products


@pytest.mark.parametrize("size", [7, (3, 5), (None, 2)])
@pytest.mark.parametrize("shape", [(1, 1), (2, 9), (7, 7), (10, 4)])
def test_pooling_as_products(size, shape):
    """Cells that overlap, that repeat a position, or that keep an axis: the averages equal torch's own."""
    pool = nn.AdaptiveAvgPool2d(size)
    x = torch.randn(2, 3, *shape, generator=torch.Generator().manual_seed(0))
    expected = pool(x)
    with _pooling_as_products(nn.Sequential(pool)):
        assert "forward" in vars(pool)
        torch.testing.assert_close(pool(x), expected)
    assert "forward" not in vars(pool)
    assert torch.equal(pool(x), expected)


def test_global_pooling_stays_as_it_is():
    """ONNX has an operation of its own for the mean over all."""
    pool = nn.AdaptiveAvgPool2d((1, 1))
    with _pooling_as_products(nn.Sequential(pool)):
        assert "forward" not in vars(pool)
