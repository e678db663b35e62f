"""``--clean``, ``--splits``, ``--audit`` and ``--map``: from an audit to figures without leaks."""

import json
import re
import shutil

import cv2
import numpy as np
import pytest

from fusionfer.features import Features
from fusionfer.images import read_split_file


@pytest.fixture(scope="module")
def leaking(shared_faces, tmp_path_factory):
    """The shared faces and a training picture in test, saved anew: the same pixels, other bytes."""
    root = shutil.copytree(shared_faces, tmp_path_factory.mktemp("leaking") / "faces")
    one = min((root / "train" / "happy").glob("*.png"))
    copy = root / "test" / "happy" / "copied.png"
    cv2.imwrite(str(copy), cv2.imread(str(one)), [cv2.IMWRITE_PNG_COMPRESSION, 0])
    assert copy.read_bytes() != one.read_bytes()
    return root, f"train/happy/{one.name}"


@pytest.fixture(scope="module")
def work(cli, small, leaking, tmp_path_factory):
    """Its cache, a model of all its training rows, its audit, and the clean splits."""
    root, _ = leaking
    folder = tmp_path_factory.mktemp("work")
    audit = cli("audit", root, "--no-near", "--json", "-q", "--clean", folder / "clean.csv")
    assert audit.code == 0, audit.err
    (folder / "audit.json").write_text(audit.out)
    for command in [
        ("extract", root, *small, "--cache", folder / "cache", "-q"),
        ("fit", folder / "cache", "--out", folder / "m", "--folds", 3, "-q"),
    ]:
        outcome = cli(*command)
        assert outcome.code == 0, outcome.err
    return folder


def test_audit_writes_clean_splits(cli, leaking, work, tmp_path):
    """The training picture leaves, or its copy where train is kept; what was written is said on stderr."""
    root, one = leaking
    file = read_split_file(work / "clean.csv")
    out = dict(zip(file.ids[file.splits == ""].tolist(), file.reasons[file.splits == ""].tolist(), strict=True))
    assert out == {one: "copy in test: test/happy/copied.png"}
    outcome = cli("audit", root, "--no-near", "--clean", tmp_path / "x.csv", "--keep", "train", "-q")
    file = read_split_file(tmp_path / "x.csv")
    assert file.ids[file.splits == ""].tolist() == ["test/happy/copied.png"]
    assert re.search(r"^fusionfer: Wrote .*x\.csv\. Splits of .*: train 56, test 28; 1 pictures are", outcome.err, re.M)


def test_audit_draws_splits_for_data_without(cli, leaking, tmp_path):
    """Copies stand together; --split or --keep alone is wrong usage."""
    root = tmp_path / "plain"
    for label in ("happy", "sad"):
        for split in ("train", "test"):
            shutil.copytree(leaking[0] / split / label, root / label, dirs_exist_ok=True)
    outcome = cli("audit", root, "--no-near", "--clean", tmp_path / "x.csv", "--split", "50/50", "--seed", 1, "-q")
    assert outcome.code == 0, outcome.err
    file = read_split_file(tmp_path / "x.csv")
    assert set(file.splits.tolist()) == {"train", "test"}
    (group,) = file.shared_groups
    assert len(set(file.splits[np.isin(file.ids, group)].tolist())) == 1
    for words in (["--split", "50/50"], ["--keep", "train"]):
        outcome = cli("audit", root, *words)
        assert (outcome.code, "--split and --keep are about the file at --clean" in outcome.err) == (2, True)


def test_extract_takes_splits_from_a_file(cli, small, leaking, work, tmp_path):
    """What is left out is not extracted; --split beside it is wrong usage; another file is refused."""
    root, one = leaking
    outcome = cli("extract", root, *small, "--cache", tmp_path / "c", "--splits", work / "clean.csv", "-q")
    assert outcome.code == 0, outcome.err
    assert "fusionfer: Splits of clean.csv: train 55, test 29; 1 pictures are left out (copy in test 1)." in outcome.err
    features = Features.read(tmp_path / "c")
    assert len(features) == 84
    assert one not in features.ids
    outcome = cli("extract", root, "--splits", work / "clean.csv", "--split", "70/30")
    assert (outcome.code, "give one of both" in outcome.err) == (2, True)
    (root.parent / "other.csv").write_text("id,sha256,label,split,group,reason\nx.png,,happy,train,,\n")
    outcome = cli("extract", root, *small, "--cache", tmp_path / "d", "--splits", root.parent / "other.csv")
    assert outcome.code == 1
    assert re.search(r"other\.csv is not of .*1 of its pictures are not among .*85 of .* are not in it", outcome.error)
    assert not (tmp_path / "d").exists()


