"""The file of a trained network: a safetensors state dict that says what it is, how it was made, what it has seen."""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from fusionfer import __version__
from fusionfer.backbones import STEMS, Preprocess
from fusionfer.exceptions import FusionferError, WeightsError
from fusionfer.networks._architectures import get_architecture
from fusionfer.networks._weights import StateDict, read_state_dict

__all__ = ["FORMAT", "VERSION", "CheckpointInfo", "checkpoint_info", "read_checkpoint", "save_checkpoint"]

FORMAT = "fusionfer-checkpoint"
VERSION = 1

_FINGERPRINTS = re.compile(r"(?:[0-9a-f]{16})*")
_JSON = {"classes": list, "preprocess": dict, "options": dict, "recipe": dict, "metrics": dict, "data": dict}


@dataclass(frozen=True)
class CheckpointInfo:
    """What a checkpoint says of its network.

    Attributes
    ----------
    network : str
        Its name, as `build_network` takes it.
    classes : tuple of str
        Names of the classes, in the order of the logits.
    preprocess : Preprocess
        What turns pictures into its input; its size is the one that the network was built for.
    stem : {"standard", "small"}
        How it begins.
    options : dict
        What its architecture was built with; those that are not given are as in the record.
    recipe, metrics : dict
        How it was trained, and what it reached; JSON-able.
    data : dict
        What it was trained on: ``name``, ``split``, ``n``; JSON-able.
    trained_on, selected_on : str
        `fusionfer.fusion.fingerprints` of the SHA-256 digests of the pictures that changed its weights, and of those
        that only decided when to stop or which epoch to keep.
    written_by : str
        Version of fusionfer that wrote it.
    """

    network: str
    classes: tuple[str, ...]
    preprocess: Preprocess
    stem: str = "standard"
    options: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    trained_on: str = field(default="", repr=False)
    selected_on: str = field(default="", repr=False)
    written_by: str = __version__

    def metadata(self) -> dict[str, str]:
        """Return the strings that stand in the file.

        Raises
        ------
        WeightsError
            If there is no such network, or something is no JSON.
        """
        try:
            texts = {
                "classes": _text(list(self.classes)),
                "preprocess": _text(self.preprocess.describe()),
                "options": _text(get_architecture(self.network).resolve(self.options)),
                **{name: _text(dict(getattr(self, name))) for name in ("recipe", "metrics", "data")},
            }
        except (FusionferError, TypeError, ValueError) as error:
            msg = f"What the checkpoint should say of {self.network!r} cannot be written: {error}."
            raise WeightsError(msg) from error
        return {
            "format": FORMAT,
            "version": str(VERSION),
            "written_by": self.written_by,
            "network": self.network,
            "stem": self.stem,
            **texts,
            "trained_on": self.trained_on,
            "selected_on": self.selected_on,
        }


