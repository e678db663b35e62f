"""Exit codes, help, and errors as one line."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from fusionfer import __version__, exceptions
from fusionfer.cli import cli as root
from fusionfer.exceptions import DataError, ExtractionInterrupted, LeakError, StoreFullError

VERBS = [
    "demo", "eda", "audit", "extract", "train", "heads", "fit", "evaluate", "report", "predict", "live", "explain",
    "export", "replay", "check-claims", "info", "cache",
]  # fmt: skip


def process(*arguments, code=None):
    """Run ``python -m fusionfer ARGUMENTS``, or ``python -c CODE``, in a process of its own."""
    command = [sys.executable, *(["-c", code] if code else ["-m", "fusionfer"]), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def raising(cli, monkeypatch):
    """Return a function that lets the library raise in the middle of a verb."""

    def run(error):
        def inspect(path):
            raise error

        monkeypatch.setattr("fusionfer.inspection.inspect", inspect)
        return cli("info", "anything")

    return run


def test_without_arguments_the_help_is_shown_and_usage_is_wrong(cli):
    """Nothing asked for is no success: the help on stderr, exit 2."""
    outcome = cli()
    assert outcome.code == 2
    assert "Usage: fusionfer" in outcome.err


def test_version(cli):
    """--version names program and version."""
    outcome = cli("--version")
    assert (outcome.code, outcome.out) == (0, f"fusionfer, version {__version__}\n")


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_lists_every_verb_in_whole_sentences(cli, flag):
    """Each verb is listed with a summary that is not cut off, in the order of use."""
    outcome = cli(flag)
    assert outcome.code == 0
    lines = outcome.out.split("Commands:\n")[1].splitlines()
    assert [line.split()[0] for line in lines] == VERBS
    assert not [line for line in lines if line.endswith("...")]


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_has_an_example(cli, verb):
    """Every verb answers --help with what it does and an example to copy."""
    outcome = cli(verb, "--help")
    assert outcome.code == 0
    assert "Example" in outcome.out
    assert f"  fusionfer {verb} " in outcome.out


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_is_explained(verb):
    """No option stands in the help without a sentence."""
    silent = [p.name for p in root.commands[verb].params if isinstance(p, click.Option) and not p.help]
    assert silent == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["extrakt", "x"], r"No such command 'extrakt'\. \(Did you mean one of: 'export', 'extract'\?\)"),
        (["extract"], "Missing argument 'DATA'"),
        (["fit", "x", "--folds", "1"], "'--folds': 1 is not in the range x>=2"),
        (["fit", "x", "--nonsense"], "No such option '?--nonsense"),
        (["fit", "x", "--set", "C"], r"'C' is not NAME=VALUE or HEAD\.NAME=VALUE"),
        (["fit", "x", "--features", " , "], "--features names no block"),
        (["predict", "x"], "Missing option '--model'"),
        (["predict", "x", "--model", "m", "--json", "--csv"], "--json or --csv, not both"),
        (["demo", "--weights", "best"], "'best' is not one of 'auto', 'imagenet', 'none'"),
    ],
)
def test_wrong_usage_is_exit_2(cli, arguments, message):
    """What click can refuse by itself exits with 2 and says what is allowed."""
    outcome = cli(*arguments)
    assert outcome.code == 2
    assert re.search(message, outcome.err), outcome.err
    assert outcome.out == ""


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (DataError("The rows are wrong."), 1, "fusionfer: error: The rows are wrong."),
        (StoreFullError("The disk is full."), 1, "fusionfer: error: The disk is full."),
        (PermissionError(13, "Permission denied", "x"), 1, "fusionfer: error: [Errno 13] Permission denied: 'x'"),
        (MemoryError(), 1, "fusionfer: error: MemoryError"),
        (LeakError("Shared rows."), 4, "fusionfer: leak: Shared rows."),
        (ExtractionInterrupted("Stopped."), 130, "fusionfer: Stopped."),
    ],
)
def test_an_error_with_a_name_is_one_line(raising, error, code, line):
    """Each kind of error has its exit code and one line on stderr."""
    outcome = raising(error)
    assert (outcome.code, outcome.error) == (code, line)


def test_every_error_of_fusionfer_is_caught(raising):
    """No class of fusionfer.exceptions ends in a traceback."""
    for name in exceptions.__all__:
        error = getattr(exceptions, name)
        if isinstance(error, type) and issubclass(error, Exception) and not issubclass(error, Warning):
            assert raising(error("A sentence.")).code in {1, 4, 130}


def test_ctrl_c_is_130(raising):
    """Ctrl-C outside of an extraction too."""
    outcome = raising(KeyboardInterrupt())
    assert (outcome.code, outcome.err.strip()) == (130, "fusionfer: interrupted.")


def test_a_message_of_several_lines_is_folded(raising):
    """Libraries write errors over several lines; here it is one."""
    assert raising(DataError("One\n  two\n\nthree.")).error == "fusionfer: error: One two three."


def test_a_bug_is_not_hidden(raising):
    """An error without a name keeps its traceback."""
    with pytest.raises(ZeroDivisionError):
        raising(ZeroDivisionError("a bug"))


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("leave it out with on_error='skip'.", "leave it out with --on-error skip."),
        ("allow it with allow_outside_root", "allow it with --allow-outside-root"),
        ("use cv=3, or add rows", "use --folds 3, or add rows"),
        ("label_column is for manifests", "--label-column is for manifests"),
        ("on_error='skip' (--on-error skip)", "on_error='skip' (--on-error skip)"),
        ("the file cv.csv and my_on_error_x stay", "the file cv.csv and my_on_error_x stay"),
    ],
)
def test_parameters_are_called_by_their_options(raising, said, shown):
    """The library names its parameters; at a shell these are options."""
    assert raising(DataError(said)).error == f"fusionfer: error: {shown}"


def test_a_warning_is_one_line(cli, monkeypatch):
    """Warnings come without file name and source line."""

    def inspect(path):
        import warnings

        warnings.warn("Mind this.", exceptions.FusionferWarning, stacklevel=1)
        raise DataError("Stop.")

    monkeypatch.setattr("fusionfer.inspection.inspect", inspect)
    assert cli("info", "x").err.splitlines() == ["fusionfer: warning: Mind this.", "fusionfer: error: Stop."]


def test_a_process_returns_the_codes(tmp_path):
    """``python -m fusionfer`` passes the codes on to the shell, and starts without torch; the time is printed."""
    begin = time.perf_counter()
    done = process("--help")
    print(f"fusionfer --help took {time.perf_counter() - begin:.2f} s")  # noqa: T201
    assert (done.returncode, done.stderr) == (0, "")
    failed = process("info", tmp_path / "missing")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.startswith("fusionfer: error: ")
    assert failed.stderr.count("\n") == 1
    assert process("info").returncode == 2


def test_fit_loads_neither_torch_nor_opencv(shared_cache, tmp_path):
    """The waist of the hourglass: right of the cache there is no network and no picture; the time is printed."""
    code = (
        "import sys, atexit\n"
        "atexit.register(lambda: print('LOADED', [m for m in ('torch', 'torchvision', 'cv2') if m in sys.modules]))\n"
        "from fusionfer.cli import main\n"
        "main()"
    )
    begin = time.perf_counter()
    done = process("fit", shared_cache, "--folds", 2, "--out", tmp_path / "m", code=code)
    print(f"fusionfer fit took {time.perf_counter() - begin:.2f} s")  # noqa: T201
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "LOADED []"


def test_a_reader_that_leaves_gets_no_traceback(shared_cache):
    """``fusionfer info ... | head -0`` ends quietly."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "fusionfer", "info", str(shared_cache), "--json", "--quiet"],
        stdout=writing, stderr=subprocess.PIPE, timeout=120, check=False,
    )  # fmt: skip
    os.close(writing)
    assert done.stderr == b""


def test_the_module_runs_from_anywhere(tmp_path):
    """``python -m fusionfer`` does not need the repository as working directory."""
    done = subprocess.run(
        [sys.executable, "-m", "fusionfer", "--version"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert __version__ in done.stdout
    assert list(Path(tmp_path).iterdir()) == []


@pytest.mark.parametrize(("given", "kept"), [(None, "4"), ("20", "20")])
def test_idle_threads_of_openblas_sleep_at_once(monkeypatch, given, kept):
    """The setting stands before numpy, which brings OpenBLAS, is loaded; the user's own stays."""
    monkeypatch.delenv("OPENBLAS_THREAD_TIMEOUT", raising=False)
    if given is not None:
        monkeypatch.setenv("OPENBLAS_THREAD_TIMEOUT", given)
    code = """if True:
        import os, sys
        from fusionfer.cli import main
        sys.argv = ["fusionfer", "--version"]
        try:
            main()
        except SystemExit:
            print("numpy" in sys.modules, os.environ["OPENBLAS_THREAD_TIMEOUT"])
    """
    assert process(code=code).stdout.splitlines()[-1] == f"False {kept}"
