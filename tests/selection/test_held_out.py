"""A predefined split: scored, never trained on, and handed to heads that hold rows out by themselves."""

from typing import ClassVar

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from fusionfer.exceptions import DataError
from fusionfer.features import Features
from fusionfer.fusion import BlockScaler, fingerprints
from fusionfer.heads import make_head
from fusionfer.selection import HybridSelector

BLOCKS = {"a": slice(0, 4), "b": slice(4, 10)}


@pytest.fixture
def split(two_blocks):
    """X (240, 10), y, and a mask that holds the last 80 rows out."""
    X, y = two_blocks(2, 1)
    return X, y, np.arange(240) >= 160


class Told(ClassifierMixin, BaseEstimator):
    """Writes down what it is given; predicts as Gaussians do that see the rows it may train on."""

    given: ClassVar[list] = []

    def fit(self, X, y, sample_weight=None, groups=None, held_out=None):
        self.given.append((X, y, sample_weight, groups, held_out))
        inside = np.ones(len(y), dtype=bool) if held_out is None else ~held_out
        self.classes_, self.model_ = np.unique(y), GaussianNB().fit(X[inside], y[inside])
        return self

    def predict(self, X):
        return self.model_.predict(X)


class Stubborn(Told):
    """Holds rows out by groups, and cannot be told which."""

    def fit(self, X, y, groups=None):
        return super().fit(X, y, groups=groups)


@pytest.mark.parametrize("scale", ["equal", None])
def test_scores_and_refit_are_those_of_the_two_parts(split, scale):
    """Written out by hand: scaler and head from the one part, accuracy on the other, for every candidate."""
    X, y, held = split
    selector = HybridSelector(LogisticRegression(), BLOCKS, scale=scale, search={"C": [0.01, 1.0]})
    selector.fit(X, y, held_out=held)
    columns = {"a": slice(0, 4), "b": slice(4, 10), "a + b": slice(0, 10)}
    blocks = {"a": None, "b": None, "a + b": BLOCKS}
    for name, part in columns.items():
        Z = X[:, part]
        if scale:
            Z = BlockScaler(blocks[name]).fit(Z[~held]).transform(Z)
        for i, C in enumerate([0.01, 1.0]):
            alone = LogisticRegression(C=C).fit(Z[~held], y[~held])
            assert selector.search_results_[name][i].tolist() == [alone.score(Z[held], y[held])]
        if name == selector.selected_:
            best = LogisticRegression(**selector.best_params_[name]).fit(Z[~held], y[~held])
            assert np.array_equal(selector.predict(X), best.predict(Z))
    assert f"accuracy {selector.mean_scores_[selector.selected_]:.3f} on 80 held-out rows" in selector.reason_


def test_held_out_rows_are_never_trained_on(split):
    """Other values in them change scores, but neither scaler nor head."""
    X, y, held = split
    spoiled = X.copy()
    spoiled[held] *= 100
    one, two = (HybridSelector(LogisticRegression(), cv=3).fit(Z, y, held_out=held) for Z in (X, spoiled))
    assert np.array_equal(one.estimator_["scaler"].factor_, two.estimator_["scaler"].factor_)
    assert np.array_equal(one.estimator_["head"].coef_, two.estimator_["head"].coef_)
    assert one.scores_ != two.scores_


def test_a_head_that_can_be_told_gets_the_rows(split):
    """All rows with the mask, in the fold and in the refit; the scaler still learns from the others alone."""
    X, y, held = split
    weight, groups = np.linspace(1, 2, 240), np.arange(240) // 2
    Told.given.clear()
    selector = HybridSelector(Told(), BLOCKS).fit(X, y, groups, weight, held_out=held)
    assert len(Told.given) == 4
    for Z, labels, weights, together, mask in Told.given:
        assert np.array_equal(mask, held)
        assert np.array_equal(labels, y)
        assert np.array_equal(weights, weight)
        assert len(np.unique(together)) == 120
        assert len(Z) == 240
    learned = BlockScaler(selector.estimator_["scaler"].blocks)
    learned.fit(X[~held, selector.columns_], sample_weight=weight[~held])
    assert np.allclose(selector.estimator_["scaler"].factor_, learned.factor_)


