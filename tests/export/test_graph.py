"""Graphs: written like NumPy, they compute what NumPy does."""

import numpy as np

from fusionfer.export._graph import Graph


def test_operators_are_numpys(run):
    """Arithmetic, sums, reductions, axes, comparison and casts, in float64."""
    rng = np.random.default_rng(0)
    x, m = rng.normal(size=(4, 3)), rng.normal(size=(3, 5))
    graph = Graph()
    X = graph.input("x", np.float64, ["n", 3])
    outputs = {
        "sums": (1.0 - X * 2.0 / (X + 4.0) - -X, ["n", 3]),
        "product": ((X @ m).max(1, keepdims=True), ["n", 1]),
        "total": (X.sum(0, 1), []),
        "best": (X.argmax(1), ["n"]),
        "both": (((X > 0.0) & (X < 1.0)).cast(np.int64), ["n", 3]),
        "third": (X.take(2, 1), ["n"]),
        "outer": (X.insert_axis(2) * X.insert_axis(1), ["n", 3, 3]),
        "chosen": (graph.where(X > 0.0, X, 0.0).cast(np.float32), ["n", 3]),
        "shares": (graph.softmax(X), ["n", 3]),
    }
    found = run(graph, outputs, {"x": x})
    expected = {
        "sums": 1 - x * 2 / (x + 4) + x,
        "product": (x @ m).max(axis=1, keepdims=True),
        "total": x.sum(),
        "best": x.argmax(axis=1),
        "both": ((x > 0) & (x < 1)).astype(int),
        "third": x[:, 2],
        "outer": x[:, :, None] * x[:, None, :],
        "chosen": np.maximum(x, 0).astype(np.float32),
        "shares": np.exp(x) / np.exp(x).sum(axis=1, keepdims=True),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-12, err_msg=name)
        assert found[name].dtype == values.dtype


def test_of_equals_the_first_is_the_largest(run):
    """As NumPy's argmax, by which ties between classes are broken."""
    graph = Graph()
    X = graph.input("x", np.float64, ["n", 3])
    found = run(graph, {"best": (X.argmax(1), ["n"])}, {"x": np.array([[1.0, 1.0, 0.0], [0.0, 2.0, 2.0]])})
    assert found["best"].tolist() == [0, 1]


def test_a_loop_ends_when_its_body_says_so(run):
    """Doubling goes on below 100, and at most as often as stated."""
    for most, expected in [(50, [128.0, 96.0]), (3, [8.0, 6.0])]:
        graph = Graph()
        X = graph.input("x", np.float64, ["n"])
        (doubled,) = graph.loop(most, graph.constant(True), [X], lambda inner, x: ((x * 2.0).max(0) < 100.0, x * 2.0))
        assert run(graph, {"y": (doubled, ["n"])}, {"x": np.array([1.0, 0.75])})["y"].tolist() == expected


def test_equal_constants_are_kept_once():
    """The same array in two places takes the room of one, also from within a loop; another dtype is another."""
    graph = Graph()
    first = graph.constant(np.ones(3))
    assert Graph(graph).constant(np.ones(3)).name == first.name
    assert graph.constant(np.ones(3, np.float32)).name != first.name
    assert graph.constant(np.array(["a"])).name != graph.constant(np.array(["b"])).name
