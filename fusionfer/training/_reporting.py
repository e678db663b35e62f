"""The figures of a training and their data: a folder for each network, one page for all."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fusionfer.metrics import SoftScores
from fusionfer.report import (
    Section,
    Table,
    confusion_table,
    curves_picture,
    roc_points,
    scores_section,
    training_table,
    write_csv,
    write_report,
)
from fusionfer.training._data import Part
from fusionfer.training._recipe import Recipe
from fusionfer.training._schedules import best_epoch

if TYPE_CHECKING:
    from fusionfer.training._run import TrainedNetwork

__all__ = ["read_probabilities", "report_run", "report_training", "write_probabilities"]

_TITLES = {"validation": "Validation split (chose the epochs)", "test": "Test split"}


def write_probabilities(path: Path, part: Part, classes: Sequence[str], proba: np.ndarray) -> None:
    """Write what a network says of each picture: id, label, hash, the probability of each class to the last digit."""
    names = zip(part.faces.ids.tolist(), part.faces.labels.tolist(), part.pictures.digests, strict=True)
    rows = ((*name, *map(repr, values)) for name, values in zip(names, proba.tolist(), strict=True))
    write_csv(path, ["id", "label", "sha256", *classes], rows)


def read_probabilities(path: Path, part: Part, classes: Sequence[str]) -> np.ndarray | None:
    """Read it again, float64 of shape (n, n_classes); None where there is none for just these pictures and classes."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = list(csv.reader(file))
        proba = np.array([[float(value) for value in row[3:]] for row in rows])
    except (OSError, ValueError):
        return None
    fits = header[3:] == list(classes) and proba.shape == (len(part.faces), len(classes))
    return proba if fits and [row[2] for row in rows] == list(part.pictures.digests) else None


def report_run(
    folder: Path, trained: TrainedNetwork, recipe: Recipe, parts: Mapping[str, Part], classes: Sequence[str]
) -> None:
    """Write curves, ROC and confusion matrices of one network: as a page, as pictures and as CSV.

    Raises
    ------
    ReportError
        If something cannot be written.
    """
    history = trained.history
    write_csv(folder / "history.csv", list(history[0]), ([*epoch.values()] for epoch in history))
    sections = [Section("Training", (curves_picture({trained.name: history}),))]
    for which, proba in trained.proba.items():
        labels, scores = parts[which].faces.labels, trained.scores[which]
        sections.append(_scores_section(which, which, trained, labels))
        table = confusion_table(scores)
        write_csv(folder / f"{which}-confusion.csv", table.header, table.rows)
        header = ["class", "false_positive_rate", "true_positive_rate", "threshold"]
        write_csv(folder / f"{which}-roc.csv", header, _roc_rows(labels, proba, classes))
    softly = tuple(_soft_table({trained.name: one}, which) for which, one in trained.soft_scores.items())
    sections.append(Section("Against the shares", softly))
    best = best_epoch(recipe, history)
    write_report(
        folder,
        title=trained.name,
        lead=f"{100 * trained.scores['validation'].accuracy:.1f} % of the validation split are predicted right by the "
        f"weights of epoch {best + 1} of {len(history)}, the best by {recipe.monitor} (views: {recipe.tta}).",
        sections=sections,
        data={
            "history": list(history),
            "scores": {which: scores.to_dict() for which, scores in trained.scores.items()},
            "soft_scores": {which: scores.to_dict() for which, scores in trained.soft_scores.items()},
        },
    )


def _scores_section(prefix: str, which: str, trained: TrainedNetwork, labels: np.ndarray) -> Section:
    """Return every figure of one network on one split, with confusion matrix and ROC curves."""
    copies = {
        f"{which} without copies of training pictures": scores
        for name, scores in trained.scores.items()
        if name.startswith(f"{which} ")
    }
    title = _TITLES.get(which, which) if prefix == which else f"{trained.name}, {which}"
    said = {"y_true": labels, "proba": trained.proba[which]}
    return scores_section(trained.scores[which], title=title, others=copies, prefix=f"{prefix}-", **said)


def _roc_rows(labels: np.ndarray, proba: np.ndarray, classes: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the points of all curves; none of a class that has no samples, or all."""
    rows = []
    for k, name in enumerate(classes):
        of_class = labels == name
        if 0 < of_class.sum() < len(of_class):
            points = zip(*(values.tolist() for values in roc_points(of_class, proba[:, k])), strict=True)
            rows += [(name, *map(repr, point)) for point in points]
    return rows


def report_training(
    folder: Path,
    recipe: Recipe,
    trained: Sequence[TrainedNetwork],
    parts: Mapping[str, Part],
    notes: Sequence[str],
) -> Path:
    """Write the page that shows all networks side by side.

    Returns
    -------
    Path
        Of ``index.html``.

    Raises
    ------
    ReportError
        If something cannot be written.
    """
    tables = comparison_tables(trained)
    last = "test" if "test" in trained[0].scores else "validation"
    best = max(trained, key=lambda one: one.scores["validation"].accuracy)
    curves = {one.name: one.history for one in trained if one.history}
    sections = [Section("Networks", (*tables, curves_picture(curves)))]
    labels = parts[last].faces.labels
    sections += [_scores_section(str(number), last, one, labels) for number, one in enumerate(trained, 1)]
    epochs = max(len(history) for history in curves.values())
    accuracy = 100 * best.scores[last].accuracy
    return write_report(
        folder,
        title=f"Training by the recipe {recipe.name}",
        lead=f"{best.name} is best on the validation split; {accuracy:.1f} % of {best.scores[last].n:,} pictures of "
        f"{last} are predicted right, after {epochs} epochs at most.",
        notes=notes,
        sections=sections,
        data={
            "recipe": recipe.describe(),
            "networks": {
                one.name: {
                    "checkpoint": str(one.checkpoint.relative_to(folder)) if one.checkpoint else None,
                    "history": list(one.history),
                    "scores": {which: scores.to_dict() for which, scores in one.scores.items()},
                    "soft_scores": {which: scores.to_dict() for which, scores in one.soft_scores.items()},
                }
                for one in trained
            },
        },
    )


def comparison_tables(trained: Sequence[TrainedNetwork]) -> list[Table]:
    """Return a table of all networks for each split that was scored; and one against the votes, where there are any."""
    splits = list(trained[0].scores)
    tables = [
        training_table(
            {one.name: one.scores[which] for one in trained if which in one.scores},
            _TITLES.get(which, which[0].upper() + which[1:]),
        )
        for which in splits
    ]
    softly = [
        _soft_table({one.name: one.soft_scores[which] for one in trained}, which) for which in trained[0].soft_scores
    ]
    return [*tables, *softly]


def _soft_table(scores: Mapping[str, SoftScores], which: str) -> Table:
    """Return what networks are worth against shares of classes, beside the best that any could be."""
    rows = [
        (
            name, f"{100 * one.agreement:.2f}", f"{100 * one.highest:.2f}", f"{100 * one.acceptable:.2f}",
            f"{one.cross_entropy:.4f}", f"{one.entropy:.4f}", f"{one.divergence:.4f}",
        )
        for name, one in scores.items()
    ]  # fmt: skip
    header = ("network", "agreement", "at most", "any share", "cross-entropy", "at least", "divergence")
    note = (
        "Agreement: mean share of the predicted class, in percent; at most: of the largest; any share: of the pictures "
        "whose predicted class has one. Cross-entropy, its least value and their difference (Kullback-Leibler) in nats."
    )
    return Table(f"{_TITLES.get(which, which)}, against the shares", header, tuple(rows), note)
