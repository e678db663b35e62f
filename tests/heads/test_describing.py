"""Descriptions: read from numpydoc docstrings, of parents too, one sentence a parameter."""

import pytest

from fusionfer.exceptions import UnknownNameError
from fusionfer.heads import HEADS, Head
from fusionfer.heads._describing import _documented, _first_sentence, describe_head


class Parent:
    """A parent.

    Parameters
    ----------
    C : float
        Cost, e.g. 1. The larger, the weaker the penalty.
    a, b : int or None
        Bounds [1]_, both included

        and nothing else.

    Attributes
    ----------
    coef_ : ndarray
        Not a parameter.
    """


class Child(Parent):
    """A child that says one thing anew, and has no other section.

    Parameters
    ----------
    C : {"auto", float}
        Chosen by folds:

        - one
    """


def test_parents_are_read_and_overruled():
    """What the child does not say stands with the parent; kinds and several names at once are kept apart."""
    assert _documented(Child) == {
        "C": ('{"auto", float}', "Chosen by folds:"),
        "a": ("int or None", "Bounds, both included"),
        "b": ("int or None", "Bounds, both included"),
    }
    assert _documented(Parent)["C"] == ("float", "Cost, e.g. 1")
    assert _documented(int) == {}


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("    One. Two.", "One"),
        ("    Over\n    lines. `x` follows.", "Over lines"),
        ("    At 0.5 it ends", "At 0.5 it ends"),
        ("    Such as i.e. This. That.", "Such as i.e. This"),
        ("    Text.\n\n    .. versionadded:: 1", "Text"),
        ("", ""),
    ],
)
def test_first_sentence(body, sentence):
    """It ends at a full stop before a new sentence, at a blank line, a list or a directive."""
    assert _first_sentence(body) == sentence


def test_order_and_defaults_are_those_of_the_constructor(monkeypatch):
    """Names sort as in the signature, not as in get_params."""
    entry = Head("lr", "x", "sklearn.linear_model:LogisticRegression", ("logit",), {"C": (0.1, 1.0)})
    monkeypatch.setitem(HEADS, "lr", entry)
    found = describe_head("logit")
    assert (found.name, found.aliases, found.search) == ("lr", ("logit",), {"C": [0.1, 1.0]})
    names = [one.name for one in found.parameters]
    assert names.index("C") < names.index("tol") < names.index("random_state") < names.index("solver")
    assert next(one.default for one in found.parameters if one.name == "tol") == 1e-4


def test_an_unknown_head():
    """The closest match."""
    with pytest.raises(UnknownNameError, match=r"Unknown head 'ecco'.*'ecoc'"):
        describe_head("ecco")
