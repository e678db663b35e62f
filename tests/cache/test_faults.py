"""Each single call that changes a cache fails: nothing is lost, spoilt or believed (after SQLite's method).

The machinery is that of ``python -m benchmarks.reliability.fail_writes``, which runs every job with every fault.
"""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def faults():
    """The harness, which is no part of the installed package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield importlib.import_module("benchmarks.reliability._faults")


@pytest.fixture(scope="module")
def jobs():
    """The jobs of the harness, by name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        return {job.name: job for job in importlib.import_module("benchmarks.reliability._small_jobs").JOBS}


@pytest.mark.parametrize(
    ("name", "number"), [("new", 0), ("new", 1), ("new", 2), ("resumed", 2), ("grown", 2), ("mended", 2), ("merged", 2)]
)
def test_every_call_of_python_may_fail(faults, jobs, tmp_path, name, number):
    """Faults 1, 3: for every n the n-th call fails: a named error comes, and the job done again ends as undisturbed."""
    fault = faults.FAULTS[number]
    tally = faults.fail_everywhere(jobs[name], fault, tmp_path / name, faults.in_python)
    assert tally.calls == sum(tally.outcomes.values()) >= 15
    assert tally.outcomes["StoreFullError" if fault.full else "CacheError"] >= 10


def test_every_call_of_the_real_driver_may_fail(faults, jobs, tmp_path):
    """Faults 1, 3: the same for what libc is asked for, HDF5's own calls among it."""
    try:
        library = faults.build_shim(tmp_path)
    except OSError as error:
        pytest.skip(f"the real driver cannot be made to fail: {error}")
    preloaded = {**os.environ, "LD_PRELOAD": str(library), "FUSIONFER_FAULTS_PRELOADED": "1", "OMP_NUM_THREADS": "1"}
    for options in (["--job", "new", "--fault", "0"], ["--job", "grown", "--fault", "2"]):
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.reliability.fail_writes", *options],
            env=preloaded, cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        count = re.search(r"^on the real driver: (\d+) calls failed .*; all resumed and equal", done.stdout, re.M)
        assert int(count[1]) >= 50


def test_the_judge_sees_what_is_wrong(faults, jobs, tmp_path):
    """A job that stores a wrong row, or raises what nobody expects, does not pass; else the above proves nothing."""
    good = jobs["new"]

    def spoilt(folder):
        good.run(folder)
        path = next(folder.glob("*.h5"))
        content = bytearray(path.read_bytes())
        content[-1] ^= len(list(folder.parent.iterdir())) > 1  # not while the reference is made
        path.write_bytes(content)

    wrong = type(good)("spoilt", good.prepare, spoilt)
    with pytest.raises(AssertionError, match=r"was finished, and differs|differs from the undisturbed one"):
        faults.fail_everywhere(wrong, faults.FAULTS[0], tmp_path / "spoilt", faults.in_python)

    def swallowed(folder):
        try:
            good.run(folder)
        except OSError as error:
            raise ZeroDivisionError from error

    wrong = type(good)("swallowed", good.prepare, swallowed)
    with pytest.raises(ZeroDivisionError):
        faults.fail_everywhere(wrong, faults.FAULTS[0], tmp_path / "swallowed", faults.in_python)
