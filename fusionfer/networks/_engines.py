"""What runs a network: torch itself, or another program that the network is converted for."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import platform
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from fusionfer.exceptions import DataError, unknown_name
from fusionfer.networks._building import LoadedBackbone
from fusionfer.networks._levels import JoinedNetworks, LevelNetwork
from fusionfer.networks._packing import unpacked

__all__ = ["ENGINES", "ENGINE_BOUND", "engine_versions", "find_engine", "run_on", "to_onnx"]

#: Engine -> the packages that it needs beside torch. The first that is installed is what "auto" takes.
ENGINES: dict[str, tuple[str, ...]] = {"onnxruntime": ("onnxruntime", "onnx"), "openvino": ("openvino",), "torch": ()}

#: Largest distance of a number from torch's, divided by the largest absolute number of its level; beyond it an engine
#: is refused. Nearly twenty times what was seen at most (docs/engines.md).
ENGINE_BOUND = 4e-5

_PROBES = 2  # pictures that each converted network has to agree with torch about

Run = Callable[[np.ndarray], list[np.ndarray]]


def find_engine(
    name: str, device: torch.device | str = "cpu", *, own_modules: bool = False, precision: str = "float32"
) -> str:
    """Return the engine to run on: `name`, or with "auto" the fastest that is installed for the device.

    Parameters
    ----------
    name : {"torch", "openvino", "onnxruntime", "auto"}
        Engines other than torch run fusionfer's own backbones, on the CPU in float32. "auto" takes them on x86-64
        only, as elsewhere nobody measured which is the fastest.
    device : torch.device or str
        Where the networks are to run.
    own_modules : bool
        Whether a module of the user's own is among them.
    precision : str
        What the networks are to compute in.

    Raises
    ------
    UnknownNameError
        If there is no such engine.
    DataError
        If it is not installed, or cannot run these networks there.

    Examples
    --------
    >>> find_engine("auto", "cuda")
    'torch'
    """
    device = torch.device(device)
    only_torch = device.type != "cpu" or own_modules or precision != "float32"
    if name == "auto":
        if only_torch or platform.machine().lower() not in {"x86_64", "amd64"}:
            return "torch"
        return next(engine for engine, packages in ENGINES.items() if not _missing(packages))
    if name not in ENGINES:
        raise unknown_name("engine", name, ["auto", *ENGINES])
    if name != "torch" and only_torch:
        what = "run a module of your own" if own_modules else f"run on the device {device}"
        what = what if own_modules or device.type != "cpu" else f"compute in {precision}"
        msg = (
            f"The engine {name} runs fusionfer's own backbones on the CPU in float32; it cannot {what}. "
            "Give --engine torch."
        )
        raise DataError(msg)
    missing = _missing(ENGINES[name])
    if missing:
        msg = f"The engine {name} needs {' and '.join(missing)}: pip install 'fusionfer[{name}]'."
        raise DataError(msg)
    return name


def engine_versions(engine: str) -> dict[str, str]:
    """Return package -> version of what decides the bits of an engine's features; nothing for torch itself."""
    return {name: _version(name) for name in ENGINES[engine] if name != "onnx"}


def run_on(
    loaded: LoadedBackbone, engine: str, *, batch_size: int, workers: int = 1, threads: int | None = None
) -> LoadedBackbone:
    """Return the same backbone, run by an engine: it takes batches of one size, from several threads at once.

    Closing it closes `loaded`. Whatever is converted is compared with torch on two pictures of noise before it is used.

    Parameters
    ----------
    loaded : LoadedBackbone
        On the CPU, run by torch in float32.
    engine : str
        What `find_engine` returned; with "torch", `loaded` itself is returned.
    batch_size : int
        Pictures of every batch. Fixed shapes let an engine lay out its memory once.
    workers : int
        Threads that will call it at the same time.
    threads : int, optional
        Threads for each of these calls; by default as many as torch may use.

    Raises
    ------
    DataError
        If the network cannot be converted, or its features are further than `ENGINE_BOUND` from torch's.
    """
    if engine == "torch":
        return loaded
    shape = (batch_size, *_picture_shape(loaded))
    compiler = importlib.import_module(f"fusionfer.networks._{engine}")
    threads = threads or torch.get_num_threads()
    run = _traced(
        loaded,
        engine,
        lambda module: compiler.compile_module(module, shape, workers=workers, threads=threads),
        instead="Give --engine torch.",
    )
    converted = EngineNetwork(loaded.network, list(loaded.dims), run)  # type: ignore[arg-type]
    _require_agreement(loaded, converted, shape, engine)
    return replace(loaded, network=converted, engine=engine)


