"""Pictures from several places: one set, ids that say where each came from, and no path that stops the rest."""

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


def test_a_missing_path_is_skipped_with_its_reason_or_fails(folder):
    """One path that is not there does not stop the rest, unless asked to; nothing at all is an error."""
    faces = read_pictures([folder / "gone.png", folder / "a.png"])
    assert [i for i, _ in faces.skipped] == [str(folder / "gone.png")]
    assert len(faces) == 1
    with pytest.raises(DataError, match=r"gone\.png"):
        read_pictures([folder / "gone.png", folder / "a.png"], on_error="fail")
    with pytest.raises(DataError, match=r"There is no picture to read\. .*gone\.png"):
        read_pictures([folder / "gone.png"])
