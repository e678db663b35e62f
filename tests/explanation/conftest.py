"""A hybrid of two networks with a linear head, and one whose head sees no more than one number."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fusionfer.features import Features
from fusionfer.images import read_faces
from fusionfer.persistence import Model
from fusionfer.prediction import Classifier


@pytest.fixture(scope="session")
def face_set(shared_faces):
    return read_faces(shared_faces)


@pytest.fixture(scope="session")
def hybrid(shared_cache):
    """Resnet34 and mobilenet_v2, both, whatever a selection would keep."""
    features = Features.read(shared_cache)
    train = features.splits == "train"
    head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200, C=0.1))
    head.fit(np.asarray(features.X)[train], features.y[train])
    blocks = {}
    for name, columns in features.blocks.items():
        backbone, level = name.split(":")
        blocks[name] = {"backbone": backbone, "level": level, "dim": columns.stop - columns.start,
                        **features.provenance[name]}  # fmt: skip
    return Model(head, blocks, tuple(head.classes_))


@pytest.fixture(scope="session")
def classifier(hybrid):
    with Classifier(hybrid, device="cpu", batch_size=16) as loaded:
        yield loaded
