"""Beyond memory the models are the same: codes and pages in files that are gone afterwards, rows that stay in maps."""

import errno
import gc
import os
import resource
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fusionfer.exceptions import DataError, NonFiniteFeaturesError, StoreFullError
from fusionfer.heads.boosting import (
    PlainXGBClassifier,
    WeightNormalisedXGBClassifier,
    _boosters,
    _plain,
    _weight_normalised,
)
from fusionfer.heads.boosting._binning import find_bins
from fusionfer.matrices import MappedMatrix
from fusionfer.memory import memory_limit

TINY = 1 << 16  # of which no fit can keep its bins in a quarter


@pytest.fixture(scope="module")
def rows(blobs, tmp_path_factory):
    """Return X (900, 14), the same in two maps side by side, one with other rows between; y, weights, groups."""
    rng = np.random.default_rng(3)
    X = np.tile(blobs[0], (3, 1)) + rng.normal(scale=4, size=(900, 14)).astype(np.float32)
    folder = tmp_path_factory.mktemp("maps")
    np.save(folder / "a.npy", np.repeat(X[:, :5], 2, axis=0))
    np.save(folder / "b.npy", X[:, 5:])
    parts = [np.load(folder / name, mmap_mode="r") for name in ("a.npy", "b.npy")]
    mapped = MappedMatrix(parts, [np.arange(0, 1800, 2), slice(0, 900)])
    return X, mapped, np.tile(blobs[1], 3), rng.uniform(0.5, 2, 900), np.arange(900) // 3


@pytest.fixture
def small_pages(monkeypatch, tmp_path):
    """Pages of 128 rows, temporary files in a folder of their own; return it."""
    monkeypatch.setattr(_boosters, "_PAGE", 128)
    monkeypatch.setattr(_plain, "_PAGE", 128)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("max_bin", [2, 32, 256])
@pytest.mark.parametrize("limit", [1 << 12, 1 << 17, 1 << 30])
def test_bins_of_a_map_are_those_of_the_array(rows, max_bin, limit):
    """However few columns are read at a time, cuts and codes are equal, of the rows themselves and of others."""
    X, mapped, _, weight, _ = rows
    bins, codes = find_bins(X, max_bin, weight)
    with memory_limit(limit):
        again, filed = find_bins(mapped, max_bin, weight, threads=2)
        assert_array_equal(again.codes(mapped[100:200]), codes[:, 100:200])
    assert_array_equal(filed, codes)
    for one, other in zip(bins.cuts, again.cuts, strict=True):
        assert_array_equal(one, other)


def test_a_scaled_map_is_binned_as_it_is_read(rows):
    """Cuts are those of the scaled values."""
    _, mapped, _, weight, _ = rows
    shift, factor = np.arange(14.0), np.linspace(0.5, 2, 14)
    scaled = mapped.scaled(shift, factor)
    expected, _ = find_bins(np.asarray(scaled), 16, weight)
    found, _ = find_bins(scaled, 16, weight)
    for one, other in zip(expected.cuts, found.cuts, strict=True):
        assert_array_equal(one, other)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("how", ["weights", "groups", "eval_set", "held_out", "all"])
def test_weight_normalised_models_are_the_same_to_the_byte(rows, small_pages, how, n_classes):
    """Whatever the fit is stopped by, and with weights of 0, trees and history from files are those from memory."""
    X, mapped, y, weight, groups = rows
    chosen = np.isin(y, np.unique(y)[:n_classes])
    X, mapped, y, weight, groups = X[chosen], mapped.rows(chosen), y[chosen], weight[chosen], groups[chosen]
    half = np.arange(len(y)) % 2 == 0
    given = {
        "weights": {"sample_weight": np.where(half, weight, weight * (groups % 3 > 0))},
        "groups": {"groups": groups},
        "eval_set": {"eval_set": (X[half], y[half], weight[half])},
        "held_out": {"held_out": half},
        "all": {},
    }[how]
    head = WeightNormalisedXGBClassifier(
        24, eta=1.0, tau=0.5, n_slices=4, early_stopping_rounds=None if how == "all" else 5, n_jobs=1
    )
    expected = head.fit(X, y, **given)
    model, history, P = expected.model_json_.tobytes(), expected.history_, expected.predict_proba(X)
    if how == "eval_set":
        given = {"eval_set": (mapped.rows(half), y[half], weight[half])}
    with memory_limit(TINY):
        found = head.fit(mapped, y, **given)
        assert found.model_json_.tobytes() == model
        assert_array_equal(found.predict_proba(mapped), P)
        assert_array_equal(found.predict(mapped), found.predict(X))
        assert_array_equal(list(found.staged_predict_proba(mapped))[2], list(found.staged_predict_proba(X))[2])
    for name, values in history.items():
        assert_array_equal(found.history_[name], values)
    assert list(small_pages.iterdir()) == []


