"""Scores against scikit-learn and against numbers worked out by hand."""

import json
import re
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from fusionfer.exceptions import DataError
from fusionfer.metrics import METRICS, Scores, Undefined, score


@st.composite
def truths_and_predictions(draw):
    """Draw labels of up to five classes, of which some may be without samples or never predicted."""
    n_classes = draw(st.integers(2, 5))
    n = draw(st.integers(1, 40))
    indices = st.lists(st.integers(0, n_classes - 1), min_size=n, max_size=n)
    names = np.array([f"c{k}" for k in range(n_classes)])
    return names[draw(indices)], names[draw(indices)], names


@given(truths_and_predictions())
@settings(max_examples=150, deadline=None)
def test_figures_agree_with_scikit_learn(case):
    """Every defined figure is scikit-learn's, and every NaN is where scikit-learn divides by zero."""
    y_true, y_pred, names = case
    scores = score(y_true, y_pred, classes=names)
    np.testing.assert_array_equal(scores.confusion, oracle.confusion_matrix(y_true, y_pred, labels=names))
    precision, recall, f1, support = oracle.precision_recall_fscore_support(
        y_true, y_pred, labels=names, zero_division=np.nan
    )
    np.testing.assert_allclose(scores.per_class["precision"], precision)
    np.testing.assert_allclose(scores.per_class["recall"], recall)
    np.testing.assert_allclose(scores.per_class["f1"], f1)
    np.testing.assert_array_equal(scores.support, support)
    jaccard = oracle.jaccard_score(y_true, y_pred, labels=names, average=None, zero_division=0)
    np.testing.assert_allclose(np.nan_to_num(scores.per_class["jaccard"]), jaccard)
    tables = oracle.multilabel_confusion_matrix(y_true, y_pred, labels=names)
    for k, ((tn, fp), (fn, tp)) in enumerate(tables):
        assert scores.per_class["accuracy"][k] == pytest.approx((tp + tn) / len(y_true))
        expected = tn / (tn + fp) if tn + fp else np.nan
        assert scores.per_class["specificity"][k] == pytest.approx(expected, nan_ok=True)
        assert np.isnan(scores.per_class["jaccard"][k]) == (tp + fp + fn == 0)
    np.testing.assert_array_equal(scores.per_class["dice"], scores.per_class["f1"])
    assert scores.accuracy == pytest.approx(oracle.accuracy_score(y_true, y_pred))


@given(truths_and_predictions())
@settings(max_examples=60, deadline=None)
def test_averages_agree_with_scikit_learn(case):
    """Macro, weighted and balanced averages leave out what is undefined, as scikit-learn does with NaN."""
    y_true, y_pred, names = case
    scores = score(y_true, y_pred, classes=names)
    for average, found in [("macro", scores.macro), ("weighted", scores.weighted)]:
        expected = oracle.precision_recall_fscore_support(
            y_true, y_pred, labels=names, average=average, zero_division=np.nan
        )
        for metric, value in zip(["precision", "recall", "f1"], expected, strict=False):
            if average == "weighted" and not scores.support[~np.isnan(scores.per_class[metric])].any():
                assert np.isnan(found[metric])  # scikit-learn falls back to the plain mean where all weights are 0
            else:
                assert found[metric] == pytest.approx(value, nan_ok=True), (average, metric)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "y_pred contains classes not in y_true"
        assert scores.balanced_accuracy == pytest.approx(oracle.balanced_accuracy_score(y_true, y_pred))


@given(st.integers(0, 10**6), st.integers(2, 4), st.integers(2, 40), st.booleans())
@settings(max_examples=80, deadline=None)
def test_areas_agree_with_scikit_learn(seed, n_classes, n, ties):
    """One-vs-rest areas, ties included, are scikit-learn's, and NaN where one side has no samples."""
    rng = np.random.default_rng(seed)
    y_true = rng.integers(n_classes, size=n)
    proba = rng.dirichlet(np.ones(n_classes), size=n)
    if ties:
        proba = proba.round(1)
    scores = score(y_true, proba.argmax(axis=1), proba, classes=range(n_classes))
    for k, area in enumerate(scores.per_class["roc_auc"]):
        positive = y_true == k
        if positive.any() and not positive.all():
            assert area == pytest.approx(oracle.roc_auc_score(positive, proba[:, k]))
        else:
            assert np.isnan(area)
    if len(np.unique(y_true)) == n_classes > 2 and not ties:
        assert scores.roc_auc == pytest.approx(oracle.roc_auc_score(y_true, proba, multi_class="ovr"))
        weighted = oracle.roc_auc_score(y_true, proba, multi_class="ovr", average="weighted")
        assert scores.weighted["roc_auc"] == pytest.approx(weighted)


