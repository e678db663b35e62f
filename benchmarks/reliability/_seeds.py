"""Good files of every kind that fusionfer reads, the readers, and what counts as the same result."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fusionfer.exceptions import FusionferError

__all__ = ["SEEDS", "Seed", "sound_png"]


@dataclass(frozen=True)
class Seed:
    """One kind of file.

    Attributes
    ----------
    make : callable
        Returns the bytes of a good file.
    read : callable
        Takes the path of a file and returns something that ``==`` compares, or raises an error of fusionfer.
    name : str
        What the file is called; readers go by endings.
    mend : callable, optional
        What is done to changed bytes lest a checksum hide what lies behind it.
    """

    make: Callable[[], bytes]
    read: Callable[[Path], Any]
    name: str
    mend: Callable[[bytes], bytes] = bytes


def picture() -> np.ndarray:
    """A small picture with some structure; uint8, shape (24, 20, 3)."""
    rng = np.random.default_rng(0)
    return np.kron(rng.integers(0, 255, (6, 5, 3)), np.ones((4, 4, 1))).astype(np.uint8)


def feature_file() -> bytes:
    """A finished cache of 40 rows in 5 blocks, one of them failed."""
    import tempfile

    from fusionfer.cache import CacheFolder, RowTable

    rng = np.random.default_rng(0)
    ids = np.array([f"p{i // 4}/{'happy' if i % 2 else 'sad'}/{i:02d}.png" for i in range(40)])
    labels = np.array(["sad", "happy"] * 20)
    splits = np.array(["train"] * 30 + ["test"] * 10)
    digests = np.array([bytes(rng.integers(0, 256, 32, dtype=np.uint8)).hex() for _ in range(40)])
    rows = RowTable(ids, labels, splits, np.array([f"p{i // 4}" for i in range(40)]), digests)
    X = rng.normal(size=(40, 6)).astype(np.float32)
    with tempfile.TemporaryDirectory() as scratch:
        folder = CacheFolder(scratch)
        record = {"weights": {"name": "imagenet", "trained_on": digests[:9].tolist()}, "device": "cpu"}
        with folder.lock():
            job = folder.prepare("resnet34", "logits", 6, key={"size": 48}, record=record, rows=rows, block_rows=8)
            for start in range(0, 40, 8):
                done = np.arange(start, start + 8) != 13
                failed = {13 - start: "no picture: zero bytes"} if not done.all() else {}
                job.commit(start, X[start : start + 8], done, failed)
            job.finish()
        return job.path.read_bytes()


def read_cache(path: Path) -> dict[str, Any]:
    """Everything of a cache that anything is computed from, after its checksums were compared."""
    from fusionfer.cache import describe, read_feature_file, refuse_damaged

    stored = read_feature_file(path)
    refuse_damaged(stored)
    out = np.empty((len(stored.rows), stored.dim), np.float32)
    stored.copy_into(out)
    rows = stored.rows
    described = describe(path)
    assert described.intact
    return {
        "X": np.array(stored.X).tobytes(),
        "copy": out.tobytes(),
        "state": stored.state.tobytes(),
        "rows": [getattr(rows, name).tolist() for name in ("ids", "labels", "splits", "groups", "digests")],
        "reasons": stored.reasons,
        "key": stored.key,
        "record": stored.record,
        "names": (stored.backbone, stored.level, stored.dim, stored.layout.block_rows),
        "notes": (described.created, described.written_by),
    }


def model() -> bytes:
    """A saved model around a logistic regression."""
    import tempfile

    from fusionfer.persistence import Model, save_model

    block = {"backbone": "resnet34", "level": "logits", "dim": 4, "key": {"size": 48}, "record": {}}
    with tempfile.TemporaryDirectory() as scratch:
        made = Model(
            estimator=classifier(),
            blocks={"resnet34:logits": block},
            classes=("happy", "sad"),
            selection={},
            training={},
            versions={},
            created="2026-11-20T00:00:00+00:00",
            weights={},
        )
        return save_model(made, Path(scratch, "m.fusionfer")).read_bytes()


def classifier() -> Any:
    """A fitted logistic regression behind a scaler."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X = np.random.default_rng(0).normal(size=(20, 4))
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(X, ["happy", "sad"] * 10)


