"""``fusionfer report``, and ``--report`` of the verbs: a page where it was asked for, and one line on stdout."""

import json
import re

import numpy as np
import pytest


def sections(folder):
    """Titles of the sections of the report in a folder."""
    return [section["title"] for section in json.loads((folder / "scores.json").read_text())["sections"]]


def test_a_model_on_its_cache(cli, shared_cache, shared_model, shared_faces, tmp_path):
    """The page is where --out says, with the command that made it; stdout says where."""
    out = tmp_path / "deep" / "page"
    options = ("--cache", shared_cache, "--data", shared_faces, "--out", out)
    outcome = cli("report", shared_model, *options, "-q")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == f"Report: {out / 'index.html'}\n"
    assert sections(out) == ["Data", "Audit", "Features", "Selection", "Scores", "Mistakes", "Provenance"]
    last = json.loads((out / "scores.json").read_text())["sections"][-1]["items"][-1]["commands"][-1]
    assert last == f"fusionfer report {shared_model} --cache {shared_cache} --data {shared_faces} --out {out} -q"


def test_an_audit_of_the_command_line(cli, shared_cache, shared_model, shared_faces, tmp_path):
    """What ``fusionfer audit --json`` prints is what --audit takes."""
    outcome = cli("audit", shared_faces, "--json", "-q")
    (tmp_path / "audit.json").write_text(outcome.out)
    options = ("--cache", shared_cache, "--audit", tmp_path / "audit.json", "--out", tmp_path / "r")
    assert cli("report", shared_model, *options).code == 0
    text = (tmp_path / "r" / "index.html").read_text("utf-8")
    assert "84 samples</h3>" in text
    assert "No audit was given" not in text


@pytest.mark.parametrize(
    ("options", "message"),
    [(("--data", "x"), "give --cache with --data"), (("--audit", "gone.json"), r"audit gone\.json cannot be read")],
)
def test_errors_are_one_line(cli, shared_model, tmp_path, options, message):
    """What cannot be is said in one line, and nothing is written."""
    outcome = cli("report", shared_model, *options, "--out", tmp_path / "r")
    assert outcome.code == 1
    assert re.search(message, outcome.error)
    assert not (tmp_path / "r").exists()


def test_report_of_fit(cli, shared_cache, tmp_path):
    """Data, features and selection, and the fit's own command; JSON on stdout stays JSON."""
    page = tmp_path / "page"
    options = ("--folds", 3, "--out", tmp_path / "m", "--report", page)
    outcome = cli("fit", shared_cache, *options, "-q")
    assert outcome.code == 0
    assert f"Report: {page / 'index.html'}" in outcome.out
    assert sections(page) == ["Data", "Audit", "Features", "Selection", "Provenance"]
    commands = json.loads((page / "scores.json").read_text())["sections"][-1]["items"][-1]["commands"]
    assert commands[0].startswith("fusionfer extract ")
    assert commands[1:] == [f"fusionfer fit {shared_cache} --folds 3 --out {tmp_path / 'm'} --report {page} -q"]
    json.loads(cli("fit", shared_cache, *options, "--overwrite", "--json", "-q").out)


def test_report_of_evaluate(cli, shared_cache, shared_model, tmp_path):
    """The same page as of ``fusionfer report``, without pictures."""
    outcome = cli("evaluate", shared_cache, "--model", shared_model, "--report", tmp_path)
    assert f"Report: {tmp_path / 'index.html'}" in outcome.out
    assert sections(tmp_path) == ["Data", "Audit", "Features", "Selection", "Scores", "Provenance"]


def test_a_split_file(cli, shared_cache, shared_model, tmp_path):
    """Other splits than those of the cache: the page counts and scores by them."""
    from fusionfer.features import Features
    from fusionfer.images import SplitFile, write_split_file

    features = Features.read(shared_cache)
    splits = features.splits.copy()
    left_out = np.flatnonzero(splits == "test")[:5]
    splits[left_out] = ""
    reasons = np.where(splits == "", "a copy", "")
    made = SplitFile(features.ids, features.digests, features.y, splits, features.groups, reasons, "fewer")
    write_split_file(made, tmp_path / "fewer.csv")
    options = ("--cache", shared_cache, "--splits", tmp_path / "fewer.csv", "--out", tmp_path / "r")
    outcome = cli("report", shared_model, *options, "-q")
    assert outcome.code == 0, outcome.err
    found = json.loads((tmp_path / "r" / "scores.json").read_text())
    assert found["scores"]["n"] == 23
    counts = found["sections"][0]["items"][0]["table"]
    assert counts["header"] == ["class", "train", "test", "no split", "all splits"]
    assert counts["rows"][-1] == ["all", "56", "23", "5", "84"]


def test_report_of_a_checkpoint(cli, shared_faces, tmp_path):
    """Where the pictures are at hand anyway, the page shows them and the mistakes."""
    from fusionfer.backbones import Preprocess
    from fusionfer.networks import CheckpointInfo, build_network, save_checkpoint

    classes = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
    network = build_network("mobilenet_v2", 7, size=32, seed=0)
    save_checkpoint(tmp_path / "n.safetensors", network, CheckpointInfo("mobilenet_v2", classes, Preprocess(32)))
    options = ("--model", tmp_path / "n.safetensors", "--tta", "none", "--report", tmp_path / "r", "-q")
    outcome = cli("evaluate", shared_faces, *options)
    assert outcome.code == 0, outcome.err
    assert sections(tmp_path / "r") == ["Data", "Audit", "Scores", "Mistakes", "Provenance"]
    assert (tmp_path / "r" / "mistakes.png").is_file()
