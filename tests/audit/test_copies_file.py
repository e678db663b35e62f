"""read_copies: what an audit printed comes back, and nothing else is taken for one."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusionfer.audit import audit, read_copies
from fusionfer.exceptions import DataError
from fusionfer.images import FaceSet, generate_faces


def test_what_audit_describes_comes_back(tmp_path):
    """The ids of each group of copies."""
    faces = generate_faces(2, takes=1, size=32)
    both = FaceSet(list("abcdef"), [faces.keys[i] for i in (0, 0, 1, 2, 2, 2)], faces.source)
    found = audit(both, near=False)
    (tmp_path / "audit.json").write_text(json.dumps(found.describe()))
    groups = read_copies(tmp_path / "audit.json")
    assert groups == tuple(one.ids for one in found.copies)
    assert sorted(map(len, groups)) == [2, 3]


def test_near_copies_come_after_exact_ones(tmp_path):
    """Where the audit looked for them."""
    (tmp_path / "x").write_text('{"copies": [{"ids": ["a", "b"]}], "near": [{"ids": ["c", "d"], "labels": []}]}')
    assert read_copies(tmp_path / "x") == (("a", "b"), ("c", "d"))
    (tmp_path / "x").write_text('{"copies": [], "near": null}')
    assert read_copies(tmp_path / "x") == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"The audit .*x cannot be read: No such file"),
        ("", r"x is no JSON: "),
        ("[" * 100_000, r"x is no JSON: "),
        ("[]", r"x is no audit: it has no list of copies\. An audit is what `fusionfer audit DATA --json` prints\."),
        ('{"copies": {}}', r"x is no audit: it has no list of copies"),
        ('{"copies": [], "near": 3}', r"x: near must be a list, and is int\."),
        ('{"copies": [["a", "b"]]}', r"x: entry 0 of copies must have ids, two different texts at least, got None\."),
        ('{"copies": [{"ids": ["a"]}]}', r"got \['a'\]\."),
        ('{"copies": [{"ids": ["a", "a"]}]}', r"got \['a', 'a'\]\."),
        ('{"copies": [{"ids": ["a", 3]}]}', r"got \['a', 3\]\."),
    ],
)
def test_what_is_no_audit(tmp_path, content, message):
    """Is said to be none, and how one is made."""
    if content is not None:
        (tmp_path / "x").write_text(content)
    with pytest.raises(DataError, match=message):
        read_copies(tmp_path / "x")


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["copies", "near", "ids"]), inner),
    max_leaves=8,
)


@settings(max_examples=80)
@given(st.binary(max_size=40) | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_content_is_read_or_refused(tmp_path_factory, content):
    """By an error of ours; what is read are groups of different ids."""
    path = tmp_path_factory.mktemp("any") / "x"
    path.write_bytes(content)
    try:
        groups = read_copies(path)
    except DataError:
        return
    assert all(len(ids) == len(set(ids)) > 1 for ids in groups)
