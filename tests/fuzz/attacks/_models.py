"""Models: pickles, foreign types, members that leave the archive or swell."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile

from attacks._registry import HARM, Harm, attack


def good_model(path):
    """A model that `load_model` reads."""
    from sklearn.linear_model import LogisticRegression

    from fusionfer.persistence import Model, save_model

    block = {"backbone": "resnet34", "level": "logits", "dim": 1, "key": {}, "record": {}}
    blocks, classes = {"resnet34:logits": block}, ("a", "b")
    estimator = LogisticRegression().fit([[0.0], [1.0]], ["a", "b"])
    save_model(Model(estimator, blocks, classes, {}, {}, {}, "2026-11-20T00:00:00+00:00", {}), path)


def rewritten(path, change):
    """Write a model anew with changed members (name -> bytes), its list of hashes brought up to date."""
    import hashlib

    good_model(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members["model.json"])
    change(members, manifest)
    for name in manifest["members"]:
        stored = members.get(name, b"")
        manifest["members"][name] = {"sha256": hashlib.sha256(stored).hexdigest(), "bytes": len(stored)}
    members["model.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


@attack("model", "m.fusionfer", "run code when it is unpickled (fault 22)", "looks like a pickle or joblib file")
def pickled_model(path):
    path.write_bytes(pickle.dumps(Harm(path)))


@attack("model", "m.fusionfer", "name os.system in skops' own format (fault 22)", "types that fusionfer does not know")
def skops_system(path):
    node = {
        "__class__": "system", "__module__": "posix", "__loader__": "FunctionNode", "__id__": 1,
        "content": {"module_path": "posix", "function": "system"},
    }  # fmt: skip
    schema = {**node, "protocol": 2, "_skops_version": "0.12"}

    def change(members, _manifest):
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w") as archive:
            archive.writestr("schema.json", json.dumps(schema))
        members["estimator.skops"] = target.getvalue()

    rewritten(path, change)


@attack("model", "m.fusionfer", "have a member written outside (fault 22)", "is no fusionfer model, but a zip")
def model_traversal(path):
    good_model(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../" + HARM, "x")


@attack("model", "m.fusionfer", "unpack to gigabytes", "members repeat, are compressed, or are too large")
def model_bomb(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.json", b"[" * 50_000_000)


@attack("model", "m.fusionfer", "exhaust the stack by its manifest", "model.json is not JSON")
def deep_manifest(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.json", b"[" * 1_000_000)
        archive.writestr("estimator.skops", b"")


@attack("model", "m.fusionfer", "have numbers where texts belong", "is damaged")
def mistyped_manifest(path):
    rewritten(path, lambda _members, manifest: manifest["weights"].update(a=["x"]))


@attack("model", "m.fusionfer", "let the reader wait for ever", "There is no model")
def model_pipe(path):
    os.mkfifo(path)
