"""What both heads share: checks, weights, groups, held-out rows, stages, storage."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.utils.estimator_checks import parametrize_with_checks

from fusionfer.exceptions import DataError, FusionferError, ModelError
from fusionfer.heads.boosting import PlainXGBClassifier, WeightNormalisedXGBClassifier

BOTH = pytest.mark.parametrize("kind", [WeightNormalisedXGBClassifier, PlainXGBClassifier])
WEIGHTS = "check_sample_weight_equivalence_on_dense_data"


@parametrize_with_checks(
    [
        WeightNormalisedXGBClassifier(30, n_jobs=1),
        WeightNormalisedXGBClassifier(30, n_jobs=1, early_stopping_rounds=None),
        PlainXGBClassifier(30, n_jobs=1),
    ],
    expected_failed_checks=lambda head: {
        WEIGHTS: "a repeated row may be held out on its own; without early stopping: 1e-7 asked for of float32"
    },
)
def test_scikit_learn(estimator, check):
    """Both heads pass scikit-learn's checks, but for one that the next test puts right."""
    check(estimator)


def test_weights_are_repetitions(blobs):
    """Without held-out rows, a row of weight 2 counts as two and one of weight 0 as absent, to float32 rounding."""
    X, y = blobs
    weight = np.random.default_rng(0).integers(0, 3, len(y))
    head = WeightNormalisedXGBClassifier(8, max_bin=64, n_slices=2, early_stopping_rounds=None)
    weighted = head.fit(X, y, sample_weight=weight).predict_proba(X)
    repeated = head.fit(np.repeat(X, weight, axis=0), np.repeat(y, weight)).predict_proba(X)
    assert_allclose(weighted, repeated, atol=2e-5)


@BOTH
def test_a_class_of_weight_zero_is_absent(kind, blobs):
    """A class all of whose rows have weight 0 is no class."""
    X, y = blobs
    head = kind(3).fit(X, y, sample_weight=(y != "sad").astype(float))
    assert head.classes_.tolist() == ["angry", "happy", "neutral"]
    assert head.predict_proba(X).shape == (300, 3)


@BOTH
def test_balanced_classes(kind, blobs):
    """Balanced weights give each class the same sum and keep the mean at one; a dict does the same by hand."""
    X, y = blobs
    rows = np.concatenate([np.flatnonzero(y == "angry")[:10], np.flatnonzero(y != "angry")])
    head = kind(4, class_weight="balanced", early_stopping_rounds=None).fit(X[rows], y[rows])
    index = np.searchsorted(head.classes_, y[rows])
    factors = len(rows) / 4 / np.bincount(index)
    by_dict = kind(4, class_weight=dict(zip(head.classes_, 7 * factors, strict=True)), early_stopping_rounds=None)
    assert_allclose(by_dict.fit(X[rows], y[rows]).predict_proba(X), head.predict_proba(X), atol=1e-5)
    by_row = kind(4, early_stopping_rounds=None).fit(X[rows], y[rows], sample_weight=factors[index])
    assert_allclose(by_row.predict_proba(X), head.predict_proba(X), atol=1e-5)


@BOTH
def test_stages_end_where_the_model_does(kind, blobs):
    """One stage for each kept round; each is what a shorter model predicts, the last what predict_proba gives."""
    X, y = blobs
    head = kind(6, early_stopping_rounds=None).fit(X, y)
    stages = list(head.staged_predict_proba(X[:50]))
    assert len(stages) == 6
    assert_allclose(stages[-1], head.predict_proba(X[:50]), atol=1e-6)
    shorter = kind(3, early_stopping_rounds=None).fit(X, y)
    assert_allclose(stages[2], shorter.predict_proba(X[:50]), atol=1e-6)


@BOTH
@pytest.mark.parametrize("n_classes", [2, 4])
def test_scores_labels_and_probabilities_agree(kind, n_classes, blobs):
    """The label is that of the highest probability and of the highest score; probabilities add up to one."""
    X, y = blobs
    rows = np.isin(y, np.unique(y)[:n_classes])
    head = kind(5).fit(X[rows], y[rows])
    P, scores = head.predict_proba(X), head.decision_function(X)
    assert scores.shape == ((300,) if n_classes == 2 else (300, 4))
    winner = (scores > 0).astype(int) if n_classes == 2 else scores.argmax(axis=1)
    assert_array_equal(head.predict(X), head.classes_[winner])
    assert_array_equal(head.classes_[P.argmax(axis=1)], head.predict(X))
    assert_allclose(P.sum(axis=1), 1, rtol=1e-6)


