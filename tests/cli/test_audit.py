"""``fusionfer audit``: the tables, JSON, and exit code 4 under --strict."""

import json
import re
import shutil

import cv2
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
        r"test/sad/copied\.png, train/happy/\S+ +happy, sad +train, test",
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


def test_near_copies_are_told_apart(cli, leaking):
    """A mirrored training picture in test: a near group with what was changed, a leak that equal pixels do not tell."""
    one = next((leaking / "train" / "fear").glob("*.png"))
    cv2.imwrite(str(leaking / "test" / "fear" / "mirrored.png"), cv2.imread(str(one))[:, ::-1])
    outcome = cli("audit", leaking, "--quiet")
    for line in (
        r"test samples that leak +2",
        r"by equal pixels +1",
        r"test/fear/mirrored\.png, train/fear/\S+ +fear +train, test +mirrored",
    ):
        assert re.search(rf"^ +{line}$", outcome.out, re.M), line
    exact = cli("audit", leaking, "--quiet", "--no-near")
    assert "near copies" not in exact.out
    assert re.search(r"^ +test samples that leak +1$", exact.out, re.M)


def test_the_sheet_is_written(cli, leaking, shared_faces, tmp_path):
    """--sheet draws copies where there are some, and says so where there are none."""
    outcome = cli("audit", leaking, "--sheet", tmp_path / "copies.png", "--quiet")
    assert "copies.png" in outcome.err
    assert cv2.imread(str(tmp_path / "copies.png")) is not None
    outcome = cli("audit", shared_faces, "--sheet", tmp_path / "none.png", "--quiet", "--no-near")
    assert "there are no copies to draw" in outcome.err
    assert not (tmp_path / "none.png").exists()


def test_manifests_and_classes(cli, shared_faces, tmp_path):
    """What extract takes for manifests and labels, audit takes as well."""
    rows = [f"{path},{path.parent.name}" for path in shared_faces.rglob("*.png")]
    manifest = tmp_path / "list.csv"
    manifest.write_text("\n".join(["where,what", *rows]))
    options = ("--path-column", "where", "--label-column", "what", "--allow-outside-root", "--classes", "sad=")
    data = json.loads(cli("audit", manifest, *options, "--json", "--no-near").out)
    assert data["n_samples"] == len([row for row in rows if not row.endswith(",sad")])
    assert {label for counts in data["counts"].values() for label in counts} >= {"happy", "fear"}
    assert not any("sad" in counts for counts in data["counts"].values())
