"""--set: what a value means, and which head it is for."""

import math

import click
import pytest

from fusionfer.cli.settings import Setting, params_of_heads, read_value
from fusionfer.exceptions import UnknownNameError
from fusionfer.heads import HEADS, Head


@pytest.fixture(autouse=True)
def _listed(monkeypatch):
    """Two heads that share a parameter, one with an alias."""
    monkeypatch.setitem(HEADS, "logit", Head("logit", "x", "sklearn.linear_model:LogisticRegression", ("lr",)))
    monkeypatch.setitem(HEADS, "svc", Head("svc", "x", "sklearn.svm:SVC"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4", 4),
        ("-0.5", -0.5),
        ("1e-3", 1e-3),
        ("1_000", 1000),
        ("True", True),
        ("false", False),
        ("NONE", None),
        ("inf", math.inf),
        ("'none'", "none"),
        ('"4"', "4"),
        ("auto", "auto"),
        (" balanced ", "balanced"),
        ("a=b", "a=b"),
        ("(1, 2)", (1, 2)),
        ("{'happy': 2.0}", {"happy": 2.0}),
        ("", ""),
        ("one two", "one two"),
        ("__import__('os').getcwd()", "__import__('os').getcwd()"),
        ("(" * 500, "(" * 500),
        ("{[]: 1}", "{[]: 1}"),
    ],
)
def test_values(text, value):
    """Literals of Python, a few words in any case, else the text; nothing is executed, nothing fails."""
    found = read_value(text)
    assert found == value
    assert type(found) is type(value)


def test_for_every_head_that_has_it_and_for_one():
    """A plain name goes to those that have it; a head's own comes first, in whatever order; the last one counts."""
    settings = [
        Setting("lr", "C", 3.0),
        Setting(None, "C", 2.0),
        Setting(None, "kernel", "poly"),
        Setting(None, "kernel", "rbf"),
    ]
    assert params_of_heads(settings, ["logit", "svc"]) == {"logit": {"C": 3.0}, "svc": {"C": 2.0, "kernel": "rbf"}}
    assert params_of_heads(settings[:2], ["lr"]) == {"logit": {"C": 3.0}}
    assert params_of_heads([], ["no such head"]) == {}  # fit says that


def test_a_parameter_that_no_head_has():
    """All that are known, and the closest."""
    with pytest.raises(UnknownNameError, match=r"^Unknown parameter of logit and svc: 'kernal'\. .*mean 'kernel'\?$"):
        params_of_heads([Setting(None, "kernal", "rbf")], ["logit", "svc"])


def test_yes_or_no():
    """Where the head takes true or false, a word that Python would take for true is wrong usage."""
    assert params_of_heads([Setting(None, "shrinking", False)], ["svc"]) == {"svc": {"shrinking": False}}
    with pytest.raises(click.UsageError, match=r"--set shrinking=no: svc takes true or false for shrinking\."):
        params_of_heads([Setting(None, "shrinking", "no")], ["svc"])


def test_a_head_that_is_not_fitted_or_does_not_exist():
    """A setting for a head without --head would be lost: wrong usage."""
    with pytest.raises(click.UsageError, match=r"--set svc\.C: svc is not among the heads of this fit \(logit\); name"):
        params_of_heads([Setting("svc", "C", 1)], ["logit"])
    with pytest.raises(UnknownNameError, match=r"Unknown head 'svcc'.*Did you mean 'svc'"):
        params_of_heads([Setting("svcc", "C", 1)], ["logit"])
