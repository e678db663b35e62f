"""The sheet of contradicted labels."""

import cv2
import numpy as np
import pytest

from fusionfer.audit import LabelNoise, write_noise_sheet
from fusionfer.exceptions import DataError, ReportError
from fusionfer.images import generate_faces

FACES = generate_faces(2, takes=1, size=48)


def noise(suggested):
    ids, labels = FACES.ids[:3], np.array(["fear", "fear", "sad"])
    proba = np.array([[0.1, 0.9], [0.3, 0.7], [0.2, 0.8]])
    return LabelNoise(ids, labels, ("fear", "sad"), proba, np.array([0.5, 0.5]), np.eye(2) / 2, np.array(suggested))


def test_the_flagged_faces_are_drawn(tmp_path):
    """A PNG, as wide as two faces are; the same bytes each time, others with one face alone."""
    two, one = tmp_path / "new" / "two.png", tmp_path / "one.png"
    write_noise_sheet(two, FACES, noise(["sad", "sad", "sad"]))
    write_noise_sheet(one, FACES, noise(["sad", "sad", "sad"]), n=1)
    assert cv2.imread(str(two)).shape[1] > 1.5 * cv2.imread(str(one)).shape[1]
    before = two.read_bytes()
    write_noise_sheet(two, FACES, noise(["sad", "sad", ""]))
    assert two.read_bytes() == before


def test_what_cannot_be_drawn(tmp_path):
    """Nothing flagged, faces of another set, a folder in the place of the file."""
    with pytest.raises(DataError, match="None of 3 labels is contradicted"):
        write_noise_sheet(tmp_path / "x.png", FACES, noise(["fear", "", "sad"]))
    with pytest.raises(DataError, match="1 flagged samples are no faces of"):
        write_noise_sheet(tmp_path / "x.png", FACES.take([1, 2, 3]), noise(["sad", "fear", "sad"]))
    with pytest.raises(ReportError, match="cannot be written: Is a directory"):
        write_noise_sheet(tmp_path, FACES, noise(["sad", "sad", "sad"]))
