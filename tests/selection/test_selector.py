"""HybridSelector: the right winner, the same folds, no leak, and any classifier as head."""

import types

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from fusionfer.exceptions import DataError, UnknownNameError
from fusionfer.fusion import BlockScaler
from fusionfer.heads import make_head
from fusionfer.selection import HybridSelector

BLOCKS = {"a": slice(0, 4), "b": slice(4, 10)}


def one_block(which, n=240, seed=0):
    """Only one block knows the class; the other is loud noise that misleads."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    X = rng.normal(size=(n, 10))
    X[:, BLOCKS[which]][:, :3] += 1.5 * np.eye(3)[y]
    return X, y


class Recorder(ClassifierMixin, BaseEstimator):
    """A head that notes which rows it is fitted on; the row number stands in each block's last column."""

    seen: list = []  # noqa: RUF012  (shared by clones on purpose)

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        Recorder.seen.append(X[:, -1].astype(int))
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


@parametrize_with_checks(
    [HybridSelector(LogisticRegression(), cv=2), HybridSelector(make_head("ecoc", probability=False), cv=2)],
    expected_failed_checks=lambda selector: (
        {}
        if isinstance(selector.head, LogisticRegression)
        else {"check_sample_weight_equivalence_on_dense_data": "the head stops at a duality gap of 1e-3, not at 1e-7"}
    ),
)
def test_scikit_learn(estimator, check):
    """HybridSelector passes scikit-learn's checks."""
    check(estimator)


@pytest.mark.parametrize("winner", ["a", "b"])
def test_single_block_wins(winner):
    """Where one block knows everything, it is kept, and the sentence gives all figures."""
    X, y = one_block(winner)
    selector = HybridSelector(blocks=BLOCKS).fit(X, y)
    other = "b" if winner == "a" else "a"
    means = selector.mean_scores_
    assert selector.selected_ == winner
    assert selector.reason_ == (
        f"Kept {winner}: mean accuracy {means[winner]:.3f} over 5 folds; a + b ({means['a + b']:.3f}) does not beat it "
        f"by more than 0, and {other} reaches {means[other]:.3f}."
    )
    assert selector.columns_ == BLOCKS[winner]
    assert selector.estimator_.n_features_in_ == BLOCKS[winner].stop - BLOCKS[winner].start


def test_hybrid_wins(two_blocks):
    """Where each block knows half, the hybrid is kept and beats both."""
    X, y = two_blocks(4, 4)
    selector = HybridSelector(blocks=BLOCKS).fit(X, y)
    means = selector.mean_scores_
    assert selector.selected_ == "a + b"
    assert means["a + b"] > 0.9 > 0.6 > max(means["a"], means["b"])
    assert selector.reason_ == (
        f"Kept a + b: mean accuracy {means['a + b']:.3f} over 5 folds beats a ({means['a']:.3f}) and "
        f"b ({means['b']:.3f}) by more than 0."
    )
    assert selector.columns_ == slice(0, 10)
    assert selector.score(*two_blocks(4, 4, seed=1)) > 0.9


def test_hybrid_must_gain_enough(two_blocks):
    """The hybrid must beat the best single by more than min_gain, in the units of the score."""
    X, y = two_blocks(4, 2)
    means = HybridSelector(blocks=BLOCKS).fit(X, y).mean_scores_
    gain = means["a + b"] - max(means["a"], means["b"])
    assert gain > 0.1
    assert HybridSelector(blocks=BLOCKS, min_gain=gain - 0.001).fit(X, y).selected_ == "a + b"
    for enough in (gain, gain + 0.001):
        selector = HybridSelector(blocks=BLOCKS, min_gain=enough).fit(X, y)
        assert selector.selected_ == "a"
        assert f"does not beat it by more than {enough:g}" in selector.reason_


def test_ties_go_to_fewer_columns(two_blocks):
    """Of equally good candidates the smallest is kept, wherever it stands, and the sentence says so."""
    X, y = two_blocks(4, 4)
    for blocks, smaller in [(BLOCKS, "a"), ({"a": slice(0, 6), "b": slice(6, 10)}, "b")]:
        selector = HybridSelector(DummyClassifier(strategy="constant", constant=1), blocks).fit(X, y)
        assert set(selector.mean_scores_.values()) == {0.25}
        assert selector.selected_ == smaller
        assert "of equals the one with fewer columns (4)" in selector.reason_


