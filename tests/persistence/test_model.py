"""A model knows what it expects and refuses the rest."""

import re
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, RidgeClassifier

from fusionfer.exceptions import ModelError


def test_predictions_are_the_estimators(make_model, data):
    """Labels and probabilities come unchanged from the estimator."""
    model = make_model()
    np.testing.assert_array_equal(model.predict(data[0]), model.estimator.predict(data[0]))
    np.testing.assert_array_equal(model.predict_proba(data[0]), model.estimator.predict_proba(data[0]))
    assert model.predict(data[0]).dtype.kind == "U"


@pytest.mark.parametrize("shape", [(4, 4), (5,)])
def test_other_columns_are_refused(make_model, shape):
    """An array of another width is refused with the columns that each block needs."""
    text = f"expects 5 columns (resnet34:logits: 2, resnet50:logits: 3), not an array of shape {shape}"
    with pytest.raises(ModelError, match=re.escape(text)):
        make_model().predict(np.zeros(shape))


def test_no_probabilities(make_model, data):
    """A head without predict_proba says so by name."""
    with pytest.raises(ModelError, match="The head RidgeClassifier gives no probabilities"):
        make_model(RidgeClassifier()).predict_proba(data[0])


def test_require_accepts_the_same_features(make_model):
    """Equal keys pass, whatever the record says and whatever else is offered."""
    model = make_model()
    offered = {name: {"key": entry["key"], "record": {"path": "elsewhere"}} for name, entry in model.blocks.items()}
    assert model.require({**offered, "vgg16:logits": {"key": {}}}) is None


def test_require_lists_every_difference(make_model):
    """Missing blocks and every field that differs are named with both values, in one error."""
    key = {"weights_sha256": "cc", "preprocess": {"size": 224, "pad": 1}, "decoder": "opencv"}
    with pytest.raises(ModelError) as caught:
        make_model().require({"resnet34:logits": {"key": key}})
    text = str(caught.value)
    assert "resnet34:logits: preprocess.size is 48 in the model, 224 in the features" in text
    assert "resnet34:logits: weights_sha256 is 'aa' in the model, 'cc' in the features" in text
    assert "resnet34:logits: decoder is 'absent' in the model, 'opencv' in the features" in text
    assert "resnet50:logits is missing (there is: resnet34:logits)" in text
    assert "preprocess.pad" not in text


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"classes": ("anger", "joy", "fear")},
            "The estimator knows the classes anger, fear, joy; stated are anger, joy",
        ),
        ({"blocks": {}}, "was fitted on 5 columns; the blocks have 0 (none)"),
        ({"blocks": {"a:b": {"dim": 5}}}, "Block 'a:b' of a model needs backbone, level, dim"),
        ({"training": {"head": {"kernel": len}}}, "training.head.kernel of a model holds a builtin_function_or_method"),
    ],
)
def test_contradictions_are_refused(make_model, changes, text):
    """A model whose parts do not fit each other cannot be made."""
    with pytest.raises(ModelError, match=re.escape(text)):
        make_model(**changes)


def test_unfitted_estimators_are_refused(make_model):
    """An estimator that was never fitted makes no model."""
    with pytest.raises(ModelError, match="LogisticRegression is no fitted classifier: it lacks classes_"):
        replace(make_model(), estimator=LogisticRegression())


def test_numpy_values_become_plain(make_model):
    """Fold scores as arrays, NumPy numbers, tuples and NaN become what JSON knows."""
    model = make_model(selection={"scores": {"a": np.array([0.5, np.nan])}, "n": np.int64(3), "pair": (1, "b")})
    assert model.selection == {"scores": {"a": [0.5, None]}, "n": 3, "pair": [1, "b"]}


def test_no_bundled_weights(make_model, tmp_path):
    """A model that brings no weights along says None, so that they are looked for elsewhere."""
    assert make_model().extract_weights("ff", tmp_path) is None
