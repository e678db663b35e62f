"""One root, every error also a builtin, and names that are suggested."""

import ast
import inspect
from pathlib import Path

import pytest

from fusionfer import exceptions
from fusionfer.exceptions import FusionferError, FusionferWarning, UnknownNameError, unknown_name

CLASSES = [getattr(exceptions, name) for name in exceptions.__all__ if inspect.isclass(getattr(exceptions, name))]
ERRORS = [cls for cls in CLASSES if not issubclass(cls, Warning) and cls is not FusionferError]
SOURCES = sorted(path for room in ("fusionfer", "cli") for path in (Path(__file__).parents[1] / room).rglob("*.py"))


@pytest.mark.parametrize("error", ERRORS)
def test_every_error_has_the_root_and_is_a_builtin(error):
    """`except FusionferError` catches all, `except ValueError` and the like work as Python users expect."""
    assert issubclass(error, FusionferError)
    builtins = [cls for cls in error.__mro__ if cls.__module__ == "builtins"]
    assert set(builtins) - {Exception, BaseException, object}


@pytest.mark.parametrize("cls", CLASSES)
def test_every_class_says_what_it_is(cls):
    """One sentence each."""
    assert cls.__doc__.strip().endswith((".", "purpose."))
    assert "\n" not in cls.__doc__.strip()


def test_warnings_have_one_root():
    """They can be filtered together."""
    warnings = [cls for cls in CLASSES if issubclass(cls, Warning)]
    assert warnings
    assert all(issubclass(cls, FusionferWarning) for cls in warnings)


def test_all_is_complete_and_sorted():
    """What is public is listed, once."""
    defined = {n for n, v in vars(exceptions).items() if getattr(v, "__module__", "") == exceptions.__name__}
    assert set(exceptions.__all__) == {name for name in defined if not name.startswith("_")}
    assert exceptions.__all__ == sorted(exceptions.__all__, key=lambda name: (name.islower(), name))


@pytest.mark.parametrize(
    ("name", "close"),
    [("ecco", "ecoc"), ("SVM", "svm"), ("xgb_wn", "xgb-wn"), ("zzz", None), ("", None)],
)
def test_the_closest_name_is_suggested(name, close):
    """Letters swapped, other case, another dash; nothing where nothing is near."""
    error = unknown_name("head", name, ["svm", "ecoc", "xgb-wn"])
    assert isinstance(error, UnknownNameError)
    assert str(error).startswith(f"Unknown head {name!r}. Known heads: ecoc, svm, xgb-wn.")
    assert str(error).endswith(f"Did you mean {close!r}?" if close else "xgb-wn.")


def test_an_empty_list_says_none():
    """Nothing known is no empty sentence."""
    assert str(unknown_name("class", "x", [], plural="classes")) == "Unknown class 'x'. Known classes: none."


def test_nothing_is_caught_bare():
    """No `except:`, and an `except BaseException` only cleans up and raises again: neither may swallow Ctrl-C."""
    found = [
        f"{path.name}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id == "BaseException"))
        and not (node.type is not None and isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None)
    ]
    assert found == []
