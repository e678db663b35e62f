"""FER-2013, the real faces: the whole is read, and a part goes through every verb with the stand-in weights."""

import json
import re
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from sklearn.metrics import accuracy_score

from fusionfer.images import read_faces
from fusionfer.persistence import load_model

DATA = Path(__file__).parents[1] / ".." / "shared" / "data"
ZIP = DATA / "fer2013" / "fer2013.zip"
WEIGHTS = {name: DATA / "weights" / f"{name}-fer2013-48.safetensors" for name in ("resnet34", "resnet50")}

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not ZIP.is_file(), reason=f"{ZIP} is missing"),
]

# The table in the README of the data: PublicTest is validation, PrivateTest is test.
COUNTS = {
    "train": {"angry": 3969, "disgust": 436, "fear": 4077, "happy": 7187, "sad": 4798, "surprise": 3160,
              "neutral": 4932},
    "validation": {"angry": 468, "disgust": 55, "fear": 496, "happy": 892, "sad": 650, "surprise": 413, "neutral": 605},
    "test": {"angry": 488, "disgust": 55, "fear": 528, "happy": 874, "sad": 588, "surprise": 416, "neutral": 623},
}  # fmt: skip


@pytest.fixture(scope="module")
def faces():
    return read_faces(ZIP)


def test_every_face_is_read_with_its_label_and_split(faces):
    """35,710 faces in place inside the zip; classes and splits are those of the data's own table."""
    assert len(faces) == 35_710
    found = Counter(zip(faces.splits.tolist(), faces.labels.tolist(), strict=True))
    assert found == {(split, label): n for split, row in COUNTS.items() for label, n in row.items()}
    assert faces.skipped == ()


def test_a_face_is_grey_and_48_pixels_wide(faces):
    """Decoding gives what the data promise, from each split."""
    for i in (0, len(faces) // 2, len(faces) - 1):
        pixels, digest = faces.load(i)
        assert (pixels.shape, pixels.dtype.name, len(digest)) == ((48, 48), "uint8", 64)


@pytest.fixture(scope="module")
def part(faces, tmp_path_factory):
    """A zip of 25 validation, 20 test and 2 training faces of each class, in the layout of the whole."""
    path = tmp_path_factory.mktemp("real") / "part.zip"
    with zipfile.ZipFile(ZIP) as source, zipfile.ZipFile(path, "w") as sink:
        names = {Path(name).name: name for name in source.namelist() if not name.endswith("/")}
        for split, n in [("validation", 25), ("test", 20), ("train", 2)]:
            for label in faces.classes:
                here = [str(i) for i, s, y in zip(faces.ids, faces.splits, faces.labels, strict=True)
                        if s == split and y == label]  # fmt: skip
                for sample in here[:: max(1, len(here) // n)][:n]:
                    sink.writestr(sample, source.read(names[Path(sample).name]))
    return path


@pytest.mark.skipif(not all(path.is_file() for path in WEIGHTS.values()), reason=f"{DATA / 'weights'} is missing")
def test_the_whole_job(cli, part, tmp_path):
    """Extract, fit on validation (the stand-ins have seen the training faces), evaluate, predict: far above chance."""
    weights = [item for name, path in WEIGHTS.items() for item in ("--weights", f"{name}={path}")]
    outcome = cli("extract", part, "--size", 48, *weights, "--cache", tmp_path / "cache", "-q")
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("329 faces, 7 classes, train 14, validation 175, test 140, in ")

    model = tmp_path / "part.fusionfer"
    outcome = cli("fit", tmp_path / "cache", "--split", "validation", "--out", model, "-q")
    assert outcome.code == 0, outcome.err
    assert set(load_model(model).selection["scores"]) == {
        "resnet34:penultimate", "resnet50:penultimate", "resnet34:penultimate + resnet50:penultimate",
    }  # fmt: skip

    outcome = cli("evaluate", tmp_path / "cache", "--model", model, "--json", "--report", tmp_path / "report")
    assert outcome.code == 0, outcome.err
    scores = json.loads(outcome.out)
    print(f"stand-in weights, 175 faces to train on: {100 * scores['accuracy']:.1f} % of 140 PrivateTest")  # noqa: T201
    assert scores["n"] == 140
    assert 0.35 < scores["accuracy"] < 0.9

    with zipfile.ZipFile(part) as archive:
        tests = [name for name in archive.namelist() if "PrivateTest" in name]
        archive.extractall(tmp_path / "test", tests)
    outcome = cli("predict", tmp_path / "test", "--model", model, "--json", "-q")
    assert outcome.code == 0, outcome.err
    rows = json.loads(outcome.out)["predictions"]
    truth = [re.search(r"/([a-z]+)/PrivateTest", row["image"])[1] for row in rows]
    assert accuracy_score(truth, [row["label"] for row in rows]) == pytest.approx(scores["accuracy"], abs=0.015)
