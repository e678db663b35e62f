"""``fusionfer heads``: which heads there are, what each can be set to, and what a search tries."""

from __future__ import annotations

from typing import Any

import click

from .options import json_option
from .tables import print_json, print_table


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@json_option
def heads(names: tuple[str, ...], as_json: bool) -> int:
    """List the classifier heads, their parameters and defaults.

    With NAME only those heads. Parameters are set with fusionfer fit --set; what --search tries stands below.

    \b
    Examples:
      fusionfer heads
      fusionfer heads ecoc
      fusionfer heads ecoc --json
    """
    from fusionfer.heads import HEADS, find_head

    chosen = list(dict.fromkeys(find_head(name).name for name in names)) if names else list(HEADS)
    described = {name: _described(name) for name in chosen}
    if as_json:
        print_json({name: _data(found) for name, found in described.items()})
        return 0
    if not names:
        rows = [(name, ", ".join(HEADS[name].aliases), HEADS[name].summary) for name in chosen]
        print_table(("head", "also", "what it is"), rows, title="Heads")
    for name, found in described.items():
        if isinstance(found, ModuleNotFoundError):
            click.echo(f"{name}: not to be used here ({found}).\n")
            continue
        rows = [(one.name, repr(one.default), one.text) for one in found.parameters]
        print_table(("parameter", "default", "what it does"), rows, title=f"{name}: {found.summary}")
        if found.search:
            tried = "; ".join(f"{key}: {', '.join(map(repr, values))}" for key, values in found.search.items())
            click.echo(f"--search tries {tried}\n")
    return 0


def _described(name: str) -> Any:
    """The description, or the error of a package that is missing: the other heads can be listed all the same."""
    from fusionfer.heads import describe_head

    try:
        return describe_head(name)
    except ModuleNotFoundError as error:
        if str(error.name).startswith("fusionfer"):
            raise
        return error


def _data(found: Any) -> dict[str, Any]:
    """What --json prints of one head."""
    if isinstance(found, ModuleNotFoundError):
        return {"error": str(found)}
    return {
        "summary": found.summary,
        "aliases": list(found.aliases),
        "class": found.target.replace(":", "."),
        "parameters": {
            one.name: {"default": _plain(one.default), "kind": one.kind, "text": one.text} for one in found.parameters
        },
        "search": {key: [_plain(value) for value in values] for key, values in found.search.items()},
    }


def _plain(value: Any) -> Any:
    """A value as JSON can hold it."""
    plain = value is None or isinstance(value, bool | int | str)
    return value if plain or (isinstance(value, float) and abs(value) < float("inf")) else repr(value)
