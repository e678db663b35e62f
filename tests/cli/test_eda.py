"""``fusionfer eda``: tables, JSON, page and figure, and exit code 3 for what cannot be read."""

import json
import re
import shutil


def test_tables(cli, shared_faces):
    """Counts, brightness and contrast, sizes; nothing is written."""
    outcome = cli("eda", shared_faces, "--quiet")
    assert outcome.code == 0
    assert re.search(r"^ all +\d+ +\d+ .* 84$", outcome.out, re.M)
    assert re.search(r"^ 32 x 32 pixels +84$", outcome.out, re.M)
    assert "Brightness and contrast" in outcome.out
    assert "Page" not in outcome.out


def test_page_figure_and_json(cli, shared_faces, tmp_path):
    """--out and --figure write; --json prints numbers only."""
    where = ("--out", tmp_path / "page", "--figure", tmp_path / "one.png")
    outcome = cli("eda", shared_faces, *where, "--samples", 2, "--json", "-q")
    data = json.loads(outcome.out)
    assert data["n_samples"] == sum(sum(row.values()) for row in data["counts"].values()) == 84
    assert all(len(some) == 2 for some in data["samples"].values())
    assert (tmp_path / "page" / "index.html").is_file()
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_read(cli, shared_faces, tmp_path):
    """It is counted, the first ten are named, and the exit code is 3."""
    root = shutil.copytree(shared_faces, tmp_path / "faces")
    for k in range(12):
        (root / "train" / "sad" / f"broken{k}.png").write_bytes(b"no picture")
    outcome = cli("eda", root, "--samples", "0", "--quiet")
    assert outcome.code == 3
    assert re.search(r"unreadable or left out +12$", outcome.out, re.M)
    assert len(re.findall(r"^fusionfer: cannot read .*broken\d+\.png: .", outcome.err, re.M)) == 10
    assert "fusionfer: 12 cannot be read; --json lists all." in outcome.err


def test_no_data(cli, tmp_path):
    """One line, exit 1."""
    outcome = cli("eda", tmp_path / "gone")
    assert outcome.code == 1
    assert outcome.error.startswith("fusionfer: error: ")
