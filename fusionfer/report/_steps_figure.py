"""Shares one below the other, as bars: what is claimed, and what each step leaves of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fusionfer.report._figures import BLUE, INK, PALE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["steps_figure"]


def steps_figure(steps: Sequence[tuple[str, float]]) -> Figure:
    """Draw a bar for each step, the last one in full colour.

    Parameters
    ----------
    steps : sequence of (str, float)
        Name, and share from 0 to 1; one at least.

    Returns
    -------
    Figure
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 0.6 + 0.5 * len(steps)), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    for row, (name, share) in enumerate(steps):
        axes.barh(row, 100 * share, height=0.3, color=BLUE if row == len(steps) - 1 else "#bcd7ea")
        words = axes.text(1.2, row - 0.33, f"{name}: {100 * share:.1f} %", size=9, color=INK, va="bottom")
        words.set_parse_math(False)
    axes.set_xlim(0, 100)
    axes.set_ylim(len(steps) - 0.5, -0.95)
    axes.set_yticks([])
    axes.set_xlabel("percent", size=9.5, color=INK)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(PALE)
    axes.tick_params(length=0, labelcolor=INK, labelsize=9)
    return figure
