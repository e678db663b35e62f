"""The head xgb-wn: what its switches do."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fusionfer.exceptions import DataError, UnknownNameError
from fusionfer.heads.boosting import WeightNormalisedXGBClassifier as Head


@pytest.fixture(scope="module")
def noisy():
    """Return rows to grow on and to judge by, of three classes that no classifier tells apart without errors."""
    rng = np.random.default_rng(5)
    y = rng.integers(0, 3, 500)
    X = rng.normal(size=(500, 20)).astype(np.float32)
    X[:, :6] += 0.6 * np.eye(3, 6)[y]
    return X[:250], y[:250], (X[250:], y[250:])


def lowest(X, y, held, **params):
    head = Head(60, early_stopping_rounds=60, max_depth=4, reg_lambda=0.0, **params).fit(X, y, eval_set=held)
    return head.history_["validation_loss"].min()


@pytest.mark.parametrize("norm", ["bounded", "damped"])
def test_norms_make_high_rates_harmless(noisy, norm):
    """At eta 1 the best validation loss with a norm is lower than without."""
    assert lowest(*noisy, eta=1.0, norm=norm) < lowest(*noisy, eta=1.0, norm=None) - 0.01


def test_bounded_steps_hardly_depend_on_eta(noisy):
    """From eta 0.1 to 1 the best loss varies less than half as much with the bound as without."""
    spread = {}
    for norm in ("bounded", None):
        losses = [lowest(*noisy, eta=eta, norm=norm) for eta in (0.1, 0.3, 1.0)]
        spread[norm] = max(losses) - min(losses)
    assert spread["bounded"] < 0.5 * spread[None]


def test_a_wide_bound_is_no_bound(noisy):
    """tau far above any norm gives the trees of norm=None."""
    X, y, held = noisy
    wide, none = (
        Head(5, **params).fit(X, y, eval_set=held).predict_proba(X) for params in ({"tau": 1e9}, {"norm": None})
    )
    np.testing.assert_allclose(wide, none, atol=1e-6)


def test_shares_of_blocks(noisy):
    """Proportional slices hold a narrow block's columns once, equal ones in all, and the block gains importance."""
    X, y, held = noisy
    blocks = {"a": slice(0, 5), "b": slice(5, 20)}
    proportional = Head(6, n_slices=3, blocks=blocks).fit(X, y, eval_set=held)
    equal = Head(6, n_slices=3, blocks=blocks, shares="equal").fit(X, y, eval_set=held)
    assert sorted(np.concatenate(proportional.slices_)) == list(range(20))
    assert [int(np.sum(part < 5)) for part in equal.slices_] == [5, 5, 5]
    importance = [head.block_importances(blocks)["a"] for head in (proportional, equal)]
    assert importance[1] > importance[0]


def test_threads_do_not_change_the_model(noisy):
    """One and two threads grow the same small forest."""
    X, y, held = noisy
    one, two = (Head(5, n_jobs=n).fit(X, y, eval_set=held).predict_proba(X) for n in (1, 2))
    np.testing.assert_allclose(one, two, atol=1e-6)


def test_history_has_every_round(noisy):
    """Sums, norms, steps, gains and losses stand there for each round, and the training loss falls."""
    X, y, held = noisy
    history = Head(10).fit(X, y, eval_set=held).history_
    assert {name: values.shape for name, values in history.items() if name != "gain"} == {
        **dict.fromkeys(("S", "V", "norm", "step"), (10, 3)),
        **dict.fromkeys(("train_loss", "validation_loss"), (10,)),
    }
    assert np.all(np.diff(history["train_loss"]) < 0)
    sizes = history["norm"] * history["step"]
    assert np.all(sizes < 0.3 * 0.05 + 0.4 / 10 + 1e-9)
    short = Head(10, lead=0).fit(X, y, eval_set=held).history_
    assert np.all(short["norm"] * short["step"] < 0.3 * 0.05 + 1e-9)
    assert history["train_loss"][-1] < short["train_loss"][-1]


@pytest.mark.parametrize(
    ("params", "error", "text"),
    [
        ({"norm": "bound"}, UnknownNameError, "Unknown norm 'bound'. .*Did you mean 'bounded'"),
        ({"shares": "eqal"}, UnknownNameError, "Did you mean 'equal'"),
        ({"hessian": "exakt"}, UnknownNameError, "Did you mean 'exact'"),
        ({"n_slices": 0}, DataError, 'n_slices must be "auto" or a whole number of at least 1, got 0'),
        ({"n_slices": "all"}, DataError, "n_slices must be"),
        ({"max_bin": 257}, DataError, "max_bin must be a whole number from 2 to 256, got 257"),
        ({"n_jobs": "2"}, DataError, "n_jobs must be None or a whole number but 0"),
        ({"n_jobs": 0}, DataError, "n_jobs must be None or a whole number but 0"),
        ({"lead": -1}, DataError, "lead must be a finite number of at least 0, got -1"),
        ({"tau": 0}, DataError, "tau must be a finite number above 0, got 0"),
        ({"blocks": {"a": slice(0, 5)}}, DataError, "blocks must be all of the 20 columns, without gap or overlap"),
        ({"blocks": {"a": slice(0, 12), "b": slice(10, 20)}}, DataError, "without gap or overlap"),
        ({"blocks": {}}, DataError, "without gap or overlap"),
        ({"blocks": {"a": slice(0, 20, 2)}}, DataError, "without gap or overlap"),
        ({"blocks": 3}, DataError, "blocks must be a dict of name -> slice of columns, got 3"),
        ({"blocks": {"a": 3}}, DataError, "blocks must be a dict of name -> slice"),
    ],
)
def test_wrong_parameters(noisy, params, error, text):
    """Parameters of this head alone are explained too."""
    with pytest.raises(error, match=text):
        Head(**params).fit(*noisy[:2])


def test_memory_maps_are_read_as_they_are(noisy, tmp_path):
    """A read-only map gives the same model as the array."""
    X, y, held = noisy
    np.save(tmp_path / "x.npy", X)
    mapped = Head(4).fit(np.load(tmp_path / "x.npy", mmap_mode="r"), y, eval_set=held)
    assert_array_equal(mapped.model_json_, Head(4).fit(X, y, eval_set=held).model_json_)
