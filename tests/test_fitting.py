"""fit: trains on the rows of a split alone, records what it did, and finds what splits share."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from fusionfer.exceptions import DataError, ModelError, UnknownNameError
from fusionfer.features import Features
from fusionfer.fitting import SCORINGS, find_leaks, fit, fit_heads, weight_paths
from fusionfer.fusion import fingerprints
from fusionfer.heads import HEADS, Head, make_head
from fusionfer.selection import HybridSelector


def test_the_result_is_that_of_the_selector(make_features):
    """fit adds nothing to HybridSelector on the training rows but the record."""
    features = make_features()
    rows = features.split("train")
    ours = fit(features, "ecoc", cv=3, random_state=5)
    theirs = HybridSelector(make_head("ecoc"), blocks=rows.blocks, cv=3, scale="equal", random_state=5)
    theirs.fit(rows.X, rows.y)
    assert ours.n == 40
    assert ours.model.selection["selected"] == theirs.selected_
    assert ours.model.selection["reason"] == theirs.reason_
    for name, scores in theirs.scores_.items():
        assert np.array_equal(ours.model.selection["scores"][name], scores)


def test_the_test_split_is_never_looked_at(make_features):
    """Other features and labels of the test rows change nothing."""
    features = make_features()
    X, y = features.X.copy(), features.y.copy()
    X[40:], y[40:] = 1e6, "c"
    spoiled = Features.from_arrays(features.ids, X, y, features.blocks, features.splits)
    one, two = fit(features, cv=3), fit(spoiled, cv=3)
    assert one.model.selection == two.model.selection
    assert one.model.classes == two.model.classes == ("a", "b")
    rows = np.random.default_rng(1).normal(size=(9, one.model.n_columns)).astype(np.float32)
    assert np.array_equal(one.model.predict_proba(rows), two.model.predict_proba(rows))


def test_the_model_records_how_it_came_about(make_features):
    """Rows, split, head, scale, seed and counts are in the model, and the blocks of the winner only."""
    result = fit(make_features(), "ecoc", cv=3, scale="standard", random_state=7, scoring="f1_macro", min_gain=1.0)
    model = result.model
    assert model.selection["selected"] in {"left", "right"}  # a gain of 1 cannot be reached
    assert list(model.blocks) == [model.selection["selected"]]
    assert model.n_columns == 3
    assert model.training["counts"] == {"a": 20, "b": 20}
    wanted = {"n": 40, "split": "train", "head": "ecoc", "scale": "standard", "random_state": 7}
    assert wanted.items() <= model.training.items()
    assert model.selection["scoring"] == "f1_macro"
    assert model.selection["folds"] == 3


def test_groups_stay_together_and_that_is_recorded(make_features):
    """Groups are handed to the selection; a row without one is its own."""
    grouped = fit(make_features(groups=[f"g{i // 4}" if i < 36 else "" for i in range(60)]), cv=3)
    assert grouped.model.selection["grouped"] is True
    assert fit(make_features(), cv=3).model.selection["grouped"] is False


def test_any_classifier_is_a_head(make_features):
    """scikit-learn's own classifiers are taken as they are."""
    result = fit(make_features(), LogisticRegression(C=0.5), cv=3)
    assert result.model.training["head"] == "LogisticRegression"
    assert result.model.training["params"]["C"] == "0.5"


def test_parameters_reach_the_head(make_features):
    """params are those of the head, and unknown ones are refused."""
    assert fit(make_features(), cv=3, params={"C": 0.25}).model.training["params"]["C"] == "0.25"
    with pytest.raises((TypeError, ValueError, LookupError), match="nonsense"):
        fit(make_features(), cv=3, params={"nonsense": 1})


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.parametrize("scoring", SCORINGS)
def test_every_scoring_works_for_two_and_three_classes(make_features, scoring):
    """What is offered never fails in the middle of the folds."""
    for classes in ("ab", "abc"):
        features = make_features(y=[classes[i % len(classes)] for i in range(60)])
        scores = fit(features, cv=2, scoring=scoring).model.selection["scores"]
        assert np.isfinite([value for values in scores.values() for value in values]).all()


