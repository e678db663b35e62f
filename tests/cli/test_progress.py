"""Progress: a bar on a terminal, a line now and then elsewhere, nothing when quiet; never on stdout."""

import io
import sys

import pytest
import rich.progress

import fusionfer.cli.progress as room
from fusionfer.cli.progress import progress_bar


class Terminal(io.StringIO):
    """What looks like a terminal and keeps what is written."""

    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """Return a clock that is moved by hand."""

    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(room, "time", clock)
    return clock


def test_quiet_gives_no_callable():
    """Library functions take None for silence."""
    with progress_bar(quiet=True) as progress:
        assert progress is None


def test_a_short_step_says_nothing_in_a_log(capsys, clock):
    """Without a terminal, steps of less than fifteen seconds leave no line."""
    with progress_bar() as progress:
        progress(1, 10, "extracting")
        clock.now += 14.9
        progress(10, 10, "extracting")
    assert capsys.readouterr() == ("", "")


def test_a_long_step_says_how_far_it_is(capsys, clock):
    """Every fifteen seconds a line: how many, how fast, how long to go."""
    with progress_bar() as progress:
        progress(0, 1000, "extracting")
        for done in range(100, 1001, 100):
            clock.now += 5.0
            progress(done, 1000, "extracting")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "extracting: 300 of 1,000, 20.0/s, 35 s left",
        "extracting: 600 of 1,000, 20.0/s, 20 s left",
        "extracting: 900 of 1,000, 20.0/s, 5 s left",
    ]


def test_steps_are_timed_each_on_its_own(capsys, clock):
    """A step's rate does not count the time of the step before."""
    with progress_bar() as progress:
        progress(0, 10, "checking images")
        clock.now += 100.0
        progress(0, 50, "extracting")
        clock.now += 20.0
        progress(40, 50, "extracting")
    assert capsys.readouterr().err == "extracting: 40 of 50, 2.0/s, 5 s left\n"


def test_an_unknown_total_is_no_division_by_zero(capsys, clock):
    """A download without a length still reports."""
    with progress_bar() as progress:
        progress(0, 0, "download")
        clock.now += 20.0
        progress(40, 0, "download")
    assert capsys.readouterr().err.startswith("download: 40")


def test_on_a_terminal_there_is_a_bar(monkeypatch):
    """A terminal gets names and counts of the steps, and is clean afterwards."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress_bar() as progress:
        progress(0, 20, "extracting")
        progress(20, 20, "extracting")
        progress(5, 0, "download")
    shown = terminal.getvalue()
    assert "extracting" in shown
    assert "20/20" in shown
    assert shown.endswith("\x1b[2K")  # transient: the last line is erased


def test_the_rounds_of_the_next_fold_have_a_clock_of_their_own(capsys, clock):
    """A step that begins again, as rounds do in every fold, is rated by its own time and not by that of all before."""
    with progress_bar() as progress:
        for done in (1, 100):
            progress(done, 100, "rounds")
            clock.now += 50.0
        progress(1, 100, "rounds")
        clock.now += 20.0
        progress(40, 100, "rounds")
    assert capsys.readouterr().err.splitlines()[-1] == "rounds: 40 of 100, 2.0/s, 30 s left"


def test_old_bars_leave_the_screen(monkeypatch):
    """However many folds report their rounds, few bars stand at once, and one that runs is never dropped."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    alive, most, dropped = set(), [], []

    class Watched(rich.progress.Progress):
        def add_task(self, what, **fields):
            task = super().add_task(what, **fields)
            alive.add(task)
            most.append(len(alive))
            return task

        def remove_task(self, task):
            dropped.append(self.tasks[self.task_ids.index(task)].description)
            alive.discard(task)
            super().remove_task(task)

    monkeypatch.setattr(rich.progress, "Progress", Watched)
    with progress_bar() as progress:
        progress(0, 30, "all folds")
        for fold in range(30):
            progress(7, 7, f"fold {fold}")
    assert max(most) == room.BARS
    assert "all folds" not in dropped
    assert dropped[:2] == ["fold 0", "fold 1"]
