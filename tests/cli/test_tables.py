"""Tables and JSON on stdout: nothing wrapped, nothing interpreted, nothing that other programs cannot read."""

import json
import re

import pytest

from fusionfer.cli.tables import print_json, print_report_table, print_table
from fusionfer.report import Table


def test_a_table_has_its_title_header_and_rows(capsys):
    """Text stands left, figures right, and no line ends in blanks."""
    print_table(["class", "F1", "note"], [["happy", "9.5", "good"], ["sad", "10.5", ""]], title="Classes")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Classes"
    assert lines[-3:] == [" happy    9.5   good", " sad     10.5", ""]
    assert not [line for line in lines if line != line.rstrip()]


def test_without_a_title_the_header_comes_first(capsys):
    """No blank line before the header of a bare table."""
    print_table(["image", "label"], [["a.png", "happy"]])
    assert capsys.readouterr().out.splitlines()[0] == " image   label"


def test_names_are_no_markup(capsys):
    """A file named like an instruction to the terminal library is shown as it is."""
    print_table(["image"], [["[bold]x[/bold].png"], [":smile:.png"]])
    out = capsys.readouterr().out
    assert "[bold]x[/bold].png" in out
    assert ":smile:.png" in out


def test_long_rows_are_not_wrapped_for_a_pipe(capsys):
    """Another program finds one line a row, however long."""
    row = [["x" * 150, "y" * 150]]
    print_table(["a", "b"], row)
    assert "x" * 150 + "   " + "y" * 150 in capsys.readouterr().out


def test_a_narrow_terminal_cuts_neither_figures_nor_words(capsys, monkeypatch):
    """Twelve columns in 40 places: every figure and every word of a text is there in one piece."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    row = ["train", "one two three_and_four", *(f"{10_000 + k:,}" for k in range(10))]
    print_table(["split", "text", *(f"class{k}" for k in range(10))], [row])
    out = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert [part for part in (row[0], *row[1].split(), *row[2:]) if part not in out] == []
    assert max(map(len, out.splitlines())) < 120


def test_a_note_stands_below_and_a_blank_line_ends(capsys):
    """Tables printed one after the other do not run into each other."""
    for _ in range(2):
        print_report_table(Table("Selection", ["candidate"], [["A"]], "In percent."))
    assert "\n\nIn percent.\n\nSelection\n" in capsys.readouterr().out


def test_json_is_read_back(capsys):
    """What is printed is the value, with letters of all languages."""
    value = {"label": "fröhlich 😀", "p": [0.1, None], "n": 3}
    print_json(value)
    out = capsys.readouterr().out
    assert json.loads(out) == value
    assert "fröhlich 😀" in out


def test_nan_is_refused():
    """NaN is no JSON, and must have become None before."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        print_json({"p": float("nan")})


def test_a_name_that_is_no_text_does_not_stop_the_output(capsys):
    """File names may hold bytes that are no UTF-8; they show as a question mark."""
    print_json({"image": b"a\xff.png".decode("utf-8", "surrogateescape")})
    assert json.loads(capsys.readouterr().out) == {"image": "a?.png"}
