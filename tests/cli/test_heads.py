"""``fusionfer heads``: every head, every parameter with default and one sentence, and what a search tries."""

import json
import re
import sys

import pytest

from fusionfer.heads import HEADS, Head, make_head


@pytest.fixture
def listed(monkeypatch):
    """A head of scikit-learn in the list, and one whose package is missing."""
    entry = Head("forest", "many trees", "sklearn.ensemble:RandomForestClassifier", ("rf",), {"max_depth": [2, None]})
    monkeypatch.setitem(HEADS, "forest", entry)
    monkeypatch.setitem(HEADS, "gone", Head("gone", "not here", "a_package_that_nobody_has:Head"))


def test_all_heads_are_listed(cli):
    """Name and summary in the first table, then a table for each with all parameters."""
    outcome = cli("heads")
    assert (outcome.code, outcome.err) == (0, "")
    for name, head in HEADS.items():
        assert re.search(rf"^ {name} .*{re.escape(head.summary)}$", outcome.out, re.MULTILINE)
        assert f"{name}: {head.summary}" in outcome.out


def test_one_head(cli, listed):
    """By name or alias: its parameters in the order of the constructor, defaults as Python writes them."""
    outcome = cli("heads", "rf")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert lines[0] == "forest: many trees"
    assert re.search(r"^ n_estimators +100 +The number of trees in the forest$", outcome.out, re.MULTILINE)
    assert re.search(r"^ criterion +'gini' +The function to measure the quality of a split$", outcome.out, re.MULTILINE)
    assert lines[-2] == "--search tries max_depth: 2, None"
    assert "ecoc" not in outcome.out


@pytest.mark.parametrize("name", HEADS)
def test_every_parameter_is_explained(cli, name):
    """The docstring of each of our heads says of every parameter what it does."""
    (found,) = json.loads(cli("heads", name, "--json").out).values()
    assert set(found["parameters"]) == set(make_head(name).get_params(deep=False))
    assert [key for key, one in found["parameters"].items() if not one["text"]] == []
    assert set(found["search"]) <= set(found["parameters"])


def test_json(cli, listed):
    """One object, the same facts; defaults that JSON cannot hold are written as Python writes them."""
    found = json.loads(cli("heads", "forest", "--json").out)["forest"]
    assert found["aliases"] == ["rf"]
    assert found["class"] == "sklearn.ensemble.RandomForestClassifier"
    assert found["search"] == {"max_depth": [2, None]}
    assert found["parameters"]["n_estimators"] == {
        "default": 100,
        "kind": "int, default=100",
        "text": "The number of trees in the forest",
    }


def test_a_package_that_is_missing(cli, listed):
    """Its head is listed with the reason, and the others all the same."""
    outcome = cli("heads", "gone", "forest")
    assert outcome.code == 0
    assert "gone: not to be used here (No module named 'a_package_that_nobody_has')." in outcome.out
    assert "n_estimators" in outcome.out
    assert "No module named" in json.loads(cli("heads", "gone", "--json").out)["gone"]["error"]


def test_a_module_of_ours_that_is_missing_is_a_bug(cli, monkeypatch):
    """And keeps its traceback."""
    monkeypatch.setitem(HEADS, "broken", Head("broken", "x", "fusionfer.heads._nowhere:Head"))
    with pytest.raises(ModuleNotFoundError, match="_nowhere"):
        cli("heads", "broken")


def test_an_unknown_head(cli):
    """The known ones and the closest match."""
    outcome = cli("heads", "ecco")
    assert outcome.code == 1
    assert re.search(r"Unknown head 'ecco'\. .* Did you mean 'ecoc'\?", outcome.error)


def test_heads_load_no_torch(cli):
    """Listing is quick: no network comes with it."""
    before = "torch" in sys.modules
    assert cli("heads").code == 0
    assert ("torch" in sys.modules) == before
