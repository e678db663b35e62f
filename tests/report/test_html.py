"""A report is a folder of files that appear whole, alike for alike input, and harmless whatever the names."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.figure import Figure

from fusionfer.exceptions import ReportError
from fusionfer.report import Picture, Table, write_report

EVIL = '"><script>alert(1)</script>'
VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """Collects tags, checks that each is closed, and remembers where pictures and links lead."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.sources, self.text = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href")]
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture
def arguments():
    """What a caller with hostile file names hands over."""
    table = Table(EVIL, ("x", EVIL), ((EVIL, "1"),), EVIL)
    return {
        "title": EVIL,
        "lead": EVIL,
        "notes": [EVIL, "a \udcff name"],
        "tables": [table, Table("empty", ("a",), ())],
        "figures": [Picture("one", EVIL, Figure((1, 1)))],
        "data": {"name": EVIL, "value": 0.5},
    }


def test_files_of_a_report(tmp_path, arguments):
    """Page, Markdown, numbers and figures are there, and nothing else."""
    index = write_report(tmp_path / "deep" / "report", **arguments)
    assert index == tmp_path / "deep" / "report" / "index.html"
    assert sorted(path.name for path in index.parent.iterdir()) == ["index.html", "one.png", "report.md", "scores.json"]
    assert json.loads((index.parent / "scores.json").read_text()) == arguments["data"]


def test_the_page_stands_alone_and_runs_nothing(tmp_path, arguments):
    """Fault 18: the page is well formed, holds its pictures in itself, and shows hostile names as text."""
    page = Page(write_report(tmp_path, **arguments).read_text("utf-8"))
    assert "script" not in page.tags
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert len(page.sources) == 1
    assert "".join(page.text).count(EVIL) == 9  # title, heading, lead, note, caption, and four in the table
    assert "empty" not in "".join(page.text)


def test_the_markdown_runs_nothing(tmp_path, arguments):
    """Fault 18: in Markdown too, no markup of a name survives, and the figure is linked."""
    text = (write_report(tmp_path, **arguments).parent / "report.md").read_text("utf-8")
    assert not re.search(r"(?<!\\)<", text)
    assert "](one.png)" in text


def test_same_input_same_bytes(tmp_path, arguments):
    """Two reports of the same are equal to the byte: no dates, no versions, no random names."""
    first = write_report(tmp_path / "a", **arguments).parent
    second = write_report(tmp_path / "b", **arguments).parent
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes(), path.name


def test_nothing_is_written_when_something_is_wrong(tmp_path, arguments):
    """Numbers that are no JSON, and figure names that leave the folder, are refused before the first file."""
    with pytest.raises(ReportError, match="must be JSON"):
        write_report(tmp_path / "r", **{**arguments, "data": {"x": np.nan}})
    for name in ("../x", "", "a b", "a/b"):
        with pytest.raises(ReportError, match="Figures need names of letters"):
            write_report(tmp_path / "r", **{**arguments, "figures": [Picture(name, "", Figure())]})
    with pytest.raises(ReportError, match=r"each once; not 'x', 'x'"):
        write_report(tmp_path / "r", **{**arguments, "figures": [Picture("x", "", Figure())] * 2})
    assert not (tmp_path / "r").exists()


def test_a_full_disk_leaves_the_old_report(tmp_path, arguments, monkeypatch):
    """A file that cannot be written stays as it was, and no part of the new one is left."""
    index = write_report(tmp_path, **arguments)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(self, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(ReportError, match=r"No space left on device\. What was there before is unchanged"):
        write_report(tmp_path, **{**arguments, "title": "other"})
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in index.parent.iterdir()} == before


def test_a_file_in_the_way(tmp_path, arguments):
    """Where a file has the folder's name, the error names the path."""
    (tmp_path / "taken").write_text("x")
    with pytest.raises(ReportError, match=r"taken.*cannot be written"):
        write_report(tmp_path / "taken", **arguments)