def test_fewer_rounds_than_slices(rows, small_pages):
    """Slices that never have their turn write no pages, and are missed by nobody."""
    X, _, y, *_ = rows
    head = WeightNormalisedXGBClassifier(2, n_slices=5, early_stopping_rounds=None, n_jobs=1)
    expected = head.fit(X, y).model_json_.tobytes()
    with memory_limit(TINY):
        assert head.fit(X, y).model_json_.tobytes() == expected


@pytest.mark.parametrize("held", [False, True])
def test_plain_models_are_the_same(rows, small_pages, held):
    """Pages of 128 rows sketch so few rows exactly: the plain head has the same trees, with and without stopping."""
    X, mapped, y, weight, _ = rows
    head = PlainXGBClassifier(12, max_depth=3, early_stopping_rounds=3 if held else None, n_jobs=1)
    expected = head.fit(X, y, sample_weight=weight).predict_proba(X)
    best = head.best_round_
    within = head.fit(mapped, y, sample_weight=weight).predict_proba(mapped)
    assert_allclose(within, expected, atol=1e-6)
    with memory_limit(TINY):
        assert_allclose(head.fit(mapped, y, sample_weight=weight).predict_proba(mapped), expected, atol=1e-5)
    assert head.best_round_ == best
    assert list(small_pages.iterdir()) == []


@pytest.mark.parametrize("kind", [WeightNormalisedXGBClassifier, PlainXGBClassifier])
def test_nothing_is_left_behind_by_a_fit_that_is_interrupted(rows, small_pages, kind, recwarn):
    """While it runs there are pages; after an exception in the middle there is none, and XGBoost misses none."""
    seen = []

    def stop(done, total, what):
        seen.extend(path for path in small_pages.rglob("*") if path.is_file())
        if done == 3:
            raise KeyboardInterrupt

    with memory_limit(TINY), pytest.raises(KeyboardInterrupt):
        kind(5, n_jobs=1).fit(rows[1], rows[2], progress=stop)
    assert seen
    gc.collect()
    assert list(small_pages.iterdir()) == []
    assert [str(told.message) for told in recwarn if "cache file" in str(told.message)] == []


def test_a_full_disk_is_said_before_anything_is_written(rows, small_pages, monkeypatch):
    """Too little room is an error with the folder, what is needed, and what to do."""
    usage = shutil.disk_usage(small_pages)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with memory_limit(TINY), pytest.raises(StoreFullError, match=r"beyond memory needs .* are free\. .*TMPDIR"):
        WeightNormalisedXGBClassifier(2).fit(rows[1], rows[2])
    assert list(small_pages.iterdir()) == []


def test_a_disk_that_fills_up_meanwhile(rows, small_pages, monkeypatch):
    """Room that is gone when the codes are to be kept is the same error, and no crash."""

    def full(handle, offset, length):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with memory_limit(TINY), pytest.raises(StoreFullError, match="TMPDIR"):
        WeightNormalisedXGBClassifier(2).fit(rows[1], rows[2])
    assert list(small_pages.iterdir()) == []


@pytest.mark.parametrize("limit", [TINY, None])
@pytest.mark.parametrize("kind", [WeightNormalisedXGBClassifier, PlainXGBClassifier])
def test_rows_that_are_no_numbers(rows, small_pages, kind, limit):
    """NaN in a map is refused, though nobody has looked at the map before; in rows to predict too."""
    X, _, y, *_ = rows
    bad = X.copy()
    bad[70, 3] = np.nan
    with memory_limit(limit):
        with pytest.raises((NonFiniteFeaturesError, ValueError), match="NaN"):
            kind(2, early_stopping_rounds=None).fit(MappedMatrix([bad]), y)
        with pytest.raises(ValueError, match="NaN"):
            kind(2).fit(X, y).predict(MappedMatrix([bad]))
        with pytest.raises(ValueError, match=r"13 features, but .* is expecting 14"):
            kind(2).fit(X, y).predict(MappedMatrix([X[:, :13]]))
    assert list(small_pages.iterdir()) == []


