"""A data set at one glance: counts, brightness and contrast of each class, its mean face and some of its pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfer.report._figures import BLUE, GREY, INK, ORANGE, PALE
from fusionfer.report._parts import Picture, Section, Sheet
from fusionfer.report._tables import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["eda_figure", "eda_sections", "eda_tables"]

_COLOURS = {"train": BLUE, "validation": "#56b4e9", "test": ORANGE, "": GREY}
_COLUMNS = 8  # samples in a row of the figure
_SIZES = 10  # sizes that the table lists
_CLASSES = 30  # classes that are drawn: hundreds would make a picture that nobody can read
_GAP = 0.06  # between two faces of the figure, as a share of one


def eda_figure(found: Any) -> Figure:
    """Draw counts, brightness and contrast of each class; below, its mean face and up to eight of its pictures.

    Of more than 30 classes the 30 with the most samples are drawn.

    Parameters
    ----------
    found : fusionfer.eda.Eda

    Returns
    -------
    Figure
    """
    from matplotlib.figure import Figure

    found = _largest(found)
    K = len(found.classes)
    columns = 1 + min(_COLUMNS, max((len(some) for some in found.samples.values()), default=0))
    above, below = 1.2 + 0.3 * K, 0.98 * K + 0.35
    figure = Figure(figsize=(9.6, above + below), layout="constrained", facecolor="white")
    figure.get_layout_engine().set(hspace=0.02, wspace=0.02)  # type: ignore[union-attr, call-arg]
    parts: Any = figure.subfigures(2, 1, height_ratios=[above, below])
    top, bottom = parts
    _bars(found, top)
    _faces(found, bottom.subplots(), columns)
    return figure


def eda_tables(found: Any) -> tuple[Table, ...]:
    """Return counts, brightness and contrast, and sizes as tables.

    Parameters
    ----------
    found : fusionfer.eda.Eda

    Returns
    -------
    tuple of Table
    """
    splits = list(found.counts)
    rows = [[found.counts[split].get(label, 0) for split in splits] for label in found.classes]
    shown = [
        (_named(label), *map(_count, row), _count(sum(row))) for label, row in zip(found.classes, rows, strict=True)
    ]
    totals = [sum(row[k] for row in rows) for k in range(len(splits))]
    counts = (*shown, ("all", *map(_count, totals), _count(found.n_samples)))
    header = ("class", *(split or "no split" for split in splits), "all")
    spreads = []
    for label in found.brightness:
        pair = (found.brightness[label], found.contrast[label])
        spreads.append((_named(label), *(cell for one in pair for cell in _cells(one))))
    measures = [f"{what}{part}" for what in ("brightness", "contrast") for part in (", mean", ", sd", ", 5 to 95 %")]
    note = "Mean and standard deviation of a picture's grey values (0 to 255), over the pictures of each class."
    sizes = [(f"{w} x {h} pixels", _count(n)) for (w, h), n in list(found.sizes.items())[:_SIZES]]
    others = list(found.sizes.values())[_SIZES:]
    sizes += [(f"{len(others):,} other sizes", _count(sum(others)))] if others else []
    ranges = [
        f"{what} {low} pixels" if low == high else f"{what} {low} to {high} pixels, median {median}"
        for what, (low, median, high) in (("Width", found.widths), ("height", found.heights))
        if high
    ]
    kinds = [(what, _count(n)) for some in (found.channels, found.formats) for what, n in some.items()]
    measured = f"{'; '.join(ranges)}." if ranges else ""
    unreadable = [("unreadable or left out", _count(len(found.unreadable)))] if found.unreadable else []
    return (
        Table("Samples", header, tuple(counts)),
        Table("Brightness and contrast", ("class", *measures), tuple(spreads), note),
        Table("Sizes and formats", ("what", "pictures"), (*sizes, *kinds, *unreadable), measured),
    )


def eda_sections(found: Any) -> tuple[Section, ...]:
    """Return the sections of a page: tables, figure, mean faces and samples.

    Parameters
    ----------
    found : fusionfer.eda.Eda

    Returns
    -------
    tuple of Section
    """
    counts, spreads, pictures = eda_tables(found)
    of_all, found = len(found.classes), _largest(found)
    which = f" The {len(found.classes)} largest of {of_all:,} classes." if len(found.classes) < of_all else ""
    says = "Bars of the samples of each class and split; ranges of brightness and contrast. The tables say the same."
    caption = f"Samples, brightness and contrast of each class; mean faces and samples.{which}"
    overview = Picture("overview", caption, eda_figure(found), says + which)
    means, names = _stretched(found.mean_faces), [*map(_named, found.mean_faces)]
    caption = f"Mean of all pictures of each class, all with the same gain in contrast.{which}"
    sheets = [Sheet("mean_faces", caption, [*means.values()], names)]
    for k, (label, some) in enumerate(found.samples.items()):
        ids = [one for one, _ in some]
        sheets.append(Sheet(f"samples_{k}", f"Drawn from {_named(label)}.", [pixels for _, pixels in some], ids))
    return (
        Section("Classes", (counts, overview)),
        Section("Pictures", (pictures, spreads)),
        Section("Faces", tuple(sheets)),
    )


def _stretched(mean_faces: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return mean faces with the darkest of all their pixels black and the brightest white: they are pale."""
    low = min((face.min() for face in mean_faces.values()), default=0.0)
    high = max((face.max() for face in mean_faces.values()), default=255.0)
    gain = 255.0 / max(high - low, 1.0)
    return {label: np.rint((face - low) * gain).astype(np.uint8) for label, face in mean_faces.items()}


