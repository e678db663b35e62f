"""Ctrl-C and SIGTERM: the batch is committed, the exit code tells, the next run goes on."""

import os
import signal
import subprocess
import sys
import time

import pytest

from fusionfer.cache import CacheFolder
from fusionfer.cli.stopping import stopping
from fusionfer.exceptions import ExtractionInterrupted

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_the_first_signal_asks(number, code, capsys):
    """It sets the event, says so, and the exit code is the signal's."""
    before = signal.getsignal(number)

    def work():
        with stopping() as stop:
            signal.raise_signal(number)
            assert stop.is_set()
            msg = "Stopped after 3 of 9."
            raise ExtractionInterrupted(msg)

    with pytest.raises(ExtractionInterrupted) as error:
        work()
    assert error.value.exit_code == code
    assert "stopping after this batch" in capsys.readouterr().err
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_the_second_signal_stops_at_once(number, code, capsys):
    """Whoever asks twice is not made to wait, and gets the same exit code."""

    def work():
        with stopping():
            signal.raise_signal(number)
            signal.raise_signal(number)

    with pytest.raises(SystemExit) as exit_:
        work()
    assert exit_.value.code == code
    assert "stopped at once" in capsys.readouterr().err


def test_handlers_come_back_after_an_error():
    """An error of another kind leaves no handler behind, and keeps what it is."""
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError), stopping():
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGINT) is before


#: The command line, which tells when it begins to wait for the lock.
WAITER = """
from types import SimpleNamespace
from fusionfer.cache import _lock
from fusionfer.cli import main

def sleep(seconds):
    print("waiting", flush=True)
    time.sleep(seconds)

time, _lock.time = _lock.time, SimpleNamespace(monotonic=_lock.time.monotonic, sleep=sleep)
main()
"""


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_the_first_signal_ends_waiting(shared_faces, tmp_path, number, code):
    """Fault 2: a real process that waits for another writer stops at once, and says that nothing was started."""
    cache = tmp_path / "cache"
    arguments = ["extract", shared_faces, "--cache", cache, "--backbone", "mobilenet_v2", "--weights", "none"]
    arguments += ["--size", 32, "--wait", 300]
    with (
        CacheFolder(cache).lock(),
        subprocess.Popen(
            [sys.executable, "-c", WAITER, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
        ) as process,
    ):  # fmt: skip
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(number)
        begin = time.monotonic()
        _, said = process.communicate(timeout=60)
        assert time.monotonic() - begin < 30
    assert process.returncode == code
    assert said.splitlines()[-1].startswith(f"fusionfer: Stopped while waiting for process {os.getpid()} on ")
    assert said.endswith("Nothing was started there.\n")
    assert CacheFolder(cache).files() == CacheFolder(cache).parts() == []


def test_a_stopped_process_can_be_continued(cli, shared_faces, tmp_path):
    """Fault 2: a real process that gets SIGTERM exits with 143; the same command then does the rest only."""
    cache = tmp_path / "cache"
    arguments = ["extract", shared_faces, "--cache", cache, "--backbone", "resnet34", "--weights", "none"]
    arguments += ["--size", 96, "--batch-size", 2]
    process = subprocess.Popen(
        [sys.executable, "-m", "fusionfer", *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    patience = time.monotonic() + 60
    while not CacheFolder(cache).parts() and process.poll() is None and time.monotonic() < patience:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    assert out == ""
    assert "they are kept. Run the same command again to go on." in err
    assert CacheFolder(cache).files() == []
    again = cli(*arguments)
    assert again.code == 0, again.err
    assert "is continued" in again.out
    assert CacheFolder(cache).parts() == []
