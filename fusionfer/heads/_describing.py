"""What a head can be set to, read from its docstring, so that lists of parameters cannot differ from the code."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import Any

from fusionfer.heads import find_head, make_head

__all__ = ["HeadDescription", "Parameter", "describe_head"]


@dataclass(frozen=True)
class Parameter:
    """One parameter of a head.

    Attributes
    ----------
    name : str
    default : object
        Its value in a new head.
    kind : str
        What may be given, as the docstring says it.
    text : str
        What it does, in one sentence; both are empty where the class does not document it.
    """

    name: str
    default: Any
    kind: str
    text: str


@dataclass(frozen=True)
class HeadDescription:
    """A head and its parameters.

    Attributes
    ----------
    name, summary : str
    aliases : tuple of str
    target : str
        Where the class is: ``module:Class``.
    parameters : tuple of Parameter
        In the order of the constructor.
    search : dict of str to list
        What ``search="default"`` tries.
    """

    name: str
    summary: str
    aliases: tuple[str, ...]
    target: str
    parameters: tuple[Parameter, ...]
    search: dict[str, list[Any]]


def describe_head(name: str) -> HeadDescription:
    """Describe a head by its name or alias.

    Parameters
    ----------
    name : str
        Of `fusionfer.heads.HEADS`.

    Returns
    -------
    HeadDescription

    Raises
    ------
    UnknownNameError
        If there is no such head.
    ModuleNotFoundError
        If it needs a package that is not installed.

    Examples
    --------
    >>> describe_head("ecoc").parameters[0].name
    'coding'
    """
    head = find_head(name)
    estimator = make_head(head.name)
    documented = _documented(type(estimator))
    values = estimator.get_params(deep=False)
    order = [key for key in inspect.signature(type(estimator)).parameters if key in values]
    parameters = tuple(Parameter(key, values[key], *documented.get(key, ("", ""))) for key in order)
    search = {key: list(tried) for key, tried in head.search.items()}
    return HeadDescription(head.name, head.summary, tuple(head.aliases), head.target, parameters, search)


def _documented(cls: type) -> dict[str, tuple[str, str]]:
    """Kind and first sentence of each parameter in the numpydoc docstrings of a class and its parents."""
    found: dict[str, tuple[str, str]] = {}
    for parent in reversed(cls.__mro__):
        doc = inspect.cleandoc(parent.__doc__ or "")
        section = re.search(r"^Parameters\n-+\n(.*?)(?=^\S[^\n]*\n-{3,}$|\Z)", doc, flags=re.MULTILINE | re.DOTALL)
        entries = re.findall(r"^(\S[^\n]*)\n((?:[ \t]+[^\n]*\n?|\n)*)", section[1] if section else "", re.MULTILINE)
        for head, body in entries:
            names, _, kind = head.partition(" : ")
            for name in names.split(","):
                found[name.strip()] = (kind.strip(), _first_sentence(body))
    return found


def _first_sentence(body: str) -> str:
    """The first sentence of a description, on one line, without marks of references."""
    paragraph = re.split(r"^[ \t]*(?:$|\.\. |[-*] )", body.strip("\n"), maxsplit=1, flags=re.MULTILINE)[0]
    text = " ".join(re.sub(r"\s*\[\w+\]_", "", paragraph).split())
    end = re.search(r"(?<!e\.g)(?<!i\.e)\.(?=\s+[A-Z0-9\"'`(])", text)
    return (text[: end.start()] if end else text).rstrip(".")
