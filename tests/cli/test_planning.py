"""What verbs ask the estimates for, and when they say them: nothing is computed here."""

import pytest

from fusionfer.cli import planning
from fusionfer.cli.planning import Stored, planned, refuse_tables
from fusionfer.exceptions import DataError, MemoryLimitError
from fusionfer.memory import Estimate

COST = Estimate("look", 1000, 1.0)
LINE = "fusionfer: look: about 1 KB of memory and a few seconds."


@pytest.fixture
def asked(monkeypatch, cli):
    """Return a function that runs a command up to its estimate, and gives what that was asked."""

    def run(estimate, *words):
        def stop(*given, **named):
            heard.append((given, named))
            msg = "far enough"
            raise DataError(msg)

        heard: list = []
        monkeypatch.setattr(estimate, stop)
        outcome = cli(*words)
        assert outcome.err.endswith("far enough\n"), outcome.err
        return heard[0]

    return run


def test_a_step_without_a_word_says_it_at_its_end(capsys):
    """At once, at the first progress, or when it is done; once, and never where it was refused."""
    for later, words in ((False, 0), (True, 0), (True, 2)):
        with planned(COST, None, quiet=False, later=later) as announce:
            told = announce(lambda *_: None)
            assert (LINE in capsys.readouterr().err) is not later
            for k in range(words):
                told(k, words, "looks")
            assert capsys.readouterr().err.count(LINE) == min(words, 1)
        assert capsys.readouterr().err.count(LINE) == int(later and not words)
    with planned(COST, None, quiet=True, later=True):
        pass
    with pytest.raises(DataError), planned(COST, None, quiet=False, later=True):
        raise DataError
    assert capsys.readouterr().err == ""


def test_tables_that_cannot_fit_are_refused_before_they_are_read(monkeypatch, tmp_path):
    """By the least that they take; without --memory nobody looks."""
    monkeypatch.setattr(planning, "stored_in", lambda _: Stored(rows=10**8))
    with pytest.raises(MemoryLimitError, match=r"fit would take about 28 GB of memory \(tables of rows alone 28 GB\)"):
        refuse_tables("fit", tmp_path, 1 << 30)
    refuse_tables("fit", tmp_path, 1 << 40)
    refuse_tables("fit", tmp_path, None)


def test_an_audit_counts_features_by_its_own_limit(asked, shared_faces, shared_cache):
    """What exceeds an eighth of --memory stays in its files, whatever the machine has."""
    words = ("audit", shared_faces, "--features", shared_cache, "--memory", "600M")
    (rows, *_), named = asked("fusionfer.costs.estimate_noise", *words)
    assert (rows, named["limit"]) == (84, 600 << 20)


def test_evaluate_counts_rows_of_the_split_file(asked, cli, shared_faces, shared_cache, shared_model, tmp_path):
    """Those that the file calls test, not those that the cache does."""
    splits = tmp_path / "splits.csv"
    assert cli("audit", shared_faces, "--no-near", "--clean", splits, "-q").code == 0
    happy = [line for line in splits.read_text().splitlines() if line.startswith("test/happy/")]
    for line in splits.read_text().splitlines():
        if line.startswith("test/") and line not in happy:
            splits.write_text(splits.read_text().replace(line, line.replace(",test,", ",train,", 1)))
    words = ("evaluate", shared_cache, "--model", shared_model)
    target = "fusionfer.evaluation.estimate_evaluation"
    assert asked(target, *words)[0][2] == 28
    assert asked(target, *words, "--splits", splits)[0][2] == len(happy) == 4


def test_a_report_counts_the_cache_that_is_implied(asked, shared_faces, shared_cache, shared_model, tmp_path):
    """That of a demo's folder; pictures where they stand alone."""
    demo = tmp_path / "demo"
    demo.mkdir()
    (demo / "cache").symlink_to(shared_cache)
    target = "fusionfer.costs.estimate_report"
    (rows, columns), _ = asked(target, "report", demo)
    assert (rows, columns) == (84, 512 + 1280)
    assert asked(target, "report", tmp_path, "--data", shared_faces)[0] == (84, 0)


def test_a_shard_counts_its_own_pictures(asked, shared_faces, small):
    """Whole batches of one part, and names of all."""
    words = ("extract", shared_faces, *small, "--batch-size", 16, "--shard", "1/2")
    (n, _), named = asked("fusionfer.costs.estimate_extraction", *words)
    assert (n, named["rows"]) == (84 - 48, 84)


@pytest.mark.parametrize("verb", [("info",), ("cache", "prune", "--dry-run"), ("cache", "verify")])
def test_verbs_that_compare_checksums_say_so(cli, shared_cache, verb, tmp_path):
    """A line before the work; none with --quiet, and none of a folder without caches."""
    name = " ".join(verb[:2]) if verb[0] == "cache" else verb[0]
    assert cli(*verb, shared_cache).err.startswith(f"fusionfer: {name}: about ")
    assert cli(*verb, shared_cache, "--quiet").err == ""
    assert "about" not in cli(*verb, tmp_path).err
