"""``fusionfer evaluate``: every figure of a model on a split, and what it refuses."""

import json
import re
import shutil

import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from fusionfer.exceptions import DataError
from fusionfer.features import Features
from fusionfer.persistence import load_model


@pytest.fixture
def fitted(cli, make_cache, tmp_path):
    """Return a function that makes caches of arrays and a model of them: (folder, model)."""

    def make(name="arrays", **options):
        folder, model = make_cache(name, **options), tmp_path / f"{name}.fusionfer"
        outcome = cli("fit", folder, "--out", model, "--folds", 3, "-q")
        assert outcome.code == 0, outcome.err
        return folder, model

    return make


def refused(outcome, pattern):
    assert outcome.code == 1
    assert re.search(pattern, outcome.error), outcome.error


def test_the_tables_have_every_class_and_figure(cli, shared_cache, shared_model):
    """Per class, macro and weighted; the confusion matrix; the overall figures."""
    outcome = cli("evaluate", shared_cache, "--model", shared_model)
    assert (outcome.code, outcome.notes) == (0, "")
    assert outcome.out.startswith("28 rows of split test; features ")
    for text in ("precision", "recall (sensitivity)", "specificity", "F1", "Jaccard", "Dice", "ROC AUC",
                 "macro average", "weighted average", "balanced accuracy", "as surprise"):  # fmt: skip
        assert text in outcome.out


def test_json_agrees_with_scikit_learn(cli, shared_cache, shared_model):
    """The figures are those of scikit-learn on the model's own predictions of the test rows."""
    outcome = cli("evaluate", shared_cache, "--model", shared_model, "--json")
    found = json.loads(outcome.out)
    model = load_model(shared_model)
    rows = Features.read(shared_cache, list(model.blocks)).split("test")
    predicted = model.predict(rows.X)
    assert found["n"] == len(rows) == 28
    assert found["accuracy"] == pytest.approx(accuracy_score(rows.y, predicted))
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(rows.y, predicted))
    assert found["macro"]["f1"] == pytest.approx(f1_score(rows.y, predicted, average="macro", zero_division=0))
    assert found["weighted"]["f1"] == pytest.approx(f1_score(rows.y, predicted, average="weighted", zero_division=0))


@pytest.mark.parametrize(("split", "n"), [("train", 56), ("train+test", 84), ("all", 84)])
def test_other_splits(cli, shared_cache, shared_model, split, n):
    """Any split, several, or all."""
    outcome = cli("evaluate", shared_cache, "--model", shared_model, "--split", split)
    assert outcome.code == 0
    assert outcome.out.startswith(f"{n} rows of split {split}; ")
    assert f"56 of {n} scored rows were trained on" in outcome.err


def test_a_report_is_written_where_it_is_asked_for(cli, fitted, tmp_path):
    """--report makes the page with its figures, and says where."""
    folder, model = fitted()
    outcome = cli("evaluate", folder, "--model", model, "--report", tmp_path / "report")
    assert outcome.code == 0
    page = re.search(r"^Report: (.+)$", outcome.out, re.MULTILINE)[1]
    assert page.startswith(str(tmp_path / "report"))
    assert (tmp_path / "report" / "confusion.png").read_bytes().startswith(b"\x89PNG")


def test_a_boosted_model_shows_its_rounds(cli, make_cache, tmp_path):
    """The report of a head that trains in rounds has a figure of them; that of others has none."""
    folder = make_cache("arrays")
    for head, shown in [("xgb-wn", True), ("softmax", False)]:
        model = tmp_path / f"{head}.fusionfer"
        outcome = cli("fit", folder, "--head", head, "--out", model, "--folds", 3, "-q")
        assert outcome.code == 0, outcome.err
        assert cli("evaluate", folder, "--model", model, "--report", tmp_path / head).code == 0
        assert (tmp_path / head / "rounds.png").is_file() == shown


def test_a_report_that_is_a_file(cli, fitted, tmp_path):
    """--report names a folder; a file there is left as it is."""
    folder, model = fitted()
    (tmp_path / "report").write_text("mine")
    outcome = cli("evaluate", folder, "--model", model, "--report", tmp_path / "report")
    assert outcome.code == 2
    assert (tmp_path / "report").read_text() == "mine"


def test_a_split_that_is_not_there(cli, shared_cache, shared_model):
    """The splits there are, with their sizes, and how splits come about."""
    outcome = cli("evaluate", shared_cache, "--model", shared_model, "--split", "validation")
    refused(outcome, r"Unknown split 'validation'.*test \(28 rows\), train \(56 rows\).*extract --split 70/30")


