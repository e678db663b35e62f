"""One small fitted model, and a way to write crafted model files."""

import hashlib
import io
import json
import zipfile

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from fusionfer.persistence import Model, save_model

CREATED = "2026-01-01T00:00:00+00:00"


@pytest.fixture
def block():
    """Return a function that makes one entry of Model.blocks."""

    def make(backbone, level, dim, **key):
        record = {"path": f"/weights/{backbone}.pth"}
        return {"backbone": backbone, "level": level, "dim": dim, "key": key, "record": record}

    return make


@pytest.fixture
def data():
    """Ninety rows of five columns, three classes."""
    rng = np.random.default_rng(0)
    y = np.repeat(["anger", "fear", "joy"], 30)
    return rng.normal(size=(90, 5)) + np.arange(3).repeat(30)[:, None], y


@pytest.fixture
def make_model(data, block):
    """Return a function that fits any classifier and wraps it."""

    def make(estimator=None, **changes):
        estimator = (LogisticRegression() if estimator is None else estimator).fit(*data)
        preprocess = {"size": 48, "pad": 1}
        blocks = {
            "resnet34:logits": block("resnet34", "logits", 2, preprocess=preprocess, weights_sha256="aa"),
            "resnet50:logits": block("resnet50", "logits", 3, preprocess=preprocess, weights_sha256="bb"),
        }
        facts = {"blocks": blocks, "classes": ("anger", "fear", "joy"), "created": CREATED}
        return Model(**{"estimator": estimator, **facts, **changes})

    return make


@pytest.fixture
def saved(make_model, tmp_path):
    """A saved model."""
    return save_model(make_model(), tmp_path / "model.fusionfer")


@pytest.fixture
def rewrite(saved, tmp_path):
    """Return a function that copies the saved model with other members or another manifest, hashes made to fit."""

    def change(manifest=None, *, members=None, fit=True, compression=zipfile.ZIP_STORED):
        with zipfile.ZipFile(saved) as archive:
            content = {name: archive.read(name) for name in archive.namelist()} | (members or {})
        text = json.loads(content.pop("model.json"))
        if fit:
            text["members"] = {
                name: {"sha256": hashlib.sha256(stored).hexdigest(), "bytes": len(stored)}
                for name, stored in content.items()
            }
        text |= manifest or {}
        path = tmp_path / "changed.fusionfer"
        with zipfile.ZipFile(path, "w", compression) as archive:
            for name, stored in {"model.json": json.dumps(text).encode(), **content}.items():
                archive.writestr(name, stored)
        return path

    return change


@pytest.fixture
def skops_file():
    """Return a function that makes the bytes of a skops file from a hand-written schema."""

    def make(schema, protocol=2, **members):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("schema.json", json.dumps({**schema, "protocol": protocol, "_skops_version": "0.16"}))
            for name, stored in members.items():
                archive.writestr(name, stored)
        return buffer.getvalue()

    return make
