"""What a trained network says of faces, with or without several views of each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from fusionfer.exceptions import ModelError, NonFiniteFeaturesError, unknown_name
from fusionfer.extraction import find_device
from fusionfer.images import FaceSet
from fusionfer.networks import CheckpointInfo, load_network
from fusionfer.training._augmentation import views
from fusionfer.training._pictures import Pictures
from fusionfer.training._recipe import Recipe, read_recipe

__all__ = ["TTA", "predict_network", "predict_pictures"]

TTA = ("none", "flip", "ten-crop")

Progress = Callable[[int, int, str], None]


def predict_network(
    path: str | Path,
    faces: FaceSet,
    *,
    tta: str | None = None,
    batch_size: int = 64,
    device: str = "auto",
    progress: Progress | None = None,
) -> np.ndarray:
    """Predict with the checkpoint of a trained network.

    Parameters
    ----------
    path : str or Path
        A file that `train` wrote.
    faces : FaceSet
    tta : {"none", "flip", "ten-crop"}, optional
        Views of each picture whose probabilities are averaged; by default those of the recipe that it was trained by.
    batch_size : int
        Pictures that go through the network together.
    device : str
        ``auto``, or a device of torch.
    progress : callable, optional
        Called as ``progress(done, total, what)``.

    Returns
    -------
    ndarray of float64, shape (len(faces), n_classes)
        Probabilities; columns in the order of the checkpoint's classes (``read_checkpoint(path)[0].classes``).

    Raises
    ------
    WeightsError
        If the file is no checkpoint of a trained network.
    ModelError, UnknownNameError
        If its recipe does not allow these views.
    """
    network, info = load_network(path)
    recipe = recipe_of(info)
    chosen = recipe.tta if tta is None else tta
    if chosen not in TTA:
        raise unknown_name("test-time augmentation", chosen, TTA, plural="test-time augmentations")
    if chosen == "ten-crop" and not 0 < recipe.crop < recipe.size:
        msg = f"{path} was trained on whole pictures of {recipe.size} pixels: there is no crop for tta='ten-crop'."
        raise ModelError(msg)
    pictures = Pictures(faces, recipe.size, progress=progress)
    return predict_pictures(
        network, pictures, recipe, chosen, batch_size=batch_size, device=find_device(device), progress=progress
    )


def recipe_of(info: CheckpointInfo) -> Recipe:
    """Return the recipe that a checkpoint was trained by; where it says none, one that fits its preprocessing."""
    known = {key: value for key, value in info.recipe.items() if key not in ("optimizer", "seed")}
    preprocess = info.preprocess
    return read_recipe(json.loads(json.dumps(known)), size=preprocess.size, mean=preprocess.mean, std=preprocess.std)


def predict_pictures(
    network: nn.Module,
    pictures: Pictures,
    recipe: Recipe,
    tta: str,
    *,
    batch_size: int = 64,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> np.ndarray:
    """Return the mean of the probabilities over all views, float64 of shape (n, n_classes).

    Raises
    ------
    NonFiniteFeaturesError
        If the network returns NaN or infinity.
    """
    network.eval().to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    rows = np.arange(len(pictures))
    found: list[np.ndarray] = []
    with torch.inference_mode():
        for start in range(0, len(rows), batch_size):
            pixels = torch.from_numpy(pictures.take(rows[start : start + batch_size])).to(device)
            shown = views(pixels, recipe, tta)
            total = torch.zeros((), dtype=torch.float64)
            for view in shown:
                logits = network(view.contiguous(memory_format=torch.channels_last))
                total = total + torch.softmax(logits.cpu().double(), dim=1)  # mps has no float64
            found.append((total / len(shown)).numpy())
            if progress is not None:
                progress(min(start + batch_size, len(rows)), len(rows), "predict")
    proba = np.concatenate(found) if found else np.empty((0, 0))
    if not np.isfinite(proba).all():
        first = int(np.flatnonzero(~np.isfinite(proba).all(axis=1))[0])
        msg = f"{pictures.faces.ids[first]}: the network returned NaN or infinity. Check its weights and the picture."
        raise NonFiniteFeaturesError(msg)
    return proba
