"""Which networks a model needs, with weights of the recorded hash, from wherever these are."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fusionfer.backbones import BACKBONES, get_backbone
from fusionfer.exceptions import FusionferWarning, ModelError, WeightsError, unknown_name
from fusionfer.extraction import block_key
from fusionfer.networks import LoadedBackbone, fetch, load_backbone
from fusionfer.persistence import Model, file_sha256

__all__ = ["load_networks", "require_key"]


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


def require_key(name: str, block: Mapping[str, Any], network: LoadedBackbone, decoder: str) -> None:
    """Refuse when the pixels or the network would not give the features that the model was trained on.

    How faces were prepared is not judged here: `find_preparation` does what the model records, unless told otherwise.
    """
    ours = block_key(network.backbone, block["level"], network.weights["sha256"], decoder, network.precision)
    theirs = block["key"]
    if ours["decoder"] != theirs.get("decoder"):
        text = f"Pictures are decoded by {ours['decoder']} here, by {theirs.get('decoder')} for the model's features."
        warnings.warn(text, FusionferWarning, stacklevel=3)
    differ = [f for f in sorted(ours.keys() - {"decoder", "faces"}) if ours.get(f) != theirs.get(f)]
    if differ:
        told = "; ".join(f"{f}: model {theirs.get(f)!r}, here {ours.get(f)!r}" for f in differ)
        msg = f"Block {name} cannot be computed here as it was for the model ({told}). Fit the model anew."
        raise ModelError(msg)
