"""evaluate: the model's columns are found by name, and every figure is that of scikit-learn."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, precision_recall_fscore_support, roc_auc_score

from fusionfer.evaluation import estimate_evaluation, evaluate, model_columns, read_for_model
from fusionfer.exceptions import DataError, ModelError, UnknownNameError
from fusionfer.features import Features
from fusionfer.fitting import fit
from fusionfer.fusion import fingerprints
from fusionfer.images import SplitFile
from fusionfer.matrices import MappedMatrix, row_pieces


@pytest.fixture
def fitted(make_features):
    """Features of three classes, and a model of both blocks."""
    features = make_features(y=["abc"[i % 3] for i in range(60)])
    model = fit(features, cv=3, min_gain=0.0).model
    return features, model


def test_the_figures_are_those_of_scikit_learn(fitted):
    """Accuracy, precision, recall, F1 and AUC, from the model's own predictions."""
    features, model = fitted
    result = evaluate(features, model)
    rows = features.split("test")
    assert result.ids.tolist() == rows.ids.tolist()
    assert result.y_true.tolist() == rows.y.tolist()
    assert np.array_equal(result.y_pred, model.predict(model_columns(rows, model)))
    assert result.scores.accuracy == pytest.approx(accuracy_score(result.y_true, result.y_pred))
    precision, recall, f1, _ = precision_recall_fscore_support(
        result.y_true, result.y_pred, average="macro", zero_division=0
    )
    found = result.scores.to_dict()
    assert found["macro"]["precision"] == pytest.approx(precision)
    assert found["macro"]["recall"] == pytest.approx(recall)
    assert found["macro"]["f1"] == pytest.approx(f1)
    auc = roc_auc_score(result.y_true, result.proba, multi_class="ovr", average="macro")
    assert found["roc_auc"] == pytest.approx(auc)


def test_columns_are_found_by_name(fitted):
    """Blocks in another order, with one more between them, give the same scores."""
    features, model = fitted
    left, right = features.block("left"), features.block("right")
    noise = np.zeros((60, 2), np.float32)
    blocks = {"right": slice(0, 3), "noise": slice(3, 5), "left": slice(5, 8)}
    turned = Features.from_arrays(features.ids, np.hstack([right, noise, left]), features.y, blocks, features.splits)
    assert np.array_equal(evaluate(features, model).y_pred, evaluate(turned, model).y_pred)


@pytest.mark.parametrize("mapped", [False, True])
def test_rows_are_scored_in_pieces(fitted, mapped, monkeypatch):
    """Of arrays and of maps, a piece at a time; and nothing changes by that."""
    features, model = fitted
    expected, sizes, predict = evaluate(features, model), [], type(model).predict
    X = MappedMatrix([features.X]) if mapped else features.X

    def watched(self, rows):
        sizes.append(len(rows))
        return predict(self, rows)

    monkeypatch.setattr(type(model), "predict", watched)
    monkeypatch.setattr(row_pieces, "__defaults__", (4 * model.n_columns * 7,))
    result = evaluate(replace(features, X=X), model)
    assert sizes == [7, 7, 6]
    assert_array_equal(result.y_pred, expected.y_pred)
    assert_allclose(result.proba, expected.proba, atol=1e-6)


def test_the_estimate_counts_copies(fitted):
    """Rows of a split, rows with a label, and blocks in another order are copied; a map is not."""
    features, _ = fitted
    names, size = list(features.blocks), 4 * 20 * features.X.shape[1]
    model = SimpleNamespace(blocks={name: features.block_record(name) for name in names}, classes=("a", "b", "c"))

    def copied(features, n):
        return dict(estimate_evaluation(features, model, n).parts).get("copies of rows", 0)

    assert copied(features, 60) == 0
    assert copied(features, 20) == size
    assert copied(features.only(*names[::-1]), 20) == 2 * size
    some = np.where(np.arange(60) == 3, "", features.y)
    assert copied(replace(features, y=some), 20) == 2 * size
    assert copied(replace(features, X=MappedMatrix([features.X])), 20) == 0


def test_splits(fitted):
    """One, several, all; an unknown one is refused with those there are."""
    features, model = fitted
    assert len(evaluate(features, model, "train").ids) == 40
    assert len(evaluate(features, model, "train+test").ids) == 60
    assert len(evaluate(features, model, "all").ids) == 60
    with pytest.raises(UnknownNameError, match=r"Unknown split 'validation'.*test \(20 rows\)"):
        evaluate(features, model, "validation")


