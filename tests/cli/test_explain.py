"""``fusionfer explain``: tables, pictures and arrays from the command line."""

import json
import shutil

import cv2
import numpy as np
import pytest

COARSE = ("--window", 16, "--stride", 8)


@pytest.fixture
def explain(cli, shared_model):
    """Return a function that explains with the shared model, by few windows."""

    def run(*arguments, model=shared_model):
        return cli("explain", "--model", model, "-q", *COARSE, *arguments)

    return run


@pytest.fixture(scope="module")
def picture(shared_faces):
    return next((shared_faces / "test" / "happy").iterdir())


def test_one_picture(cli, explain, shared_model, picture, tmp_path):
    """Predicted class and its probability are those of predict; the table has all regions; both files are written."""
    outcome = explain(picture, "--out", tmp_path / "why.png", "--out", tmp_path / "why.npz", "--curves")
    assert (outcome.code, outcome.err) == (0, "")
    told = json.loads(cli("predict", picture, "--model", shared_model, "--json", "-q").out)["predictions"][0]
    assert outcome.out.startswith(f"{picture}: {told['label']}\n")
    probability = 100 * told["probabilities"][told["label"]]
    assert f"{told['label']}, {probability:.1f} %" in outcome.out
    for region in ("mouth", "eyes", "brows", "nose", "cheeks", "forehead", "chin", "outside", "windows shuffled"):
        assert region in outcome.out
    assert (tmp_path / "why.png").read_bytes()[:4] == b"\x89PNG"
    assert np.load(tmp_path / "why.npz")["maps"].shape[-2:] == (32, 32)


def test_json_of_classes_and_two_models(explain, shared_model, picture, tmp_path):
    """Every class that was asked for, once for each model, in their order; also where both files have one name."""
    copy = shutil.copy(shared_model, tmp_path)
    outcome = explain(picture, "--model", copy, "--class", "sad", "--class", "fear", "--json", "--fill", "blur")
    assert outcome.code == 0, outcome.err
    first, second = json.loads(outcome.out)["explanations"]
    assert [first["model"], second["model"]] == ["faces-1", "faces-2"]
    assert [one["class"] for one in first["classes"]] == ["sad", "fear"]
    assert first["fill"] == "blur"
    assert first["classes"] == second["classes"]
    assert first["measured"] == first["windows"] == 9


def test_curves_say_which_class_they_follow(explain, picture):
    """The first of several, in the table's title and in JSON."""
    arguments = (picture, "--class", "sad", "--class", "fear", "--curves")
    assert "Deletion and insertion, sad\n" in explain(*arguments).out
    (told,) = json.loads(explain(*arguments, "--json").out)["explanations"]
    assert told["curves"]["class"] == "sad"
    assert set(told["curves"]) == {"class", "map", "shuffled", "centre"}


def test_several_pictures_into_a_folder(explain, shared_faces, tmp_path):
    """Both files of each, numbered; a broken one is skipped, named, and exits with 3."""
    good = sorted((shared_faces / "test" / "sad").iterdir())[:2]
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    outcome = explain(*good, bad, "--out", tmp_path / "why", "--effort", 0.9)
    assert outcome.code == 3
    assert outcome.err.startswith(f"fusionfer: skipped {bad}: ")
    written = sorted(path.name for path in (tmp_path / "why").iterdir())
    assert written == [f"{i}-{path.stem}.{kind}" for i, path in enumerate(good) for kind in ("npz", "png")]


def test_per_class(explain, shared_faces, tmp_path):
    """A table of all classes and regions, and the figure; the same as JSON."""
    arguments = ("--per-class", shared_faces, "--limit", 2)
    outcome = explain(*arguments, "--out", tmp_path / "classes.png")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("Which parts of the face matter")
    assert (tmp_path / "classes.png").is_file()
    told = json.loads(explain(*arguments, "--json").out)
    assert [one["pictures"] for one in told["classes"]] == [2] * 7
    assert told["split"] == "test"
    single = json.loads(explain("--per-class", shared_faces, "--limit", 1, "--json").out)  # no interval of one picture
    assert {region["low"] for one in single["classes"] for region in one["regions"]} == {None}


def test_a_photograph(explain, picture, tmp_path):
    """A face is cut out of a picture where asked; one without a face is listed, and nothing is written."""
    blank = tmp_path / "blank.png"
    assert cv2.imwrite(str(blank), np.full((96, 96), 128, np.uint8))
    outcome = explain(blank, "--faces", "detect", "--out", tmp_path / "why.png", "--json")
    assert outcome.code == 3
    assert outcome.err == f"fusionfer: skipped {blank}: No face was found.\n"
    assert json.loads(outcome.out)["explanations"] == []
    assert not (tmp_path / "why.png").exists()
    bright = explain(picture, "--photometric", "histogram", "--json")
    assert json.loads(bright.out)["explanations"] != json.loads(explain(picture, "--json").out)["explanations"]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ((), 2, "Give IMAGES to explain, or --per-class DATA, one of the two"),
        (("{picture}", "--per-class", "x"), 2, "one of the two"),
        (("--per-class", "x", "--class", "sad"), 2, "neither --class nor --curves"),
        (("{picture}", "--classes", "sad="), 2, "name the class to explain with --class"),
        (("{picture}", "--out", "why.jpg"), 2, "give FILE.png or FILE.npz, or a folder"),
        (("{folder}", "--out", "why.png"), 2, "pictures, so give a folder, without an ending"),
        (("{picture}", "--window", "wide"), 2, "neither a number of pixels nor a share"),
        (("{picture}", "--window", 33), 1, "its side is at most 32 pixels, got 33"),
        (("{picture}", "--fill", "blurr"), 1, "Unknown fill 'blurr'. Known fills: blur, mean, noise, zero"),
        (("{picture}", "--class", "hapy"), 1, "Did you mean 'happy'"),
        (("{picture}", "--effort", 0), 1, "effort must be above 0"),
        (("--per-class", "{folder}", "--out", "classes.npz"), 2, "give FILE.png"),
    ],
)
def test_what_is_refused(explain, picture, shared_faces, arguments, code, told):
    """Wrong usage exits with 2, a named error with 1, and both say what is allowed."""
    outcome = explain(*(str(one).format(picture=picture, folder=shared_faces) for one in arguments))
    assert outcome.code == code
    assert told in " ".join(outcome.err.split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--split", "test", "--limit", 3], "--split and --limit choose pictures of --per-class DATA"),
        (
            ["--faces", "none", "--margin", 0.1],
            "--detector, --margin and --several say how faces are cut out: give --faces detect or align too.",
        ),
    ],
)
def test_options_that_would_do_nothing_are_refused(cli, shared_model, shared_faces, options, message):
    """What only means something elsewhere is wrong usage here, not silently ignored."""
    outcome = cli("explain", next(shared_faces.rglob("*.png")), "--model", shared_model, *options)
    assert outcome.code == 2
    assert message in " ".join(outcome.err.split())
