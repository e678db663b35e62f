"""Nothing is judged by images that weights were trained on: a backbone that memorised random labels proves it."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.naive_bayes import GaussianNB

from fusionfer.evaluation import evaluate
from fusionfer.exceptions import DataError
from fusionfer.features import Features
from fusionfer.fitting import fit, fit_heads
from fusionfer.fusion import fingerprints
from fusionfer.heads import HEADS
from fusionfer.persistence import load_model, save_model

N = {"train": 200, "validation": 120, "test": 80}
SPLITS = np.repeat(list(N), list(N.values()))


def said(features, seen, block="net:penultimate", **more):
    """The same features, with weights of one block that say which digests they were trained on."""
    weights = {"name": "net.safetensors", "trained_on": fingerprints(features.digests[seen].tolist()), **more}
    known = {
        **features.provenance,
        block: {"key": {"backbone": "net", "level": "penultimate"}, "record": {"weights": weights}},
    }
    return replace(features, provenance=known)


@pytest.fixture
def memorised():
    """Random labels of four classes; of the training rows one block knows them by heart, of all others nothing."""
    rng = np.random.default_rng(0)
    n = len(SPLITS)
    y = rng.integers(4, size=n)
    X = rng.normal(size=(n, 8)).astype(np.float32)
    X[SPLITS == "train", :4] = 3 * np.eye(4, dtype=np.float32)[y[SPLITS == "train"]] + 0.1 * X[SPLITS == "train", 4:]
    blocks = {"net:penultimate": slice(0, 4), "other": slice(4, 8)}
    features = Features.from_arrays(range(n), X, y, blocks, SPLITS)
    return said(replace(features, digests=np.array([f"{i:064x}" for i in range(1, n + 1)])), SPLITS == "train")


def test_folds_would_have_shown_everything(memorised):
    """Without the record, folds promise nearly 100 %, where there is nothing to be known: a quarter is right."""
    naive = fit(said(memorised, SPLITS == "", trained_on=None), GaussianNB(), cv=3)
    assert naive.selector.mean_scores_["net:penultimate"] > 0.99
    assert evaluate(memorised, naive.model).scores.accuracy < 0.4


def test_the_validation_rows_choose_instead(memorised):
    """With the record, what is chosen by is the unseen rows, whose score is that of new faces."""
    result = fit(memorised, GaussianNB(), cv=3)
    assert (result.n, result.held_out) == (200, 120)
    assert max(result.selector.mean_scores_.values()) < 0.4
    assert result.notes == (
        "200 of 200 rows of split train are images that the weights of net:penultimate were trained on: folds of them "
        "would only show what the weights remember. Instead, 120 rows of split validation that no weights were trained "
        "on choose blocks and parameters, stop and calibrate.",
    )
    selection, training = result.model.selection, result.model.training
    assert (selection["folds"], selection["held_out"]) == (1, 120)
    assert "on 120 held-out rows" in selection["reason"]
    assert sum(training["counts"].values()) == training["n"] == 200
    assert training["row_fingerprints"] == fingerprints(memorised.digests[:200].tolist())
    assert training["held_out_fingerprints"] == fingerprints(memorised.digests[200:320].tolist())


def test_without_unseen_rows_it_is_refused(memorised):
    """No validation split, one without labels, or one that the weights know, too."""
    message = (
        r"^200 of 200 rows of split train are images that the weights of net:penultimate were trained on\. .* but "
    )
    with pytest.raises(DataError, match=message + r"there is no such row with a label\. Extract such faces"):
        fit(memorised.take(SPLITS != "validation"), GaussianNB())
    with pytest.raises(DataError, match=message + "there is no such row with a label"):
        fit(replace(memorised, y=np.where(SPLITS == "validation", "", memorised.y)), GaussianNB())
    with pytest.raises(DataError, match=message + "of its 120 labelled rows 0 are known to be unseen"):
        fit(said(memorised, SPLITS != "test"), GaussianNB())
    with pytest.raises(DataError, match="of its 120 labelled rows 0 are known to be unseen"):
        fit(replace(memorised, digests=np.where(SPLITS == "validation", "", memorised.digests)), GaussianNB())


def test_without_any_split_it_is_refused(memorised):
    """Then all rows would be trained and judged on."""
    with pytest.raises(DataError, match=r"^201 of 400 rows of split train are images .* were trained on\. Folds"):
        fit(said(replace(memorised, splits=np.full(400, "")), np.arange(400) < 201), GaussianNB())


def test_unseen_rows_keep_their_folds(memorised):
    """--split validation is a plain selection by folds, to the last score."""
    one = fit(memorised, GaussianNB(), split="validation", cv=3)
    two = fit(replace(memorised, provenance={}), GaussianNB(), split="validation", cv=3)
    assert one.notes == ()
    assert one.held_out == 0
    assert one.model.selection == two.model.selection


def test_a_few_copies_are_left_out(memorised):
    """Where the weights know a few rows of a split only, these are left out, and folds judge the others."""
    digests = memorised.digests.copy()
    digests[200:207] = digests[:7]  # as in FER-2013, where 279 validation images are copies of training images
    copied = replace(memorised, digests=digests)
    result = fit(copied, GaussianNB(), split="validation", cv=3)
    assert (result.n, result.held_out) == (113, 0)
    assert result.notes == (
        "7 of 120 rows of split validation are left out: they are copies of images that the weights of net:penultimate "
        "were trained on.",
    )
    result = fit(copied, GaussianNB(), cv=3)
    assert (result.n, result.held_out) == (200, 113)
    assert result.notes[1] == "7 rows of split validation play no part: the weights were trained on these images, too."


def test_both_splits_by_name(memorised):
    """train+validation trains on the one and judges by the other, as train does."""
    one, two = (fit(memorised, GaussianNB(), split=split) for split in ("train", "train+validation"))
    assert two.held_out == 120
    assert one.model.selection == two.model.selection


def test_one_block_is_enough(memorised):
    """Weights that have seen nothing beside those that have do not help; without the block that has, folds judge."""
    assert fit(said(memorised, SPLITS == "", block="other"), GaussianNB()).held_out == 120
    assert fit(memorised.only("other"), GaussianNB()).held_out == 0


def test_persons_are_not_on_both_sides(memorised):
    """Validation rows of a group that is trained on do not judge."""
    groups = np.array([f"p{i}" for i in range(400)])
    groups[200:230] = groups[:30]
    result = fit(replace(memorised, groups=groups), GaussianNB())
    assert result.held_out == 90
    assert result.notes[1].startswith("30 rows of split validation play no part: others of their groups (persons, ")
    groups[200:320] = groups[:120]
    with pytest.raises(DataError, match=r"120 are known to be unseen, 120 of them of persons that are trained on\."):
        fit(replace(memorised, groups=groups), GaussianNB())


def test_rows_that_stopped_the_training_are_a_note(memorised):
    """They are no refusal: in folds as in the place of them."""
    stopped = said(memorised, SPLITS == "train", selected_on=fingerprints(memorised.digests[200:300].tolist()))
    for split in ("train", "validation"):
        assert fit(stopped, GaussianNB(), split=split, cv=3).notes[-1] == (
            "100 of the 120 rows that choose have chosen before, when to stop the training of the weights of "
            "net:penultimate: their scores are a little too good. Report those of a test split."
        )


def test_words_of_other_programs_are_shown(memorised):
    """What cannot be compared is said as it stands, without what could steer a terminal, and shortened."""
    words = "FER-2013 \x1b[31mTraining" + 200 * "!"
    known = {"net:penultimate": {"key": {}, "record": {"weights": {"metadata": {"trained_on": words}}}}}
    (note,) = fit(replace(memorised, provenance=known), GaussianNB(), cv=3).notes
    assert note.startswith(
        r"The weights of net:penultimate say that they were trained on 'FER-2013 \x1b[31mTraining!!!"
    )
    assert len(note) < 350
    assert "\x1b" not in note


def test_the_record_survives_the_cache(memorised, tmp_path):
    """Written to caches and read again, copied once more, the weights still say what they have seen."""
    for folder in ("one", "two"):
        memorised.to_hdf5(tmp_path / folder)
        memorised = Features.read(tmp_path / folder)
        digests = memorised.seen()["net:penultimate"]
        assert digests.tolist() == (SPLITS == "train").tolist()
    assert fit(memorised, GaussianNB()).held_out == 120


def test_the_model_is_not_burdened(memorised, tmp_path):
    """The hashes stay in the caches: a model holds those of its own rows only, and scores the same without them."""
    result = fit(memorised.only("net:penultimate"), GaussianNB())
    save_model(result.model, tmp_path / "m")
    model = load_model(tmp_path / "m")
    assert model.blocks["net:penultimate"]["record"] == {"weights": {"name": "net.safetensors"}}
    assert evaluate(memorised, model).scores.accuracy == evaluate(memorised, result.model).scores.accuracy


def test_several_heads(memorised):
    """All are judged by the same rows; the notes come once."""
    result = fit_heads(memorised, [GaussianNB(), LogisticRegression()])
    assert {found.held_out for found in result.results.values()} == {120}
    assert len(result.notes) == 1


#: Settings that hold rows out inside the head, wherever it can, and take no time.
INSIDE = {
    "ecoc": {"C": "auto", "tol": 0.05},
    "svm-linear": {"C": "auto"},
    "svm-rbf": {},
    "svm-nystroem": {"C": "auto", "n_components": 20},
    "softmax": {"C": "auto"},
    "xgb": {"n_rounds": 10, "early_stopping_rounds": 3},
    "xgb-wn": {"n_rounds": 30, "norm": None, "early_stopping_rounds": 3},
}


@pytest.mark.parametrize("name", HEADS)
def test_no_head_is_sure_of_what_the_weights_remember(name, memorised):
    """C, stops and calibrations go by unseen rows: where nothing can be known, probabilities are about the shares.

    Without that, each is nearly certain of every training row, which is what the naive way would calibrate by.
    """
    options = {"params": INSIDE[name], "random_state": 0}
    told = fit(memorised.only("net:penultimate"), name, **options)
    assert told.held_out == 120
    assert max(told.selector.mean_scores_.values()) < 0.4
    new = memorised.split("test").block("net:penultimate")
    naive = fit(said(memorised, SPLITS == "", trained_on=None).only("net:penultimate"), name, cv=3, **options)
    assert naive.selector.mean_scores_["net:penultimate"] > 0.9
    y = memorised.split("test").y
    losses = [log_loss(y, found.model.predict_proba(new), labels=found.model.classes) for found in (told, naive)]
    assert losses[0] < min(losses[1], 1.6)
