"""Small models on one small network, and a way to run what a head's graph says."""

import numpy as np
import onnx
import onnxruntime
import pytest

from fusionfer.export._estimators import decide
from fusionfer.export._graph import Graph
from fusionfer.features import Features
from fusionfer.fitting import fit
from fusionfer.persistence import load_model, save_model

K = 5


@pytest.fixture(scope="session")
def fitted(shared_cache, tmp_path_factory):
    """Return a function that fits a head to the MobileNetV2 block of the shared faces, and saves and loads it."""
    features = Features.read(shared_cache).only("mobilenet_v2:penultimate")
    folder = tmp_path_factory.mktemp("fitted")
    made = {}

    def make(head="ecoc", **params):
        if head not in made:
            model = fit(features, head, cv=2, params=params).model
            made[head] = load_model(save_model(model, folder / f"{head}.fusionfer"))
        return made[head]

    return make


@pytest.fixture(scope="session")
def rows():
    """Train and test rows of five classes: (X, y, T), float32."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, K, 240)
    X = (1.5 * rng.normal(size=(240, 20)) + 2 * np.eye(K, 20)[y]).astype(np.float32)
    return X, np.array(list("abcde"))[y], (3 * rng.normal(size=(150, 20))).astype(np.float32)


@pytest.fixture(scope="session")
def run():
    """Return a function that runs a graph of given outputs by ONNX Runtime, after ONNX's own check."""

    def run(graph, outputs, given):
        model = graph.model({name: (value, shape) for name, (value, shape) in outputs.items()}, what="test")
        onnx.checker.check_model(model, full_check=True)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        return dict(zip(outputs, session.run(None, given), strict=True))

    return run


@pytest.fixture(scope="session")
def decided(run):
    """Return a function that runs a fitted estimator's graph on rows."""

    def decided(estimator, T):
        graph = Graph()
        X = graph.input("features", np.float32, ["n", T.shape[1]])
        return run(graph, decide(graph, estimator, tuple(map(str, estimator.classes_)), X), {"features": T})

    return decided