def test_fit_and_evaluate_take_splits_from_a_file(cli, work, tmp_path):
    """Without extracting again: a row less is trained on, and nothing of the test split is known."""
    clean = work / "clean.csv"
    outcome = cli("fit", work / "cache", "--splits", clean, "--out", tmp_path / "m", "--folds", 3, "--strict", "-q")
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("55 rows of split train")
    assert f"--split test --splits {clean}" in outcome.out
    found = json.loads(cli("evaluate", work / "cache", "--model", tmp_path / "m", "--splits", clean, "--json").out)
    assert found["n"] == found["clean"]["n"] == 29
    assert found["rows"] == {"trained_on": 0, "copies_of_trained_on": 0}


def test_every_figure_is_given_twice(cli, work, tmp_path):
    """Of a model that was trained on the copy: by an audit and by a split file, as tables, JSON and report."""
    options = ("evaluate", work / "cache", "--model", work / "m")
    plain = json.loads(cli(*options, "--json").out)
    assert (plain["clean"], plain["rows"]) == (None, {"trained_on": 0, "copies_of_trained_on": None})
    for known in [("--audit", work / "audit.json"), ("--splits", work / "clean.csv")]:
        found = json.loads(cli(*options, *known, "--json").out)
        assert found["accuracy"] == plain["accuracy"]
        assert found["rows"] == {"trained_on": 0, "copies_of_trained_on": 1}
        assert (found["n"], found["unseen"], found["clean"]["n"]) == (29, None, 28)
    outcome = cli(*options, "--audit", work / "audit.json", "--report", tmp_path / "report")
    assert outcome.code == 0, outcome.err
    assert "No audit was given" not in (tmp_path / "report" / "report.md").read_text()
    assert len(re.findall(r"^ ?(?:Classes|Confusion matrix|Overall)$", outcome.out, re.MULTILINE)) == 3
    assert len(re.findall(r", without rows trained on and copies of them$", outcome.out, re.MULTILINE)) == 3
    assert "1 of 29 scored rows were not trained on, but copies of them were" in outcome.err
    first, second = outcome.out.split("Overall, without rows trained on and copies of them")
    assert re.search(r"^ samples +29", first, re.MULTILINE)
    assert re.search(r"^ samples +28", second, re.MULTILINE)


def test_a_file_that_is_no_audit(cli, work):
    """Is told from one, before anything is read."""
    outcome = cli("evaluate", work / "cache", "--model", work / "m", "--audit", work / "clean.csv")
    assert outcome.code == 1
    assert "clean.csv is no JSON" in outcome.error


def test_labels_of_another_data_set_are_mapped(cli, small, shared_faces, shared_cache, shared_model, tmp_path):
    """The same pictures under other names: unmapped they are refused, mapped the figures are the same."""
    renamed = tmp_path / "other"
    cli("extract", shared_faces, *small, "--cache", renamed, "--classes", "happy=joy,sad=gloom", "-q")
    options = ("evaluate", renamed, "--model", shared_model)
    assert re.search(r"none of them: gloom, joy\. Map or drop them \(--map 'gloom=", cli(*options).error)
    mapped = json.loads(cli(*options, "--map", "joy=happy,gloom=sad", "--json").out)
    plain = json.loads(cli("evaluate", shared_cache, "--model", shared_model, "--json").out)
    assert mapped["notes"][0] == "Classes were mapped: gloom to sad, joy to happy."
    assert mapped["confusion"] == plain["confusion"]
    assert mapped["per_class"] == plain["per_class"]
    dropped = json.loads(cli(*options, "--map", "joy=happy,gloom=", "--json").out)
    assert dropped["n"] == plain["n"] - 4
