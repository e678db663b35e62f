"""One file from pictures to labels: it says what the model says, whole or not at all, with the same bytes again."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from sklearn.linear_model import LogisticRegression

from fusionfer.backbones import get_backbone
from fusionfer.exceptions import DataError, ModelError
from fusionfer.export import CHAIN_BOUND, _export, export_onnx
from fusionfer.export._metadata import describe
from fusionfer.export._pictures import find_inputs
from fusionfer.faces import FacePreparation, prepare_faces
from fusionfer.images import generate_faces
from fusionfer.inspection import inspect
from fusionfer.networks import ENGINE_BOUND
from fusionfer.persistence import Model
from fusionfer.prediction import Classifier, predict

PAGE = Path(__file__).parents[2] / "docs" / "export.md"


@pytest.fixture(scope="module")
def exported(fitted, tmp_path_factory):
    """The ECOC model as a file: (Export, model)."""
    return export_onnx(fitted(), tmp_path_factory.mktemp("onnx") / "faces.onnx"), fitted()


@pytest.fixture(scope="module")
def session(exported):
    return onnxruntime.InferenceSession(exported[0].path, providers=["CPUExecutionProvider"])


def test_labels_and_probabilities_are_those_of_predict(exported, session):
    """Pictures of the network's size through the file, and through predict, in batches of any length."""
    model = exported[1]
    faces = generate_faces(n_identities=3, takes=1, size=32, seed=5)
    expected = predict(faces, model)
    pixels = np.stack([faces.load(i)[0] for i in range(len(faces))])
    for rows in (slice(0, 1), slice(0, 21)):
        label, proba, features = session.run(None, {"pictures": pixels[rows]})
        assert label.tolist() == expected.labels[rows].tolist()
        np.testing.assert_allclose(proba, expected.proba[rows], atol=CHAIN_BOUND)
        assert features.shape == (len(label), model.n_columns)


def test_the_result_says_how_it_was_checked(exported):
    """Inputs, classes, head, and small differences on generated faces; as a table and as JSON."""
    found, model = exported
    assert found.inputs == {"pictures": 32}
    assert (found.classes, found.head, found.checked_on) == (model.classes, "ECOCClassifier", "generated faces")
    assert found.agreement.n == 28
    assert found.bytes == found.path.stat().st_size
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert told["agreement"]["chain"] == found.agreement.chain <= CHAIN_BOUND
    text = "\n".join(" ".join(row) for row in found.table()[1])
    assert "input pictures uint8 (n, 32, 32, 3), RGB" in text
    assert "checked on 28 generated faces" in text
    assert "moved" not in text


def test_metadata(exported, session):
    """Classes, inputs, weights and origin are in the file, but no path; info shows them without onnx."""
    found, model = exported
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["classes"]) == list(model.classes)
    given = json.loads(about["inputs"])["pictures"]
    assert (given["dtype"], given["shape"]) == ("uint8", ["n", 32, 32, 3])
    (block,) = json.loads(about["blocks"])
    key = model.blocks["mobilenet_v2:penultimate"]["key"]
    assert block["weights"]["sha256"] == key["weights_sha256"]
    assert (block["mean"], block["std"]) == (key["preprocess"]["mean"], key["preprocess"]["std"])
    assert json.loads(about["model"])["created"] == model.created
    assert str(model.path.parent) not in json.dumps(about)
    shown = inspect(found.path)
    assert (shown.kind, shown.intact) == ("onnx", True)
    assert shown.data["blocks"] == [block]
    assert shown.data["classes"] == list(model.classes)


def test_the_same_bytes_again(exported, tmp_path):
    """Equal models give equal files."""
    found, model = exported
    again = export_onnx(model, tmp_path / "new" / "again.onnx")
    assert again.path.read_bytes() == found.path.read_bytes()
    assert [path.name for path in again.path.parent.iterdir()] == ["again.onnx"]