def test_a_class_without_samples(cli, fitted):
    """Its figures are stated as undefined, with the reason; nothing crashes, and nothing is silently zero."""
    y = ["abc"[i % 3] if i < 40 else "ab"[i % 2] for i in range(60)]
    folder, model = fitted(y=y)
    outcome = cli("evaluate", folder, "--model", model)
    assert outcome.code == 0
    assert re.search(r"^ c +0 .*–", outcome.out, re.MULTILINE)
    assert re.search(r"^ recall \(sensitivity\) +c +no samples of this class$", outcome.out, re.MULTILINE)
    found = json.loads(cli("evaluate", folder, "--model", model, "--json").out)
    assert found["per_class"]["c"]["support"] == 0
    assert found["per_class"]["c"]["recall"] is None
    assert {"metric": "recall", "of": "c", "reason": "no samples of this class"} in found["undefined"]


def test_a_class_that_the_model_does_not_know(cli, fitted):
    """Labels that were never trained cannot be scored; both lists are shown."""
    folder, model = fitted(y=["ab"[i % 2] if i < 50 else "c" for i in range(60)])
    refused(cli("evaluate", folder, "--model", model), r"knows the classes a, b; .* none of them: c\. Map or drop")


def test_rows_without_a_label(cli, fitted):
    """They are left out and counted; none at all is an error."""
    folder, model = fitted(y=["ab"[i % 2] if i < 55 else "" for i in range(60)])
    outcome = cli("evaluate", folder, "--model", model)
    assert outcome.code == 0
    assert outcome.out.startswith("15 rows of split test")
    assert "5 rows without a label are left out" in outcome.err
    folder, model = fitted("none", y=["ab"[i % 2] if i < 40 else "" for i in range(60)])
    refused(cli("evaluate", folder, "--model", model), r"None of the 20 rows of split 'test' has a label")


def test_features_of_other_weights(cli, shared_faces, shared_cache, shared_model, tmp_path):
    """A model refuses features that other weights computed, and names the field."""
    options = ["--backbone", "resnet34", "--backbone", "mobilenet_v2", "--weights", "none", "--size", 32, "--seed", 1]
    assert cli("extract", shared_faces / "test", *options, "--cache", tmp_path / "c").code == 0
    refused(
        cli("evaluate", tmp_path / "c", "--model", shared_model, "--split", "all"),
        r"not what \S+ was fitted on\. .*weights_sha256 is '\w+' in the model, '\w+' in the features",
    )


def test_features_of_another_size(cli, shared_faces, shared_model, tmp_path):
    """The preprocessing is part of what a feature is."""
    options = ["--backbone", "resnet34", "--backbone", "mobilenet_v2", "--weights", "none", "--size", 40]
    assert cli("extract", shared_faces / "test", *options, "--cache", tmp_path / "c").code == 0
    refused(
        cli("evaluate", tmp_path / "c", "--model", shared_model, "--split", "all"),
        r"preprocess\.size is 32 in the model, 40 in the features",
    )


def test_a_block_is_missing(cli, shared_model, fitted):
    """The missing block, and what is there."""
    folder, _ = fitted()
    refused(cli("evaluate", folder, "--model", shared_model), r":penultimate is missing \(there is: left, right\)")


def test_the_right_one_of_two_caches_is_taken(cli, shared_faces, cache, shared_model):
    """Beside features of other weights the model finds its own, without being told."""
    alone = cli("evaluate", cache, "--model", shared_model).out
    for backbone in ("resnet34", "mobilenet_v2"):
        options = ["--backbone", backbone, "--weights", "none", "--size", 32, "--seed", 1]
        assert cli("extract", shared_faces, *options, "--cache", cache).code == 0
    outcome = cli("evaluate", cache, "--model", shared_model)
    assert outcome.code == 0, outcome.err
    assert outcome.out == alone


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        (None, r"There is no model \S+m$"),
        (b"", r"m is no fusionfer model, or is damaged: it is empty"),
        (b"\x80\x05]\x94.", r"looks like a pickle .* never opened"),
        (b"\x89HDF\r\n\x1a\n", r"it is an HDF5 file, perhaps a feature cache"),
    ],
)
def test_a_file_that_is_no_model(cli, make_cache, tmp_path, content, pattern):
    """Missing, empty, a pickle, a cache: said as what it is, and never executed."""
    if content is not None:
        (tmp_path / "m").write_bytes(content)
    outcome = cli("evaluate", make_cache(), "--model", tmp_path / "m")
    refused(outcome, pattern.replace("m$", r"m\.$"))


def test_a_truncated_model(cli, fitted, tmp_path):
    """A model that is cut off is not half-read."""
    folder, model = fitted()
    model.write_bytes(model.read_bytes()[:-200])
    refused(cli("evaluate", folder, "--model", model), r"is no fusionfer model, or is damaged: ")


def test_a_cache_that_is_gone(cli, fitted):
    """The folder of the features can vanish after the fit."""
    folder, model = fitted()
    shutil.rmtree(folder)
    refused(cli("evaluate", folder, "--model", model), r"no such folder\. Run `fusionfer extract")


