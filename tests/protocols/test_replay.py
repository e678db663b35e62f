"""A protocol run again, and the honest one beside it, on invented faces."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from fusionfer.cache import CacheFolder, read_feature_file
from fusionfer.exceptions import DataError, FusionferWarning, UnknownNameError
from fusionfer.features import Features
from fusionfer.images import generate_faces
from fusionfer.protocols import Protocol, change_protocol, read_protocol, replay, replay_table

pytestmark = pytest.mark.filterwarnings("ignore:The protocol singh:fusionfer.exceptions.FusionferWarning")

#: An early level and a quick head: more columns than rows, and margins that nothing stops, take ECOC long.
SMALL = {
    "head.name": "softmax",
    "features.size": 32,
    "features.backbones": ["resnet34", "resnet50"],
    "features.level": "layer1",
    "features.weights": "none",
}


@pytest.fixture(scope="module")
def persons():
    """Twelve persons, seven expressions."""
    return generate_faces(12, takes=1, size=32)


@pytest.fixture(scope="module")
def singh(persons, tmp_path_factory):
    """Singh and Mandloi's protocol and the honest one, twice drawn, with the folder of its caches."""
    folder = tmp_path_factory.mktemp("singh")
    found = replay(
        "singh-mandloi-2025", persons, beside="honest", repeats=2, cache=folder / "cache", out=folder / "out",
        changes=SMALL,
    )  # fmt: skip
    return found, folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """One folder for the features of all persons without copies: they are computed once."""
    return tmp_path_factory.mktemp("cache")


def test_the_honest_protocol_stands_beside_with_one_cause_less_each(singh):
    """Copies, persons and the choice by the test are switched off in this order; who is trained on tells of it."""
    found, _ = singh
    assert [result.cause for result in found.results][:3] == [
        "",
        "augmented copies on both sides",
        "persons on both sides",
    ]
    assert found.results[-1].cause == "selection on the test faces"
    assert [result.remaining for result in found.results][-1] == ()
    first, second, third = (result.outcome for result in found.results[:3])
    # 252 pictures with copies: 8 of 12 x 3 of each class train; then copies of training faces alone.
    assert (first.n_train, first.scores.n) == (25 * 7, 11 * 7)
    assert (second.n_train, second.scores.n) == (3 * 8 * 7, 4 * 7)
    assert third.n_train == 3 * 8 * 7
    assert [result.leaking for result in found.results][:3] == [True, True, False]


def test_repetitions_draw_other_splits(singh):
    """Each run has a figure of every draw, and the mean is told."""
    found, _ = singh
    for result in found.results:
        assert len(result.accuracies) == 2
        assert result.accuracy == pytest.approx(np.mean(result.accuracies))
    assert any(len(set(result.accuracies)) == 2 for result in found.results)


def test_all_runs_share_one_cache(singh):
    """One file for each backbone, which holds each face and each copy once."""
    _, folder = singh
    files = list(CacheFolder(folder / "cache").blocks().values())
    assert len(files) == 2
    for path in files:
        assert len(read_feature_file(path).rows.ids) == 3 * 84


def test_json_holds_everything_and_says_what_is_reduced(singh):
    """What lies in the folder is what `describe` gives: claim, runs, differences, in what the run is other."""
    found, folder = singh
    told = json.loads((folder / "out" / "replay.json").read_text())
    assert told == json.loads(json.dumps(found.describe()))
    assert told["claimed_accuracy"] == pytest.approx(0.9819)
    assert told["results"][1]["difference"] == pytest.approx(found.results[1].accuracy - found.results[0].accuracy)
    assert "features.size = 32" in told["reduced"]
    assert not any(one.startswith("split.") for one in told["reduced"])


def test_the_table_shows_claim_runs_and_differences(singh):
    """One row a run, after the claim; leaking runs and the honest one are marked."""
    found, _ = singh
    table = replay_table(found)
    assert table.rows[0][:2] == ("claimed: Singh and Mandloi 2025", "98.2")
    assert table.rows[1][0] == "the protocol as it is (leaks)"
    assert table.rows[-1][0] == "without selection on the test faces: honest"
    assert re.fullmatch(r"[+-]\d+\.\d", table.rows[2][2])
    assert "Means of 2 draws" in table.note
    scores = found.results[-1].outcome.scores
    error = 100 * np.sqrt(scores.accuracy * (1 - scores.accuracy) / scores.n)
    assert f"about {error:.1f} points (one standard error, 28 faces)" in table.note