def test_same_scores_in_another_order_are_a_tie(two_blocks):
    """Means that differ by rounding only are no gain."""
    scores = iter([0.1, 0.2, 0.3, 0.3, 0.2, 0.1, 0.3, 0.2, 0.1])

    def scorer(estimator, X, y):
        return next(scores)

    assert np.mean([0.1, 0.2, 0.3]) != np.mean([0.3, 0.2, 0.1])
    X, y = two_blocks(1, 1)
    assert HybridSelector("ecoc", BLOCKS, cv=3, scoring=scorer).fit(X, y).selected_ == "a"


def test_three_blocks(two_blocks):
    """With three blocks the candidates are the three singles and the one concatenation."""
    X, y = two_blocks(4, 4)
    blocks = {"r34": slice(0, 4), "r50": slice(4, 8), "vgg": slice(8, 10)}
    selector = HybridSelector(blocks=blocks).fit(X, y)
    assert list(selector.scores_) == ["r34", "r50", "vgg", "r34 + r50 + vgg"]
    assert selector.selected_ == "r34 + r50 + vgg"
    assert ") , " not in selector.reason_
    assert " and vgg (" in selector.reason_


def test_one_block_has_no_rival(two_blocks):
    """Without blocks all columns are the only candidate, still scored and scaled."""
    X, y = two_blocks(4, 4)
    selector = HybridSelector().fit(X, y)
    assert selector.selected_ == "all"
    assert selector.reason_.startswith("Kept all: the only block, mean accuracy 0.9")


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("scale", ["equal", "standard", None])
def test_equals_cross_val_score(two_blocks, scale, grouped):
    """The scores are those of scikit-learn's cross_val_score over the same folds, written out by hand."""
    X, y = two_blocks(2, 1)
    groups = np.repeat(np.arange(60), 4) if grouped else None
    selector = HybridSelector(LogisticRegression(), BLOCKS, scale=scale, random_state=3).fit(X, y, groups)
    splitter = StratifiedGroupKFold if grouped else StratifiedKFold
    folds = list(splitter(5, shuffle=True, random_state=3).split(X, y, groups))
    for name, columns, inner in [
        ("a", slice(0, 4), None),
        ("b", slice(4, 10), None),
        ("a + b", slice(0, 10), BLOCKS),
    ]:
        steps = [LogisticRegression()] if scale is None else [BlockScaler(inner, mode=scale), LogisticRegression()]
        expected = cross_val_score(make_pipeline(*steps), X[:, columns], y, cv=folds)
        assert_allclose(selector.scores_[name], expected)
        assert_allclose(selector.mean_scores_[name], expected.mean())


