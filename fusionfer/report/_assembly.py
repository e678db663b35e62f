"""The report of one evaluation: what is shown, and in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fusionfer.metrics import Scores
from fusionfer.report._boosting_figure import boosting_history_figure
from fusionfer.report._figures import class_figure, confusion_figure, faces_figure, fold_figure
from fusionfer.report._html import Picture, write_report
from fusionfer.report._tables import class_table, confusion_table, overall_table, selection_table, undefined_table

__all__ = ["report_scores"]


def report_scores(
    folder: str | Path,
    scores: Scores,
    *,
    title: str,
    lead: str = "",
    notes: Sequence[str] = (),
    selection: Mapping[str, Any] | None = None,
    tests: Mapping[str, Scores] | None = None,
    faces: tuple[Sequence[np.ndarray], Sequence[str]] | None = None,
    history: Mapping[str, np.ndarray] | None = None,
    data: Mapping[str, Any] | None = None,
    unseen: Scores | None = None,
) -> Path:
    """Write the report of one evaluation into a folder.

    Parameters
    ----------
    folder : path
        Made if it does not exist.
    scores : Scores
        Of the model on the samples that it was evaluated on.
    title : str
        Heading.
    lead : str
        The one sentence that a hurried reader should read; by default accuracy and number of samples.
    notes : sequence of str
        What limits the result.
    selection : mapping, optional
        ``Model.selection``: what each candidate scored in the folds, and which was kept.
    tests : mapping of str to Scores, optional
        Scores of the candidates on the same samples.
    faces : (pixels, captions), optional
        A sheet of faces.
    history : mapping of str to ndarray, optional
        ``history_`` of a boosted head.
    data : mapping, optional
        More for ``scores.json``, beside the scores and the selection.
    unseen : Scores, optional
        Of the samples alone that nothing was trained on, where others were.

    Returns
    -------
    Path
        Of ``index.html``.

    Raises
    ------
    ReportError
        If something cannot be written.
    """
    chosen = selection if selection and selection.get("scores") else None
    tables = [overall_table(scores), class_table(scores), confusion_table(scores), undefined_table(scores)]
    if unseen:
        tables.insert(1, overall_table(unseen)._replace(title="Overall, without samples that were trained on"))
    figures = [
        Picture(
            "confusion", "Confusion matrix: of each true class, what it was predicted as.", confusion_figure(scores)
        ),
        Picture("classes", "F1, precision and recall of each class (number of samples).", class_figure(scores)),
    ]
    if chosen:
        tables.insert(0, selection_table(chosen, tests))
        caption = "Scores of each candidate in each fold, with mean and standard deviation; lines join the same fold."
        figures.insert(0, Picture("folds", caption, fold_figure(chosen)))
    if history:
        caption = "Training, round by round: losses, sizes of trees and steps, gains, and sums of the derivatives."
        figures.append(Picture("rounds", caption, boosting_history_figure(history)))
    if faces and len(faces[0]):
        figures.append(Picture("faces", "Some of the faces.", faces_figure(*faces)))
    default = f"{100 * scores.accuracy:.1f} % of {scores.n:,} samples are predicted right"
    default += f", and {100 * unseen.accuracy:.1f} % of the {unseen.n:,} that were not trained on." if unseen else "."
    return write_report(
        folder,
        title=title,
        lead=lead or default,
        notes=notes,
        tables=tables,
        figures=figures,
        data={
            **(data or {}),
            "scores": scores.to_dict(),
            **({"unseen": unseen.to_dict()} if unseen else {}),
            **({"selection": dict(chosen)} if chosen else {}),
            **({"tests": {name: test.to_dict() for name, test in tests.items()}} if tests else {}),
        },
    )
