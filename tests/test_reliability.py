"""docs/reliability.md answers for each of the 32 faults, and what it calls tested is."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
NAMED = re.compile(r"\bfaults? (\d+(?:(?:, | and )\d+)*)", re.IGNORECASE)


def rows():
    """Return number -> what the page's table says of the proof."""
    table = PAGE.split("## The 32 faults")[1]
    return {int(n): proof for n, proof in re.findall(r"^\| (\d+) \|.*\| ([^|]+) \|$", table, re.MULTILINE)}


def named():
    """Return number -> the places in tests that name it: in a docstring, or in what an attack file is said to try."""
    found = {}
    for path in sorted((ROOT / "tests").rglob("*.py")):
        if path == Path(__file__):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                for numbers in NAMED.findall(node.value):
                    for number in re.findall(r"\d+", numbers):
                        found.setdefault(int(number), []).append(f"{path.relative_to(ROOT)}:{node.lineno}")
    return found


def test_the_table_is_whole():
    """Each fault has one row."""
    assert list(rows()) == list(range(1, 33))


@pytest.mark.parametrize("number", range(1, 33))
def test_each_fault_is_tested_or_excused(number):
    """A test names the number, or the page says in a sentence why none does; never both, and never neither."""
    proof, tests = rows()[number], named().get(number, [])
    if proof.startswith("tested"):
        assert tests
    else:
        assert proof.startswith("not tested: ")
        assert len(proof) > 40
        assert tests == []


def test_no_other_numbers():
    """A slip in a number does not pass for a test of something."""
    assert set(named()) <= set(range(1, 33))