def test_boosted_trees_from_pictures_on(fitted, tmp_path):
    """Moved faces are counted, and every one has a split to its name."""
    model = fitted("xgb-wn", n_rounds=15)
    found = export_onnx(model, tmp_path / "trees.onnx", faces=generate_faces(n_identities=3, takes=1, size=40, seed=3))
    assert found.checked_on == "given pictures"
    assert found.agreement.unexplained == 0
    assert found.agreement.n == 21
    assert "crossed a threshold" in "\n".join(" ".join(row) for row in found.table()[1])


def test_networks_of_two_sizes_have_an_input_each(exported, tmp_path):
    """One backbone at 32 pixels, at two levels, and at 40: two inputs, each resized from the same face, grey too."""
    model = exported[1]
    block = model.blocks["mobilenet_v2:penultimate"]
    larger = {**block, "key": {**block["key"], "preprocess": {**block["key"]["preprocess"], "size": 40}}}
    nodes = [*get_backbone("mobilenet_v2").level("logits").nodes]
    deeper = {**block, "level": "logits", "dim": 1000}
    deeper["key"] = {**block["key"], "level": "logits", "dim": 1000, "nodes": nodes}
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 2 * block["dim"] + 1000)).astype(np.float32)
    head = LogisticRegression().fit(X, list("abc") * 10)
    both = Model(head, {"small": block, "large": larger, "deep": deeper}, ("a", "b", "c"))
    found = export_onnx(both, tmp_path / "two.onnx")
    assert found.inputs == {"pictures_32": 32, "pictures_40": 40}
    face = generate_faces(n_identities=2, takes=1, size=64).load(0)[0]
    faces = [face, face[..., 1]]
    given = {f"pictures_{side}": [cv2.resize(one, (side, side), interpolation=cv2.INTER_AREA) for one in faces]
             for side in (32, 40)}  # fmt: skip
    given = {name: np.stack([one, np.stack([grey] * 3, axis=2)]) for name, (one, grey) in given.items()}
    session = onnxruntime.InferenceSession(found.path)
    proba, features = session.run(["probabilities", "features"], given)
    with Classifier(both, device="cpu", batch_size=2) as classifier:
        np.testing.assert_allclose(proba, classifier.predict_proba(faces), atol=1e-4)
        expected = classifier.features(faces)
    for columns in classifier.columns.values():
        np.testing.assert_allclose(
            features[:, columns], expected[:, columns], atol=ENGINE_BOUND * np.abs(expected[:, columns]).max()
        )
    none = session.run(None, {name: pixels[:0] for name, pixels in given.items()})
    assert [len(one) for one in none] == [0, 0, 0]


def test_a_file_that_says_something_else_is_not_written(exported, tmp_path, monkeypatch):
    """A head that is a little off is found, what was there stays, and nothing is left beside it."""
    model = exported[1]
    path = tmp_path / "faces.onnx"
    path.write_bytes(b"what was there")
    decide = _export.decide

    def off(graph, estimator, classes, X):
        return decide(graph, estimator, classes, X * 1.01)

    monkeypatch.setattr(_export, "decide", off)
    with pytest.raises(ModelError, match=r"says something else than the model on 28 pictures \(on identical features"):
        export_onnx(model, path)
    assert path.read_bytes() == b"what was there"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("change", [lambda X: X.graph.op("NoSuchOperator", X), lambda X: X.reshape(-1, 7)])
def test_a_file_that_cannot_be_run_is_not_written(exported, tmp_path, monkeypatch, change):
    """What ONNX Runtime says of a graph becomes one error, at loading and at running."""
    decide = _export.decide

    def broken(graph, estimator, classes, X):
        return decide(graph, estimator, classes, change(X))

    monkeypatch.setattr(_export, "decide", broken)
    with pytest.raises(ModelError, match=r"ONNX Runtime cannot run the file \(.*Nothing was written"):
        export_onnx(exported[1], tmp_path / "x.onnx")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_exported_is_named_before_anything_is_loaded(exported, tmp_path):
    """Another precision, features of one's own, no readable picture, the model's own path."""
    model = exported[1]
    ((name, block),) = model.blocks.items()

    def changed(**key):
        return replace(model, blocks={name: {**block, "key": {**block["key"], **key}}})

    with pytest.raises(ModelError, match=r"mobilenet_v2:penultimate was extracted in bf16; an ONNX file computes in"):
        export_onnx(changed(dtype="bf16"), tmp_path / "x")
    with pytest.raises(ModelError, match=r"mobilenet_v2:penultimate was not extracted by fusionfer from pictures"):
        export_onnx(changed(preprocess=None), tmp_path / "x")
    with pytest.raises(DataError, match="There is no picture to compare"):
        export_onnx(model, tmp_path / "x", faces=generate_faces(n_identities=2, takes=1).take([]))
    assert list(tmp_path.iterdir()) == []
    before = model.path.read_bytes()
    with pytest.raises(DataError, match="is the model itself, which an ONNX file cannot be turned back into"):
        export_onnx(model, model.path)
    assert model.path.read_bytes() == before


