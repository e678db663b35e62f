"""Save, load and describe models."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fusionfer import __version__
from fusionfer.exceptions import ModelError
from fusionfer.persistence._archive import (
    ESTIMATOR,
    FORMAT,
    MANIFEST,
    NEEDS,
    VERSION,
    WEIGHT_SUFFIXES,
    copy_hashed,
    facts,
    file_sha256,
    opened,
    replacing,
    zip_info,
)
from fusionfer.persistence._estimators import dump_estimator, load_estimator, type_name
from fusionfer.persistence._model import Model

__all__ = ["describe_model", "load_model", "save_model"]


def save_model(model: Model, path: str | Path, *, weights: Mapping[str, str | Path] | None = None) -> Path:
    """Write a model into one file; equal models give equal bytes.

    The file appears complete or not at all: it is written beside `path`, brought to the disk and renamed.

    Parameters
    ----------
    model : Model
        What to save.
    path : path
        Used as given; ``.fusionfer`` is the usual ending. An existing file is replaced, a missing folder made.
    weights : mapping of str to path, optional
        Weight files to bring along: backbone -> state dict.

    Returns
    -------
    Path
        Where the model now is.

    Raises
    ------
    ModelError
        If the estimator cannot be written without pickle, a weight file is not what the blocks were computed with, or
        the file cannot be written.

    Notes
    -----
    A zip archive without compression: ``model.json`` (all but the estimator, and the hash of every other member),
    ``estimator.skops``, and ``weights/<sha256><ending>`` for each weight file.
    """
    path = Path(path)
    estimator, needs_trust = dump_estimator(model.estimator)
    bundled = _bundle(model, weights or {})
    sources = dict(bundled.values())
    members = {ESTIMATOR: facts(hashlib.sha256(estimator).hexdigest(), len(estimator))}
    members |= {member: facts(Path(member).stem, source.stat().st_size) for member, source in sources.items()}
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "written_by": f"fusionfer {__version__}",
        "needs": NEEDS,
        "created": model.created,
        "versions": model.versions,
        "classes": list(model.classes),
        "blocks": [{"name": name, **block} for name, block in model.blocks.items()],
        "selection": model.selection,
        "training": model.training,
        "estimator": {"type": type_name(model.estimator), "needs_trust": needs_trust},
        "weights": {backbone: member for backbone, (member, _) in bundled.items()},
        "members": members,
    }
    text = json.dumps(manifest, indent=1, allow_nan=False)
    with replacing(path) as sink, zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zip_info(MANIFEST), text)
        archive.writestr(zip_info(ESTIMATOR), estimator)
        for member, source in sources.items():
            info = zip_info(member)
            info.file_size = members[member]["bytes"]  # tells zipfile whether the 64-bit form is needed
            with source.open("rb") as weight_file, archive.open(info, "w") as target:
                if copy_hashed(weight_file, target) != members[member]["sha256"]:
                    msg = f"{source} changed while it was copied into the model; nothing was saved."
                    raise ModelError(msg)
    return path


def _bundle(model: Model, weights: Mapping[str, str | Path]) -> dict[str, tuple[str, Path]]:
    """Return backbone -> (member, file), having checked that the blocks were computed with these files."""
    bundled = {}
    for backbone, given in weights.items():
        source = Path(given)
        blocks = {name: block for name, block in model.blocks.items() if block["backbone"] == backbone}
        if not blocks:
            known = sorted({block["backbone"] for block in model.blocks.values()})
            msg = f"Weights are given for {backbone}, of which the model has no block. It has: {', '.join(known)}."
            raise ModelError(msg)
        if source.suffix not in WEIGHT_SUFFIXES or not source.is_file():
            msg = (
                f"{source} cannot go into a model: it must be an existing file ending in {', '.join(WEIGHT_SUFFIXES)}."
            )
            raise ModelError(msg)
        sha256 = file_sha256(source)
        for name, block in blocks.items():
            recorded = block["key"].get("weights_sha256", sha256)
            if recorded != sha256:
                msg = f"{source} has the sha256 {sha256}, but {name} was computed with weights {recorded}."
                raise ModelError(msg)
        bundled[backbone] = (f"weights/{sha256}{source.suffix}", source)
    return bundled


def load_model(path: str | Path, *, trust: Sequence[str] = ()) -> Model:
    """Read a model; nothing in the file is executed.

    Parameters
    ----------
    path : path
        A file that `save_model` wrote.
    trust : sequence of str, optional
        Full names of types that may be built besides scikit-learn's estimators and `TRUSTED_TYPES`.

    Returns
    -------
    Model

    Raises
    ------
    ModelError
        If it is no model, damaged, or of a format that this fusionfer does not read.
    UntrustedTypeError
        If it holds other types; the error names them.
    """
    path = Path(path)
    with opened(path) as (archive, manifest):
        stored = archive.read(ESTIMATOR)
    members = manifest["members"]
    if hashlib.sha256(stored).hexdigest() != members[ESTIMATOR]["sha256"]:
        msg = f"{path} is damaged: {ESTIMATOR} has another sha256 than recorded."
        raise ModelError(msg)
    return Model(
        estimator=load_estimator(stored, str(path), trust),
        blocks={
            block["name"]: {key: item for key, item in block.items() if key != "name"} for block in manifest["blocks"]
        },
        classes=tuple(manifest["classes"]),
        selection=manifest["selection"],
        training=manifest["training"],
        versions=manifest["versions"],
        created=manifest["created"],
        weights={backbone: {"member": member, **members[member]} for backbone, member in manifest["weights"].items()},
        path=path,
    )


def describe_model(path: str | Path) -> dict[str, Any]:
    """Say what a model file holds and whether it is intact, without building the estimator.

    Parameters
    ----------
    path : path
        A file that `save_model` wrote.

    Returns
    -------
    dict
        ``model.json`` as it stands, with ``path``, ``bytes``, ``intact`` (bool) and ``problems`` (list of str).

    Raises
    ------
    ModelError
        If it is no model at all, or its ``model.json`` is damaged.
    """
    path = Path(path)
    problems = []
    with opened(path) as (archive, manifest):
        for member, entry in manifest["members"].items():
            try:
                with archive.open(member) as source:
                    if copy_hashed(source) != entry["sha256"]:
                        problems.append(f"{member} has another sha256 than recorded")
            except zipfile.BadZipFile as error:
                problems.append(f"{member}: {error}")
    return {**manifest, "path": str(path), "bytes": path.stat().st_size, "intact": not problems, "problems": problems}
