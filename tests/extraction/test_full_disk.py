"""A disk that is really full, through the command line: one line on stderr, nothing lost, and it goes on afterwards."""

import contextlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys

import h5py
import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="fills disks by the means of Linux")


class Disk:
    """A small file system in memory that can be filled to the last byte."""

    def __init__(self, path):
        self.path = path
        self.ballast = path / "ballast"

    def fill(self, leaving=0):
        """Take all room but `leaving` bytes."""
        with contextlib.suppress(OSError), self.ballast.open("wb", buffering=0) as stream:
            while stream.write(bytes(4096)):
                pass
        with self.ballast.open("r+b") as stream:
            stream.truncate(self.ballast.stat().st_size - leaving)
        assert shutil.disk_usage(self.path).free == leaving

    def clear(self):
        """Give all room back."""
        self.ballast.unlink()


@pytest.fixture
def disk(tmp_path):
    """A disk of 4 MiB."""
    path = tmp_path / "disk"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "fusionfer-test", str(path)]
    try:
        made = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        pytest.skip(f"cannot mount a small disk: {error}")
    if made.returncode:
        pytest.skip(f"cannot mount a small disk: {made.stderr.strip()}")
    yield Disk(path)
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def frozen(server, job, before="pass"):
    """Start a job and return its process, stopped amid the rows: three commits to one file, two to the other."""
    run = server.start(job.arguments, before=f"{before}; signal_at_steps('_write', [41], signal.SIGSTOP)")
    run.wait_frozen()
    return run


def thaw(server, run):
    """Let a process go on, and return its exit code and what it said."""
    os.kill(run.pid, signal.SIGCONT)
    return run.wait(60), server.said()


def line_of(code, said):
    """Return the one line on stderr of a process that failed by a named error."""
    assert code == 1, said
    (line,) = [one for one in said.splitlines() if not one.startswith("fusionfer: extract: about ")]
    return line


def finishes(bench, server, job, reference):
    """Run the same command again, and return what it said; the cache must equal an undisturbed one."""
    said = job.finish(server)
    bench.check_equal(job.cache, reference)
    return said


def test_full_before_the_start(bench, server, faces, reference, disk):
    """Fault 3: nothing can be written at all: the disk is named, and the same command finishes once there is room."""
    job = bench.Job(faces, disk.path / "cache")
    disk.fill()
    run = server.start(job.arguments)
    line = line_of(run.wait(60), server.said())
    assert re.match(rf"fusionfer: error: (Cannot write in )?{job.cache}: .*(is full|are free)\. ", line)
    assert line.endswith(" run the same command again.")
    disk.clear()
    finishes(bench, server, job, reference)


def test_room_for_one_of_two_files(bench, server, faces, reference, disk):
    """Fault 3: what is needed and what is free are told before anything is computed."""
    job = bench.Job(faces, disk.path / "cache")
    disk.fill(leaving=1024 * 1024)
    run = server.start(job.arguments)
    line = line_of(run.wait(60), server.said())
    assert re.fullmatch(
        rf"fusionfer: error: {job.cache}: \d+ kB are needed for a new file and \d+ kB are free\. What is stored is "
        r"untouched\. Free space, or give a --cache on another disk, and run the same command again\.",
        line,
    )
    assert list(bench.marks(job.cache).values()) == [0]
    disk.clear()
    finishes(bench, server, job, reference)


def test_filled_by_others_amid_the_rows(bench, server, faces, reference, disk):
    """Fault 3: the room was reserved when the files were made: the run does not even notice."""
    job = bench.Job(faces, disk.path / "cache")
    run = frozen(server, job)
    disk.fill()
    code, said = thaw(server, run)
    assert code == 0, said
    bench.check_equal(job.cache, reference)


def test_full_amid_the_rows(bench, server, faces, reference, disk):
    """Fault 3: where a system cannot reserve, a commit fails: rows before it are counted, intact, and gone on from."""
    job = bench.Job(faces, disk.path / "cache")
    run = frozen(server, job, "from fusionfer.cache import _planning; _planning.reserve = lambda *_: None")
    disk.fill()
    line = line_of(*thaw(server, run))
    assert re.match(
        rf"fusionfer: error: Cannot write {job.cache}/\S+: the disk, or your quota of it, is full\. "
        r"(8|12) of 126 rows are committed and intact\. Free space and run the same command again: ",
        line,
    )
    assert sorted(bench.marks(job.cache).values()) == [8, 12]
    bench.check_killed(job.cache, reference)
    disk.clear()
    said = finishes(bench, server, job, reference)
    assert "is continued: 8 of 126 rows are there" in said
    assert "is continued: 12 of 126 rows are there" in said


def test_limit_amid_the_rows(bench, server, faces, reference, tmp_path):
    """Fault 3: the same for a limit of the system, which cuts a block in the middle, and needs no rights to set."""
    job = bench.Job(faces, tmp_path / "cache")
    run = frozen(server, job)
    logits = next(job.cache.glob("*.logits.*.part"))
    with h5py.File(logits) as file:
        cut = file["features"].id.get_offset() + 10 * 4000 + 2  # a row has 1000 columns, the block rows 8 to 11
    resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (cut, resource.RLIM_INFINITY))
    line = line_of(*thaw(server, run))
    assert line.startswith(f"fusionfer: error: Cannot write {str(logits).removesuffix('.part')}: the disk, or your ")
    assert "8 of 126 rows are committed and intact" in line
    assert sorted(bench.marks(job.cache).values()) == [8, 12]
    bench.check_killed(job.cache, reference)
    finishes(bench, server, job, reference)


@pytest.mark.parametrize("room", [5_000, 300_000, 600_000])
def test_limit_while_a_file_is_made(bench, server, faces, reference, tmp_path, room):
    """Fault 3: nothing half-made is left, whether the room suffices for no file, or for the smaller of the two."""
    job = bench.Job(faces, tmp_path / "cache")
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))"
    run = server.start(job.arguments, before=limit)
    line = line_of(run.wait(60), server.said())
    assert re.match(
        rf"fusionfer: error: Cannot make {job.cache}/\S+\.part: the disk, or your quota of it, is full\. "
        r"Older files are untouched\. Free space, or give a --cache on another disk, and run the same command again\.",
        line,
    )
    assert {path.name for path in job.cache.iterdir()} <= {".lock", ".lock-owner.json"}
    finishes(bench, server, job, reference)