@BOTH
def test_same_seed_same_bytes(kind, blobs):
    """A second fit gives the same model to the byte; another seed holds out other rows."""
    X, y = blobs
    first, again, other = (kind(5, random_state=seed).fit(X, y).model_json_.tobytes() for seed in (None, 0, 1))
    assert first == again
    assert first != other


@BOTH
def test_groups_stay_together(kind, blobs, monkeypatch):
    """No group has rows on both sides of the early stopping."""
    X, y = blobs
    groups = np.repeat(np.arange(60), 5).astype(str)
    seen = {}
    real = kind._grow

    def spy(self, train, validation, progress):
        seen["train"], seen["validation"] = train.X, validation.X
        return real(self, train, validation, progress)

    monkeypatch.setattr(kind, "_grow", spy)
    kind(3).fit(X, y, groups=groups)
    of_row = {row.tobytes(): group for row, group in zip(X, groups, strict=True)}
    sides = [{of_row[row.tobytes()] for row in seen[side]} for side in ("train", "validation")]
    assert not sides[0] & sides[1]
    assert len(sides[0] | sides[1]) == 60
    assert 20 <= len(seen["validation"]) <= 40


@BOTH
def test_a_class_of_one_row_is_grown_on(kind, blobs):
    """A class that holding out would remove from the growing rows stays there."""
    X, y = blobs
    rows = np.concatenate([np.flatnonzero(y == "angry")[:1], np.flatnonzero(y != "angry")])
    for seed in range(4):
        assert kind(2, validation_fraction=0.4, random_state=seed).fit(X[rows], y[rows]).predict_proba(X).shape[1] == 4


@BOTH
def test_weights_of_rows_to_stop_by(kind, blobs):
    """Rows of weight 0 in eval_set count as absent."""
    X, y = blobs
    weight = np.repeat([1.0, 0.0], 50)
    weighted = kind(8, eta=1.0).fit(X[:200], y[:200], eval_set=(X[200:], y[200:], weight))
    absent = kind(8, eta=1.0).fit(X[:200], y[:200], eval_set=(X[200:250], y[200:250]))
    assert_array_equal(weighted.history_["validation_loss"], absent.history_["validation_loss"])


@BOTH
def test_pickles_without_the_booster(kind, blobs):
    """A pickled head predicts the same, from its JSON; what it holds besides is plain arrays and values."""
    X, y = blobs
    head = kind(3).fit(X, y)
    assert "_booster" not in head.__getstate__()
    again = pickle.loads(pickle.dumps(head))
    assert_array_equal(again.predict_proba(X), head.predict_proba(X))


@BOTH
def test_a_changed_model_is_refused_before_xgboost_sees_it(kind, blobs):
    """A head whose JSON was edited raises a named error on first use."""
    X, y = blobs
    head = pickle.loads(pickle.dumps(kind(3).fit(X, y)))
    edited = head.model_json_.tobytes().replace(b'"num_feature":"14"', b'"num_feature":"15"')
    head.model_json_ = np.frombuffer(edited, dtype=np.uint8)
    with pytest.raises(ModelError, match="features"):
        head.predict(X)


@BOTH
@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"n_rounds": 0, "eta": -1}, r"n_rounds must be a whole number of at least 1 .*, got 0; eta must be a finite"),
        ({"eta": float("nan")}, "eta must be a finite number above 0, got nan"),
        ({"max_depth": 2.5}, "max_depth must be a whole number"),
        ({"max_bin": 1}, r"max_bin must be a whole number from 2 to \d+, got 1"),
        ({"validation_fraction": 0.7}, "validation_fraction must be a finite number above 0 and at most 0.5, got 0.7"),
        ({"early_stopping_rounds": 0}, "early_stopping_rounds must be"),
        ({"reg_lambda": "1"}, "reg_lambda must be a finite number of at least 0, got '1'"),
        ({"class_weight": "balance"}, "Unknown class_weight 'balance'.*Did you mean 'balanced'"),
        ({"class_weight": {"sad": -1}}, "class_weight must be finite and at least 0"),
        ({"class_weight": {"saad": 2}}, "Unknown class in class_weight: 'saad'.*Did you mean 'sad'"),
        ({"device": "gpu9"}, 'device must be "cpu", "cuda" or "cuda:" and a number, got \'gpu9\''),
        ({"class_weight": 3}, "class_weight must be .* got 3"),
    ],
)
def test_parameters_out_of_range(kind, params, text, blobs):
    """Wrong parameters are named with what is allowed and what came, all at once."""
    with pytest.raises(FusionferError, match=text):
        kind(**params).fit(*blobs)


