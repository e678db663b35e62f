"""Read state dicts without executing anything, and put them into networks that they fit."""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from fusionfer.exceptions import WeightsError

__all__ = ["StateDict", "load_into", "read_state_dict", "state_hash"]

# DenseNet's published weights carry names of 2017: "norm.1" stands for "norm1" (torchvision renames them likewise).
_OLD_DENSENET = re.compile(
    r"^(.*denselayer\d+\.(?:norm|relu|conv))\.((?:[12])\.(?:weight|bias|running_mean|running_var))$"
)
_UNPRINTABLE = re.compile(r"\x1b\[[0-9;]*m|[\x00-\x1f\x7f-\x9f]")
_WRAPPERS = ("state_dict", "model", "model_state_dict")


@dataclass(frozen=True)
class StateDict:
    """Tensors of a weight file, with the SHA-256 of exactly the bytes they were read from."""

    path: Path
    sha256: str
    tensors: Mapping[str, torch.Tensor] = field(repr=False)
    metadata: Mapping[str, str] = field(default_factory=dict)


def read_state_dict(path: str | Path) -> StateDict:
    """Read a ``.safetensors``, ``.pth`` or ``.pt`` state dict; no code in it is executed.

    Parameters
    ----------
    path : str or Path
        A state dict, or a dict that holds one under "state_dict", "model" or "model_state_dict". A prefix
        "module." (DataParallel) is removed.

    Raises
    ------
    WeightsError
        If the file is missing, damaged, or holds anything but tensors.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        msg = (
            f"Cannot read the weights {path}: {error.strerror or error}. Give the path of a .pth or .safetensors file."
        )
        raise WeightsError(msg) from error
    sha256 = hashlib.sha256(content).hexdigest()
    metadata: dict[str, str] = {}
    if path.suffix == ".safetensors":
        tensors, metadata = _safetensors(path, content)
    elif path.suffix in {".pth", ".pt", ".bin", ".tar"}:
        tensors = _torch_file(path, content)
    else:
        msg = f"{path}: weights must be a .pth, .pt or .safetensors file, got {path.suffix or 'no suffix'!r}."
        raise WeightsError(msg)
    return StateDict(path, sha256, _plain_names(path, tensors, len(content)), metadata)


def _safetensors(path: Path, content: bytes) -> tuple[Mapping[str, torch.Tensor], dict[str, str]]:
    import safetensors.torch

    try:
        tensors = safetensors.torch.load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    except Exception as error:  # safetensors raises its own type, which is no subclass of anything useful
        msg = f"{path} is no intact safetensors file: {error}."
        raise WeightsError(msg) from error
    return tensors, dict(header.get("__metadata__") or {})


def _torch_file(path: Path, content: bytes) -> Mapping[str, torch.Tensor]:
    try:
        _refuse_bombs(content)
        loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or crafted file makes torch raise nearly anything
        # torch writes in bold; and names in the file could steer a terminal
        reason = _UNPRINTABLE.sub("", str(error).split("\n", 1)[0])[:1000]
        msg = (
            f"{path} is no plain state dict, or is damaged, and was not executed: {reason} "
            "Save it with torch.save(model.state_dict(), path) or as safetensors."
        )
        raise WeightsError(msg) from error
    for wrapper in _WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(wrapper), Mapping):
            loaded = loaded[wrapper]
    return loaded


def _refuse_bombs(content: bytes) -> None:
    """Raise ValueError for a zip that would become larger when it is read; torch itself stores without compression."""
    if content[:4] != b"PK\x03\x04":
        return
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        infos = archive.infolist()
    stored = all(info.compress_type == zipfile.ZIP_STORED and info.file_size == info.compress_size for info in infos)
    if not stored or sum(info.file_size for info in infos) > len(content):
        msg = "its members are compressed, or overlap."
        raise ValueError(msg)


def _plain_names(path: Path, tensors: Mapping[str, torch.Tensor], size: int) -> dict[str, torch.Tensor]:
    if not isinstance(tensors, Mapping) or not tensors:
        msg = f"{path} holds no state dict (a mapping of names to tensors) but {type(tensors).__name__}."
        raise WeightsError(msg)
    strange = [str(name) for name, value in tensors.items() if not isinstance(value, torch.Tensor)]
    if strange:
        msg = f"{path}: a state dict holds tensors only; these entries are none: {', '.join(strange[:5])}."
        raise WeightsError(msg)
    # A view that repeats one number, or a sparse tensor, can declare more than any memory holds.
    hollow = [
        str(name)
        for name, value in tensors.items()
        if value.layout != torch.strided or value.is_meta or value.numel() * value.element_size() > size
    ]
    if hollow:
        msg = f"{path}: these tensors are larger than the file, or not dense: {', '.join(hollow[:5])}."
        raise WeightsError(msg)
    names = {str(name).removeprefix("module."): value for name, value in tensors.items()}
    return {_OLD_DENSENET.sub(r"\1\2", name): value for name, value in names.items()}


def load_into(
    module: torch.nn.Module, state: StateDict, *, name: str, last_layer: str | None, assign: bool = False
) -> torch.nn.Module:
    """Put `state` into `module`; only the last layer may have another number of outputs.

    Parameters
    ----------
    module : torch.nn.Module
        Changed in place: its last layer is replaced where the weights have another number of classes.
    state : StateDict
        What to load.
    name : str
        The backbone's name, for messages.
    last_layer : str or None
        Name of the classifying layer.
    assign : bool
        The tensors take the place of the module's own (which may lie on torch's device "meta", without memory),
        rather than being copied into them.

    Raises
    ------
    WeightsError
        With the missing, unexpected and misshaped entries.
    """
    tensors = dict(state.tensors)
    weight = tensors.get(f"{last_layer}.weight") if last_layer else None
    if weight is not None:
        _fit_last_layer(module, str(last_layer), weight, f"{last_layer}.bias" in tensors)
    own = module.state_dict()
    # Counters of batches are absent from old files and are not used by a network that only infers.
    optional = () if assign else ("num_batches_tracked",)
    missing = [key for key in own if key not in tensors and not key.endswith(optional)]
    unexpected = [key for key in tensors if key not in own]
    misshaped = [
        f"{key} {tuple(tensors[key].shape)} instead of {tuple(own[key].shape)}"
        for key in own
        if key in tensors and tensors[key].shape != own[key].shape
    ]
    if missing or unexpected or misshaped:
        parts = [
            f"{len(entries)} {what} ({', '.join(entries[:4])}{', ...' if len(entries) > 4 else ''})"
            for what, entries in [("missing", missing), ("unexpected", unexpected), ("of another shape", misshaped)]
            if entries
        ]
        msg = f"{state.path} does not fit {name}: {'; '.join(parts)}. Give the weights of a {name}."
        raise WeightsError(msg)
    if assign:
        tensors = {key: tensor.to(own[key].dtype) for key, tensor in tensors.items()}
    module.load_state_dict(tensors, strict=False, assign=assign)
    return module


def _fit_last_layer(module: torch.nn.Module, last_layer: str, weight: torch.Tensor, bias: bool) -> None:
    layer = module.get_submodule(last_layer)
    if isinstance(layer, torch.nn.Linear) and weight.ndim == 2 and weight.shape[0] != layer.out_features:
        parent, _, child = last_layer.rpartition(".")
        setattr(module.get_submodule(parent), child, torch.nn.Linear(layer.in_features, weight.shape[0], bias=bias))


def state_hash(module: torch.nn.Module) -> str:
    """SHA-256 over names, dtypes, shapes and bytes of a module's state, in the order of names; 64 hex digits."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
