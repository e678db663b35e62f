"""Search: the best point of each candidate on the same folds, ties to the first, and errors that name the mistake."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fusionfer import heads
from fusionfer.exceptions import DataError, UnknownNameError
from fusionfer.fusion import BlockScaler
from fusionfer.heads import HEADS, Head, make_head
from fusionfer.selection import HybridSelector
from fusionfer.selection._search import listed_search, search_points

BLOCKS = {"a": slice(0, 4), "b": slice(4, 10)}
FOLDS = StratifiedKFold(3, shuffle=True, random_state=0)


@pytest.fixture(scope="module")
def data():
    """Four classes; each block knows half, under much noise."""
    rng = np.random.default_rng(0)
    y = np.arange(160) % 4
    X = rng.normal(size=(160, 10))
    X[:, 0] += 1.2 * (y // 2)
    X[:, 4] += 1.2 * (y % 2)
    return X, y


def test_equals_grid_search(data):
    """Each candidate gets the point, and the scores, that scikit-learn's GridSearchCV finds on the same folds."""
    X, y = data
    grid = {"C": [1e-4, 1e-2, 1.0, 100.0], "class_weight": [None, "balanced"]}
    selector = HybridSelector(LogisticRegression(), BLOCKS, cv=3, search=grid).fit(X, y)
    chosen = []
    for name, columns, blocks in [("a", BLOCKS["a"], None), ("b", BLOCKS["b"], None), ("a + b", slice(0, 10), BLOCKS)]:
        pipeline = make_pipeline(BlockScaler(blocks), LogisticRegression())
        theirs = GridSearchCV(pipeline, {f"logisticregression__{key}": value for key, value in grid.items()}, cv=FOLDS)
        theirs.fit(X[:, columns], y)
        assert {f"logisticregression__{key}": value for key, value in selector.best_params_[name].items()} == (
            theirs.best_params_
        )
        results = [theirs.cv_results_[f"split{fold}_test_score"] for fold in range(3)]
        assert_array_equal(selector.search_results_[name], np.transpose(results))
        assert_array_equal(selector.scores_[name], np.transpose(results)[theirs.best_index_])
        chosen.append(theirs.best_params_["logisticregression__C"])
    assert len(set(chosen)) > 1  # each candidate has its own
    assert [point["C"] for point in selector.search_points_[::2]] == grid["C"]


def test_the_winner_is_refitted_with_its_point(data):
    """The refitted head has the winner's parameters, and the sentence names those of all candidates."""
    X, y = data
    selector = HybridSelector(LogisticRegression(), BLOCKS, cv=3, search={"C": [0.01, 10.0]}).fit(X, y)
    best, means = {name: params["C"] for name, params in selector.best_params_.items()}, selector.mean_scores_
    assert selector.selected_ == "a + b"
    assert best["a + b"] == selector.estimator_["head"].C
    assert selector.reason_ == (
        f"Kept a + b with C={best['a + b']}: mean accuracy {means['a + b']:.3f} over 3 folds beats "
        f"a ({means['a']:.3f}, C={best['a']}) and b ({means['b']:.3f}, C={best['b']}) by more than 0."
    )
    kept = HybridSelector(LogisticRegression(), BLOCKS, cv=3, search={"C": [0.01, 10.0]}, min_gain=0.9).fit(X, y)
    other = "b" if kept.selected_ == "a" else "a"
    assert kept.reason_.startswith(f"Kept {kept.selected_} with C={best[kept.selected_]}: mean accuracy ")
    assert f"{other} reaches {means[other]:.3f} (C={best[other]})" in kept.reason_


def test_ties_go_to_the_first_listed(data):
    """Of equal points that which is listed first, in whatever order they are listed."""
    X, y = data
    for values in ([1, 0, 2], [2, 1, 0]):
        head = DummyClassifier(strategy="constant", constant=3)
        selector = HybridSelector(head, BLOCKS, cv=2, search={"constant": values}).fit(X, y)
        assert selector.best_params_ == {name: {"constant": values[0]} for name in ("a", "b", "a + b")}


