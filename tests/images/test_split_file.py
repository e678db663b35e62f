"""Split files: what is written comes back, and nothing that does not fit is applied."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusionfer.exceptions import DataError, FusionferWarning, ReportError
from fusionfer.images import SplitFile, generate_faces, read_split_file, write_split_file

HEADER = "id,sha256,label,split,group,reason\n"


def of(faces, **columns):
    """A split file that says what the faces themselves say."""
    known = {
        "ids": faces.ids,
        "sha256": np.array([faces.digest(i) for i in range(len(faces))]),
        "labels": faces.labels,
        "splits": faces.splits,
        "groups": faces.groups,
        "reasons": np.full(len(faces), ""),
    }
    return SplitFile(**{**known, **columns}, name="clean.csv")


@pytest.fixture(scope="module")
def drawn():
    """Two persons in two splits, fourteen pictures."""
    return generate_faces(2, takes=1, size=32)


texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=6).map(str.strip)
cells = st.sampled_from(["=1+1", "'=x", "''@y", "-1", "a,b", 'a"b', "a\nb", "a\r\nb", "'plain", " ä "]) | texts


@settings(max_examples=40)
@given(st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=5), st.data())
def test_what_is_written_comes_back(tmp_path_factory, rows, data):
    """Whatever ids, labels and groups hold: formulas, quotes, ends of lines, apostrophes."""
    n = len(rows)
    splits = data.draw(st.lists(st.sampled_from(["", "train", "validation", "test"]), min_size=n, max_size=n))
    ids = [f"{cell}{i}" for i, (cell, _, _) in enumerate(rows)]
    labels, groups = zip(*((label, group) for _, label, group in rows), strict=True)
    file = SplitFile(ids, ["0" * 64] * n, labels, splits, groups, ["why"] * n, "x.csv")
    path = tmp_path_factory.mktemp("split") / "x.csv"
    write_split_file(file, path)
    found = read_split_file(path)
    for name in ("ids", "sha256", "labels", "splits", "groups", "reasons", "name"):
        assert np.array_equal(getattr(found, name), getattr(file, name)), name
    first = path.read_bytes()
    write_split_file(found, path)
    assert path.read_bytes() == first


def test_no_cell_is_a_formula(tmp_path):
    """A picture that is called like a formula is text in a spreadsheet."""
    file = SplitFile(["=cmd|x!A1.png"], [""], ["@a"], ["train"], ["+1"], ["-1"])
    write_split_file(file, tmp_path / "x.csv")
    (_, row) = csv.reader((tmp_path / "x.csv").open(newline=""))
    assert row == ["'=cmd|x!A1.png", "", "'@a", "train", "'+1", "'-1"]


def test_a_file_is_whole_or_not_there(drawn, tmp_path):
    """A folder in its place is an error, and leaves nothing behind; missing folders are made."""
    (tmp_path / "x").mkdir()
    with pytest.raises(ReportError, match=r"x cannot be written: .*What was there before is unchanged\."):
        write_split_file(of(drawn), tmp_path / "x")
    assert [one.name for one in tmp_path.iterdir()] == ["x"]
    write_split_file(of(drawn), tmp_path / "a" / "b.csv")
    assert [one.name for one in (tmp_path / "a").iterdir()] == ["b.csv"]


def test_names_that_are_no_unicode_are_refused(tmp_path):
    """As Linux allows them."""
    file = SplitFile(["a\udcff.png"], [""], ["a"], ["train"], [""], [""])
    with pytest.raises(DataError, match=r"is no Unicode\. Rename it\."):
        write_split_file(file, tmp_path / "x.csv")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"is no split file: its first line must be id,sha256,label,split,group,reason, and is ''\."),
        ("path,label\n", r"its first line must be .*, and is 'path,label'\."),
        (HEADER, r"x\.csv: it has no rows\."),
        (HEADER + "a,,l,train,\n", r"x\.csv: line 2: 5 cells instead of 6; it has no rows\."),
        (HEADER + f"a,,{'l' * 4097},train,,\n", r"x\.csv: line 2: a cell of more than 4,096 signs; it has no rows\."),
        (HEADER + 'a,,l,train,,"\n', r"line 2: unexpected end of data\."),
        (
            HEADER + "a,,l,Training,,\na,,l,test,,\n,,l,test,,\nb,12AB,l,test,,\nc,,l,,,\nd\n",
            r"^x\.csv: line 7: 1 cells instead of 6; 1 rows have no id; 1 ids occur more than once: a; unknown splits "
            r"Training \(allowed: train, validation, test, or nothing\); 1 sha256 are not 64 small hexadecimal digits: "
            r"b; 1 pictures have neither a split nor a reason to be left out: c\.$",
        ),
    ],
)
def test_what_is_wrong_in_a_file_is_said_at_once(tmp_path, content, message):
    """One error, with everything."""
    (tmp_path / "x.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        read_split_file(tmp_path / "x.csv")


def test_files_that_are_no_text(tmp_path):
    """Missing, and in another encoding; a byte order mark is passed over."""
    with pytest.raises(DataError, match=r"The split file .*x\.csv cannot be read: No such file or directory\."):
        read_split_file(tmp_path / "x.csv")
    (tmp_path / "x.csv").write_bytes(HEADER.encode() + b"\xff")
    with pytest.raises(DataError, match=r"x\.csv is not UTF-8: byte 35\. Save it as UTF-8\."):
        read_split_file(tmp_path / "x.csv")
    (tmp_path / "x.csv").write_bytes(b"\xef\xbb\xbf" + HEADER.encode() + b"a,,l,train,,\n")
    assert read_split_file(tmp_path / "x.csv").ids.tolist() == ["a"]


@settings(max_examples=80)
@given(st.binary(max_size=60) | st.text(st.sampled_from('a,"\n\r\0=' + "'"), max_size=40).map(str.encode))
def test_any_bytes_are_read_or_refused(tmp_path_factory, content):
    """By an error of ours; what is read can be written, and is read as the same."""
    path = tmp_path_factory.mktemp("bytes") / "x.csv"
    path.write_bytes(HEADER.encode() + content)
    try:
        found = read_split_file(path)
    except DataError:
        return
    write_split_file(found, path)
    assert read_split_file(path).ids.tolist() == found.ids.tolist()


def test_columns_of_different_lengths():
    """Which has how many."""
    with pytest.raises(DataError, match=r"2 ids, 1 sha256, 1 labels"):
        SplitFile(["a", "b"], [""], [""], ["train"], [""], [""])


def test_apply(drawn):
    """Splits and groups come from the file, labels and order from the data; what has no split is left out."""
    splits = np.array(["test", "", *["train"] * 12])
    reasons = np.array(["", "copy in test: x", *[""] * 12])
    labels = np.array(["other", *drawn.labels[1:]])
    turned = drawn.take(np.arange(14)[::-1])
    file = of(drawn, splits=splits, reasons=reasons, labels=labels, groups=np.array(["a", "b", *["c"] * 12]))
    found = file.apply(turned)
    assert found.ids.tolist() == [one for one in turned.ids.tolist() if one != drawn.ids[1]]
    assert found.splits.tolist() == ["train"] * 12 + ["test"]
    assert found.groups.tolist() == ["c"] * 12 + ["a"]
    assert found.labels.tolist() == turned.take(turned.ids != drawn.ids[1]).labels.tolist()
    assert not found.leaking
    assert found.notes[-2:] == (
        "Splits of clean.csv: train 12, test 1; 1 pictures are left out (copy in test 1).",
        "1 pictures have another label in clean.csv: those of the data count.",
    )


def test_what_is_left_out_need_not_be_there(drawn):
    """Neither among the data nor readable."""
    splits = np.array(["", *drawn.splits[1:]])
    reasons = np.array(["unreadable", *[""] * 13])
    file = of(drawn, splits=splits, reasons=reasons)
    assert len(file.apply(drawn.take(np.arange(1, 14)))) == 13


def test_a_file_of_other_data_is_refused(drawn):
    """Pictures that only one of both has, and pictures that changed: all in one error."""
    sha = np.array([drawn.digest(i) for i in range(14)])
    sha[3] = "f" * 64
    file = of(drawn, ids=np.array(["new", *drawn.ids[1:]]), sha256=sha)
    message = (
        rf"^clean\.csv is not of generated faces: 1 of its pictures are not among generated faces: new; 1 of "
        rf"generated faces are not in it: {drawn.ids[0]}; 1 pictures have changed \(another sha256\): "
        rf"{drawn.ids[3]}\. Write"
    )
    with pytest.raises(DataError, match=message):
        file.apply(drawn)


def test_unknown_hashes_are_not_compared(drawn):
    """Who writes a file by hand need not compute any."""
    assert len(of(drawn, sha256=np.full(14, "")).apply(drawn)) == 14


def test_everything_left_out(drawn):
    """Is an error by its name."""
    file = of(drawn, splits=np.full(14, ""), reasons=np.full(14, "why"))
    with pytest.raises(DataError, match=r"clean\.csv leaves out every picture of generated faces\."):
        file.apply(drawn)


def test_a_file_that_divides_a_group_warns(drawn):
    """A hand-written file may leak: there is a warning, and the faces are marked."""
    with pytest.warns(FusionferWarning, match=r"1 groups stand in more than one split: one"):
        assert of(drawn, groups=np.full(14, "one")).apply(drawn).leaking


def test_a_picture_that_is_gone(drawn):
    """It is told with the others."""

    class Gone:
        def read(self, key):
            from fusionfer.exceptions import ImageError

            msg = f"{key} is gone."
            raise ImageError(msg)

    file = of(drawn)
    with pytest.raises(DataError, match=r"14 pictures cannot be read: \S+ is gone, "):
        file.apply(replace(drawn, source=Gone(), keys=tuple(drawn.ids.tolist())))


def test_groups_and_reasons_are_counted():
    """Groups of several, with those that are left out; kinds of reasons, the most frequent first."""
    file = SplitFile(
        list("abcde"),
        [""] * 5,
        [""] * 5,
        ["train", "", "", "test", ""],
        ["x", "x", "y", "", "z"],
        ["", "b: 1", "a: 2", "", "b: 3"],
    )
    assert file.shared_groups == (("a", "b"),)
    assert list(file.left_out.items()) == [("b", 2), ("a", 1)]
    assert file.describe() == "Splits of split file: train 1, test 1; 3 pictures are left out (b 2, a 1)."
