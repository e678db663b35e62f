"""fusionfer replay."""

import json

SMALL = ("--size", 32, "--weights", "none", "--set", "features.backbones=['resnet34']")


def test_the_protocols_are_listed(cli):
    """Names, what they do, after whom, and what is claimed."""
    outcome = cli("replay", "--list")
    assert outcome.code == 0
    for text in ("singh-mandloi-2025", "98.19 %", "ckplus/random-80-20", "leaks"):
        assert text in outcome.out


def test_a_replay_prints_the_table_and_writes_json(cli, shared_faces, tmp_path):
    """The protocol and the honest one beside it: what is printed as JSON is what lies in the folder."""
    where = ("--cache", tmp_path / "cache", "--out", tmp_path / "out")
    asked = (
        "replay",
        "multilevel-xgb",
        "--data",
        shared_faces,
        *SMALL,
        "--set",
        "head.name=softmax",
        "--set",
        "features.level=layer1",
        "-q",
        *where,
    )
    outcome = cli(*asked, "--limit", 60, "--beside", "honest")
    assert outcome.code == 0, outcome.err
    assert "claimed: Rajeshwari and Krishna Prasad 2024" in outcome.out
    assert "the protocol as it is" in outcome.out
    assert "Reduced, or other than the protocol: 60 of 84 faces" in outcome.out
    told = cli(*asked, "--limit", 60, "--beside", "honest", "--json")
    assert json.loads(told.out) == json.loads((tmp_path / "out" / "replay.json").read_text())


def test_wrong_usage(cli, shared_faces):
    """Without a protocol or data it is usage; a name that does not exist is one line with the closest match."""
    assert cli("replay").code == 2
    assert cli("replay", "malik-2025").code == 2
    outcome = cli("replay", "malik2025", "--data", shared_faces, "-q")
    assert (outcome.code, "Did you mean 'malik-2025'" in outcome.error) == (1, True)
    assert cli("replay", "malik-2025", "--data", shared_faces, "--set", "epochs").code == 2
    outcome = cli("replay", "malik-2025", "--data", shared_faces, "-q")
    assert (outcome.code, "give its fer2013new.csv as labels (--labels)" in outcome.error) == (1, True)
