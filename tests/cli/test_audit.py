"""``fusionfer audit``: the tables, JSON, and exit code 4 under --strict."""

import json
import re
import shutil

import pytest


@pytest.fixture
def leaking(shared_faces, tmp_path):
    """The shared faces with one training picture in test as well, and a file that is no picture."""
    root = shutil.copytree(shared_faces, tmp_path / "faces")
    one = next((root / "train" / "happy").glob("*.png"))
    shutil.copy(one, root / "test" / "sad" / "copied.png")
    (root / "train" / "sad" / "broken.png").write_bytes(b"no picture")
    return root


def test_a_clean_set(cli, shared_faces):
    """Counts of labels, no copies, exit 0 under --strict too."""
    outcome = cli("audit", shared_faces, "--strict", "--quiet")
    assert outcome.code == 0
    assert re.search(r"^ groups of copies \(equal pixels\) +0 +0$", outcome.out, re.M)
    assert "leak" not in outcome.out


def test_a_leak_is_shown_and_is_exit_4_where_asked(cli, leaking):
    """The copy across splits with both labels, its test sample, the unreadable file; 0 without --strict."""
    outcome = cli("audit", leaking, "--strict")
    assert outcome.code == 4
    for line in (
        r"in more than one split +1 +2",
        r"with more than one label +1 +2",
        r"test samples that leak +1",
        r"unreadable pictures +1",
        r"test/sad/copied\.png, train/happy/\S+ +happy, sad +test, train",
    ):
        assert re.search(rf"^ +{line}$", outcome.out, re.M), line
    assert cli("audit", leaking).code == 0


def test_show_limits_the_list(cli, leaking):
    """--show 0 lists no copies."""
    assert "copied.png" not in cli("audit", leaking, "--show", 0).out


def test_json(cli, leaking):
    """--json prints one object with every id."""
    data = json.loads(cli("audit", leaking, "--json").out)
    assert data["leaked"] == {"test": ["test/sad/copied.png"]}
    assert [one["id"] for one in data["unreadable"]] == ["train/sad/broken.png"]
