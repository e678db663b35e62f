"""What the papers put behind a backbone's last map: a dense layer on all of it, or GRUs that read it as a sequence."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

__all__ = ["FlattenHead", "GRUHead"]


class FlattenHead(nn.Sequential):
    """Dropout, batch norm, flatten, dense ReLU, batch norm, dropout, logits [1]_.

    Parameters
    ----------
    shape : tuple of int (channels, height, width)
        Shape of the map.
    n_classes : int
        Number of logits.
    dropout_map, dense, dropout
        As in the record of ``resnet50v2``.

    References
    ----------
    .. [1] Malik, Ayoubi and Alsuedani 2025.
    """

    def __init__(
        self, shape: tuple[int, int, int], n_classes: int, *, dropout_map: float, dense: int, dropout: float
    ) -> None:
        channels, height, width = shape
        super().__init__(
            OrderedDict(
                dropout_map=nn.Dropout(dropout_map),
                norm_map=nn.BatchNorm2d(channels),
                flatten=nn.Flatten(),
                dense=nn.Linear(channels * height * width, dense),
                relu=nn.ReLU(),
                norm=nn.BatchNorm1d(dense),
                dropout=nn.Dropout(dropout),
                last=nn.Linear(dense, n_classes),
            )
        )


class GRUHead(nn.Module):
    """Reads a map as a sequence [1]_: pooling, one or two GRUs, perhaps a dense layer, logits.

    torch's GRU is that of Keras with ``reset_after=True`` (its default): two biases, so the same number of parameters.

    Parameters
    ----------
    shape : tuple of int (channels, height, width)
        Shape of the map.
    n_classes : int
        Number of logits.
    pooling : {"none", "mean", "max"}
        The map as it is, its mean over space, or the maximum of every 2 x 2 places.
    steps : {"positions", "rows", "one"}
        A step is one place with its channels, one row of places, or the whole map.
    gru, gru_2, dense : int
        Units; 0 for a layer that is not there. The last GRU gives its last state, one before it all of its states.
    dropout : float
        Share dropped before the last layer.

    References
    ----------
    .. [1] Kumar and Agarwal 2024.
    """

    def __init__(
        self, shape: tuple[int, int, int], n_classes: int, *, pooling: str = "none", steps: str, gru: int, gru_2: int,
        dense: int, dropout: float,
    ) -> None:  # fmt: skip
        super().__init__()
        channels, height, width = shape
        self.steps = steps
        self.pool: nn.Module = nn.Identity()
        if pooling == "mean":
            self.pool, height, width = nn.AdaptiveAvgPool2d(1), 1, 1
        elif pooling == "max":  # the last row and column of an odd map are kept, so that a map of 1 x 1 stays one
            self.pool, height, width = nn.MaxPool2d(2, ceil_mode=True), -(-height // 2), -(-width // 2)
        per_step = {"positions": channels, "rows": channels * width, "one": channels * height * width}[steps]
        self.gru = nn.GRU(per_step, gru, batch_first=True)
        self.gru_2 = nn.GRU(gru, gru_2, batch_first=True) if gru_2 else None
        known = gru_2 or gru
        self.dense = nn.Sequential(nn.Linear(known, dense), nn.ReLU()) if dense else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.last = nn.Linear(dense or known, n_classes)

    def read(self, features: torch.Tensor) -> torch.Tensor:
        """Return the map (n, channels, height, width) as a sequence (n, steps, values); channels vary fastest."""
        places = self.pool(features).permute(0, 2, 3, 1)
        n, height, width = places.shape[:3]
        steps = {"positions": height * width, "rows": height, "one": 1}[self.steps]
        return places.reshape(n, steps, -1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return logits (n, n_classes) of maps (n, channels, height, width)."""
        states, _ = self.gru(self.read(features))
        if self.gru_2 is not None:
            states, _ = self.gru_2(states)
        return self.last(self.dropout(self.dense(states[:, -1])))
