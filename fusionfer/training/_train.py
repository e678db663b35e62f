"""train: networks and optimizers side by side, each to a checkpoint, all in one table."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed

from fusionfer.ensembles import average, find_weights
from fusionfer.exceptions import ExtractionInterrupted, ModelError, unknown_name
from fusionfer.extraction import find_device
from fusionfer.images import FaceSet, SoftLabels
from fusionfer.networks import get_architecture, network_preprocess
from fusionfer.training._data import Part, divide
from fusionfer.training._recipe import Recipe, read_recipe
from fusionfer.training._reporting import report_training
from fusionfer.training._run import Run, TrainedNetwork, scores_of, soft_scores_of

__all__ = ["TrainingResult", "train"]

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """What `train` made.

    Attributes
    ----------
    networks : tuple of TrainedNetwork
        In the order of training; an average of them last.
    classes : tuple of str
    report : Path
        Page with the table, curves, ROC and confusion matrices.
    notes : tuple of str
        What the reader of the figures should know.
    """

    networks: tuple[TrainedNetwork, ...]
    classes: tuple[str, ...]
    report: Path
    notes: tuple[str, ...] = ()


def train(
    faces: FaceSet,
    network: str | Sequence[str] | None = None,
    recipe: str | Path | Recipe = "fer",
    *,
    optimizer: str | Sequence[str] | None = None,
    out: str | Path,
    soft: SoftLabels | None = None,
    seed: int = 0,
    score_test: bool = False,
    resume: bool = True,
    device: str = "auto",
    devices: int = 1,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
    stop: threading.Event | None = None,
    **overrides: Any,
) -> TrainingResult:
    """Train networks end to end, on the split "train", choosing the best epoch on "validation".

    Order, augmentation, mixup and dropout follow from the seed, the epoch and the sample or step, so that on the CPU of
    one machine, with one number of threads, training ends with the same weights whether it was interrupted or not.

    Parameters
    ----------
    faces : FaceSet
        With labels and splits. Without a validation split a part of the training split is held out.
    network : str or sequence of str, optional
        Names of `fusionfer.networks.NETWORKS`, or ``timm:<model>``; by default those of the recipe.
    recipe : str, path or Recipe
        A name of `RECIPES`, or a TOML file.
    optimizer : str or sequence of str, optional
        "sgdm", "adam" or "rmsprop"; by default those of the recipe. Every network is trained with every one.
    out : path
        Folder for everything: the report, and a folder with checkpoint, curves and predictions for each network.
    soft : SoftLabels, optional
        Of all labelled faces of the splits in question, as `FerPlus.soft_labels` makes them: the loss goes by them, in
        training and validation, as their rule says. Accuracy goes by the labels, whatever is learned.
    seed : int
    score_test : bool
        Whether the test split is scored at the end, with and without exact copies of training pictures.
    resume : bool
        Go on where an interrupted training of the same settings in `out` was; else begin anew.
    device : str
        ``auto``, or a device of torch.
    devices : int
        How many devices of that kind share each batch, each with a process of its own: GPUs, or processes on the CPU.
        The batch stays as large as the recipe says, and a training can go on with another number of them.
    progress, say : callable, optional
        Called as ``progress(done, total, what)``, and with a sentence after each epoch.
    stop : threading.Event, optional
        When it is set, whatever runs stops after its step with `ExtractionInterrupted`.
    **overrides
        Fields of the recipe, such as ``epochs=3``; see `read_recipe`.

    Returns
    -------
    TrainingResult

    Raises
    ------
    UnknownNameError, ModelError
        If there is no such network, recipe or key, values are not allowed, `out` holds a training with other
        settings, there are not as many devices, or one of their processes dies.
    DataError
        If the splits cannot be trained on.
    WeightsError, WeightsUnavailableError
        If the weights to begin with do not fit or are not to be had.
    NonFiniteFeaturesError
        If training diverges.

    Examples
    --------
    >>> from fusionfer.images import read_faces
    >>> result = train(read_faces("fer2013.zip"), "resnet34", out="trained", epochs=3)  # doctest: +SKIP
    >>> result.networks[0].scores["validation"].accuracy  # doctest: +SKIP
    """
    chosen = read_recipe(recipe, **overrides)
    networks = _names(network) or chosen.networks
    optimizers = _names(optimizer) or chosen.optimizers
    settled = {name: _settled(chosen, name) for name in networks}
    for name in chosen.weights_by_network():
        if name and name not in networks:
            raise unknown_name("network with weights", name, networks, plural="networks of this training")
    for one in optimizers:
        chosen.settings(one)
    where, device_ = Path(out), find_device(device)
    progress = _watched(progress, stop)
    _check_devices(devices, device_)
    split, notes = divide(faces, chosen.holdout, seed, test=score_test)
    share = min(chosen.batch_size, *(len(split[which]) for which in ("train", "validation")))
    if share < devices:
        msg = f"{devices} devices have no picture each: a batch, or the split validation, has {share}. Take fewer."
        raise ModelError(msg)
    classes = split["train"].classes
    if soft is not None:  # an error before anything is decoded
        for some in split.values():
            soft.take(some.ids, classes)
    trained: list[TrainedNetwork] = []
    parts: dict[str, Part] = {}
    for name in networks:
        size = settled[name].size
        if not parts or parts["train"].pictures.size != size:
            parts = {which: Part.read(some, classes, size, progress, soft) for which, some in split.items()}
        for one in optimizers:
            rule = "majority" if soft is None else soft.rule
            run = Run(name, one, settled[name], seed, classes, parts, where, device_, devices, rule)
            trained.append(run.result(resume=resume, progress=progress, say=say, data=faces.name))
    notes = (*notes, *_copies(parts))
    if chosen.average and len(trained) > 1:
        trained.append(_averaged(trained, parts, classes))
    report = report_training(where, chosen, trained, parts, notes)
    return TrainingResult(tuple(trained), classes, report, notes)


def _check_devices(devices: int, device: torch.device) -> None:
    """Refuse numbers of devices that are not there."""
    if isinstance(devices, bool) or not isinstance(devices, int) or devices < 1:
        msg = f"devices (--devices) must be a whole number from 1, got {devices!r}."
        raise ModelError(msg)
    if devices == 1:
        return
    if device.type == "mps" or not distributed.is_available():
        why = "mps is a single device" if device.type == "mps" else "this torch was built without torch.distributed"
        msg = f"devices (--devices) must be 1 here, got {devices}: {why}."
        raise ModelError(msg)
    if device.index is not None:
        msg = (
            f"{devices} devices are the first {devices} of their kind: give device {device.type!r} instead of "
            f"'{device}', and choose GPUs by CUDA_VISIBLE_DEVICES."
        )
        raise ModelError(msg)
    there, what = (torch.cuda.device_count(), "GPUs") if device.type == "cuda" else (os.cpu_count() or 1, "CPU cores")
    if devices > there:
        msg = f"devices (--devices) is at most the number of {what}, {there} here, got {devices}."
        raise ModelError(msg)


def _watched(progress: Progress | None, stop: threading.Event | None) -> Progress | None:
    """Return a progress that also looks whether all is to stop: decoding, training and predicting call it."""
    if stop is None:
        return progress

    def watched(done: int, total: int, what: str) -> None:
        if stop.is_set():
            msg = f"{what}: stopped; the same command goes on after the last finished epoch."
            raise ExtractionInterrupted(msg)
        if progress is not None:
            progress(done, total, what)

    return watched


def _settled(recipe: Recipe, network: str) -> Recipe:
    """Return the recipe with the size, mean and deviation that are the network's own where it names none."""
    architecture = get_architecture(network)
    preprocess = network_preprocess(network, recipe.size or None)
    settled = replace(
        recipe, size=preprocess.size, crop=recipe.crop or preprocess.size,
        mean=recipe.mean or preprocess.mean, std=recipe.std or preprocess.std, weights=recipe.weights_of(network),
    )  # fmt: skip
    if settled.crop > settled.size or (architecture.composed and settled.crop < settled.size):
        allowed = f"{settled.size}" if architecture.composed else f"at most {settled.size}"
        msg = f"{network} is built for pictures of {settled.size} pixels: crop must be {allowed}, got {settled.crop}."
        raise ModelError(msg)
    architecture.resolve(settled.options)
    return settled


