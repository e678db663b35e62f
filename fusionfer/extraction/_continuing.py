"""Files keep to the engine and the batch size by which they were begun, as both decide the last bits of features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch

from fusionfer.cache import CacheFolder, FeatureFile, describe, file_name, read_feature_file
from fusionfer.exceptions import DataError, IncompleteCacheError
from fusionfer.extraction._forward import Progress
from fusionfer.extraction._workers import Crew
from fusionfer.networks import LoadedBackbone, find_engine, run_on

__all__ = ["Begun", "begun_with", "on_engine"]


class Begun(NamedTuple):
    """How a file was begun: by which engine, in which batches."""

    engine: str
    batch_size: int


def begun_with(folder: CacheFolder, backbone: str, level: str, key: Mapping[str, Any]) -> Begun | None:
    """Return how the file was begun that holds rows of this key, finished or not; None if there is no such file.

    Raises
    ------
    CacheFormatError
        If the file is damaged so that it cannot be opened.
    """
    name = file_name(backbone, level, {**key, "backbone": backbone, "level": level})
    finished = [path for path in folder.files() if path.name == name]
    begun = [path for path in folder.parts() if path.stem == name]
    for path in finished:
        try:
            stored = read_feature_file(path)
            return Begun(str(stored.record.get("engine", "torch")), stored.layout.block_rows)
        except IncompleteCacheError:
            begun.append(path)
    described = map(describe, begun)
    return next((Begun(str(one.record.get("engine", "torch")), one.block_rows) for one in described), None)


def on_engine(
    loaded: Sequence[LoadedBackbone],
    jobs: Mapping[tuple[str, str], FeatureFile],
    engine: str,
    *,
    batch_size: int,
    device: torch.device,
    crew: Crew,
    progress: Progress,
) -> list[LoadedBackbone]:
    """Return the networks of some files on their engine; as they are where the files lack nothing.

    Raises
    ------
    DataError
        If the engine is not to be had here, though the files were begun with it.
    """
    wanted = {backbone for (backbone, _), job in jobs.items() if job.todo.any()}
    if engine == "torch" or not wanted:
        return list(loaded)
    try:
        own_modules = any(one.backbone.module is not None for one in loaded)
        find_engine(engine, device, own_modules=own_modules)
    except DataError as error:
        files = ", ".join(sorted(job.path.name for job in jobs.values()))
        msg = (
            f"{files} was begun with the engine {engine} and is not mixed with another: {error} Or use another --cache."
        )
        raise DataError(msg) from error
    networks = []
    for done, one in enumerate(loaded):
        progress(done, len(loaded), f"converting for {engine}")
        needed = one.backbone.name in wanted
        networks.append(
            run_on(one, engine, batch_size=batch_size, workers=crew.workers, threads=crew.threads) if needed else one
        )
    progress(len(loaded), len(loaded), f"converting for {engine}")
    return networks