def to_onnx(loaded: LoadedBackbone) -> bytes:
    """Return an ONNX model of a backbone, in float32, for batches of any length.

    Whether ONNX Runtime then computes what torch does is for the caller to see.

    Parameters
    ----------
    loaded : LoadedBackbone
        On the CPU, run by torch in float32.

    Returns
    -------
    bytes
        Input ``pictures``: what preprocessing makes, channels last, (n, height, width, 3). Outputs: the vectors of each
        level, by its name, in the order of ``loaded.dims``.

    Raises
    ------
    DataError
        If the network cannot be converted.
    """
    from fusionfer.networks._onnx_graph import onnx_graph

    shape = (2, *_picture_shape(loaded))
    names = list(loaded.dims)
    return _traced(loaded, "ONNX", lambda module: onnx_graph(module, shape, names), instead="It cannot be exported.")


def _traced(loaded: LoadedBackbone, target: str, convert: Callable[[nn.Module], Any], *, instead: str) -> Any:
    """Return what `convert` makes of the tapped network as a module; whatever it raises becomes one named error."""
    network = loaded.network
    if not isinstance(network, (LevelNetwork, JoinedNetworks)):
        msg = f"{loaded.backbone.name} already runs on {loaded.engine}; convert the one that torch runs."
        raise DataError(msg)
    modules = [part.module for part in getattr(network, "networks", [network])]
    try:
        # Conversion traces the network, and tells what other networks would lose by that.
        with warnings.catch_warnings(), torch.no_grad(), unpacked(modules):
            warnings.simplefilter("ignore")
            return convert(_Vectors(network, modules))
    except Exception as error:  # converters raise nearly anything
        reason = " ".join(str(error).split())[:300]
        msg = f"{loaded.backbone.name} cannot be converted for {target} ({type(error).__name__}: {reason}). {instead}"
        raise DataError(msg) from error


class EngineNetwork:
    """A converted network, which answers as the one that it came from.

    Parameters
    ----------
    origin : LevelNetwork or JoinedNetworks
        What was converted.
    levels : list of str
        In the order of the outputs.
    run : callable
        Float32 array of shape (n, height, width, 3) to one array a level; several threads may call it at once.
    """

    def __init__(self, origin: LevelNetwork | JoinedNetworks, levels: list[str], run: Run) -> None:
        self._origin = origin
        self._levels = levels
        self._run = run

    def __call__(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return level name -> float32 tensor of shape (n, dim) for a batch of shape (n, 3, height, width)."""
        # Batches are channels last, so that this is a view of the memory as it lies.
        pictures = batch.permute(0, 2, 3, 1).contiguous().numpy()
        return {
            level: torch.from_numpy(vectors) for level, vectors in zip(self._levels, self._run(pictures), strict=True)
        }

    def dims(self, shape: tuple[int, ...], device: torch.device) -> dict[str, int]:
        """Return the length of each level's vector, as the network that was converted tells it."""
        return self._origin.dims(shape, device)

    def close(self) -> None:
        """Take the taps off the network that was converted."""
        self._origin.close()


class _Vectors(nn.Module):
    """The tapped network as a module from pictures, channels last, to the vectors alone: what converters understand."""

    def __init__(self, network: LevelNetwork | JoinedNetworks, modules: list[nn.Module]) -> None:
        super().__init__()
        self.network = network
        self.modules_within = nn.ModuleList(modules)  # so that converters find the weights
        self.training = False

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.network(pictures.permute(0, 3, 1, 2)).values())


def _missing(packages: tuple[str, ...]) -> list[str]:
    return [name for name in packages if importlib.util.find_spec(name) is None]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # a build of another name, such as onnxruntime-gpu
        return str(importlib.import_module(package).__version__)


def _picture_shape(loaded: LoadedBackbone) -> tuple[int, int, int]:
    """Height, width and channels of what the backbone's preprocessing makes."""
    channels, height, width = loaded.backbone.preprocess(np.zeros((64, 64), np.uint8)).shape
    return height, width, channels


def _require_agreement(
    loaded: LoadedBackbone, converted: EngineNetwork, shape: tuple[int, int, int, int], engine: str
) -> None:
    """Refuse a conversion that computes something else; tracing can lose what depends on the input."""
    noise = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    batch = torch.from_numpy(noise).permute(0, 3, 1, 2)
    ours, theirs = loaded.network(batch[:_PROBES]), converted(batch)
    for level, expected in ours.items():
        found = theirs[level]
        if found.shape != (len(batch), expected.shape[1]):
            msg = f"{loaded.backbone.name}:{level} has shape {tuple(found.shape)} on {engine}. Give --engine torch."
            raise DataError(msg)
        # Where torch itself returns NaN, so that there is nothing to compare, extraction refuses the features by name.
        off = float((found[:_PROBES] - expected).abs().max() / expected.abs().max().clamp_min(1e-30))
        if off > ENGINE_BOUND:
            msg = (
                f"{loaded.backbone.name}:{level} on {engine} differs from torch by {off:.1e} of its largest number; "
                f"{ENGINE_BOUND:.0e} is allowed. Give --engine torch."
            )
            raise DataError(msg)