def test_too_large_for_one_file(exported, tmp_path, monkeypatch):
    """Protobuf ends at 2 GiB: said with the size, and nothing is written."""
    monkeypatch.setattr(_export, "_LARGEST", 1000)
    with pytest.raises(DataError, match=r"The ONNX file would have 0\.0 GiB; one file holds 2 GiB at most"):
        export_onnx(exported[1], tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_onnx_finds_nothing_wrong(exported):
    """The model is valid by ONNX's own check, of opset 17, and names its maker."""
    model = onnx.load(exported[0].path)
    onnx.checker.check_model(model)
    assert {one.domain: one.version for one in model.opset_import} == {"": 17, "ai.onnx.ml": 3}
    assert model.producer_name == "fusionfer"
    assert not [node for node in model.graph.node if node.domain not in {"", "ai.onnx.ml"}]


ALONE = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"fusionfer", "torch", "sklearn", "scipy", "onnx", "skl2onnx"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Refuse())
"""


def test_the_example_of_the_page_runs_alone(exported, tmp_path):
    """Fifteen lines at most, in a process that can import neither fusionfer nor torch, say what predict says."""
    found, model = exported
    (example,) = [part.split("```")[0] for part in PAGE.read_text().split("```python\n") if "InferenceSession" in part]
    assert len([line for line in example.splitlines() if line.strip()]) <= 15
    assert "fusionfer" not in example
    (tmp_path / "faces.onnx").symlink_to(found.path)
    faces = generate_faces(n_identities=2, takes=1, size=64, seed=2)
    face = faces.load(0)[0]
    cv2.imwrite(str(tmp_path / "face.png"), face[..., ::-1])
    done = subprocess.run(
        [sys.executable, "-c", ALONE + example], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    expected = predict(faces.take([0]), model)
    label, *lines = done.stdout.splitlines()
    assert label == expected.labels[0]
    assert [line.split()[0] for line in lines] == list(model.classes)
    np.testing.assert_allclose([float(line.split()[1]) for line in lines], expected.proba[0], atol=1e-3)


def test_without_the_packages(tmp_path):
    """The extra to install is named."""
    code = (
        "import importlib.util as u; f = u.find_spec; u.find_spec = lambda n, *a: None if n == 'onnx' else f(n, *a)\n"
    )
    code += "import fusionfer.export"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "DataError: Exporting to ONNX needs onnx: pip install 'fusionfer[export]'." in done.stderr


@pytest.mark.parametrize("spoil", [lambda b: b[:40_000], lambda b: b[:-20], lambda b: b[:13] + b"\xff" * 100])
def test_info_of_a_damaged_export(exported, tmp_path, spoil):
    """A file that ends too early, or goes on with something else, is one error."""
    (tmp_path / "x.onnx").write_bytes(spoil(exported[0].path.read_bytes()))
    with pytest.raises(DataError, match=r"x\.onnx is damaged"):
        inspect(tmp_path / "x.onnx")


def varint(n):
    return bytes([n & 127 | 128 * (n > 127)]) + (varint(n >> 7) if n > 127 else b"")


def field(number, content):
    """A field of protobuf that holds bytes."""
    return varint(8 * number + 2) + varint(len(content)) + content


START = b"\x08\x08" + field(2, b"fusionfer")


@pytest.mark.parametrize(
    "rest",
    [
        field(14, b"\x0a" + b"\xff" * 9 + b"\x7f" + b"a"),  # a length of 70 bits
        field(14, b"\x0a\xff\xff\xff\xff"),
        field(14, b"\x0a\x01\xff\x12\x01a"),  # no text
        b"\xff" * 200,
        b"\x7a" + varint(1 << 62),
        b"\x09" + bytes(8),  # a kind of field that no model has
        b"\x08\x01" * 2000,  # many fields
        b"".join(field(14, field(1, b"%d" % i) + field(2, bytes(1 << 20))) for i in range(9)),  # much metadata
    ],
)
def test_info_of_crafted_fields(tmp_path, rest):
    """Lengths that are wrong, and files that would take long or much memory, are one error."""
    (tmp_path / "x.onnx").write_bytes(START + rest)
    with pytest.raises(DataError, match=r"x\.onnx is damaged: "):
        inspect(tmp_path / "x.onnx")


def with_metadata(path, **changed):
    """Write a file like ours, without a graph, with some of its metadata changed."""
    blocks = [{"name": "b", "columns": 3, "weights": {"name": "w", "sha256": "0", "seed": None}}]
    pixels = {"dtype": "uint8", "shape": ["n", 32, 32, 3], "colour": "RGB"}
    about = {"classes": ["a", "b"], "inputs": {"p": pixels}, "outputs": {"label": "which"}, "blocks": blocks}
    about["model"] = {"created": "now", "sha256": "0"}
    texts = {"fusionfer": "1", "head": "H", **{name: json.dumps(value) for name, value in about.items()}, **changed}
    entries = [field(1, name.encode()) + field(2, text.encode()) for name, text in texts.items()]
    path.write_bytes(START + b"".join(field(14, entry) for entry in entries))
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("classes", "[1]"),
        ("classes", r'["\ud800"]'),
        ("inputs", "[" * 100_000),
        ("model", "NaN"),
        ("model", '{"created": 1e999, "sha256": ""}'),
        ("blocks", '{"a": 1}'),
    ],
)
def test_info_of_crafted_metadata(tmp_path, name, text):
    """Metadata of another form than ours is one error, whatever stands in it."""
    assert inspect(with_metadata(tmp_path / "x.onnx")).data["classes"] == ["a", "b"]
    with pytest.raises(DataError, match=r"x\.onnx is damaged, or no export of fusionfer's"):
        inspect(with_metadata(tmp_path / "x.onnx", **{name: text}))


def test_info_shows_control_signs_in_quotes(tmp_path):
    """A class whose name would steer the terminal is shown, and steers nothing."""
    ((_, _, rows),) = inspect(with_metadata(tmp_path / "x.onnx", classes=r'["\u001b[2J", "b"]')).tables
    assert rows[0] == ["classes", r"'\x1b[2J, b'"]


def test_info_of_an_export_of_another_program(tmp_path):
    """An ONNX file that says nothing of fusionfer is said to be none of ours."""
    model = onnx.ModelProto(ir_version=8, producer_name="pytorch")
    onnx.save(model, tmp_path / "x.onnx")
    with pytest.raises(
        DataError, match=r"no export of fusionfer's: its metadata cannot be read \(it lacks 'fusionfer'"
    ):
        inspect(tmp_path / "x.onnx")


def test_photographs_are_prepared_as_the_model_records(exported):
    """Pictures to compare on are normalised as the model's were; those that are prepared already stay."""
    model = exported[1]
    ((name, block),) = model.blocks.items()
    way = FacePreparation("none", "histogram")
    lit = replace(model, blocks={name: {**block, "key": {**block["key"], "faces": way.describe()}}})
    faces = generate_faces(n_identities=2, takes=1, size=40).take([0, 1, 2])
    once = prepare_faces(faces, way)
    expected = [once.load(i)[0] for i in range(3)]
    assert not np.array_equal(expected[0], faces.load(0)[0])
    for given in (faces, once):
        assert np.array_equal(_export._pictures(lit, given), expected)
    assert np.array_equal(_export._pictures(model, faces), [faces.load(i)[0] for i in range(3)])
    told = json.loads(describe(lit, find_inputs(lit), lit.estimator)["inputs"])["pictures"]
    assert told["faces"] == lit.blocks[name]["key"]["faces"]
