"""``python -m benchmarks.reliability.power_failure``: what a power failure may leave of a cache, opened and resumed.

Every job of `_small_jobs` is recorded (`_power`), with a synchronisation at each commit and with none between commits;
every state that a failure at any moment may leave by the model is laid out in a folder, judged, and resumed. No power
is cut: that the disk does what it says of synchronised data is taken for granted.
"""

from __future__ import annotations

import argparse
import itertools
import random
import shutil
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import numpy as np

from benchmarks.reliability._judging import Reference, Wrong, check_equal, contents
from benchmarks.reliability._power import Recording, record
from benchmarks.reliability._small_jobs import JOBS, SmallJob
from fusionfer.cache import CacheFolder, _file, examine, read_feature_file
from fusionfer.exceptions import IncompleteCacheError

__all__ = ["Tally", "fail_power"]

SYNCS = {"at each commit": -1.0, "none between commits": float("inf")}


@dataclass
class Tally:
    """What was judged: states in all, and what they were."""

    calls: int = 0
    states: int = 0
    found: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        found = ", ".join(f"{name} {count}" for name, count in sorted(self.found.items()))
        return f"{self.calls} calls, {self.states} states ({found}); all resumed and equal"


def fail_power(
    job: SmallJob, folder: Path, *, syncs: float, rounds: int = 3, most: int | None = None, seed: int = 0
) -> Tally:
    """Judge and resume what power failures may leave of a job.

    Parameters
    ----------
    job : SmallJob
    folder : Path
        For all that is needed; made here.
    syncs : float
        Seconds between synchronisations amid rows.
    rounds : int
        Random subsets at every moment.
    most : int, optional
        Judge so many of the states, as many of each kind; by default all.
    seed : int
        For what is drawn.

    Raises
    ------
    Wrong
        If a file does not open, or a row that counts as done is wrong, or the job, done again, ends otherwise than
        undisturbed.
    """
    folder.mkdir(parents=True)
    reference, place = job.reference(folder / "whole"), folder / "job"
    job.prepare(place)
    with mock.patch.object(_file, "SYNC_SECONDS", syncs):
        recording = record(place, lambda: job.run(place))
    _check_recording(recording, place)
    tally = Tally(len(recording.calls))
    for state in _drawn(list(recording.failures(rounds, seed)), most, seed):
        shutil.rmtree(place)
        place.mkdir()
        for name, content in state.items():
            (place / name).write_bytes(content)
        tally.found[_judge(place, reference)] += 1
        job.run(place)
        check_equal(place, reference)
        tally.states += 1
    return tally


def _drawn(states: list[dict[str, bytes]], most: int | None, seed: int) -> list[dict[str, bytes]]:
    """Return all, or `most` of them: as many of each set of names, since most moments are those of making a file."""
    if most is None:
        return states
    draw = random.Random(seed)
    kinds: dict[frozenset[str], list[dict[str, bytes]]] = {}
    for state in draw.sample(states, len(states)):
        kinds.setdefault(frozenset(state), []).append(state)
    turns = itertools.zip_longest(*(kinds[names] for names in sorted(kinds, key=sorted)))
    return [state for turn in turns for state in turn if state is not None][:most]


def _check_recording(recording: Recording, place: Path) -> None:
    """Raise Wrong unless all calls together give what really lies there; else something was not recorded."""
    there = {path.name: path.read_bytes() for path in place.iterdir() if path.name != ".lock"}
    if recording.left(len(recording.calls)) != there:
        msg = f"{place}: what was recorded is not what was done."
        raise Wrong(msg)


def _judge(place: Path, reference: Reference) -> str:
    """Raise Wrong unless all can be opened, and no row that counts as done is wrong; return what is there."""
    cache = CacheFolder(place)
    for path in cache.files():
        if contents(path) not in (reference.files[path.name], reference.older.get(path.name)):
            msg = f"{path} was finished, and differs."
            raise Wrong(msg)
    lost = 0
    for path in cache.parts():
        one = examine(path)
        if one.stored is None:
            msg = f"{path} cannot be opened: {one.why}"
            raise Wrong(msg)
        whole = reference.files[path.name.removesuffix(".part")]
        marked = one.state != 0
        lost += int(one.damaged.sum())
        for name, found in (("state", one.state), ("features", one.stored.features_map)):
            shape, dtype = whole[name][:2]
            true = np.frombuffer(whole[name][2], dtype).reshape(shape)
            if found[marked].tobytes() != true[marked].tobytes():
                msg = f"{path}: {name} of rows that count as done differ."
                raise Wrong(msg)
        try:
            read_feature_file(path)
        except IncompleteCacheError:
            continue
        msg = f"{path} is unfinished and was read."
        raise Wrong(msg)
    if lost:
        return "rows known to be lost"
    return "unfinished" if cache.parts() else "finished" if cache.files() else "nothing yet"


def main() -> None:
    """Run all jobs, and tell the counts."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reliability.power_failure", description=main.__doc__)
    parser.add_argument("--job", choices=[job.name for job in JOBS], help="only this one")
    parser.add_argument("--rounds", type=int, default=10, help="random subsets at every moment (%(default)s)")
    parser.add_argument("--most", type=int, help="states of each job; by default all")
    parser.add_argument("--seed", type=int, default=0, help="for what is drawn (%(default)s)")
    given = parser.parse_args()
    total, begin = Tally(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="power_failure.") as name:
        for job in JOBS:
            for how, seconds in SYNCS.items():
                if given.job in (None, job.name):
                    place = Path(name, f"{job.name} {how}")
                    tally = fail_power(job, place, syncs=seconds, rounds=given.rounds, most=given.most, seed=given.seed)
                    total.calls += tally.calls
                    total.states += tally.states
                    total.found += tally.found
                    print(f"{job.name:8s} synchronised {how}: {tally}", flush=True)
                    shutil.rmtree(place)
    print(f"in all: {total}. {time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    main()