def test_an_unknown_scoring_is_refused_at_once(make_features):
    """With the ones that are known."""
    with pytest.raises(UnknownNameError, match=r"Unknown scoring 'auc'\. Known scorings: accuracy, "):
        fit(make_features(), scoring="auc")


@pytest.mark.parametrize(("split", "n"), [("train+test", 60), ("test", 20)])
def test_several_splits_are_joined_and_test_rows_are_said(make_features, split, n):
    """What is named is taken; test rows among them are said, by fit and before it."""
    result = fit(make_features(), cv=3, split=split)
    assert result.n == n
    (note,) = result.notes
    assert note.startswith("The test split is among the rows that were trained and selected on: ")
    assert find_leaks(make_features(), split) == (note,)
    assert fit(make_features(), cv=3).notes == ()


def test_without_splits_all_rows_are_taken(make_features):
    """And a note says that nothing is held out."""
    result = fit(make_features(splits=None), cv=3)
    assert result.n == 60
    assert any("no split" in note for note in result.notes)


def test_the_training_rows_are_recorded(make_features):
    """By picture where it is known, else by id; groups each once."""
    from dataclasses import replace

    features = make_features(groups=[f"g{i // 4}" if i < 36 else "" for i in range(60)])
    digests = np.array([f"{i:064x}" if i < 10 else "" for i in range(60)])
    training = fit(replace(features, digests=digests), cv=3).model.training
    names = [*digests[:10].tolist(), *features.ids[10:40].tolist()]
    assert training["row_fingerprints"] == fingerprints(names)
    assert len(training["row_fingerprints"]) == 16 * 40
    assert training["group_fingerprints"] == fingerprints([f"g{i}" for i in range(9)])
    assert fit(make_features(), cv=3).model.training["group_fingerprints"] == ""


def test_the_seed_reaches_a_head_made_by_name(make_features):
    """random_state is the head's too, unless params hold one or the head was given."""

    def seed(head="ecoc", **options):
        return fit(make_features(), head, cv=3, random_state=5, **options).model.estimator["head"].random_state

    assert seed() == 5
    assert seed(params={"random_state": 9}) == 9
    assert seed(params={"random_state": None}) is None
    assert seed(LogisticRegression(random_state=7)) == 7


def test_rows_without_a_label_are_left_out_and_counted(make_features):
    """They play no part."""
    result = fit(make_features(y=["ab"[i % 2] if i >= 6 else "" for i in range(60)]), cv=3)
    assert result.n == 34
    assert "6 rows without a label are left out." in result.notes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"y": [""] * 60}, r"None of the 40 rows of split 'train' has a label"),
        ({"y": [""] * 60, "splits": None}, r"None of the 60 rows has a label"),
        ({"y": ["a"] * 60}, r"at least two classes; all 40 rows of split 'train' are 'a'\."),
        ({"y": ["a"] * 60, "splits": None}, r"at least two classes; all 60 rows are 'a'\."),
        ({"y": ["c"] + ["a", "b"] * 29 + ["a"]}, r"Too few rows for 5 folds of class c \(1\)"),
    ],
)
def test_rows_that_cannot_be_learned_from(make_features, options, message):
    """One sentence says what is missing."""
    with pytest.raises(DataError, match=message):
        fit(make_features(**options))


def test_leaks_are_counted(make_features):
    """Groups on both sides, with the rows outside; without groups or splits there is nothing to find."""
    features = make_features(groups=["x" if i in {0, 1, 50, 51, 52} else f"g{i}" for i in range(60)])
    assert find_leaks(features, "train") == ("1 groups of split train are in other splits too (3 rows there).",)
    assert [found for found in find_leaks(features, "train+test") if "groups" in found] == []
    assert find_leaks(make_features(), "train") == ()
    assert find_leaks(make_features(splits=None, groups=["x"] * 60), "train") == ()


def test_equal_images_are_a_leak(make_features):
    """The same bytes in train and test are found by their hash, whatever the files are called."""
    from dataclasses import replace

    digests = np.array([f"{i:064x}" for i in range(60)])
    digests[55] = digests[3]
    (found,) = find_leaks(replace(make_features(), digests=digests), "train")
    assert found == "1 images, equal to the byte, of split train are in other splits too (1 rows there)."


