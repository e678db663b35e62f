"""The head xgb is XGBoost as it comes."""

import numpy as np
import pytest
import xgboost
from numpy.testing import assert_allclose

from fusionfer.heads.boosting import PlainXGBClassifier


@pytest.mark.parametrize("n_classes", [2, 4])
def test_same_as_xgboosts_own_classifier(blobs, n_classes):
    """With equal parameters and rows to stop by, best round and probabilities are those of XGBClassifier."""
    X, labels = blobs
    rows = np.isin(labels, np.unique(labels)[:n_classes])
    X, y = X[rows], np.unique(labels[rows], return_inverse=True)[1]
    half = len(y) // 2
    X = X + np.random.default_rng(0).normal(scale=12, size=X.shape).astype(np.float32)  # so that more rounds overfit
    params = {"max_depth": 3, "max_bin": 64, "reg_lambda": 2.0, "early_stopping_rounds": 4}
    ours = PlainXGBClassifier(40, eta=0.5, **params).fit(X[:half], y[:half], eval_set=(X[half:], y[half:]))
    theirs = xgboost.XGBClassifier(n_estimators=40, learning_rate=0.5, tree_method="hist", **params)
    theirs.fit(X[:half], y[:half], eval_set=[(X[half:], y[half:])], verbose=False)
    assert ours.best_round_ == theirs.best_iteration + 1
    assert len(ours.history_["validation_loss"]) == ours.best_round_ + 4
    assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-5)


def test_sampling_follows_the_seed(blobs):
    """Drawn columns and rows depend on the seed, and are drawn the same again."""
    X, y = blobs
    params = {"colsample_bytree": 0.5, "subsample": 0.5, "early_stopping_rounds": None}
    first, again, other = (
        PlainXGBClassifier(3, random_state=s, **params).fit(X, y).predict_proba(X) for s in (1, 1, 2)
    )
    assert_allclose(first, again, rtol=0)
    assert np.abs(first - other).max() > 0.01


def test_progress_tells_every_round(blobs):
    """Progress counts rounds, with and without rows to stop by."""
    X, y = blobs
    told = []
    PlainXGBClassifier(2).fit(X, y, progress=lambda *args: told.append(args))
    PlainXGBClassifier(1, early_stopping_rounds=None).fit(X, y, progress=lambda *args: told.append(args))
    assert told == [(1, 2, "rounds"), (2, 2, "rounds"), (1, 1, "rounds")]