def test_the_same_seed_gives_the_same_figures(persons, singh, tmp_path):
    """To the last digit, from the same caches."""
    found, folder = singh
    again = replay(
        "singh-mandloi-2025", persons, beside="honest", repeats=2, cache=folder / "cache", out=tmp_path,
        changes=SMALL,
    )  # fmt: skip
    assert again.describe() == found.describe()


def test_choosing_by_the_test_reports_the_best_of_the_candidates(persons, cache, tmp_path):
    """By hand: each candidate fitted on the training faces and scored on the test faces; the highest is the figure."""
    from sklearn.pipeline import make_pipeline

    from fusionfer.extraction import extract
    from fusionfer.fusion import BlockScaler
    from fusionfer.heads import make_head

    changes = SMALL | {"choice.by": "test"}
    found = replay(Protocol("mine"), persons, cache=cache, out=tmp_path / "out", changes=changes)
    features = extract(persons, ["resnet34", "resnet50"], "layer1", cache=cache, weights="none", size=32)
    train, test = features.split("train"), features.split("test")
    accuracies = {}
    for names in (["resnet34:layer1"], ["resnet50:layer1"], list(features.blocks)):
        model = make_pipeline(BlockScaler(train.only(*names).blocks), make_head("softmax"))
        model.fit(train.only(*names).X, train.y)
        accuracies[" + ".join(names)] = np.mean(model.predict(test.only(*names).X) == test.y)
    assert found.results[0].accuracy == pytest.approx(max(accuracies.values()))
    assert accuracies[found.results[0].outcome.chosen] == max(accuracies.values())


def test_scoring_on_training_faces_is_cured_first(persons, cache, tmp_path):
    """A head that learns its faces by heart is right on them; on the test faces it is not."""
    changes = {**SMALL, "features.backbones": ["resnet50"], "score.on": "train"}
    found = replay(Protocol("mine"), persons, beside="honest", cache=cache, out=tmp_path / "out", changes=changes)
    assert found.results[1].cause == "scoring on training faces"
    assert found.results[0].outcome.scores.n == np.sum(persons.splits == "train")
    assert found.results[1].outcome.scores.n == np.sum(persons.splits == "test")
    assert found.results[0].accuracy > found.results[1].accuracy + 0.1


def test_weights_that_know_the_pictures_are_a_cause(persons, cache, tmp_path):
    """Known faces take part while the protocol keeps them, and leave when it does not; a split drawn of all."""
    changes = {**SMALL, "features.backbones": ["resnet34"], "data.known": "keep", "split.how": "draw"}
    found = replay(
        Protocol("mine"), persons, beside="honest", known=["train"], cache=cache, out=tmp_path / "out",
        changes=changes,
    )  # fmt: skip
    assert found.results[1].cause == "weights that know the pictures"
    sizes = [result.outcome.n_train + result.outcome.scores.n for result in found.results]
    assert sizes[:2] == [len(persons), np.sum(persons.splits == "test")]


def test_folds_are_scored_together(persons, cache, tmp_path):
    """CK+'s protocol on faces of the same form: every face is scored once, by a model that never saw its person."""
    found = replay(
        "ckplus/subject-10fold", persons, cache=cache, out=tmp_path / "out",
        changes={**SMALL, "features.backbones": ["resnet34"], "split.folds": 3},
    )  # fmt: skip
    (result,) = found.results
    assert (result.outcome.scores.n, result.leaking, result.remaining) == (84, False, ())
    assert result.outcome.n_train == 56


def test_random_80_20_of_persons_is_marked_as_leaking(persons, cache, tmp_path):
    """CK+'s other protocol: told in the result, in JSON and in the table."""
    with pytest.warns(FusionferWarning, match="on both sides of its split"):
        found = replay(
            "ckplus/random-80-20", persons, cache=cache, out=tmp_path / "out",
            changes={**SMALL, "features.backbones": ["resnet34"]},
        )  # fmt: skip
    assert found.results[0].leaking
    assert found.describe()["results"][0]["leaking"]
    assert replay_table(found).rows[1][0].endswith("(leaks)")


