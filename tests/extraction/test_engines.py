"""Engines in extraction: recorded, kept to by every file, and used again by repair."""

import importlib.util
import threading

import numpy as np
import pytest

from fusionfer.cache import CacheFolder, describe, read_feature_file
from fusionfer.exceptions import DataError, ExtractionInterrupted
from fusionfer.extraction import _continuing as continuing
from fusionfer.extraction import extract_to_cache
from fusionfer.maintenance import repair
from fusionfer.networks import ENGINE_BOUND

RESNET = "resnet34"
ENGINES = [
    pytest.param(
        engine,
        marks=pytest.mark.skipif(
            any(importlib.util.find_spec(name) is None for name in packages),
            reason=f"{engine} is not installed (pip install 'fusionfer[{engine}]')",
        ),
    )
    for engine, packages in {"openvino": ["openvino"], "onnxruntime": ["onnxruntime", "onnx"]}.items()
]
BLOCK = f"{RESNET}:penultimate"


def run(faces, cache, engine="torch", **options):
    """Extract with the options that the tests share."""
    settings = {"batch_size": 4, "device": "cpu", "weights": "none", "size": 32, **options}
    return extract_to_cache(faces, RESNET, cache=cache, engine=engine, **settings)


def stopped_after_a_batch(faces, cache, engine):
    """Begin an extraction and stop it when the first batch is committed."""
    stop = threading.Event()
    with pytest.raises(ExtractionInterrupted):
        run(faces, cache, engine, stop=stop, progress=lambda done, total, what: what == "extracting" and stop.set())


@pytest.mark.parametrize("engine", ENGINES)
def test_features_agree_and_the_engine_is_recorded(tmp_path, make_faces, engine):
    """The engine's features are torch's within the bound, twice the same; its name and version stand in the file."""
    faces = make_faces(10)
    expected = run(faces, tmp_path / "torch").features().X
    report = run(faces, tmp_path / "engine", engine)
    X = report.features().X
    assert np.abs(X - expected).max() <= ENGINE_BOUND * np.abs(expected).max()
    record = read_feature_file(report.files[BLOCK]).record
    assert record["engine"] == engine
    assert record["versions"][engine] == importlib.import_module(engine).__version__.split("-")[0]
    assert np.array_equal(run(faces, tmp_path / "again", engine).features().X, X)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_interrupted_file_goes_on_with_its_engine(tmp_path, make_faces, engine):
    """Resumed under another engine it equals an uninterrupted one to the bit, and the report says why."""
    faces = make_faces(14)
    whole = run(faces, tmp_path / "whole", engine).features().X
    stopped_after_a_batch(faces, tmp_path / "cut", engine)
    report = run(faces, tmp_path / "cut", "torch")
    assert report.explanations[BLOCK].endswith(f"rows are there. It is of the engine {engine}, and keeps to it.")
    assert np.array_equal(report.features().X, whole)
    assert read_feature_file(report.files[BLOCK]).record["engine"] == engine


@pytest.mark.parametrize("engine", ENGINES)
def test_a_file_of_torch_stays_torchs(tmp_path, make_faces, engine):
    """A finished file is a hit for any engine, which is then not even started; new faces in it are torch's too."""
    expected = run(make_faces(14), tmp_path / "torch").features().X
    run(make_faces(12), tmp_path / "grows")
    said = []
    hit = run(make_faces(12), tmp_path / "grows", engine, progress=lambda done, total, what: said.append(what))
    assert hit.computed == 0
    assert not [what for what in said if what.startswith("converting")]
    grown = run(make_faces(14), tmp_path / "grows", engine)
    assert grown.computed == 2
    record = read_feature_file(grown.files[BLOCK]).record
    assert {one["engine"] for one in [record, *record.get("history", [])]} == {"torch"}
    assert np.array_equal(grown.features().X, expected)


@pytest.mark.parametrize("engine", ENGINES)
def test_repair_uses_the_recorded_engine(tmp_path, make_faces, engine):
    """A damaged block is computed again by the engine of its file: all bits are back."""
    faces = make_faces(10)
    path = run(faces, tmp_path, engine).files[BLOCK]
    X = np.array(read_feature_file(path).X)
    place = path.read_bytes().index(X[5].tobytes())
    with path.open("r+b") as file:
        file.seek(place)
        file.write(b"\xff" * 64)
    (mended,) = repair(path, faces)
    assert mended.identical
    assert np.array_equal(read_feature_file(path).X, X)


def test_a_file_of_an_engine_that_is_gone(tmp_path, make_faces, monkeypatch):
    """Where the file's own engine is not installed it is left as it is: the error names it and the ways out."""
    faces = make_faces(10)
    real = continuing.find_engine

    def gone(name, *args, **options):
        if name == "onnxruntime":
            msg = "The engine onnxruntime needs onnx: pip install 'fusionfer[onnxruntime]'."
            raise DataError(msg)
        return real(name, *args, **options)

    monkeypatch.setattr(continuing, "find_engine", gone)
    monkeypatch.setattr("fusionfer.extraction._extract.begun_with", lambda *_: continuing.Begun("onnxruntime", 4))
    monkeypatch.setattr("fusionfer.extraction._records.engine_versions", lambda engine: {})
    said = r"resnet34\.penultimate\..* was begun with the engine onnxruntime and is not mixed .*Or use another --cache"
    with pytest.raises(DataError, match=said):
        run(faces, tmp_path)
    (part,) = CacheFolder(tmp_path).parts()
    assert describe(part).done == 0


def test_what_only_torch_runs(tmp_path, make_faces, make_backbone, monkeypatch):
    """A module of the user's own is refused before anything is done; auto takes torch for it."""
    backbone = make_backbone()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    with pytest.raises(DataError, match=r"engine openvino .* cannot run a module of your own"):
        extract_to_cache(make_faces(4), backbone, ["out"], cache=tmp_path, device="cpu", engine="openvino")
    assert not list(tmp_path.iterdir())
    report = extract_to_cache(make_faces(4), backbone, ["out"], cache=tmp_path, device="cpu", engine="auto")
    assert read_feature_file(report.files["tiny:out"]).record["engine"] == "torch"
