"""Real processes of the command line, killed, interrupted and set against each other, lose and spoil nothing.

The machinery is that of ``python -m benchmarks.reliability.kill_extract``, which does the same as often as one likes.
"""

import re
import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")


@pytest.fixture
def job(bench, faces, tmp_path):
    """An extraction into a new cache."""
    return bench.Job(faces, tmp_path / "cache")


def rows(bench, job):
    """Marked rows of the two unfinished files, which may differ by the block under way."""
    found = bench.marks(job.cache)
    assert [Path(name).suffix for name in found] == [".part", ".part"]
    return sorted(found.values())


def test_killed_at_random_moments(bench, server, job, reference):
    """Fault 1: killed 8 times anywhere, also while files are made and renamed, a cache equals an undisturbed one."""
    tally = bench.torture(server, job, reference, kills=8, seed=1)
    assert tally.kills == sum(tally.phases.values()) == 8
    assert tally.functions
    assert tally.jobs >= 2


def test_killed_while_images_are_added(bench, server, job, reference, tmp_path):
    """Fault 1: the cache that was there is whole until the new one replaces it, which equals an undisturbed one."""
    older = bench.older_cache(server, job, tmp_path)
    added = bench.undisturbed(server, job, tmp_path / "whole", older)
    assert {len(found["state"][2]) for found in added.older.values()} == {84}
    assert {len(found["state"][2]) for found in added.files.values()} == {126}
    tally = bench.torture(server, job, added, kills=4, seed=2, older=older)
    assert tally.kills == 4


def test_killed_in_processes_from_nothing(bench, server, job, reference):
    """Fault 1: the same for ``python -m fusionfer`` itself, among the rows and among the imports."""
    tally = bench.torture_fresh(server, job, reference, kills=2, seed=3)
    assert tally.kills == 2
    assert tally.phases["among the rows"] >= 1


def test_the_judge_sees_one_bit(bench, server, job, reference):
    """A single bit of a marked row, finished or not, is seen; else the tests above would prove nothing."""
    server.start(job.arguments, before="signal_at_steps('_write', [80])").wait()
    bench.check_killed(job.cache, reference)
    job.finish(server)
    bench.check_equal(job.cache, reference)
    path = next(job.cache.glob("*.penultimate.*.h5"))
    features = np.frombuffer(reference.files[path.name]["features"][2], "<f4")
    stored = path.read_bytes()
    place = stored.index(features[-1280:].tobytes())
    path.write_bytes(stored[:place] + bytes([stored[place] ^ 1]) + stored[place + 1 :])
    with pytest.raises(bench.Wrong, match=r"differs from the undisturbed one in features\."):
        bench.check_equal(job.cache, reference)
    with pytest.raises(bench.Wrong, match=r"was finished, and differs"):
        bench.check_killed(job.cache, reference)
    path.rename(path.with_name(path.name + ".part"))
    with pytest.raises(bench.Wrong, match=r"Damage\(block=31, start=124, stop=126"):
        bench.check_killed(job.cache, reference)


def test_ctrl_c_commits_the_batch_and_is_resumable(bench, server, job, reference):
    """Fault 2: SIGINT from outside: exit code 130, the finished rows are told and kept; the next run goes on there."""
    arrived = lambda: sum(bench.marks(job.cache).values()) > 0  # noqa: E731
    process = bench.freeze(job.arguments, arrived, lambda: shutil.rmtree(job.cache))
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)
    out, said = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    few, many = rows(bench, job)
    assert few == many < 126
    assert many % 4 == 0
    estimate, *lines = said.splitlines()
    assert estimate.startswith("fusionfer: extract: about ")
    assert lines == [
        "fusionfer: stopping after this batch; once more to stop at once.",
        f"fusionfer: Stopped after {many} of 126 images; they are kept. Run the same command again to go on.",
    ]
    bench.check_killed(job.cache, reference)
    assert job.finish(server).count(f"is continued: {many} of 126 rows are there") == 2
    bench.check_equal(job.cache, reference)


@pytest.mark.parametrize(("which", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_exit_codes_of_signals(bench, server, job, reference, which, code):
    """Fault 2: once: the batch is finished first. Twice: the process stops at once, amid a commit. Both are resumed."""
    run = server.start(job.arguments, before=f"signal_at_steps('_write', [81], {int(which)})")
    assert run.wait(60) == code
    assert re.search(r"Stopped after \d+ of 126 images", server.said())
    few, many = rows(bench, job)
    assert 0 < few == many < 126
    run = server.start(job.arguments, before=f"signal_at_steps('_write', [81, 83], {int(which)})")
    assert run.wait(60) == code
    assert "stopped at once" in server.said()
    assert "Traceback" not in server.said()
    bench.check_killed(job.cache, reference)
    assert sum(rows(bench, job)) > few + many
    job.finish(server)
    bench.check_equal(job.cache, reference)


def test_two_processes_at_once(bench, server, job, reference):
    """Fault 5: the second fails by the name of the first and disturbs nothing; a killed owner's lock is free."""
    arrived = lambda: sum(bench.marks(job.cache).values()) > 0  # noqa: E731
    first = bench.freeze(job.arguments, arrived, lambda: shutil.rmtree(job.cache))
    try:
        before = {path: path.read_bytes() for path in job.cache.iterdir()}
        second = bench.start_fresh(job.arguments)
        out, said = second.communicate(timeout=60)
        assert (second.returncode, out) == (1, "")
        assert re.fullmatch(
            rf"fusionfer: error: \S+ is being written by process {first.pid} on \S+ since \S+ "
            r"Wait until it has finished, or give another --cache\.\n",
            said,
        )
        assert {path: path.read_bytes() for path in job.cache.iterdir()} == before
    finally:
        first.kill()
        first.communicate()
    bench.check_killed(job.cache, reference)
    assert "is continued" in job.finish(server)
    bench.check_equal(job.cache, reference)


def test_the_second_process_waits(bench, job, reference):
    """Fault 5: with --wait the second comes after the first has finished, and finds that all is done."""
    arrived = lambda: sum(bench.marks(job.cache).values()) > 0  # noqa: E731
    first = bench.freeze(job.arguments, arrived, lambda: shutil.rmtree(job.cache))
    second = bench.start_fresh([*job.arguments, "--wait", "100"])
    try:
        with pytest.raises(subprocess.TimeoutExpired):  # the first stands still, so the second must not get on
            second.wait(6)
        assert all(path.name.endswith(".part") for path in job.cache.glob("*.h5*"))
        first.send_signal(signal.SIGCONT)
        first.communicate(timeout=100)
        out, said = second.communicate(timeout=100)
    finally:
        for process in (first, second):
            process.kill()
            process.communicate()
    assert (first.returncode, second.returncode) == (0, 0), said
    assert out.count("has all 126 rows.") == 2
    assert "Computed" not in out
    bench.check_equal(job.cache, reference)


def test_no_locks(bench, server, job, reference):
    """Fault 5: without locks a process says so before it computes; with --no-lock it goes on, and all is there."""
    broken = (
        "import fcntl, errno\ndef flock(*_): raise OSError(errno.ENOLCK, 'No locks available')\nfcntl.flock = flock"
    )
    run = server.start(job.arguments, before=broken)
    assert run.wait(60) == 1
    assert re.fullmatch(
        r"fusionfer: error: \S+: this file system has no locks, so nothing keeps two writers apart\. .*--no-lock.*\n",
        server.said(),
    )
    assert bench.marks(job.cache) == {}
    run = server.start([*job.arguments, "--no-lock"], before=broken)
    assert run.wait(60) == 0
    bench.check_equal(job.cache, reference)
