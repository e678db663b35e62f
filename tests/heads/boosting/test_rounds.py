"""The trees are those of the paper's formulas, recomputed from sums over rows; rounds stop where they should."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fusionfer.heads.boosting import WeightNormalisedXGBClassifier
from fusionfer.heads.boosting._losses import gradients, log_loss, probabilities, start_margins
from fusionfer.heads.boosting._norm import step_factors, tree_norms

NO_PENALTY = {"reg_lambda": 0.0, "gamma": 0.0, "min_child_weight": 0.0}


def trees_of(head):
    return json.loads(head.model_json_.tobytes())["learner"]["gradient_booster"]["model"]["trees"]


def walk(tree, X):
    """Return node -> rows that pass it, by the stock model's own rule: left where x < threshold."""
    rows, pending = {}, [(0, np.arange(len(X)))]
    while pending:
        node, here = pending.pop()
        rows[node] = here
        if tree["left_children"][node] != -1:
            threshold = np.float32(tree["split_conditions"][node])
            left = X[here, tree["split_indices"][node]] < threshold
            pending += [(tree["left_children"][node], here[left]), (tree["right_children"][node], here[~left])]
    return rows


@pytest.mark.parametrize("hessian", ["exact", "xgboost"])
@pytest.mark.parametrize("norm", ["bounded", "damped", None])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_gains_weights_and_steps_follow_the_papers_formulas(blobs, n_classes, norm, hessian):
    """In every node S and V over its rows give the gain and the weight; the leaves hold weight times step.

    gain A = 1/2 [S_L^2/V_L + S_R^2/V_R - S^2/V]; w* = -S/V; f_k = f_{k-1} + step * sum_j w_j I(x in R_j).
    """
    X, labels = blobs
    rows = np.isin(labels, np.unique(labels)[:n_classes])
    X, y = X[rows], np.unique(labels[rows], return_inverse=True)[1]
    weight = np.random.default_rng(0).uniform(0.5, 2, len(y))
    head = WeightNormalisedXGBClassifier(
        4, eta=0.7, tau=0.5, lead=0.4, norm=norm, hessian=hessian, max_depth=3, n_slices=2, early_stopping_rounds=None,
        **NO_PENALTY,
    ).fit(X, y, sample_weight=weight)  # fmt: skip
    factor = 2.0 if hessian == "xgboost" and n_classes > 2 else 1.0
    F = np.tile(start_margins(y, weight, n_classes), (len(y), 1))
    trees, C = trees_of(head), F.shape[1]
    nodes, covered = 0, np.zeros(C)
    for number in range(4):
        g, h = gradients(F, y, weight.astype(np.float32), factor)
        steps, outputs = np.zeros(C), np.zeros(F.shape)
        for k in range(C):
            tree = trees[number * C + k]
            S, V = {}, {}
            for node, here in walk(tree, X).items():
                S[node], V[node] = g[here, k].sum(dtype=np.float64), h[here, k].sum(dtype=np.float64)
            gains = 0.0
            for node in S:
                assert_allclose(tree["sum_hessian"][node], V[node], rtol=1e-5)
                w = -S[node] / V[node]
                left, right = tree["left_children"][node], tree["right_children"][node]
                assert_allclose(tree["base_weights"][node], w * head.history_["step"][number, k], rtol=1e-4, atol=1e-6)
                if left == -1:
                    outputs[walk(tree, X)[node], k] = w
                    assert tree["split_conditions"][node] == tree["base_weights"][node]
                    continue
                A = 0.5 * (S[left] ** 2 / V[left] + S[right] ** 2 / V[right] - S[node] ** 2 / V[node])
                assert_allclose(0.5 * tree["loss_changes"][node], A, rtol=1e-4, atol=1e-5)
                gains += A
                nodes += 1
            assert_allclose(head.history_["gain"][number, k], gains, rtol=1e-4)
            leaves = [node for node in S if tree["left_children"][node] == -1]
            size = np.sqrt(sum(S[j] ** 2 / V[j] for j in leaves) / sum(V[j] for j in leaves))
            assert_allclose(head.history_["norm"][number, k], size, rtol=1e-4)
            tau = 0.5 + 0.4 / (10 * 0.7) * np.exp(-covered[k] / 0.4)
            steps[k] = step_factors(np.array([size]), 0.7, norm, tau)[0]
            covered[k] += steps[k] * size
        assert_allclose(head.history_["step"][number], steps, rtol=1e-4)
        assert_allclose(head.history_["S"][number], g.sum(axis=0), rtol=1e-3, atol=1e-3)
        assert_allclose(head.history_["V"][number], h.sum(axis=0), rtol=1e-5)
        assert_allclose(tree_norms(outputs.astype(np.float32), h), head.history_["norm"][number], rtol=1e-4)
        F = F + (outputs * steps).astype(np.float32)
        assert_allclose(head.history_["train_loss"][number], log_loss(F, y, weight), rtol=1e-4)
    assert nodes > 4 * C
    assert_allclose(head.predict_proba(X), probabilities(F), atol=2e-5)


