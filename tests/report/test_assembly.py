"""One call makes the whole report of an evaluation."""

import json

import numpy as np

from fusionfer.metrics import Scores
from fusionfer.report import report_scores


def test_a_full_report(tmp_path, with_gaps, selection):
    """Selection, scores, figures, faces and reasons for what is undefined all stand in it."""
    faces = ([np.zeros((4, 4), np.uint8)], ["joy"])
    more = {"data": {"seed": 3}, "notes": ["Random weights."]}
    index = report_scores(
        tmp_path, with_gaps, title="Demo", selection=selection, tests={"A+B": with_gaps}, faces=faces, **more
    )
    assert {path.name for path in tmp_path.glob("*.png")} == {"folds.png", "confusion.png", "classes.png", "faces.png"}
    page = index.read_text("utf-8")
    for text in ("83.3 % of 6 samples are predicted right.", "A+B is kept", "Random weights.", "never predicted"):
        assert text in page
    assert page.index("Selection") < page.index("<figure>") < page.index("Overall")
    data = json.loads((tmp_path / "scores.json").read_text())
    assert Scores.from_dict(data["scores"]).accuracy == with_gaps.accuracy
    assert data["selection"] == selection
    assert data["seed"] == 3
    assert set(data["tests"]) == {"A+B"}


def test_scores_alone(tmp_path, make_scores):
    """Without selection and faces, the report has the scores and says nothing of the rest."""
    page = report_scores(tmp_path, make_scores(["a", "b"]), title="T", lead="One sentence.", selection={}).read_text(
        "utf-8"
    )
    assert {path.name for path in tmp_path.glob("*.png")} == {"confusion.png", "classes.png"}
    assert "One sentence." in page
    assert "Undefined figures" not in page
    assert "Selection" not in page
