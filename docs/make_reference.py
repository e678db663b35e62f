"""Write docs/api.md from the docstrings of all public names, and docs/cli.md from the help of every verb.

``make docs`` runs this; ``tests/test_docs.py`` fails when a page is not what it would write now.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

import fusionfer
from fusionfer.cli import cli

HERE = Path(__file__).parent
WIDTH = 100
NOTICE = "<!-- Written by docs/make_reference.py (make docs); do not edit. -->\n"

#: The rooms in the order in which data flow through them.
ROOMS = (
    "images", "faces", "eda", "audit", "backbones", "networks", "extraction", "cache", "fusion", "matrices",
    "features", "heads", "cluster", "selection", "fitting", "evaluation", "prediction", "live", "occlusion",
    "explanation", "export", "training", "ensembles", "metrics", "report", "persistence", "inspection",
    "maintenance", "protocols", "statistics", "claims", "reporting", "demo", "memory", "costs", "exceptions",
)  # fmt: skip


def api_page() -> str:
    """Return docs/api.md."""
    parts = [
        "# The library, name by name\n",
        NOTICE,
        f"`import fusionfer` (version {fusionfer.__version__}) loads nothing else; import what you need from a room: "
        "`from fusionfer.images import read_faces`. Names that begin with an underscore are private.\n",
        "\n".join(f"- [`fusionfer.{room}`](#fusionfer{room}): {_first_line(_room(room))}" for room in ROOMS) + "\n",
    ]
    for room in ROOMS:
        module = _room(room)
        parts.append(f"## fusionfer.{room}\n")
        parts.append(as_markdown(inspect.getdoc(module) or ""))
        for name in module.__all__:
            parts.append(_entry(name, getattr(module, name), module))
    return "\n".join(parts)


def cli_page() -> str:
    """Return docs/cli.md."""
    parts = [
        "# The command line, verb by verb\n",
        NOTICE,
        "Results go to stdout, progress and messages to stderr. Exit codes: 0 done, 1 a named error, 2 wrong usage, "
        "3 done with skips, 4 leaks under `--strict`, 5 figures that contradict each other (`check-claims`), "
        "130 and 143 interrupted.\n",
    ]
    settings = {**cli.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH}
    for context in _contexts(click.Context(cli, info_name="fusionfer", **settings)):
        text = "\n".join(line.rstrip() for line in context.get_help().splitlines())
        parts.append(f"## {context.command_path}\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


def _contexts(context: click.Context) -> Iterator[click.Context]:
    """Yield a verb and, of a group, those in it."""
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            if command is not None:
                yield from _contexts(click.Context(command, context, name))


def _room(name: str) -> Any:
    return importlib.import_module(f"fusionfer.{name}")


def _first_line(value: Any) -> str:
    return (inspect.getdoc(value) or "").split("\n", 1)[0]


def _entry(name: str, value: Any, module: Any) -> str:
    """Return what is said of one public name."""
    if inspect.isclass(value):
        is_error = issubclass(value, Exception)
        head = f"### {name}{'' if is_error else _signature(value, module)}\n"
        bases = [base.__name__ for base in value.__bases__ if base is not object]
        under = f"*{'A kind of' if is_error else 'Extends'} {', '.join(bases)}.*\n\n" if bases else ""
        methods = [] if is_error else [_member(name, *member, module) for member in _members(value)]
        return "\n".join([head, under + as_markdown(inspect.getdoc(value) or ""), *methods])
    if callable(value):
        return f"### {name}{_signature(value, module)}\n\n{as_markdown(inspect.getdoc(value) or '')}"
    if isinstance(value, tuple) and all(hasattr(one, "name") for one in value):  # records: by their names
        shown = ", ".join(one.name for one in value)
    else:
        shown = ", ".join(f"`{key}`" for key in value) if isinstance(value, dict) else f"`{value!r}`"
    return f"### {name}\n\n{_comment_above(name, module)}{'Keys' if isinstance(value, dict) else 'Value'}: {shown}\n"


def _comment_above(name: str, module: Any) -> str:
    """Return the ``#:`` lines that stand before a constant, which may lie in a private file of the room."""
    for candidate in [module, *(m for n, m in sorted(sys.modules.items()) if n.startswith(f"{module.__name__}._"))]:
        found = re.search(rf"((?:^#: .*\n)+){name}\b", inspect.getsource(candidate), flags=re.MULTILINE)
        if found:
            return " ".join(line.removeprefix("#: ") for line in found[1].splitlines()) + "\n\n"
    return ""


