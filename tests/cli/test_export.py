"""``fusionfer export``: one ONNX file, never over another unasked, checked on pictures that one names."""

import json
import re

import pytest


@pytest.fixture(scope="module")
def model(cli, shared_cache, tmp_path_factory):
    """A model of the smaller network."""
    path = tmp_path_factory.mktemp("model") / "faces.fusionfer"
    assert cli("fit", shared_cache, "--features", "mobilenet_v2:penultimate", "--out", path, "--folds", 2).code == 0
    return path


def test_a_model_becomes_a_file(cli, model, shared_faces, tmp_path):
    """The table says what it takes and how far it is from the model; info reads it; twice needs --overwrite."""
    path = tmp_path / "faces.onnx"
    run = ("export", "--model", model, "--onnx", path, "-q")
    outcome = cli(*run)
    assert (outcome.code, outcome.err) == (0, "")
    for pattern in (r"input pictures +uint8 \(n, 32, 32, 3\), RGB", r"outputs +label, probabilities, features",
                    r"checked on +28 generated faces", r"whole chain +probabilities differ by \d\.\de-\d\d at most",
                    r"labels +0 of 28 differ"):  # fmt: skip
        assert re.search(pattern, outcome.out), outcome.out
    assert re.search(r"head +ECOCClassifier", cli("info", path).out)
    assert json.loads(cli("info", path, "--json").out)["head"] == "ECOCClassifier"
    again = cli(*run)
    assert (again.code, again.error) == (
        1, f"fusionfer: error: {path} exists. Give another --onnx, or --overwrite to replace it."
    )  # fmt: skip
    found = json.loads(cli(*run, "--overwrite", "--check-on", shared_faces / "test", "--checks", 5, "--json").out)
    assert (found["agreement"]["n"], found["checked_on"]) == (5, "given pictures")


def test_what_cannot_be(cli, model, make_cache, tmp_path):
    """Nothing to check on, a count of it, a model of features from elsewhere, no model: one line each, and no file."""
    path = tmp_path / "x.onnx"
    outcome = cli("export", "--model", model, "--onnx", path, "--checks", 5)
    assert outcome.code == 1
    assert "--checks counts the pictures of --check-on; give that too" in outcome.error
    outcome = cli("export", "--model", model, "--onnx", path, "--check-on", tmp_path / "nowhere")
    assert outcome.code == 1
    assert "There is no picture to read." in outcome.error
    assert cli("fit", make_cache(), "--out", tmp_path / "m", "--folds", 3).code == 0
    outcome = cli("export", "--model", tmp_path / "m", "--onnx", path)
    assert outcome.code == 1
    assert "was not extracted by fusionfer from pictures, so there is nothing to export" in outcome.error
    assert "There is no model" in cli("export", "--model", tmp_path / "none", "--onnx", path).error
    assert not path.exists()
