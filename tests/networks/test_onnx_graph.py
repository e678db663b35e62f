"""Networks as ONNX graphs: batches of any length, levels by name; pooling to any size is what torch computes."""

import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from fusionfer.backbones import get_backbone
from fusionfer.exceptions import DataError
from fusionfer.networks import ENGINE_BOUND, load_backbone, run_on, to_onnx
from fusionfer.networks import _onnx_graph as graphs
from fusionfer.networks._onnx_graph import _pooling_as_products


@pytest.mark.parametrize("size", [7, (3, 5), (None, 2)])
@pytest.mark.parametrize("shape", [(1, 1), (2, 9), (7, 7), (10, 4)])
def test_pooling_as_products(size, shape):
    """Cells that overlap, that repeat a position, or that keep an axis: the averages equal torch's own."""
    pool = nn.AdaptiveAvgPool2d(size)
    x = torch.randn(2, 3, *shape, generator=torch.Generator().manual_seed(0))
    expected = pool(x)
    with _pooling_as_products(nn.Sequential(pool)):
        assert "forward" in vars(pool)
        torch.testing.assert_close(pool(x), expected)
    assert "forward" not in vars(pool)
    assert torch.equal(pool(x), expected)


def test_global_pooling_stays_as_it_is():
    """ONNX has an operation of its own for the mean over all."""
    pool = nn.AdaptiveAvgPool2d((1, 1))
    with _pooling_as_products(nn.Sequential(pool)):
        assert "forward" not in vars(pool)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("side", [4, 40])
def test_pooling_to_a_size_is_exported(side):
    """VGG's way to its last layers, from maps that are smaller and larger than 7 x 7: torch's numbers."""
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.AdaptiveAvgPool2d((7, 7)), nn.Flatten(1), nn.Linear(392, 5)
    )

    class Module(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network.eval()

        def forward(self, x):
            return (self.network(x),)

    with torch.no_grad():
        session = onnxruntime.InferenceSession(graphs.onnx_graph(Module(), (1, 3, side, side), ["out"]))
        x = torch.randn(3, 3, side, side, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(torch.from_numpy(session.run(None, {"pictures": x.numpy()})[0]), network(x))


@pytest.fixture(scope="module")
def loaded():
    return load_backbone(get_backbone("mobilenet_v2").sized(32), ["penultimate", "multi"], weights="none")


def test_a_backbone_as_onnx(loaded):
    """Outputs have the names of the levels, in their order, and are torch's for one picture and for three."""
    session = onnxruntime.InferenceSession(to_onnx(loaded), providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == ["penultimate", "multi"]
    for n in (1, 3):
        batch = torch.randn(n, 3, 32, 32, generator=torch.Generator().manual_seed(n))
        expected = loaded.network(batch)
        found = session.run(None, {"pictures": batch.permute(0, 2, 3, 1).contiguous().numpy()})
        for level, vectors in zip(expected, found, strict=True):
            bound = ENGINE_BOUND * float(expected[level].abs().max())
            torch.testing.assert_close(torch.from_numpy(vectors), expected[level], rtol=0, atol=bound)


def test_the_graph_of_a_backbone_is_plain_onnx(loaded):
    """One input, the operators of opset 17, and the same bytes again."""
    exported = to_onnx(loaded)
    model = onnx.load_from_string(exported)
    onnx.checker.check_model(model)
    assert [one.name for one in model.graph.input] == ["pictures"]
    assert {one.domain: one.version for one in model.opset_import} == {"": 17}
    assert to_onnx(loaded) == exported


def test_what_cannot_be_converted_is_named(loaded, monkeypatch):
    """What torch's exporter raises becomes one error; a network that an engine runs has nothing to trace."""
    with pytest.raises(DataError, match="mobilenet_v2 already runs on onnxruntime"):
        to_onnx(run_on(loaded, "onnxruntime", batch_size=2, threads=1))

    def fail(*args, **options):
        msg = "no such\noperation"
        raise RuntimeError(msg)

    monkeypatch.setattr(graphs.torch.onnx, "export", fail)
    with pytest.raises(DataError, match=r"mobilenet_v2 cannot be converted for ONNX \(RuntimeError: no such operation"):
        to_onnx(loaded)
