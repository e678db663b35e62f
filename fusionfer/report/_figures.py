"""Figures: quiet, readable without colour vision, the same bytes for the same numbers, and no global state."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfer.exceptions import unknown_name
from fusionfer.metrics import Scores
from fusionfer.report._tables import UNDEFINED, are_shares, fold_scores

if TYPE_CHECKING:  # matplotlib takes half a second to import, which a table on the console does not need
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

__all__ = ["class_figure", "confusion_figure", "faces_figure", "fold_figure", "png_bytes"]

# Blue and orange of Okabe and Ito's palette, told apart with any colour vision, and greys.
BLUE, ORANGE, INK, GREY, PALE = "#0072b2", "#d55e00", "#222222", "#767676", "#d9d9d9"
_DPI = 144
_FACE, _LINE, _GAP = 1.05, 0.15, 0.1  # of sheets of faces, in inches
_WRITTEN = 40  # classes of which a confusion matrix says its numbers: more are too small to read, and take minutes
_NORMALISE = {"true": ("each true class", 1), "pred": ("each predicted class", 0), "all": ("all samples", None)}


def confusion_figure(scores: Scores, normalise: str = "true") -> Figure:
    """Draw the confusion matrix: in each cell its share, and the number of samples below; of 40 classes at most.

    Of more classes the colours alone tell the shares.

    Parameters
    ----------
    scores : Scores
    normalise : {"true", "pred", "all"}
        What the shares add up to 100 % in: each row (true class), each column (predicted class), or the whole.

    Returns
    -------
    Figure
    """
    from matplotlib import colormaps

    if normalise not in _NORMALISE:
        raise unknown_name("normalisation", normalise, _NORMALISE)
    where, axis = _NORMALISE[normalise]
    K = len(scores.classes)
    names = [_short(name, 22) for name in scores.classes]
    cell = 0.62 if K <= 12 else 0.52
    label = 0.085 * max(map(len, names))
    figure = _figure(max(2.4, cell * K) + label + 0.9, max(2.4, cell * K) + 0.75 * label + 0.9)
    axes = figure.add_subplot()
    total = scores.confusion.sum(axis=axis, keepdims=True)
    shares = np.divide(scores.confusion, total, out=np.full((K, K), np.nan), where=total > 0)
    colours = colormaps["Blues"].with_extremes(bad="#f4f4f4")
    axes.imshow(np.ma.masked_invalid(shares), cmap=colours, vmin=0, vmax=1, aspect="equal")
    size = 8.5 if K <= 12 else 6.5
    for i, j in np.ndindex(K, K) if K <= _WRITTEN else ():
        share, count = shares[i, j], scores.confusion[i, j]
        text = f"{100 * share:.0f} %\n{_count(int(count))}" if count else "0"
        text = UNDEFINED if math.isnan(share) else text
        colour = "white" if share > 0.55 else (INK if count else "#9a9a9a")
        _text(axes.text(j, i, text, ha="center", va="center", size=size, color=colour, linespacing=1.15))
    _name_ticks(axes, "y", names)
    _name_ticks(axes, "x", names, rotation=40 if K > 3 or label > 0.7 else 0)
    axes.set_ylabel("true class", size=9.5, color=GREY)
    axes.set_xlabel("predicted class", size=9.5, color=GREY)
    what = f"Percent of {where}, and number of samples" if K <= _WRITTEN else f"Share of {where}"
    axes.set_title(what, size=9.5, color=GREY, loc="left")
    axes.spines[:].set_visible(False)
    axes.set_xticks(np.arange(K + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(K + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    return figure


def class_figure(scores: Scores) -> Figure:
    """Draw F1 of each class as a bar, with precision and recall as marks on it.

    Parameters
    ----------
    scores : Scores

    Returns
    -------
    Figure
    """
    K = len(scores.classes)
    names = [f"{_short(name, 28)} ({scores.support[k]:,})" for k, name in enumerate(scores.classes)]
    figure = _figure(5.2 + 0.085 * max(map(len, names)), 1.25 + 0.32 * K)
    axes = figure.add_subplot()
    rows = np.arange(K)
    f1 = 100 * scores.per_class["f1"]
    marks: list[Any] = [axes.barh(rows, np.nan_to_num(f1), height=0.6, color="#bcd7ea", label="F1", zorder=2)]
    for metric, marker, colour in [("precision", "D", ORANGE), ("recall", "o", BLUE)]:
        values = 100 * scores.per_class[metric]
        marks.append(axes.scatter(values, rows, marker=marker, s=28, color=colour, label=metric, zorder=4))
    for k in np.flatnonzero(np.isnan(f1)).tolist():
        _text(axes.text(1, k, "undefined", va="center", size=8.5, color=GREY, style="italic"))
    macro = 100 * scores.macro["f1"]
    if math.isfinite(macro):
        label = f"macro F1 {macro:.1f} %"
        marks.append(axes.axvline(macro, color=GREY, linewidth=1, linestyle=(0, (4, 3)), label=label, zorder=3))
    axes.set_xlim(0, 102)
    axes.set_ylim(K - 0.4, -0.6)
    _name_ticks(axes, "y", names)
    axes.set_xlabel("percent", size=9.5, color=GREY)
    _quiet(axes)
    figure.legend(handles=marks, loc="outside upper left", ncols=4, frameon=False, fontsize=9, columnspacing=1.4)
    return figure


def fold_figure(selection: Mapping[str, Any]) -> Figure:
    """Draw what each candidate scored in each fold, with mean and standard deviation; the one kept stands out.

    Thin lines join the same fold of all candidates: selection compares pairs.

    Parameters
    ----------
    selection : mapping
        ``scores`` (candidate -> fold scores), ``selected`` and ``scoring``, as a model records it.

    Returns
    -------
    Figure
    """
    from matplotlib.ticker import MaxNLocator

    candidates = list(selection["scores"])
    folds = [fold_scores(selection["scores"][name]) for name in candidates]
    shares = are_shares(folds)
    values = [100 * v if shares else v for v in folds]
    names = [_two_lines(name, 34) for name in candidates]
    longest = max(len(line) for name in names for line in name.split("\n"))
    figure = _figure(4.4 + 0.085 * longest, 1.0 + 0.62 * len(candidates))
    axes = figure.add_subplot()
    if len({len(v) for v in values}) == 1:
        axes.plot(np.stack(values), np.arange(len(values)), color=PALE, linewidth=0.8, zorder=1)
    for row, (name, scores) in enumerate(zip(candidates, values, strict=True)):
        if not len(scores):
            _text(
                axes.text(
                    0.02, row, "no scores", va="center", size=8.5, color=GREY, transform=axes.get_yaxis_transform()
                )
            )
            continue
        kept = name == selection["selected"]
        colour = BLUE if kept else GREY
        mean, spread = float(np.mean(scores)), float(np.std(scores, ddof=1)) if len(scores) > 1 else 0.0
        axes.scatter(scores, np.full(len(scores), row), s=16, color=colour, alpha=0.45, linewidths=0, zorder=2)
        axes.errorbar(mean, row, xerr=spread, fmt="D" if kept else "o", color=colour, markersize=7, capsize=4, zorder=3)
        text = f"{mean:.2f} ± {spread:.2f}" if shares else f"{mean:.4g} ± {spread:.2g}"
        _text(
            axes.annotate(
                text + (", kept" if kept else ""), (mean, row), xytext=(0, 8), textcoords="offset points",
                ha="center", va="bottom", size=8.5, color=colour, weight="bold" if kept else "normal",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0, "alpha": 0.85},
            )
        )  # fmt: skip
    axes.set_ylim(len(candidates) - 0.5, -0.75)
    axes.margins(x=0.14)
    _name_ticks(axes, "y", names)
    scoring = str(selection.get("scoring", "score")).replace("_", " ")
    _text(axes.set_xlabel(f"{scoring}{' in percent' if shares else ''}, by fold", size=9.5, color=GREY))
    axes.xaxis.set_major_locator(MaxNLocator(6))
    _quiet(axes)
    return figure


def faces_figure(pixels: Sequence[np.ndarray], captions: Sequence[str], columns: int | None = None) -> Figure:
    """Draw a sheet of faces.

    Parameters
    ----------
    pixels : sequence of ndarray of uint8, shape (h, w) or (h, w, 3)
        Grey, or RGB; sizes may differ.
    captions : sequence of str
        One for each; lines are separated by line breaks.
    columns : int, optional
        How many stand side by side; by default 7 or fewer.

    Returns
    -------
    Figure
    """
    from matplotlib.figure import Figure

    columns = max(1, min(len(pixels), columns or 7))
    rows = max(1, math.ceil(len(pixels) / columns))
    lines = max((caption.count("\n") + 1 for caption in captions), default=1)
    height = _FACE + _LINE * lines + _GAP  # of a face, what is said of it above, and the gap below
    figure = Figure(figsize=((_FACE + _GAP) * columns + _GAP, height * rows + _GAP), facecolor="white")
    # One pair of axes in inches from the upper left: a hundred of them would take a hundred times as long.
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    for number, (picture, caption) in enumerate(zip(pixels, captions, strict=True)):
        left, top = _GAP + (number % columns) * (_FACE + _GAP), (number // columns) * height
        h, w = (_FACE * size / max(picture.shape[:2]) for size in picture.shape[:2])
        x, y = left + (_FACE - w) / 2, top + _LINE * lines + _GAP
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="antialiased", extent=(x, x + w, y + h, y))
        shown = "\n".join(_short(line, 17) for line in caption.split("\n"))
        where: dict[str, Any] = {"ha": "center", "va": "bottom", "linespacing": 1.1}
        _text(axes.text(left + _FACE / 2, y - 0.04, shown, size=7.5, color=INK, **where))
    axes.set_xlim(0, figure.get_figwidth())
    axes.set_ylim(figure.get_figheight(), 0)
    return figure


def png_bytes(figure: Figure) -> bytes:
    """Return the figure as PNG, without date and version, so that equal figures are equal bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(min(width, 30.0), min(height, 30.0)), layout="constrained", facecolor="white")


