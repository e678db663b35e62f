"""Coupling in ONNX operators: what the Python head computes, whatever the coding."""

import numpy as np
import pytest

from fusionfer.export._coupling import couple
from fusionfer.export._graph import Graph
from fusionfer.heads.ecoc import _coding
from fusionfer.heads.ecoc._coupling import couple as python_couple


@pytest.mark.parametrize("coding", ["onevsall", "onevsone", "ordinal", "binarycomplete", "ternarycomplete"])
@pytest.mark.parametrize("n_classes", [3, 5])
def test_the_minimum_is_the_heads(run, coding, n_classes):
    """Random, extreme, saturated and contradictory posteriors: within 1e-7 of the Python iteration."""
    code = _coding.coding_matrix(coding, n_classes)
    rng = np.random.default_rng(0)
    L = code.shape[1]
    edges = rng.choice([0.0, 1e-9, 0.5, 1 - 1e-9, 1.0], (20, L))
    r = np.concatenate([rng.uniform(size=(20, L)), edges, np.zeros((1, L)), np.ones((1, L))])
    weight = rng.uniform(0.5, 20.0, L)
    graph = Graph()
    posteriors = graph.input("r", np.float64, ["n", L])
    p = couple(graph, posteriors, code, weight)
    found = run(graph, {"p": (p, ["n", n_classes])}, {"r": r})["p"]
    np.testing.assert_allclose(found, python_couple(r, code, weight), atol=1e-7)


def test_posteriors_that_agree_come_back(run):
    """One against all with posteriors that sum to 1: they are the probabilities."""
    code = 2 * np.eye(3) - 1
    graph = Graph()
    p = couple(graph, graph.input("r", np.float64, ["n", 3]), code, np.ones(3))
    found = run(graph, {"p": (p, ["n", 3])}, {"r": np.array([[0.7, 0.2, 0.1]])})["p"]
    np.testing.assert_allclose(found, [[0.7, 0.2, 0.1]], atol=1e-8)
