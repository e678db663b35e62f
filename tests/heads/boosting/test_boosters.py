"""Slices in memory, of one booster or a new one each turn, and in pages grow the same trees."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fusionfer.heads.boosting import _boosters
from fusionfer.heads.boosting._boosters import Recipe, Rows, Slice, Turns, TurnSlice

RECIPE = Recipe(3, 0.3, "bounded", 0.1, 0.0, 1.0, None, 16, {"max_depth": 3, "max_bin": 16, "nthread": 1})


def trees(part):
    return [
        {name: values for name, values in tree.items() if name != "id"}
        for tree in part.document()["learner"]["gradient_booster"]["model"]["trees"]
    ]


@pytest.mark.parametrize("n_classes", [2, 3])
def test_all_kinds_of_slices_grow_the_same(tmp_path, monkeypatch, n_classes):
    """Outputs for rows that are grown on and judged by, and trees, are equal to the bit, turn by turn."""
    monkeypatch.setattr(_boosters, "_PAGE", 64)
    rng = np.random.default_rng(0)
    sets = [Rows(rng.integers(0, 16, (9, n), dtype=np.uint8), np.zeros(n, int), np.ones(n)) for n in (203, 67)]
    columns = np.array([1, 3, 4, 8])
    kinds = [
        Slice(columns, sets, RECIPE, n_classes, {}),
        TurnSlice(columns, sets, RECIPE, n_classes, {}),
        TurnSlice(columns, sets, RECIPE, n_classes, {}, tmp_path),
    ]
    for _ in range(3):
        shape = (203, 1 if n_classes == 2 else n_classes)
        gradient = rng.normal(size=shape).astype(np.float32)
        hessian = rng.uniform(0.1, 1, shape).astype(np.float32)
        outputs = [part.grow(gradient, hessian) for part in kinds]
        for other in outputs[1:]:
            for one, two in zip(outputs[0], other, strict=True):
                assert_array_equal(one, two)
        assert np.ptp(outputs[0][1]) > 0.1
    assert trees(kinds[0]) == trees(kinds[1]) == trees(kinds[2])
    assert trees(Turns(columns, kinds[1].turns)) == trees(kinds[0])
    assert list(tmp_path.iterdir())
    kinds[2].close()
    assert not list(tmp_path.iterdir())


def test_trees_that_are_taken_over_give_what_they_gave():
    """A slice of other rows, given the trees of one, has them among its own, and outputs for its rows."""
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 16, (5, 150), dtype=np.uint8)
    gradient, hessian = rng.normal(size=(2, 150, 3)).astype(np.float32) ** 2
    whole = TurnSlice(np.arange(5), [Rows(codes, np.zeros(150, int), np.ones(150))], RECIPE, 3, {})
    (outputs,) = whole.grow(gradient - 1, hessian + 0.1)
    half = TurnSlice(np.arange(5), [Rows(codes[:, 70:], np.zeros(80, int), np.ones(80))], RECIPE, 3, {})
    assert_array_equal(half.replay(whole.turns[0], 3)[0], outputs[70:])
    assert trees(half) == trees(whole)
