"""What save_model writes is what load_model and describe_model read."""

import hashlib
import json
import re
import zipfile
from dataclasses import replace

import pytest

from fusionfer import __version__
from fusionfer.exceptions import ModelError
from fusionfer.persistence import describe_model, load_model, save_model


def test_round_trip_keeps_everything(make_model, tmp_path):
    """Every field but the estimator comes back equal, strange names and column order included."""
    model = make_model(
        selection={"scores": {"A": [0.5, 0.25]}, "selected": "A+B", "reason": "Größer – “besser” \udcff"},
        training={"data": "<b>faces</b>", "n": 90},
    )
    again = load_model(save_model(model, tmp_path / "deep" / "m.fusionfer"))
    for name in ("blocks", "classes", "selection", "training", "versions", "created"):
        assert getattr(again, name) == getattr(model, name), name
    assert list(again.blocks) == ["resnet34:logits", "resnet50:logits"]
    assert again.path == tmp_path / "deep" / "m.fusionfer"
    assert again.versions["fusionfer"] == __version__


def test_equal_models_give_equal_bytes(make_model, tmp_path):
    """Saving twice, and saving what was loaded, gives the same file to the byte."""
    first = save_model(make_model(), tmp_path / "a")
    second = save_model(make_model(), tmp_path / "b")
    third = save_model(load_model(first), tmp_path / "c")
    assert first.read_bytes() == second.read_bytes() == third.read_bytes()


def test_no_compression_and_no_other_files(saved):
    """The file is a plain zip of two members, and no temporary file is left beside it."""
    with zipfile.ZipFile(saved) as archive:
        assert [info.filename for info in archive.infolist()] == ["model.json", "estimator.skops"]
        assert {info.date_time[0] for info in archive.infolist()} == {1980}
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_bundled_weights_come_back(make_model, block, tmp_path):
    """Weight files travel with the model, one copy for equal ones, and are extracted with their hash checked."""
    source = tmp_path / "tuned.safetensors"
    source.write_bytes(b"weights" * 1000)
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    blocks = {"a:x": block("a", "x", 2, weights_sha256=sha256), "b:x": block("b", "x", 3, weights_sha256=sha256)}
    path = save_model(make_model(blocks=blocks), tmp_path / "m", weights={"a": source, "b": source})
    model = load_model(path)
    assert {backbone: entry["sha256"] for backbone, entry in model.weights.items()} == {"a": sha256, "b": sha256}
    assert path.stat().st_size < 2 * 7000 + 7000
    target = model.extract_weights(sha256, tmp_path / "out")
    assert target == tmp_path / "out" / f"{sha256}.safetensors"
    assert target.read_bytes() == source.read_bytes()
    before = target.stat().st_mtime_ns
    assert model.extract_weights(sha256, tmp_path / "out").stat().st_mtime_ns == before
    target.write_bytes(b"damaged")
    assert model.extract_weights(sha256, tmp_path / "out").read_bytes() == source.read_bytes()


