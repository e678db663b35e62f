"""The pages of an evaluation and of a fit: which facts they show, and in which order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fusionfer.evaluation import Evaluation, training_history
from fusionfer.features import Features
from fusionfer.images import SPLITS
from fusionfer.metrics import Scores
from fusionfer.persistence import Model
from fusionfer.report import (
    Section,
    audit_section,
    block_similarity,
    data_section,
    describe_intervals,
    features_section,
    provenance_section,
    scores_section,
    selection_section,
    write_report,
)
from fusionfer.reporting._commands import extract_command, fit_command
from fusionfer.reporting._faces import Album, mistake_sheets, sample_sheets

__all__ = ["report_evaluation", "report_fit"]

_UNSEEN = "without samples that were trained on"
_CLEAN = "without samples that were trained on, and without copies of such"
_WORDS = {_UNSEEN: "that were not trained on", _CLEAN: "of which no copy was, either"}


def report_evaluation(
    folder: str | Path,
    evaluation: Evaluation,
    *,
    title: str,
    model: Model | None = None,
    features: Features | None = None,
    cache: str = "CACHE",
    album: Album | None = None,
    audit: Mapping[str, Any] | None = None,
    tests: Mapping[str, Scores] | None = None,
    others: Mapping[str, Scores] | None = None,
    lead: str = "",
    notes: Sequence[str] = (),
    sections: Sequence[Section] = (),
    facts: Mapping[str, str] | None = None,
    commands: Sequence[str] = (),
    data: Mapping[str, Any] | None = None,
) -> Path:
    """Write the report of one evaluation into a folder: a page, the same in Markdown and JSON, and the figures.

    Parameters
    ----------
    folder : path
        Made if it does not exist.
    evaluation : Evaluation
    title : str
        Heading.
    model : Model, optional
        Adds how it was selected and made.
    features : Features, optional
        Those that were scored, or more: adds the data, and how alike blocks are.
    cache : str
        Folder of the features, as commands name it.
    album : Album, optional
        Adds sample faces, mean faces, and the mistakes as pictures.
    audit : mapping, optional
        What `fusionfer.audit.Audit.describe` gives.
    tests : mapping of str to Scores, optional
        Scores of the candidates on the same samples.
    others : mapping of str to Scores, optional
        More parts of the samples -> scores of these alone, such as "without ...".
    lead : str
        The one sentence that a hurried reader should read; by default accuracy and number of samples.
    notes : sequence of str
        What limits the result, beside the notes of the evaluation.
    sections : sequence of Section
        More to show, before the scores.
    facts : mapping of str to str, optional
        More on how it was made: what -> its value.
    commands : sequence of str
        Command lines; those that cache and model record come first.
    data : mapping, optional
        More for ``scores.json``.

    Returns
    -------
    Path
        Of ``index.html``.

    Raises
    ------
    ReportError
        If something cannot be written.
    DataError
        If a picture of the album is another one than was scored.
    ImageError
        If one cannot be read.
    """
    scores, parts = evaluation.scores, _parts(evaluation)
    shown: list[Section] = [*_about_data(features, album, audit), *_about_features(model, features)]
    shown += _about_selection(model, tests)
    shown += sections
    shown.append(
        scores_section(scores, others={**parts, **(others or {})}, y_true=evaluation.y_true, proba=evaluation.proba)
    )
    if album is not None:
        said = (evaluation.ids, evaluation.y_true, evaluation.y_pred, evaluation.proba)
        shown.append(Section("Mistakes", tuple(mistake_sheets(album, *said, scores.classes))))
    shown += _about_making(model, cache, commands, facts)
    default = f"{100 * scores.accuracy:.1f} % of {scores.n:,} samples are predicted right"
    default += "".join(
        f", and {100 * one.accuracy:.1f} % of the {one.n:,} {_WORDS[what]}" for what, one in parts.items()
    )
    return write_report(
        folder,
        title=title,
        lead=lead or f"{default}.",
        notes=[*notes, *evaluation.notes],
        sections=shown,
        data={
            "split": evaluation.split,
            **(data or {}),
            **_numbers(model, tests, audit),
            "scores": scores.to_dict(),
            "intervals": describe_intervals(scores),
            **({"others": {what: one.to_dict() for what, one in others.items()}} if others else {}),
            **({"unseen": evaluation.unseen_scores.to_dict()} if evaluation.unseen_scores else {}),
            **({"clean": evaluation.clean_scores.to_dict()} if evaluation.clean_scores else {}),
        },
    )


def report_fit(
    folder: str | Path,
    features: Features | None,
    model: Model,
    *,
    title: str,
    notes: Sequence[str] = (),
    cache: str = "CACHE",
    audit: Mapping[str, Any] | None = None,
    commands: Sequence[str] = (),
) -> Path:
    """Write the report of a fit: the data, the features, and how the model was selected; it scores nothing anew.

    Parameters
    ----------
    folder : path
        Made if it does not exist.
    features : Features or None
        That it was fitted on, where they are at hand.
    model : Model
        That `fusionfer.fitting.fit` made.
    title : str
        Heading.
    notes, cache, audit, commands
        As in `report_evaluation`.

    Returns
    -------
    Path
        Of ``index.html``.

    Raises
    ------
    ReportError
        If something cannot be written.
    """
    return write_report(
        folder,
        title=title,
        lead=str(model.selection.get("reason", "")),
        notes=notes,
        sections=[
            *_about_data(features, None, audit),
            *_about_features(model, features),
            *_about_selection(model, None),
            *_about_making(model, cache, commands),
        ],
        data=_numbers(model, None, audit),
    )


def _parts(evaluation: Evaluation) -> dict[str, Scores]:
    """Scores of parts of the samples that say more about new faces than those of all."""
    found = {_UNSEEN: evaluation.unseen_scores, _CLEAN: evaluation.clean_scores if evaluation.leaked.any() else None}
    return {what: scores for what, scores in found.items() if scores is not None}


def _about_data(features: Features | None, album: Album | None, audit: Mapping[str, Any] | None) -> list[Section]:
    if features is not None:
        splits, labels = features.splits, features.y
    elif album is not None:
        splits, labels = album.faces.splits, album.faces.labels
    else:
        return [] if audit is None else [audit_section(audit)]
    counts = Counter(zip(splits.tolist(), labels.tolist(), strict=True))
    order = [split for split in (*SPLITS, "") if any(one == split for one, _ in counts)]
    by_split = {split: {label: n for (one, label), n in sorted(counts.items()) if one == split} for split in order}
    sheets = sample_sheets(album.faces) if album is not None else ()
    return [data_section(by_split, sheets), audit_section(audit)]


def _about_features(model: Model | None, features: Features | None) -> list[Section]:
    blocks = {} if model is None else dict(model.blocks)
    if features is not None:
        blocks = {**{name: features.block_record(name) for name in features.blocks}, **blocks}
    if not blocks:
        return []
    alike = None
    if features is not None and len(features.blocks) > 1 and len(features) > 3:
        alike = block_similarity(features.X, features.blocks)
    return [features_section(blocks, alike)]


def _about_selection(model: Model | None, tests: Mapping[str, Scores] | None) -> list[Section]:
    if model is None or not model.selection.get("scores"):
        return []
    return [selection_section(model.selection, tests, training_history(model))]


def _about_making(
    model: Model | None, cache: str, commands: Sequence[str], more: Mapping[str, str] | None = None
) -> list[Section]:
    facts: dict[str, str] = dict(more or {})
    recorded: list[str] = []
    if model is not None:
        path = str(model.path or "model.fusionfer")
        training = model.training
        params = ", ".join(f"{name}={value}" for name, value in (training.get("params") or {}).items())
        data = dict.fromkeys(str(b["record"].get("data")) for b in model.blocks.values() if b["record"].get("data"))
        facts |= {
            "model": path,
            "data": ", ".join(data),
            "head": str(training.get("head", "")),
            "parameters": params,
            "trained on": f"{training['n']:,} samples of {training.get('split', '')}" if training.get("n") else "",
            "scaling": str(training.get("scale") or "none"),
            "seed": str(training.get("random_state", "")),
            "written": model.created,
            "versions": ", ".join(f"{name} {version}" for name, version in model.versions.items()),
        }
        recorded = [extract_command(model.blocks, cache), fit_command(model.selection, training, cache, path)]
        if "fusionfer fit" in " ".join(commands):  # the real one is better than the one that is rebuilt
            recorded.pop()
    lines = [line for line in (*recorded, *commands) if line]
    known = {what: value for what, value in facts.items() if value}
    return [provenance_section(known, lines)] if known or lines else []


def _numbers(
    model: Model | None, tests: Mapping[str, Scores] | None, audit: Mapping[str, Any] | None
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if model is not None:
        found["selection"] = model.selection
        found["blocks"] = model.blocks
        found["training"] = {name: value for name, value in model.training.items() if "fingerprints" not in name}
    if tests:
        found["tests"] = {name: one.to_dict() for name, one in tests.items()}
    if audit is not None:
        found["audit"] = {name: audit[name] for name in ("name", "n_samples", "counts", "leaks") if name in audit}
    return found