def test_a_missing_block_is_refused(fitted):
    """A model of both blocks does not score one of them."""
    features, model = fitted
    gone = next(iter(model.blocks))
    other = next(name for name in features.blocks if name != gone)
    with pytest.raises(ModelError, match=f"{gone} is missing"):
        evaluate(features.only(other), model)


def test_labels_that_were_never_trained(fitted):
    """They cannot be scored."""
    features, model = fitted
    y = features.y.astype(object)
    y[59] = "zeal"
    with pytest.raises(DataError, match=r"knows the classes a, b, c; .*'test' are none of them: zeal"):
        evaluate(replace(features, y=y.astype(str)), model)


def test_rows_without_labels(fitted):
    """They are left out with a note; none at all is an error."""
    features, model = fitted
    y = features.y.copy()
    y[50:] = ""
    result = evaluate(replace(features, y=y), model)
    assert len(result.ids) == 10
    assert result.notes == ("10 rows without a label are left out.",)
    y[40:] = ""
    with pytest.raises(DataError, match=r"None of the 20 rows of split 'test' has a label"):
        evaluate(replace(features, y=y), model)


def test_training_rows_in_the_test_split_are_counted(make_features):
    """Fault 28: after the split was drawn anew: rows that were trained on, others of their persons; not an error."""
    features = make_features(groups=[f"g{i // 4}" if i < 56 else "" for i in range(60)])
    model = fit(features, cv=3).model
    assert evaluate(features, model).notes == ()
    anew = np.where(np.arange(60) < 30, "train", "test")
    notes = evaluate(replace(features, splits=anew), model).notes
    assert notes == ("10 of 30 scored rows were trained on: their figures say nothing about new faces.",)
    groups = np.where(np.arange(60) == 45, "g0", features.groups)
    (note,) = evaluate(replace(features, groups=groups), model).notes
    assert note.startswith("1 of 20 scored rows were not trained on, but others of their 1 groups (persons, sequences)")


def test_training_rows_are_known_by_their_picture(make_features):
    """A file that moved is recognised; another data set with the same ids is not taken for the first."""
    features = replace(make_features(), digests=np.array([f"{i:064x}" for i in range(60)]))
    model = fit(features, cv=3).model
    moved = replace(features, ids=np.array([f"test/{i}" for i in range(60)]))
    assert evaluate(moved, model, "train").notes[0].startswith("40 of 40 scored rows were trained on")
    other = replace(features, digests=np.array([f"{i + 60:064x}" for i in range(60)]))
    assert evaluate(other, model, "train").notes == ()


def test_read_for_model_reads_its_blocks_only(fitted, tmp_path):
    """From a folder with more, the model's own blocks come back under its names, with equal scores."""
    features, _ = fitted
    features.to_hdf5(tmp_path)
    stored = Features.read(tmp_path)
    one = fit(stored.only("right"), cv=3).model
    found = read_for_model(tmp_path, one)
    assert list(found.blocks) == ["right"]
    assert evaluate(found, one).scores.accuracy == evaluate(stored, one).scores.accuracy


def test_read_for_model_names_what_differs(make_features, tmp_path):
    """The same block with other content is refused by its key."""
    make_features(seed=0).to_hdf5(tmp_path / "one")
    make_features(seed=1).to_hdf5(tmp_path / "two")
    model = fit(Features.read(tmp_path / "one"), cv=3).model
    with pytest.raises(ModelError, match=r"content_sha256 is '\w+' in the model, '\w+' in the features"):
        read_for_model(tmp_path / "two", model)


def test_rows_that_weights_were_trained_on_are_scored_apart(make_features):
    """They are counted, and every figure is given of the others alone, too; other blocks' weights do not matter."""
    features = replace(make_features(n_train=20), digests=np.array([f"{i:064x}" for i in range(1, 61)]))
    model = fit(features, cv=3, min_gain=1.0).model
    (name,) = model.blocks
    other = next(block for block in features.blocks if block != name)

    def said(block, **rows):
        weights = {what: fingerprints(features.digests[some].tolist()) for what, some in rows.items()}
        return replace(features, provenance={block: {"key": {"block": block}, "record": {"weights": weights}}})

    known = said(name, trained_on=slice(30, 40), selected_on=slice(35, 45))
    result = evaluate(known, model)
    assert np.flatnonzero(result.seen).tolist() == list(range(10, 20))
    new = ~result.seen
    assert result.unseen_scores.n == 30
    assert result.unseen_scores.accuracy == accuracy_score(result.y_true[new], result.y_pred[new])
    assert result.unseen_scores.roc_auc == pytest.approx(roc_auc_score(result.y_true[new] == "b", result.proba[new, 1]))
    assert result.scores.accuracy == evaluate(features, model).scores.accuracy
    assert result.notes == (
        f"10 of 40 scored rows are images that the weights of {name} were trained on: their figures say nothing about "
        "new faces.",
        f"5 of 40 scored rows have told when to stop the training of the weights of {name}: their figures are a little "
        "too good.",
    )
    alone = evaluate(said(other, trained_on=slice(30, 40)), model)
    assert (alone.notes, alone.unseen_scores) == ((), None)


