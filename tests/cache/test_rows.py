"""RowTable refuses what it could not give back, and tells two states of a data set apart."""

import numpy as np
import pytest

from fusionfer.cache import RowTable
from fusionfer.exceptions import DataError


def table(ids, **columns):
    n = len(ids)
    empty = {name: np.array([""] * n) for name in ("labels", "splits", "groups", "digests")}
    return RowTable(np.array(ids), **{**empty, **columns})


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: table([]), "there is no row"),
        (lambda: table(["a", "b", "a"]), r"1 ids occur more than once \(first: a\)"),
        (lambda: table(["a", ""]), "an id is empty"),
        (lambda: table(["a\0b"]), "holds a NUL sign"),
        (lambda: table(["a\udcff"]), "no valid Unicode"),
        (lambda: table(["a" * 5000]), "longer than 4096 bytes"),
        (lambda: table(["a"], labels=np.array(["x", "y"])), r"labels have shape \(2,\) for 1 ids"),
        (lambda: table(["a"], digests=np.array(["12ab"])), "'12ab' is no SHA-256"),
        (lambda: table(["a"], digests=np.array(["A" * 64])), "no SHA-256 in 64 lower-case"),
    ],
)
def test_refuses_rows_that_cannot_be_stored(make, said):
    """Each kind of bad row has its own complaint."""
    with pytest.raises(DataError, match=said):
        make()


def test_collects_complaints():
    """Two mistakes are told in one error."""
    with pytest.raises(DataError, match=r"labels have shape.*digests: 'x'"):
        table(["a"], labels=np.array(["x", "y"]), digests=np.array(["x"]))


def test_find_is_by_id(toolkit):
    """Rows are found wherever they stand, and -1 says that there is none."""
    assert toolkit.rows(["a", "b", "c"]).find(toolkit.rows(["c", "x", "a"])).tolist() == [2, -1, 0]


@pytest.mark.parametrize(
    ("ids", "options", "said"),
    [
        (["a", "b", "c"], {}, ""),
        (["a", "b", "c", "d"], {}, "images: 1 new"),
        (["a", "b"], {}, "images: 1 removed"),
        (["d", "a", "b"], {"changed": ("a",)}, "images: 1 new, 1 changed, 1 removed"),
        (["c", "b", "a"], {}, "the same images with other order"),
        (["a", "b", "c"], {"labels": "sad"}, "the same images with other labels"),
        (["c", "b"], {"labels": "sad"}, "images: 1 removed; those in both with other labels"),
        (["b", "a", "c"], {"splits": "test", "groups": "S1"}, "the same images with other splits, groups, order"),
    ],
)
def test_difference_names_what_changed(toolkit, ids, options, said):
    """Images are counted; the other columns are named."""
    old, new = toolkit.rows(["a", "b", "c"]), toolkit.rows(ids, **options)
    assert old.difference(new) == said
    assert old.same_as(new) == (said == "")
