"""The folder that ``fusionfer train`` leaves: every network's figures, and the best one in full."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fusionfer.evaluation import Evaluation
from fusionfer.exceptions import DataError, unknown_name
from fusionfer.metrics import Scores, score
from fusionfer.report import Section, curves_picture, training_table
from fusionfer.reporting._faces import Album
from fusionfer.reporting._pages import report_evaluation

__all__ = ["Said", "Training", "is_training", "read_training", "report_networks"]

_SETTINGS, _HISTORY = "settings.json", "history.csv"
_DRAWN = ("epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy")  # of a history
_OWN = 3  # columns before those of the classes


@dataclass(frozen=True, eq=False)
class Said:
    """What one network says of the pictures of a split.

    Attributes
    ----------
    ids, y_true, y_pred, splits, digests : ndarray of str, shape (n,)
    proba : ndarray of float64, shape (n, K)
    scores : Scores
    """

    ids: np.ndarray
    y_true: np.ndarray
    y_pred: np.ndarray
    splits: np.ndarray
    digests: np.ndarray
    proba: np.ndarray
    scores: Scores


@dataclass(frozen=True, eq=False)
class Training:
    """What a training left.

    Attributes
    ----------
    name : str
        Of its folder.
    split : str
        Which was asked for.
    networks : dict of str to Said
        Those that are finished and were scored on the split.
    chosen : str
        The network that is best on the validation split, or the first where that was not scored.
    histories : dict of str to list of dict of str to float
        Their epochs.
    settings : dict of str to dict
        What was asked for.
    copies : Scores or None
        Of the chosen network, without pictures that are copies of training pictures, where there were some.
    """

    name: str
    split: str
    networks: dict[str, Said]
    chosen: str
    histories: dict[str, list[dict[str, float]]]
    settings: dict[str, dict[str, Any]]
    copies: Scores | None

    @property
    def best(self) -> Said:
        """What the chosen network says."""
        return self.networks[self.chosen]


def is_training(folder: Path) -> bool:
    """Tell whether a folder is one that ``fusionfer train`` filled."""
    return any(folder.glob(f"*/{_SETTINGS}"))


def read_training(folder: Path, split: str) -> Training:
    """Read what the finished networks of a folder say of a split.

    Raises
    ------
    UnknownNameError
        If no network was scored on the split.
    DataError
        If a file is damaged, or no network is finished.
    """
    networks, histories, settings, validated = {}, {}, {}, {}
    finished = [path.parent for path in sorted(folder.glob(f"*/{_SETTINGS}")) if (path.parent / _HISTORY).is_file()]
    if not finished:
        msg = f"{folder}: no network has finished yet; run the same fusionfer train again, which goes on."
        raise DataError(msg)
    for one in finished:
        if not (one / f"{split}.csv").is_file():
            continue
        try:
            settings[one.name] = dict(json.loads((one / _SETTINGS).read_bytes()))
            histories[one.name] = _read_history(one / _HISTORY)
            networks[one.name] = _read_said(one / f"{split}.csv", split)
            if (one / "validation.csv").is_file():
                validated[one.name] = _read_said(one / "validation.csv", "validation").scores.accuracy
        except (OSError, ValueError, TypeError, IndexError, KeyError, csv.Error) as error:
            msg = f"{one} cannot be read: {' '.join(str(error).split())}. Run fusionfer train again to write it anew."
            raise DataError(msg) from error
    if not networks:
        scored = {name for name in ("validation", "test") for one in finished if (one / f"{name}.csv").is_file()}
        raise unknown_name("split that was scored", split, scored, plural="scored splits")
    chosen = max(networks, key=lambda name: validated.get(name, -1.0))
    copies = _without_copies(folder / chosen, split)
    return Training(folder.resolve().name, split, networks, chosen, histories, settings, copies)


def report_networks(
    folder: str | Path,
    training: Training,
    *,
    album: Album | None = None,
    audit: Mapping[str, Any] | None = None,
    commands: Sequence[str] = (),
) -> Path:
    """Write the report of a training: all networks side by side, and the best one in full.

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
    """
    best = training.best
    nothing = np.zeros(len(best.ids), dtype=bool)
    evaluation = Evaluation(
        best.ids, best.y_true, best.y_pred, best.proba, best.scores, training.split, (), nothing, None, nothing, None
    )
    title = f"Networks on {training.split}"
    table = training_table({name: said.scores for name, said in training.networks.items()}, title)
    networks = Section("Networks", (table, curves_picture(training.histories)))
    return report_evaluation(
        folder,
        evaluation,
        title=f"{training.name}: {training.chosen} on {training.split}",
        album=album,
        audit=audit,
        others={"without copies of training pictures": training.copies} if training.copies else None,
        sections=[networks],
        facts=_facts(training),
        commands=commands,
        data={
            "network": training.chosen,
            "networks": {name: said.scores.to_dict() for name, said in training.networks.items()},
            "histories": training.histories,
            "settings": training.settings,
        },
    )


def _facts(training: Training) -> dict[str, str]:
    """Return what the chosen network was trained by."""
    settings = training.settings[training.chosen]
    recipe = settings.get("recipe") or {}
    named: dict[str, str] = {what: str(settings[what]) for what in ("network", "optimizer", "seed") if what in settings}
    wanted = ("weights", "size", "epochs", "batch_size", "schedule", "mixup", "ema", "tta")
    chosen = ", ".join(f"{name}={recipe[name]}" for name in wanted if name in recipe)
    return {**named, "recipe": f"{recipe.get('name', '')}: {chosen}"} if recipe else named


def _without_copies(folder: Path, split: str) -> Scores | None:
    """Return the scores that the training gave without copies of training pictures, None where there are none."""
    try:
        return Scores.from_dict(json.loads((folder / "scores.json").read_bytes())["scores"][f"{split} without copies"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _read_history(path: Path) -> list[dict[str, float]]:
    with path.open(encoding="utf-8", newline="") as file:
        epochs = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    missing = [name for name in _DRAWN for epoch in epochs if name not in epoch]
    if missing:
        msg = f"{path.name} has no {missing[0]}"
        raise ValueError(msg)
    return epochs


def _read_said(path: Path, split: str) -> Said:
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file))
    classes = header[_OWN:]
    proba = np.array([[float(value) for value in row[_OWN:]] for row in rows]).reshape(len(rows), len(classes))
    ids, labels, digests = (np.array([row[k] for row in rows], dtype=np.str_) for k in range(_OWN))
    y_pred = np.array(classes, dtype=np.str_)[proba.argmax(axis=1)]
    splits = np.full(len(rows), split)
    return Said(ids, labels, y_pred, splits, digests, proba, score(labels, y_pred, proba, classes=classes))
