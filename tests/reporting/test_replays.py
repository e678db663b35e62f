"""A replayed protocol as a page: claimed, as it is, and without each cause."""

import json

import pytest

from fusionfer.exceptions import DataError
from fusionfer.reporting import report_run


def run_of(cause, accuracy, remaining, **more):
    return {
        "cause_switched_off": cause, "still_too_good_by": remaining, "leaking": bool(remaining), "accuracy": accuracy,
        "accuracies": [accuracy], "macro_f1": None, "balanced_accuracy": 0.5, "n_train": 1700, "n_scored": 300,
        "chosen": "a + b", **more,
    }  # fmt: skip


@pytest.fixture
def found():
    """What ``replay.json`` holds."""
    return {
        "protocol": {
            "name": "x-2025", "summary": "copies first, then split", "version": 1,
            "split": {"how": "draw", "parts": "70/30"}, "network": {"recipe": "", "networks": []},
            "features": {"backbones": ["a", "b"]},
        },
        "claimed_accuracy": 0.9819, "claimed_where": "table 2", "reduced": ["300 of 35,710 faces"],
        "notes": ["A note."],
        "results": [
            run_of("", 0.93, ["copies", "selection"], accuracies=[0.9, 0.96], macro_f1=0.91),
            run_of("copies", 0.6, ["selection"], difference=-0.33),
            run_of("selection on the test faces", 0.55, [], difference=-0.05),
        ],
    }  # fmt: skip


def test_the_page(tmp_path, found):
    """Bars, a row a run with what it lost, the protocol's keys, what was reduced, and where the claim stands."""
    (tmp_path / "replay.json").write_text(json.dumps(found))
    page = report_run(tmp_path, tmp_path / "report", commands=["fusionfer report here"])
    numbers = json.loads((page.parent / "scores.json").read_text())
    assert numbers["results"] == found["results"]
    runs, protocol, provenance = numbers["sections"]
    figure, table = runs["items"]
    assert figure["figure"]["says"] == (
        "Bars, accuracy: claimed 98.2 %, the protocol as it is 93.0 %, without copies 60.0 %, "
        "without selection on the test faces: honest 55.0 %."
    )
    assert table["table"]["rows"] == [
        ["the protocol as it is", "93.0 (90.0 to 96.0)", "", "91.0", "1,700", "300", "a + b", "yes"],
        ["without copies", "60.0", "-33.0", "", "1,700", "300", "a + b", "yes"],
        ["without selection on the test faces: honest", "55.0", "-5.0", "", "1,700", "300", "a + b", "no"],
    ]
    keys = [["split: how", "draw"], ["split: parts", "70/30"], ["features: backbones", "a, b"]]
    assert protocol["items"][0]["table"]["rows"] == keys
    assert provenance["items"][0]["table"]["rows"] == [["claimed in", "table 2"]]
    text = page.read_text("utf-8")
    for wanted in ("Copies first, then split: 93.0 %", "claimed are 98.2 %", "300 of 35,710 faces", "A note."):
        assert wanted in text


@pytest.mark.parametrize("change", [{"results": []}, {"protocol": 3}, {"claimed_accuracy": "much"}, None])
def test_a_damaged_file_is_an_error_with_its_name(tmp_path, found, change):
    """Whatever is missing or of another kind, the error names the file and what to do."""
    text = "{" if change is None else json.dumps({**found, **change})
    (tmp_path / "replay.json").write_text(text)
    with pytest.raises(DataError, match=r"replay\.json cannot be read: .*Run fusionfer replay again"):
        report_run(tmp_path, tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_its_data_and_copies_are_its_own(tmp_path, found):
    """Pictures or an audit beside it would be of other data."""
    (tmp_path / "replay.json").write_text(json.dumps(found))
    with pytest.raises(DataError, match="leave --data, --audit and --split out"):
        report_run(tmp_path, tmp_path / "report", data=tmp_path)
