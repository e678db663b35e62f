"""The command lines of a model are those that made it: run again, they make the same."""

import shlex

import numpy as np
import pytest

from fusionfer.persistence import load_model
from fusionfer.reporting._commands import extract_command, fit_command


def words(model, cache, out):
    return shlex.split(fit_command(model.selection, model.training, str(cache), str(out)))[1:]


@pytest.mark.parametrize(
    "options",
    [
        ("--folds", 2),
        ("--folds", 3, "--head", "softmax", "--set", "C=0.5", "--seed", 3, "--scale", "none"),
        ("--folds", 3, "--head", "ecoc", "--set", "coding=onevsone", "--scoring", "f1_macro", "--min-gain", 0.01),
        ("--folds", 2, "--head", "softmax", "--rule", "significant", "--alpha", 0.2, "--test", "5x2"),
    ],
)
def test_a_fit_can_be_made_again(cli, shared_cache, tmp_path, options):
    """What `fit_command` says, run again, gives the same choice, parameters and predictions."""
    first, second = tmp_path / "first", tmp_path / "second"
    assert cli("fit", shared_cache, *options, "--out", first, "-q").code == 0
    one = load_model(first)
    outcome = cli(*words(one, shared_cache, second), "-q")
    assert outcome.code == 0, outcome.err
    other = load_model(second)
    assert (one.selection, one.training) == (other.selection, other.training)
    X = np.random.default_rng(0).normal(size=(9, one.n_columns)).astype(np.float32)
    assert np.array_equal(one.predict_proba(X), other.predict_proba(X))


def test_searches_and_several_heads(cli, shared_cache, tmp_path):
    """All heads are named, a search is said, and what it chose is not set."""
    out = tmp_path / "m"
    assert (
        cli("fit", shared_cache, "--folds", 2, "--head", "svm-linear", "--head", "ecoc", "--search", "--out", out).code
        == 0
    )
    model = load_model(out)
    said = words(model, shared_cache, out)
    assert [said[i + 1] for i, word in enumerate(said) if word == "--head"] == ["svm-linear", "ecoc"]
    assert "--search" in said
    chosen = model.selection["best_params"][model.selection["selected"]]
    assert not [word for word in said if any(word.startswith(f"{model.training['head']}.{name}=") for name in chosen)]


def test_an_extraction_can_be_made_again(cli, shared_cache, shared_model, tmp_path):
    """The command names data, backbones, weights and size; the cache that it makes has the same features."""
    from fusionfer.features import Features

    model = load_model(shared_model)
    features = Features.read(shared_cache)
    blocks = {name: features.block_record(name) for name in features.blocks}
    said = shlex.split(extract_command(blocks, str(tmp_path / "again")))[1:]
    assert cli(*said, "-q").code == 0
    again = Features.read(tmp_path / "again")
    assert np.array_equal(again.X, features.X)
    assert set(model.blocks) <= set(again.blocks)


def test_what_is_not_recorded_is_not_invented():
    """Blocks from arrays have no extraction; a head that was given in Python has no command."""
    assert extract_command({"a": {"record": {}, "key": {}, "backbone": "a", "level": ""}}, "c") == ""
    assert fit_command({"scores": {"A": [1]}}, {"head": "LogisticRegression"}, "c", "m") == ""
    assert fit_command({}, {}, "c", "m") == ""
