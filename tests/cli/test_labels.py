"""``--labels``: faces of FER-2013 with the labels of FER+, from the shell."""

import json
import re
from pathlib import Path

import pytest

from fusionfer.cache import CacheFolder
from fusionfer.features import Features

HEAD = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n"
COLUMNS = {"neutral": 0, "happy": 1, "surprise": 2, "sad": 3, "angry": 4, "disgust": 5, "fear": 6}
FERPLUS = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear"]


@pytest.fixture(scope="module")
def fer(shared_faces, tmp_path_factory):
    """Twenty-eight drawn faces named as in FER-2013, and votes that call angry ones contempt and doubt one in seven."""
    root = tmp_path_factory.mktemp("fer") / "fer"
    pictures = sorted(shared_faces.rglob("*.png"), key=lambda path: (path.parts[-3] == "test", path.name, path))
    chosen = [*pictures[:14], *pictures[-14:]]
    lines, labels = [], {}
    for row, picture in enumerate(chosen):
        split, label = picture.parts[-3:-1]
        usage = "Training" if split == "train" else "PrivateTest"
        name = f"{split}/{label}/{usage}_{row:07d}.png"
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(picture.read_bytes())
        votes = [0] * 10
        if row % 7 == 6:
            votes[0] = votes[1] = 5
        else:
            votes[7 if label == "angry" else COLUMNS[label]] = 10
            labels[name] = "contempt" if label == "angry" else FERPLUS[COLUMNS[label]]
        lines.append(f"{usage},,{','.join(map(str, votes))}\n")
    table = root.parent / "ferplus.csv"
    table.write_text(HEAD + "".join(lines))
    return root, table, labels


def extract(cli, root, folder, *more):
    small = ["--backbone", "mobilenet_v2", "--weights", "none", "--size", 32]
    return cli("extract", root, *small, *(["--cache", folder] if folder else []), *more)


def test_extract_stores_the_labels_of_ferplus(cli, fer, tmp_path):
    """The cache has FER+'s labels for exactly the faces with a majority, and stderr says what was left out."""
    root, table, labels = fer
    outcome = extract(cli, root, tmp_path / "c", "--labels", table)
    assert outcome.code == 0, outcome.err
    assert "fusionfer: Labels of FER+ by majority: 24 of 28 faces; left out: no majority 4, unknown 0" in outcome.err
    assert re.search(r"fusionfer: \d+\.\d% of them keep their emotion; \d+\.\d% would by chance\.", outcome.err)
    features = Features.read(tmp_path / "c")
    assert dict(zip(features.ids.tolist(), features.y.tolist(), strict=True)) == labels


def test_other_labels_have_a_folder_of_their_own(cli, fer, tmp_path, monkeypatch):
    """Without --cache, labels of FER-2013 and of FER+ do not meet."""
    root, table, _ = fer
    monkeypatch.chdir(tmp_path)
    assert extract(cli, root, None).code == 0
    assert extract(cli, root, None, "--labels", table).code == 0
    assert sorted(path.name for path in Path("features_cache").iterdir()) == ["fer", "fer-ferplus"]
    assert "angry" in Features.read("features_cache/fer").classes
    assert "contempt" in Features.read("features_cache/fer-ferplus").classes


def test_other_labels_in_one_cache(cli, fer, tmp_path):
    """Features are taken over and nothing is computed; the labels are the new ones, and the table says so."""
    root, table, labels = fer
    folder = tmp_path / "c"
    assert extract(cli, root, folder).code == 0
    old = Features.read(folder)
    outcome = extract(cli, root, folder, "--labels", table)
    assert outcome.code == 0
    assert "Computed" not in outcome.out
    said = " ".join(outcome.out.split())
    assert "images: 4 removed; those in both with other labels" in said
    new = Features.read(folder)
    assert dict(zip(new.ids.tolist(), new.y.tolist(), strict=True)) == labels
    kept = [old.ids.tolist().index(name) for name in new.ids.tolist()]
    assert new.X.tobytes() == old.X[kept].tobytes()
    assert len(CacheFolder(folder).files()) == 1
    again = extract(cli, root, folder)
    assert "Computed 4 faces" in again.out
    assert Features.read(folder).y.tolist() == old.y.tolist()


