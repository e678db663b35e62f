"""The sections of a report: what is shown of data, audit, features, selection, scores, mistakes and provenance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fusionfer.metrics import Scores
from fusionfer.report._boosting_figure import boosting_history_figure
from fusionfer.report._evidence import evidence_table
from fusionfer.report._figures import class_figure, confusion_figure, fold_figure
from fusionfer.report._intervals import interval_table, overall_interval_table
from fusionfer.report._parts import Code, Picture, Section, Sheet
from fusionfer.report._tables import (
    UNDEFINED,
    Table,
    confusion_table,
    heads_table,
    selection_table,
    undefined_table,
)
from fusionfer.report._training_figures import curves_figure, roc_figure
from fusionfer.report._words import class_words, confusion_words, curves_words, fold_words, roc_words

__all__ = [
    "audit_section",
    "curves_picture",
    "data_section",
    "features_section",
    "provenance_section",
    "scores_section",
    "selection_section",
]


def data_section(counts: Mapping[str, Mapping[str, int]], sheets: Sequence[Sheet] = ()) -> Section:
    """Return how many samples each class has in each split, and what they look like.

    Parameters
    ----------
    counts : mapping of str to mapping of str to int
        Split -> label -> samples; "" where there is none.
    sheets : sequence of Sheet
        Sample faces, mean faces.

    Returns
    -------
    Section
    """
    labels = sorted({label for row in counts.values() for label in row})
    rows = [
        (label or "no label", *(f"{row.get(label, 0):,}" for row in counts.values()), f"{n:,}")
        for label in labels
        if (n := sum(row.get(label, 0) for row in counts.values()))
    ]
    sums = [sum(row.values()) for row in counts.values()]
    rows.append(("all", *(f"{n:,}" for n in sums), f"{sum(sums):,}"))
    header = ("class", *(split or "no split" for split in counts), "all splits")
    return Section("Data", (Table("Samples", header, tuple(rows)), *sheets))


def audit_section(found: Mapping[str, Any] | None) -> Section:
    """Return what an audit found.

    Parameters
    ----------
    found : mapping or None
        As `fusionfer.audit.Audit.describe` gives it; None if there was no audit, which is said.

    Returns
    -------
    Section
    """
    if found is None:
        return Section(
            "Audit", ("No audit was given: it is not known whether copies of scored pictures were trained on.",)
        )
    rows: list[tuple[str, str, str]] = []
    for entry, what in [("copies", "copies (equal pixels)"), ("near", "near copies")]:
        groups = found.get(entry)
        if groups is None:  # it was not looked for
            continue
        rows.append((what, f"{len(groups):,}", f"{sum(len(one['ids']) for one in groups):,}"))
        for field, which in [("splits", "in more than one split"), ("labels", "with more than one label")]:
            some = [one for one in groups if len(set(one[field]) - {""}) > 1]
            rows.append((f"{what} {which}", f"{len(some):,}", f"{sum(len(one['ids']) for one in some):,}"))
    persons = found.get("persons", {})
    n_samples = sum(sum(counts.values()) for counts in persons.values())
    rows.append(("persons in more than one split", f"{len(persons):,}", f"{n_samples:,}"))
    rows += [(f"samples of {split} that leak", "", f"{len(ids):,}") for split, ids in found.get("leaked", {}).items()]
    rows += [(f"{what} pictures", "", f"{len(found.get(what, [])):,}") for what in ("blank", "unreadable")]
    note = "A sample leaks where its picture, or its person, stands in an earlier split too."
    title = f"{found.get('name', 'data')}: {found.get('n_samples', 0):,} samples"
    return Section("Audit", (Table(title, ("found", "groups", "samples"), tuple(rows), note), *_ceiling(found)))


def features_section(
    blocks: Mapping[str, Mapping[str, Any]], alike: tuple[Sequence[str], np.ndarray, int] | None = None
) -> Section:
    """Return which blocks there are, where they came from, and how alike they are.

    Parameters
    ----------
    blocks : mapping of str to mapping
        Block -> ``backbone``, ``level``, ``dim``, ``key`` and ``record``, as `fusionfer.persistence.Model` holds them.
    alike : (names, values, n_rows), optional
        What `block_similarity` gave.

    Returns
    -------
    Section
    """
    rows = []
    for name, block in blocks.items():
        weights = block.get("record", {}).get("weights") or {}
        size = (block.get("key", {}).get("preprocess") or {}).get("size")
        known = block.get("key", {}).get("weights_sha256") or weights.get("sha256") or ""
        side = f"{size} x {size}" if isinstance(size, int) else str(size or UNDEFINED)
        rows.append((name, f"{block['dim']:,}", side, str(weights.get("name") or UNDEFINED), known[:8] or UNDEFINED))
    header = ("block", "columns", "input", "weights", "SHA-256 of the weights")
    tables = [Table("Blocks", header, tuple(rows))]
    if alike is not None and len(alike[0]) > 1:
        names, values, n = alike
        cells = [(one, *(_two_digits(value) for value in values[i])) for i, one in enumerate(names)]
        note = (
            f"Linear CKA (Kornblith et al. 2019), debiased, of standardised columns on {n:,} rows: 1 where two blocks "
            "say the same, about 0 where they have nothing in common. Where they differ they can add to each other."
        )
        tables.append(Table("How alike the blocks are", ("block", *names), tuple(cells), note))
    return Section("Features", tuple(tables))


def selection_section(
    selection: Mapping[str, Any],
    tests: Mapping[str, Scores] | None = None,
    history: Mapping[str, np.ndarray] | None = None,
) -> Section:
    """Return what heads and candidates scored, the verdict, and what it rests on.

    Parameters
    ----------
    selection : mapping
        ``Model.selection``.
    tests : mapping of str to Scores, optional
        Scores of the candidates on other samples.
    history : mapping of str to ndarray, optional
        ``history_`` of a boosted head.

    Returns
    -------
    Section
    """
    evidence = selection.get("evidence")
    items: list[str | Table | Picture] = [str(evidence["verdict"])] if evidence else []
    if "heads" in selection:
        best = next((head for head, one in selection["heads"].items() if one["scores"] == selection["scores"]), "")
        items.append(heads_table(selection["heads"], best))
    items.append(selection_table(selection, tests, intervals=True)._replace(title="Candidates"))
    if evidence:
        more = (evidence.get("optimism") or {}).get("sentence", "")  # the verdict stands above
        items.append(evidence_table(evidence)._replace(note=more))
    caption = "Scores of each candidate in each fold, with mean and standard deviation; lines join the same fold."
    items.append(Picture("folds", caption, fold_figure(selection), fold_words(selection)))
    if history:
        caption = "Training, round by round: losses, sizes of trees and steps, gains, and sums of the derivatives."
        items.append(Picture("rounds", caption, boosting_history_figure(history)))
    return Section("Selection", tuple(items))


def scores_section(
    scores: Scores,
    *,
    title: str = "Scores",
    others: Mapping[str, Scores] | None = None,
    y_true: np.ndarray | None = None,
    proba: np.ndarray | None = None,
    prefix: str = "",
) -> Section:
    """Return every figure of an evaluation, with intervals, confusion matrix and ROC curves.

    Parameters
    ----------
    scores : Scores
        Of all samples.
    title : str
        Of the section.
    others : mapping of str to Scores, optional
        Which part of the samples -> its scores, such as "without samples that were trained on".
    y_true : ndarray of str, shape (n,), optional
    proba : ndarray of float, shape (n, K), optional
        With both, and samples of two classes at least, ROC curves are drawn.
    prefix : str
        Of the names of the figures' files.

    Returns
    -------
    Section
    """
    items: list[Table | Picture] = [overall_interval_table(scores)]
    items += [overall_interval_table(other, f"Overall, {what}") for what, other in (others or {}).items()]
    caption = "Of each true class, what it was predicted as."
    items.append(Picture(f"{prefix}confusion", caption, confusion_figure(scores), confusion_words(scores)))
    items += [confusion_table(scores), confusion_table(scores, shares=True)]
    caption = "F1, precision and recall of each class (number of samples)."
    items += [Picture(f"{prefix}classes", caption, class_figure(scores), class_words(scores)), interval_table(scores)]
    if y_true is not None and proba is not None and len(np.unique(y_true)) > 1:
        caption = "ROC curves: how much of a class is found, against how much of the others is taken for it."
        items.append(Picture(f"{prefix}roc", caption, roc_figure(y_true, proba, scores.classes), roc_words(scores)))
    return Section(title, (*items, undefined_table(scores)))


def curves_picture(histories: Mapping[str, Sequence[Mapping[str, float]]]) -> Picture:
    """Return loss and accuracy of each epoch, for ``curves.png``.

    Parameters
    ----------
    histories : mapping of str to sequence of mapping
        As `curves_figure` takes them.

    Returns
    -------
    Picture

    Raises
    ------
    DataError
        If there is no epoch in it.
    """
    figure = curves_figure(histories)
    caption = "Loss and accuracy of each epoch: training broken, validation full."
    return Picture("curves", caption, figure, curves_words(histories))


def provenance_section(facts: Mapping[str, str], commands: Sequence[str] = ()) -> Section:
    """Return by what and how everything was made.

    Parameters
    ----------
    facts : mapping of str to str
        What -> its value; shown as they are.
    commands : sequence of str
        Command lines, in order.

    Returns
    -------
    Section
    """
    table = Table("Made with", ("what", "value"), tuple(facts.items()))
    shown: tuple[str | Code, ...] = (
        ("The commands, as far as the files record them:", Code("\n".join(commands))) if commands else ()
    )
    return Section("Provenance", (table, *shown))


def _ceiling(found: Mapping[str, Any]) -> list[str]:
    """Say what labels of exact copies tell of the best accuracy that there can be, where they tell anything."""
    from fusionfer.images import copies_ceiling

    classes = {label for row in found.get("counts", {}).values() for label in row} - {""}
    groups = [one["labels"] for one in found.get("copies", ())]
    if len(classes) < 2 or not any(sum(map(bool, labels)) > 1 for labels in groups):
        return []
    ceiling = copies_ceiling(groups, len(classes))
    low, high = ceiling.interval
    return [
        f"Two exact copies of one picture have the same label in {100 * ceiling.agreement:.1f} % of {ceiling.n:,} "
        f"pictures with copies. If copies were labelled independently, and other pictures are as hard, no predictor is "
        f"right in more than {100 * ceiling.highest:.1f} % (95 % interval {100 * low:.1f} % to {100 * high:.1f} %)."
    ]


def _two_digits(value: float) -> str:
    return UNDEFINED if math.isnan(value) else f"{value:.2f}".replace("-", "\N{MINUS SIGN}")