def test_without_a_search_there_is_one_empty_point(data):
    """The attributes are there, and say that nothing was tried."""
    X, y = data
    selector = HybridSelector(LogisticRegression(), BLOCKS, cv=2).fit(X, y)
    assert selector.search_points_ == [{}]
    assert selector.best_params_ == {"a": {}, "b": {}, "a + b": {}}
    for name, scores in selector.scores_.items():
        assert_array_equal(selector.search_results_[name], [scores])


def test_threads_change_nothing(data):
    """Same points, same scores."""
    X, y = data
    one, two = (
        HybridSelector(LogisticRegression(), BLOCKS, cv=3, search={"C": [0.01, 1.0]}, n_jobs=n).fit(X, y)
        for n in (None, 2)
    )
    assert one.best_params_ == two.best_params_
    assert_array_equal(one.search_results_["a"], two.search_results_["a"])


def test_points_of_several_grids():
    """Grids follow each other, the last parameter varies fastest, and numpy's numbers become Python's."""
    points = search_points(
        [{"C": np.array([0.5, 2.0]), "penalty": ("l2", None)}, {"tol": [1e-3]}], LogisticRegression()
    )
    assert points == [
        {"C": 0.5, "penalty": "l2"},
        {"C": 0.5, "penalty": None},
        {"C": 2.0, "penalty": "l2"},
        {"C": 2.0, "penalty": None},
        {"tol": 1e-3},
    ]
    assert type(points[0]["C"]) is float
    nested = make_pipeline(StandardScaler(), LogisticRegression())
    assert search_points({"logisticregression__C": [1.0]}, nested) == [{"logisticregression__C": 1.0}]


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ("best", r"search must be 'default', a dict of lists of values, or a list of such dicts, got 'best'"),
        ({}, r"search must be 'default', a dict of lists .*, got \{\}"),
        ([], r"search must be 'default', a dict of lists .*, got \[\]"),
        ([{"C": [1]}, 3], r"search must be 'default', a dict of lists "),
        ({"C": 1.0}, r"search must give a list of values for C, got 1\.0"),
        ({"C": "auto"}, r"search must give a list of values for C, got 'auto'"),
        ({"C": []}, r"search must give a list of values for C, got \[\]"),
        ("default", r"LogisticRegression has no listed search; give one, as search=\{'parameter': \[values\]\}"),
    ],
)
def test_what_is_no_search(data, search, message):
    """Said before any fit: what is allowed and what came."""
    with pytest.raises(DataError, match=message):
        HybridSelector(LogisticRegression(), search=search).fit(*data)


def test_an_unknown_parameter(data):
    """The known ones and the closest match."""
    with pytest.raises(UnknownNameError, match=r"^Unknown parameter of LogisticRegression: 'maxiter'.*'max_iter'\?$"):
        HybridSelector(LogisticRegression(), search={"maxiter": [1]}).fit(*data)


def test_the_listed_search(data, monkeypatch):
    """\"default\" is what HEADS lists, for a head by name and for one that was made, and for no other class."""
    entry = Head("lr", "a line", "sklearn.linear_model:LogisticRegression", search={"C": [0.1, 1.0]})
    monkeypatch.setitem(HEADS, "lr", entry)
    X, y = data
    for head in ("lr", LogisticRegression(max_iter=50)):
        selector = HybridSelector(head, cv=2, search="default").fit(X, y)
        assert selector.search_points_ == [{"C": 0.1}, {"C": 1.0}]
    twin = type("LogisticRegression", (DummyClassifier,), {})
    assert listed_search(twin()) == {}


@pytest.mark.parametrize("name", [name for name, head in heads.HEADS.items() if head.search])
def test_every_listed_search_names_parameters_of_its_head(name):
    """And its values can be set; a typing error in the list would show here."""
    head = make_head(name)
    for point in search_points("default", head):
        head.set_params(**point)
