"""``--set NAME=VALUE``: from text to the parameters of heads."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import click

__all__ = ["Setting", "params_of_heads", "read_value", "set_option"]

_WORDS = {"true": True, "false": False, "none": None, "inf": float("inf")}


class Setting(NamedTuple):
    """One ``--set [HEAD.]NAME=VALUE``; without a head it is for every head that has the parameter."""

    head: str | None
    name: str
    value: Any


def read_value(text: str) -> Any:
    """Return what a value means: a Python literal, true, false, none or inf in any case, or else the text itself.

    Nothing is executed. Quotes make text of anything: ``'none'`` is a word of four letters.

    Examples
    --------
    >>> [read_value(text) for text in ("4", "1e-3", "(0.5, 1)", "FALSE", "auto", "'1'")]
    [4, 0.001, (0.5, 1), False, 'auto', '1']
    """
    text = text.strip()
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def _read(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> tuple[Setting, ...]:
    settings = []
    for text in given:
        found = re.fullmatch(r"(?:([\w-]+)\.)?(\w+)\s*=(.*)", text.strip(), flags=re.DOTALL)
        if not found:
            msg = f"{text!r} is not NAME=VALUE or HEAD.NAME=VALUE."
            raise click.BadParameter(msg)
        settings.append(Setting(found[1], found[2], read_value(found[3])))
    return tuple(settings)


set_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="[HEAD.]NAME=VALUE",
    callback=_read,
    help="A parameter of the head: a number, true, false, none, or text. Repeatable, the last counts. With several "
    "heads NAME is set in those that have it, HEAD.NAME in that one.",
)


def params_of_heads(settings: Sequence[Setting], heads: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the parameters of each head that was named with --head.

    Raises
    ------
    UnknownNameError
        If a head does not exist, or no head that was named has a parameter of that name.
    click.UsageError
        If a parameter is for a head that was not named, or is no yes-or-no where the head asks for one.
    """
    from fusionfer.exceptions import unknown_name
    from fusionfer.heads import find_head, make_head

    if not settings:
        return {}
    known = {find_head(head).name: make_head(head).get_params(deep=False) for head in heads}
    params: dict[str, dict[str, Any]] = {name: {} for name in known}
    # What is meant for one head counts more than what is meant for all, wherever it stands.
    for setting in sorted(settings, key=lambda setting: setting.head is not None):
        if setting.head is None:
            takers = [name for name in known if setting.name in known[name]]
            if not takers:
                names = sorted({name for params in known.values() for name in params})
                of = " and ".join(known)
                raise unknown_name(f"parameter of {of}:", setting.name, names, plural=f"parameters of {of}")
        else:
            takers = [find_head(setting.head).name]
            if takers[0] not in known:
                msg = f"--set {setting.head}.{setting.name}: {setting.head} is not among the heads of this fit "
                raise click.UsageError(msg + f"({', '.join(known)}); name it with --head {setting.head}.")
        for name in takers:  # fit refuses what the head does not have, and the head what it cannot use
            if isinstance(known[name].get(setting.name), bool) and not isinstance(setting.value, bool):
                # Any text counts as true in Python: "no" would turn on what it is to turn off.
                msg = f"--set {setting.name}={setting.value}: {name} takes true or false for {setting.name}."
                raise click.UsageError(msg)
            params[name][setting.name] = setting.value
    return params
