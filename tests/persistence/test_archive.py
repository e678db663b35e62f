"""Files that are no model, damaged or from the future are refused by name before anything is built."""

import json
import pickle
import re
import zipfile

import joblib
import numpy as np
import pytest

from fusionfer.exceptions import ModelError
from fusionfer.persistence import describe_model, load_model


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (open, (str(self.marker), "w"))


@pytest.mark.parametrize("dump", [pickle.dump, joblib.dump, lambda o, f: joblib.dump(o, f, compress=3)])
def test_pickles_are_never_opened(tmp_path, dump):
    """Fault 22: a pickle or joblib file is refused as such, and what it would do has not happened."""
    path, marker = tmp_path / "m.pkl", tmp_path / "ran"
    with path.open("wb") as file:
        dump(Bomb(marker), file)
    with pytest.raises(ModelError, match="it looks like a pickle or joblib file, which can run code"):
        load_model(path)
    assert not marker.exists()
    with path.open("rb") as file:
        joblib.load(file).close()  # the same file does run when it is unpickled: the test can fail
    assert marker.exists()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "it is empty"),
        (b"\x89HDF\r\n\x1a\n" + bytes(500), "perhaps a feature cache"),
        (b"PK\x03\x04" + bytes(500), "is no fusionfer model, or is damaged"),
        (b"hello", "is no fusionfer model, or is damaged"),
    ],
)
@pytest.mark.parametrize("read", [load_model, describe_model])
def test_other_files_are_named(tmp_path, content, text, read):
    """What is no zip is refused, with a guess at what it is."""
    path = tmp_path / "m"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=text):
        read(path)


def test_missing_files_and_folders(tmp_path):
    """A missing path and a folder are told apart."""
    with pytest.raises(ModelError, match=r"There is no model .*nowhere"):
        load_model(tmp_path / "nowhere")
    with pytest.raises(ModelError, match="is a folder, not a model"):
        load_model(tmp_path)


def test_other_zips_are_named(tmp_path):
    """A zip of faces is refused with what it holds."""
    with zipfile.ZipFile(tmp_path / "faces.zip", "w") as archive:
        archive.writestr("train/joy/1.jpg", b"x")
    with pytest.raises(ModelError, match=re.escape("a zip that holds train/joy/1.jpg.")):
        load_model(tmp_path / "faces.zip")


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/passwd", "weights/../../x.pth", "weights/" + "a" * 63 + ".pth", "x.py"]
)
def test_strange_members_are_refused(rewrite, name):
    """Only the fixed names may occur, so that no member can leave a folder."""
    with pytest.raises(ModelError, match="is no fusionfer model"):
        load_model(rewrite(members={name: b"x"}))


def test_compressed_members_are_refused(rewrite):
    """Without compression there is no bomb; a compressed model was not written by fusionfer."""
    with pytest.raises(ModelError, match="members repeat, are compressed, or are too large"):
        load_model(rewrite(compression=zipfile.ZIP_DEFLATED))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_repeated_members_are_refused(saved):
    """Two members of one name could be checked as one and read as the other."""
    with zipfile.ZipFile(saved, "a") as archive:
        archive.writestr("model.json", "{}")
    with pytest.raises(ModelError, match="members repeat"):
        load_model(saved)


def test_a_changed_estimator_is_noticed(rewrite):
    """An estimator with another hash than recorded is refused before it is looked into."""
    with zipfile.ZipFile(path := rewrite()) as archive:
        facts = json.loads(archive.read("model.json"))["members"]["estimator.skops"]
    changed = {"members": {"estimator.skops": {**facts, "sha256": "0" * 64}}}
    with pytest.raises(ModelError, match=r"estimator\.skops has another sha256 than recorded"):
        load_model(rewrite(changed))
    assert describe_model(path)["problems"] == ["estimator.skops has another sha256 than recorded"]


@pytest.mark.parametrize(
    ("manifest", "text"),
    [
        ({"format": "other"}, "does not say format 'fusionfer-model'"),
        (
            {"version": 2, "written_by": "fusionfer 9.1", "needs": "9.0"},
            "has model format 2, written by fusionfer 9.1; it needs fusionfer >= 9.0.",
        ),
        ({"version": None}, "has model format None"),
        ({"blocks": {}, "created": 7}, "model.json lacks created, blocks, or holds something else there"),
        ({"blocks": [7]}, "a block in model.json lacks one of name, backbone, level, dim, key, record."),
        ({"estimator": {}}, "model.json lacks estimator.type"),
        ({"blocks": [{"name": "a"}]}, "a block in model.json lacks one of"),
        ({"classes": ["x"]}, "The estimator knows the classes anger, fear, joy; stated are x"),
        ({"members": {}}, "its members are not those that model.json lists"),
        ({"members": {"estimator.skops": None}}, "its members are not those that model.json lists"),
        ({"weights": {"a": "weights/gone.pth"}}, "its members are not those that model.json lists"),
        ({"weights": {"a": ["x"]}}, "its members are not those that model.json lists"),
    ],
)
def test_wrong_manifests_are_named(rewrite, manifest, text):
    """Each thing that can be wrong in model.json has its own words."""
    with pytest.raises(ModelError, match=re.escape(text)):
        load_model(rewrite(manifest))


def test_a_manifest_that_is_not_json(rewrite):
    """Text that is not JSON, and JSON nested too deeply, are named."""
    path = rewrite()
    for text in ("{", "[" * 200_000):
        with zipfile.ZipFile(path) as archive:
            estimator = archive.read("estimator.skops")
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("model.json", text)
            archive.writestr("estimator.skops", estimator)
        with pytest.raises(ModelError, match=r"model\.json is not JSON"):
            load_model(path)


def test_every_damage_is_a_named_error(saved):
    """Truncated anywhere, or with bytes changed anywhere, a model is refused with a ModelError or reads as it was."""
    whole = saved.read_bytes()
    expected = load_model(saved).estimator.coef_
    rng = np.random.default_rng(0)
    refused = 0
    for trial in range(150):
        damaged = bytearray(whole)
        if trial % 3 == 0:
            del damaged[rng.integers(len(whole)) :]
        else:
            for position in rng.integers(len(whole) if trial % 3 == 1 else 300, size=3):
                damaged[-1 - position] ^= 1 << rng.integers(8)
        saved.write_bytes(damaged)
        try:
            np.testing.assert_array_equal(load_model(saved).estimator.coef_, expected)
        except ModelError:
            refused += 1
    assert refused > 130


def test_encrypted_members_are_refused(rewrite):
    """A member that says it is encrypted is refused as that, not asked a password for."""
    path = rewrite()
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 8] |= 1  # the flags of the last entry of the directory
    path.write_bytes(content)
    with pytest.raises(ModelError, match="is encrypted; fusionfer models are not"):
        load_model(path)


def test_a_huge_manifest_is_not_read(saved, monkeypatch):
    """A manifest beyond the limit is refused before it is parsed."""
    monkeypatch.setattr("fusionfer.persistence._archive._MAX_MANIFEST", 10)
    with pytest.raises(ModelError, match=r"model\.json is larger than"):
        load_model(saved)


def test_unreadable_files_are_named(saved, monkeypatch):
    """What the system refuses to open is told with its reason."""

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("fusionfer.persistence._archive.zipfile.ZipFile", refuse)
    with pytest.raises(ModelError, match=r"cannot be read: Permission denied"):
        load_model(saved)
