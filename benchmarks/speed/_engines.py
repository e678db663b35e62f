"""Extraction on every installed engine, against the engine's own bare forward pass, the plain script, and torch."""

from __future__ import annotations

import functools
import itertools
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import torch

from benchmarks.speed._extract import BATCH, NAMES, _networks, _ready, _same_features
from benchmarks.speed._pictures import pictures, unpack
from benchmarks.speed._plain_script import extract_plainly
from benchmarks.speed._timing import Figure, Report, alternate, ratio, seconds
from fusionfer.exceptions import DataError
from fusionfer.extraction import extract_to_cache
from fusionfer.extraction._forward import crew_of
from fusionfer.images import read_faces
from fusionfer.networks import ENGINES, LoadedBackbone, build_module, find_engine, run_on

__all__ = ["compare", "installed_engines", "run"]

#: Engine -> how many times the plain script's speed it should reach.
AGAINST_SCRIPT = {"openvino": 2.2, "torch": 1.6}


def processor_seconds() -> float:
    """Return the processor time of this process and of the children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def compare(n: int, size: int, rounds: int, *, processor_time: bool = False) -> Report:
    """Time extraction of `n` faces at `size` pixels on each engine that is installed, all in the same rounds.

    Networks are built and converted before, as that takes the same time for any number of faces. All else counts:
    finding the files, hashing, decoding, writing. On a machine that others use, too, count `processor_time`, which
    leaves out what an engine waits for.
    """
    chosen, what = pictures(n)
    crew = crew_of([], torch.device("cpu"))
    with tempfile.TemporaryDirectory() as place:
        folder, numbers = Path(place) / "faces", itertools.count()
        unpack(chosen, folder)
        networks = _networks(size)
        ready = {one.backbone.name: one for one in networks}
        batches = _ready(read_faces(folder), networks[0])
        models = {name: build_module(name).eval() for name in NAMES}
        converted = {engine: _converted(networks, engine, crew.workers, crew.threads) for engine in installed_engines()}

        def forward(engine: str) -> None:
            def one_batch(batch: torch.Tensor) -> None:
                for one in converted[engine]:
                    one.network(batch)

            # As many batches at once as extraction takes, which is faster than one after the other on all cores.
            before = torch.get_num_threads()
            with ThreadPoolExecutor(crew.workers, initializer=lambda: torch.set_num_threads(crew.threads)) as pool:
                list(pool.map(one_batch, batches))
            torch.set_num_threads(before)

        def whole(engine: str) -> Path:
            cache = Path(place) / f"cache{next(numbers)}"
            of_engine = {one.backbone.name: one for one in converted[engine]}
            # What stands ready, instead of building and converting the same again.
            with (
                mock.patch("fusionfer.extraction._extract.load_backbone", lambda record, *_, **__: ready[record.name]),
                mock.patch(
                    "fusionfer.extraction._continuing.run_on", lambda one, *_, **__: of_engine[one.backbone.name]
                ),
                mock.patch.object(LoadedBackbone, "close"),
            ):
                extract_to_cache(
                    read_faces(folder), NAMES, weights="none", size=size, batch_size=BATCH, cache=cache, device="cpu",
                    engine=engine,
                )  # fmt: skip
            return cache

        def script() -> Path:
            out = Path(place) / f"plain{next(numbers)}.h5"
            extract_plainly(folder, out, models, size=size, batch_size=BATCH)
            return out

        plain = script()
        contenders: dict[str, Callable[[], object]] = {"script": script}
        for engine in converted:
            _same_features(whole(engine), plain)
            contenders[f"{engine} forward"] = functools.partial(forward, engine)
            contenders[f"{engine} whole"] = functools.partial(whole, engine)
        timer = processor_seconds if processor_time else time.perf_counter
        taken = alternate(contenders, rounds, timer=timer, warm_up=False)

    def figures() -> Iterator[Figure]:
        for engine in converted:
            forth, all_of_it = taken[f"{engine} forward"], taken[f"{engine} whole"]
            yield ratio(f"{engine}: speed against its bare forward pass", forth, all_of_it, target=0.97)
            yield ratio(
                f"{engine}: speed against the plain script", taken["script"], all_of_it,
                target=AGAINST_SCRIPT.get(engine),
            )  # fmt: skip
            if engine != "torch":
                yield ratio(f"{engine}: speed against extraction on torch", taken["torch whole"], all_of_it)
            yield seconds(f"{engine}: extraction, per face", all_of_it, per=n, unit="ms")

    return Report(
        "engines",
        f"{n} {what} at {size} pixels, {' + '.join(NAMES)}, batches of {BATCH}, {crew.workers} workers, "
        f"{rounds} rounds{', processor time' if processor_time else ''}",
        tuple(figures()),
    )


def installed_engines() -> list[str]:
    """Return the engines that can be had here."""
    found = []
    for engine in ENGINES:
        try:
            found.append(find_engine(engine))
        except DataError:  # not installed
            continue
    return found


def _converted(networks: list[LoadedBackbone], engine: str, workers: int, threads: int) -> list[LoadedBackbone]:
    return [run_on(one, engine, batch_size=BATCH, workers=workers, threads=threads) for one in networks]


def run(rounds: int, n: int, *, processor_time: bool = False) -> Iterator[Report]:
    """Measure at the size of ImageNet and at that of FER-2013."""
    yield compare(n, 224, rounds, processor_time=processor_time)
    yield compare(8 * n, 48, rounds, processor_time=processor_time)
