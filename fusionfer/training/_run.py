"""One network with one optimizer: trained, gone on with or found; predicted, scored and written down."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fusionfer.backbones import Preprocess
from fusionfer.exceptions import ModelError, WeightsError
from fusionfer.fusion import fingerprints
from fusionfer.metrics import Scores, SoftScores, score, score_shares
from fusionfer.networks import (
    CheckpointInfo,
    build_network,
    load_network,
    read_checkpoint,
    read_state_dict,
    save_checkpoint,
)
from fusionfer.training._batches import TrainingBatches, ViewingBatches
from fusionfer.training._data import Part, fingerprint
from fusionfer.training._predicting import predict_pictures
from fusionfer.training._recipe import Recipe
from fusionfer.training._reporting import read_probabilities, report_run, write_probabilities
from fusionfer.training._schedules import best_epoch

__all__ = ["Run", "TrainedNetwork", "scores_of", "soft_scores_of"]

Progress = Callable[[int, int, str], None]

#: Name of the split of test pictures that are no exact copies of training pictures.
WITHOUT_COPIES = "test without copies"


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """One network, trained with one optimizer.

    Attributes
    ----------
    name : str
        ``<network>-<optimizer>``; also of its folder.
    checkpoint : Path or None
        Its file; None for an average of networks.
    history : tuple of dict
        One for each epoch: rate, and loss and accuracy in training and validation.
    proba : dict of str to ndarray of float64, shape (n, n_classes)
        Split -> probabilities.
    scores : dict of str to Scores
        Split -> figures: "validation", and where asked for "test" and "test without copies".
    soft_scores : dict of str to SoftScores
        Split -> figures against the shares of the classes, where it was trained on soft labels.
    """

    name: str
    checkpoint: Path | None
    history: tuple[dict[str, float], ...] = field(repr=False)
    proba: dict[str, np.ndarray] = field(repr=False)
    scores: dict[str, Scores] = field(repr=False)
    soft_scores: dict[str, SoftScores] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Run:
    """One network with one optimizer: where its files lie, and how it is made or found."""

    network: str
    optimizer: str
    recipe: Recipe
    seed: int
    classes: tuple[str, ...]
    parts: Mapping[str, Part]
    out: Path
    device: torch.device
    devices: int = 1
    targets: str = "majority"

    @property
    def name(self) -> str:
        """``<network>-<optimizer>``, fit for a file."""
        return f"{self.network.replace(':', '.').replace('/', '.')}-{self.optimizer}"

    @property
    def folder(self) -> Path:
        """Where everything of this run lies."""
        return self.out / self.name

    @property
    def checkpoint(self) -> Path:
        """The finished network; it is there once training has ended."""
        return self.folder / f"{self.name}.safetensors"

    def result(self, *, resume: bool, progress: Progress | None, say: Any, data: str) -> TrainedNetwork:
        """Train, or go on, or take what has been trained; then predict, score and write everything down."""
        self._begin(resume)
        finished = self.checkpoint.exists()
        network, history = self._found() if finished else self._trained(progress, say)
        proba = {which: self._predicted(which, network, finished, progress) for which in self.parts if which != "train"}
        scores = scores_of(proba, self.parts, self.classes)
        if not finished:
            self._save(network, history, scores, data)
        soft = soft_scores_of(proba, self.parts)
        made = TrainedNetwork(self.name, self.checkpoint, tuple(history), proba, scores, soft)
        report_run(self.folder, made, self.recipe, self.parts, self.classes)
        return made

    def _found(self) -> tuple[nn.Module, list[dict[str, float]]]:
        network, info = load_network(self.checkpoint)
        history = info.metrics.get("history")
        if not isinstance(history, list) or not history:
            msg = f"{self.checkpoint} holds no history of a training. Move it away, or train anew with resume=False."
            raise ModelError(msg)
        return network, history

    def _predicted(self, which: str, network: nn.Module, finished: bool, progress: Progress | None) -> np.ndarray:
        """Return the probabilities of a split; those of a finished network may stand in its folder."""
        path, part = self.folder / f"{which}.csv", self.parts[which]
        known = read_probabilities(path, part, self.classes) if finished else None
        if known is not None:
            return known
        proba = predict_pictures(
            network, part.pictures, self.recipe, self.recipe.tta, device=self.device, progress=progress
        )
        write_probabilities(path, part, self.classes, proba)
        return proba

    def _save(self, network: nn.Module, history: Sequence[Any], scores: Mapping[str, Scores], data: str) -> None:
        """Write the checkpoint; what only served to go on is then no longer needed."""
        recipe, train, validation = self.recipe, self.parts["train"], self.parts["validation"]
        before = _seen_before(recipe.weights)
        info = CheckpointInfo(
            self.network,
            self.classes,
            Preprocess(recipe.size, recipe.mean, recipe.std),  # type: ignore[arg-type]
            stem=recipe.stem,
            options=recipe.options,
            recipe={**recipe.describe(), "optimizer": self.optimizer, "seed": self.seed},
            metrics={
                "history": list(history),
                "best_epoch": best_epoch(recipe, history) + 1,
                **{which: _figures(one) for which, one in scores.items()},
            },
            data={
                "name": data,
                "split": "train",
                "n": len(train.faces),
                "n_validation": len(validation.faces),
                "sha256": fingerprint([train, validation]),
                **self._soft(),
            },
            trained_on=_joined(fingerprints(train.pictures.digests), before[0]),
            selected_on=_joined(fingerprints(validation.pictures.digests), before[1]),
        )
        save_checkpoint(self.checkpoint, network.cpu(), info)
        self._state.unlink(missing_ok=True)

    def _soft(self) -> dict[str, str]:
        """What is written down of soft labels; nothing where there are none, as of trainings before there were any."""
        return {} if self.parts["train"].shares is None else {"targets": self.targets}

    @property
    def _state(self) -> Path:
        return self.folder / "last.ckpt"

    def _begin(self, resume: bool) -> None:
        """Make sure that what lies in the folder is of the same settings."""
        settings = {
            "network": self.network,
            "optimizer": self.optimizer,
            "seed": self.seed,
            "classes": list(self.classes),
            "pictures": fingerprint([self.parts["train"], self.parts["validation"]]),
            "recipe": self.recipe.describe(),
            "weights": read_state_dict(self.recipe.weights).sha256 if Path(self.recipe.weights).is_file() else "",
            **self._soft(),
        }
        path = self.folder / "settings.json"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not resume:
                for old in (self.checkpoint, self._state, *(self.folder / f"{which}.csv" for which in self.parts)):
                    old.unlink(missing_ok=True)
            elif path.exists() and (self.checkpoint.exists() or self._state.exists()):
                _compare(json.loads(path.read_text()), settings, path)
            part = path.with_name(f".{path.name}.part")
            part.write_text(json.dumps(settings, indent=1, ensure_ascii=False) + "\n")
            part.replace(path)
        except ModelError:
            raise
        except (OSError, ValueError) as error:
            msg = f"{path} cannot be used: {error}. Give another folder, or train anew with resume=False (--restart)."
            raise ModelError(msg) from error

    def _trained(self, progress: Progress | None, say: Any) -> tuple[Any, list[Any]]:
        """Return the network with the weights of its best epoch, and the history."""
        from fusionfer.training._learner import Learner  # Lightning takes seconds, which predicting does not need
        from fusionfer.training._ranks import fit_on_ranks

        recipe = self.recipe
        train, validation = self.parts["train"], self.parts["validation"]
        network = build_network(
            self.network,
            len(self.classes),
            size=recipe.size,
            stem=recipe.stem,
            weights=recipe.weights,
            seed=self.seed,
            freeze=recipe.freeze,
            **recipe.options,
        ).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        hard = np.bincount(train.targets, minlength=len(self.classes))
        counts = hard if train.shares is None else train.shares.sum(axis=0, dtype=np.float64)
        weights = torch.from_numpy((counts.sum() / (len(counts) * counts)).astype(np.float32))
        learner = Learner(
            network,
            recipe,
            self.optimizer,
            class_weights=weights if recipe.balance == "loss" else None,
            any_of=self.targets == "multi-target",
            name=self.name,
            progress=progress,
            say=say,
        )
        epoch = partial(getattr, learner, "current_epoch")  # a lambda could not go to another process
        loaders = (
            TrainingBatches(train.pictures, train.targets, recipe, self.seed, epoch, train.shares),
            ViewingBatches(validation.pictures, validation.targets, recipe.batch_size, validation.shares),
        )
        fit_on_ranks(learner, loaders, self._state, device=self.device, recipe=recipe, ranks=self.devices)
        network.load_state_dict(learner.best)
        return network, learner.history


def scores_of(proba: Mapping[str, np.ndarray], parts: Mapping[str, Part], classes: Sequence[str]) -> dict[str, Scores]:
    """Score the probabilities of each split.

    Parameters
    ----------
    proba : mapping of str to ndarray of float64, shape (n, n_classes)
        Split -> probabilities, in the order of `parts`' faces.
    parts : mapping of str to Part
        The same splits, and "train".
    classes : sequence of str
        Names of the columns.

    Returns
    -------
    dict of str to Scores
        With "test", also that of its pictures that are no exact copies of training pictures.
    """
    found = {}
    names = np.asarray(classes)
    for which, values in proba.items():
        labels = parts[which].faces.labels
        found[which] = score(labels, names[values.argmax(axis=1)], values, classes)
        if which == "test":
            new = parts["test"].unlike(parts["train"])
            if new.any():
                found[WITHOUT_COPIES] = score(labels[new], names[values[new].argmax(axis=1)], values[new], classes)
    return found


def soft_scores_of(proba: Mapping[str, np.ndarray], parts: Mapping[str, Part]) -> dict[str, SoftScores]:
    """Compare the probabilities of each split with its shares; nothing where it has none."""
    shares = {which: parts[which].shares for which in proba}
    return {which: score_shares(found, proba[which]) for which, found in shares.items() if found is not None}


def _seen_before(weights: str) -> tuple[str, str]:
    """Return the fingerprints of what weights to begin with were trained on and selected by, if they say it."""
    if not Path(weights).is_file():
        return "", ""
    try:
        info, _ = read_checkpoint(weights)
    except WeightsError:  # a plain state dict, which says nothing
        return "", ""
    return info.trained_on, info.selected_on


def _joined(one: str, other: str) -> str:
    """Return the fingerprints of both, sorted, each once."""
    length = len(fingerprints(["any"]))
    marks = {text[i : i + length] for text in (one, other) for i in range(0, len(text), length)}
    return "".join(sorted(marks))


def _figures(scores: Scores) -> dict[str, float | None]:
    everything = scores.to_dict()
    return {
        "n": scores.n,
        "accuracy": scores.accuracy,
        "macro_f1": everything["macro"]["f1"],
        "roc_auc": everything["roc_auc"],
    }


def _compare(old: Mapping[str, Any], new: Mapping[str, Any], path: Path) -> None:
    """Refuse to go on with a training of other settings, naming what differs."""
    if not isinstance(old, dict) or not isinstance(old.get("recipe"), dict):
        msg = (
            f"{path} holds no settings of a training. Give another folder, or train anew with resume=False (--restart)."
        )
        raise ModelError(msg)
    before, now = ({**one, **{f"recipe: {k}": v for k, v in one["recipe"].items()}} for one in (old, new))
    differing = [
        key for key in sorted(before.keys() | now.keys()) if key != "recipe" and before.get(key) != now.get(key)
    ]
    if differing:
        shown = [f"{key} ({str(before.get(key))[:40]}, now {str(now.get(key))[:40]})" for key in differing[:5]]
        msg = (
            f"{path.parent} holds a training with other settings: {', '.join(shown)}. Give another folder, or train "
            "anew with resume=False (--restart)."
        )
        raise ModelError(msg)