def test_a_folder_with_data_csv(tmp_path):
    """OAHEGA's form: class folders beside a data.csv; the network of its protocol, smaller, ends with a figure."""
    import cv2

    faces = generate_faces(10, takes=1, size=32)
    lines = ["path,label"]
    for i in range(len(faces)):
        path = tmp_path / "data" / str(faces.labels[i]) / f"{faces.groups[i]}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), faces.load(i)[0])
        lines.append(f"{path.relative_to(tmp_path / 'data')},{faces.labels[i]}")
    (tmp_path / "data" / "data.csv").write_text("\n".join(lines) + "\n")
    changes = {"network.networks": ["resnet34"], "network.recipe": "fer", "network.optimizers": ["sgdm"]}
    training = {"epochs": 1, "size": 32, "crop": 32, "stem": "standard", "batch_size": 16, "tta": "none", "warmup": 0}
    found = replay(
        "kumar-agarwal-2024", tmp_path / "data", cache=tmp_path / "cache", out=tmp_path / "out",
        changes=changes, training=training,
    )  # fmt: skip
    (result,) = found.results
    assert (result.outcome.n_train, result.outcome.scores.n) == (56, 14)
    assert result.outcome.chosen == "resnet34-sgdm"
    assert "epochs = 1" in found.reduced
    assert not (tmp_path / "cache").exists()


def test_a_network_chosen_by_the_test_uses_it_as_validation(persons, tmp_path):
    """The test faces decide which epoch is best, and their figure is reported; the honest run holds a tenth out."""
    changes = {
        "network.networks": ["resnet34"], "network.recipe": "fer", "network.optimizers": ["sgdm"], "choice.by": "test",
        "cleaning.copies": "apart",
    }  # fmt: skip
    faces = replace(persons.take(np.r_[:42, 63:84]), groups=None)
    training = {"epochs": 1, "size": 32, "crop": 32, "stem": "standard", "batch_size": 16, "tta": "none", "warmup": 0}
    found = replay(
        Protocol("mine"), faces, beside="honest", cache=tmp_path / "cache",
        out=tmp_path / "out", changes=changes, training=training,
    )  # fmt: skip
    assert [result.cause for result in found.results] == ["", "selection on the test faces"]
    assert {result.outcome.scores.n for result in found.results} == {int(np.sum(faces.splits == "test"))}
    folders = [path.name.rpartition("-")[0] for path in sorted((tmp_path / "out" / "networks").iterdir())]
    assert folders == [f"{number}-0" for number in range(len(found.results))]


def test_features_of_networks_that_each_run_trains(persons, tmp_path):
    """Trained, extracted, fitted: as it is by the test faces alone, honestly by a tenth that nothing was trained on."""
    faces = replace(persons.take(np.r_[:42, 63:84]), groups=None)
    changes = {
        "features.weights": "trained", "features.backbones": ["resnet34"], "features.level": "logits",
        "head.name": "softmax", "network.recipe": "fer", "network.optimizers": ["sgdm"], "choice.by": "test",
        "cleaning.copies": "apart",
    }  # fmt: skip
    training = {"epochs": 1, "size": 32, "crop": 32, "stem": "standard", "batch_size": 16, "tta": "none", "warmup": 0}
    found = replay(
        Protocol("mine"), faces, beside="honest", cache=tmp_path / "cache", out=tmp_path / "out", changes=changes,
        training=training,
    )  # fmt: skip
    assert [result.cause for result in found.results] == ["", "selection on the test faces"]
    as_is, honest = (result.outcome for result in found.results)
    n_test = int(np.sum(faces.splits == "test"))
    n_train = len(faces) - n_test
    assert (as_is.n_train, as_is.scores.n, as_is.chosen) == (n_train, n_test, "resnet34:logits")
    assert honest.scores.n == n_test
    assert 0.8 * n_train < honest.n_train < n_train
    for number, blocks in enumerate(sorted((tmp_path / "out" / "networks").iterdir())):
        stored = Features.read(blocks / "cache")
        assert stored.X.shape == (len(faces), 7)
        assert stored.seen()["resnet34:logits"].sum() == (as_is, honest)[number].n_train


