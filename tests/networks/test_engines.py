"""Engines: each agrees with torch for every listed backbone and level, and what cannot be run is said."""

import importlib.util
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from fusionfer.backbones import BACKBONES, get_backbone
from fusionfer.exceptions import DataError, UnknownNameError
from fusionfer.networks import ENGINE_BOUND, ENGINES, engine_versions, find_engine, load_backbone, run_on
from fusionfer.networks import _engines as engines

OTHERS = [
    pytest.param(
        engine,
        marks=pytest.mark.skipif(
            any(importlib.util.find_spec(name) is None for name in packages),
            reason=f"{engine} is not installed (pip install 'fusionfer[{engine}]')",
        ),
    )
    for engine, packages in ENGINES.items()
    if packages
]


def noise(n, size, seed=1):
    """Return a batch as extraction makes them: float32, channels last."""
    batch = torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(seed))
    return batch.contiguous(memory_format=torch.channels_last)


def small(levels=("penultimate",), name="resnet34"):
    return load_backbone(get_backbone(name).sized(32), list(levels), weights="none")


# VGG16's half a gigabyte takes longer to export than all others together; test_onnx_graph has its pooling, which is all
# that it has alone.
PAIRS = [
    pytest.param(name, *engine.values, marks=engine.marks)
    for engine in OTHERS
    for name in BACKBONES
    if (name, *engine.values) != ("vgg16", "onnxruntime")
]


@pytest.mark.parametrize(("name", "engine"), PAIRS)
def test_every_backbone_and_level_agrees_with_torch(name, engine):
    """A new backbone joins by being listed: each number is within the stated bound of the level's largest."""
    loaded = load_backbone(get_backbone(name).sized(40), ["penultimate", "multi", "logits"], weights="none")
    batch = noise(3, 40)
    expected = loaded.network(batch)
    found = run_on(loaded, engine, batch_size=3, threads=1).network(batch)
    assert list(found) == list(expected)
    for level, vectors in expected.items():
        assert found[level].shape == vectors.shape
        assert found[level].dtype == torch.float32
        assert float((found[level] - vectors).abs().max()) <= ENGINE_BOUND * float(vectors.abs().max())
    for level, vectors in loaded.network(batch).items():  # torch's own is as it was before
        assert torch.equal(vectors, expected[level])


@pytest.mark.parametrize("engine", OTHERS)
def test_nodes_that_folding_changes_and_equal_levels(engine):
    """Levels of an unfolded copy, inputs of nodes, and two names of one vector all come out under their own names."""
    loaded = small(["conv1", "layer1.0.bn2:in", "penultimate", "avgpool"])
    batch = noise(2, 32)
    expected, found = loaded.network(batch), run_on(loaded, engine, batch_size=2, threads=1).network(batch)
    for level, vectors in expected.items():
        torch.testing.assert_close(found[level], vectors, rtol=0, atol=ENGINE_BOUND * float(vectors.abs().max()))
    assert torch.equal(found["penultimate"], found["avgpool"])


@pytest.mark.parametrize("engine", OTHERS)
def test_the_same_bits_from_several_threads(engine):
    """Answers of batches that run at the same time are not mixed, and are those of a single worker, again and again."""
    loaded = small(name="mobilenet_v2")
    batches = [noise(2, 32, seed) for seed in range(6)]
    alone = run_on(loaded, engine, batch_size=2, workers=1, threads=1)
    expected = [alone.network(batch)["penultimate"] for batch in batches]
    together = run_on(loaded, engine, batch_size=2, workers=3, threads=1)
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda batch: together.network(batch)["penultimate"], batches * 3))
    for one, other in zip(found, expected * 3, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("engine", OTHERS)
def test_a_converted_backbone_says_its_engine(engine):
    """The engine and its version are there for the record; torch's own backbone is returned as it is."""
    loaded = small(name="mobilenet_v2")
    converted = run_on(loaded, engine, batch_size=2, threads=1)
    assert (loaded.engine, converted.engine) == ("torch", engine)
    assert list(engine_versions(engine)) == [engine]
    assert run_on(loaded, "torch", batch_size=2) is loaded
    assert converted.network.dims((3, 32, 32), torch.device("cpu")) == {"penultimate": 1280}
    with pytest.raises(DataError, match=rf"mobilenet_v2 already runs on {engine}"):
        run_on(converted, engine, batch_size=2)
    parts = list(loaded.network.module.modules())
    assert any(part._forward_hooks or part._forward_pre_hooks for part in parts)
    converted.close()
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in parts)