def _largest(found: Any) -> Any:
    """Return what was seen of the classes that are drawn: those with the most samples, in their order."""
    n = {label: sum(row.get(label, 0) for row in found.counts.values()) for label in found.classes}
    kept = set(sorted(found.classes, key=lambda label: -n[label])[:_CLASSES])
    means, samples = (
        {label: one for label, one in some.items() if label in kept} for some in (found.mean_faces, found.samples)
    )
    classes = tuple(label for label in found.classes if label in kept)
    return replace(found, classes=classes, mean_faces=means, samples=samples)


def _faces(found: Any, axes: Axes, columns: int) -> None:
    """One row a class: its mean face, then its samples; one pair of axes, as a hundred of them take many seconds."""
    means = _stretched(found.mean_faces)
    pitch = 1 + _GAP
    for row, label in enumerate(found.classes):
        name = axes.text(-0.1, pitch * row + 0.5, _named(label), ha="right", va="center", size=9, color=INK)
        name.set_parse_math(False)
        shown = [means.get(label), *(pixels for _, pixels in found.samples[label])][:columns]
        for column, pixels in enumerate(shown):
            if pixels is None:
                continue
            h, w = (size / max(pixels.shape[:2]) for size in pixels.shape[:2])
            x, y = pitch * column + (1 - w) / 2, pitch * row + (1 - h) / 2
            axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, extent=(x, x + w, y + h, y))
    titles = {0.5: ("mean", "center")} | ({pitch: ("samples", "left")} if columns > 1 else {})
    for x, (title, where) in titles.items():
        axes.text(x, -0.1, title, ha=where, va="bottom", size=9, color=GREY)
    axes.set_axis_off()
    axes.set_aspect("equal")
    axes.set_xlim(0, pitch * columns - _GAP)
    axes.set_ylim(pitch * len(found.classes) - _GAP, 0)


def _bars(found: Any, figure: Any) -> None:
    """Counts, brightness and contrast side by side, one row a class."""
    rows = np.arange(len(found.classes))
    bars, bright, contrast = figure.subplots(1, 3, sharey=True, width_ratios=[1.6, 1, 1])
    left = np.zeros(len(rows))
    for split, labels in found.counts.items():
        widths = np.array([labels.get(label, 0) for label in found.classes], dtype=float)
        bars.barh(rows, widths, left=left, height=0.62, color=_COLOURS[split], label=split or "no split", linewidth=0)
        left += widths
    for row, total in zip(rows, left, strict=True):
        bars.annotate(f"{total:,.0f}", (total, row), (3, 0), textcoords="offset points", va="center", size=8, color=INK)
    bars.margins(x=0.16)
    bars.set_ylim(len(rows) - 0.5, -0.5)
    for tick in bars.set_yticks(rows, [_named(label) for label in found.classes], size=9, color=INK):
        tick.label1.set_parse_math(False)
    ncols = len(found.counts)
    figure.legend(loc="outside upper left", ncols=ncols, frameon=False, fontsize=8.5, columnspacing=1.2, title=None)
    for axes, values, name in ((bright, found.brightness, "brightness"), (contrast, found.contrast, "contrast")):
        for row, label in zip(rows, found.classes, strict=True):
            if label in values:
                one = values[label]
                axes.plot([one.low, one.high], [row, row], color=BLUE, linewidth=2.2, alpha=0.55, solid_capstyle="butt")
                axes.plot([one.median], [row], "o", color=BLUE, markersize=5)
        axes.set_xlabel(f"{name} (median, 5 to 95 %)", size=8.5, color=GREY)
    bars.set_xlabel("samples", size=8.5, color=GREY)
    for axes in (bars, bright, contrast):
        _quiet(axes)


def _quiet(axes: Axes) -> None:
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(PALE)
    axes.tick_params(length=0, labelcolor=INK, labelsize=8.5)
    axes.grid(axis="x", color="#ececec", linewidth=0.8)
    axes.set_axisbelow(True)


def _cells(one: Any) -> Sequence[str]:
    return (f"{one.mean:.1f}", f"{one.sd:.1f}", f"{one.low:.0f} to {one.high:.0f}")


def _named(label: str) -> str:
    return label or "no label"


def _count(n: int) -> str:
    return f"{n:,}"
