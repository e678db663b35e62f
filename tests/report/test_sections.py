"""Sections show the facts that they are given, and say what is missing."""

import numpy as np
import pytest

from fusionfer.report import (
    Code,
    Picture,
    Sheet,
    Table,
    audit_section,
    data_section,
    features_section,
    provenance_section,
    scores_section,
    selection_section,
)


def tables(section):
    """Return title -> table."""
    return {item.title: item for item in section.items if isinstance(item, Table)}


def pictures(section):
    """Return name -> figure."""
    return {item.name: item for item in section.items if isinstance(item, Picture)}


def test_data():
    """A row for each class, a column for each split, sums at the end; unlabelled rows are counted, too."""
    sheet = Sheet("samples", "S", [np.zeros((2, 2), np.uint8)], ["a"])
    section = data_section({"train": {"a": 1200, "b": 3}, "test": {"a": 2, "": 4}}, [sheet])
    (table,) = tables(section).values()
    assert table.header == ("class", "train", "test", "all splits")
    assert table.rows == (
        ("no label", "0", "4", "4"),
        ("a", "1,200", "2", "1,202"),
        ("b", "3", "0", "3"),
        ("all", "1,203", "6", "1,209"),
    )
    assert section.items[-1] is sheet


@pytest.fixture
def audit():
    """What an audit of ten samples says."""
    copy = {"ids": ["1", "2"], "labels": ["a", "b"], "splits": ["train", "test"]}
    near = {"ids": ["3", "4", "5"], "labels": ["a", "a", "a"], "splits": ["test", "test", ""]}
    return {
        "name": "faces", "n_samples": 10, "copies": [copy], "near": [near], "persons": {"p": {"train": 2, "test": 1}},
        "leaked": {"test": ["2"]}, "blank": ["7"], "unreadable": [],
    }  # fmt: skip


def test_audit(audit):
    """Exact and near copies apart, those across splits and with several labels, persons, leaks, blank ones."""
    (table,) = tables(audit_section(audit)).values()
    assert table.title == "faces: 10 samples"
    assert {row[0]: row[1:] for row in table.rows} == {
        "copies (equal pixels)": ("1", "2"),
        "copies (equal pixels) in more than one split": ("1", "2"),
        "copies (equal pixels) with more than one label": ("1", "2"),
        "near copies": ("1", "3"),
        "near copies in more than one split": ("0", "0"),
        "near copies with more than one label": ("0", "0"),
        "persons in more than one split": ("1", "3"),
        "samples of test that leak": ("", "1"),
        "blank pictures": ("", "1"),
        "unreadable pictures": ("", "0"),
    }


def test_the_ceiling_of_contradicting_copies(audit):
    """With two classes, copies that agree in half of the pairs are labelled by a coin: the ceiling is half."""
    same = {"ids": ["8", "9"], "labels": ["a", "a"], "splits": ["train", "train"]}
    found = {**audit, "copies": [*audit["copies"], same], "counts": {"train": {"a": 5, "b": 5}}}
    sentence = audit_section(found).items[1]
    assert "the same label in 50.0 % of 2 pictures with copies" in sentence
    assert "no predictor is right in more than 50.0 %" in sentence
    assert len(audit_section({**found, "copies": []}).items) == 1


def test_no_audit_is_said():
    """Silence would look like a clean bill."""
    assert "it is not known whether copies" in audit_section(None).items[0]


def test_features():
    """Weights by name and hash, size of the input; what arrays do not know is a dash; how alike blocks are."""
    known = {
        "dim": 2048, "key": {"preprocess": {"size": 48}, "weights_sha256": "ab" * 32},
        "record": {"weights": {"name": "r50.safetensors"}},
    }  # fmt: skip
    blocks = {"r50": known, "mine": {"dim": 3, "key": {}, "record": {}}}
    section = features_section(blocks, (["r50", "mine"], np.array([[1, -0.004], [-0.004, np.nan]]), 4096))
    first, second = tables(section).values()
    assert first.rows == (("r50", "2,048", "48 x 48", "r50.safetensors", "abababab"), ("mine", "3", "–", "–", "–"))
    assert second.rows == (("r50", "1.00", "−0.00"), ("mine", "−0.00", "–"))
    assert "4,096 rows" in second.note
    assert len(tables(features_section({"r50": known}, (["r50"], np.eye(1), 9)))) == 1


def test_selection(selection, with_gaps):
    """Candidates with intervals and folds; with evidence the verdict stands first, with several heads all of them."""
    section = selection_section(selection, {"B": with_gaps})
    assert list(tables(section)) == ["Candidates"]
    assert pictures(section)["folds"].says.endswith("kept: A+B.")
    evidence = {
        "verdict": "No evidence either way.", "level": 0.95, "optimism": {"sentence": "Too good by 0.1."},
        "candidates": {"A": {"score": 0.52, "interval": [0.5, 0.6]}},
        "pairs": [{"first": "A+B", "second": "A", "difference": 0.09, "interval": [-0.1, 0.2], "greater": 0.2,
                   "holm": 0.4}],
    }  # fmt: skip
    section = selection_section({**selection, "evidence": evidence, "heads": {"ecoc": selection, "svm": selection}})
    assert section.items[0] == "No evidence either way."
    assert list(tables(section)) == ["Heads", "Candidates", "Evidence"]
    assert tables(section)["Candidates"].rows[0][3] == "50.00 to 60.00"
    assert tables(section)["Evidence"].note == "Too good by 0.1."
    history = {"validation_loss": np.array([1.0, 0.5])}
    assert set(pictures(selection_section(selection, None, history))) == {"folds", "rounds"}


def test_scores(make_scores):
    """Overall twice where a part says more, confusion in counts and percent, classes, ROC where it can be drawn."""
    scores = make_scores(["a", "b", "c"], n=60)
    y_true = np.repeat(["a", "b", "c"], scores.support)
    proba = np.random.default_rng(0).random((scores.n, 3))
    section = scores_section(
        scores, others={"without x": make_scores(["a", "b", "c"], n=30)}, y_true=y_true, proba=proba
    )
    assert list(tables(section)) == [
        "Overall", "Overall, without x", "Confusion matrix", "Confusion matrix, percent of each true class", "Classes",
        "Undefined figures",
    ]  # fmt: skip
    assert list(pictures(section)) == ["confusion", "classes", "roc"]
    assert all(picture.says != picture.caption for picture in pictures(section).values())
    one = scores_section(scores, y_true=np.full(scores.n, "a"), proba=proba, prefix="1-")
    assert list(pictures(one)) == ["1-confusion", "1-classes"]
    assert "roc" not in pictures(scores_section(scores))


def test_provenance():
    """Facts as a table, commands as they are typed."""
    section = provenance_section({"seed": "0"}, ["fusionfer fit c", "fusionfer report m"])
    assert tables(section)["Made with"].rows == (("seed", "0"),)
    assert section.items[-1] == Code("fusionfer fit c\nfusionfer report m")
    assert not [item for item in provenance_section({"seed": "0"}).items if isinstance(item, Code)]
