"""fit: trains on the rows of a split alone, and records what it did."""

import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from fusionfer.exceptions import DataError, UnknownNameError
from fusionfer.features import Features
from fusionfer.fitting import SCORINGS, fit
from fusionfer.fusion import fingerprints
from fusionfer.heads import make_head
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


def test_progress_ends_at_its_total(make_features):
    """A bar that is fed from it gets full."""
    calls = []
    fit(make_features(), cv=3, progress=lambda done, total, what: calls.append((done, total, what)))
    assert calls[-1][0] == calls[-1][1] > 0
    assert {type(what) for _, _, what in calls} == {str}


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


def test_the_evidence_is_recorded(make_features):
    """Whatever the selector found out stands in the model, as JSON; rule, level and test reach it."""
    result = fit(make_features(), cv=3, rule="significant", alpha=0.2, test="5x2")
    evidence = result.model.selection["evidence"]
    assert evidence == result.selector.evidence_
    assert json.loads(json.dumps(evidence, allow_nan=False)) == evidence
    assert (evidence["rule"], evidence["alpha"], evidence["test"]) == ("significant", 0.2, "5x2 cv combined F")
    assert [(pair["first"], pair["second"]) for pair in evidence["pairs"]] == [
        ("left + right", "left"),
        ("left + right", "right"),
        ("left", "right"),
    ]
    with pytest.raises(UnknownNameError, match=r"^Unknown rule 'best'\. Known rules: greater, significant\."):
        fit(make_features(), cv=3, rule="best")