def test_weight_paths(make_features, tmp_path):
    """A file per backbone where there is one, none for seeds; a missing file says which block needs it."""
    from dataclasses import replace

    path = tmp_path / "w.pth"
    path.write_bytes(b"w")
    model = fit(make_features(), cv=3).model
    name, block = next(iter(model.blocks.items()))

    def with_weights(weights):
        return replace(model, blocks={**model.blocks, name: {**block, "record": {"weights": weights}}})

    others = {n: {**b, "record": {"weights": {"seed": 0}}} for n, b in model.blocks.items() if n != name}
    model = replace(model, blocks={name: block, **others})
    assert weight_paths(with_weights({"path": str(path), "seed": None}).blocks) == {block["backbone"]: str(path)}
    assert weight_paths(with_weights({"path": None, "seed": 3}).blocks) == {}
    path.unlink()
    with pytest.raises(ModelError, match=rf"The weights of {name} cannot be bundled: {path} is not there"):
        weight_paths(with_weights({"path": str(path), "seed": None}).blocks)


def test_weights_of_one_backbone_that_differ_cannot_be_bundled(tmp_path):
    """A model holds one file for each backbone: two are refused, by name; two levels of the same weights are fine."""

    def block(sha256, weights):
        key = {"backbone": "resnet34", "weights_sha256": sha256}
        return {"backbone": "resnet34", "level": "x", "dim": 1, "key": key, "record": {"weights": weights}}

    paths = [tmp_path / name for name in ("one.pth", "two.pth")]
    for path in paths:
        path.write_bytes(b"w")
    one, two = (block(path.stem, {"path": str(path), "seed": None}) for path in paths)
    assert weight_paths({"a": one, "b": one}) == {"resnet34": str(paths[0])}
    for other in (two, block("three", {"path": None, "seed": 3})):
        for blocks in ({"a": one, "b": other}, {"a": other, "b": one}):
            with pytest.raises(ModelError, match=r"^a and b are of one backbone, resnet34, with different weights: .*"):
                weight_paths(blocks)


def test_progress_ends_at_its_total(make_features):
    """A bar that is fed from it gets full."""
    calls = []
    fit(make_features(), cv=3, progress=lambda done, total, what: calls.append((done, total, what)))
    assert calls[-1][0] == calls[-1][1] > 0
    assert {type(what) for _, _, what in calls} == {str}


@pytest.fixture
def listed(monkeypatch):
    """Two quick heads of scikit-learn in the list: "bayes", with an alias and a search, and "plain" without."""
    entry = Head("bayes", "naive", "sklearn.naive_bayes:GaussianNB", ("nb",), {"var_smoothing": [1e-9, 1e3]})
    monkeypatch.setitem(HEADS, "bayes", entry)
    monkeypatch.setitem(HEADS, "plain", Head("plain", "logistic", "sklearn.linear_model:LogisticRegression"))


def test_a_search_is_recorded(make_features, listed):
    """What was tried and chosen stands in the model, as JSON can hold it; the params are those of the winner."""
    result = fit(make_features(), "bayes", cv=3, search={"var_smoothing": [1e-9, 1e3], "priors": [None, [0.5, 0.5]]})
    selection = result.model.selection
    selector = result.selector
    best = selector.best_params_[selector.selected_]
    assert selection["best_params"][selector.selected_]["var_smoothing"] == best["var_smoothing"]
    assert [point["params"]["priors"] for point in selection["search"][:2]] == [None, "[0.5, 0.5]"]
    for i, point in enumerate(selection["search"]):
        for name, mean in point["means"].items():
            assert mean == pytest.approx(selector.search_results_[name][i].mean())
    assert result.model.training["params"]["var_smoothing"] == repr(best["var_smoothing"])
    assert "search" not in fit(make_features(), "bayes", cv=3).model.selection


def test_the_listed_search_leaves_alone_what_was_set(make_features, listed):
    """search="default" tries the list of the head; a parameter that was given is not searched, and that is said."""
    searched = fit(make_features(), "nb", cv=3, search="default")
    assert searched.selector.search_points_ == [{"var_smoothing": 1e-9}, {"var_smoothing": 1e3}]
    assert searched.model.training["head"] == "bayes"
    for head, params in [("bayes", {"var_smoothing": 0.5}), ("plain", {})]:
        kept = fit(make_features(), head, cv=3, search="default", params=params)
        assert kept.selector.search_points_ == [{}]
        (note,) = kept.notes
        assert note == f"Nothing was searched for {head}: it has no listed search, or all of it was set."
    assert kept.model.training["head"] == "plain"