def save_checkpoint(path: str | Path, module: nn.Module, info: CheckpointInfo) -> Path:
    """Write a trained network, whole or not at all.

    The same module and info give the same bytes.

    Parameters
    ----------
    path : str or Path
        Ends in ``.safetensors``; a file that is there is replaced in one step.
    module : torch.nn.Module
        From `build_network`. Floating-point weights are stored as float32.
    info : CheckpointInfo
        What to say of it.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    WeightsError
        If the file cannot be written, the weights are not finite, or `info` cannot be read back.

    Examples
    --------
    >>> import tempfile
    >>> from fusionfer.networks import build_network
    >>> network = build_network("mobilenet_v2", 2, size=32)
    >>> info = CheckpointInfo("mobilenet_v2", ("happy", "sad"), Preprocess(32))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = save_checkpoint(Path(folder, "net.safetensors"), network, info)
    ...     read_checkpoint(path)[0].classes
    ('happy', 'sad')
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        msg = f"{path}: a checkpoint must be a .safetensors file, got {path.suffix or 'no suffix'!r}."
        raise WeightsError(msg)
    metadata = info.metadata()
    checkpoint_info(metadata, path)
    tensors = {
        name: (tensor.detach().float() if tensor.is_floating_point() else tensor.detach()).cpu().contiguous()
        for name, tensor in module.state_dict().items()
    }
    broken = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if broken:
        msg = f"{path}: weights must be finite; these are not: {', '.join(broken[:4])}. The training has diverged."
        raise WeightsError(msg)
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            for piece in _pieces(tensors, metadata):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        msg = f"Cannot write the checkpoint {path}: {error.strerror or error}."
        raise WeightsError(msg) from error
    return path


def read_checkpoint(path: str | Path) -> tuple[CheckpointInfo, StateDict]:
    """Read what a checkpoint says, and its weights; no code in it is executed.

    Parameters
    ----------
    path : str or Path
        A file that `save_checkpoint` wrote.

    Returns
    -------
    info : CheckpointInfo
    state : StateDict
        With the SHA-256 of the file.

    Raises
    ------
    WeightsError
        If it is no checkpoint, is damaged, or says what cannot be; all complaints at once.
    """
    state = read_state_dict(path)
    info = checkpoint_info(state.metadata, state.path)
    if info is None:
        msg = (
            f"{path} is no checkpoint of fusionfer but a plain state dict: nothing in it says which network and "
            "classes it belongs to. It can be given as --weights of a backbone."
        )
        raise WeightsError(msg)
    return info, state


def checkpoint_info(metadata: Mapping[str, str], path: Path) -> CheckpointInfo | None:
    """Return what the metadata of a weight file say, or None if it is no checkpoint of ours.

    Raises
    ------
    WeightsError
        If it claims to be one and its metadata are not as we write them; all complaints at once.
    """
    if metadata.get("format") != FORMAT:
        return None
    version = metadata.get("version")
    if version != str(VERSION):
        msg = f"{path}: a checkpoint of version {version!r}; this fusionfer reads {VERSION}. Install a newer fusionfer."
        raise WeightsError(msg)
    complaints: list[str] = []
    parts = {name: _part(metadata, name, kind, complaints) for name, kind in _JSON.items()}
    classes = parts["classes"]
    if len(classes) < 2 or not all(isinstance(name, str) and name for name in classes):
        complaints.append(f"classes must be two or more names, got {str(classes)[:80]}")
    elif len(set(classes)) < len(classes):
        complaints.append(f"classes must be different names, got {str(classes)[:80]}")
    preprocess = Preprocess()
    try:
        preprocess = Preprocess.from_description(parts["preprocess"])
    except ValueError as error:
        complaints.append(f"preprocess: {error}")
    network, stem = metadata.get("network", ""), metadata.get("stem", "")
    options: dict[str, Any] = {}
    try:
        options = get_architecture(network).resolve(parts["options"])
    except FusionferError as error:
        complaints.append(str(error).rstrip("."))
    if stem not in STEMS:
        complaints.append(f"stem must be {' or '.join(STEMS)}, got {stem[:40]!r}")
    seen = {name: metadata.get(name, "") for name in ("trained_on", "selected_on")}
    complaints += [
        f"{name} must be fingerprints of 16 hexadecimal digits each"
        for name, marks in seen.items()
        if not _FINGERPRINTS.fullmatch(marks)
    ]
    if complaints:
        msg = f"{path} is a damaged checkpoint: {'; '.join(complaints)[:1000]}."
        raise WeightsError(msg)
    return CheckpointInfo(
        network, tuple(classes), preprocess, stem=stem, options=options,
        recipe=parts["recipe"], metrics=parts["metrics"], data=parts["data"], **seen,
        written_by=metadata.get("written_by", "")[:40],
    )  # fmt: skip


def _part(metadata: Mapping[str, str], name: str, kind: type, complaints: list[str]) -> Any:
    text = metadata.get(name, "")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, kind):
        complaints.append(f"{name} must be a JSON {'list' if kind is list else 'object'}, got {text[:40]!r}")
        return kind()
    return value


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)


def _pieces(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> list[bytes | memoryview]:
    """Return a safetensors file whose metadata stand in a fixed order; the library's own order changes at random."""
    content = memoryview(safetensors.torch.save(dict(tensors)))
    length = int.from_bytes(content[:8], "little")
    header = {"__metadata__": dict(metadata), **json.loads(bytes(content[8 : 8 + length]))}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return [struct.pack("<Q", len(text)), text, content[8 + length :]]
