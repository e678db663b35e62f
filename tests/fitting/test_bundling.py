"""weight_paths: one file a backbone, or none."""

import pytest

from fusionfer.exceptions import ModelError
from fusionfer.fitting import fit, weight_paths


def test_weight_paths(make_features, tmp_path):
    """A file per backbone where there is one, none for seeds; a missing file says which block needs it."""
    from dataclasses import replace

    path = tmp_path / "w.pth"
    path.write_bytes(b"w")
    model = fit(make_features(), cv=3).model
    name, block = next(iter(model.blocks.items()))

    def with_weights(weights):
        return replace(model, blocks={**model.blocks, name: {**block, "record": {"weights": weights}}})

    others = {n: {**b, "record": {"weights": {"seed": 0}}} for n, b in model.blocks.items() if n != name}
    model = replace(model, blocks={name: block, **others})
    assert weight_paths(with_weights({"path": str(path), "seed": None}).blocks) == {block["backbone"]: str(path)}
    assert weight_paths(with_weights({"path": None, "seed": 3}).blocks) == {}
    path.unlink()
    with pytest.raises(ModelError, match=rf"The weights of {name} cannot be bundled: {path} is not there"):
        weight_paths(with_weights({"path": str(path), "seed": None}).blocks)


def test_weights_of_one_backbone_that_differ_cannot_be_bundled(tmp_path):
    """A model holds one file for each backbone: two are refused, by name; two levels of the same weights are fine."""

    def block(sha256, weights):
        key = {"backbone": "resnet34", "weights_sha256": sha256}
        return {"backbone": "resnet34", "level": "x", "dim": 1, "key": key, "record": {"weights": weights}}

    paths = [tmp_path / name for name in ("one.pth", "two.pth")]
    for path in paths:
        path.write_bytes(b"w")
    one, two = (block(path.stem, {"path": str(path), "seed": None}) for path in paths)
    assert weight_paths({"a": one, "b": one}) == {"resnet34": str(paths[0])}
    for other in (two, block("three", {"path": None, "seed": 3})):
        for blocks in ({"a": one, "b": other}, {"a": other, "b": one}):
            with pytest.raises(ModelError, match=r"^a and b are of one backbone, resnet34, with different weights: .*"):
                weight_paths(blocks)
