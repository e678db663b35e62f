"""The mend for torchvision's missing operators: needed ones are declared, nothing is done otherwise."""

import importlib

import pytest

from fusionfer.networks import _vision


def test_torchvision_imports_and_its_models_run():
    """Whatever torch is installed, the import succeeds and a model gives an output."""
    torch = pytest.importorskip("torch")
    vision = _vision.import_torchvision()
    with torch.inference_mode():
        assert vision.models.resnet18(weights=None).eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 1000)


def test_nothing_is_declared_when_the_import_succeeds(monkeypatch):
    """With an import that works at once the mend leaves torch's registry alone."""
    monkeypatch.setattr(importlib, "import_module", lambda name: name)
    monkeypatch.setattr(_vision, "_declared", [])
    assert _vision.import_torchvision() == "torchvision"
    assert _vision._declared == []


def test_missing_operators_are_declared_one_by_one(monkeypatch):
    """Fault 31: each operator that the error names is declared, and the import is tried again."""
    answers = iter(["nms", "qnms", None])
    declared = []

    def importer(name):
        missing = next(answers)
        if missing:
            msg = f"operator torchvision::{missing} does not exist"
            raise RuntimeError(msg)
        return name

    class Library:
        def __init__(self, *args):
            assert args == ("torchvision", "FRAGMENT")

        def define(self, schema):
            declared.append(schema.partition("(")[0])

    monkeypatch.setattr(importlib, "import_module", importer)
    monkeypatch.setattr(_vision.torch.library, "Library", Library)
    assert _vision.import_torchvision() == "torchvision"
    assert declared == ["nms", "qnms"]


def test_other_errors_of_the_import_pass_through(monkeypatch):
    """An operator that is not known to be harmless, or any other error, is not hidden."""

    def importer(name):
        msg = "operator torchvision::strange does not exist"
        raise RuntimeError(msg)

    monkeypatch.setattr(importlib, "import_module", importer)
    with pytest.raises(RuntimeError, match="torchvision::strange"):
        _vision.import_torchvision()