def test_no_leak():
    """Held-out rows never reach the head, groups are never divided, and all candidates share the folds."""
    n = 120
    rng = np.random.default_rng(0)
    X, y, groups = rng.normal(size=(n, 10)), np.arange(n) % 3, rng.permutation(np.arange(n) // 3)
    X[:, 3] = X[:, 9] = np.arange(n)
    held_out = []

    def scorer(estimator, X, y):
        held_out.append(X[:, -1].astype(int))
        return 0.5

    Recorder.seen = []
    HybridSelector(Recorder(), BLOCKS, cv=4, scale=None, scoring=scorer).fit(X, y, groups)
    assert len(held_out) == 12
    for inside, outside in zip(Recorder.seen[:-1], held_out, strict=True):
        assert_array_equal(np.sort(np.concatenate([inside, outside])), np.arange(n))
        assert not set(groups[inside]) & set(groups[outside])
    for first, other in [(0, 4), (0, 8)]:
        for fold in range(4):
            assert_array_equal(held_out[first + fold], held_out[other + fold])
    assert_array_equal(Recorder.seen[-1], np.arange(n))


def test_scaler_learns_inside_the_fold(two_blocks, monkeypatch):
    """The scaler, too, sees the training part of each fold only, and all rows at the end."""
    sizes = []
    original = BlockScaler.fit

    def spy(self, X, y=None, sample_weight=None):
        sizes.append(len(X))
        return original(self, X, y, sample_weight)

    monkeypatch.setattr(BlockScaler, "fit", spy)
    X, y = two_blocks(2, 2, n=80)
    HybridSelector(LogisticRegression(), BLOCKS, cv=4).fit(X, y)
    assert sizes == [60] * 12 + [80]


@pytest.mark.parametrize(
    "head",
    [
        None,
        "ecoc",
        LogisticRegression(),
        RandomForestClassifier(20, random_state=0),
        SVC(),
        KNeighborsClassifier(),
        make_pipeline(make_head("ecoc")),
    ],
    ids=lambda head: type(head).__name__,
)
def test_any_classifier_is_a_head(two_blocks, head):
    """Names and any scikit-learn classifier are accepted; what the winner can do, the selector can."""
    X, y = two_blocks(3, 3)
    y = np.array(["angry", "happy", "neutral", "sad"])[y]
    selector = HybridSelector(head, BLOCKS, cv=3).fit(X, y)
    winner = selector.estimator_
    assert_array_equal(selector.predict(X), winner.predict(X[:, selector.columns_]))
    for method in ("predict_proba", "decision_function"):
        assert hasattr(selector, method) == hasattr(winner, method)
        if hasattr(winner, method):
            assert_array_equal(getattr(selector, method)(X), getattr(winner, method)(X[:, selector.columns_]))
    assert selector.classes_.tolist() == ["angry", "happy", "neutral", "sad"]
    assert selector.score(X, y) == np.mean(selector.predict(X) == y)


def test_head_is_cloned_and_selector_clones(two_blocks):
    """The given head stays unfitted; clone and set_params reach through to it."""
    X, y = two_blocks(3, 3)
    head = LogisticRegression()
    selector = HybridSelector(head, BLOCKS, cv=3)
    selector.fit(X, y)
    assert not hasattr(head, "classes_")
    other = clone(selector).set_params(head__C=0.01, cv=2, min_gain=0.5)
    assert other.fit(X, y).estimator_["head"].C == 0.01
    assert len(other.scores_["a"]) == 2


class Calibrated(LogisticRegression):
    """A head with the parameter `probability`, that notes it."""

    flags: list = []  # noqa: RUF012  (shared by clones on purpose)

    def __init__(self, probability=True):
        super().__init__()
        self.probability = probability

    def fit(self, X, y):
        Calibrated.flags.append(self.probability)
        return super().fit(X, y)


def test_calibration_only_at_the_end(two_blocks):
    """Heads, nested ones too, are not calibrated in folds, unless the scorer asks for probabilities."""
    X, y = two_blocks(3, 3, n=80)
    for head in (Calibrated(), make_pipeline(Calibrated())):
        Calibrated.flags = []
        HybridSelector(head, cv=2).fit(X, y)
        assert Calibrated.flags == [False, False, True]
    Calibrated.flags = []
    HybridSelector(Calibrated(), cv=2, scoring="neg_log_loss").fit(X, y)
    assert Calibrated.flags == [True] * 3


def test_repeatable_and_threads_change_nothing(two_blocks):
    """Same seed, same folds, same scores; threads or not; another seed gives other folds."""
    X, y = two_blocks(1, 1)
    first, again, threads, other = (
        HybridSelector(LogisticRegression(), BLOCKS, random_state=seed, n_jobs=jobs).fit(X, y).scores_
        for seed, jobs in [(None, None), (None, None), (None, 2), (5, None)]
    )
    for name in first:
        assert_array_equal(first[name], again[name])
        assert_array_equal(first[name], threads[name])
    assert any(np.any(first[name] != other[name]) for name in first)


def test_seed_goes_to_a_head_made_here(two_blocks):
    """random_state reaches a head that is made by name; a given estimator keeps its own."""
    X, y = two_blocks(2, 2, n=60)
    assert HybridSelector("ecoc", cv=2, random_state=4).fit(X, y).estimator_["head"].random_state == 4
    own = RandomForestClassifier(3, random_state=9)
    assert HybridSelector(own, cv=2, random_state=4).fit(X, y).estimator_["head"].random_state == 9


def test_sample_weight_reaches_scaler_and_head(two_blocks):
    """Weights change scaler and head as they do by hand; a head without weights is an error that names it."""
    X, y = two_blocks(2, 2)
    weight = np.random.default_rng(0).uniform(0, 3, size=len(y))
    selector = HybridSelector(LogisticRegression(), BLOCKS, cv=3).fit(X, y, sample_weight=weight)
    scaler = BlockScaler(BLOCKS).fit(X, sample_weight=weight)
    head = LogisticRegression().fit(scaler.transform(X), y, sample_weight=weight)
    assert selector.selected_ == "a + b"
    assert_allclose(selector.decision_function(X), head.decision_function(scaler.transform(X)))
    with pytest.raises(DataError, match="KNeighborsClassifier takes no sample_weight"):
        HybridSelector(KNeighborsClassifier(), BLOCKS).fit(X, y, sample_weight=weight)


def test_progress(two_blocks):
    """Every fit of a candidate is counted under its name, with a search too; the refit comes last."""
    for search, n in [(None, 2), ({"C": [1.0, 2.0, 3.0]}, 6)]:
        calls = []
        selector = HybridSelector(LogisticRegression(), BLOCKS, cv=2, search=search)
        X, y = two_blocks(4, 4)
        selector.fit(X, y, progress=lambda *call: calls.append(call))  # noqa: B023  (used before the next round)
        counted = [(i, n, name) for name in ("a", "b", "a + b") for i in range(1, n + 1)]
        assert calls == [*counted, (1, 1, "a + b, all rows")]


def test_progress_of_threads(two_blocks):
    """With threads each candidate's bar gets full, fold by fold."""
    calls = []
    X, y = two_blocks(4, 4)
    selector = HybridSelector(LogisticRegression(), BLOCKS, cv=2, search={"C": [1.0, 2.0]}, n_jobs=2)
    selector.fit(X, y, progress=lambda *call: calls.append(call))
    assert calls[:2] == [(2, 4, "a"), (4, 4, "a")]
    assert calls[-1] == (1, 1, "a + b, all rows")


def test_rows_of_weight_zero_are_absent(two_blocks):
    """They count in no fold, scaling or score, whatever stands in them; also where the folds are given as pairs."""
    X, y = two_blocks(2, 2)
    groups = np.arange(len(y)) // 4
    kept = np.random.default_rng(0).uniform(size=len(y)) < 0.8
    weight = np.where(kept, np.linspace(0.5, 2, len(y)), 0.0)
    spoiled = np.where(kept[:, None], X, 1e6)
    pairs = [(np.arange(120), np.arange(120, 240)), (np.arange(120, 240), np.arange(120))]
    numbers = np.cumsum(kept) - 1
    fewer = [tuple(numbers[part[kept[part]]] for part in pair) for pair in pairs]
    for cv, cv_fewer in [(3, 3), (GroupKFold(3), GroupKFold(3)), (pairs, fewer)]:
        one = HybridSelector(LogisticRegression(), BLOCKS, cv=cv).fit(spoiled, y, groups, weight)
        two = HybridSelector(LogisticRegression(), BLOCKS, cv=cv_fewer).fit(
            X[kept], y[kept], groups[kept], weight[kept]
        )
        for name, scores in two.scores_.items():
            assert_array_equal(one.scores_[name], scores)
        assert_array_equal(one.decision_function(X), two.decision_function(X))
    with pytest.raises(DataError, match="at least two classes; all 60 rows are of one class, '3'"):
        HybridSelector().fit(X, y, sample_weight=y == 3)


class Curious(ClassifierMixin, BaseEstimator):
    """A head that notes what it is given."""

    seen: list = []  # noqa: RUF012  (shared by clones on purpose)

    def __init__(self, blocks=None, rounds=2):
        self.blocks = blocks
        self.rounds = rounds

    def fit(self, X, y, groups=None, progress=None):
        self.classes_ = np.unique(y)
        Curious.seen.append((self.blocks, groups, len(y)))
        if progress is not None:
            for i in range(self.rounds):
                progress(i + 1, self.rounds, "rounds")
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


def test_heads_get_what_they_take(two_blocks):
    """groups, progress and the candidate's blocks reach a head that has a place for them, in folds and at the end."""
    X, y = two_blocks(2, 2)
    groups = np.array([f"p{i // 4}" if i < 200 else "" for i in range(len(y))])
    calls = []
    Curious.seen = []
    selector = HybridSelector(Curious(), BLOCKS, cv=2)
    selector.fit(X, y, groups, progress=lambda *call: calls.append(call))
    local = [{"a": slice(0, 4)}, {"b": slice(0, 6)}, {"a": slice(0, 4), "b": slice(4, 10)}]
    assert [blocks for blocks, _, _ in Curious.seen] == [local[0]] * 2 + [local[1]] * 2 + [local[2]] * 2 + [local[0]]
    for _, numbers, n in Curious.seen:
        assert len(numbers) == n
    assert len(np.unique(Curious.seen[-1][1])) == 50 + 40
    assert calls[:3] == [(1, 2, "a: rounds"), (2, 2, "a: rounds"), (1, 2, "a")]
    assert calls[-2:] == [(2, 2, "a, all rows: rounds"), (1, 1, "a, all rows")]
    Curious.seen, calls = [], []
    HybridSelector(Curious(blocks={"mine": slice(0, 10)}), cv=2, n_jobs=2).fit(
        X, y, progress=lambda *c: calls.append(c)
    )
    assert all(blocks == {"mine": slice(0, 10)} and groups is None for blocks, groups, _ in Curious.seen)
    assert [call for call in calls if call[2] == "all: rounds"] == []  # rounds of several threads would be a jumble


def test_the_class_has_its_public_name():
    """Stored models know it as fusionfer.selection.HybridSelector, wherever its file lies."""
    assert f"{HybridSelector.__module__}.{HybridSelector.__qualname__}" == "fusionfer.selection.HybridSelector"


def test_features_bring_arrays_and_blocks(two_blocks):
    """An object with X, y, blocks and groups is fitted and scored as its arrays are; own blocks come first."""
    X, y = two_blocks(3, 3)
    groups = np.array([f"p{i // 4}" for i in range(len(y))])
    features = types.SimpleNamespace(X=X, y=y, blocks=BLOCKS, groups=groups, splits=np.full(len(y), "train"))
    selector = HybridSelector(LogisticRegression()).fit(features)
    plain = HybridSelector(LogisticRegression(), BLOCKS).fit(X, y, groups)
    assert selector.blocks_ == BLOCKS
    assert selector.blocks is None
    for name, scores in plain.scores_.items():
        assert_array_equal(selector.scores_[name], scores)
    assert selector.score(features) == plain.score(X, y)
    own = HybridSelector(LogisticRegression(), {"c": slice(0, 10)}).fit(features)
    assert own.selected_ == "c"


def test_features_with_test_rows_or_without_labels(two_blocks):
    """Test rows beside any others, and rows without label, are refused before anything is learned."""
    X, y = two_blocks(3, 3, n=40)
    splits = np.array(["train"] * 30 + ["test"] * 10)
    mixed = types.SimpleNamespace(X=X, y=y.astype(str), blocks=BLOCKS, groups=np.full(40, ""), splits=splits)
    with pytest.raises(DataError, match=r'hold test rows.*fit\(features.split\("train"\)\)'):
        HybridSelector().fit(mixed)
    mixed.splits = np.where(splits == "train", "validation", "test")
    with pytest.raises(DataError, match=r'hold test rows among others.*fit\(features.split\("validation"\)\)'):
        HybridSelector().fit(mixed)
    mixed.splits = np.where(splits == "train", "", "test")
    with pytest.raises(DataError, match=r'hold test rows.*fit\(features.take\(features.splits != "test"\)\)'):
        HybridSelector().fit(mixed)
    mixed.splits = np.full(40, "test")  # asked for by name
    assert HybridSelector(LogisticRegression(), cv=2).fit(mixed).selected_ in {"a", "b", "a + b"}
    mixed.splits, mixed.y[:3] = np.full(40, "train"), ""
    with pytest.raises(DataError, match="3 of 40 rows have no label"):
        HybridSelector().fit(mixed)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"cv": 1}, "cv must be at least 2 folds"),
        ({"min_gain": -0.1}, "min_gain must be at least 0, got -0.1"),
        ({"blocks": {"a": slice(0, 4)}}, "columns 4 to 10 belong to no block"),
        ({"scale": "equl"}, "Unknown scaling 'equl'"),
        ({"head": "eccoc"}, "Unknown head 'eccoc'.*Did you mean 'ecoc'"),
        ({"scoring": lambda *_: np.nan}, "<lambda> of all is nan on fold 1; choose a scoring that is defined"),
    ],
)
def test_wrong_parameters(two_blocks, params, message):
    """Each wrong parameter is one clear error."""
    X, y = two_blocks(2, 2)
    with pytest.raises((DataError, UnknownNameError), match=message):
        HybridSelector(**params).fit(X, y)


def test_one_class(two_blocks):
    """One class cannot be selected on; the error names it."""
    X, _ = two_blocks(2, 2)
    with pytest.raises(DataError, match="all 240 rows are of one class, 'sad'"):
        HybridSelector().fit(X, ["sad"] * len(X))
