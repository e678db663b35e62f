"""What is asked for: which backbones, which levels of each, which weights; checked before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusionfer.backbones import Backbone, get_backbone
from fusionfer.cache import CacheFolder
from fusionfer.exceptions import CacheError, DataError, UnknownNameError, unknown_name
from fusionfer.images import FaceSet

__all__ = ["RULES", "BackboneRequest", "block_key", "parse_requests", "refuse_other_faces", "weights_record"]

#: Version of what extraction does between pixels and features beyond the preprocessing; part of a cache's key.
#: 1: float32, channels last, batch normalisation folded into convolutions, mean over space.
RULES = 1


@dataclass(frozen=True)
class BackboneRequest:
    """One backbone with the levels to take and the weights to load."""

    backbone: Backbone
    levels: tuple[str, ...]
    weights: str


def parse_requests(
    backbones: str | Backbone | Sequence[str | Backbone],
    levels: str | Sequence[str],
    weights: str | Path | Sequence[str | Path] | Mapping[str, str | Path],
    size: int | None,
) -> list[BackboneRequest]:
    """Return one request a backbone.

    Parameters
    ----------
    backbones : name, Backbone, or a sequence of them
        Each once.
    levels : str or sequence of str
        For all backbones, or ``BACKBONE=LEVEL`` for one.
    weights : str, Path, sequence or mapping
        For all backbones, or ``BACKBONE=WEIGHTS`` for one; a mapping of backbone name to weights is the same.
    size : int or None
        Input side in pixels; None keeps that of the records.

    Raises
    ------
    UnknownNameError, DataError
        Names that do not exist, backbones named twice, several weights for one backbone.
    """
    names = [backbones] if isinstance(backbones, (str, Backbone)) else list(backbones)
    records = [get_backbone(name) for name in names]
    if not records:
        msg = "Name at least one backbone."
        raise DataError(msg)
    known = [record.name for record in records]
    twice = sorted({name for name in known if known.count(name) > 1})
    if twice:
        msg = f"Each backbone can be named once; more than once: {', '.join(twice)}."
        raise DataError(msg)
    levels_of = _per_backbone(_strings(levels), known, "level")
    weights_of = _per_backbone(_strings(weights), known, "weights")
    requests = []
    for record in records:
        chosen = weights_of[record.name] or ["imagenet"]
        if len(chosen) > 1:
            msg = f"{record.name}: give one --weights, got {', '.join(chosen)}. For another run use the same --cache."
            raise DataError(msg)
        record = record if size is None else record.sized(size)
        wanted = tuple(dict.fromkeys(levels_of[record.name] or ["penultimate"]))
        requests.append(BackboneRequest(record, wanted, chosen[0]))
    return requests


def _strings(values: Any) -> list[str]:
    if isinstance(values, Mapping):
        return [f"{name}={value}" for name, value in values.items()]
    if isinstance(values, (str, Path)):
        return [str(values)]
    return [str(value) for value in values]


def _per_backbone(values: Iterable[str], names: Sequence[str], what: str) -> dict[str, list[str]]:
    """Split ``NAME=VALUE`` from values for all; what is given for one backbone replaces what is given for all."""
    for_all: list[str] = []
    own: dict[str, list[str]] = {name: [] for name in names}
    for value in values:
        name, separator, rest = value.partition("=")
        # A path may hold "=": only what stands before it and looks like no path is a backbone's name.
        if not separator or "/" in name or "\\" in name:
            for_all.append(value)
        elif name not in own:
            error = unknown_name("backbone", name, names)
            msg = f"{what} {value!r}: {error} (Only backbones of this run can be named.)"
            raise UnknownNameError(msg)
        else:
            own[name].append(rest)
    return {name: own[name] or for_all for name in names}


def block_key(
    backbone: Backbone,
    level: str,
    weights_sha256: str,
    decoder: str,
    precision: str = "float32",
    faces: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return all that decides whether a stored row is the row that would be computed now.

    ``dtype`` is what the network computes in; whatever that is, what is stored is float32. ``faces`` is what was done
    to pictures before (`FaceSet.prepared`); it is there only where something was done.

    Raises
    ------
    DataError
        If the preprocessing has no stable description.
    """
    describe = getattr(backbone.preprocess, "describe", None)
    if not callable(describe):
        msg = (
            f"{backbone.name}: the cache needs a stable description of the preprocessing. Use fusionfer's Preprocess, "
            "or give your callable a method describe() that returns a JSON-able dict of all that decides its result."
        )
        raise DataError(msg)
    key = {
        "backbone": backbone.name,
        "level": level,
        "nodes": list(backbone.level(level).nodes),
        "weights_sha256": weights_sha256,
        "preprocess": describe(),
        "dtype": precision,
        "decoder": decoder,
        "rules": RULES,
    }
    return key if faces is None else {**key, "faces": dict(faces)}


def refuse_other_faces(folder: CacheFolder, faces: FaceSet) -> None:
    """Refuse to extract into a cache whose faces were found, cut out or normalised in another way.

    The side of the faces that are cut out may differ, as that of the networks' inputs may.

    Raises
    ------
    CacheError
        With what the cache holds, and what was asked for.
    """
    ours = _but_size(faces.prepared)
    for key in folder.block_keys():
        theirs = key.get("faces")
        if "rules" in key and _but_size(theirs) != ours:
            differ = {k: v for k, v in (theirs or {}).items() if (ours or {}).get(k) != v and k != "size"}
            msg = (
                f"{folder.path} holds features of {_told(theirs)}, and this run would add some of "
                f"{_told(faces.prepared)}{f' (there: {differ})' if theirs and ours else ''}. A cache never mixes them: "
                "give the same --faces, --photometric, --margin and --detector, or another --cache."
            )
            raise CacheError(msg)


def _but_size(described: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (described or {}).items() if name != "size"}


def _told(described: Mapping[str, Any] | None) -> str:
    """Say in a few words how pictures were prepared."""
    if described is None:
        return "pictures as they are (--faces none)"
    light = described.get("photometric", {}).get("name", "none")
    return f"pictures prepared by --faces {described.get('mode')} --photometric {light}"


def weights_record(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a file records of its weights.

    What a checkpoint of fusionfer's says of the images that it was trained and selected on (fingerprints of their
    hashes, half a megabyte for 28,000) stands beside the metadata, where `fusionfer.features.Features.seen` looks. What
    other programs call ``trained_on`` may be anything, and stays among the metadata.
    """
    metadata = dict(weights["metadata"])
    images: dict[str, Any] = {"trained_on": None}
    if metadata.get("format") == "fusionfer-checkpoint":
        images |= {name: metadata.pop(name) for name in ("trained_on", "selected_on") if name in metadata}
    return {**weights, "metadata": metadata, **images}
