"""Precision in extraction: a file of its own, never taken for float32, resumed and repaired as it was."""

import threading

import numpy as np
import pytest

from fusionfer.backbones import get_backbone
from fusionfer.cache import file_name, read_feature_file
from fusionfer.exceptions import DataError, ExtractionInterrupted, NonFiniteFeaturesError
from fusionfer.extraction import block_key, extract_to_cache, key_of_same_run
from fusionfer.extraction._forward import _check_finite
from fusionfer.maintenance import repair
from fusionfer.networks import PRECISION_BOUND, load_backbone

BLOCK = "resnet34:penultimate"


def run(faces, cache, precision, **options):
    settings = {"batch_size": 4, "device": "cpu", "weights": "none", "size": 32, **options}
    return extract_to_cache(faces, "resnet34", cache=cache, precision=precision, **settings)


def test_the_key_of_float32_is_what_it_was():
    """Files of float32 keep their name and key, to the byte; other precisions differ in one field."""
    backbone = get_backbone("resnet34").sized(48)
    key = block_key(backbone, "penultimate", "ab" * 32, "opencv 4")
    assert key == {
        "backbone": "resnet34",
        "level": "penultimate",
        "nodes": ["fc:in"],
        "weights_sha256": "ab" * 32,
        "preprocess": {
            "size": 48,
            "mean": [0.485, 0.456, 0.406],
            "std": [0.229, 0.224, 0.225],
            "resize": "whole image to square; area when shrinking, bilinear when enlarging",
        },
        "dtype": "float32",
        "decoder": "opencv 4",
        "rules": 1,
    }
    assert file_name("resnet34", "penultimate", {**key, "dim": 512}) == "resnet34.penultimate.3cb35ccc.h5"
    assert block_key(backbone, "penultimate", "ab" * 32, "opencv 4", "bf16") == {**key, "dtype": "bf16"}


def test_bf16_is_a_file_of_its_own(tmp_path, make_faces):
    """Neither is a hit for the other; the message names the field; both stay; vectors are within the bound."""
    faces = make_faces(10)
    exact = run(faces, tmp_path, "float32")
    short = run(faces, tmp_path, "bf16")
    assert short.computed == 10
    assert "dtype" in short.explanations[BLOCK]
    assert short.files[BLOCK] != exact.files[BLOCK]
    assert read_feature_file(short.files[BLOCK]).key["dtype"] == "bf16"
    a, b = exact.features().X, short.features().X
    assert b.dtype == np.float32
    off = np.linalg.norm(a - b, axis=1) / np.linalg.norm(a, axis=1)
    assert 1e-4 < off.max() <= PRECISION_BOUND["bf16"]
    assert [run(faces, tmp_path, precision).computed for precision in ("float32", "bf16")] == [0, 0]
    assert np.array_equal(run(faces, tmp_path / "again", "bf16").features().X, b)


def test_an_interrupted_file_of_bf16_goes_on(tmp_path, make_faces):
    """Resumed it equals an uninterrupted one to the bit; asked for float32 meanwhile, that is begun beside it."""
    faces = make_faces(14)
    whole = run(faces, tmp_path / "whole", "bf16").features().X
    stop = threading.Event()
    with pytest.raises(ExtractionInterrupted):
        run(
            faces, tmp_path / "cut", "bf16", stop=stop,
            progress=lambda done, total, what: what == "extracting" and stop.set(),
        )  # fmt: skip
    assert run(faces, tmp_path / "cut", "float32").computed == 14
    resumed = run(faces, tmp_path / "cut", "bf16")
    assert resumed.computed == 10
    assert np.array_equal(resumed.features().X, whole)


def test_repair_computes_in_the_recorded_precision(tmp_path, make_faces):
    """A damaged block of bf16 is computed again as it was: all bits are back."""
    faces = make_faces(10)
    path = run(faces, tmp_path, "bf16").files[BLOCK]
    X = np.array(read_feature_file(path).X)
    with path.open("r+b") as file:
        file.seek(path.read_bytes().index(X[5].tobytes()))
        file.write(b"\xff" * 64)
    (mended,) = repair(path, faces)
    assert mended.identical
    assert np.array_equal(read_feature_file(path).X, X)


def test_a_lost_file_of_the_same_run_is_of_the_same_precision(tmp_path, make_faces):
    """The key of a block that is rebuilt beside another one has its precision."""
    stored = read_feature_file(run(make_faces(6), tmp_path, "bf16").files[BLOCK])
    key, _ = key_of_same_run(stored.key, stored.record, "resnet34", "penultimate")
    assert key == stored.key


def test_what_computes_in_16_bits(tmp_path, make_faces):
    """Only torch does; fp16 needs a GPU; nothing is written before that is known."""
    with pytest.raises(DataError, match=r"engine openvino .* cannot compute in bf16\. Give --engine torch"):
        run(make_faces(4), tmp_path / "c", "bf16", engine="openvino")
    with pytest.raises(DataError, match="The precision fp16 is for GPUs"):
        run(make_faces(4), tmp_path / "c", "fp16")
    assert not (tmp_path / "c").exists()
    report = run(make_faces(4), tmp_path, "bf16", engine="auto")
    assert read_feature_file(report.files[BLOCK]).record["engine"] == "torch"


@pytest.mark.parametrize(("precision", "advised"), [("fp16", True), ("bf16", False), ("float32", False)])
def test_numbers_too_large_for_fp16_are_told_with_the_way_out(precision, advised):
    """fp16 ends at 65,504: what overflows is never stored, and bf16 is named where it would help."""
    network = load_backbone(get_backbone("resnet34").sized(32), ["penultimate"], weights="none")
    object.__setattr__(network, "precision", precision)
    X = np.array([[0.0], [np.inf]], np.float32)
    with pytest.raises(NonFiniteFeaturesError, match=r"^b: resnet34:penultimate returned NaN or infinity") as caught:
        _check_finite(X, np.ones(2, bool), np.array(["a", "b"]), network, "penultimate")
    assert ("give --precision bf16" in str(caught.value)) == advised
