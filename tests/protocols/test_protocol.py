"""Protocols are read strictly, and those that fusionfer brings are whole."""

import json
import re
from dataclasses import fields
from importlib.resources import files

import pytest

from fusionfer.exceptions import DataError, UnknownNameError
from fusionfer.heads import find_head
from fusionfer.protocols import PROTOCOLS, Protocol, change_protocol, read_protocol
from fusionfer.training import read_recipe


def written(folder, text):
    """Return the path of a protocol of one's own."""
    path = folder / "mine.toml"
    path.write_text("version = 1\n" + text)
    return path


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_that_is_brought_is_whole(name):
    """It says what it does and after whom, names a head or a recipe that exists, and is JSON."""
    protocol = read_protocol(name)
    assert protocol.name == name
    assert protocol.summary
    assert protocol.paper
    assert protocol.claim.where
    assert find_head(protocol.head.name)
    if protocol.network.recipe:
        assert read_recipe(protocol.network.recipe)
    assert json.loads(json.dumps(protocol.describe()))["version"] == 1


def test_all_files_are_listed():
    """A file that is not in PROTOCOLS, or a name without a file, is an oversight."""
    there = {path.name.removesuffix(".toml") for path in (files("fusionfer.protocols") / "files").iterdir()}
    assert there == {name.replace("/", "-") for name in PROTOCOLS}


def test_what_is_published_is_written_down():
    """The five papers' protocols say what the issue tells of them."""
    singh = read_protocol("singh-mandloi-2025")
    assert (singh.augmentation.when, singh.split.parts, singh.split.groups) == ("before-split", "70/30", "ignore")
    assert (singh.head.name, singh.choice.by, singh.claim.accuracy) == ("ecoc", "test", 98.19)
    malik = read_protocol("malik-2025")
    assert (malik.cleaning.non_faces, malik.split.how) == ("remove", "released")
    assert malik.split.test == ("validation", "test")
    multi = read_protocol("multilevel-xgb")
    assert (multi.split.parts, multi.features.backbones, multi.features.level) == ("80/20", ("resnet50",), "multi")
    assert multi.head.name == "xgb-wn"
    praveen = read_protocol("praveen-2025")
    assert praveen.data.labels == "ferplus"
    assert read_recipe(praveen.network.recipe).average
    assert read_protocol("ckplus/random-80-20").split.groups == "ignore"
    assert read_protocol("ckplus/subject-10fold").split.groups == "respect"


def test_a_file_says_what_differs_from_the_defaults(tmp_path):
    """What a file does not name keeps its default; its name is that of the file; changes come on top."""
    path = written(tmp_path, '[head]\nname = "softmax"\n[features]\nsize = 48\n')
    protocol = read_protocol(path, **{"features.size": 64, "features.backbones": "resnet34"})
    assert (protocol.name, protocol.head.name, protocol.features.size) == ("mine", "softmax", 64)
    assert protocol.features.backbones == ("resnet34",)
    assert protocol.split == Protocol().split


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[split]\nhow = "random"', "split.how must be released or draw or folds, got 'random'"),
        ("[split]\nfolds = 1", "split.folds must be a whole number from 2 to 1000, got 1"),
        ("[split]\nfolds = 2.5", "split.folds must be a whole number from 2 to 1000, got 2.5"),
        ('[split]\nparts = "70/20"', "split.parts must be two percentages that sum to 100"),
        ('[split]\nparts = "70/15/15"', "split.parts must be two percentages that sum to 100"),
        ('[split]\ntrain = ["train", "test"]', "split.train and split.test both name test"),
        ('[split]\ntrain = ["training"]', "split.train must be a list of names among train, validation, test"),
        ('[split]\ngroups = "ignore"', "split.groups = 'ignore' is for splits that are drawn"),
        (
            '[cleaning]\ncopies = "apart"\n[split]\nhow = "draw"\ngroups = "ignore"',
            "cleaning.copies = 'apart' needs split.groups = 'respect'",
        ),
        ("[features]\nbackbones = []", "features.backbones must be a list of names"),
        ("[head]\nname = 3", "head.name must be a text, got 3"),
        ("[claim]\naccuracy = 120", "claim.accuracy must be a number from 0 to 100, got 120"),
        ("split = 1", "split must be a table, such as [split]"),
        ("summary = 1", "summary must be a text, got 1"),
        ('[network]\nrecipe = "malik-2025"\n[split]\nhow = "folds"', "a network is not trained in folds"),
        ('[network]\nrecipe = "malk-2025"', "network.recipe: Unknown recipe 'malk-2025'"),
    ],
)
def test_values_that_are_not_allowed(tmp_path, text, message):
    """Each is named with what is allowed and what came."""
    with pytest.raises(DataError, match=re.escape(message)):
        read_protocol(written(tmp_path, text))


def test_all_complaints_come_at_once(tmp_path):
    """Two faults, one error."""
    with pytest.raises(DataError, match=r"(?s)head\.name must be.*split\.folds must be"):
        read_protocol(written(tmp_path, "[head]\nname = 3\n[split]\nfolds = 0"))


def test_unknown_names_have_a_closest_match(tmp_path):
    """Protocols, sections and keys."""
    with pytest.raises(UnknownNameError, match="Did you mean 'malik-2025'"):
        read_protocol("malik2025")
    with pytest.raises(UnknownNameError, match="Did you mean 'split'"):
        read_protocol(written(tmp_path, "[splits]\nfolds = 3"))
    with pytest.raises(UnknownNameError, match=re.escape("Did you mean 'split.folds'")):
        read_protocol(written(tmp_path, "[split]\nfold = 3"))
    with pytest.raises(UnknownNameError, match=re.escape("key of a protocol 'size'")):
        change_protocol(Protocol(), {"size": 48})


def test_files_that_are_no_protocols(tmp_path):
    """Missing, no TOML, without or with another version: each is told."""
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_protocol(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("a = = 1")
    with pytest.raises(DataError, match="is no TOML"):
        read_protocol(tmp_path / "bad.toml")
    for text in ("", "version = 2", 'version = "1"'):
        (tmp_path / "bad.toml").write_text(text)
        with pytest.raises(DataError, match="must say version = 1"):
            read_protocol(tmp_path / "bad.toml")


def test_every_key_says_what_it_is():
    """Each key has a sentence, of which the page of protocols makes its table."""
    for section in fields(Protocol):
        value = getattr(Protocol(), section.name)
        if not isinstance(value, str):
            assert all(one.metadata["what"] for one in fields(value)), section.name
