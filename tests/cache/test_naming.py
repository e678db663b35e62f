"""Block names mean one file, or an error tells the names to type."""

import pytest

from fusionfer.cache import key8
from fusionfer.exceptions import UnknownNameError


@pytest.fixture
def three(cache, toolkit):
    """Two weight sets of one name and another one, of the same backbone and level."""
    rows = toolkit.rows(["a.png"])
    keys = [{"weights_sha256": digit * 64} for digit in "abc"]
    names = ["imagenet", "imagenet", "mine"]
    return [
        toolkit.extract(cache, rows, key=key, record={"weights": {"name": name}}).path
        for key, name in zip(keys, names, strict=True)
    ]


def test_shortest_unique_names(cache, three):
    """Weights where they help, the file's key where two weights have one name."""
    by_key = ["resnet34:logits@" + path.name.split(".")[-2] for path in three[:2]]
    assert cache.blocks() == {by_key[0]: three[0], by_key[1]: three[1], "resnet34:logits@mine": three[2]}


@pytest.mark.parametrize("spec", ["resnet34:logits@mine", "resnet34:logits@cccc", "resnet34:logits@" + "C" * 64])
def test_weights_by_name_or_hash(cache, three, spec):
    """The name, a prefix of the hash, and the whole hash in any case."""
    assert cache.resolve(spec) == three[2]


def test_by_key(cache, three, toolkit):
    """The first 8 digits in the file's name are enough."""
    key = key8({"weights_sha256": "a" * 64, "backbone": "resnet34", "level": "logits", "dim": toolkit.dim})
    assert cache.resolve(f"resnet34:logits@{key}") == three[0]


@pytest.mark.parametrize("spec", ["resnet34:logits", "resnet34:logits@imagenet"])
def test_ambiguous_names_list_what_to_type(cache, three, spec):
    """Each name in the message resolves."""
    with pytest.raises(UnknownNameError, match=r"is ambiguous\. Type one of: ") as caught:
        cache.resolve(spec)
    names = str(caught.value).split("one of: ")[1].rstrip(".").split(", ")
    assert len(names) == (3 if spec == "resnet34:logits" else 2)
    assert {cache.resolve(name) for name in names} <= set(three)


@pytest.mark.parametrize(
    "spec", ["resnet34:logit", "resnet34", "resnet34:logits@", "resnet34:logits@aaa", "", "@", ":"]
)
def test_unknown_names_list_the_known(cache, three, spec):
    """Too short a prefix of a hash is no name."""
    with pytest.raises(UnknownNameError, match=r"Unknown block .* Known blocks: resnet34:logits@"):
        cache.resolve(spec)
