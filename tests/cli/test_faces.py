"""--faces and --photometric of extract and predict: the same features by both, what is recorded, who is listed."""

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from fusionfer.cache import CacheFolder, read_feature_file
from fusionfer.exceptions import CacheError
from fusionfer.faces import FacePreparation
from fusionfer.features import Features
from fusionfer.images import generate_faces
from fusionfer.maintenance._repairing import _as_recorded
from fusionfer.persistence import load_model
from fusionfer.prediction import Classifier, find_preparation

SMALL = ("--backbone", "mobilenet_v2", "--weights", "none", "--size", 32, "--device", "cpu", "--quiet")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Twelve drawn faces in wide grey borders, of two expressions and three people, and one picture without a face."""
    root = tmp_path_factory.mktemp("photographs")
    drawn = generate_faces(3, takes=2, size=120, seed=1)
    for i in np.flatnonzero(np.isin(drawn.labels, ["happy", "surprise"])):
        path = root / drawn.labels[i] / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        pixels = cv2.copyMakeBorder(drawn.load(i)[0], 90, 90, 90, 90, cv2.BORDER_CONSTANT, value=(128, 128, 128))
        assert cv2.imwrite(str(path), pixels[..., ::-1])
    assert cv2.imwrite(str(root / "happy" / "none.png"), np.full((200, 200), 99, np.uint8))
    return root


@pytest.fixture(scope="module")
def extracted(photographs, tmp_path_factory, cli):
    """A cache of aligned, equalised faces, what extract said, and a model fitted to it."""
    folder = tmp_path_factory.mktemp("aligned") / "cache"
    options = ("--faces", "align", "--photometric", "histogram", "--split", "70/30")
    outcome = cli("extract", photographs, *SMALL, *options, "--cache", folder)
    model = folder.parent / "model.fusionfer"
    fitted = cli("fit", folder, "--head", "softmax", "--folds", 2, "--out", model, "--quiet")
    assert fitted.code == 0, fitted.err
    return folder, outcome, model


def test_pictures_without_a_face_are_listed_and_exit_with_3(extracted):
    """Eleven or twelve faces are in the cache, the one without is named on stderr, and never taken whole."""
    folder, outcome, _ = extracted
    assert outcome.code == 3
    assert "skipped happy/none.png: No face was found." in outcome.err
    rows = read_feature_file(CacheFolder(folder).files()[0]).rows
    assert "happy/none.png" not in rows.ids.tolist()
    assert 9 <= len(rows) <= 12


def test_the_key_records_how_faces_were_prepared(extracted):
    """Mode, detector, frame and light stand in the key; the digests are those of the files."""
    folder, _, model = extracted
    key = read_feature_file(CacheFolder(folder).files()[0]).key
    assert key["faces"]["mode"] == "align"
    assert key["faces"]["photometric"] == {"name": "histogram"}
    assert key["faces"]["detector"]["name"] == "haar"
    assert find_preparation(load_model(model)).describe() == key["faces"]


def test_predict_does_what_the_model_records(extracted, photographs, cli):
    """Without options: the probabilities that the head gives for the cached features, and where each face is."""
    folder, told_by_extract, model = extracted
    outcome = cli("predict", photographs, "--model", model, "--json", "--quiet")
    assert outcome.code == 3
    told = json.loads(outcome.out)
    loaded = load_model(model)
    features = Features.read(folder)
    expected = dict(zip(features.ids.tolist(), loaded.predict_proba(features.X), strict=True))
    assert len(told["predictions"]) == len(expected)
    for row in told["predictions"]:
        name = row["image"].removeprefix(f"{photographs}/")
        assert np.allclose(list(row["probabilities"].values()), expected[name], atol=1e-4)
        assert 60 < row["face"]["x"] + row["face"]["width"] / 2 < 240
    assert {"image": f"{photographs}/happy/none.png", "reason": "No face was found."} in told["skipped"]
    assert len(told["predictions"]) + len(told["skipped"]) == 13
    for row in told["skipped"]:
        assert f"skipped {row['image'].removeprefix(f'{photographs}/')}: {row['reason']}" in told_by_extract.err


def test_the_same_features_as_a_classifier_of_prepared_pixels(extracted, photographs):
    """FacePreparation and Classifier, as live uses them, give what extract stored."""
    folder, _, model = extracted
    loaded, features = load_model(model), Features.read(folder)
    name = str(features.ids[0])
    pixels = cv2.imread(str(photographs / name))[..., ::-1]
    with Classifier(loaded, device="cpu") as classifier:
        found = classifier.features([cut for _, cut in find_preparation(loaded)(np.ascontiguousarray(pixels))][:1])
    assert np.allclose(found[0], features.X[0], atol=1e-3)


def test_a_cache_never_mixes_preparations(extracted, photographs, cli):
    """Another light, or none, into the same folder is refused with what is there; the same again finds all there."""
    folder, *_ = extracted
    for options in ((), ("--faces", "align"), ("--faces", "detect", "--photometric", "histogram")):
        outcome = cli("extract", photographs, *SMALL, *options, "--cache", folder)
        assert outcome.code == 1
        assert "holds features of pictures prepared by --faces align --photometric histogram" in outcome.err
    options = ("--faces", "align", "--photometric", "histogram", "--split", "70/30")
    again = cli("extract", photographs, *SMALL, *options, "--cache", folder)
    assert again.code == 3
    assert "Computed" not in again.out


def test_caches_without_preparation_keep_their_key(shared_cache):
    """No entry where nothing is done, so that caches and models of earlier versions stay valid."""
    assert "faces" not in read_feature_file(CacheFolder(shared_cache).files()[0]).key


def test_faces_are_cut_out_for_a_model_of_crops_and_named_in_the_rows(shared_model, photographs, cli):
    """Such a model gives a hint on photographs; --faces cuts them out, with the box in the table and in CSV."""
    plain = cli("predict", photographs, "--model", shared_model, "--csv")
    assert plain.code == 0
    assert "a face fills less than a third of the picture; --faces align" in plain.err
    cut = cli("predict", photographs, "--model", shared_model, "--faces", "detect", "--several", "all", "--csv")
    assert cut.code == 3
    assert "warning" not in cut.err
    header, *rows = [line.split(",") for line in cut.out.splitlines()]
    assert header[:3] == ["image", "face", "label"]
    assert all(row[0].endswith("#face1") and len(row[1].split()) == 4 for row in rows)


def test_another_preparation_than_the_recorded_one_is_warned_of(extracted, photographs, cli):
    """It is done as asked, and said."""
    outcome = cli("predict", photographs, "--model", extracted[2], "--photometric", "clahe", "--csv", "--quiet")
    assert "photometric {'name': 'clahe', 'clip_limit': 2.0, 'tiles': 4} instead of 'histogram'" in outcome.err


@pytest.mark.parametrize("form", ["--csv", "--json"])
def test_predict_where_no_picture_shows_a_face(form, shared_model, photographs, cli):
    """No row, the picture listed, exit 3."""
    outcome = cli("predict", photographs / "happy" / "none.png", "--model", shared_model, "--faces", "align", form)
    assert outcome.code == 3, outcome.err
    assert "none.png: No face was found." in outcome.err
    if form == "--json":
        assert json.loads(outcome.out)["predictions"] == []
    else:
        assert outcome.out.startswith("image,face,label")
        assert len(outcome.out.splitlines()) == 1


@pytest.mark.parametrize("verb", ["extract", "predict"])
def test_options_of_cutting_need_faces(verb, shared_model, photographs, cli, tmp_path):
    """--several without --faces would do nothing, and is refused."""
    place = ("--cache", tmp_path / "c") if verb == "extract" else ("--model", shared_model)
    outcome = cli(verb, photographs, *place, "--several", "all")
    assert outcome.code == 2
    assert "give --faces detect or align too" in outcome.err


def test_where_no_picture_shows_a_face_nothing_is_made(photographs, cli, tmp_path):
    """Exit 3, the picture listed, no cache folder."""
    (tmp_path / "data" / "happy").mkdir(parents=True)
    (tmp_path / "data" / "happy" / "x.png").write_bytes((photographs / "happy" / "none.png").read_bytes())
    outcome = cli("extract", tmp_path / "data", *SMALL, "--faces", "align", "--cache", tmp_path / "c")
    assert outcome.code == 3
    assert "no face was found in 1 picture" in outcome.err
    assert not (tmp_path / "c").exists()


def test_shards_of_faces_are_joined_to_what_one_process_makes(extracted, photographs, cli, tmp_path):
    """Each of two processes finds all faces, and computes half of them; merged, they are equal rows and features."""
    stored = read_feature_file(CacheFolder(extracted[0]).files()[0])
    options = ("--faces", "align", "--photometric", "histogram", "--split", "70/30", "--batch-size", 4)
    for shard in ("0/2", "1/2"):
        outcome = cli("extract", photographs, *SMALL, *options, "--shard", shard, "--cache", tmp_path / "c")
        assert "skipped happy/none.png: No face was found." in outcome.err
    merged = cli(
        "cache", "merge", *[one.path for one in CacheFolder(tmp_path / "c").shards()], "--out", tmp_path / "merged"
    )
    assert merged.code == 0, merged.err
    (path,) = CacheFolder(tmp_path / "merged").files()
    joined = read_feature_file(path)
    assert joined.key == stored.key
    assert joined.rows.ids.tolist() == stored.rows.ids.tolist()
    assert np.allclose(joined.X, stored.X, atol=1e-4)


def test_rows_of_an_unknown_detector_are_not_repaired_by_another_one():
    """Repair says that the set must be prepared by the caller, or the features extracted anew."""

    def find(pixels):
        return []

    find.describe = lambda: {"name": "mine"}
    key = {"faces": FacePreparation("align", detector=find).describe()}
    rows = SimpleNamespace(ids=np.array(["a#face1"]))
    order = SimpleNamespace(key=key, like=SimpleNamespace(rows=rows), lost=np.array([0]))
    with pytest.raises(CacheError, match=r"detector 'mine', which must be given.*or remove the file and extract anew"):
        _as_recorded(order, generate_faces(2, takes=1))


def test_a_damaged_cache_of_faces_is_repaired(extracted, photographs, cli, tmp_path):
    """The lost rows' faces are found and cut out again; the block is equal to the bit."""
    path = CacheFolder(extracted[0]).files()[0]
    damaged = tmp_path / "cache" / path.name
    damaged.parent.mkdir()
    stored = read_feature_file(path)
    spoilt = bytearray(path.read_bytes())
    at = stored.layout.offsets["features"]
    spoilt[at : at + 4] = b"\x00\x00\x80\x41"
    damaged.write_bytes(bytes(spoilt))
    outcome = cli("cache", "repair", damaged.parent, photographs, "--quiet")
    assert outcome.code == 0, outcome.err
    assert np.array_equal(read_feature_file(damaged).X, stored.X)