def test_a_head_that_would_hold_out_others_is_refused(split):
    """It takes groups, so it holds rows out, and it cannot be told which."""
    X, y, held = split
    with pytest.raises(DataError, match=r"^Stubborn\.fit takes groups, by which it holds rows out, but no held_out: "):
        HybridSelector(Stubborn()).fit(X, y, held_out=held)
    assert HybridSelector(Stubborn(), cv=3).fit(X, y).selected_ == "all"


def test_rows_of_weight_0_are_left_out_of_both_parts(split):
    """As if they were not there."""
    X, y, held = split
    weight = np.where(np.arange(240) % 5 == 0, 0.0, 1.0)
    kept = weight > 0
    one = HybridSelector(LogisticRegression(), BLOCKS).fit(X, y, None, weight, held_out=held)
    two = HybridSelector(LogisticRegression(), BLOCKS).fit(X[kept], y[kept], None, weight[kept], held_out=held[kept])
    assert {name: v.tolist() for name, v in one.scores_.items()} == {n: v.tolist() for n, v in two.scores_.items()}
    assert "on 64 held-out rows" in one.reason_


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda held: held[:-1], r"^held_out must be 240 times True or False, .* got bool of shape \(239,\)\.$"),
        (lambda held: held.astype(int), r"one for each row; got int64 of shape \(240,\)\.$"),
        (lambda held: held & False, r"^held_out must hold out some rows and leave others to train on; .* 0 of 240\.$"),
        (lambda held: held | True, r"it holds out 240 of 240\.$"),
        (lambda held: np.arange(240) % 4 == 1, r"^held_out leaves no row of 1 to train on; take these rows out\.$"),
    ],
)
def test_what_is_no_split(split, change, message):
    """Another length, no bool, nothing on one side, a class that is never trained on."""
    X, y, held = split
    with pytest.raises(DataError, match=message):
        HybridSelector(LogisticRegression()).fit(X, y, held_out=change(held))


def test_a_divided_group(split):
    """The group is named, and the rows are counted."""
    X, y, held = split
    groups = np.array([f"p{i // 3}" for i in range(240)])
    message = r"^held_out divides group 'p53': row 160 is held out while rows of the same group .* \(2 such rows\)"
    with pytest.raises(DataError, match=message):
        HybridSelector(LogisticRegression()).fit(X, y, groups, held_out=held)


def test_features_that_their_weights_have_seen(split):
    """A selection that would judge by rows that weights were trained on is refused; by others it is made."""
    X, y, held = split
    features = Features.from_arrays(range(240), X, y, BLOCKS)
    digests = np.array([f"{i:064x}" for i in range(240)])
    record = {"weights": {"trained_on": fingerprints(digests[:160].tolist())}}
    seen = Features(
        features.ids, features.X, features.y, features.splits, features.groups, features.blocks,
        {"b": {"key": {}, "record": record}}, digests,
    )  # fmt: skip
    for mask, n in [(None, 240), (~held, 160)]:
        with pytest.raises(
            DataError, match=rf"^The weights of b were trained on 160 of the {n} rows that would be held"
        ):
            HybridSelector(LogisticRegression()).fit(seen, held_out=mask)
    assert HybridSelector(LogisticRegression()).fit(seen, held_out=held).scores_["b"].shape == (1,)


@pytest.mark.parametrize("name", ["ecoc", "softmax"])
def test_all_fits_in_one_call_are_the_single_ones(split, name):
    """A head with fit_many is scored as one without, whose fits see the same predefined split."""
    X, y, held = split
    params = {"C": "auto", "tol": 1e-6, **({"loss": "squared_hinge"} if name == "ecoc" else {})}
    head = make_head(name, **params)

    class Alone(type(head)):
        fit_many = property()  # no such method: hasattr says no

    together = HybridSelector(head, BLOCKS, scoring="neg_log_loss").fit(X, y, held_out=held)
    alone = HybridSelector(Alone(**params), BLOCKS, scoring="neg_log_loss").fit(X, y, held_out=held)
    for block, scores in together.scores_.items():
        assert scores == pytest.approx(alone.scores_[block], abs=1e-3)