def test_a_value_that_the_head_cannot_use(make_features, listed):
    """scikit-learn's word for it, with the head and what it was given; without parameters errors pass as they are."""
    with pytest.raises(DataError, match=r"^Head plain cannot be fitted with C='much', tol=0\.1: Invalid.*'C'.*'much'"):
        fit(make_features(), "plain", cv=3, params={"C": "much", "tol": 0.1})
    with pytest.raises(ValueError, match=r"^The 'C' parameter of LogisticRegression must be"):
        fit(make_features(), LogisticRegression(C="much"), cv=3)


def test_heads_are_compared_on_the_same_folds(make_features, listed):
    """Each result is that of fit alone; the best mean wins, and its model holds the selections of all."""
    features = make_features()
    params = {"nb": {"var_smoothing": 1e6}}
    result = fit_heads(features, ["bayes", "plain"], params=params, cv=3, random_state=4)
    alone = {
        "bayes": fit(features, "bayes", params=params["nb"], cv=3, random_state=4),
        "plain": fit(features, "plain", cv=3, random_state=4),
    }
    means = {}
    for name, found in alone.items():
        assert result.results[name].model.selection == found.model.selection
        means[name] = found.selector.mean_scores_[found.selector.selected_]
    assert means["plain"] > means["bayes"]
    assert result.best == "plain"
    selection = result.model.selection
    assert {name: selection["heads"][name]["scores"] for name in means} == {
        name: found.model.selection["scores"] for name, found in alone.items()
    }
    assert selection["selected"] == alone["plain"].selector.selected_
    assert selection["reason"] == (
        f"Of 2 heads plain is best ({means['plain']:.4f} on {alone['plain'].selector.selected_}), before "
        f"bayes ({means['bayes']:.4f} on {alone['bayes'].selector.selected_}). {alone['plain'].selector.reason_}"
    )
    assert result.model.training["head"] == "plain"


def test_of_equal_heads_the_first_is_kept(make_features):
    """Twins of different names score the same; the order decides, and the sentence says so."""

    class Twin(GaussianNB):
        pass

    result = fit_heads(make_features(), [GaussianNB(), Twin()], cv=3)
    assert result.best == "GaussianNB"
    assert "; of equals the first. Kept " in result.model.selection["reason"]
    assert fit_heads(make_features(), [Twin(), GaussianNB()], cv=3).best == "Twin"


def test_one_head_is_fit(make_features, listed):
    """Nothing is added where there is nothing to compare."""
    result = fit_heads(make_features(), ["plain"], cv=3)
    assert result.model.selection == fit(make_features(), "plain", cv=3).model.selection


def test_progress_names_the_head(make_features, listed):
    """With several heads each has its own bars."""
    for heads, first in [(["plain", "bayes"], "plain, left"), (["plain"], "left")]:
        whats = []
        fit_heads(make_features(), heads, cv=3, progress=lambda done, total, what: whats.append(what))  # noqa: B023
        assert whats[0] == first


@pytest.mark.parametrize(
    ("heads", "options", "error", "message"),
    [
        ([], {}, DataError, r"Name at least one head, and each once; got none\."),
        (["nb", "bayes"], {}, DataError, r"Name at least one head, and each once; got bayes, bayes\."),
        (["bayes", "plan"], {}, UnknownNameError, r"Unknown head 'plan'\. .*Did you mean 'plain'"),
        (["bayes", "plain"], {"params": {"plain": {"c": 1}}}, UnknownNameError, r"head 'plain': 'c'.*mean 'C'"),
        (["bayes"], {"params": {"plain": {}}}, UnknownNameError, r"head to set parameters of: 'plain'.*fit: bayes\."),
    ],
)
def test_wrong_heads_are_refused_before_any_work(make_features, listed, monkeypatch, heads, options, error, message):
    """Named twice, unknown, or with an unknown parameter."""
    monkeypatch.setattr(GaussianNB, "fit", None)
    with pytest.raises(error, match=message):
        fit_heads(make_features(), heads, **options)
