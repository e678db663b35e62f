"""From pictures and a model to labels and probabilities."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fusionfer.backbones import BACKBONES, get_backbone
from fusionfer.exceptions import FusionferWarning, ImageError, ModelError, WeightsError, unknown_name
from fusionfer.extraction import block_key, compute_features, find_device
from fusionfer.images import FaceSet
from fusionfer.networks import LoadedBackbone, fetch, load_backbone
from fusionfer.persistence import Model, file_sha256

__all__ = ["Predictions", "load_networks", "predict"]


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
            _require_key(name, block, networks[name], faces)
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


def load_networks(model: Model, weights: Any, device: Any, scratch: Path) -> dict[str, LoadedBackbone]:
    """Return for each block of `model` the network it needs, one per backbone, with weights of the recorded hash."""
    given = _given(weights)
    needed: dict[tuple[str, str, int, str], list[str]] = {}
    for name, block in model.blocks.items():
        key = block["key"]
        rebuilt = block["backbone"] in BACKBONES or block["backbone"].startswith("timm:")
        preprocess = key.get("preprocess")
        lacking = {"resize", "size"} - set(preprocess if isinstance(preprocess, dict) else ())
        if not rebuilt or lacking or "weights_sha256" not in key:
            msg = (
                f"Block {name} was not extracted by fusionfer from one of its own backbones, so predict cannot compute "
                "it from pictures. Compute the features yourself and call model.predict(X)."
            )
            raise ModelError(msg)
        precision = str(key.get("dtype", "float32"))
        needed.setdefault((block["backbone"], key["weights_sha256"], int(preprocess["size"]), precision), []).append(
            name
        )
    known = {backbone for backbone, *_ in needed}
    for given_name, _ in given:
        if given_name is not None and given_name not in known:
            raise unknown_name("backbone of the model", given_name, known, plural="backbones of the model")
    networks = {}
    for (backbone, sha256, size, precision), names in needed.items():
        blocks = [model.blocks[name] for name in names]
        origin = blocks[0]["record"].get("weights", {})
        record = get_backbone(backbone).sized(size).as_recorded(origin)
        source, seed = _find_weights(model, backbone, sha256, origin, given, scratch)
        loaded = load_backbone(
            record, [block["level"] for block in blocks], weights=source, seed=seed, device=device, precision=precision
        )
        if loaded.weights["sha256"] != sha256:
            msg = (
                f"{backbone}: the model was trained on features of {origin.get('name')} (SHA-256 {sha256[:12]}), "
                f"{source} gives {loaded.weights['sha256'][:12]}. Give the right file: --weights {backbone}=PATH."
            )
            raise WeightsError(msg)
        networks.update(dict.fromkeys(names, loaded))
    return networks


def _given(weights: Any) -> list[tuple[str | None, str]]:
    if isinstance(weights, Mapping):
        return [(str(name), str(path)) for name, path in weights.items()]
    values = [weights] if isinstance(weights, (str, Path)) else list(weights)
    pairs: list[tuple[str | None, str]] = []
    for value in map(str, values):
        name, separator, rest = value.partition("=")
        pairs.append((name, rest) if separator and "/" not in name else (None, value))
    return pairs


def _find_weights(
    model: Model, backbone: str, sha256: str, origin: Mapping[str, Any], given: Sequence[tuple[str | None, str]],
    scratch: Path,
) -> tuple[str, int]:  # fmt: skip
    """Return where weights of this hash are: in the model, where they were, in --weights, or published."""
    if origin.get("seed") is not None:
        return "none", int(origin["seed"])
    bundled = model.extract_weights(sha256, scratch)
    if bundled is not None:
        return str(bundled), 0
    candidates = [path for path in [origin.get("path")] if path]
    candidates += [path for name, path in given if name in (None, backbone)]
    looked = []
    for path in candidates:
        found = file_sha256(Path(path)) if Path(path).is_file() else None
        if found == sha256:
            return path, 0
        looked.append(f"{path} (no such file)" if found is None else f"{path} (another one: {found[:12]}...)")
    published = next((w for w in get_backbone(backbone).weights if w.name == origin.get("name")), None)
    if published is not None:
        return str(fetch(published)), 0
    if origin.get("path") is None and backbone.startswith("timm:"):
        return "imagenet", 0
    msg = (
        f"{backbone}: the model needs the weights {origin.get('name')} with SHA-256 {sha256[:12]}... "
        f"Looked at: {', '.join(looked) or 'no place, as none is recorded'}. "
        f"Give them with --weights {backbone}=PATH, or bring them along with fit --bundle."
    )
    raise WeightsError(msg)


def _require_key(name: str, block: Mapping[str, Any], network: LoadedBackbone, faces: FaceSet) -> None:
    """Refuse when the pixels or the network would not give the features that the model was trained on."""
    ours = block_key(network.backbone, block["level"], network.weights["sha256"], faces.decoder, network.precision)
    theirs = block["key"]
    if ours["decoder"] != theirs.get("decoder"):
        text = f"Pictures are decoded by {ours['decoder']} here, by {theirs.get('decoder')} for the model's features."
        warnings.warn(text, FusionferWarning, stacklevel=3)
    differ = [f for f in sorted(ours.keys() - {"decoder"}) if ours.get(f) != theirs.get(f)]
    if differ:
        told = "; ".join(f"{f}: model {theirs.get(f)!r}, here {ours.get(f)!r}" for f in differ)
        msg = f"Block {name} cannot be computed here as it was for the model ({told}). Fit the model anew."
        raise ModelError(msg)
