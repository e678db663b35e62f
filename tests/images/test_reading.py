"""read_faces, from every kind of data set."""

import json
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from fusionfer.exceptions import DataError, FusionferWarning, ImageError, UnknownNameError
from fusionfer.images import read_faces

FER2013 = Path(__file__).parents[3] / "shared/data/fer2013/fer2013.zip"


def put(root, *names):
    for i, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), np.full((4, 4), i + 1, dtype=np.uint8))


def archive(root, path, prefix=""):
    files = [file for file in sorted(root.rglob("*")) if file.is_file()]  # before the zip itself may lie there
    with zipfile.ZipFile(path, "w") as zipped:
        for file in files:
            zipped.write(file, prefix + file.relative_to(root).as_posix())
    return path


def summary(faces):
    columns = (faces.ids, faces.labels, faces.splits, faces.groups)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_folder_and_its_zips_are_the_same(tmp_path):
    """A folder, a zip of its content, and a zip of the folder itself give the same set and the same pixels."""
    root = tmp_path / "faces"
    put(root, "train/happy/1.png", "train/sad/2.png", "Test/sad/é.png")
    (root / "readme.txt").write_text("x")
    folder = read_faces(root)
    assert [row[:3] for row in summary(folder)] == [
        ("Test/sad/é.png", "sad", "test"),
        ("train/happy/1.png", "happy", "train"),
        ("train/sad/2.png", "sad", "train"),
    ]
    assert any("1 files that are no pictures" in note for note in folder.notes)
    for path in (archive(root, tmp_path / "a.zip"), archive(root, tmp_path / "b.zip", "faces/")):
        zipped = read_faces(path)
        assert summary(zipped) == summary(folder)
        assert [zipped.digest(i) for i in range(3)] == [folder.digest(i) for i in range(3)]


def test_flat_folder_and_its_zip_have_no_labels(tmp_path):
    """Pictures without class folders are an unlabelled set, with the same ids from a zip of the folder."""
    put(tmp_path / "photos", "1.png", "2.png")
    faces = read_faces(tmp_path / "photos")
    assert summary(faces) == [("1.png", "", "", ""), ("2.png", "", "", "")]
    assert summary(read_faces(archive(tmp_path / "photos", tmp_path / "photos.zip", "photos/"))) == summary(faces)


def test_one_picture(tmp_path):
    """A picture is a set of one."""
    put(tmp_path, "1.png")
    faces = read_faces(tmp_path / "1.png")
    assert (faces.ids.tolist(), faces.labels.tolist()) == (["1.png"], [""])
    assert faces.load(0)[0].tolist() == [[1] * 4] * 4


def test_manifest_beside_class_folders_wins_and_disagreements_are_listed(tmp_path):
    """The manifest's labels count; what the folders say otherwise is warned of, and what it lacks is left out."""
    root = tmp_path / "faces"
    put(root, "train/happy/1.png", "train/sad/2.png", "test/sad/3.png", "test/sad/4.png")
    (root / "labels.csv").write_text("path,label\ntrain/happy/1.png,happy\ntrain/sad/2.png,happy\ntest/sad/3.png,sad\n")
    for path in (root, archive(root, tmp_path / "a.zip", "faces/")):
        with pytest.warns(FusionferWarning, match=r"label of 1 faces: train/sad/2\.png \(happy, folder sad\)"):
            faces = read_faces(path)
        assert [row[:3] for row in summary(faces)] == [
            ("train/happy/1.png", "happy", "train"),
            ("train/sad/2.png", "happy", "train"),
            ("test/sad/3.png", "sad", "test"),
        ]
        assert any("1 pictures are not in the manifest" in note for note in faces.notes)


def test_manifest_with_numbers_for_the_folders_names_agrees(tmp_path):
    """Other names for the same classes are no disagreement, single exceptions are."""
    put(tmp_path, *[f"{label}/{i}.png" for label in ("happy", "sad") for i in range(3)])
    lines = ["path,label", *[f"{label}/{i}.png,{n}" for n, label in enumerate(("happy", "sad")) for i in range(3)]]
    (tmp_path / "m.csv").write_text("\n".join(lines))
    assert not any("disagree" in note for note in read_faces(tmp_path).notes)
    (tmp_path / "m.csv").write_text("\n".join(lines).replace("sad/2.png,1", "sad/2.png,0"))
    with pytest.warns(FusionferWarning, match=r"disagree on the label of 1 faces: sad/2\.png \(0, folder sad\)"):
        read_faces(tmp_path)


def test_the_warning_of_disagreements_is_short_and_the_note_whole(tmp_path):
    """Eight disagreements: the warning names five, the note all."""
    names = [f"{label}/{i}.png" for label in ("happy", "sad") for i in range(12)]
    put(tmp_path, *names)
    wrong = names[:8]
    rows = [f"{name},{'sad' if name in wrong else name.partition('/')[0]}" for name in names]
    (tmp_path / "m.csv").write_text("\n".join(["path,label", *rows]))
    with pytest.warns(FusionferWarning, match=r"happy/4\.png \(sad, folder happy\), and 3 more\. The manifest counts"):
        faces = read_faces(tmp_path)
    (note,) = (note for note in faces.notes if "disagree" in note)
    assert [name for name in names if f"{name} (sad, folder happy)" in note] == wrong


