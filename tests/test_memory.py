"""Memory: sizes as they are written, what there is, what is allowed, what is used, and estimates that refuse."""

import math
import mmap
import resource
import subprocess
import sys
import time

import numpy as np
import pytest

from fusionfer import memory
from fusionfer.exceptions import DataError, MemoryLimitError
from fusionfer.memory import (
    Estimate,
    PeakMemory,
    allowed_bytes,
    anonymous_bytes,
    asked_bytes,
    available_bytes,
    duration,
    memory_limit,
    parse_bytes,
    planned_bytes,
    size,
)

MB, GB = 1 << 20, 1 << 30


@pytest.mark.parametrize(
    ("text", "n"),
    [("4G", 4 * GB), ("1.5g", 3 * GB // 2), ("800M", 800 * MB), ("512 MiB", 512 * MB), ("2TB", 2048 * GB),
     ("1073741824", GB), (" 64M ", 64 * MB), ("70000K", 70000 * 1024)],
)  # fmt: skip
def test_sizes_are_read(text, n):
    """Numbers with K, M, G or T, in powers of 1024, with or without B and iB."""
    assert parse_bytes(text) == n


@pytest.mark.parametrize("text", ["", "G", "-4G", "4 gigs", "4P", "1e9", "0x10", "nan", "4G4", "63M", "0"])
def test_other_sizes_are_refused(text):
    """What is no size, or one in which nothing fits, is refused, and shown."""
    with pytest.raises(DataError, match="size of memory") as refused:
        parse_bytes(text)
    assert repr(text) in str(refused.value)


@pytest.mark.parametrize(
    ("n", "text"),
    [(0, "0 KB"), (-5, "0 KB"), (2048, "2 KB"), (1.5 * MB, "1.5 MB"), (900 * MB, "900 MB"), (GB, "1.0 GB"),
     (1200 * GB, "1,200 GB")],
)  # fmt: skip
def test_sizes_are_said(n, text):
    """Two digits where it is less than ten."""
    assert size(n) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.1, "a few seconds"), (12.4, "12 s"), (44, "40 s"), (180, "3 min"), (5399, "90 min"), (9000, "2.5 h")],
)
def test_durations_are_said(seconds, text):
    """As far as an estimate is true."""
    assert duration(seconds) == text


def test_what_is_allowed():
    """Inside a limit that counts, the innermost of several; None changes nothing; outside what is there."""
    assert asked_bytes() is None
    with memory_limit(3 * GB):
        assert (allowed_bytes(), planned_bytes(), asked_bytes()) == (3 * GB, 3 * GB, 3 * GB)
        with memory_limit(GB), memory_limit(None):
            assert allowed_bytes() == GB
        assert allowed_bytes() == 3 * GB
    assert 0 < allowed_bytes() <= planned_bytes()


def test_a_limit_ends_with_an_error():
    """What is refused inside leaves no limit behind."""
    with pytest.raises(DataError), memory_limit(GB):
        raise DataError("no")
    assert asked_bytes() is None


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Write files of /sys/fs/cgroup and /proc as those of another machine; what is not written is not there."""
    real = memory.Path
    ours = ("/sys/fs/cgroup", "/proc/self/cgroup")
    monkeypatch.setattr(memory, "Path", lambda path: real(f"{tmp_path}{path}" if path.startswith(ours) else path))
    monkeypatch.setattr(memory, "anonymous_bytes", lambda: 150 * MB)

    def write(path, text):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)

    return write


V1, V2 = ("sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("sys/fs/cgroup", "memory.max")


@pytest.mark.parametrize(
    ("version", "line", "stat"),
    [
        (V1, "4:cpu,memory:/job/step\n", f"cache {GB}\nrss 7\ntotal_rss {90 * MB}\ntotal_shmem {10 * MB}\n"),
        (V2, "0::/job/step\n", f"file {GB}\nanon {90 * MB}\nshmem {10 * MB}\n"),
    ],
    ids=["v1", "v2"],
)
def test_control_groups_count(system, version, line, stat):
    """Of the smallest limit on the way up, less what all processes of that group hold; "max" is no limit."""
    root, name = version
    system("proc/self/cgroup", f"9:pids:/other\n{line}")
    system(f"{root}/job/step/{name}", "max\n")
    assert available_bytes() > 300 * MB
    system(f"{root}/job/{name}", f"{300 * MB}\n")
    system(f"{root}/{name}", f"{2 * GB}\n")
    assert (available_bytes(), planned_bytes()) == (150 * MB, 300 * MB)  # less what is this process's
    system(f"{root}/job/memory.stat", stat)
    assert (available_bytes(), planned_bytes()) == (200 * MB, 300 * MB)
    system(f"{root}/job/step/{name}", f"{80 * MB}\n")
    system(f"{root}/job/step/memory.stat", stat)
    assert (available_bytes(), planned_bytes()) == (0, 80 * MB)


@pytest.mark.parametrize("own", ["0::/docker/a1b2\n", "0::/../other\n", "", None])
def test_the_root_counts_where_the_own_group_is_not_seen(system, own):
    """As in a container, where the path is the host's, and on a machine that says nothing of groups."""
    if own is not None:
        system("proc/self/cgroup", own)
    system("sys/fs/cgroup/memory.max", f"{400 * MB}\n")
    assert (available_bytes(), planned_bytes()) == (250 * MB, 400 * MB)