def test_classes_and_splits_are_of_the_new_labels(cli, fer, tmp_path):
    """--classes speaks of FER+'s names; those of FER-2013 are unknown then."""
    root, table, labels = fer
    outcome = extract(cli, root, tmp_path / "c", "--labels", table, "--classes", "contempt=")
    assert outcome.code == 0
    assert Features.read(tmp_path / "c").y.tolist() == [
        label for _, label in sorted(labels.items()) if label != "contempt"
    ]
    outcome = extract(cli, root, tmp_path / "d", "--labels", table, "--classes", "angry=")
    assert outcome.code == 1
    assert "Unknown label 'angry'" in outcome.err
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("verb", ["extract", "train"])
def test_what_does_not_fit_is_one_line(cli, fer, shared_faces, tmp_path, verb):
    """Faces of another data set, and a file that is none of FER+, write nothing."""
    root, table, _ = fer
    where = ["--cache" if verb == "extract" else "--out", tmp_path / "x"]
    outcome = cli(verb, shared_faces, "--labels", table, *where)
    assert outcome.code == 1
    assert re.search(r"84 of 84 faces do not fit its 28 rows\. .*names no row of FER-2013", outcome.error)
    outcome = cli(verb, root, "--labels", tmp_path / "none.csv", *where)
    assert outcome.code == 1
    assert "none.csv cannot be read" in outcome.error
    assert not (tmp_path / "x").exists()


QUICK = ["--network", "mobilenet_v2", "--set", "size=36", "--set", "crop=32", "--set", "stem=standard", "--set"]
QUICK += ["warmup=0", "--set", "batch_size=6", "--set", "epochs=1", "--set", "tta=none", "--set", "holdout=50"]


def test_train_learns_the_votes(cli, fer, tmp_path, monkeypatch):
    """--targets: faces in doubt train too, by their votes; classes are mapped; scored by label and votes."""
    root, table, _ = fer
    monkeypatch.chdir(tmp_path)
    words = ["--targets", "probabilistic", "--classes", "contempt=anger", "--score", "test"]
    outcome = cli("train", root, "--labels", table, *QUICK, *words)
    assert outcome.code == 0, outcome.err
    kept, added = re.search(r"majority: (\d+) of 28 faces.* (\d) of them train by their votes", outcome.err).groups()
    assert int(kept) - int(added) == 24
    assert int(added) > 0
    assert re.search(r"Test split.*, against the shares\n", outcome.out)
    (network,) = json.loads(cli("train", root, "--labels", table, *QUICK, *words, "--json").out)["networks"].values()
    assert network["checkpoint"].startswith("trained/fer-ferplus-probabilistic-fer/")
    assert "contempt" not in json.dumps(network["scores"])
    soft = network["soft_scores"]["test"]
    assert soft["divergence"] == pytest.approx(soft["cross_entropy"] - soft["entropy"])


def test_targets_need_votes(cli, fer, tmp_path):
    """Without --labels they cannot be made, and nothing is written."""
    outcome = cli("train", fer[0], "--targets", "multi-target", "--out", tmp_path / "x")
    assert outcome.code == 1
    assert "give FER+'s fer2013new.csv as labels (--labels)" in outcome.error
    assert not (tmp_path / "x").exists()


def test_train_learns_the_labels_of_ferplus(cli, fer, tmp_path, monkeypatch):
    """The classes of the checkpoint are FER+'s, in a folder of their own; it is scored on FER+'s labels."""
    root, table, _ = fer
    monkeypatch.chdir(tmp_path)
    outcome = cli("train", root, "--labels", table, *QUICK, "--json")
    assert outcome.code == 0, outcome.err
    assert "Labels of FER+ by majority: 24 of 28 faces" in outcome.err
    (network,) = json.loads(outcome.out)["networks"].values()
    assert network["checkpoint"].startswith("trained/fer-ferplus-fer/")
    assert "contempt" in json.dumps(network["scores"])
    assert "angry" not in json.dumps(network["scores"])
    checkpoint = network["checkpoint"]
    words = ["evaluate", root, "--model", checkpoint, "--labels", table, "--split", "test"]
    scored = cli(*words, "--votes", table, "--json")
    assert scored.code == 0, scored.err
    found = json.loads(scored.out)
    # All annotators chose the label, so that agreement with a vote is accuracy.
    assert found["votes"]["highest"]["share"] == found["votes"]["answered"]["labels"]["share"] == 1.0
    assert found["votes"]["answered"]["predictions"]["share"] == pytest.approx(found["accuracy"])
    assert "labels 100.0 % [100.0, 100.0], another annotator 100.0 %" in cli(*words, "--votes", table).out
    assert "votes" not in json.loads(cli(*words, "--json").out)
    refused = cli("evaluate", root, "--model", checkpoint, "--split", "test")
    assert (refused.code, "angry" in refused.error) == (1, True)
