"""Explanations as figures, tables and files."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fusionfer.exceptions import DataError
from fusionfer.explanation._classes import ClassMaps
from fusionfer.explanation._explain import ALL, Explanation
from fusionfer.occlusion import FILLS, Curves
from fusionfer.report import OcclusionPanel, Table, occlusion_figure, png_bytes, write_bytes

__all__ = [
    "class_maps_figure",
    "class_maps_table",
    "explanation_figure",
    "explanation_tables",
    "faithfulness_table",
    "write_array",
    "write_figure",
]

_ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # the same arrays are the same bytes


def explanation_figure(explanations: Sequence[Explanation], models: Sequence[str] = ("",)) -> Any:
    """Draw one picture: a row a class, a column for each model and network, and where two differ.

    The last column is the difference of two maps: of the two models where there are two, else of the two networks of
    a hybrid of two.

    Parameters
    ----------
    explanations : sequence of Explanation
        Of one picture and the same classes, one for each model.
    models : sequence of str
        Their names, which stand in the titles where there are several.

    Returns
    -------
    matplotlib.figure.Figure
    """
    first = explanations[0]
    if len(models) != len(explanations) or any(one.classes != first.classes for one in explanations):
        msg = "Several explanations of one figure need the same classes, and a name each."
        raise DataError(msg)
    rows = []
    for c, label in enumerate(first.classes):
        row = [OcclusionPanel(first.name.rpartition("/")[2] if c == 0 else "")]
        for one, model in zip(explanations, models, strict=True):
            for v, view in enumerate(one.views):
                prefix = f"{model}: " if len(models) > 1 and model else ""
                probability = f", {100 * one.proba[one.known.index(label)]:.1f} %" if v == 0 else ""
                what = "hidden from all" if view == ALL else f"hidden from {view}"
                row.append(OcclusionPanel(f"{prefix}{what}{probability}", one.maps[v, c]))
        row += [panel for panel in [_difference(explanations, models, c)] if panel is not None]
        rows.append(row)
    size, settings = first.found.windows[0, 2] - first.found.windows[0, 0], first.settings
    note = f"Square of {size} of {min(first.found.shape)} pixels, {_fill_in_words(settings.fill)}."
    if not first.found.measured.all():
        note += f" {first.found.measured.sum()} of {len(first.found.measured)} windows computed."
    titles = list(first.classes)
    return occlusion_figure([first.pixels] * len(rows), titles, rows, note=note)


def _difference(explanations: Sequence[Explanation], models: Sequence[str], c: int) -> OcclusionPanel | None:
    if len(explanations) == 2:
        one, other = explanations
        if one.found.shape != other.found.shape:
            return None
        return OcclusionPanel(f"{models[0]} - {models[1]}", one.maps[0, c] - other.maps[0, c], difference=True)
    views = explanations[0].views
    if len(explanations) == 1 and len(views) == 3:
        maps = explanations[0].maps
        return OcclusionPanel(f"{views[1]} - {views[2]}", maps[1, c] - maps[2, c], difference=True)
    return None


def class_maps_figure(found: ClassMaps) -> Any:
    """Draw for each class its mean face, and its mean map over that face and alone.

    Parameters
    ----------
    found : ClassMaps

    Returns
    -------
    matplotlib.figure.Figure
    """
    low, high = found.mean_faces.min(), found.mean_faces.max()
    faces = [(face - low) * (255.0 / max(high - low, 1.0)) for face in found.mean_faces]
    rows = [
        [OcclusionPanel("mean face" if k == 0 else ""), OcclusionPanel("mean map" if k == 0 else "", one)]
        for k, one in enumerate(found.maps)
    ]
    titles = [f"{label}\n{len(found.ids[label])} faces" for label in found.classes]
    note = f"Square of {found.window} of {min(found.maps.shape[1:])} pixels, {_fill_in_words(found.settings.fill)}."
    return occlusion_figure(faces, titles, rows, note=note)


def explanation_tables(explanation: Explanation) -> tuple[Table, ...]:
    """Return for each class a table: the parts of the face, their shares and densities, and densities in other views.

    Parameters
    ----------
    explanation : Explanation

    Returns
    -------
    tuple of Table
    """
    tables = []
    for label in explanation.classes:
        views = {view: {one.region: one for one in explanation.regions(label, view)} for view in explanation.views}
        header = ["region", "area", "share", "density", *(f"{view}: density" for view in explanation.views[1:])]
        rows = []
        for one in explanation.regions(label):
            cells = [one.region, _percent(one.area), _percent(one.share)]
            cells += [_number(shares[one.region].density) for shares in views.values()]
            rows.append(tuple(cells))
        c = explanation.classes.index(label)
        falls = [f"{view} {100 * explanation.drops[v, c].max():.1f}" for v, view in enumerate(explanation.views)]
        probability = 100 * explanation.proba[explanation.known.index(label)]
        note = f"Largest drop, in points, when hidden from: {', '.join(falls)}."
        tables.append(Table(f"{label}, {probability:.1f} %", tuple(header), tuple(rows), note))
    return tuple(tables)


def class_maps_table(found: ClassMaps) -> Table:
    """Return the parts of the face that matter to each class: share, interval and density.

    Parameters
    ----------
    found : ClassMaps

    Returns
    -------
    Table
    """
    rows = []
    for label in found.classes:
        own = [one for one in found.regions if one.label == label]
        n = len(found.ids[label])
        for k, one in enumerate(own):
            head = (label, f"{found.right[label]} of {n}") if k == 0 else ("", "")
            interval = f"{_percent(one.low)} to {_percent(one.high)}" if np.isfinite(one.low) else ""
            rows.append((*head, one.region, _percent(one.area), _percent(one.share), interval, _number(one.density)))
    header = ("class", "right", "region", "area", "share", "95 % interval", "density")
    note = (
        "Share of the positive saliency of the class's own probability; interval over pictures; density = share / area."
    )
    return Table("Which parts of the face matter", header, tuple(rows), note)


def faithfulness_table(curves: dict[str, Curves], label: str = "") -> Table:
    """Return the areas below the curves of a map and of the maps that know nothing.

    Parameters
    ----------
    curves : dict of str to Curves
        From `faithfulness`.
    label : str
        The class whose probability they follow, for the title.

    Returns
    -------
    Table
    """
    names = {"map": "this map", "shuffled": "its windows shuffled", "centre": "Gaussian in the middle"}
    rows = [(names[name], f"{one.deletion_area:.3f}", f"{one.insertion_area:.3f}") for name, one in curves.items()]
    note = "Areas below the probability: a faithful map has little deletion and much insertion."
    title = f"Deletion and insertion, {label}" if label else "Deletion and insertion"
    return Table(title, ("map", "deletion", "insertion"), tuple(rows), note)


def write_figure(path: str | Path, figure: Any) -> None:
    """Write a figure as PNG, complete or not at all; equal figures are equal bytes."""
    write_bytes(Path(path), png_bytes(figure))


def write_array(path: str | Path, explanation: Explanation) -> None:
    """Write an explanation as ``.npz``, which `numpy.load` reads; equal explanations are equal bytes.

    It holds ``maps`` (V, C, height, width) and ``drops`` (V, C, rows, columns) as float64, ``views``, ``classes`` and
    ``known`` as text, ``proba`` (K,), ``windows`` (n, 4), ``measured`` (n,) and ``pixels``.

    Parameters
    ----------
    path : str or Path
    explanation : Explanation

    Raises
    ------
    ReportError
        If it cannot be written; what was there before is unchanged.
    """
    found = explanation.found
    arrays = {
        "maps": explanation.maps,
        "drops": explanation.drops,
        "views": np.array(explanation.views),
        "classes": np.array(explanation.classes),
        "known": np.array(explanation.known),
        "proba": explanation.proba,
        "windows": found.windows,
        "measured": found.measured,
        "pixels": explanation.pixels,
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _ZIP_DATE), member.getvalue(), zipfile.ZIP_DEFLATED)
    write_bytes(Path(path), buffer.getvalue())


def _fill_in_words(fill: str | float) -> str:
    return FILLS.get(str(fill), f"grey {fill}")


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %" if np.isfinite(value) else "-"


def _number(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "-"
