"""``fusionfer fit``: from caches to a saved model; bad input is one clear line, and no model is begun."""

import json
import re
import shutil
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fusionfer.fusion import fingerprints
from fusionfer.persistence import load_model


@pytest.fixture
def fit(cli, tmp_path):
    """Return a function that fits to a folder and saves tmp_path/model."""

    def run(folder, *arguments):
        return cli("fit", folder, "--out", tmp_path / "model", "--folds", 3, *arguments)

    return run


@pytest.fixture
def refused(tmp_path):
    """Return a function that asserts that fit was refused with one line that matches, and left nothing."""

    def check(outcome, pattern):
        assert outcome.code == 1
        assert re.search(pattern, outcome.error), outcome.error
        assert list(tmp_path.glob("*model*")) == []

    return check


def test_the_candidates_are_compared_and_one_is_kept(fit, shared_cache, tmp_path):
    """The table has A, B and A+B, a sentence says why, and the model is where it was asked for."""
    outcome = fit(shared_cache)
    assert (outcome.code, outcome.notes) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0] == "56 rows of split train, 7 classes, 3 folds"
    names = ["mobilenet_v2:penultimate", "resnet34:penultimate", "mobilenet_v2:penultimate + resnet34:penultimate"]
    for name in names:
        assert [line for line in lines if line.startswith(f" {name}  ")]
    model = load_model(tmp_path / "model")
    assert re.search(rf"^.*Kept {re.escape(model.selection['selected'])}: ", outcome.out, re.MULTILINE)
    assert lines[-1] == f"Next: fusionfer evaluate {shared_cache} --model {tmp_path / 'model'} --split test"


def test_the_same_command_gives_the_same_model(cli, make_cache, tmp_path):
    """Folds and solver are seeded: two runs agree in every score and coefficient."""
    folder = make_cache()
    for name in ("one", "two"):
        assert cli("fit", folder, "--out", tmp_path / name, "--folds", 3).code == 0
    one, two = load_model(tmp_path / "one"), load_model(tmp_path / "two")
    assert one.selection == two.selection
    X = np.random.default_rng(0).normal(size=(20, one.n_columns)).astype(np.float32)
    assert np.array_equal(one.predict_proba(X), two.predict_proba(X))


def test_json_is_the_whole_result(fit, make_cache, tmp_path):
    """--json prints one object and nothing else on stdout."""
    outcome = fit(make_cache(), "--json")
    found = json.loads(outcome.out)
    assert found["model"] == str(tmp_path / "model")
    assert found["n"] == 40
    assert list(found["selection"]["scores"]) == ["left", "right", "left + right"]
    assert found["selection"]["selected"] in found["selection"]["reason"]


def test_features_names_the_blocks(fit, shared_cache, tmp_path):
    """--features takes part of the folder."""
    outcome = fit(shared_cache, "--features", "resnet34:penultimate")
    assert outcome.code == 0
    assert list(load_model(tmp_path / "model").blocks) == ["resnet34:penultimate"]


def test_an_unknown_block(fit, shared_cache, refused):
    """The known blocks and the closest match."""
    refused(
        fit(shared_cache, "--features", "resnet34:penultimat"),
        r"Unknown block 'resnet34:penultimat'\. Known blocks: .* Did you mean 'resnet34:penultimate'\?",
    )


def test_two_files_of_one_backbone(cli, fit, shared_faces, cache, refused, tmp_path):
    """Neither the default nor a short name guesses; both say what to type, and what is typed then works."""
    options = ["--backbone", "mobilenet_v2", "--weights", "none", "--size", 32, "--seed", 1]
    assert cli("extract", shared_faces, *options, "--cache", cache).code == 0
    outcome = fit(cache)
    refused(outcome, r"more than one cache of one backbone: mobilenet_v2:penultimate@\w+, mobilenet_v2:penultimate@\w+")
    refused(fit(cache, "--features", "mobilenet_v2:penultimate"), r"is ambiguous\. Type one of: ")
    advice = re.search(r"--features (\S+?)\.$", outcome.error)[1]
    assert fit(cache, "--features", advice).code == 0
    assert (tmp_path / "model").is_file()