def test_a_limit_of_the_process_counts(monkeypatch):
    """RLIMIT_DATA less what is used already."""
    monkeypatch.setattr(resource, "getrlimit", lambda which: (500 * MB, resource.RLIM_INFINITY))
    monkeypatch.setattr(memory, "anonymous_bytes", lambda: 120 * MB)
    assert available_bytes() == 380 * MB


def test_without_the_module_of_limits_and_without_proc(monkeypatch):
    """Where the system says nothing, as on Windows, a usual size is taken, and no memory seems used."""
    real = memory.Path
    monkeypatch.setitem(sys.modules, "resource", None)
    monkeypatch.setattr(memory, "Path", lambda path: real("/nowhere") / path.lstrip("/"))
    monkeypatch.delattr(memory.os, "sysconf")
    assert (available_bytes(), planned_bytes(), anonymous_bytes()) == (4 * GB, 4 * GB, 0)


def _fresh(n):
    """Memory that was written, new from the kernel: what an allocator reuses was counted before."""
    pages = mmap.mmap(-1, n, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    array = np.frombuffer(pages, np.uint8)
    array[:] = 1
    return array


def test_anonymous_memory_counts_arrays_and_not_maps(tmp_path):
    """An array of 64 MB that is written counts, a file of that size that is mapped and read does not."""
    path = tmp_path / "zeros"
    with path.open("wb") as stream:
        stream.truncate(64 * MB)
    before = anonymous_bytes()
    mapped = np.memmap(path, np.uint8, "r")
    assert mapped.sum() == 0
    assert anonymous_bytes() - before < 16 * MB
    held = _fresh(64 * MB)
    assert 56 * MB < anonymous_bytes() - before < 96 * MB
    del held


def test_the_peak_is_seen():
    """What was freed before the end is in the peak."""
    before = anonymous_bytes()
    with PeakMemory(0.005) as peak:
        held = _fresh(64 * MB)
        time.sleep(2.0)  # looks are seldom where they take long
        del held
    assert peak.bytes - before > 56 * MB


def test_slow_looks_are_seldom(monkeypatch):
    """Where a look takes 10 ms, the next comes a fifth of a second later: a twentieth of the time at most."""
    looks = []
    monkeypatch.setattr(memory, "anonymous_bytes", lambda: looks.append(time.sleep(0.01)) or 7)
    with PeakMemory(0.001) as peak:
        time.sleep(0.5)
    assert 3 <= len(looks) <= 6  # at the start, at the end, and one to four between
    assert peak.bytes == 7


def test_an_estimate_is_a_sum():
    """Parts of 0 bytes are left out, the largest stands first."""
    one = Estimate.of("extract", [("weights", 100 * MB), ("programs", 300 * MB), ("nothing", 0)], 100)
    assert one.bytes == 400 * MB
    assert one.parts == (("programs", 300 * MB), ("weights", 100 * MB))
    assert one.describe() == "extract: about 400 MB of memory and 2 min."


def test_an_unknown_time_is_said_so():
    """On a GPU nobody knows before."""
    assert "not known" in Estimate.of("extract", [("x", MB)], math.nan).describe()


def test_an_estimate_refuses_with_the_figure():
    """More than is allowed: both figures, what it consists of, and what to do; what is allowed passes."""
    one = Estimate.of("extract", [("weights", 2 * GB), ("programs", GB), ("little", MB)], 1)
    one.require(None)
    one.require(one.bytes)
    with pytest.raises(MemoryLimitError) as refused:
        one.require(2 * GB, "--batch-size 8 would fit.")
    assert str(refused.value) == (
        "extract would take about 3.0 GB of memory (weights 2.0 GB, programs 1.0 GB), and 2.0 GB are allowed. "
        "--batch-size 8 would fit."
    )
    with pytest.raises(MemoryLimitError, match="--memory"):
        one.require(GB)


def test_nothing_heavy_is_loaded():
    """The module asks the system alone: the command line can load it for every verb."""
    code = "import sys, fusionfer.memory; print({'numpy', 'torch', 'sklearn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
