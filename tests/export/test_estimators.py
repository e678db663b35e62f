"""Heads in ONNX operators: labels equal, probabilities within the stated bound, on identical features."""

import copy

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from fusionfer.exceptions import ModelError
from fusionfer.export import HEAD_BOUND
from fusionfer.export._estimators import SMOOTH, final, scaled
from fusionfer.fusion import BlockScaler
from fusionfer.heads import HEADS, ECOCClassifier, make_head
from fusionfer.selection import HybridSelector

LOSSES = ("hamming", "linear", "logistic", "exponential", "binodeviance", "hinge", "quadratic")
SMALL = {"xgb": {"n_rounds": 8}, "xgb-wn": {"n_rounds": 8}, "svm-nystroem": {"n_components": 60}}


def agree(decided, estimator, T):
    found = decided(estimator, T)
    assert found["label"].tolist() == estimator.predict(T).tolist()
    assert found["probabilities"].dtype == np.float32
    np.testing.assert_allclose(found["probabilities"], estimator.predict_proba(T), atol=HEAD_BOUND)
    return found


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("classes", [2, 5])
def test_every_listed_head(decided, rows, name, classes):
    """A head joins by being listed; behind a scaler, as fit makes them, with two and five classes, and without rows."""
    X, y, T = rows
    y = np.where(y < "c", "a", "b") if classes == 2 else y
    blocks = {"one": slice(0, 5), "two": slice(5, 20)}
    pipeline = Pipeline([("scaler", BlockScaler(blocks)), ("head", make_head(name, **SMALL.get(name, {})))])
    agree(decided, pipeline.fit(X, y), T)
    nothing = decided(pipeline, T[:0])
    assert (nothing["label"].shape, nothing["probabilities"].shape) == ((0,), (0, classes))


@pytest.mark.parametrize("coding", ["onevsone", "ordinal", "binarycomplete", "denserandom"])
def test_every_kind_of_coding(decided, rows, coding):
    """Decoding and coupling by other coding matrices than one against all."""
    X, y, T = rows
    agree(decided, ECOCClassifier(coding).fit(X, y), T)


@pytest.fixture(scope="module")
def pairs(rows):
    """One against one: with zeros in the coding, where the two decodings differ."""
    return ECOCClassifier("onevsone").fit(*rows[:2])


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("decoding", ["lossweighted", "lossbased"])
def test_every_binary_loss(decided, rows, pairs, loss, decoding):
    """Losses and decodings play no part in the fit, so that one serves all."""
    head = copy.copy(pairs).set_params(binary_loss=loss, decoding=decoding)
    head.binary_loss_ = loss
    agree(decided, head, rows[2])


def test_learners_that_give_posteriors(decided, rows):
    """The logistic loss: scores are log-odds already, the quadratic loss takes them without calibration."""
    X, y, T = rows
    agree(decided, ECOCClassifier("onevsone", loss="logistic").fit(X, y), T)


@pytest.mark.parametrize("head", [ECOCClassifier(probability=False), SVC(decision_function_shape="ovo"),
                                  ECOCClassifier(binary_loss="quadratic", probability=False)])  # fmt: skip
def test_without_probabilities_there_are_labels_alone(decided, rows, head):
    """No probabilities are made up, not even of a calibration that only the loss needs."""
    X, y, T = rows
    head = clone(head).fit(X, y)
    assert not hasattr(head, "predict_proba")
    found = decided(head, T)
    assert set(found) == {"label"}
    assert found["label"].tolist() == head.predict(T).tolist()


def test_a_selector_takes_the_columns_of_its_winner(decided, rows):
    """A HybridSelector that kept one block looks at its columns alone."""
    X, y, T = rows
    selector = HybridSelector("softmax", blocks={"a": slice(0, 5), "b": slice(5, 20)}, cv=2, min_gain=1.0).fit(X, y)
    assert selector.selected_ != "a + b"
    agree(decided, selector, T)
    assert final(selector) is selector.estimator_[-1]
    assert scaled(selector, T).shape == T[:, selector.columns_].shape


@pytest.mark.parametrize("dtype", [str, int])
def test_scikit_learns_own(decided, rows, dtype):
    """Transformers and classifiers by skl2onnx, with classes that are text or numbers."""
    X, y, T = rows
    y = y if dtype is str else np.unique(y, return_inverse=True)[1] + 3
    pipeline = make_pipeline(BlockScaler(), StandardScaler(), LogisticRegression()).fit(X, y)
    found = decided(pipeline, T)
    assert found["label"].tolist() == pipeline.predict(T).astype(str).tolist()
    np.testing.assert_allclose(found["probabilities"], pipeline.predict_proba(T), atol=HEAD_BOUND)
    tree = DecisionTreeClassifier(max_depth=3).fit(X, y)
    np.testing.assert_allclose(decided(tree, T)["probabilities"], tree.predict_proba(T), atol=HEAD_BOUND)
    assert set(decided(RidgeClassifier().fit(X, y), T)) == {"label"}
    assert not isinstance(tree, SMOOTH)


class Own(ClassifierMixin, BaseEstimator):
    """A classifier that nobody knows how to convert."""

    def fit(self, X, y):
        self.classes_, self.n_features_in_ = np.unique(y), X.shape[1]
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


def test_what_cannot_be_written_is_named(decided, rows):
    """An estimator of one's own, and learners of one's own in ECOC: the error says what can be exported."""
    X, y, T = rows
    with pytest.raises(ModelError, match=r"A Own cannot be exported to ONNX .*What can: the heads ecoc, svm-linear"):
        decided(Own().fit(X, y), T)
    head = ECOCClassifier(learner=LogisticRegression()).fit(X, y)
    with pytest.raises(ModelError, match=r"learner=LogisticRegression\(\) cannot be exported .*learner=None"):
        decided(head, T)