def test_unknown_head(fit, make_cache, refused):
    """The known heads and the closest match."""
    refused(fit(make_cache(), "--head", "ecco"), r"Unknown head 'ecco'\. Known heads: .*ecoc.* Did you mean 'ecoc'\?")


def test_unknown_scoring(fit, make_cache, refused):
    """A scoring that does not exist, or that cannot rate classes, is refused before any fold."""
    refused(fit(make_cache(), "--scoring", "acuracy"), r"Unknown scoring 'acuracy'.*Did you mean 'accuracy'\?")
    refused(fit(make_cache(), "--scoring", "r2"), r"Unknown scoring 'r2'\. Known scorings: accuracy, ")


def test_unknown_split(fit, make_cache, refused):
    """The splits that are there, with their sizes."""
    refused(
        fit(make_cache(), "--split", "tran"),
        r"Unknown split 'tran'.*Did you mean 'train'\?.*test \(20 rows\), train \(40 rows\)",
    )


def test_one_class(fit, make_cache, refused):
    """Nothing can be learned from one class."""
    refused(
        fit(make_cache(y=["a"] * 40 + ["b"] * 20)),
        r"fit needs at least two classes; all 40 rows of split 'train' are 'a'\.",
    )


def test_fewer_samples_than_folds(fit, make_cache, refused):
    """The class and its number are named, and the option to change."""
    y = ["c"] * 2 + ["a", "b"] * 29
    refused(fit(make_cache(y=y)), r"Too few rows for 3 folds of class c \(2\): use --folds 2")


def test_no_labels(fit, make_cache, refused):
    """An unlabelled set is told apart from a wrong split."""
    refused(fit(make_cache(y=[""] * 60)), r"None of the 40 rows of split 'train' has a label")


def test_data_without_splits_are_taken_whole_and_that_is_said(fit, make_cache):
    """Nothing is held out, so the next step is to predict and not to evaluate."""
    outcome = fit(make_cache(splits=None))
    assert outcome.code == 0
    assert "60 rows of split train" in outcome.out
    assert "The data bring no split: all rows are used for training" in outcome.err
    assert outcome.out.splitlines()[-1].startswith("Next: fusionfer predict ")


def test_a_cache_that_is_not_there(fit, tmp_path, refused):
    """The command that makes one is named."""
    refused(fit(tmp_path / "none"), r"none: no such folder\. Run `fusionfer extract DATA --cache \S+none` first")


def test_a_file_in_the_place_of_the_folder(cli, shared_model):
    """CACHE is a folder: wrong usage."""
    outcome = cli("fit", shared_model)
    assert outcome.code == 2
    assert "is a file" in outcome.err