@BOTH
@pytest.mark.parametrize(
    ("eval_set", "text"),
    [
        (lambda X, y: X, r"eval_set must be \(X, y\) or \(X, y, sample_weight\)"),
        (lambda X, y: (X, np.full(len(y), "joy")), "eval_set holds labels that the training rows lack: joy"),
        (lambda X, y: (X, y, np.zeros(len(y))), "rows of weight 0 only|at least one non-zero"),
        (lambda X, y: (X[:, :3], y), "3 features"),
    ],
)
def test_wrong_rows_to_stop_by(kind, eval_set, text, blobs):
    """An eval_set that does not fit is refused with the reason."""
    with pytest.raises(ValueError, match=text):
        kind(3).fit(*blobs, eval_set=eval_set(*blobs))


@BOTH
def test_wrong_groups_and_single_classes(kind, blobs):
    """Groups of another length, one class, and weights that leave one class are refused."""
    X, y = blobs
    with pytest.raises(DataError, match="groups has 3 entries for 300 rows"):
        kind(3).fit(X, y, groups=["a", "b", "c"])
    with pytest.raises(DataError, match="at least two classes, got 300 rows of one class only, 'sad'"):
        kind(3).fit(X, y, sample_weight=(y == "sad").astype(float))
    # Newer versions of scikit-learn refuse such weights before the head does.
    with pytest.raises(ValueError, match=r"with weight 0 only|at least one non-zero"):
        kind(3).fit(X, y, sample_weight=np.zeros(300))


@BOTH
def test_without_xgboost(kind, blobs, monkeypatch):
    """Where XGBoost is not installed, fit says what to install."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"needs XGBoost: pip install 'fusionfer\[xgb\]'"):
        kind(3).fit(*blobs)


@BOTH
def test_groups_of_another_length_beside_rows_of_weight_zero(kind, blobs):
    """Groups are counted before rows are left out."""
    X, y = blobs
    with pytest.raises(DataError, match="groups has 3 entries for 300 rows"):
        kind(3).fit(X, y, sample_weight=np.arange(300) % 2, groups=["a", "b", "c"])


@BOTH
def test_a_device_that_xgboost_was_not_built_for(kind, blobs, monkeypatch):
    """XGBoost without CUDA would go on on the CPU: that is an error that says what to install."""
    monkeypatch.setattr("xgboost.build_info", lambda: {"USE_CUDA": False})
    with pytest.raises(DataError, match=r"device='cuda:0' needs an XGBoost with CUDA, .*xgboost-cpu"):
        kind(3, device="cuda:0").fit(*blobs)


@BOTH
def test_class_weights_count_in_the_rows_to_stop_by(kind, blobs):
    """Rows of eval_set are weighed by class as the training rows are."""
    X, y = blobs
    by_class = {"angry": 5.0, "happy": 1.0, "neutral": 1.0, "sad": 2.0}
    weights = np.vectorize(by_class.get)(y)
    one = kind(4, class_weight=by_class).fit(X[:200], y[:200], eval_set=(X[200:], y[200:]))
    other = kind(4).fit(
        X[:200], y[:200], weights[:200] * 200 / weights[:200].sum(), eval_set=(X[200:], y[200:], weights[200:])
    )
    assert_allclose(one.history_["validation_loss"], other.history_["validation_loss"], rtol=1e-5)


@BOTH
def test_one_group_alone_holds_nothing_out(kind, blobs):
    """Where all rows are of one group, none can be held out: all rounds are kept, and nothing fails."""
    X, y = blobs
    head = kind(30).fit(X, y, groups=np.zeros(len(y)))
    assert head.best_round_ == 30
    assert "validation_loss" not in head.history_