@pytest.mark.parametrize("limit", [TINY, None])
@pytest.mark.parametrize("how", ["held_out", "eval_set"])
@pytest.mark.parametrize("kind", [WeightNormalisedXGBClassifier, PlainXGBClassifier])
def test_rows_to_stop_by_that_are_no_numbers(rows, small_pages, kind, how, limit, recwarn):
    """NaN in them is refused as well: it would count as the largest value of its column."""
    X, _, y, *_ = rows
    bad = X.copy()
    bad[70, 3] = np.nan
    held = np.arange(900) % 10 == 0
    given = {"held_out": held} if how == "held_out" else {"eval_set": (MappedMatrix([bad]).rows(held), y[held])}
    with memory_limit(limit), pytest.raises((NonFiniteFeaturesError, ValueError), match="NaN"):
        kind(2).fit(MappedMatrix([bad]) if how == "held_out" else MappedMatrix([X]), y, **given)
    with pytest.raises((NonFiniteFeaturesError, ValueError), match="NaN"):
        kind(2).fit(bad, y, held_out=held)
    assert list(small_pages.iterdir()) == []
    gc.collect()
    assert [str(told.message) for told in recwarn if "cache file" in str(told.message)] == []


@pytest.mark.parametrize("kind", [WeightNormalisedXGBClassifier, PlainXGBClassifier])
def test_another_device_reads_nothing_from_files(rows, small_pages, monkeypatch, kind):
    """A fit that is too large to be kept in memory is refused there before a column is cut, with what to do."""
    monkeypatch.setattr(kind, "_check_device", lambda head: None)
    monkeypatch.setattr(_weight_normalised, "find_bins", None)
    monkeypatch.setattr(_plain, "_in_files", None)
    with memory_limit(TINY), pytest.raises(DataError, match=r"device='cuda' reads no .* device='cpu', .*--memory"):
        kind(2, device="cuda").fit(rows[1], rows[2])
    assert list(small_pages.iterdir()) == []


@pytest.mark.parametrize("n_classes", [2, 4])
def test_threads_and_pages_change_nothing(rows, small_pages, n_classes):
    """With two threads and several pages the model is that of one thread in memory, to the byte."""
    X, mapped, y, weight, _ = rows
    chosen = np.isin(y, np.unique(y)[:n_classes])
    X, mapped, y, weight = X[chosen], mapped.rows(chosen), y[chosen], weight[chosen]
    head = WeightNormalisedXGBClassifier(8, eta=1.0, tau=0.5, n_slices=3, n_jobs=1)
    expected = head.fit(X, y, sample_weight=weight).model_json_.tobytes()
    head.set_params(n_jobs=2)
    assert head.fit(X, y, sample_weight=weight).model_json_.tobytes() == expected
    with memory_limit(TINY):
        assert head.fit(mapped, y, sample_weight=weight).model_json_.tobytes() == expected


UNDER_A_LIMIT = """
import re, resource, sys
from pathlib import Path
import numpy as np
from fusionfer.heads.boosting import WeightNormalisedXGBClassifier
from fusionfer.matrices import MappedMatrix
from fusionfer.memory import memory_limit

X = MappedMatrix([np.load(sys.argv[1], mmap_mode="r")])
y = np.arange(len(X)) % 7
head = WeightNormalisedXGBClassifier(7, n_slices=6, early_stopping_rounds=None, n_jobs=1)
head.fit(np.asarray(X[:500]), y[:500])  # so that all code is loaded
used = 1024 * int(re.search(r"VmData:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
resource.setrlimit(resource.RLIMIT_DATA, (used + int(sys.argv[3]),) * 2)
with memory_limit(int(sys.argv[2])):
    print(head.fit(X, y).history_["train_loss"][-1].hex())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_DATA counts maps on Linux alone")
def test_under_a_real_limit(tmp_path):
    """Where the system refuses more, a fit in memory fails and one in files succeeds, with the same loss to the bit."""
    X = np.random.default_rng(0).normal(size=(120_000, 60)).astype(np.float32)
    np.save(tmp_path / "x.npy", X)

    def run(limit, room):
        command = [sys.executable, "-c", UNDER_A_LIMIT, str(tmp_path / "x.npy"), str(limit), str(room)]
        return subprocess.run(
            # Stacks of threads count too.
            command, capture_output=True, text=True, check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_STACK, (1 << 20, 1 << 20)),
        )  # fmt: skip

    in_memory, in_files = run(1 << 40, 90 << 20), run(80 << 20, 90 << 20)
    assert in_memory.returncode != 0
    assert "bad_alloc" in in_memory.stderr or "MemoryError" in in_memory.stderr
    assert in_files.returncode == 0, in_files.stderr
    head = WeightNormalisedXGBClassifier(7, n_slices=6, early_stopping_rounds=None, n_jobs=1)
    assert in_files.stdout.strip() == head.fit(X, np.arange(len(X)) % 7).history_["train_loss"][-1].hex()