def test_votes_tell_how_often_annotators_agree(persons, cache, tmp_path):
    """Of the faces that are scored, and of no others; changed copies have no votes."""
    faces = replace(persons, ids=[f"fer2013:{row}" for row in range(len(persons))])
    counts = {"angry": "anger", "sad": "sadness", "happy": "happiness"}
    columns = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF"]
    lines = [",".join(["Usage", "Image name", *columns])]
    for row, (label, split) in enumerate(zip(faces.labels.tolist(), faces.splits.tolist(), strict=True)):
        given = [8 * (name == counts.get(label, label)) + 2 * (name == "contempt") for name in columns]
        usage = "Training" if split == "train" else "PrivateTest"
        lines.append(",".join([usage, f"fer{row:07d}.png", *map(str, given)]))
    (tmp_path / "fer2013new.csv").write_text("\n".join(lines) + "\n")
    found = replay(
        Protocol("mine"), faces, labels=tmp_path / "fer2013new.csv", cache=tmp_path / "cache", out=tmp_path / "out",
        changes=SMALL | {"features.backbones": ["resnet34"], "augmentation.when": "before-split", "split.how": "draw",
                         "augmentation.copies": 1},
    )  # fmt: skip
    scored = found.results[0].outcome.scores.n
    (note,) = (note for note in found.notes if note.startswith("Agreement with one annotator's vote"))
    assert f"vote, {scored // 2:,} faces: " in note


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"beside": "fair"}, UnknownNameError, "Unknown protocol to stand beside 'fair'"),
        ({"limit": 5}, DataError, "limit must be a whole number from 10, got 5"),
        ({"repeats": 0}, DataError, "repeats must be a whole number from 1, got 0"),
        ({"training": {"epochs": 1}}, DataError, "trains no network: epochs can be set"),
        ({"changes": {"split.fold": 1}}, UnknownNameError, "Did you mean 'split.folds'"),
        (
            {"changes": {"split.folds": 3}},
            DataError,
            "change nothing in the protocol mine: split.folds is for",
        ),
        ({"changes": {"head.name": "softmx"}}, UnknownNameError, "Did you mean 'softmax'"),
    ],
)
def test_wrong_questions_are_refused_before_anything_runs(persons, tmp_path, options, error, message):
    """Each with what is allowed."""
    with pytest.raises(error, match=message):
        replay(Protocol("mine"), persons, cache=tmp_path / "cache", out=tmp_path / "out", **options)
    assert list(tmp_path.iterdir()) == []


def test_networks_have_one_figure_and_weights_of_their_recipe(persons, tmp_path):
    """Several without an average have none, and weights are for features: both are told before training."""
    with pytest.raises(DataError, match="--set weights=FILE"):
        replay("malik-2025", persons, weights="none", cache=tmp_path / "cache", out=tmp_path / "out")
    with pytest.raises(DataError, match=r"features.size is for protocols of features .*as in --set size=48"):
        replay("malik-2025", persons, cache=tmp_path / "cache", out=tmp_path / "out", changes={"features.size": 48})
    protocol = change_protocol(read_protocol("malik-2025"), {"network.optimizers": ["adam", "sgdm"]})
    with pytest.raises(DataError, match="which figure is the protocol's"):
        replay(protocol, persons, cache=tmp_path / "cache", out=tmp_path / "out")
    both = {"network.recipe": "fer", "features.weights": "trained"}
    for key, value, why in [
        ("network.optimizers", ["adam", "sgdm"], "name one by network.optimizers"),
        ("features.size", 48, "features.size is the networks'"),
        ("network.networks", ["resnet34"], "network.networks is features.backbones"),
    ]:
        changes = {**both, key: value}
        with pytest.raises(DataError, match=re.escape(why)):
            replay(Protocol("mine"), persons, cache=tmp_path / "cache", out=tmp_path / "out", changes=changes)
    with pytest.raises(DataError, match=r"features\.weights = 'trained' needs network\.recipe"):
        change_protocol(Protocol("mine"), {"features.weights": "trained"})
