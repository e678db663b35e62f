"""predict: pictures get the labels that their cached features get, by exactly the weights of the model."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from fusionfer.backbones import get_backbone
from fusionfer.evaluation import evaluate, read_for_model
from fusionfer.exceptions import FusionferWarning, ImageError, ModelError, UnknownNameError, WeightsError
from fusionfer.extraction import extract_to_cache
from fusionfer.features import Features
from fusionfer.images import read_faces, read_pictures
from fusionfer.networks import build_module
from fusionfer.persistence import Model, load_model
from fusionfer.prediction import Predictions, predict


@pytest.fixture(scope="module")
def model(shared_model):
    return load_model(shared_model)


@pytest.fixture(scope="module")
def pictures(shared_faces):
    return read_faces(shared_faces)


def with_block(model, **changes):
    """Return `model` with its first block changed."""
    (name, block), *rest = model.blocks.items()
    key = {**block["key"], **changes.pop("key", {})}
    return replace(model, blocks={name: {**block, "key": key, **changes}, **dict(rest)})


def test_pictures_get_what_their_features_get(model, pictures, shared_cache):
    """From pictures and from the cache: equal labels, probabilities equal to rounding."""
    result = predict(pictures, model)
    stored = evaluate(read_for_model(shared_cache, model), model, "all")
    order = np.argsort(stored.ids)
    assert np.array_equal(np.sort(result.ids), stored.ids[order])
    proba = result.proba[np.argsort(result.ids)]
    assert np.allclose(proba, stored.proba[order], atol=1e-4)
    assert np.mean(result.labels[np.argsort(result.ids)] == stored.y_pred[order]) > 0.95  # ties may fall otherwise
    assert result.classes == model.classes
    assert np.allclose(result.proba.sum(axis=1), 1.0)


def test_two_sets_of_weights_of_one_backbone_are_not_mixed_up(pictures, tmp_path):
    """A hybrid of one backbone with two sets of weights, and one of two input sizes, predict what was trained."""
    few = pictures.take(np.arange(min(len(pictures), 40)))
    options = {"cache": tmp_path, "weights": "none", "device": "cpu"}
    extract_to_cache(few, "mobilenet_v2", size=32, seed=1, **options)
    extract_to_cache(few, "mobilenet_v2", size=32, seed=2, **options)
    extract_to_cache(few, "mobilenet_v2", size=40, seed=2, **options)
    features = Features.read(
        tmp_path, {path.stem: f"mobilenet_v2:penultimate@{path.stem[-8:]}" for path in tmp_path.glob("*.h5")}
    )
    head = LogisticRegression(max_iter=1000).fit(features.X, features.y)
    blocks = {name: features.block_record(name) for name in features.blocks}
    model = Model(head, blocks, tuple(head.classes_))
    result = predict(few, model)
    assert result.ids.tolist() == features.ids.tolist()
    assert np.allclose(result.proba, head.predict_proba(features.X), atol=1e-4)


@pytest.mark.parametrize("what", ["bf16", "small stem", "small stem in a file"])
def test_networks_are_built_as_they_were(pictures, tmp_path, what):
    """Precision, the stem of random weights, and that of a plain file of weights are those of the features."""
    few = pictures.take(np.arange(40))
    backbone = replace(get_backbone("resnet34"), stem="small") if "stem" in what else "resnet34"
    weights = "none"
    if "file" in what:
        weights = tmp_path / "plain.pth"
        torch.save(build_module("resnet34", stem="small", seed=5).state_dict(), weights)
    precision = "bf16" if what == "bf16" else "float32"
    cache = tmp_path / "cache"
    extract_to_cache(few, backbone, size=32, seed=1, cache=cache, weights=weights, device="cpu", precision=precision)
    features = Features.read(cache)
    head = LogisticRegression(max_iter=1000).fit(features.X, features.y)
    model = Model(head, {name: features.block_record(name) for name in features.blocks}, tuple(head.classes_))
    result = predict(few, model, device="cpu")
    expected = head.predict_proba(features.X)[[features.ids.tolist().index(one) for one in result.ids]]
    assert np.allclose(result.proba, expected, atol=1e-4)


def test_the_batch_size_changes_rounding_only(model, pictures):
    """One picture at a time gives what many give."""
    few = pictures.take(np.arange(6))
    one, many = predict(few, model, batch_size=1), predict(few, model, batch_size=32)
    assert np.allclose(one.proba, many.proba, atol=1e-4)


def test_labels_of_the_pictures_play_no_part(model, pictures):
    """Without labels, splits and groups the result is the same."""
    few = pictures.take(np.arange(6))
    bare = replace(few, labels=None, splits=None, groups=None)
    assert np.array_equal(predict(few, model).proba, predict(bare, model).proba)


def test_bad_pictures_are_listed(model, faces):
    """They have no row; the rest keeps its order; with on_error="fail" the first is an error."""
    bad = faces / "test" / "sad" / "aa.png"
    bad.write_bytes(b"")
    found = read_pictures([faces / "test" / "sad"])
    result = predict(found, model)
    assert [name for name, _ in result.skipped] == [str(bad)]
    assert result.ids.tolist() == [i for i in found.ids if i != str(bad)]
    with pytest.raises(ImageError, match=r"aa\.png: The file is empty \(0 bytes\)\. Mend or remove it"):
        predict(found, model, on_error="fail")


def test_nothing_but_bad_pictures(model, tmp_path):
    """No row, with the columns of the classes all the same."""
    (tmp_path / "a.png").write_bytes(b"")
    result = predict(read_pictures([tmp_path / "a.png"]), model)
    assert (len(result.ids), len(result.labels), result.proba.shape) == (0, 0, (0, 7))
    assert len(result.skipped) == 1


def test_table_and_dict():
    """Digits are as asked for; a head without probabilities has two columns."""
    ids, labels = np.array(["a", "b"]), np.array(["x", "y"])
    proba = np.array([[0.12345, 0.87655], [1.0, 0.0]])
    result = Predictions(ids, labels, proba, ("x", "y"), (("c", "bad"),))
    assert result.table(2) == (["image", "label", "x", "y"], [["a", "x", "0.12", "0.88"], ["b", "y", "1.00", "0.00"]])
    assert result.to_dict() == {
        "classes": ["x", "y"],
        "predictions": [
            {"image": "a", "label": "x", "probabilities": {"x": 0.12345, "y": 0.87655}},
            {"image": "b", "label": "y", "probabilities": {"x": 1.0, "y": 0.0}},
        ],
        "skipped": [{"image": "c", "reason": "bad"}],
    }
    assert Predictions(ids, labels, None, ("x", "y"), ()).table() == (["image", "label"], [["a", "x"], ["b", "y"]])


def test_random_weights_of_another_library_version(model, pictures):
    """Weights that are rebuilt from a seed are checked by hash, and refused where they come out otherwise."""
    other = with_block(model, key={"weights_sha256": "0" * 64})
    with pytest.raises(WeightsError, match=r"the model was trained on features of none \(SHA-256 000000000000\)"):
        predict(pictures.take([0]), other)


def test_another_preprocessing_is_refused(model, pictures):
    """What decides a feature must be the same here; the field is named with both values."""
    with pytest.raises(ModelError, match=r"cannot be computed here as it was for the model \(rules: model 999, here"):
        predict(pictures.take([0]), with_block(model, key={"rules": 999}))


def test_another_decoder_is_a_warning(model, pictures):
    """Another release of the decoder may differ in single grey values: said, not refused."""
    with pytest.warns(FusionferWarning, match="Pictures are decoded by .* here, by opencv 1 for the model's features"):
        predict(pictures.take([0]), with_block(model, key={"decoder": "opencv 1"}))


def test_a_network_of_ones_own_cannot_be_rebuilt(model, pictures):
    """A module that the user brought is not in the model; the message says what to do."""
    with pytest.raises(ModelError, match=r"not extracted by fusionfer from one of its own backbones.*model\.predict"):
        predict(pictures.take([0]), with_block(model, backbone="mine"))


def test_weights_for_another_backbone_are_refused(model, pictures):
    """A mapping with a name that the model does not know is a slip."""
    with pytest.raises(UnknownNameError, match="Unknown backbone of the model 'vgg16'"):
        predict(pictures.take([0]), model, weights={"vgg16": "w.pth"})


def test_progress_counts_pictures(model, pictures):
    """The bar ends full."""
    calls = []
    predict(pictures.take(np.arange(40)), model, progress=lambda *call: calls.append(call))
    assert calls[-1][0] == calls[-1][1] == 40
