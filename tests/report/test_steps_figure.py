"""Bars are as long as the shares, and names are shown as they are."""

import pytest

from fusionfer.report import png_bytes, steps_figure


def test_bars():
    """A bar for each step, in order from the top; dollar signs are no formulas."""
    figure = steps_figure([("claimed", 0.98), ("without $x$ {copies}", 0.55)])
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([98, 55])
    assert [text.get_text() for text in axes.texts] == ["claimed: 98.0 %", "without $x$ {copies}: 55.0 %"]
    assert axes.yaxis_inverted()
    assert png_bytes(figure).startswith(b"\x89PNG")
