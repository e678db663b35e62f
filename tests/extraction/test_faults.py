"""Real extractions of which one call to the system fails: one named error, nothing lost, and the next run finishes.

The small jobs of ``tests/cache/test_faults.py`` let every call fail; here some are drawn from all of a real run.
"""

import importlib
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def script():
    """The script, which is no part of the installed package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2]))
        yield importlib.import_module("benchmarks.reliability.fail_writes")


@pytest.fixture(scope="module")
def failing(script, bench, tmp_path_factory):
    """What forks `fusionfer` processes with the library that lets calls fail."""
    folder = tmp_path_factory.mktemp("failing")
    try:
        library = script.build_shim(folder)
    except OSError as error:
        pytest.skip(f"calls cannot be made to fail: {error}")
    with bench.ForkServer(folder / "log", {"LD_PRELOAD": str(library)}) as server:
        yield server


def test_calls_of_real_extractions_fail(script, bench, failing, tmp_path_factory):
    """Faults 1, 3: errors, a full disk and short writes, met anywhere in a run, end it in one line, and are resumed."""
    folder = tmp_path_factory.mktemp("extractions")
    bench.write_faces(folder / "faces", 18)
    job = bench.Job(folder / "faces", folder / "caches")
    reference = bench.undisturbed(failing, job, folder / "whole")
    tally = script.fail_extractions(failing, job, reference, count=9, seed=1)
    assert tally.calls == 9
    assert tally.outcomes["error, in one line"] >= 6