@pytest.mark.parametrize(
    ("spoil", "pattern"),
    [
        (lambda raw: b"", r"left\S*\.h5 is no feature cache: not HDF5, it is empty"),
        (lambda raw: b"<html>", r"left\S*\.h5 is no feature cache: not HDF5, it begins with b'<html>'"),
        (lambda raw: raw[: len(raw) // 2], r"left\S*\.h5 is damaged: .*truncated.* run `fusionfer extract` again"),
    ],
)
def test_a_file_that_is_no_cache(fit, make_cache, refused, spoil, pattern):
    """Empty, of another kind, or cut off: the file is named, with what to do."""
    folder = make_cache()
    file = next(folder.glob("left*.h5"))
    file.write_bytes(spoil(file.read_bytes()))
    refused(fit(folder), pattern)


def test_another_format_version(fit, make_cache, refused):
    """A file of a later fusionfer says which one it needs."""
    h5py = pytest.importorskip("h5py")
    folder = make_cache()
    with h5py.File(next(folder.glob("left*.h5")), "r+") as file:
        file.attrs["version"] = 99
    refused(fit(folder), r"has format version 99, written by .*this release reads version 1\. Update fusionfer")


def test_a_changed_number(fit, make_cache, refused):
    """A feature that is not what was written is found by its checksum."""
    h5py = pytest.importorskip("h5py")
    folder = make_cache()
    with h5py.File(next(folder.glob("left*.h5")), "r+") as file:
        file["features"][3, 1] += 1
    refused(fit(folder), r"is damaged: rows 0-59 do not have the checksum")


def test_caches_of_different_data_sets(fit, make_cache, refused):
    """Same ids with other labels, and no common id at all: refused, both named."""
    first, second = make_cache("first"), make_cache("second", y=["ba"[i % 2] for i in range(60)])
    next(first.glob("right*.h5")).unlink()
    shutil.copy(next(second.glob("right*.h5")), first)
    refused(fit(first), r"the caches left, right are of different data sets.*other labels for 60 common ids")


def test_caches_without_a_common_sample(fit, make_features, tmp_path, refused):
    """Two data sets with other ids have no row in common."""
    from fusionfer.features import Features

    features = make_features()
    for name, start in [("left", 0), ("right", 1000)]:
        ids = [f"{i + start}" for i in range(60)]
        Features.from_arrays(ids, features.block(name), features.y, {name: slice(0, 3)}).to_hdf5(tmp_path / name)
    shutil.copy(next((tmp_path / "right").glob("*.h5")), tmp_path / "left")
    refused(
        fit(tmp_path / "left"), r"No sample id is common to all blocks: left \(60 .*They are of different data sets"
    )


def test_partial_overlap_is_said_before_anything_fails(fit, make_features, tmp_path):
    """Rows that one block lacks are left out, and the number is told even where fit then fails."""
    from fusionfer.features import Features

    features = make_features(n_train=60)
    for name, rows in [("left", np.arange(60)), ("right", np.arange(10, 14))]:
        taken = features.take(rows)
        Features.from_arrays(taken.ids, taken.block(name), taken.y, {name: slice(0, 3)}).to_hdf5(tmp_path / name)
    shutil.copy(next((tmp_path / "right").glob("*.h5")), tmp_path / "left")
    outcome = fit(tmp_path / "left")
    assert outcome.code == 1
    first, *_, last = outcome.err.splitlines()
    assert re.search(r"4 samples are in every block \(left 60, right 4\); the others are left out", first)
    assert re.search(r"error: Too few rows for 3 folds", last)


def test_an_existing_model_is_not_replaced_by_accident(fit, make_cache, tmp_path):
    """--out that exists is refused untouched; --overwrite is the user's own word."""
    folder = make_cache()
    (tmp_path / "model").write_text("mine")
    outcome = fit(folder)
    assert outcome.code == 1
    assert re.search(r"model exists\. Give another --out, or --overwrite to replace it\.", outcome.error)
    assert (tmp_path / "model").read_text() == "mine"
    assert fit(folder, "--overwrite").code == 0
    assert load_model(tmp_path / "model").classes == ("a", "b")


def test_a_model_is_no_folder(cli, make_cache, tmp_path):
    """--out names a file."""
    outcome = cli("fit", make_cache(), "--out", tmp_path, "--overwrite")
    assert outcome.code == 2
    assert "is a directory" in outcome.err


def test_a_failed_fit_keeps_the_old_model(fit, make_cache, tmp_path):
    """--overwrite replaces only when there is something to put there."""
    (tmp_path / "model").write_text("mine")
    assert fit(make_cache(), "--overwrite", "--head", "nothing").code == 1
    assert (tmp_path / "model").read_text() == "mine"


def test_leaks_are_said_and_strict_refuses(fit, make_cache, tmp_path):
    """Persons on both sides: a note without --strict, exit 4 with it, before anything is fitted."""
    folder = make_cache(groups=[f"person{i % 50}" for i in range(60)])
    pattern = r"10 groups of split train are in other splits too \(10 rows there\)"
    outcome = fit(folder, "--strict")
    assert outcome.code == 4
    assert re.search(rf"^fusionfer: leak: {pattern}", outcome.error)
    assert not (tmp_path / "model").exists()
    outcome = fit(folder)
    assert outcome.code == 0
    assert re.search(pattern, outcome.err)


@pytest.mark.parametrize("split", ["train+test", "test"])
def test_fitting_to_test_rows_is_said_and_strict_refuses(fit, make_cache, tmp_path, split):
    """Once, as a note and in the JSON; with --strict it is exit 4, and no model."""
    folder = make_cache()
    outcome = fit(folder, "--split", split, "--strict")
    assert outcome.code == 4
    assert re.search(r"^fusionfer: leak: The test split is among the rows that were trained", outcome.error)
    assert not (tmp_path / "model").exists()
    outcome = fit(folder, "--split", split, "--json")
    assert outcome.code == 0
    (note,) = json.loads(outcome.out)["notes"]
    assert note.startswith("The test split is among the rows that were trained and selected on")
    assert outcome.err.count(note) == 1


def test_the_seed_reaches_the_head(fit, make_cache, tmp_path):
    """--seed draws the folds of the calibration too."""
    assert fit(make_cache(), "--seed", 3).code == 0
    assert load_model(tmp_path / "model").estimator["head"].random_state == 3


def test_strict_without_leaks_is_silent(fit, make_cache):
    """Persons in one split each: nothing to say."""
    outcome = fit(make_cache(groups=[f"person{i // 2}" for i in range(60)]), "--strict")
    assert (outcome.code, outcome.notes) == (0, "")


def test_jobs_change_nothing_but_time(cli, make_cache, tmp_path):
    """Folds side by side give the same scores."""
    folder = make_cache()
    for name, jobs in [("one", 1), ("all", 0)]:
        assert cli("fit", folder, "--out", tmp_path / name, "--jobs", jobs).code == 0
    assert load_model(tmp_path / "one").selection == load_model(tmp_path / "all").selection


def test_bundle_without_the_weight_file(cli, shared_faces, fit, tmp_path, refused):
    """Weights that are gone, or replaced, cannot be bundled; no model is written."""
    torch = pytest.importorskip("torch")
    from fusionfer.networks import build_module

    weights = tmp_path / "w.pth"
    torch.save(build_module("mobilenet_v2", seed=1).state_dict(), weights)
    options = ["--backbone", "mobilenet_v2", "--size", 32, "--weights", weights]
    assert cli("extract", shared_faces, *options, "--cache", tmp_path / "c").code == 0
    weights.unlink()
    refused(fit(tmp_path / "c", "--bundle"), r"The weights of mobilenet_v2:penultimate cannot be bundled: \S+w\.pth")
    weights.write_bytes(b"other weights")
    refused(fit(tmp_path / "c", "--bundle"), r"w\.pth has the sha256 \w+, but mobilenet_v2:penultimate was computed")


@pytest.fixture
def listed(monkeypatch):
    """Two quick heads of scikit-learn in the list."""
    from fusionfer.heads import HEADS, Head

    target = "sklearn.naive_bayes:GaussianNB"
    monkeypatch.setitem(HEADS, "bayes", Head("bayes", "x", target, ("nb",), {"var_smoothing": [1e-9, 1e3]}))
    monkeypatch.setitem(HEADS, "logit", Head("logit", "x", "sklearn.linear_model:LogisticRegression"))


def test_parameters_are_set(fit, listed, make_cache, tmp_path):
    """--set reaches the head with the right type, and is recorded."""
    outcome = fit(make_cache(), "--head", "logit", "--set", "C=0.25", "--set", "class_weight=balanced")
    assert (outcome.code, outcome.notes) == (0, "")
    model = load_model(tmp_path / "model", trust=["sklearn.linear_model._logistic.LogisticRegression"])
    head = model.estimator["head"]
    assert (head.C, head.class_weight) == (0.25, "balanced")
    assert model.training["params"]["C"] == "0.25"


def test_an_unknown_parameter(fit, listed, make_cache, refused):
    """Before any fold, with the closest match."""
    refused(
        fit(make_cache(), "--head", "logit", "--set", "maxiter=3"),
        r"Unknown parameter of logit: 'maxiter'\. Known parameters of logit: C, .* Did you mean 'max_iter'\?",
    )
    refused(
        fit(make_cache(name="other"), "--head", "ecoc", "--set", "ecoc.tool=3"),
        r"Unknown parameter of head 'ecoc': 'tool'\. .* Did you mean 'tol'\?",
    )


def test_a_setting_for_a_head_that_is_not_fitted(fit, listed, make_cache):
    """Wrong usage, with the option that is missing."""
    outcome = fit(make_cache(), "--head", "logit", "--set", "bayes.var_smoothing=1")
    assert outcome.code == 2
    assert "bayes is not among the heads of this fit (logit); name it with --head bayes" in outcome.err


def test_a_search(fit, listed, make_cache, tmp_path):
    """The listed values are tried; table, sentence, JSON and model name what was chosen."""
    folder = make_cache()
    outcome = fit(folder, "--head", "nb", "--search")
    assert (outcome.code, outcome.notes) == (0, "")
    assert re.search(r"candidate +mean +spread +parameters +choice", outcome.out)
    assert len(re.findall(r"^ (?:left|right|left \+ right) .* var_smoothing=1", outcome.out, re.MULTILINE)) == 3
    assert re.search(r"^.*Kept .+ with var_smoothing=1\S+: mean accuracy", outcome.out, re.MULTILINE)
    found = json.loads(fit(folder, "--head", "nb", "--search", "--overwrite", "--json").out)
    assert [point["params"] for point in found["selection"]["search"]] == [
        {"var_smoothing": 1e-9},
        {"var_smoothing": 1e3},
    ]
    assert load_model(tmp_path / "model").selection == found["selection"]
    outcome = fit(folder, "--head", "nb", "--search", "--set", "var_smoothing=1", "--overwrite")
    assert outcome.notes == "fusionfer: Nothing was searched for nb: it has no listed search, or all of it was set.\n"


def test_several_heads_are_one_table(fit, listed, make_cache, tmp_path):
    """A row for each head and candidate, the best is saved, and --json holds all selections."""
    folder = make_cache()
    arguments = ("--head", "logit", "--head", "bayes", "--set", "bayes.var_smoothing=1e6")
    outcome = fit(folder, *arguments)
    assert (outcome.code, outcome.notes) == (0, "")
    assert outcome.out.count("candidate") == 1
    rows = re.findall(r"^ (logit|bayes) +(left|right|left \+ right) +\d", outcome.out, re.MULTILINE)
    names = ["left", "right", "left + right"]
    assert rows == [("logit", name) for name in names] + [("bayes", name) for name in names]
    assert re.search(r"the same for all\. Of 2 heads logit is best \(0\.\d{4} on .+\), before bayes \(", outcome.out)
    found = json.loads(fit(folder, *arguments, "--overwrite", "--json").out)
    assert found["head"] == "logit"
    assert list(found["selection"]["heads"]) == ["logit", "bayes"]
    assert load_model(tmp_path / "model").training["head"] == "logit"


def test_a_head_that_is_named_twice(fit, listed, make_cache, refused):
    """By name and alias: one would hide the other."""
    refused(fit(make_cache(), "--head", "nb", "--head", "bayes"), r"each once; got bayes, bayes")


def test_rows_that_weights_have_seen_are_not_judged_by(fit, make_features, tmp_path):
    """The console, JSON and model say how many rows judged instead; without such rows it is one line, and no model."""
    splits = ["train"] * 30 + ["validation"] * 15 + ["test"] * 15
    features = replace(make_features(splits=splits), digests=np.array([f"{i:064x}" for i in range(1, 61)]))
    weights = {"name": "net", "trained_on": fingerprints(features.digests[:30].tolist())}
    known = {name: {"key": {"block": name}, "record": {"weights": weights}} for name in features.blocks}
    features = replace(features, provenance=known)
    features.to_hdf5(tmp_path / "c")
    outcome = fit(tmp_path / "c")
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[0] == "30 rows of split train, 2 classes, 15 held-out rows"
    assert "The accuracy in percent on 15 held-out rows" in outcome.out
    assert "30 of 30 rows of split train are images that the weights of left, right were trained on" in outcome.err
    found = json.loads(fit(tmp_path / "c", "--overwrite", "--json").out)
    assert (found["n"], found["held_out"], found["selection"]["held_out"]) == (30, 15, 15)
    features.take(features.splits != "validation").to_hdf5(tmp_path / "none")
    outcome = fit(tmp_path / "none", "--overwrite")
    assert outcome.code == 1
    assert "there is no such row with a label. Extract such faces into the same cache, or fit to another" in outcome.err


def test_the_evidence_stands_under_the_table(fit, make_cache, tmp_path):
    """Every pair with its interval, the verdict, and what the choice brings by chance; --json has it all."""
    folder = make_cache()
    outcome = fit(folder, "--rule", "significant", "--test", "5x2", "--alpha", 0.5)
    assert outcome.code == 0, outcome.err
    assert "fusionfer: --test 5x2 costs 30 fits more." in outcome.err
    assert "pair" in outcome.out
    assert "95 % interval" in outcome.out
    assert re.search(r"^ left \+ right less left +[+-]\d+\.\d\d +[+-]\d+\.\d\d to [+-]", outcome.out, re.MULTILINE)
    evidence = load_model(tmp_path / "model").selection["evidence"]
    assert f"{evidence['verdict']} {evidence['optimism']['sentence']}" in outcome.out
    assert (evidence["rule"], evidence["alpha"], evidence["test"]) == ("significant", 0.5, "5x2 cv combined F")
    found = json.loads(fit(folder, "--json", "--overwrite").out)["selection"]["evidence"]
    assert found["test"] == "corrected resampled t"
    assert len(found["pairs"]) == 3


def test_one_block_needs_no_table_of_evidence(fit, make_cache):
    """There is no pair."""
    assert "Evidence" not in fit(make_cache(), "--features", "left").out


def test_a_rule_that_there_is_not(fit, make_cache):
    """Wrong usage, with the rules there are."""
    outcome = fit(make_cache(), "--rule", "better")
    assert outcome.code == 2
    assert "'greater', 'significant'" in outcome.err


def test_memory_is_said_and_kept_to(fit, shared_cache, cli, tmp_path):
    """The estimate is said before the work; with little memory rows stay in their files, and the model is the same."""
    plain = fit(shared_cache)
    assert re.search(r"^fusionfer: fit with ecoc: about [\d,.]+ [GM]B of memory and a few seconds\.$", plain.err, re.M)
    first = load_model(tmp_path / "model")
    assert fit(shared_cache, "--quiet", "--overwrite").err == ""
    with mock.patch("fusionfer.features._combining.MAPPED_FROM", 0.0):  # nothing is small enough for memory
        mapped = fit(shared_cache, "--memory", "20G", "--overwrite")
    assert mapped.out == plain.out
    second = load_model(tmp_path / "model")
    assert_allclose(second.estimator[-1].coef_, first.estimator[-1].coef_, atol=1e-3)
    with mock.patch("fusionfer.features._combining.MAPPED_FROM", 0.0):
        scored = [cli("evaluate", shared_cache, "--model", tmp_path / "model", *more) for more in ([], ["-q"])]
    assert scored[0].out == cli("evaluate", shared_cache, "--model", tmp_path / "model").out
    assert re.search(r"^fusionfer: evaluate: about .* of memory and a few seconds\.$", scored[0].err, re.M)
    assert "of memory" not in scored[1].err


def test_too_little_memory_is_refused_with_the_figure(fit, shared_cache, refused, cli, shared_model):
    """What would not fit is not begun: how much it takes, of what, how much is allowed, what to do."""
    pattern = r"fit with svm-rbf would take about [\d.]+ GB of memory \(.*\), and 64 MB are allowed\. Allow more with"
    refused(fit(shared_cache, "--head", "svm-rbf", "--memory", "64M"), pattern)
    outcome = cli("evaluate", shared_cache, "--model", shared_model, "--memory", "64M")
    assert outcome.code == 1
    assert re.search(r"evaluate would take about .* of memory .*, and 64 MB are allowed", outcome.error)
    outcome = fit(shared_cache, "--memory", "plenty")
    assert (outcome.code, "such as 4G or 800M; got 'plenty'" in outcome.err) == (2, True)