def test_rows_seen_by_model_and_weights(make_features):
    """Both count; where all rows were trained on, no other figures are left to give."""
    features = replace(make_features(), digests=np.array([f"{i:064x}" for i in range(1, 61)]))
    model = fit(features, cv=3).model
    weights = {"trained_on": fingerprints(features.digests[40:50].tolist())}
    known = {name: {"key": {"block": name}, "record": {"weights": weights}} for name in features.blocks}
    result = evaluate(replace(features, provenance=known), model, "all")
    assert np.flatnonzero(~result.seen).tolist() == list(range(50, 60))
    assert result.unseen_scores.n == 10
    assert [note.split(" of ")[0] for note in result.notes] == ["40", "10"]
    assert evaluate(features, model, "train").unseen_scores is None
    assert evaluate(features, model, "test").unseen_scores is None


def test_rows_that_chose_the_model_are_counted(make_features):
    """Held-out rows of a fit were not trained on, but are no new faces either."""
    splits = ["train"] * 30 + ["validation"] * 15 + ["test"] * 15
    features = replace(make_features(splits=splits), digests=np.array([f"{i:064x}" for i in range(1, 61)]))
    weights = {"trained_on": fingerprints(features.digests[:30].tolist())}
    known = {name: {"key": {"block": name}, "record": {"weights": weights}} for name in features.blocks}
    features = replace(features, provenance=known)
    model = fit(features, LogisticRegression()).model
    assert evaluate(features, model).notes == ()
    assert evaluate(features, model, "validation").notes == (
        "15 of 15 scored rows have chosen the model (blocks, parameters, calibration): their figures are a little too "
        "good.",
    )


def marked(features):
    """The same features, with pictures that all differ."""
    return replace(features, digests=np.array([f"{i:064x}" for i in range(1, len(features) + 1)]))


def test_copies_of_trained_rows_are_scored_apart(make_features):
    """By an audit: every figure is given of all rows, and of those that are neither trained on nor copies of such."""
    features = marked(make_features())
    model = fit(features, cv=3).model
    copies = [("000", "045", "046"), ("050", "051"), ("039", "059"), ("001", "002")]
    result = evaluate(features, model, copies=copies)
    assert np.flatnonzero(result.leaked).tolist() == [5, 6, 19]
    assert not result.seen.any()
    rest = ~result.leaked
    assert result.clean_scores.n == 17
    assert result.clean_scores.accuracy == accuracy_score(result.y_true[rest], result.y_pred[rest])
    assert result.unseen_scores is None
    assert result.scores.n == 20
    assert result.notes[0] == (
        "3 of 20 scored rows were not trained on, but copies of them were: their figures say little about new faces."
    )
    assert result.notes[1] == "The weights of right do not say on which pictures they were trained."
    both = evaluate(features, model, "all", copies=copies)
    assert (both.seen.sum(), both.leaked.sum(), both.unseen_scores.n, both.clean_scores.n) == (40, 3, 20, 17)
    assert np.array_equal(both.seen, np.isin(both.ids, features.split("train").ids))


def test_copies_of_copies(make_features):
    """An exact copy of a near copy of what was trained on is one, in whatever order the groups come."""
    features = marked(make_features())
    model = fit(features, cv=3).model
    result = evaluate(features, model, copies=[("042", "043"), ("041", "042"), ("000", "041"), ("044", "045")])
    assert np.flatnonzero(result.leaked).tolist() == [1, 2, 3]


def test_without_an_audit_nothing_is_said_of_copies(fitted):
    """No figures, no rows, no note; with one that finds none, the clean figures are those of all rows."""
    features, model = fitted
    result = evaluate(features, model)
    assert (result.leaked.any(), result.clean_scores, result.notes) == (False, None, ())
    result = evaluate(features, model, copies=[("050", "051")])
    assert not result.leaked.any()
    assert result.clean_scores.to_dict() == result.scores.to_dict()
    assert result.notes[0] == "None of the other scored rows is a known copy of one that was trained on."
    assert evaluate(features, model, "train", copies=[("000", "001")]).clean_scores is None


