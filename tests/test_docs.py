"""The documentation is true: its code runs, its commands exist, and nothing that a user meets is missing from it."""

import doctest
import importlib.util
import io
import re
import shlex
from contextlib import redirect_stdout
from pathlib import Path

import click
import pytest

from fusionfer.backbones import BACKBONES
from fusionfer.cli import cli
from fusionfer.heads import HEADS

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
WRITTEN = [page for page in PAGES if page.name not in {"api.md", "cli.md"}]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


def blocks(page):
    """Return (language, text) of every fenced block of a page, in order."""
    return FENCE.findall(page.read_text(encoding="utf-8"))


def code_with_output(page):
    """Return (code, expected output or None) of every python block; the output is the next block, if it is text."""
    found = blocks(page)
    following = [*found, ("", "")][1:]
    return [
        (text, after if kind == "text" else None)
        for (language, text), (kind, after) in zip(found, following, strict=True)
        if language == "python"
    ]


def commands(text):
    """Return the fusionfer command lines in a console block or a help text, without comments and redirections."""
    joined = text.replace("\\\n", " ")
    lines = [line.strip().removeprefix("$ ") for line in joined.splitlines()]
    return [re.split(r" [>|] ", line)[0] for line in lines if re.match(r"fusionfer( |$)", line)]


def parse(line):
    """Parse one command line as click would, without running it; raises click.UsageError if it does not exist."""
    words = shlex.split(line, comments=True)[1:]
    group = click.Context(cli, info_name="fusionfer", **cli.context_settings)
    if not words or words[0].startswith("-"):
        return cli.parse_args(group, words)
    name, command, rest = cli.resolve_command(group, words)
    return command.make_context(name, rest, parent=group)


def reference():
    """Import docs/make_reference.py."""
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "docs" / "make_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("ignore::fusionfer.exceptions.FusionferWarning")  # a page may show what is warned of
@pytest.mark.parametrize("page", [page for page in WRITTEN if code_with_output(page)], ids=lambda page: page.stem)
def test_code_of_a_page_runs_and_prints_what_the_page_shows(page, tmp_path, monkeypatch):
    """Every python block of a page runs, in order, and prints the text block that follows it."""
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "page"}
    checker, flags = doctest.OutputChecker(), doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    for code, expected in code_with_output(page):
        printed = io.StringIO()
        with redirect_stdout(printed):
            exec(compile(code, str(page), "exec"), names)
        if expected is not None:
            got = printed.getvalue()
            assert checker.check_output(expected, got, flags), f"{code}\nprints\n{got}\ninstead of\n{expected}"


@pytest.mark.parametrize("page", [*WRITTEN, ROOT / "README.md"], ids=lambda page: page.stem)
def test_commands_of_a_page_exist(page):
    """Every fusionfer line in a console block names a verb, arguments and options that there are."""
    shell = {"console", "sh", "bash", "shell"}
    for line in [line for kind, text in blocks(page) if kind in shell for line in commands(text)]:
        try:
            parse(line)
        except click.UsageError as error:
            pytest.fail(f"{page.name}: {line}: {error.format_message()}")


def test_a_wrong_command_would_be_found():
    """The check of commands refuses an unknown verb, an unknown option, a bad choice and a missing argument."""
    wrong = ["fusionfer tarin x", "fusionfer fit x --heads ecoc", "fusionfer fit x --scale much", "fusionfer extract"]
    for line in wrong:
        with pytest.raises(click.UsageError):
            parse(line)
    assert commands("$ fusionfer info \\\n    x > y  # z\nfusionferx\n") == ["fusionfer info      x"]


@pytest.mark.parametrize("name", ["", *cli.commands])
def test_help_has_examples_that_exist(name):
    """The help of every verb shows an example that click accepts."""
    command = cli.commands[name] if name else cli
    examples = commands(command.help)
    assert examples
    for line in examples:
        parse(line)
        assert not name or line.split()[1] == name


def test_everything_that_a_user_can_name_is_documented():
    """Every verb, head, backbone and public room stands on a page that people wrote."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in WRITTEN)
    rooms = {
        path.stem for path in (ROOT / "fusionfer").iterdir() if path.is_dir() or path.suffix == ".py"
    } - {"__init__", "__main__", "__pycache__", "cli", "py"}  # fmt: skip
    wanted = {
        **{verb: rf"fusionfer {verb}\b" for verb in cli.commands},
        **{head: rf"[`\"' ]{re.escape(head)}\b" for head in HEADS},
        **{backbone: rf"\b{backbone}\b" for backbone in BACKBONES},
        **{room: rf"^### .*\b{room}\b" for room in rooms if not room.startswith(".")},
    }
    missing = [name for name, pattern in wanted.items() if not re.search(pattern, text, flags=re.MULTILINE)]
    assert missing == []


def test_reference_lists_every_public_room():
    """docs/api.md has a chapter for each room that is no part of the command line."""
    table = (ROOT / "docs" / "design.md").read_text().split("| level | rooms |")[1].split("\n\n")[0]
    rooms = {room.strip().strip("`") for row in re.findall(r"^\| \d+ \| (.+) \|$", table, re.MULTILINE)
             for room in row.split(",")}  # fmt: skip
    assert set(reference().ROOMS) == rooms - {"cli", "__main__"}


@pytest.mark.parametrize("name", ["api.md", "cli.md"])
def test_reference_pages_are_up_to_date(name):
    """The pages are what docs/make_reference.py writes now, twice the same."""
    module = reference()
    written = {path.name: text for path, text in module.pages().items()}[name]
    assert written == {path.name: text for path, text in module.pages().items()}[name]
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == written, "run: make docs"


@pytest.mark.parametrize("page", [*WRITTEN, ROOT / "README.md", ROOT / "CHANGELOG.md"], ids=lambda page: page.stem)
def test_links_within_the_project_lead_somewhere(page):
    """Every relative link of a page leads to a file that is there."""
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    gone = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert gone == []
