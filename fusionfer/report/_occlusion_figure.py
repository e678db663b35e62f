"""Maps of what a sliding square took away, laid over faces; readable without colour vision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fusionfer.exceptions import ReportError
from fusionfer.report._figures import GREY, INK

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["OcclusionPanel", "occlusion_figure"]

_FACE = 2.15  # inches
_DROPS, _DIFFERENCES = "RdBu_r", "PuOr_r"  # two ends that differ to any colour vision, white between


@dataclass(frozen=True, eq=False)
class OcclusionPanel:
    """One picture of a row.

    Attributes
    ----------
    title : str
    saliency : ndarray of float, shape (height, width), or None
        Drop of probability, or a difference of two; None shows the face alone.
    difference : bool
        Whether it is a difference, which has a scale of its own.
    """

    title: str
    saliency: np.ndarray | None = None
    difference: bool = False


def occlusion_figure(
    faces: Sequence[np.ndarray], titles: Sequence[str], rows: Sequence[Sequence[OcclusionPanel]], *, note: str = ""
) -> Figure:
    """Draw rows of maps over faces; each row has a scale of its own, which is written at its left.

    Parameters
    ----------
    faces : sequence of ndarray, shape (height, width) or (height, width, 3)
        The face below the maps of each row, 0 to 255.
    titles : sequence of str
        Of each row, written at its left.
    rows : sequence of sequence of OcclusionPanel
        As many in each row.
    note : str
        One line below.

    Returns
    -------
    Figure

    Raises
    ------
    ReportError
        If rows differ in length, or there is none.
    """
    from matplotlib.figure import Figure

    columns = {len(row) for row in rows}
    if len(columns) != 1 or not len(faces) == len(titles) == len(rows):
        msg = f"A figure of maps takes rows of one length, each with a face and a title, got {len(rows)} rows."
        raise ReportError(msg)
    (count,) = columns
    below = 0.8
    width, height = 1.25 + (_FACE + 0.12) * count, (_FACE + 0.34) * len(rows) + below
    figure = Figure(figsize=(width, height), facecolor="white")
    for r, (face, title, row) in enumerate(zip(faces, titles, rows, strict=True)):
        bottom = height - (r + 1) * (_FACE + 0.34)
        scale = max((float(np.abs(one.saliency).max()) for one in row if one.saliency is not None), default=0.0) or 1.0
        label = figure.text(0.1 / width, (bottom + _FACE / 2) / height, title, va="bottom", size=9, color=INK)
        label.set_parse_math(False)
        text = f"scale ±{100 * scale:.3g}"
        figure.text(0.1 / width, (bottom + _FACE / 2 - 0.05) / height, text, va="top", size=8, color=GREY)
        for c, panel in enumerate(row):
            where = (1.25 + c * (_FACE + 0.12), bottom, _FACE, _FACE)
            axes = figure.add_axes((where[0] / width, where[1] / height, where[2] / width, where[3] / height))
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
            axes.set_title(panel.title, size=9, color=INK, pad=4).set_parse_math(False)
            extent = (0.0, float(face.shape[1]), float(face.shape[0]), 0.0)
            grey = _pale(face) if panel.saliency is not None else np.asarray(face) / 255.0
            axes.imshow(grey, cmap="gray", vmin=0, vmax=1, extent=extent, aspect="auto")
            if panel.saliency is not None:
                colours = _DIFFERENCES if panel.difference else _DROPS
                alpha = np.clip(np.abs(panel.saliency) / scale, 0, 1) ** 0.6 * 0.85
                axes.imshow(
                    panel.saliency, cmap=colours, vmin=-scale, vmax=scale, alpha=alpha, extent=extent, aspect="auto",
                    interpolation="bilinear",
                )  # fmt: skip
    differences = sorted({panel.difference for row in rows for panel in row if panel.saliency is not None})
    _bars(figure, differences, width, height)
    if note:
        figure.text(0.1 / width, 0.08 / height, note, size=8, color=GREY).set_parse_math(False)
    return figure


def _bars(figure: Figure, differences: Sequence[bool], width: float, height: float) -> None:
    """One colour bar for maps and one for differences, side by side below, without the maps' transparency."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    names = {False: "drop of probability when hidden, in points", True: "first less second"}
    long = min(2.4, (width - 1.25) / max(len(differences), 1) - 0.5)
    for k, difference in enumerate(differences):
        left = 1.4 + k * (long + 0.6)
        axes = figure.add_axes((left / width, 0.42 / height, long / width, 0.1 / height))
        colours = ScalarMappable(Normalize(-1, 1), _DIFFERENCES if difference else _DROPS)
        bar = figure.colorbar(colours, cax=axes, orientation="horizontal")
        bar.outline.set_visible(False)
        bar.set_ticks([-1.0, 0.0, 1.0], labels=["- scale", "0", "+ scale"])
        axes.tick_params(length=0, labelsize=8, labelcolor=INK, pad=2)
        axes.set_title(names[difference], size=8, color=GREY, pad=3)


def _pale(face: np.ndarray) -> np.ndarray:
    """Return the face in light greys, so that both dark ends of the colours stand out."""
    grey = np.asarray(face, dtype=np.float64)
    grey = grey if grey.ndim == 2 else grey @ (0.299, 0.587, 0.114)
    return 0.35 + 0.6 * grey / 255.0