def read_model(path: Path) -> Any:
    """Coefficients of the model, and what it says of itself."""
    from fusionfer.persistence import describe_model, load_model

    if not describe_model(path)["intact"]:
        msg = "a member is damaged"
        raise FusionferError(msg)
    found = load_model(path)
    return found.estimator[-1].coef_.tobytes(), found.classes, found.blocks


@cache
def members() -> dict[str, bytes]:
    """Name -> content of the members of a stored estimator."""
    from fusionfer.persistence._estimators import dump_estimator

    with zipfile.ZipFile(io.BytesIO(dump_estimator(classifier())[0])) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def estimator() -> bytes:
    """The schema of a stored estimator: what decides which types are built."""
    return members()["schema.json"]


def read_estimator(path: Path) -> Any:
    """Build an estimator whose schema is the file's content, with the arrays of the good one."""
    from fusionfer.persistence._estimators import load_estimator

    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as crafted:
        for name, content in {**members(), "schema.json": path.read_bytes()}.items():
            crafted.writestr(name, content)
    return type(load_estimator(target.getvalue(), path.name)).__name__


def encoded(suffix: str) -> Callable[[], bytes]:
    """Return a function that gives `picture` in a format of OpenCV."""

    def make() -> bytes:
        done, stored = cv2.imencode(suffix, picture())
        assert done
        return stored.tobytes()

    return make


def sound_png(content: bytes) -> bytes:
    """Return a PNG whose chunks have the checksums of their content, as far as there are whole chunks."""
    mended, at = bytearray(content), 8
    while at + 12 <= len(mended):
        end = at + 8 + int.from_bytes(mended[at : at + 4], "big")
        if end + 4 > len(mended):
            break
        struct.pack_into(">I", mended, end, zlib.crc32(mended[at + 4 : end]))
        at = end + 4
    return bytes(mended)


def read_picture(path: Path) -> Any:
    """Decode a picture of at most a million pixels."""
    from fusionfer.images import decode_image

    pixels = decode_image(path.read_bytes(), max_pixels=1_000_000)
    return pixels.shape, pixels.tobytes()


def archive() -> bytes:
    """A zip with six pictures in class folders, half of them deflated."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as zipped:
        for i in range(6):
            method = zipfile.ZIP_DEFLATED if i % 2 else zipfile.ZIP_STORED
            zipped.writestr(f"train/{'happy' if i % 2 else 'sad'}/{i}.png", encoded(".png")(), method)
    return target.getvalue()


def read_set(path: Path) -> Any:
    """Read a data set, and each picture of it that there is."""
    from fusionfer.images import read_faces

    faces = read_faces(path, on_error="skip")
    hashes = []
    for i in range(len(faces)):
        try:
            hashes.append(faces.load(i)[1])
        except FusionferError:
            hashes.append("unreadable")
    return faces.ids.tolist(), faces.labels.tolist(), faces.splits.tolist(), hashes


def manifest() -> bytes:
    """A manifest of pictures that lie beside it, with an escaped cell and one beyond ASCII."""
    return (
        'path,label,split,person\nseed.png,happy,train,"Müller, A"\n./seed.png,sad,test,B\n'
        'sub/../seed.png,"say ""hi""",val,\n'
    ).encode()


def fer2013() -> bytes:
    """Three rows of a fer2013.csv."""
    pixels = " ".join(str(i % 256) for i in range(48 * 48))
    return f"emotion,pixels,Usage\n0,{pixels},Training\n3,{pixels},PublicTest\n6,{pixels},PrivateTest\n".encode()


def tensors() -> dict[str, Any]:
    """A small state dict."""
    import torch

    torch.manual_seed(0)
    return dict(torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.BatchNorm1d(4)).state_dict())


def checkpoint(new: bool) -> Callable[[], bytes]:
    """Return a function that gives `tensors` as torch saves them now, or did before 1.6."""

    def make() -> bytes:
        import torch

        target = io.BytesIO()
        torch.save(tensors(), target, _use_new_zipfile_serialization=new)
        return target.getvalue()

    return make


