"""Colours that are told apart by people with any colour vision: simulated, and measured."""

import itertools

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.colors import to_rgb

from fusionfer.report._figures import BLUE, GREY, ORANGE
from fusionfer.report._training_figures import _COLOURS

#: Machado, Oliveira and Fernandes (2009), table 1, severity 1.0: on linear RGB.
SIMULATED = {
    "full": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def lab(colours, vision):
    """Return CIELAB (D65) of sRGB colours in [0, 1] as seen with a colour vision, shape (n, 3)."""
    rgb = np.asarray(colours, dtype=float)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.transpose(SIMULATED[vision]), 0, 1)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = seen @ to_xyz.T / to_xyz.sum(axis=1)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


@pytest.mark.parametrize("vision", SIMULATED)
def test_lines_are_told_apart(vision):
    """Any two of the colours of lines and marks are 10 apart in CIELAB, four times what is just seen, and not white."""
    for names in (_COLOURS, (BLUE, ORANGE, GREY)):
        seen = lab([to_rgb(name) for name in (*names, "white")], vision)
        distances = [np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)]
        assert min(distances) > 10, (vision, names)


@pytest.mark.parametrize("vision", SIMULATED)
def test_a_matrix_is_darker_where_there_is_more(vision):
    """Lightness falls all along the colours of the confusion matrix, so that no hue is needed to read it."""
    shades = lab(colormaps["Blues"](np.linspace(0, 1, 32))[:, :3], vision)[:, 0]
    assert np.all(np.diff(shades) < 0)
