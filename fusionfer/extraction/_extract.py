"""One pass over the images feeds every backbone and fills the cache."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fusionfer.backbones import Backbone
from fusionfer.cache import CacheFolder, FeatureFile, RowTable, block_name, read_feature_file
from fusionfer.exceptions import DataError, DeviceMemoryError, ExtractionInterrupted, ImageError
from fusionfer.extraction._batch_size import (
    AUTO,
    BATCH_SIZE,
    SIZES,
    check_batch_size,
    find_batch_size,
    too_large,
)
from fusionfer.extraction._continuing import begun_with, on_engine
from fusionfer.extraction._forward import Progress, Vectors, crew_of, find_device, forward
from fusionfer.extraction._records import row_table, run_record, usable
from fusionfer.extraction._request import block_key, parse_requests, refuse_other_faces
from fusionfer.extraction._sharding import Shard
from fusionfer.extraction._workers import Crew
from fusionfer.features import Features
from fusionfer.images import FaceSet
from fusionfer.networks import LoadedBackbone, find_engine, find_precision, load_backbone

__all__ = ["ExtractionReport", "extract", "extract_to_cache", "one_pass", "watched"]

EXTRACTING = "extracting"


@dataclass(frozen=True)
class ExtractionReport:
    """What an extraction did.

    Attributes
    ----------
    cache : Path
        The folder; of a shard, its own.
    files : dict of str to Path
        Block name -> its file.
    explanations : dict of str to str
        Block name -> why it was a hit, or what was missing.
    n : int
        Samples in the data set.
    computed : int
        Samples that went through a network in this run.
    skipped : tuple of (id, reason)
        Samples without features.
    seconds : float
        Wall time of the forward passes with decoding and writing.
    weights : dict of str to dict
        Backbone name -> provenance of its weights.
    batch_sizes : tuple of int
        In what batches the files of this run are computed: usually one number, but files keep to theirs.
    """

    cache: Path
    files: dict[str, Path]
    explanations: dict[str, str]
    n: int
    computed: int
    skipped: tuple[tuple[str, str], ...]
    seconds: float
    weights: dict[str, dict[str, Any]]
    batch_sizes: tuple[int, ...] = ()

    def features(self) -> Features:
        """Read the blocks of this run from the cache."""
        return Features.read(
            self.cache, [f"{block}@{path.stem.rpartition('.')[2]}" for block, path in self.files.items()]
        )


def extract(
    faces: FaceSet,
    backbones: str | Backbone | Sequence[str | Backbone] = ("resnet34", "resnet50"),
    levels: str | Sequence[str] = "penultimate",
    *,
    cache: str | Path,
    **options: Any,
) -> Features:
    """Return the features of `faces`, computing only what the cache lacks.

    Parameters are those of `extract_to_cache`, which tells more about what was done.

    Returns
    -------
    Features
        One block per backbone and level.
    """
    return extract_to_cache(faces, backbones, levels, cache=cache, **options).features()


def extract_to_cache(
    faces: FaceSet,
    backbones: str | Backbone | Sequence[str | Backbone] = ("resnet34", "resnet50"),
    levels: str | Sequence[str] = "penultimate",
    *,
    cache: str | Path,
    weights: str | Path | Sequence[str | Path] | Mapping[str, str | Path] = "imagenet",
    size: int | None = None,
    batch_size: int | str = BATCH_SIZE,
    device: str = "auto",
    engine: str = "torch",
    precision: str = "float32",
    on_error: str = "fail",
    seed: int = 0,
    timeout: float = 30.0,
    wait: float = 0.0,
    lock: bool = True,
    shard: Shard | None = None,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> ExtractionReport:
    """Run `faces` through every backbone once and keep the activations in `cache`.

    Parameters
    ----------
    faces : FaceSet
        The data set.
    backbones : name, Backbone, or a sequence of them
        Each decoded picture feeds all of them.
    levels : str or sequence of str
        ``penultimate``, ``multi``, ``logits`` or names of nodes, for all backbones or as ``BACKBONE=LEVEL``.
    cache : str or Path
        Folder of this data set; made when missing.
    weights : str, Path, sequence or mapping
        ``imagenet``, ``none``, a published name or the path of a state dict, for all or as ``BACKBONE=WEIGHTS``.
    size : int, optional
        Input side in pixels; by default that of the backbone's record (224).
    batch_size : int or "auto"
        Rows that go through the network together. Features are equal to the bit for one batch size, device and number
        of threads; a resumed run keeps the batch size it began with. "auto" takes that of the files that are there,
        else as many, up to 256, as the device has memory for; on the CPU 32.
    device : str
        ``auto`` (cuda, then mps, then cpu) or a torch device.
    engine : {"torch", "openvino", "onnxruntime", "auto"}
        What runs the networks; "auto" takes the fastest that is installed for the device. Features of different engines
        agree within ``fusionfer.networks.ENGINE_BOUND`` of their largest number. A file keeps to the engine by which it
        was begun.
    precision : {"float32", "bf16", "fp16"}
        What the networks compute in; features are float32. With 16 bits (bf16 on any device, fp16 on GPUs) vectors are
        within ``fusionfer.networks.PRECISION_BOUND`` of their length from those of float32, and files of their own.
    on_error : {"fail", "skip"}
        What to do with a picture that cannot be used; skipped ones are recorded with their reason, and tried again by a
        later run that must not skip, or by which they can be decoded.
    seed : int
        For weights ``none``.
    timeout : float
        Seconds to wait for the server of published weights.
    wait : float
        Seconds to wait for another process that writes this cache; 0 fails at once, by its name.
    lock : bool
        False goes on where the file system has no locks; you then see to it that nobody else writes there.
    shard : Shard, optional
        Compute these batches only, into a folder below `cache`, as one of several processes (see `Team`).
    progress : callable, optional
        Called as ``progress(done, total, what)``.
    stop : threading.Event, optional
        When set, the batch under way is finished and committed, then ExtractionInterrupted is raised.

    Returns
    -------
    ExtractionReport

    Raises
    ------
    ImageError
        With ``on_error="fail"``, for the first picture that cannot be used; what was done before it is kept.
    NonFiniteFeaturesError
        If a network returns NaN or infinity; the message names the sample.
    DeviceMemoryError
        If the device has no memory for such batches; the message says for which it has.
    ExtractionInterrupted, CacheError, WeightsError, UnknownNameError, DataError
    """
    if on_error not in {"fail", "skip"}:
        msg = f"on_error must be 'fail' or 'skip', got {on_error!r}."
        raise DataError(msg)
    check_batch_size(batch_size)
    if not len(faces):
        msg = f"{faces.name} holds no faces."
        raise DataError(msg)
    torch_device = find_device(device)
    precision = find_precision(precision, torch_device)
    requests = parse_requests(backbones, levels, weights, size)
    own_modules = any(request.backbone.module is not None for request in requests)
    engine = find_engine(engine, torch_device, own_modules=own_modules, precision=precision)
    for request in requests:  # a preprocessing without description is refused before any weights are loaded
        block_key(request.backbone, request.levels[0], "", faces.decoder, faces=faces.prepared)
    progress = watched(progress, stop)
    loaded = [
        load_backbone(
            request.backbone, request.levels, weights=request.weights, seed=seed, device=torch_device,
            precision=precision, progress=progress, timeout=timeout,
        )
        for request in requests
    ]  # fmt: skip
    folder = CacheFolder(cache)
    refuse_other_faces(folder, faces)
    crew = crew_of(loaded, torch_device)
    with contextlib.ExitStack() as stack:
        for one in loaded:
            stack.callback(one.close)
        if shard is None:
            stack.enter_context(folder.lock(wait, required=lock, stop=stop))
        rows = row_table(faces, progress)
        keys = {
            (one.backbone.name, level): {
                **block_key(one.backbone, level, one.weights["sha256"], faces.decoder, precision, faces.prepared),
                "dim": dim,
            }
            for one in loaded for level, dim in one.dims.items()
        }  # fmt: skip
        find = functools.partial(
            find_batch_size, loaded, torch_device, crew, len(rows), shard.count if shard else 1, progress
        )
        there: dict[tuple[str, str], Path] = {}
        shard_record: dict[str, Any] = {}
        if shard is not None:
            if batch_size == AUTO:
                batch_size = shard.batch_size(folder, rows, keys, engine, SIZES, find)
            share = shard.take(
                folder, faces, rows, keys, batch_size=int(batch_size), engine=engine, device=torch_device.type,
                retry_failed=on_error == "fail",
            )  # fmt: skip
            faces, rows, there, shard_record = share.faces, share.rows, share.there, share.record
            if len(there) < len(keys):
                folder = share.folder
                stack.enter_context(folder.lock(wait, required=lock, stop=stop))
        jobs: dict[tuple[str, str], FeatureFile] = {}
        engines: dict[tuple[str, str], str] = {}
        begun = {name: begun_with(folder, *name, key) for name, key in keys.items() if name not in there}
        found = find() if batch_size == AUTO and not all(begun.values()) else 0
        of_name = {one.backbone.name: one for one in loaded}
        for name, was in begun.items():
            engines[name] = was.engine if was else engine
            size = int(batch_size) if batch_size != AUTO else was.batch_size if was else found
            record = run_record(of_name[name[0]], faces, size, torch_device, crew, engines[name])
            ask = functools.partial(
                folder.prepare, *name, keys[name]["dim"], key=keys[name], record={**record, **shard_record}, rows=rows,
                block_rows=size,
            )  # fmt: skip
            job = ask(retry_failed=on_error == "fail")
            if any(usable(faces, int(row)) for row in np.flatnonzero(job.failed)):
                job.close()
                job = ask(retry_failed=True)
            jobs[name] = job
            stack.callback(job.close)
        seconds, computed = 0.0, 0
        # A resumed file keeps its batch size and its engine; usually there is one group and so one pass.
        kinds = {name: (job.block_rows, engines[name]) for name, job in jobs.items()}
        for kind in sorted(set(kinds.values())):
            group = {name: job for name, job in jobs.items() if kinds[name] == kind}
            settings: dict[str, Any] = {
                "batch_size": kind[0],
                "device": torch_device,
                "crew": crew,
                "progress": progress,
            }
            networks = on_engine(loaded, group, kind[1], **settings)
            begin = time.perf_counter()
            try:
                computed += one_pass(faces, rows, networks, group, on_error=on_error, stop=stop, **settings)
            except DeviceMemoryError as error:
                raise too_large(error, group.values(), networks, torch_device, crew) from error
            seconds += time.perf_counter() - begin
        files = {block_name(*name): path for name, path in there.items()}
        explanations = {block: f"{path.name} has it already." for block, path in files.items()}
        skipped = {}
        for (backbone, level), job in jobs.items():
            block = f"{backbone}:{level}"
            job.finish()
            files[block], explanations[block] = job.path, job.explanation
            if (its := engines[backbone, level]) != engine:
                explanations[block] += f" It is of the engine {its}, and keeps to it."
        for path in files.values():
            stored = read_feature_file(path)
            skipped.update({str(stored.rows.ids[i]): reason for i, reason in stored.reasons.items()})
    return ExtractionReport(
        folder.path, files, explanations, len(faces), computed, tuple(sorted(skipped.items())), seconds,
        {one.backbone.name: one.weights for one in loaded}, tuple(sorted({size for size, _ in kinds.values()})),
    )  # fmt: skip


def one_pass(
    faces: FaceSet,
    rows: RowTable,
    loaded: Sequence[LoadedBackbone],
    jobs: Mapping[tuple[str, str], FeatureFile],
    *,
    batch_size: int,
    device: torch.device,
    crew: Crew,
    on_error: str,
    progress: Progress,
    stop: threading.Event | None,
) -> int:
    """Compute and commit what any of the files still lacks; return the number of rows that have features now."""
    todo = np.logical_or.reduce([job.todo for job in jobs.values()])
    used = [one for one in loaded if any(backbone == one.backbone.name for backbone, _ in jobs)]
    names = [one.backbone.name for one in used]
    total, done, failed = int(todo.sum()), 0, 0
    batches = forward(faces, used, todo, batch_size=batch_size, device=device, crew=crew, digests=rows.digests)
    with contextlib.closing(batches):
        for batch in batches:
            if batch.failed and on_error == "fail":
                j, reason = min(batch.failed.items())
                msg = (
                    f"{rows.ids[batch.start + j]}: {reason} Mend or remove it, "
                    "or give on_error='skip' to go on without such images."
                )
                raise ImageError(msg)
            for (backbone, level), job in jobs.items():
                _commit(job, batch, batch.values[names.index(backbone), level])
            done += int(todo[batch.start : batch.start + batch.size].sum())
            failed += len(batch.failed)
            progress(done, total, EXTRACTING)
            if stop is not None and stop.is_set() and done < total:
                msg = f"Stopped after {done} of {total} images; they are kept. Run the same command again to go on."
                raise ExtractionInterrupted(msg)
    return done - failed


def _commit(job: FeatureFile, batch: Vectors, X: np.ndarray) -> None:
    todo = job.todo[batch.start : batch.start + batch.size]
    if todo.any():
        failed = {j: reason for j, reason in batch.failed.items() if todo[j]}
        done = todo.copy()
        done[list(failed)] = False
        job.commit(batch.start, X, done, failed)


def watched(progress: Progress | None, stop: threading.Event | None) -> Progress:
    """Return a `progress` that also ends downloads and the check of images when asked to stop."""

    def watched(done: int, total: int, what: str) -> None:
        if progress is not None:
            progress(done, total, what)
        if stop is not None and stop.is_set() and what != EXTRACTING:  # extracting first commits its batch
            msg = f"Stopped while {what}; nothing was computed in this run. Run the same command again."
            raise ExtractionInterrupted(msg)

    return watched