def safetensors() -> bytes:
    """`tensors` as safetensors."""
    from safetensors.torch import save

    return save(tensors(), {"fusionfer": "{}"})


def read_weights(path: Path) -> Any:
    """Read a state dict."""
    from fusionfer.networks._weights import read_state_dict

    state = read_state_dict(path)
    return {name: (str(t.dtype), tuple(t.shape)) for name, t in state.tensors.items()}


def network_file() -> bytes:
    """A checkpoint of a trained network, with everything that one says of itself."""
    import tempfile

    import torch

    from fusionfer.backbones import Preprocess
    from fusionfer.fusion import fingerprints
    from fusionfer.networks import CheckpointInfo, save_checkpoint

    torch.manual_seed(0)
    info = CheckpointInfo(
        "resnet34",
        ("happy", "sad"),
        Preprocess(48),
        stem="small",
        recipe={"epochs": 3},
        metrics={"accuracy": 0.5, "history": [{"rate": 0.1}]},
        data={"name": "faces", "split": "train", "n": 40},
        trained_on=fingerprints(["a", "b"]),
        selected_on=fingerprints(["c"]),
    )
    with tempfile.TemporaryDirectory() as scratch:
        return save_checkpoint(Path(scratch, "n.safetensors"), torch.nn.Linear(5, 4), info).read_bytes()


def read_network(path: Path) -> Any:
    """Read what a checkpoint says, and its weights."""
    from fusionfer.networks import read_checkpoint

    info, state = read_checkpoint(path)
    return info, {name: (str(t.dtype), t.numpy().tobytes()) for name, t in state.tensors.items()}


def recipe() -> bytes:
    """A recipe of one's own."""
    return b'# mine\nnetworks = ["resnet34"]\nsize = 48\nflip = 0.5\nepochs = 3\n\n[sgdm]\nrate = 0.1\n'


def read_recipe(path: Path) -> Any:
    """Read a recipe, strictly."""
    from fusionfer.training import read_recipe

    return read_recipe(path).describe()


def training_state() -> bytes:
    """What an interrupted training leaves, as torch saves it."""
    import torch

    target = io.BytesIO()
    torch.save({"state_dict": tensors(), "best": tensors(), "history": [{"rate": 0.1}], "epoch": 1}, target)
    return target.getvalue()


def read_training_state(path: Path) -> Any:
    """Read what an interrupted training left."""
    from fusionfer.training._fitting import read_state

    found = read_state(path)
    return sorted(map(str, found)), str(found["history"])


SEEDS = {
    "cache": Seed(feature_file, read_cache, "seed.h5"),
    "model": Seed(model, read_model, "seed.fusionfer"),
    "estimator": Seed(estimator, read_estimator, "schema.json"),
    "zip": Seed(archive, read_set, "seed.zip"),
    "manifest": Seed(manifest, read_set, "manifest.csv"),
    "fer2013": Seed(fer2013, read_set, "fer2013.csv"),
    "png": Seed(encoded(".png"), read_picture, "seed.png", sound_png),
    "jpeg": Seed(encoded(".jpg"), read_picture, "seed.jpg"),
    "bmp": Seed(encoded(".bmp"), read_picture, "seed.bmp"),
    "gif": Seed(encoded(".gif"), read_picture, "seed.gif"),
    "webp": Seed(encoded(".webp"), read_picture, "seed.webp"),
    "tiff": Seed(encoded(".tiff"), read_picture, "seed.tiff"),
    "pnm": Seed(encoded(".ppm"), read_picture, "seed.ppm"),
    "pth": Seed(checkpoint(True), read_weights, "seed.pth"),
    "old pth": Seed(checkpoint(False), read_weights, "seed.pth"),
    "safetensors": Seed(safetensors, read_weights, "seed.safetensors"),
    "network": Seed(network_file, read_network, "seed.safetensors"),
    "recipe": Seed(recipe, read_recipe, "seed.toml"),
    "training state": Seed(training_state, read_training_state, "last.ckpt"),
}
