"""What the disk had not stored when the power failed is computed again, and nothing of it is believed.

The machinery is that of ``python -m benchmarks.reliability.power_failure``, which judges all states of every job.
"""

import importlib
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def harness():
    """Return a function that imports a module of the harness, which is no part of the installed package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2]))
        yield lambda name: importlib.import_module(f"benchmarks.reliability.{name}")


@pytest.mark.parametrize("syncs", [-1.0, float("inf")])
@pytest.mark.parametrize("name", ["new", "resumed", "grown", "mended", "merged"])
def test_a_power_failure_at_any_moment(harness, tmp_path, name, syncs):
    """Faults 1, 6: each state that a failure may leave opens, counts no wrong row as done, and ends as undisturbed."""
    job = next(job for job in harness("_small_jobs").JOBS if job.name == name)
    tally = harness("power_failure").fail_power(job, tmp_path / "power", syncs=syncs, rounds=1, most=25)
    assert tally.states == 25 == sum(tally.found.values())
    assert tally.calls >= 15
    assert tally.found["finished"] > 0


def test_rows_that_were_lost_are_known(harness, tmp_path):
    """Fault 6: where marks reached the disk and their rows did not, the checksums tell."""
    job = harness("_small_jobs").JOBS[1]
    tally = harness("power_failure").fail_power(job, tmp_path / "power", syncs=float("inf"), rounds=1)
    assert tally.found["rows known to be lost"] >= 10


def test_the_judge_sees_a_missing_sync(harness, tmp_path, monkeypatch):
    """Without the synchronisation before the last rename a file could have its true name and not its rows."""
    judge, power = harness("power_failure"), harness("_power")

    def record(folder, run):
        recording = power.record(folder, run)
        recording.calls = [call for call in recording.calls if call.what != power.SYNC_FILE]
        return recording

    monkeypatch.setattr(judge, "record", record)
    job = harness("_small_jobs").JOBS[1]
    with pytest.raises(harness("_judging").Wrong, match="was finished, and differs"):
        judge.fail_power(job, tmp_path / "power", syncs=-1.0, rounds=1)


def test_what_a_failure_may_leave(harness, tmp_path):
    """The model: content is safe once the file is synchronised, its name once the folder is; a rename is whole."""
    power = harness("_power")
    (tmp_path / "old").write_bytes(b"before")

    def run():
        with (tmp_path / "new").open("wb", buffering=0) as stream:
            stream.write(b"abcd")
            power.os.fsync(stream.fileno())
            stream.write(b"efgh")
        power.os.replace(tmp_path / "new", tmp_path / "old")
        handle = power.os.open(tmp_path, power.os.O_RDONLY)
        power.os.fsync(handle)
        power.os.close(handle)

    recording = power.record(tmp_path, run)
    kinds = [call.what for call in recording.calls]
    assert kinds == [power.CREATE, power.WRITE, power.SYNC_FILE, power.WRITE, power.RENAME, power.SYNC_FOLDER]
    assert recording.pending(5) == [0, 3, 4]
    assert recording.pending(6) == [3]
    assert recording.left(5, {3}) == {"old": b"abcd"}
    assert recording.left(5, {0, 4}) == {"old": b"before"}
    assert recording.left(6, torn=3) == {"old": b"abcdef"}
    found = list(recording.failures(rounds=2))
    assert {"old": b"abcd"} in found
    assert {"old": b"before", "new": b"\0\0\0\0"} not in found
    assert all(state.get("old") in (b"before", b"abcd", b"abcdef", b"abcdefgh") for state in found)
    assert len(found) == len({frozenset(state.items()) for state in found})