def _averaged(trained: Sequence[TrainedNetwork], parts: Mapping[str, Part], classes: Sequence[str]) -> TrainedNetwork:
    """Return the weighted average of networks, the weights found on the validation split."""
    labels = parts["validation"].targets
    weights = find_weights([one.proba["validation"] for one in trained], labels)
    proba = {which: average([one.proba[which] for one in trained], weights) for which in trained[0].proba}
    shares = " + ".join(f"{weight:.2f} {one.name}" for weight, one in zip(weights, trained, strict=True))
    scores, soft = scores_of(proba, parts, classes), soft_scores_of(proba, parts)
    return TrainedNetwork(f"average ({shares})", None, (), proba, scores, soft)


def _copies(parts: Mapping[str, Part]) -> list[str]:
    """Say how many pictures of the other splits are exact copies of training pictures."""
    notes = []
    for which, part in parts.items():
        n = 0 if which == "train" else int(np.sum(~part.unlike(parts["train"])))
        if n:
            notes.append(f"{n:,} of {len(part.faces):,} pictures of {which} are exact copies of training pictures.")
    return notes


def _names(given: str | Sequence[str] | None) -> tuple[str, ...]:
    names = (given,) if isinstance(given, str) else tuple(given or ())
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        msg = f"Each network and optimizer can be named once; more than once: {', '.join(twice)}."
        raise ModelError(msg)
    return names