def test_figures_by_hand():
    """A matrix of nine samples gives the fractions worked out on paper."""
    scores = Scores(("a", "b", "c"), np.array([[3, 1, 0], [1, 1, 0], [0, 2, 1]]))
    assert scores.n == 9
    assert scores.accuracy == pytest.approx(5 / 9)
    np.testing.assert_allclose(scores.per_class["accuracy"], [7 / 9, 5 / 9, 7 / 9])
    np.testing.assert_allclose(scores.per_class["precision"], [3 / 4, 1 / 4, 1])
    np.testing.assert_allclose(scores.per_class["recall"], [3 / 4, 1 / 2, 1 / 3])
    np.testing.assert_allclose(scores.per_class["specificity"], [4 / 5, 4 / 7, 1])
    np.testing.assert_allclose(scores.per_class["jaccard"], [3 / 5, 1 / 5, 1 / 3])
    np.testing.assert_allclose(scores.per_class["dice"], [3 / 4, 1 / 3, 1 / 2])
    assert scores.macro["recall"] == pytest.approx((3 / 4 + 1 / 2 + 1 / 3) / 3)
    assert scores.weighted["recall"] == pytest.approx(scores.accuracy)
    assert scores.undefined == ()
    assert scores.roc_auc is None


def test_a_class_without_samples_is_named_not_zero():
    """What a class without samples leaves undefined is listed with its reason and left out of the averages."""
    scores = score(["a", "a", "b"], ["a", "b", "b"], classes=["a", "b", "c"])
    assert scores.undefined == (
        Undefined("precision", "c", "never predicted"),
        Undefined("recall", "c", "no samples of this class"),
        Undefined("f1", "c", "no samples of this class, and never predicted"),
        Undefined("jaccard", "c", "no samples of this class, and never predicted"),
        Undefined("dice", "c", "no samples of this class, and never predicted"),
    )
    assert scores.macro["recall"] == pytest.approx(0.75)
    assert scores.per_class["accuracy"][2] == 1.0


def test_a_class_never_predicted_has_true_zeros():
    """Recall, F1 and Jaccard of a class with samples that is never predicted are 0, its precision is undefined."""
    scores = score(["a", "b"], ["a", "a"])
    assert scores.per_class["recall"][1] == scores.per_class["f1"][1] == scores.per_class["jaccard"][1] == 0.0
    assert [(u.metric, u.of) for u in scores.undefined] == [("precision", "b")]


def test_one_class_only():
    """With one class, specificity and area are undefined, and so are their averages; nothing crashes."""
    scores = score(["a", "a"], ["a", "a"], proba=[[1.0], [0.5]])
    assert scores.accuracy == scores.balanced_accuracy == 1.0
    assert {(u.metric, u.of) for u in scores.undefined} == {
        (metric, of) for metric in ("specificity", "roc_auc") for of in ("a", "macro", "weighted")
    }
    assert scores.to_dict()["roc_auc"] is None


@pytest.mark.parametrize("with_proba", [True, False])
def test_json_round_trip(with_proba):
    """The dictionary is strict JSON without NaN and gives the same scores back."""
    proba = [[0.7, 0.2, 0.1], [0.5, 0.5, 0.0], [0.1, 0.9, 0.0]] if with_proba else None
    scores = score(["a", "a", "b"], ["a", "b", "b"], proba, classes=["a", "b", "c"])
    data = json.loads(json.dumps(scores.to_dict(), allow_nan=False))
    assert data["per_class"]["c"]["recall"] is None
    assert ("roc_auc" in data["macro"]) == with_proba
    again = Scores.from_dict(data)
    assert again.to_dict() == data
    assert tuple(again.per_class) == (METRICS if with_proba else METRICS[:-1])


def test_classes_by_default_are_those_that_occur():
    """Without `classes`, the sorted union of true and predicted labels is used, numbers in numeric order."""
    assert score([2, 10, 2], [2, 2, 7]).classes == ("2", "7", "10")


def test_scores_cannot_be_changed():
    """The matrix is read-only, so that figures derived from it stay true."""
    scores = score(["a"], ["a"])
    with pytest.raises(ValueError, match="read-only"):
        scores.confusion[0, 0] = 7


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"y_true": ["a"], "y_pred": ["a", "b"]}, "must be two lists of one length"),
        ({"y_true": [], "y_pred": []}, "at least 1"),
        (
            {"y_true": ["a", "x", "x"], "y_pred": ["a", "a", "b"], "classes": ["a", "b"]},
            "Labels among the true ones that are none of the classes: 'x' (2). Classes: a, b.",
        ),
        ({"y_true": ["a"], "y_pred": ["z"], "classes": ["a"]}, "among the predicted ones"),
        ({"y_true": ["a"], "y_pred": ["a"], "classes": ["a", "b", "a"]}, "named more than once: a."),
        ({"y_true": ["a"], "y_pred": ["a"], "proba": [[0.1, 0.9]]}, "must have the shape (1, 1)"),
        ({"y_true": ["a", "b"], "y_pred": ["a", "b"], "proba": [[0.1, 0.9], [np.nan, 0]]}, "in 1 rows (first: 1)"),
    ],
)
def test_bad_input_is_named(arguments, text):
    """Each kind of bad input gives one error that says which thing is wrong."""
    with pytest.raises(DataError, match=re.escape(text)):
        score(**arguments)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"classes": ["a"]}, "KeyError: 'per_class'"),
        ({"classes": ["a"], "per_class": {"a": {}}, "confusion": [[1, 2]]}, "need a confusion matrix of shape"),
        ({"classes": ["a"], "per_class": {"a": {}}, "confusion": [[0]]}, "nothing to score"),
    ],
)
def test_damaged_dictionaries_are_named(data, text):
    """A dictionary that holds no scores is refused by name."""
    with pytest.raises(DataError, match=re.escape(text)):
        Scores.from_dict(data)