def test_several_manifests_are_an_error(tmp_path):
    """Two manifests at the root are named, and neither is chosen; other CSV files do not count."""
    put(tmp_path, "happy/1.png")
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("path,label\nhappy/1.png,happy\n")
    (tmp_path / "votes.csv").write_text("Usage,Image name,neutral\n")
    with pytest.raises(DataError, match=r"holds several manifests: a\.csv, b\.csv\. Give the path of one"):
        read_faces(tmp_path)
    assert read_faces(tmp_path / "a.csv").labels.tolist() == ["happy"]


def test_manifest_gives_all_columns(tmp_path):
    """A manifest by its own path brings splits and groups, and its order is kept."""
    put(tmp_path, "2.png", "1.png")
    (tmp_path / "m.tsv").write_text("file\texpression\tset\tperson\n2.png\tsad\tval\tann\n1.png\tsad\ttrain\tbob\n")
    assert summary(read_faces(tmp_path / "m.tsv")) == [
        ("2.png", "sad", "validation", "ann"),
        ("1.png", "sad", "train", "bob"),
    ]


def test_labels_are_merged_mapped_and_split(tmp_path):
    """Spellings merge, then classes map, then the split is drawn."""
    put(tmp_path, *[f"{label}/{i}.png" for label in ("Happy", "sad", "angry", "odd") for i in range(10)])
    put(tmp_path, "happy /x.png")
    with pytest.warns(FusionferWarning, match="'happy ' is 'Happy'"):
        faces = read_faces(tmp_path, classes={"sad": "bad", "angry": "bad", "odd": ""}, split="70/30", seed=4)
    assert Counter(zip(faces.labels.tolist(), faces.splits.tolist(), strict=True)) == {
        ("Happy", "train"): 8,
        ("Happy", "test"): 3,
        ("bad", "train"): 14,
        ("bad", "test"): 6,
    }
    with pytest.raises(UnknownNameError, match="Unknown label 'glad'"), pytest.warns(FusionferWarning):
        read_faces(tmp_path, classes={"glad": "x"})


def test_split_where_the_data_bring_one_is_an_error(tmp_path):
    """A split is not replaced in silence."""
    put(tmp_path, "train/happy/1.png", "test/happy/2.png")
    with pytest.raises(DataError, match="brings splits already"):
        read_faces(tmp_path, split="70/30")


def test_names_of_jaffe(tmp_path):
    """JAFFE as it is distributed: persons and labels from the names of a flat folder."""
    put(tmp_path / "jaffe", "KA.AN1.39.tiff", "KM.HA2.5.tiff")
    assert summary(read_faces(tmp_path / "jaffe")) == [
        ("KA.AN1.39.tiff", "anger", "", "KA"),
        ("KM.HA2.5.tiff", "happiness", "", "KM"),
    ]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: root / "nowhere", r"There is no file or folder .*nowhere"),
        (lambda root: root, r"holds no picture \(looked for \.bmp, .*\); it is empty"),
        (lambda root: (root / "a.txt").write_text("x") and root, r"among its 1 files \(first: a\.txt\)"),
        (lambda root: (root / "a.txt").write_text("x") and root / "a.txt", r"is nothing that is read as faces"),
        (lambda root: (root / "a.zip").write_bytes(b"x") and root / "a.zip", r"is not a zip"),
        (
            lambda root: (root / "a.csv").write_text("path,label\n") and root / "a.csv",
            r"holds no face that",
        ),
        (lambda root: (root / "a.csv").write_text("a,b\n") and root / "a.csv", r"no column for the path; usual names"),
    ],
)
def test_what_cannot_be_read_says_what_was_looked_for(tmp_path, make, message):
    """Missing paths, empty folders and strange files are each one clear error."""
    with pytest.raises(DataError, match=message):
        read_faces(make(tmp_path))


def test_zip_with_only_a_csv_says_to_unpack_it(tmp_path):
    """fer2013.csv inside a zip is named in the error; in a folder it is read."""
    (tmp_path / "f").mkdir()
    row = "3," + " ".join(["7"] * 2304) + ",Training\n"
    (tmp_path / "f" / "fer2013.csv").write_text("emotion,pixels,Usage\n" + row)
    with pytest.raises(DataError, match=r"but f/fer2013\.csv: give the path of that file itself, unpacked"):
        read_faces(archive(tmp_path, tmp_path / "x.zip"))
    assert summary(read_faces(tmp_path / "f")) == [("fer2013:0", "happy", "train", "")]