def _text(text: Text) -> Text:
    """Show the text as it stands: class names may hold dollar signs, which matplotlib takes for formulas."""
    text.set_parse_math(False)
    return text


def _name_ticks(axes: Axes, which: str, names: Sequence[str], rotation: float = 0) -> None:
    positions = np.arange(len(names))
    if which == "x":
        turned: dict[str, Any] = {"rotation": rotation, "ha": "right", "rotation_mode": "anchor"} if rotation else {}
        labels = axes.set_xticks(positions, names, size=9, color=INK, **turned)
    else:
        labels = axes.set_yticks(positions, names, size=9, color=INK)
    for tick in labels:
        _text(tick.label1)


def _quiet(axes: Axes) -> None:
    """Leave only what carries numbers: a pale grid for the x axis, no frame."""
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(PALE)
    axes.tick_params(length=0, labelcolor=INK, labelsize=9)
    axes.grid(axis="x", color="#ececec", linewidth=0.8)
    axes.set_axisbelow(True)


def _short(text: str, length: int) -> str:
    """Cut the middle out of a long text: names often differ in their last signs only."""
    text = " ".join(text.split())
    tail = (length - 1) // 3
    return text if len(text) <= length else f"{text[: length - 1 - tail].rstrip()}…{text[-tail:].lstrip()}"


def _two_lines(text: str, length: int) -> str:
    """Break a long candidate at the plus sign nearest its middle."""
    if len(text) > length and "+" in text:
        middle = min((i for i, c in enumerate(text) if c == "+"), key=lambda i: abs(i - len(text) / 2))
        return f"{_short(text[:middle], length)}\n+ {_short(text[middle + 1 :], length)}"
    return _short(text, length)


def _count(count: int) -> str:
    return f"{count:,}" if count < 100_000 else f"{count / 1000:,.0f} k"
