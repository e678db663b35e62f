"""Changed files of every kind are read, or refused by an error of ours; no more than stated is taken for it.

The machinery is that of ``python -m benchmarks.reliability.fuzz``, which does the same as often as one likes.
"""

import numpy as np
import pytest

from benchmarks.reliability import fuzz
from benchmarks.reliability._seeds import SEEDS


@pytest.mark.parametrize("kind", SEEDS)
def test_changed_bytes(kind):
    """Nothing but refusals and results; of a cache, only the very data that were written."""
    tally = fuzz.fuzz(kind, 25 if kind == "cache" else 80)
    allowed = {"refused", "equal"} if kind == "cache" else {"refused", "equal", "different"}
    assert tally.files == sum(tally.outcomes.values())
    assert set(tally.outcomes) <= allowed, tally.odd
    assert tally.worst["seconds"][0] < fuzz.SECONDS
    assert tally.worst["bytes"][0] < fuzz.MEMORY_BYTES
    assert tally.outcomes["refused"] > 0


def test_cases_can_be_had_again():
    """The number of a case decides its file; other numbers give other files, of which a few are shorter."""
    good = SEEDS["bmp"].make()
    bad = [fuzz.mutate(good, case) for case in range(200)]
    assert bad == [fuzz.mutate(good, case) for case in range(200)]
    assert len(set(bad)) > 190
    assert 0 < sum(len(content) < len(good) for content in bad) < 40
    changed = np.array([sum(a != b for a, b in zip(content, good, strict=False)) for content in bad])
    assert np.median(changed) <= 5


@pytest.mark.parametrize(
    ("read", "outcome"),
    [("os.abort()", "crashed"), ("time.sleep(9)", "timed out"), ("1 / 0", "ZeroDivisionError"), ("5", "different")],
)
def test_the_judge_sees_faults(monkeypatch, tmp_path, read, outcome):
    """A reader that crashes, hangs, lets another error through or returns other data is told; the next file follows."""
    (tmp_path / "faulty.py").write_text(
        "import os, sys, time, signal\n"
        "from benchmarks.reliability import fuzz, _seeds\n"
        "fuzz.SECONDS = 1.0\n"
        f"def read(path): return {read} if path.read_bytes() != b'good' * 9 else 0\n"
        "_seeds.SEEDS['bmp'] = _seeds.Seed(lambda: b'good' * 9, read, 'x')\n"
        "fuzz.work('bmp', int(sys.argv[1]), int(sys.argv[2]), False)\n"
    )
    popen = fuzz.subprocess.Popen

    def faulty(command, **options):
        first, files = (command[command.index(name) + 1] for name in ("--first", "--files"))
        return popen([command[0], tmp_path / "faulty.py", first, files], **options)

    monkeypatch.setattr(fuzz.subprocess, "Popen", faulty)
    monkeypatch.setenv("PYTHONPATH", ".")
    tally = fuzz.fuzz("bmp", 2)
    assert tally.files == 2
    assert dict(tally.outcomes) == {outcome: 2}
