"""What lies at RUN decides which page is made; it has every section that the facts allow, and says what is missing."""

import json

import numpy as np
import pytest

from fusionfer.exceptions import DataError, ModelError, ReportError
from fusionfer.metrics import Scores
from fusionfer.reporting import read_audit, report_run


@pytest.fixture(scope="module")
def audit(shared_faces, shared_cache, tmp_path_factory):
    """What an audit of the shared faces says that finds one copy of a training face in the test split."""
    from fusionfer.features import Features

    features = Features.read(shared_cache)
    known, scored = (str(features.ids[features.splits == split][0]) for split in ("train", "test"))
    copy = {"ids": [known, scored], "labels": ["angry", "angry"], "splits": ["train", "test"]}
    path = tmp_path_factory.mktemp("audit") / "audit.json"
    found = {"name": "faces", "n_samples": 84, "copies": [copy], "leaked": {"test": [scored]}, "persons": {}}
    path.write_text(json.dumps(found))
    return path


def headings(page):
    """Titles of the sections of a report, in order."""
    return [section["title"] for section in json.loads((page.parent / "scores.json").read_text())["sections"]]


@pytest.fixture(scope="module")
def everything(shared_model, shared_cache, shared_faces, audit, tmp_path_factory):
    """A function that writes the page of a model with cache, pictures and audit, and the first page that it wrote."""

    def write():
        folder = tmp_path_factory.mktemp("everything")
        options = {"cache": shared_cache, "data": shared_faces, "audit": audit, "commands": ["fusionfer report x"]}
        return report_run(shared_model, folder, **options)

    return write, write()


def test_a_model_with_everything(everything):
    """Data, audit, features, selection, scores, mistakes, provenance; the numbers are those of the model."""
    _, page = everything
    folder = page.parent
    assert headings(page) == ["Data", "Audit", "Features", "Selection", "Scores", "Mistakes", "Provenance"]
    names = {"samples", "means", "folds", "confusion", "classes", "roc", "mistakes", "hardest"}
    assert {path.stem for path in folder.glob("*.png")} == names
    found = json.loads((folder / "scores.json").read_text())
    scores = Scores.from_dict(found["scores"])
    assert scores.n == 28
    assert Scores.from_dict(found["clean"]).n == 27
    low, high = found["intervals"]["accuracy"]
    assert low < scores.accuracy < high
    text = page.read_text("utf-8")
    assert f"{100 * scores.accuracy:.1f} % of 28 samples are predicted right, and" in text
    for wanted in (
        "of the 27 of which no copy was, either.",
        "fusionfer report x",
        "fusionfer extract",
        "fusionfer fit",
    ):
        assert wanted in text
    assert "How alike the blocks are" in text


def test_the_same_run_gives_the_same_bytes(everything):
    """Faces are drawn, intervals resampled: by seed."""
    write, first = everything
    second = write()
    assert second != first
    for path in first.parent.iterdir():
        assert path.read_bytes() == (second.parent / path.name).read_bytes(), path.name


def test_a_model_alone(shared_model, tmp_path):
    """Without features the page says how the model was made, and scores nothing."""
    page = report_run(shared_model, tmp_path)
    assert headings(page) == ["Features", "Selection", "Provenance"]
    assert not (tmp_path / "confusion.png").exists()
    assert "scores" not in json.loads((tmp_path / "scores.json").read_text())


def test_an_audit_without_features(shared_model, audit, tmp_path):
    """What the audit found is shown where nothing is scored, too."""
    page = report_run(shared_model, tmp_path, audit=audit)
    assert headings(page) == ["Audit", "Features", "Selection", "Provenance"]
    assert "faces: 84 samples" in page.read_text("utf-8")


def test_without_pictures_and_audit(shared_model, shared_cache, tmp_path):
    """Counts come from the cache; that there was no audit is said; there are no faces."""
    page = report_run(shared_model, tmp_path, cache=shared_cache, split="train+test")
    assert headings(page) == ["Data", "Audit", "Features", "Selection", "Scores", "Provenance"]
    text = page.read_text("utf-8")
    assert "No audit was given" in text
    assert "56 of 84 scored rows were trained on" in text
    assert "of the 28 that were not trained on." in text