def test_rows_that_were_trained_on_are_left_out_of_a_second_table(cli, shared_cache, shared_model, tmp_path):
    """Console, JSON and report show the figures of all rows, and of those that nothing was trained on."""
    options = ["evaluate", shared_cache, "--model", shared_model, "--split"]
    outcome = cli(*options, "all", "--report", tmp_path / "report")
    assert "56 of 84 scored rows were trained on" in outcome.err
    first, second = outcome.out.split("Overall, without rows that were trained on")
    assert re.search(r"^ samples +84", first, re.MULTILINE)
    assert re.search(r"^ samples +28", second, re.MULTILINE)
    alone = json.loads(cli(*options, "test", "--json").out)
    both = json.loads(cli(*options, "all", "--json").out)
    assert both["n"] == 84
    assert both["unseen"] == {name: alone[name] for name in both["unseen"]}
    assert alone["unseen"] is None
    page = (tmp_path / "report" / "index.html").read_text()
    assert "Overall, without samples that were trained on" in page
    assert f"{100 * alone['accuracy']:.1f} % of the 28 that were not trained on." in page
    assert json.loads((tmp_path / "report" / "scores.json").read_text())["unseen"] == both["unseen"]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Two networks that were never trained, as files; the second says that it has seen four pictures."""
    from fusionfer.backbones import Preprocess
    from fusionfer.networks import CheckpointInfo, build_network, save_checkpoint

    folder = tmp_path_factory.mktemp("networks")
    classes = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
    for seed in (0, 1):
        network = build_network("mobilenet_v2", 7, size=32, seed=seed)
        save_checkpoint(
            folder / f"{seed}.safetensors", network, CheckpointInfo("mobilenet_v2", classes, Preprocess(32))
        )
    return folder / "0.safetensors", folder / "1.safetensors"


def test_a_checkpoint_is_scored_like_a_model(cli, shared_faces, checkpoints, tmp_path):
    """The same tables, JSON and report, from pictures; several are averaged, and it is said how."""
    outcome = cli("evaluate", shared_faces, "--model", checkpoints[0], "--report", tmp_path / "r", "-q")
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("28 rows of split test; network 0.safetensors")
    assert "as surprise" in outcome.out
    assert (tmp_path / "r" / "confusion.png").is_file()
    outcome = cli("evaluate", shared_faces, "--model", checkpoints[0], "--model", checkpoints[1], "--json", "-q")
    found = json.loads(outcome.out)
    assert found["n"] == 28
    assert found["model"] == [str(path) for path in checkpoints]
    assert found["notes"][-1].startswith("The networks have equal weights in the average: ")


def test_checkpoints_say_what_they_take(cli, shared_faces, checkpoints):
    """Networks are estimated before they run, and refused where --memory does not allow them."""
    outcome = cli("evaluate", shared_faces, "--model", checkpoints[0])
    assert outcome.code == 0, outcome.err
    assert re.search(r"^fusionfer: evaluate: about \d+ MB of memory and .*\.$", outcome.err, re.M)
    outcome = cli("evaluate", shared_faces, "--model", checkpoints[0], "--memory", "64M")
    assert outcome.code == 1
    assert re.search(r"evaluate would take about \d+ MB of memory \(.*\), and 64 MB are allowed", outcome.error)


def test_views_and_unseen_faces_of_checkpoints_are_counted(cli, shared_faces, checkpoints, monkeypatch):
    """Labelled faces of the split, those that weights are found on, and as many views as --tta shows."""

    def stop(*given, **named):
        heard.append((*given[:2], named["views"]))
        msg = "far enough"
        raise DataError(msg)

    heard = []
    monkeypatch.setattr("fusionfer.costs.estimate_scoring", stop)
    both = [word for one in checkpoints for word in ("--model", one)]
    cli("evaluate", shared_faces, *both[:2])
    cli("evaluate", shared_faces, *both, "--split", "train", "--tta", "flip")
    assert heard == [(28, 0, [1]), (56, 0, [2, 2])]


def test_what_models_and_checkpoints_do_not_share(cli, shared_faces, shared_cache, shared_model, checkpoints, tmp_path):
    """Mixtures, options of networks for a model of features, and a file in the place of a cache are wrong usage."""
    (tmp_path / "f.zip").write_bytes(b"")
    for arguments, message in [
        (
            (shared_cache, "--model", shared_model, "--model", checkpoints[0]),
            "Several --model are averaged, which need",
        ),
        ((shared_cache, "--model", shared_model, "--tta", "flip"), "--tta needs a checkpoint of fusionfer train"),
        ((tmp_path / "f.zip", "--model", shared_model), "f.zip is a file: a model of features is scored on the CACHE"),
    ]:
        outcome = cli("evaluate", *arguments)
        assert outcome.code == 2
        assert message in outcome.err
    (tmp_path / "x.safetensors").write_bytes(b"nonsense")
    refused(
        cli("evaluate", shared_faces, "--model", tmp_path / "x.safetensors"), r"x\.safetensors is no intact safeten"
    )