def test_copies_of_what_weights_were_trained_on(make_features):
    """The weights of the model's blocks count, those of others do not."""
    features = marked(make_features())
    model = fit(features, cv=3, min_gain=1.0).model
    (name,) = model.blocks
    other = next(block for block in features.blocks if block != name)

    def said(block):
        weights = {"trained_on": fingerprints(features.digests[40:42].tolist())}
        return replace(features, provenance={block: {"key": {"block": block}, "record": {"weights": weights}}})

    copies = [("040", "050"), ("052", "053")]
    result = evaluate(said(name), model, copies=copies)
    assert np.flatnonzero(result.seen).tolist() == [0, 1]
    assert np.flatnonzero(result.leaked).tolist() == [10]
    assert (result.unseen_scores.n, result.clean_scores.n) == (18, 17)
    assert not any("do not say" in note for note in result.notes)
    assert not evaluate(said(other), model, copies=copies).leaked.any()


def test_an_audit_of_other_data(fitted):
    """Most of its copies are not there: an error; a few: a note."""
    features, model = fitted
    with pytest.raises(DataError, match=r"2 of 3 pictures that have copies are not here \(first: x\): the audit is of"):
        evaluate(features, model, copies=[("050", "x"), ("050", "y")])
    result = evaluate(features, model, copies=[("050", "051"), ("052", "x")])
    assert "1 of 4 copies are not here: whether these were trained on is not known." in " ".join(result.notes)


def a_split_file(features, splits, groups):
    reasons = np.where(splits == "", "copy in test", "")
    return SplitFile(features.ids, features.digests, features.y, splits, groups, reasons, "clean.csv")


def test_a_split_file_takes_the_place_of_the_splits(make_features):
    """What it leaves out is not scored, and tells by its group which rows are copies of what was trained on."""
    features = marked(make_features())
    model = fit(features, cv=3).model
    splits = np.array(["", *["train"] * 34, *["test"] * 25])
    groups = np.array(["x", *[""] * 34, "y", *[""] * 10, "x", "y", *[""] * 12])
    file = a_split_file(features, splits, groups)
    result = evaluate(features, model, splits=file)
    assert len(result.ids) == 25
    assert result.ids[result.seen].tolist() == ["035", "036", "037", "038", "039"]
    assert result.ids[result.leaked].tolist() == ["046", "047"]
    assert (result.scores.n, result.unseen_scores.n, result.clean_scores.n) == (25, 20, 18)
    assert result.notes[0].startswith("Splits of clean.csv: train 34, test 25; 1 pictures are left out")
    assert any(note.startswith("2 of 25 scored rows were not trained on, but copies of") for note in result.notes)
    assert len(evaluate(features, model, "all", splits=file).ids) == 59
    # Nor does it matter that the picture was never extracted: the file has its hash.
    alone = evaluate(features.take(np.arange(1, 60)), model, splits=file)
    assert alone.ids[alone.leaked].tolist() == ["046", "047"]


def test_a_model_of_clean_splits_has_no_leaks(make_features):
    """Fitted to the rows that a split file leaves in train, and scored by the same file."""
    features = marked(make_features())
    splits = np.array(["", *["train"] * 39, *["test"] * 20])
    file = a_split_file(features, splits, np.array(["x", *[""] * 39, "x", *[""] * 19]))
    fitted = fit(features.resplit(file), cv=3)
    assert fitted.n == 39
    result = evaluate(features, fitted.model, splits=file)
    assert not result.seen.any()
    assert not result.leaked.any()
    assert result.clean_scores.n == 20
    assert evaluate(features, fit(features, cv=3).model, splits=file).leaked.sum() == 1


def test_labels_of_another_data_set_are_mapped(fitted):
    """The figures are those under the model's own names; dropped labels are not scored, unknown ones are refused."""
    features, model = fitted
    names = {"a": "anger", "b": "boredom", "c": "calm"}
    other = replace(features, y=np.array([names[label] for label in features.y]))
    with pytest.raises(DataError, match=r"none of them: anger, boredom, calm\. Map or drop them \(--map 'anger="):
        evaluate(other, model)
    result = evaluate(other, model, classes={"Anger": "a", "boredom": "b", "calm": "c"})
    assert result.scores.to_dict() == evaluate(features, model).scores.to_dict()
    assert result.notes == ("Classes were mapped: anger to a, boredom to b, calm to c.",)
    result = evaluate(other, model, classes={"anger": "a", "boredom": "b", "calm": ""})
    assert result.scores.n == np.sum(features.split("test").y != "c")
    assert result.notes[0] == "Classes were mapped: anger to a, boredom to b, calm dropped."
    with pytest.raises(UnknownNameError, match=r"Unknown label 'angr'.*mean 'anger'"):
        evaluate(other, model, classes={"angr": "a"})
