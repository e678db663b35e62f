"""inspect: the kind of a file is told by its content, and what is wrong with it is said."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from fusionfer.backbones import Preprocess
from fusionfer.cache import CacheFolder, RowTable
from fusionfer.exceptions import CacheFormatError, DataError, ModelError, WeightsError
from fusionfer.fusion import fingerprints
from fusionfer.inspection import inspect
from fusionfer.networks import CheckpointInfo, save_checkpoint


def test_the_kind_is_told_by_content_not_by_name(shared_model, shared_cache, tmp_path):
    """A model called .h5 is a model, a cache called .fusionfer a cache."""
    shutil.copy(shared_model, tmp_path / "a.h5")
    shutil.copy(CacheFolder(shared_cache).files()[0], tmp_path / "b.fusionfer")
    assert inspect(tmp_path / "a.h5").kind == "model"
    assert inspect(tmp_path / "b.fusionfer").kind == "cache"
    assert inspect(shared_cache).kind == "folder"


def test_all_of_it_is_json(shared_model, shared_cache):
    """data goes through json without NaN, and says what the tables say."""
    for path in (shared_model, shared_cache, CacheFolder(shared_cache).files()[0]):
        found = inspect(path)
        assert found.intact
        assert json.loads(json.dumps(found.data, allow_nan=False))["path"] == str(path)


def test_a_cache_counts_rows_labels_and_splits(shared_cache):
    """The numbers of the data set."""
    data = inspect(CacheFolder(shared_cache).files()[1]).data
    assert (data["rows"], data["done"], data["failed"], data["absent"], data["dim"]) == (84, 84, 0, 0, 512)
    assert data["splits"] == {"test": 28, "train": 56}
    assert set(data["labels"].values()) == {12}


def test_an_unfinished_cache_is_not_intact(tmp_path):
    """An interrupted extraction is shown with what it lacks."""
    texts = np.array([""] * 4)
    rows = RowTable(np.array(list("abcd")), texts, texts, texts, np.array([f"{i:064x}" for i in range(4)]))
    folder = CacheFolder(tmp_path)
    with folder.lock():
        job = folder.prepare("resnet34", "logits", 2, key={"size": 48}, record={}, rows=rows, block_rows=2)
        job.commit(0, np.ones((2, 2), np.float32), done=np.array([True, False]), failed={1: "no image"})
        job.close()
    found = inspect(tmp_path)
    assert not found.intact
    ((_, header, (row,)),) = found.tables
    assert row[header.index("state")] == "unfinished, 2 rows absent; intact"
    (part,) = folder.parts()
    assert not inspect(part).intact


def test_failed_rows_are_listed_with_their_reasons(tmp_path):
    """A complete cache with a picture that could not be used is intact, and says which and why."""
    texts = np.array([""] * 2)
    rows = RowTable(np.array(["a", "b"]), texts, texts, texts, np.array(["0" * 64, "1" * 64]))
    folder = CacheFolder(tmp_path)
    with folder.lock():
        job = folder.prepare("resnet34", "logits", 2, key={"size": 48}, record={}, rows=rows)
        job.commit(0, np.ones((2, 2), np.float32), done=np.array([True, False]), failed={1: "The file is empty."})
        job.finish()
    found = inspect(folder.files()[0])
    assert found.intact
    assert ("Without features", ["id", "why"], [["b", "The file is empty."]]) in found.tables


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (None, DataError, "does not exist"),
        (b"text", CacheFormatError, "not HDF5, it begins with b'text'"),
        (b"PK\x03\x04", ModelError, "is no fusionfer model, or is damaged"),
    ],
)
def test_what_is_neither(tmp_path, content, error, message):
    """A missing file, a text, half a zip."""
    if content is not None:
        (tmp_path / "x").write_bytes(content)
    with pytest.raises(error, match=message):
        inspect(tmp_path / "x")


def test_a_damaged_model_is_not_intact(shared_model, tmp_path):
    """One flipped byte of the estimator is found by its hash."""
    raw = bytearray(shared_model.read_bytes())
    raw[len(raw) // 2] ^= 1
    (tmp_path / "m").write_bytes(raw)
    found = inspect(tmp_path / "m")
    assert not found.intact
    assert found.data["problems"]


def test_hashes_of_training_images_are_counted_not_shown(tmp_path):
    """A cache of a trained network's features says how many images that network has seen, also where it was merged."""
    texts = np.array([""] * 2)
    rows = RowTable(np.array(["a", "b"]), texts, texts, texts, np.array(["0" * 64, "1" * 64]))
    weights = {"name": "x", "sha256": "0" * 64, "trained_on": fingerprints("abc"), "selected_on": fingerprints("d")}
    folder = CacheFolder(tmp_path)
    with folder.lock():
        record = {"weights": weights, "history": [{"weights": weights}]}
        job = folder.prepare("resnet34", "logits", 2, key={"size": 48}, record=record, rows=rows, block_rows=2)
        job.commit(0, np.ones((2, 2), np.float32), done=np.array([True, True]), failed={})
        job.close()
    shown = inspect(tmp_path).data["files"][0]["record"]
    for one in (shown["weights"], shown["history"][0]["weights"]):
        assert (one["trained_on"], one["selected_on"], one["name"]) == ("3 images", "1 images", "x")


def test_a_trained_network(tmp_path):
    """A checkpoint is shown with what it says of itself; a plain state dict is no checkpoint."""
    info = CheckpointInfo(
        "resnet34", ("happy", "sad"), Preprocess(48), stem="small", recipe={"name": "fer", "optimizer": "sgdm"},
        metrics={"validation": {"n": 40, "accuracy": 0.525}}, data={"name": "faces"}, trained_on=fingerprints("abc"),
    )  # fmt: skip
    path = save_checkpoint(tmp_path / "n.safetensors", torch.nn.Linear(5, 4), info)
    found = inspect(path)
    assert (found.kind, found.intact, found.data["parameters"], found.data["trained_on"]) == (
        "network", True, 24, "3 images",
    )  # fmt: skip
    assert json.loads(json.dumps(found.data, allow_nan=False))["recipe"] == {"name": "fer", "optimizer": "sgdm"}
    shown = dict(found.tables[0][2])
    assert shown["validation"] == "accuracy 52.5 %, 40 images"
    assert (shown["recipe"], shown["trained on"]) == ("fer, sgdm", "3 images of faces")
    save_file({"a": torch.zeros(1)}, tmp_path / "plain.safetensors")
    with pytest.raises(WeightsError, match="is no checkpoint of fusionfer but a plain state dict"):
        inspect(tmp_path / "plain.safetensors")
