"""From pictures and a model to labels and probabilities."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fusionfer.exceptions import DataError, ImageError
from fusionfer.extraction import compute_features, find_device
from fusionfer.faces import FacePreparation, faces_of, prepare_faces
from fusionfer.images import FaceSet
from fusionfer.persistence import Model
from fusionfer.prediction._faces import find_preparation
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
        Pictures that could not be used, or in which no face was found.
    boxes : ndarray of float, shape (n, 4), or None
        Where each face is in its picture: x, y, width, height in pixels; None where no faces were looked for.
    """

    ids: np.ndarray
    labels: np.ndarray
    proba: np.ndarray | None
    classes: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]
    boxes: np.ndarray | None = None

    def table(self, digits: int = 3) -> tuple[list[str], list[list[str]]]:
        """Return header and rows of text: image, box where there is one, label, and probabilities where there are any.

        The box is one cell, ``x y width height`` in whole pixels.
        """
        header = ["image", "label"]
        rows = [[str(i), str(label)] for i, label in zip(self.ids, self.labels, strict=True)]
        if self.boxes is not None:
            header.insert(1, "face")
            for row, box in zip(rows, self.boxes, strict=True):
                row.insert(1, " ".join(f"{value:.0f}" for value in box))
        if self.proba is not None:
            header += list(self.classes)
            rows = [row + [f"{p:.{digits}f}" for p in proba] for row, proba in zip(rows, self.proba, strict=True)]
        return header, rows

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON knows it."""
        rows: list[dict[str, Any]] = []
        for i, (sample, label) in enumerate(zip(self.ids, self.labels, strict=True)):
            row: dict[str, Any] = {"image": str(sample), "label": str(label)}
            if self.boxes is not None:
                row["face"] = dict(zip(("x", "y", "width", "height"), map(float, self.boxes[i]), strict=True))
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
    preparation: FacePreparation | None = None,
    several: str = "largest",
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
    preparation : FacePreparation, optional
        How faces are found, cut out and normalised; by default as the model records, see `find_preparation`. A set that
        `fusionfer.faces.prepare_faces` has prepared is taken as it is.
    several : {"largest", "all"}
        Of a picture with several faces take the largest, or all, as in `fusionfer.faces.prepare_faces`.

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
    if faces.preparation is None:
        way = find_preparation(model) if preparation is None else preparation
        faces = prepare_faces(faces, way, several=several, on_error=on_error, progress=progress)
    elif preparation is not None:
        msg = f"{faces.name}: the faces of this set were prepared already, so give no preparation."
        raise DataError(msg)
    has_proba = hasattr(model.estimator, "predict_proba")
    if not len(faces):
        return _nothing(model, faces, faces.skipped, has_proba)
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
    found = [face for i, face in enumerate(faces_of(faces)) if i not in failed]
    boxes = np.array([face.box for face in found if face is not None], dtype=float).reshape(-1, 4)
    if not len(kept):
        return _nothing(model, faces, skipped, has_proba)
    columns = [values[distinct.index(networks[name]), block["level"]] for name, block in model.blocks.items()]
    X = np.concatenate(columns, axis=1)[kept]
    proba = np.asarray(model.predict_proba(X)) if has_proba else None
    labels = np.asarray(model.predict(X)).astype(np.str_)
    return Predictions(faces.ids[kept], labels, proba, model.classes, skipped, boxes if _located(faces) else None)


def _located(faces: FaceSet) -> bool:
    """Whether faces were looked for in the pictures, so that each has a box."""
    return (faces.prepared or {}).get("mode", "none") != "none"


def _nothing(model: Model, faces: FaceSet, skipped: tuple[tuple[str, str], ...], has_proba: bool) -> Predictions:
    """Return what is said of pictures of which none can be used."""
    empty, proba = np.empty(0, dtype=np.str_), np.empty((0, len(model.classes))) if has_proba else None
    return Predictions(empty, empty, proba, model.classes, skipped, np.empty((0, 4)) if _located(faces) else None)