def test_damaged_weights_are_not_extracted(make_model, block, tmp_path):
    """A bundled weight file whose bytes changed is refused, listed by describe_model, and leaves nothing behind."""
    source = tmp_path / "w.pth"
    source.write_bytes(b"w" * 4096)
    blocks = {"a:x": block("a", "x", 5)}
    path = save_model(make_model(blocks=blocks), tmp_path / "m", weights={"a": source})
    path.write_bytes(path.read_bytes().replace(b"w" * 4096, b"w" * 4095 + b"v"))
    model = load_model(path)  # weights are checked when they are used: they may be hundreds of megabytes
    with pytest.raises(ModelError, match=r"(?i)bad crc|another hash"):
        model.extract_weights(model.weights["a"]["sha256"], tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    described = describe_model(path)
    assert not described["intact"]
    assert described["problems"][0].startswith("weights/")


@pytest.mark.parametrize(
    ("backbone", "name", "text"),
    [
        ("vgg16", "w.pth", "Weights are given for vgg16, of which the model has no block. It has: resnet34, resnet50."),
        ("resnet34", "w.txt", "must be an existing file ending in .safetensors, .pth"),
        ("resnet34", "gone.pth", "must be an existing file"),
        ("resnet34", "w.pth", "but resnet34:logits was computed with weights aa."),
    ],
)
def test_wrong_weights_are_not_bundled(make_model, tmp_path, backbone, name, text):
    """Weights of no block, of no known kind, or with another hash than recorded are refused; nothing is written."""
    for there in ("w.pth", "w.txt"):
        (tmp_path / there).write_bytes(b"w")
    with pytest.raises(ModelError, match=re.escape(text)):
        save_model(make_model(), tmp_path / "m", weights={backbone: tmp_path / name})
    assert not (tmp_path / "m").exists()


def test_an_old_model_survives_a_failed_save(make_model, saved, monkeypatch):
    """When the disk fills up while saving, the model that was there stays whole and no part is left."""
    before = saved.read_bytes()

    def full(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fusionfer.persistence._archive.os.fsync", full)
    with pytest.raises(ModelError, match=r"No space left on device. What was there before is unchanged"):
        save_model(make_model(), saved)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_a_folder_is_not_overwritten(make_model, tmp_path):
    """Saving onto a folder is an error, and the folder stays."""
    with pytest.raises(ModelError, match="cannot be written"):
        save_model(make_model(), tmp_path)
    assert tmp_path.is_dir()


def test_describe(saved):
    """The description has what `fusionfer info` shows, and is JSON."""
    described = describe_model(saved)
    assert described["intact"]
    assert described["classes"] == ["anger", "fear", "joy"]
    assert [entry["name"] for entry in described["blocks"]] == ["resnet34:logits", "resnet50:logits"]
    assert described["estimator"] == {"type": "sklearn.linear_model._logistic.LogisticRegression", "needs_trust": []}
    assert described["bytes"] == saved.stat().st_size
    json.dumps(described)


def test_a_copy_with_other_facts(make_model, tmp_path):
    """A model is changed by making another one, as with any frozen record."""
    model = replace(make_model(), training={"data": "other"})
    assert load_model(save_model(model, tmp_path / "m")).training == {"data": "other"}


def test_weights_of_a_replaced_model(make_model, block, tmp_path):
    """When the file of a loaded model is replaced by one without weights, asking for them says so."""
    source = tmp_path / "w.pth"
    source.write_bytes(b"w")
    model = make_model(blocks={"a:x": block("a", "x", 5)})
    loaded = load_model(save_model(model, tmp_path / "m", weights={"a": source}))
    save_model(model, tmp_path / "m")
    with pytest.raises(ModelError, match="was replaced after it was loaded"):
        loaded.extract_weights(loaded.weights["a"]["sha256"], tmp_path / "out")


def test_weights_that_change_while_they_are_copied(make_model, block, tmp_path, monkeypatch):
    """A weight file that changes between hashing and copying makes no model."""
    source = tmp_path / "w.pth"
    source.write_bytes(b"w" * 10)
    model = make_model(blocks={"a:x": block("a", "x", 5)})
    monkeypatch.setattr("fusionfer.persistence._storing.file_sha256", lambda path: "0" * 64)
    with pytest.raises(ModelError, match="changed while it was copied into the model; nothing was saved"):
        save_model(model, tmp_path / "m", weights={"a": source})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["w.pth"]


def test_weights_that_cannot_be_read(make_model, block, tmp_path, monkeypatch):
    """A weight file that the system refuses to open is named with the reason."""
    source = tmp_path / "w.pth"
    source.write_bytes(b"w")
    model = make_model(blocks={"a:x": block("a", "x", 5)})

    def refuse(self, mode="r"):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(ModelError, match=r"w\.pth cannot be read: Permission denied"):
        save_model(model, tmp_path / "m", weights={"a": source})