def test_refused_samples_fail_or_are_listed(tmp_path):
    """Strays, links and names that differ only in their encoding are complaints, all at once."""
    put(tmp_path, "happy/1.png", "2.png", "sad/e\u0301.png", "sad/\u00e9.png")
    (tmp_path / "sad/link.png").symlink_to("/etc/passwd")
    with pytest.raises(DataError, match=r"3 problems\..*link\.png.*2\.png: lies beside.*occurs twice"):
        read_faces(tmp_path)
    faces = read_faces(tmp_path, on_error="skip")
    assert faces.ids.tolist() == ["happy/1.png", "sad/\u00e9.png"]
    assert sorted(where for where, _ in faces.skipped) == ["2.png", "sad/link.png", "sad/\u00e9.png"]


def test_names_that_differ_only_in_case_are_noted(tmp_path):
    """Fault 30: likely copies are told, and both are kept."""
    put(tmp_path, "happy/a.png", "happy/A.png")
    faces = read_faces(tmp_path)
    assert len(faces) == 2
    assert any("differ only in case" in note for note in faces.notes)


def test_options_that_would_do_nothing_are_refused(tmp_path):
    """Columns are refused where there is no manifest, and unknown values of on_error everywhere."""
    put(tmp_path, "happy/1.png")
    for path in (tmp_path, tmp_path / "happy/1.png"):
        with pytest.raises(DataError, match="label_column is for manifests, but"):
            read_faces(path, label_column="x")
    with pytest.raises(DataError, match=r"on_error must be 'fail' or 'skip'\. Got 'ignore'"):
        read_faces(tmp_path, on_error="ignore")


def test_bad_pictures_are_found_when_they_are_decoded(tmp_path):
    """Reading lists a broken picture; decoding it raises an ImageError that says what it is."""
    put(tmp_path, "happy/1.png")
    (tmp_path / "happy/2.jpg").write_bytes(b"<html>")
    (tmp_path / "happy/3.jpg").write_bytes(b"")
    faces = read_faces(tmp_path)
    assert faces.load(0)[0].shape == (4, 4)
    for i, message in ((1, "HTML"), (2, "empty")):
        with pytest.raises(ImageError, match=message):
            faces.load(i)


def test_limit_reaches_every_kind_of_set(tmp_path):
    """max_pixels is handed on to folders, zips, manifests and single pictures."""
    put(tmp_path / "x", "happy/1.png")
    (tmp_path / "m.csv").write_text("path,label\nx/happy/1.png,happy\n")
    paths = [
        tmp_path / "x",
        tmp_path / "x/happy/1.png",
        tmp_path / "m.csv",
        archive(tmp_path / "x", tmp_path / "x.zip"),
    ]
    for path in paths:
        with pytest.raises(ImageError, match="at most 15 are decoded"):
            read_faces(path, max_pixels=15).load(0)


def test_import_is_light():
    """Importing the room loads neither torch nor matplotlib."""
    code = "import sys, json, fusionfer.images; print(json.dumps([m for m in sys.modules if '.' not in m]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "matplotlib", "h5py", "sklearn", "skops"} & set(json.loads(done.stdout))


@pytest.mark.real
@pytest.mark.skipif(not FER2013.exists(), reason="the real FER-2013 is not in ../shared/data")
def test_real_fer2013_counts():
    """The real zip has the counts per split and class that its page gives."""
    faces = read_faces(FER2013)
    drawn = Counter(zip(faces.splits.tolist(), faces.labels.tolist(), strict=True))
    table = {
        "train": (3969, 436, 4077, 7187, 4798, 3160, 4932),
        "validation": (468, 55, 496, 892, 650, 413, 605),
        "test": (488, 55, 528, 874, 588, 416, 623),
    }
    names = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    assert drawn == {(s, n): c for s, row in table.items() for n, c in zip(names, row, strict=True)}
    assert all(faces.load(i)[0].shape == (48, 48) for i in range(0, len(faces), 997))


@pytest.mark.real
@pytest.mark.skipif(not FER2013.exists(), reason="the real FER-2013 is not in ../shared/data")
def test_real_faces_agree_with_pillow(tmp_path):
    """A sample of real faces decodes bit for bit as Pillow decodes it, from the zip and from a folder."""
    from PIL import Image

    with zipfile.ZipFile(FER2013) as zipped:
        names = zipped.namelist()[::3001]
        zipped.extractall(tmp_path / "fer2013", names)
    faces = read_faces(FER2013)
    place = {name: i for i, name in enumerate(faces.ids.tolist())}
    folder = read_faces(tmp_path / "fer2013")
    assert sorted(folder.ids.tolist()) == sorted(names)
    for i, name in enumerate(folder.ids.tolist()):
        pixels, sha = folder.load(i)
        np.testing.assert_array_equal(pixels, np.asarray(Image.open(tmp_path / "fer2013" / name)))
        assert sha == faces.digest(place[name])
        assert folder.splits[i] == faces.splits[place[name]]
    shutil.rmtree(tmp_path / "fer2013")
