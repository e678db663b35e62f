"""A report is a folder of files that appear whole, alike for alike input, and harmless whatever the names."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.figure import Figure

from fusionfer.exceptions import ReportError
from fusionfer.report import Code, Picture, Section, Sheet, Table, write_report

EVIL = '"><script>alert(1)</script>'
VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """Collects tags, checks that each is closed, and remembers where pictures and links lead, and what pictures say."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.sources, self.links, self.says, self.ids, self.text = [], [], [], [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        known = dict(attrs)
        self.tags.append(tag)
        self.sources += [known["src"]] if "src" in known else []
        self.links += [known["href"]] if "href" in known else []
        self.ids += [known["id"]] if "id" in known else []
        self.says += [known.get("alt")] if tag == "img" else []
        assert not any(name.startswith("on") for name in known)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture
def arguments():
    """What a caller with hostile file names hands over."""
    faces = [np.zeros((6, 5), np.uint8), np.full((400, 300, 3), 9, np.uint8)]
    items = (
        EVIL,
        Table(EVIL, ("x", EVIL), ((EVIL, "1"),), EVIL),
        Table("empty", ("a",), ()),
        Picture("one", EVIL, Figure((1, 1)), f"in words: {EVIL}"),
        Picture("two", EVIL, Figure((1, 2))),
        Sheet("faces", EVIL, faces, [EVIL, "b\nc"]),
        Sheet("none", "no faces", [], []),
        Code(f"fusionfer report {EVIL}\nsecond"),
    )
    return {
        "title": EVIL,
        "lead": EVIL,
        "notes": [EVIL, "a \udcff name"],
        "sections": [Section(EVIL, items), Section("nothing", ("",)), Section("B", ("b",)), Section("C", ("c",))],
        "data": {"name": EVIL, "value": 0.5},
    }


def test_files_of_a_report(tmp_path, arguments):
    """Page, Markdown, numbers and figures are there, and nothing else."""
    index = write_report(tmp_path / "deep" / "report", **arguments)
    assert index == tmp_path / "deep" / "report" / "index.html"
    expected = {"index.html", "report.md", "scores.json", "one.png", "two.png", "faces.png"}
    assert {path.name for path in index.parent.iterdir()} == expected


def test_the_page_stands_alone_and_runs_nothing(tmp_path, arguments):
    """Fault 18: the page is well formed, holds its pictures in itself, and shows hostile names as text."""
    page = Page(write_report(tmp_path, **arguments).read_text("utf-8"))
    assert "script" not in page.tags
    assert len(page.sources) == 4  # two figures, two faces
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert page.links == [f"#{one}" for one in page.ids] == ["#s1", "#s2", "#s3"]
    text = "".join(page.text)
    # Title, heading, lead, note; section and its link, paragraph, four in the table, three captions, a face, a command.
    assert text.count(EVIL) == 16
    assert "empty" not in text
    assert "nothing" not in text
    assert "no faces" not in text


def test_every_picture_speaks(tmp_path, arguments):
    """Each has an alternative text: the figure's words, or its caption; of a face, its lines."""
    page = Page(write_report(tmp_path, **arguments).read_text("utf-8"))
    assert page.says == [f"in words: {EVIL}", EVIL, f"face: {EVIL}", "face: b, c"]


def test_the_same_facts_in_markdown_and_json(tmp_path, arguments):
    """What the page shows stands in both others: sentences, rows, captions, commands; JSON has the numbers, too."""
    folder = write_report(tmp_path, **arguments).parent
    found = json.loads((folder / "scores.json").read_text("utf-8", "backslashreplace"))
    assert found["name"] == EVIL
    assert found["value"] == 0.5
    assert [section["title"] for section in found["sections"]] == [EVIL, "B", "C"]
    kinds = [next(iter(item)) for item in found["sections"][0]["items"]]
    assert kinds == ["text", "table", "figure", "figure", "faces", "commands"]
    assert found["sections"][0]["items"][1]["table"]["rows"] == [[EVIL, "1"]]
    assert found["sections"][0]["items"][5]["commands"] == [f"fusionfer report {EVIL}", "second"]
    text = (folder / "report.md").read_text("utf-8")
    for wanted in ("## B", "](one.png)", "](two.png)", "](faces.png)", "    fusionfer report", "    second"):
        assert wanted in text


def test_the_markdown_runs_nothing(tmp_path, arguments):
    """Fault 18: in Markdown too, no markup of a name survives outside of code."""
    text = (write_report(tmp_path, **arguments).parent / "report.md").read_text("utf-8")
    outside = "\n".join(line for line in text.splitlines() if not line.startswith("    "))
    assert not re.search(r"(?<!\\)<", outside)


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
        section = Section("S", (Picture(name, "", Figure()),))
        with pytest.raises(ReportError, match="Figures need names of letters"):
            write_report(tmp_path / "r", **{**arguments, "sections": [section]})
    twice = [Section("S", (Picture("x", "", Figure()),)), Section("T", (Sheet("x", "", [np.zeros((2, 2))], [""]),))]
    with pytest.raises(ReportError, match=r"each once; not 'x', 'x'"):
        write_report(tmp_path / "r", **{**arguments, "sections": twice})
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
