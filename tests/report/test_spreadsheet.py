"""CSV comes back as it went in, and no cell is a formula."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusionfer.exceptions import ReportError
from fusionfer.report import write_csv

cells = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20)


@given(st.lists(st.lists(cells, min_size=2, max_size=2), max_size=5))
def test_cells_come_back_and_are_no_formulas(rows):
    """Whatever stands in a cell is read back, with an apostrophe before what a spreadsheet would run."""
    stream = io.StringIO()
    write_csv(stream, ["a", "b"], rows)
    header, *found = list(csv.reader(io.StringIO(stream.getvalue(), newline="")))
    assert header == ["a", "b"]
    assert [[cell.removeprefix("'") for cell in row] for row in found] == [
        [cell.removeprefix("'") for cell in row] for row in rows
    ]
    for row in found:
        for cell in row:
            assert not cell.startswith(("=", "@", "\t", "\n", "\r"))


@pytest.mark.parametrize("cell", ["=1+1", "+cmd|'/C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "-", "+1-1", "\r=1", "-inf"])
def test_formulas_are_disarmed(cell):
    """Fault 18: every known beginning of a formula gets an apostrophe."""
    stream = io.StringIO()
    write_csv(stream, ["a"], [[cell]])
    assert next(csv.reader(io.StringIO(stream.getvalue().split("\n", 1)[1], newline=""))) == [f"'{cell}"]


@pytest.mark.parametrize("cell", ["-1", "+0.5", "-1.5e-07", -2.5, "-.5", "1-2", "'x"])
def test_numbers_stay_numbers(cell):
    """Negative numbers, and text that only holds a sign, are left as they are."""
    stream = io.StringIO()
    write_csv(stream, ["a"], [[cell]])
    assert stream.getvalue().splitlines()[1] == str(cell)


def test_files(tmp_path):
    """A file is written whole in UTF-8 with one kind of line end, None as an empty cell."""
    write_csv(tmp_path / "new" / "out.csv", ["bild", "größe"], [["é\udcff.jpg", None]])
    assert (tmp_path / "new" / "out.csv").read_bytes() == "bild,größe\né\\udcff.jpg,\n".encode()
    with pytest.raises(ReportError, match="cannot be written"):
        write_csv(tmp_path, ["a"], [])
