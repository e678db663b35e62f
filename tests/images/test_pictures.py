"""Pictures from several places: one set, ids that say where each came from, and no path that stops the rest."""

import zipfile

import cv2
import numpy as np
import pytest

from fusionfer.exceptions import DataError
from fusionfer.images import read_pictures


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name in ["a.png", "sub/a.png", "sub/b.png"]:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 256, (9, 9), dtype=np.uint8))
    return tmp_path


def test_files_and_folders_join_under_the_paths_given(folder):
    """Equal file names do not collide, and each id gives back its own pixels."""
    single, nested = folder / "a.png", folder / "sub"
    faces = read_pictures([single, nested])
    assert faces.ids.tolist() == [str(single), f"{nested}/a.png", f"{nested}/b.png"]
    for i, path in enumerate([single, nested / "a.png", nested / "b.png"]):
        np.testing.assert_array_equal(faces.load(i)[0], cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))


def test_a_path_named_twice_counts_once(folder):
    """The same path again is no second picture."""
    assert len(read_pictures([folder / "a.png", folder / "a.png"])) == 1


def test_folders_and_zips_are_read_without_class_logic(folder):
    """Pictures beside subfolders, folders called train, and manifests: every picture counts, and none has a label."""
    (folder / "train" / "happy").mkdir(parents=True)
    for name in ("train/happy/c.png", "train/c.png"):
        (folder / name).write_bytes((folder / "a.png").read_bytes())
    (folder / "labels.csv").write_text("path,label,split\na.png,sad,test\n")
    inner = ["a.png", "sub/a.png", "sub/b.png", "train/c.png", "train/happy/c.png"]
    archive = folder.parent / f"{folder.name}.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name in [*inner, "labels.csv"]:
            file.write(folder / name, name)
    for path in (folder, archive):
        faces = read_pictures([path], on_error="fail")
        assert faces.ids.tolist() == [f"{path}/{name}" for name in inner]
        assert faces.skipped == ()
        assert not any([*faces.labels, *faces.splits, *faces.groups])
        np.testing.assert_array_equal(faces.load(2)[0], cv2.imread(str(folder / "sub/b.png"), cv2.IMREAD_GRAYSCALE))


@pytest.mark.parametrize("on_error", ["skip", "fail"])
def test_a_picture_reached_by_two_paths_counts_once(folder, on_error):
    """A folder and a file in it, in either order, and the folder with a slash at its end."""
    for paths in ([folder, folder / "a.png"], [folder / "a.png", folder], [str(folder), f"{folder}/"]):
        faces = read_pictures(paths, on_error=on_error)
        assert sorted(faces.ids) == [f"{folder}/{name}" for name in ("a.png", "sub/a.png", "sub/b.png")]
        assert faces.skipped == ()
        assert [faces.load(i)[0].shape for i in range(3)] == [(9, 9)] * 3


def test_names_that_differ_in_the_encoding_of_accents_are_two_pictures(folder):
    """One of them is taken and the other one listed: it is no repetition that may be dropped in silence."""
    for name in ("\u00e9.png", "e\u0301.png"):
        (folder / name).write_bytes((folder / "a.png").read_bytes())
    faces = read_pictures([folder])
    assert len(faces) == 4
    assert [reason for _, reason in faces.skipped] == [
        "occurs twice, in names that differ only in how accents are encoded"
    ]


def test_links_that_leave_the_folder_are_listed(folder, tmp_path_factory):
    """A refused link does not stop the rest, unless asked to."""
    outside = tmp_path_factory.mktemp("outside") / "x.png"
    outside.write_bytes((folder / "a.png").read_bytes())
    (folder / "link.png").symlink_to(outside)
    assert [place for place, _ in read_pictures([folder]).skipped] == [f"{folder}/link.png"]
    with pytest.raises(DataError, match=r"1 problem\. .*link\.png: is a symbolic link that leaves"):
        read_pictures([folder], on_error="fail")


def test_rows_of_fer2013_are_pictures_too(tmp_path):
    """A CSV, or a folder that holds nothing else, gives its faces; a row that is wrong is listed."""
    row = " ".join(["7"] * 2304)
    (tmp_path / "fer2013.csv").write_text(f"emotion,pixels,Usage\n0,{row},Training\n9,{row},Training\n")
    for path in (tmp_path / "fer2013.csv", tmp_path):
        faces = read_pictures([path])
        assert faces.ids.tolist() == [f"{path}/fer2013:0"]
        assert [place for place, _ in faces.skipped] == [f"{path}/fer2013:1 (line 3)"]
        assert faces.load(0)[0].shape == (48, 48)


def test_a_missing_path_is_skipped_with_its_reason_or_fails(folder):
    """One path that is not there does not stop the rest, unless asked to; nothing at all is an error."""
    faces = read_pictures([folder / "gone.png", folder / "a.png"])
    assert [i for i, _ in faces.skipped] == [str(folder / "gone.png")]
    assert len(faces) == 1
    with pytest.raises(DataError, match=r"gone\.png"):
        read_pictures([folder / "gone.png", folder / "a.png"], on_error="fail")
    with pytest.raises(DataError, match=r"There is no picture to read\. .*gone\.png"):
        read_pictures([folder / "gone.png"])
