"""``fusionfer demo``: the main job with one word."""

import re

from fusionfer.images import generate_faces
from fusionfer.persistence import load_model


def test_the_demo_ends_with_everything_that_was_promised(cli, tmp_path, monkeypatch):
    """The note on weights first, then the table, the sentence, the paths, and a next command that works."""
    monkeypatch.setattr("fusionfer.demo.BACKBONES", ("mobilenet_v2", "resnet34"))  # smaller, to be quick
    monkeypatch.setattr("fusionfer.demo.generate_faces", lambda **options: generate_faces(**{**options, "takes": 1}))
    outcome = cli("demo", "--out", tmp_path / "demo", "--identities", 12, "--size", 32, "--weights", "none", "-q")
    assert outcome.code == 0, outcome.err
    assert outcome.err.splitlines()[0].startswith("fusionfer: Both backbones have seeded random weights")
    assert outcome.out.startswith("Both backbones have seeded random weights")
    for name in ("mobilenet_v2:penultimate", "resnet34:penultimate", "mobilenet_v2:penultimate + resnet34:penultimate"):
        figures = re.search(rf"^ {re.escape(name)}   +(.+)$", outcome.out, re.M)[1].split()[:5]
        assert len([float(figure) for figure in figures]) == 5  # mean, spread, and three of the test
    assert re.search(r"Kept (mobilenet_v2|resnet34):penultimate", outcome.out)
    assert load_model(tmp_path / "demo" / "model.fusionfer").training["head"] == "ecoc"
    assert (tmp_path / "demo" / "report" / "confusion.png").is_file()
    *_, following = outcome.out.splitlines()
    assert following.startswith("Next:   fusionfer ")
    again = cli(*following.removeprefix("Next:   fusionfer ").split())
    assert again.code == 0, again.err


def test_a_demo_needs_a_folder(cli, tmp_path):
    """--out that is a file is left as it is."""
    (tmp_path / "demo").write_text("mine")
    assert cli("demo", "--out", tmp_path / "demo").code == 2
    assert (tmp_path / "demo").read_text() == "mine"
