"""The history of a boosted forest as a figure: losses, sizes of trees and of steps, gains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from fusionfer.exceptions import DataError
from fusionfer.report._figures import BLUE, GREY, INK, ORANGE, PALE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["boosting_history_figure"]

#: Entry of the history -> title of its panel; drawn where the entry is there.
_PANELS = {
    "loss": "log-loss, nats",
    "norm": "size of a tree ||w||, margins",
    "step": "size of its step, margins",
    "gain": "gain of a tree",
    "S": "|S|: |sum of dL/df|",
    "V": "V: sum of d2L/df2",
}


def boosting_history_figure(history: Mapping[str, np.ndarray]) -> Figure:
    """Draw what a boosted head did round by round.

    A panel for the losses, with a mark at the lowest validation loss; and one each for the norm of trees, the size of
    their steps (norm times factor), their gains, and the sums S and V, as far as the history has them: the median over
    the trees of a round as a line, from the lowest to the highest as a band.

    Parameters
    ----------
    history : mapping of str to ndarray
        ``history_`` of a head: losses (rounds,), all else (rounds, C).

    Returns
    -------
    Figure

    Raises
    ------
    DataError
        If there is no round in it.
    """
    from matplotlib.figure import Figure

    series = {name: np.asarray(history[name], dtype=float) for name in ("norm", "gain", "V") if name in history}
    if {"norm", "step"} <= set(history):
        series["step"] = series["norm"] * np.asarray(history["step"], dtype=float)
    if "S" in history:
        series["S"] = np.abs(np.asarray(history["S"], dtype=float))
    losses = {
        name: np.asarray(history[f"{name}_loss"]) for name in ("train", "validation") if f"{name}_loss" in history
    }
    panels = [name for name in _PANELS if name in series or (name == "loss" and losses)]
    if not panels or not any(len(values) for values in [*series.values(), *losses.values()]):
        msg = "There is no round in this history; give history_ of a fitted head, such as xgb-wn."
        raise DataError(msg)
    columns = min(len(panels), 3)
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(3.4 * columns + 0.2, 2.5 * rows + 0.2), layout="constrained", facecolor="white")
    for number, name in enumerate(panels, 1):
        axes = figure.add_subplot(rows, columns, number)
        if name == "loss":
            _draw_losses(axes, losses)
        else:
            _draw_band(axes, series[name])
        axes.set_title(_PANELS[name], size=9.5, color=GREY, loc="left")
        axes.set_xlabel("round", size=9, color=GREY)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(PALE)
        axes.tick_params(which="both", length=0, labelcolor=INK, labelsize=8)
        axes.grid(color="#ececec", linewidth=0.8)
        axes.set_axisbelow(True)
    return figure


def _draw_losses(axes: Axes, losses: Mapping[str, np.ndarray]) -> None:
    for name, colour in [("train", GREY), ("validation", BLUE)]:
        if name not in losses:
            continue
        values = losses[name]
        axes.plot(np.arange(1, len(values) + 1), values, color=colour, linewidth=1.4, label=name)
    if "validation" in losses:
        best = int(np.argmin(losses["validation"]))
        label = f"{losses['validation'][best]:.4f} in round {best + 1}"
        axes.plot([best + 1], [losses["validation"][best]], "D", color=ORANGE, markersize=5, label=label)
    axes.legend(frameon=False, fontsize=8)


def _draw_band(axes: Axes, values: np.ndarray) -> None:
    rounds = np.arange(1, len(values) + 1)
    if values.shape[1] > 1:
        axes.fill_between(rounds, values.min(axis=1), values.max(axis=1), color="#bcd7ea", linewidth=0)
    axes.plot(rounds, np.median(values, axis=1), color=BLUE, linewidth=1.4)
    if 10 * values.min() < values.max() < 1e4 * values.min():
        axes.set_yscale("log")
