"""Real processes of the command line, killed, interrupted and set against each other, lose and spoil nothing.

The machinery is that of ``python -m benchmarks.reliability.kill_extract``, which does the same as often as one likes.
"""

import re
import shutil
import signal
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
    """Killed 15 times anywhere, also while files are made and renamed, resumed caches equal an undisturbed one."""
    tally = bench.torture(server, job, reference, kills=15, seed=1)
    assert tally.kills == sum(tally.phases.values()) == 15
    assert tally.functions
    assert tally.jobs >= 2


def test_killed_while_images_are_added(bench, server, job, reference, tmp_path):
    """The cache that was there before is whole until the new one replaces it, which equals an undisturbed one."""
    older = bench.older_cache(server, job, tmp_path)
    added = bench.undisturbed(server, job, tmp_path / "whole", older)
    assert {len(found["state"][2]) for found in added.older.values()} == {84}
    assert {len(found["state"][2]) for found in added.files.values()} == {126}
    tally = bench.torture(server, job, added, kills=4, seed=2, older=older)
    assert tally.kills == 4


def test_killed_in_processes_from_nothing(bench, server, job, reference):
    """The same for ``python -m fusionfer`` itself, among the rows and among the imports."""
    tally = bench.torture_fresh(server, job, reference, kills=3, seed=3)
    assert tally.kills == 3
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
    """SIGINT from outside: exit code 130, the finished rows are told and kept, and the next run goes on there."""
    arrived = lambda: sum(bench.marks(job.cache).values()) > 0  # noqa: E731
    process = bench.freeze(job.arguments, arrived, lambda: shutil.rmtree(job.cache))
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)
    out, said = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    few, many = rows(bench, job)
    assert few == many < 126
    assert many % 4 == 0
    assert said.splitlines() == [
        "fusionfer: stopping after this batch; once more to stop at once.",
        f"fusionfer: Stopped after {many} of 126 images; they are kept. Run the same command again to go on.",
    ]
    bench.check_killed(job.cache, reference)
    assert job.finish(server).count(f"is continued: {many} of 126 rows are there") == 2
    bench.check_equal(job.cache, reference)


@pytest.mark.parametrize(("which", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_exit_codes_of_signals(bench, server, job, reference, which, code):
    """Once: the batch is finished first. Twice: the process stops at once, amid a commit. Both are resumed."""
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
    """The second fails in one line that names the first, and disturbs nothing; a killed owner's lock is free."""
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
