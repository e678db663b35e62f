"""``fusionfer train``: one command to table, checkpoints and page; wrong words are one line."""

import json

import numpy as np
import pytest

from fusionfer.fusion import is_among
from fusionfer.networks import read_checkpoint

QUICK = [
    "--network", "mobilenet_v2", "--set", "size=36", "--set", "crop=32", "--set", "stem=standard", "--set", "warmup=0",
    "--set", "batch_size=14", "--set", "epochs=1", "--set", "tta=none", "--seed", "1",
]  # fmt: skip


def test_optimizers_side_by_side(cli, shared_faces, tmp_path):
    """Two optimizers, one table for each split on stdout, sentences on stderr; the same command says it again."""
    words = ["train", shared_faces, *QUICK, "--optimizer", "sgdm", "--optimizer", "adam", "--score", "test"]
    outcome = cli(*words, "--out", tmp_path)
    assert outcome.code == 0, outcome.err
    assert outcome.out.count("mobilenet_v2-adam  ") == 3  # validation, test, test without copies
    assert "sensitivity" in outcome.out
    assert f"Report:     {tmp_path / 'index.html'}" in outcome.out
    assert "mobilenet_v2-sgdm, epoch 1 of 1: loss" in outcome.err
    again = cli(*words, "--out", tmp_path, "--json", "--quiet")
    assert again.err == ""
    found = json.loads(again.out)
    assert list(found["networks"]) == ["mobilenet_v2-sgdm", "mobilenet_v2-adam"]
    accuracy = found["networks"]["mobilenet_v2-adam"]["scores"]["test"]["accuracy"]
    assert f"{100 * accuracy:.2f}" in outcome.out
    checkpoint = found["networks"]["mobilenet_v2-adam"]["checkpoint"]
    features = cli(
        "extract", shared_faces, "--backbone", "mobilenet_v2", "--weights", f"mobilenet_v2={checkpoint}", "--level",
        "logits", "--cache", tmp_path / "cache", "--quiet",
    )  # fmt: skip
    assert features.code == 0, features.err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--set", "epoch=3"], "Unknown key of a recipe 'epoch'"),
        (["--set", "epochs=none"], "epochs must be a whole number from 1 to 100000, got 'none'"),
        (["--recipe", "malik"], "Did you mean 'malik-2025'"),
        (["--network", "resnet"], "Unknown network 'resnet'"),
    ],
)
def test_wrong_words(cli, shared_faces, tmp_path, words, text):
    """One line, exit code 1."""
    outcome = cli("train", shared_faces, "--out", tmp_path / "x", *words)
    assert outcome.code == 1
    assert text in outcome.error


def test_set_needs_a_value(cli, shared_faces):
    """Wrong usage is exit code 2."""
    outcome = cli("train", shared_faces, "--set", "epochs")
    assert outcome.code == 2
    assert "'epochs' is no KEY=VALUE" in outcome.err


def test_other_settings_name_the_option(cli, shared_faces, tmp_path):
    """The message speaks of --restart, which begins anew."""
    (tmp_path / "mobilenet_v2-sgdm").mkdir()
    (tmp_path / "mobilenet_v2-sgdm" / "last.ckpt").write_bytes(b"")
    (tmp_path / "mobilenet_v2-sgdm" / "settings.json").write_text('{"recipe": {}}')
    outcome = cli("train", shared_faces, *QUICK, "--out", tmp_path, "--optimizer", "sgdm")
    assert outcome.code == 1
    assert "holds a training with other settings" in outcome.error
    assert "--restart" in outcome.error


def test_splits_of_a_file_are_trained_on(cli, shared_faces, tmp_path):
    """A picture that the split file leaves out is neither trained on nor chooses the epoch; each other one is."""
    plain = cli("audit", shared_faces, "--no-near", "--clean", tmp_path / "clean.csv", "--quiet")
    assert plain.code == 0, plain.err
    lines = (tmp_path / "clean.csv").read_text().splitlines()
    columns = [line.split(",") for line in lines]
    where = columns[0].index("split")
    row = next(i for i, cells in enumerate(columns) if cells[where] == "train")
    columns[row][where], columns[row][columns[0].index("reason")] = "", "by hand"
    (tmp_path / "clean.csv").write_text("\n".join(",".join(cells) for cells in columns) + "\n")
    options = ["--splits", tmp_path / "clean.csv", "--out", tmp_path / "less", "--quiet", "--json"]
    outcome = cli("train", shared_faces, *QUICK, *options)
    assert outcome.code == 0, outcome.err
    info = read_checkpoint(json.loads(outcome.out)["networks"]["mobilenet_v2-sgdm"]["checkpoint"])[0]
    where = [columns[0].index(name) for name in ("sha256", "reason", "split")]
    rows = [[cells[i] for i in where] for cells in columns[1:]]
    known = [sha for sha, _, split in rows if split == "train"]
    assert np.array_equal(is_among(known, info.trained_on), ~is_among(known, info.selected_on))
    assert not is_among([sha for sha, reason, _ in rows if reason], info.trained_on + info.selected_on).any()
    both = cli("train", shared_faces, *QUICK, "--splits", tmp_path / "clean.csv", "--split", "70/30")
    assert both.code == 2
    assert "give one of both" in both.err