@pytest.fixture
def stand_in(monkeypatch):
    """Return a function by which a given function takes the place of an engine's compiler."""

    def put(compile_module):
        fake = type("Compiler", (), {"compile_module": staticmethod(compile_module)})
        monkeypatch.setattr(engines.importlib, "import_module", lambda name: fake)

    return put


def test_a_conversion_that_computes_something_else_is_refused(stand_in):
    """What tracing loses shows on noise: just beyond the bound is refused, just within is not."""
    loaded = small()

    def off_by(share):
        def compile_module(module, shape, **_):
            def run(batch):
                exact = [vectors.numpy() for vectors in module(torch.from_numpy(batch))]
                return [vectors + np.float32(share) * np.abs(vectors[:2]).max() for vectors in exact]

            return run

        stand_in(compile_module)

    off_by(0.5 * ENGINE_BOUND)
    assert run_on(loaded, "openvino", batch_size=2).engine == "openvino"
    off_by(2.0 * ENGINE_BOUND)
    with pytest.raises(DataError, match=r"resnet34:penultimate on openvino differs from torch by 8\.\de-05 .* 4e-05"):
        run_on(loaded, "openvino", batch_size=2)
    stand_in(lambda module, shape, **_: lambda batch: [np.zeros((1, 512), np.float32)])
    with pytest.raises(DataError, match=r"has shape \(1, 512\) on openvino\. Give --engine torch"):
        run_on(loaded, "openvino", batch_size=2)


def test_a_network_that_cannot_be_converted_is_named(stand_in):
    """What converters raise becomes one error, and torch runs the network as before."""
    loaded = small()
    expected = loaded.network(noise(2, 32))["penultimate"]

    def compile_module(module, shape, **_):
        msg = "no such\noperation"
        raise KeyError(msg)

    stand_in(compile_module)
    with pytest.raises(DataError, match=r"resnet34 cannot be converted for openvino \(KeyError: .*Give --engine torch"):
        run_on(loaded, "openvino", batch_size=2)
    assert torch.equal(loaded.network(noise(2, 32))["penultimate"], expected)


@pytest.mark.parametrize(
    ("installed", "device", "own", "machine", "found"),
    [
        ({"openvino", "onnxruntime", "onnx"}, "cpu", False, "x86_64", "onnxruntime"),
        ({"openvino", "onnxruntime"}, "cpu", False, "x86_64", "openvino"),
        ({"onnxruntime", "onnx"}, "cpu", False, "AMD64", "onnxruntime"),
        ({"onnxruntime"}, "cpu", False, "x86_64", "torch"),
        (set(), "cpu", False, "x86_64", "torch"),
        ({"openvino"}, "cuda", False, "x86_64", "torch"),
        ({"openvino"}, "mps", False, "x86_64", "torch"),
        ({"openvino"}, "cpu", True, "x86_64", "torch"),
        ({"openvino"}, "cpu", False, "arm64", "torch"),
    ],
)
def test_auto(monkeypatch, installed, device, own, machine, found):
    """The fastest that is installed, where its speed is known and it can run the networks; else torch."""
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: name if name in installed else None)
    monkeypatch.setattr(engines.platform, "machine", lambda: machine)
    assert find_engine("auto", device, own_modules=own) == found


def test_engines_that_are_not_to_be_had(monkeypatch):
    """Unknown names, packages that are missing, devices and modules that only torch runs: each is said."""
    with pytest.raises(UnknownNameError, match=r"Unknown engine 'openvin'.*Did you mean 'openvino'"):
        find_engine("openvin")
    with pytest.raises(
        DataError, match=r"engine openvino runs .* it cannot run on the device cuda:0\. Give --engine torch"
    ):
        find_engine("openvino", "cuda:0")
    with pytest.raises(DataError, match=r"engine onnxruntime .* cannot run a module of your own"):
        find_engine("onnxruntime", own_modules=True)
    with pytest.raises(DataError, match=r"engine openvino runs .* it cannot compute in bf16\. Give --engine torch"):
        find_engine("openvino", precision="bf16")
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"needs onnxruntime and onnx: pip install 'fusionfer\[onnxruntime\]'"):
        find_engine("onnxruntime")
    assert find_engine("torch", "cuda", own_modules=True) == "torch"
    assert engine_versions("torch") == {}


def test_openvino_is_imported_without_its_telemetry():
    """OpenVINO reports each import where its telemetry is installed; ours finds it absent, and leaves no trace."""
    pytest.importorskip("openvino", reason="openvino is not installed (pip install 'fusionfer[openvino]')")
    code = (
        "import sys; from fusionfer.networks import _openvino; _openvino._import(); "
        "print(sorted(name for name in sys.modules if name.startswith('openvino_telemetry')))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"