def test_every_split_is_the_best_of_its_slice(blobs):
    """No other column of the slice and no other threshold between bins has a higher gain at the root."""
    X, labels = blobs
    y = np.unique(labels, return_inverse=True)[1]
    head = WeightNormalisedXGBClassifier(
        2, max_depth=1, n_slices=2, max_bin=8, early_stopping_rounds=None, **NO_PENALTY
    ).fit(X, y)
    g, h = gradients(np.tile(start_margins(y, np.ones(len(y)), 4), (len(y), 1)), y, np.ones(len(y), np.float32))
    for k in range(4):
        best = 0.0
        for j in head.slices_[0]:
            for cut in np.sort(X[:, j])[300 * np.arange(1, 8) // 8]:
                left = X[:, j] < cut
                A = sum(
                    0.5 * sign * g[part, k].sum() ** 2 / h[part, k].sum()
                    for sign, part in [(1, left), (1, ~left), (-1, left | ~left)]
                )
                best = max(best, A)
        assert_allclose(0.5 * trees_of(head)[k]["loss_changes"][0], best, rtol=1e-4)
        assert trees_of(head)[k]["split_indices"][0] in head.slices_[0]
        assert trees_of(head)[4 + k]["split_indices"][0] in head.slices_[1]


def test_stops_and_cuts_at_the_lowest_validation_loss(blobs):
    """Growing ends `early_stopping_rounds` after the lowest loss, and the kept rounds are those up to it."""
    X, y = blobs
    head = WeightNormalisedXGBClassifier(300, eta=1.0, tau=1.0, early_stopping_rounds=7, max_depth=4)
    head.fit(X[:200], y[:200], eval_set=(X[200:], y[200:]))
    losses = head.history_["validation_loss"]
    assert head.best_round_ == np.argmin(losses) + 1
    assert len(losses) == head.best_round_ + 7 < 300
    assert head.booster_.num_boosted_rounds() == head.best_round_ == len(head.history_["gain"])
    index = np.searchsorted(head.classes_, y[200:])
    kept = -np.log(head.predict_proba(X[200:])[np.arange(100), index]).mean()
    assert_allclose(kept, losses.min(), rtol=1e-5)


def test_patience_covers_every_slice(blobs):
    """With a patience shorter than the number of slices, each slice still has its turn before growing ends."""
    X, y = blobs
    head = WeightNormalisedXGBClassifier(50, eta=5.0, norm=None, n_slices=6, early_stopping_rounds=1)
    head.fit(X[:200], y[:200], eval_set=(X[200:], y[200:]))
    assert len(head.history_["norm"]) == head.best_round_ + 6


def test_progress_tells_every_round(blobs):
    """Progress counts rounds, under one name: a bar is not begun anew in each."""
    X, y = blobs
    told = []
    WeightNormalisedXGBClassifier(3, early_stopping_rounds=None).fit(X, y, progress=lambda *args: told.append(args))
    assert told == [(1, 3, "rounds"), (2, 3, "rounds"), (3, 3, "rounds")]