def _members(cls: type) -> Iterator[tuple[str, Any]]:
    """Yield the public methods and properties that a class defines itself and that say what they do."""
    for name, member in vars(cls).items():
        generated = re.fullmatch(r"set_\w+_request", name)  # scikit-learn adds these to every estimator
        if not name.startswith("_") and not generated and not inspect.isclass(member):
            plain = getattr(cls, name) if not isinstance(member, property) else member
            if (callable(plain) or isinstance(plain, property) or hasattr(member, "func")) and inspect.getdoc(member):
                yield name, member


def _member(owner: str, name: str, member: Any, module: Any) -> str:
    if isinstance(member, property) or not (callable(member) or isinstance(member, classmethod | staticmethod)):
        signature = "" if not hasattr(member, "fn") else _signature(member.fn, module)
    else:
        signature = _signature(getattr(member, "__func__", member), module)
    return f"#### {owner}.{name}{signature}\n\n{as_markdown(inspect.getdoc(member) or '')}"


def _signature(value: Any, module: Any) -> str:
    """Return a signature without types, with constants by their names: their values depend on what is installed."""
    home = sys.modules.get(getattr(value, "__module__", ""), module)
    names = {id(v): n for n, v in vars(home).items() if n.isupper() and not isinstance(v, bool) and len(repr(v)) > 3}
    signature = inspect.signature(value)
    parameters = []
    for parameter in signature.parameters.values():
        if parameter.name in ("self", "cls"):
            continue
        default = parameter.default
        if default is not parameter.empty and id(default) in names:
            default = _Named(names[id(default)])
        parameters.append(parameter.replace(annotation=parameter.empty, default=default))
    return str(signature.replace(parameters=parameters, return_annotation=signature.empty))


class _Named:
    """A default that shows as the name of a constant."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


_LISTS = {"Parameters", "Attributes", "Returns", "Yields", "Raises", "Warns"}


def as_markdown(docstring: str) -> str:
    """Return a numpydoc docstring as Markdown; sections become bold lines, their entries a list."""
    found = re.split(r"^([A-Z][A-Za-z ]+)\n-{3,}\n", docstring, flags=re.MULTILINE)
    parts = [_prose(found[0])]
    for title, body in zip(found[1::2], found[2::2], strict=True):
        if title in _LISTS:
            text = _entries(body)
        elif title == "Examples":
            text = f"```pycon\n{body.strip()}\n```"
        elif title == "References":
            text = re.sub(r"^\.\. \[(\d+)\] ", r"\1. ", body.strip(), flags=re.MULTILINE)
        else:
            text = _prose(body)
        parts.append(f"**{title}**\n\n{text}")
    return "\n\n".join(part for part in parts if part) + "\n"


def _prose(text: str) -> str:
    """Return paragraphs, with reST tables kept as they stand."""
    paragraphs = re.split(r"\n\s*\n", text.strip("\n"))
    return "\n\n".join(f"```text\n{p}\n```" if p.startswith("===") else re.sub(r"\]_", "]", p) for p in paragraphs)


def _entries(body: str) -> str:
    """Return the entries of a section as a list: what stands at the margin, and what is indented below it."""
    lines: list[str] = []
    for line in body.strip("\n").splitlines():
        if not line.strip():
            lines.append("")
        elif line.startswith(" "):
            lines.append("  " + re.sub(r"\]_", "]", line.strip()))
        else:
            name, colon, kind = line.partition(" : ")
            lines.append(f"- `{name}`{f' : {kind}' if colon else ''}  " if colon or _is_type(line) else line)
    return "\n".join(lines).rstrip()


def _is_type(line: str) -> bool:
    """Tell a bare name or type, as under Returns and Raises, from a sentence."""
    return not line.endswith(".")


def pages() -> dict[Path, str]:
    """Return path -> content of the pages."""
    return {HERE / "api.md": api_page(), HERE / "cli.md": cli_page()}


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
        print(path)
