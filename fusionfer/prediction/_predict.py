"""From pictures and a model to labels and probabilities."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fusionfer.exceptions import ImageError
from fusionfer.extraction import compute_features, find_device
from fusionfer.images import FaceSet
from fusionfer.persistence import Model
from fusionfer.prediction._networks import load_networks, require_key

__all__ = ["Predictions", "predict"]


@dataclass(frozen=True)
class Predictions:
    """Labels and probabilities, one row per picture that could be used.

    Attributes
    ----------
    ids : ndarray of str, shape (n,)
    labels : ndarray of str, shape (n,)
    proba : ndarray of float, shape (n, n_classes), or None
        Columns in the order of `classes`.
    classes : tuple of str
    skipped : tuple of (id, reason)
        Pictures that could not be used.
    """

    ids: np.ndarray
    labels: np.ndarray
    proba: np.ndarray | None
    classes: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]

    def table(self, digits: int = 3) -> tuple[list[str], list[list[str]]]:
        """Return header and rows of text: image, label, and one probability per class where there are any."""
        header = ["image", "label"]
        rows = [[str(i), str(label)] for i, label in zip(self.ids, self.labels, strict=True)]
        if self.proba is not None:
            header += list(self.classes)
            rows = [row + [f"{p:.{digits}f}" for p in proba] for row, proba in zip(rows, self.proba, strict=True)]
        return header, rows

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON knows it."""
        rows: list[dict[str, Any]] = []
        for i, (sample, label) in enumerate(zip(self.ids, self.labels, strict=True)):
            row: dict[str, Any] = {"image": str(sample), "label": str(label)}
            if self.proba is not None:
                row["probabilities"] = dict(zip(self.classes, map(float, self.proba[i]), strict=True))
            rows.append(row)
        return {
            "classes": list(self.classes),
            "predictions": rows,
            "skipped": [{"image": sample, "reason": reason} for sample, reason in self.skipped],
        }


def predict(
    faces: FaceSet,
    model: Model,
    *,
    weights: str | Path | Sequence[str | Path] | Mapping[str, str | Path] = (),
    device: str = "auto",
    batch_size: int = 32,
    on_error: str = "skip",
    progress: Callable[[int, int, str], None] | None = None,
) -> Predictions:
    """Classify `faces` with the backbones and the head of `model`.

    Parameters
    ----------
    faces : FaceSet
        With or without labels.
    model : Model
        It records for each block which weights it needs; another hash is refused.
    weights : sequence of str or Path
        Where to look for weights that are no longer where the model saw them, as PATH or BACKBONE=PATH.
    device, batch_size, progress
        As in `fusionfer.extraction.extract_to_cache`.
    on_error : {"skip", "fail"}
        One bad picture does not stop the rest, unless asked to.

    Returns
    -------
    Predictions

    Raises
    ------
    WeightsError
        If the weights that the model needs are nowhere to be found; the message says which and where it looked.
    ModelError
        If the model was trained on features that fusionfer did not extract itself.
    ImageError
        With ``on_error="fail"``.
    """
    torch_device = find_device(device)
    with tempfile.TemporaryDirectory(prefix="fusionfer-weights-") as scratch:
        networks = load_networks(model, weights, torch_device, Path(scratch))
        for name, block in model.blocks.items():
            require_key(name, block, networks[name], faces.decoder)
        distinct = list({id(one): one for one in networks.values()}.values())
        values, failed = compute_features(
            faces, distinct, batch_size=batch_size, device=torch_device, progress=progress
        )
    if failed and on_error == "fail":
        i, reason = min(failed.items())
        msg = f"{faces.ids[i]}: {reason.rstrip('.')}. Mend or remove it, or leave --on-error at skip."
        raise ImageError(msg)
    kept = np.array([i for i in range(len(faces)) if i not in failed], dtype=np.intp)
    skipped = (*faces.skipped, *((str(faces.ids[i]), reason) for i, reason in sorted(failed.items())))
    has_proba = hasattr(model.estimator, "predict_proba")
    if not len(kept):
        empty = np.empty(0, dtype=np.str_)
        return Predictions(
            empty, empty, np.empty((0, len(model.classes))) if has_proba else None, model.classes, skipped
        )
    columns = [values[distinct.index(networks[name]), block["level"]] for name, block in model.blocks.items()]
    X = np.concatenate(columns, axis=1)[kept]
    proba = np.asarray(model.predict_proba(X)) if has_proba else None
    labels = np.asarray(model.predict(X)).astype(np.str_)
    return Predictions(faces.ids[kept], labels, proba, model.classes, skipped)
