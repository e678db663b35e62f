"""Manifests."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusionfer.exceptions import DataError, UnknownNameError
from fusionfer.images._manifest import Columns, looks_like_manifest, read_manifest, read_table
from fusionfer.images._stores import FolderStore


def files(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return FolderStore(root)


def read(store, text, columns=None, **options):
    return read_manifest(read_table(text.encode(), "m.csv"), store, "", columns, **options)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_columns_by_their_usual_names(tmp_path, delimiter, end, start):
    """Path, label, split and group are found, with any delimiter, line end and byte-order mark."""
    store = files(tmp_path, "a/1.png", "b/2.png")
    lines = [("Image Path", "Emotion", "Usage", "Subject-ID"), ("b/2.png", "sad", "PrivateTest", "ann")]
    lines.append(("./a\\1.png", "", "", ""))
    faces = read(store, start + end.join(delimiter.join(line) for line in lines))
    assert faces.ids.tolist() == ["b/2.png", "a/1.png"]
    assert faces.labels.tolist() == ["sad", ""]
    assert faces.splits.tolist() == ["test", ""]
    assert faces.groups.tolist() == ["ann", ""]


def test_columns_by_option(tmp_path):
    """A column that is named wins over usual names."""
    faces = read(files(tmp_path, "1.png"), "path,x,label\n0,1.png,happy\n", Columns(path="x"))
    assert faces.ids.tolist() == ["1.png"]


def test_unknown_column(tmp_path):
    """A column that does not exist is named, with the closest one."""
    with pytest.raises(UnknownNameError, match=r"Unknown column 'lable'.*Did you mean 'label'"):
        read(files(tmp_path), "path,label\n", Columns(label="lable"))


def test_columns_that_are_not_found(tmp_path):
    """All columns that are missing or ambiguous are told at once, with the header."""
    with pytest.raises(DataError, match=r"several columns may hold the path \(path, image\).*no column for the label"):
        read(files(tmp_path), "path,image,mood\n")


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ("../x.png,a", "leads out by .."),
        ("a/../../x.png,a", "leads out by .."),
        ("/etc/passwd,a", "is absolute"),
        ("C:\\x.png,a", "is absolute"),
        ("\\\\server\\x.png,a", "is a network path"),
        ("~/x.png,a", "begins with ~"),
        ("link.png,a", "leaves the folder"),
        ("out/x.png,a", "behind a symbolic link"),
        ("gone.png,a", "gone.png: no such file"),
        (",a", "the path is empty"),
        ("1.png,a,b", "3 cells instead of 2"),
        ("1.png", "1 cells instead of 2"),
        ("1.png,b", "1.png was in line 2 already"),
        ("./x/../1.png,b", "1.png was in line 2 already"),
        ("x,a", "is not a file"),
    ],
)
def test_bad_rows(tmp_path, cells, reason):
    """A bad row is an error with its line, or left out and listed."""
    root = tmp_path / "root"
    files(tmp_path, "x.png")
    store = files(root, "1.png", "2.png", "x/3.png")
    (root / "link.png").symlink_to(tmp_path / "x.png")
    (root / "out").symlink_to(tmp_path)
    text = f"path,label\n1.png,a\n{cells}\n2.png,b\n"
    with pytest.raises(DataError, match=r"m\.csv: 1 problem\. line 3: ") as error:
        read(store, text)
    assert reason in str(error.value)
    faces = read(store, text, on_error="skip")
    assert faces.ids.tolist() == ["1.png", "2.png"]
    assert [where for where, _ in faces.skipped] == ["line 3"]


def test_unknown_split(tmp_path):
    """A cell of the split column that names no split is an error."""
    with pytest.raises(DataError, match=r"line 2: unknown split 'holdout' \(allowed: train, validation, test"):
        read(files(tmp_path, "1.png"), "path,label,split\n1.png,a,holdout\n")


def test_paths_outside_where_allowed(tmp_path):
    """With allow_outside_root absolute paths, .. and links are followed."""
    files(tmp_path, "x.png", "y.png")
    root = tmp_path / "root"
    root.mkdir()
    (root / "link.png").symlink_to(tmp_path / "x.png")
    store = FolderStore(root, allow_outside_root=True)
    text = f"path,label\n../x.png,a\n{tmp_path}/y.png,b\nlink.png,c\n"
    faces = read(store, text, allow_outside_root=True)
    assert faces.ids.tolist() == ["../x.png", f"{tmp_path}/y.png", "link.png"]
    assert [faces.read(i) for i in range(3)] == [b""] * 3


def test_nul_is_never_allowed(tmp_path):
    """A NUL cannot be part of a path, allowed or not."""
    with pytest.raises(DataError, match="holds a NUL"):
        read(FolderStore(tmp_path, allow_outside_root=True), "path,label\na\0.png,x\n", allow_outside_root=True)


def test_bare_names_are_found_below(tmp_path):
    """A bare name that occurs once below is taken, with a note; one that occurs twice is not guessed."""
    store = files(tmp_path, "a/1.png", "a/2.png", "b/2.png")
    faces = read(store, "image,label\n1.png,x\n")
    assert faces.ids.tolist() == ["a/1.png"]
    assert "1 pictures were found in subfolders" in faces.notes[0]
    with pytest.raises(DataError, match=r"2\.png: no such file"):
        read(store, "image,label\n2.png,x\n")


def test_accents_may_be_encoded_either_way(tmp_path):
    """Fault 30: a path in NFC finds a file in NFD, ids are NFC, and both spellings in one manifest are one picture."""
    store = files(tmp_path, "a/e\u0301.png")
    assert read(store, "path,label\na/\u00e9.png,x\n").ids.tolist() == ["a/\u00e9.png"]
    with pytest.raises(DataError, match="was in line 2 already"):
        read(store, "path,label\na/\u00e9.png,x\na/e\u0301.png,x\n")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        ("path,label".encode("utf-16"), "is UTF-16; save it as UTF-8"),
        (b"path,label\na.png,\xe4\n", "byte 0xe4 in line 2"),
        (b'path,label\n"a.png,x\n', "line 2: "),
    ],
)
def test_files_that_are_no_table(raw, message):
    """What cannot be split into cells is an error that says where."""
    with pytest.raises(DataError, match=message):
        read_table(raw, "m.csv")


def test_line_numbers_count_lines_not_rows():
    """Blank lines and cells over several lines do not shift the numbers."""
    table = read_table(b'path,label\n\n1.png,"a\nb"\n2.png,c\n', "m.csv")
    assert [line for line, _ in table.rows] == [4, 5]


def test_manifests_are_known_by_their_first_line():
    """FER+'s votes beside class folders are no manifest."""
    assert looks_like_manifest(b"image,label\n\xff", Columns())
    assert looks_like_manifest(b"a,b\n", Columns(path="a", label="b"))
    assert not looks_like_manifest(b"Usage,Image name,neutral,happiness\n", Columns())
    assert not looks_like_manifest(b"a,b\n", Columns(path="a", label="c"))


@given(st.lists(st.tuples(st.from_regex(r"[a-z \";,é]{1,8}", fullmatch=True), st.text(max_size=6)), max_size=6))
def test_cells_survive_quoting(rows):
    """What Python's csv writes comes back, blanks around cells apart."""
    import csv
    import io

    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(["path", "label"])
    kept = [(a, b) for a, b in rows if not set(b) & set("\r\n\0")]
    writer.writerows(kept)
    table = read_table(file.getvalue().encode("utf-8", "surrogatepass"), "m.csv") if _utf8(kept) else None
    if table is not None:
        expected = [[a.strip(), b.strip()] for a, b in kept if a.strip() or b.strip()]
        assert [cells for _, cells in table.rows] == expected


def _utf8(rows):
    return all(not 0xD800 <= ord(c) <= 0xDFFF for row in rows for cell in row for c in cell)


def test_empty_manifest_is_an_empty_set(tmp_path):
    """A header without rows gives no faces here; read_faces makes an error of it."""
    faces = read(files(tmp_path), "path,label\n")
    assert len(faces) == 0
    assert faces.labels.dtype.kind == "U"
    assert np.all(faces.splits == "")
