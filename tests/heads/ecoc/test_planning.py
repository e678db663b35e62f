"""Planning: which rows count, with which weight, on which side, in which fold."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fusionfer.exceptions import DataError
from fusionfer.heads import FitJob
from fusionfer.heads.ecoc import ECOCClassifier
from fusionfer.heads.ecoc._planning import make_plan, plan_key

Y = np.array(["sad", "happy", "sad", "fear", "happy", "sad", "fear", "happy"])


def test_rows_without_weight_are_absent():
    """They have class -1, no sides and no fold; the rest is as if they were not there."""
    weight = np.array([1.0, 2, 0, 1, 1, 3, 0, 1])
    plan = make_plan(ECOCClassifier("onevsone"), Y, weight, None)
    short = make_plan(ECOCClassifier("onevsone"), Y[weight > 0], weight[weight > 0], None)
    assert_array_equal(plan.y_index, [2, 1, -1, 0, 1, 2, -1, 1])
    for name in ("y_index", "weight", "cost", "folds", "sides"):
        assert_array_equal(getattr(plan, name)[weight > 0], getattr(short, name))
    assert_array_equal(plan.sides[[2, 6]], 0)
    assert_array_equal(plan.folds[[2, 6]], -1)
    assert_allclose(plan.prior, [1 / 9, 4 / 9, 4 / 9])
    assert_allclose(plan.learner_weight, [5, 5, 8])


def test_a_class_without_weight_does_not_exist():
    """Classes are those of rows with weight, also where class_weight takes the weight away."""
    weight = np.where(Y == "fear", 0.0, 1.0)
    assert make_plan(ECOCClassifier(), Y, weight, None).classes.tolist() == ["happy", "sad"]
    head = ECOCClassifier(class_weight={"fear": 0.0})
    assert make_plan(head, Y, np.ones(8), None).classes.tolist() == ["happy", "sad"]


def test_balanced_counts_rows_with_weight_only():
    """ "balanced" gives each class the same weight, counted over the rows that are there."""
    weight = np.array([1.0, 1, 1, 1, 1, 1, 0, 1])
    plan = make_plan(ECOCClassifier(class_weight="balanced"), Y, weight, None)
    assert_allclose(plan.prior, 1 / 3)


def test_prior_sets_the_shares():
    """Weights are scaled to the prior, their sum stays."""
    plan = make_plan(ECOCClassifier(prior={"sad": 2, "happy": 1, "fear": 1}), Y, np.ones(8), None)
    assert_allclose(np.bincount(plan.y_index, weights=plan.weight), [2, 2, 4])


def test_costs_weigh_the_sides():
    """Costs act on the learners only: `weight`, which calibrates, stays."""
    cost = np.array([[0, 9, 9], [1, 0, 1], [1, 1, 0]])
    plan = make_plan(ECOCClassifier(cost=cost), Y, np.ones(8), None)
    assert_allclose(plan.weight, 1)
    assert plan.cost.shape == (8, 3)
    assert_allclose(plan.cost.sum(axis=0), 8)
    assert np.all(plan.cost[Y == "fear", 0] > 5 * plan.cost[Y != "fear", 0].max())


def test_groups_are_held_out_together():
    """Rows of one group share a fold; without calibration and choice of C there are no folds."""
    groups = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    folds = make_plan(ECOCClassifier(), Y, np.ones(8), groups).folds
    assert_array_equal(folds[::2], folds[1::2])
    assert make_plan(ECOCClassifier(probability=False), Y, np.ones(8), groups).folds is None
    assert make_plan(ECOCClassifier(probability=False, C="auto"), Y, np.ones(8), groups).folds is not None


def test_placed_among_more_rows():
    """A plan for some rows of a larger X: all other rows are absent."""
    plan = make_plan(ECOCClassifier(), Y, np.arange(1.0, 9.0), None)
    rows = np.array([0, 2, 3, 5, 6, 7, 9, 11])
    wide = plan.placed(rows, 12)
    for name in ("y_index", "weight", "cost", "folds", "sides"):
        assert_array_equal(getattr(wide, name)[rows], getattr(plan, name))
    assert_array_equal(wide.y_index[[1, 4, 8, 10]], -1)
    assert_array_equal(wide.sides[[1, 4, 8, 10]], 0)
    assert plan.placed(np.arange(8), 8) is plan


def test_fewer_than_two_classes():
    """One class, or none with weight, cannot be learned, and the error says which."""
    with pytest.raises(DataError, match="two classes, got 3 rows of one class only, 'sad'"):
        make_plan(ECOCClassifier(), np.array(["sad"] * 3), np.ones(3), None)
    with pytest.raises(DataError, match="of one class only, 'happy'"):
        make_plan(ECOCClassifier(), Y, (Y == "happy").astype(float), None)
    with pytest.raises(DataError, match="with weight 0 only"):
        make_plan(ECOCClassifier(class_weight="balanced"), Y, np.zeros(8), None)


def test_plans_are_shared_by_value(monkeypatch):
    """Jobs share a plan where all that it depends on is equal, and only there: large codings are compared as wholes."""
    rng = np.random.default_rng(0)
    y, code = np.tile(np.arange(40), 4), rng.choice([-1, 1], size=(40, 30))
    other = code.copy()
    other[20, 15] *= -1
    assert repr(code) == repr(other)
    X = rng.normal(size=(160, 3))
    made = []
    monkeypatch.setattr(
        "fusionfer.heads.ecoc._classifier.make_plan", lambda *given: made.append(given) or make_plan(*given)
    )
    rows = np.arange(160)
    params = [{"coding": code}, {"coding": other}, {"coding": code.copy(), "C": 0.5}, {"coding": code, "max_iter": 500}]
    jobs = [FitJob(rows.copy(), slice(0, 3), np.zeros(3), np.ones(3), one) for one in params]
    heads = ECOCClassifier(probability=False, tol=0.1).fit_many(X, y, jobs)
    assert len(made) == 2
    for head, expected in zip(heads, (code, other, code, code), strict=True):
        assert_array_equal(head.code_matrix_, expected)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"C": 1.0, "tol": 0.1}, {"C": 2.0, "loss": "squared_hinge"}, True),
        ({"probability": False}, {"probability": False, "C": "auto"}, False),
        ({"probability": False}, {"probability": False, "binary_loss": "quadratic"}, False),
        ({"class_weight": {"a": 1, "b": 2}}, {"class_weight": {"b": 2, "a": 1}}, True),
        ({"prior": [0.5, 0.5]}, {"prior": [0.4, 0.6]}, False),
        ({"random_state": 1}, {"random_state": 2}, False),
    ],
)
def test_what_a_plan_depends_on(one, other, same):
    """What only the solver takes is not among it."""
    assert (plan_key(ECOCClassifier(**one)) == plan_key(ECOCClassifier(**other))) == same
