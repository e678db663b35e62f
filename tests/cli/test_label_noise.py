"""``fusionfer audit --features`` and ``--votes``: labels against a head and against annotators."""

import json
import re

import pytest

HEAD = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n"
PLACES = {"neutral": 0, "happy": 1, "surprise": 2, "sad": 3, "angry": 4, "disgust": 5, "fear": 6}


@pytest.fixture
def voted(shared_faces, tmp_path):
    """The shared faces under names of FER-2013, the first with a copy in another class, and votes of 8 and 2."""
    root, lines = tmp_path / "fer", []
    pictures = sorted(shared_faces.rglob("*.png"))
    for row, picture in enumerate([*pictures, pictures[0]]):
        split, label = picture.parts[-3:-1]
        folder = "sad" if row == len(pictures) else label
        usage = "Training" if split == "train" else "PrivateTest"
        path = root / split / folder / f"{usage}_{row:07d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture.read_bytes())
        votes = [0] * 10
        votes[PLACES[label]], votes[8] = 8, 2
        lines.append(f"{usage},,{','.join(map(str, votes))}\n")
    table = tmp_path / "votes.csv"
    table.write_text(HEAD + "".join(lines))
    return root, table


def test_votes(cli, voted):
    """A row for each label; the copy with another label is outvoted; ceilings of votes and copies are said."""
    root, table = voted
    outcome = cli("audit", root, "--votes", table, "--quiet")
    assert outcome.code == 0, outcome.err
    assert re.search(r"^ sad +13 +0\.72 +80\.0 % +73\.8 % +7\.7 %$", outcome.out, re.M)
    assert "no predictor more than 100.0 %" in outcome.out
    assert "of 1 pictures with labelled copies, two copies agree in 0.0 %" in outcome.out
    data = json.loads(cli("audit", root, "--votes", table, "--json").out)
    assert data["votes"]["classes"]["sad"]["contradicted"] == pytest.approx(1 / 13)
    assert data["copies_ceiling"]["n"] == 1
    assert "label_noise" not in data


def test_features(cli, shared_faces, shared_cache, tmp_path):
    """Flags as tables, JSON and picture; --show limits those that are listed; one split alone; the same every time."""
    words = ["audit", shared_faces, "--features", shared_cache, "--quiet"]
    outcome = cli(*words, "--show", 2, "--noise-sheet", tmp_path / "worst.png")
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "worst.png").read_bytes().startswith(b"\x89PNG")
    data = json.loads(cli(*words, "--json").out)["label_noise"]
    assert data["n_samples"] == 84
    assert re.search(rf"^ all +84 +{len(data['flagged'])} +\d", outcome.out, re.M)
    assert outcome.out.count(data["flagged"][0]["id"]) == 1
    assert data["flagged"][2]["id"] not in outcome.out
    assert json.loads(cli(*words, "--json").out)["label_noise"] == data
    some = json.loads(cli(*words, "--json", "--noise-split", "train").out)["label_noise"]
    assert all(one["id"].startswith("train/") for one in some["flagged"])
    assert some["n_samples"] < 84


def test_flags_beside_votes(cli, voted, small):
    """With both, how often annotators outvote the label among the flagged, and among the others."""
    root, table = voted
    cache = root.parent / "cache"
    assert cli("extract", root, *small, "--cache", cache, "--quiet").code == 0
    outcome = cli("audit", root, "--features", cache, "--votes", table, "--quiet")
    assert outcome.code == 0, outcome.err
    assert re.search(r"^ all that were judged +85 +1\.2 %$", outcome.out, re.M)


def test_without_these_options_nothing_of_it_is_said(cli, shared_faces):
    """Neither tables nor keys."""
    assert "head contradicts" not in cli("audit", shared_faces).out
    assert not {"votes", "label_noise", "copies_ceiling"} & set(json.loads(cli("audit", shared_faces, "--json").out))


def test_options_that_belong_to_features(cli, shared_faces):
    """Alone they are wrong usage."""
    outcome = cli("audit", shared_faces, "--noise-split", "train")
    assert outcome.code == 2
    assert "--noise-split and --noise-sheet are about --features" in outcome.err
