"""The finished model is a stock model: a process that has only XGBoost predicts the same from its JSON."""

import json
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fusionfer.heads.boosting import PlainXGBClassifier, WeightNormalisedXGBClassifier
from fusionfer.heads.boosting._model import column_gains, tree_gains

STRANGER = """
import sys, numpy, xgboost
booster = xgboost.Booster(model_file=sys.argv[1])
numpy.save(sys.argv[3], booster.predict(xgboost.DMatrix(numpy.load(sys.argv[2]))))
assert not [name for name in sys.modules if name.startswith("fusionfer")]
"""


@pytest.mark.parametrize("head", [WeightNormalisedXGBClassifier(12, n_slices=3, tau=1.0), PlainXGBClassifier(5)])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_a_stranger_predicts_the_same(blobs, tmp_path, n_classes, head):
    """Probabilities of a fresh process with XGBoost and numpy alone are those of the head, also for new values."""
    X, y = blobs
    rows = np.isin(y, np.unique(y)[:n_classes])
    head = head.fit(X[rows], y[rows])
    head.export_model(tmp_path / "model.json")
    new = np.concatenate([X, np.random.default_rng(0).normal(scale=30, size=(200, X.shape[1]))]).astype(np.float32)
    np.save(tmp_path / "new.npy", new)
    command = [sys.executable, "-c", STRANGER, *(str(tmp_path / name) for name in ("model.json", "new.npy", "p.npy"))]
    subprocess.run(command, check=True, cwd=tmp_path)
    found = np.load(tmp_path / "p.npy")
    expected = head.predict_proba(new)
    assert_allclose(found, expected if n_classes > 2 else expected[:, 1], rtol=1e-5, atol=1e-7)
    assert np.ptp(expected, axis=0).max() > 0.15


def test_the_document_is_stock(blobs):
    """Rounds, classes and features are those of all columns, and thresholds lie between values of their column."""
    X, y = blobs
    head = WeightNormalisedXGBClassifier(7, n_slices=3, early_stopping_rounds=None).fit(X, y)
    learner = json.loads(head.model_json_.tobytes())["learner"]
    model = learner["gradient_booster"]["model"]
    assert learner["objective"]["name"] == "multi:softprob"
    assert learner["learner_model_param"]["num_feature"] == "14"
    assert model["iteration_indptr"] == list(range(0, 29, 4))
    assert model["tree_info"] == [0, 1, 2, 3] * 7
    for number, tree in enumerate(model["trees"]):
        inner = np.array(tree["left_children"]) != -1
        columns = np.array(tree["split_indices"])[inner]
        assert set(columns) <= set(head.slices_[number // 4 % 3])
        thresholds = np.array(tree["split_conditions"])[inner]
        assert np.all((thresholds > X.min(axis=0)[columns]) & (thresholds <= X.max(axis=0)[columns]))


def test_gains_by_column_and_by_tree(blobs):
    """Both sum up the gains of all splits: by column as XGBoost's total_gain, by tree with the paper's half."""
    X, y = blobs
    head = WeightNormalisedXGBClassifier(6, n_slices=2, early_stopping_rounds=None).fit(X, y)
    gains = column_gains(head.model_json_.tobytes(), 14)
    theirs = head.booster_.get_score(importance_type="total_gain")
    assert_allclose(gains, [theirs.get(f"f{j}", 0.0) for j in range(14)], rtol=1e-4)
    assert_allclose(2 * tree_gains(head.model_json_.tobytes(), 4).sum(), gains.sum())
    assert_allclose(head.feature_importances_, gains / gains.sum())
    shares = head.block_importances({"a": slice(0, 4), "b": slice(4, 14)})
    assert_allclose([shares["a"], sum(shares.values())], [gains[:4].sum() / gains.sum(), 1])


@pytest.mark.parametrize("gamma", [0.0, 20.0])
def test_leaves_that_gain_too_little_are_cut(blobs, gamma):
    """With a high gamma the model still passes the checks, and every split gains more than gamma."""
    X, y = blobs
    head = WeightNormalisedXGBClassifier(4, gamma=gamma, early_stopping_rounds=None).fit(X, y)
    trees = json.loads(head.model_json_.tobytes())["learner"]["gradient_booster"]["model"]["trees"]
    lowest = [change for tree in trees for change in tree["loss_changes"] if change]
    assert min(lowest) > gamma
    assert (min(lowest) < 20) == (gamma == 0)


def test_no_split_at_all(blobs):
    """Where nothing may be split the trees are single leaves, and the model predicts the shares of the classes."""
    X, y = blobs
    head = WeightNormalisedXGBClassifier(3, min_child_weight=1e6, early_stopping_rounds=None).fit(X, y)
    assert_allclose(head.predict_proba(X), 0.25, atol=1e-6)
    assert_array_equal(head.feature_importances_, 0)
