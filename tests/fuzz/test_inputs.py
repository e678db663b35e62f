"""Tables, ids and shapes that nobody would think of: what is accepted comes back as it was, all else is our error."""

import csv
import io

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.reliability._seeds import encoded
from fusionfer.cache import CacheFolder, RowTable, read_feature_file
from fusionfer.exceptions import DataError, FusionferError
from fusionfer.images import read_faces
from fusionfer.images._manifest import read_table
from fusionfer.images._stores import FolderStore, way_out

QUICK = settings(
    max_examples=60, deadline=2000, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
TEXT = st.one_of(st.text(max_size=30), st.text(st.sampled_from("ab\0\n \x1b"), max_size=4))
CELL = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@pytest.fixture
def folder(tmp_path):
    """A folder with one picture, beside a file that nobody may reach."""
    (tmp_path / "secret.png").write_bytes(encoded(".png")())
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.png").write_bytes(encoded(".png")())
    return tmp_path / "set"


@QUICK
@given(content=st.binary(max_size=300))
def test_any_bytes_as_a_csv(folder, content):
    """A table of any bytes is read, or refused by a DataError."""
    path = folder / "set.csv"
    for head in (b"", b"path,label\n", b"emotion,pixels,Usage\n"):
        path.write_bytes(head + content)
        try:
            faces = read_faces(path)
        except FusionferError:
            continue
        assert set(faces.ids.tolist()) <= {"a.png"}


@QUICK
@given(rows=st.lists(st.lists(CELL, min_size=2, max_size=2), min_size=1, max_size=5))
def test_written_tables_come_back(rows):
    """Whatever Python's own writer quotes is read as it was, but for blanks around cells and rows of blanks."""
    target = io.StringIO()
    csv.writer(target).writerows([["path", "label"], *rows])
    expected = [[cell.strip() for cell in row] for row in rows if any(cell.strip() for cell in row)]
    table = read_table(target.getvalue().encode(), "x.csv")
    assert table.header == ["path", "label"]
    assert [cells for _, cells in table.rows] == expected


PART = st.sampled_from(["..", ".", "", "a", "a.png", "secret.png", "~", "C:", "set"])


@settings(QUICK, max_examples=300)
@given(parts=st.lists(PART, min_size=1, max_size=6), slash=st.sampled_from(["/", "\\"]))
def test_no_path_leads_out(folder, parts, slash):
    """No path of a manifest reaches the file beside the folder, however it is written (fault 17)."""
    written = slash.join(parts)
    (folder / "set.csv").write_text(f'path,label\n"{written}",happy\n')
    try:
        faces = read_faces(folder / "set.csv")
    except DataError:
        return
    assert faces.ids.tolist() == ["a.png"]
    root = folder.resolve()
    assert root in (FolderStore(folder).root / faces.keys[0]).resolve().parents


@settings(QUICK, max_examples=300)
@given(parts=st.lists(st.one_of(PART, TEXT), max_size=6))
def test_way_out_agrees_with_the_file_system(parts):
    """A path that is not refused stays below its root, as the file system itself resolves it."""
    import posixpath

    path = "/".join(parts)
    if not way_out(path):
        assert not posixpath.normpath(posixpath.join("/root/set", path)).startswith(("/root/set/..", "/root/sets"))
        assert posixpath.normpath(posixpath.join("/root/set", path)).startswith("/root/set")


IDS = st.lists(TEXT, min_size=1, max_size=6)


@QUICK
@given(ids=IDS, data=st.data(), dim=st.integers(1, 7), block_rows=st.integers(1, 9))
def test_any_texts_and_shapes_as_a_cache(tmp_path_factory, ids, data, dim, block_rows):
    """Ids, labels and shapes are stored and come back bit for bit, or are refused before a file is made."""
    n = len(ids)
    columns = [data.draw(st.lists(TEXT, min_size=n, max_size=n)) for _ in range(3)]
    features = st.floats(width=32, allow_nan=False, allow_infinity=False)
    X = np.array(data.draw(st.lists(features, min_size=n * dim, max_size=n * dim)), np.float32).reshape(n, dim)
    try:
        rows = RowTable(np.array(ids), *(np.array(column) for column in columns), np.array(["ab" * 32] * n))
    except DataError:
        return
    folder = CacheFolder(tmp_path_factory.mktemp("cache"))
    with folder.lock():
        job = folder.prepare("a", "b", dim, key={}, record={}, rows=rows, block_rows=block_rows)
        for start in range(0, n, block_rows):
            part = X[start : start + block_rows]
            job.commit(start, part, np.ones(len(part), bool), {})
        job.finish()
    stored = read_feature_file(job.path)
    assert stored.rows.same_as(rows)
    assert stored.X.tobytes() == X.tobytes()
    assert stored.verify() == []