def test_the_folder_of_a_demo(shared_model, shared_cache, tmp_path):
    """A folder with model and cache needs no options."""
    run = tmp_path / "demo"
    run.mkdir()
    (run / "model.fusionfer").write_bytes(shared_model.read_bytes())
    (run / "cache").symlink_to(shared_cache, target_is_directory=True)
    page = report_run(run, tmp_path / "report")
    assert "Scores" in headings(page)
    assert "<h1>model.fusionfer on test of faces</h1>" in page.read_text("utf-8")


def test_what_is_refused(shared_model, shared_cache, tmp_path, shared_faces):
    """A folder that holds no run, pictures without scores, other pictures, no audit, a file in the way."""
    with pytest.raises(DataError, match=r"holds no run: neither model\.fusionfer, nor replay\.json, nor networks"):
        report_run(tmp_path, tmp_path / "r")
    for option in ({"data": shared_faces}, {"split": "train"}):
        with pytest.raises(DataError, match="give --cache with --data, --split and --splits"):
            report_run(shared_model, tmp_path / "r", **option)
    other = tmp_path / "faces" / "angry"
    other.mkdir(parents=True)
    (other / "x.png").write_bytes(next(shared_faces.rglob("*.png")).read_bytes())
    (other.parent / "sad").mkdir()
    (other.parent / "sad" / "y.png").write_bytes(next(shared_faces.rglob("sad/*.png")).read_bytes())
    with pytest.raises(DataError, match="holds none of the 84 samples of this run"):
        report_run(shared_model, tmp_path / "r", cache=shared_cache, data=other.parent)
    with pytest.raises(ModelError, match=r"gone\.fusionfer"):
        report_run(tmp_path / "gone.fusionfer", tmp_path / "r")
    assert not (tmp_path / "r").exists()
    (tmp_path / "taken").write_text("x")
    with pytest.raises(ReportError, match=r"taken.*cannot be written"):
        report_run(shared_model, tmp_path / "taken")


@pytest.mark.parametrize("text", ["{", "[]", '{"copies": 3}', '{"copies": [], "leaked": []}'])
def test_what_is_no_audit(tmp_path, text):
    """A file that is no audit is refused before anything is computed."""
    path = tmp_path / "audit.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"audit\.json is no (JSON|audit)"):
        read_audit(path)


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("name", 3), ("n_samples", "many"), ("n_samples", float("nan")), ("persons", {"a": 3}), ("counts", {"a": [1]}),
        ("leaked", {"test": 3}), ("blank", 3), ("unreadable", "x"), ("copies", [{"ids": ["a", "b"]}]),
        ("near", [{"ids": ["a", "b"], "labels": [["x"], "y"], "splits": ["", ""]}]),
    ],
)  # fmt: skip
def test_entries_of_another_form(audit, tmp_path, entry, value):
    """Each entry that is shown is checked, and named."""
    path = tmp_path / "audit.json"
    path.write_text(json.dumps(json.loads(audit.read_text()) | {entry: value}))
    with pytest.raises(DataError, match=f"audit.json is no audit: its {entry} must be of the form"):
        read_audit(path)


def test_candidates_that_lost_are_shown(shared_model, shared_cache, tmp_path):
    """Where a single block won, the page compares it with the others all the same."""
    from fusionfer.persistence import load_model

    model = load_model(shared_model)
    report_run(shared_model, tmp_path, cache=shared_cache)
    found = json.loads((tmp_path / "scores.json").read_text())
    features = next(section for section in found["sections"] if section["title"] == "Features")
    alike = features["items"][1]["table"]
    singles = [name for name in model.selection["scores"] if " + " not in name]
    assert alike["header"] == ["block", *singles]
    assert np.all(np.diag([[float(cell) for cell in row[1:]] for row in alike["rows"]]) == 1)
