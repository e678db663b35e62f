"""Detectors by name, file and callable: what comes back, and what is refused."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from fusionfer.exceptions import DataError, UnknownNameError, WeightsError
from fusionfer.faces import Face, HaarDetector, YuNetDetector, detect, get_detector

PICTURE = np.zeros((100, 200), np.uint8)


def test_names_and_options():
    """haar with options is a HaarDetector with them; a detector comes back as it is."""
    assert get_detector("haar", min_size=40) == HaarDetector(min_size=40)
    detector = get_detector()
    assert get_detector(detector) is detector


@pytest.mark.parametrize(
    ("spec", "options", "error", "message"),
    [
        ("harr", {}, UnknownNameError, "Did you mean 'haar'"),
        ("yunet", {}, UnknownNameError, "Unknown detector 'yunet'.*yunet=PATH"),
        ("haar", {"minsize": 3}, UnknownNameError, "Did you mean 'min_size'"),
        (3, {}, DataError, "got 3"),
        (print, {"turn": 3}, DataError, "takes no options, got turn"),
    ],
)
def test_other_specs_are_refused(spec, options, error, message):
    """With the known names."""
    with pytest.raises(error, match=message):
        get_detector(spec, **options)


def test_a_callable_returns_faces_or_boxes_in_any_order():
    """Boxes become faces, and the largest comes first."""
    found = detect(PICTURE, lambda pixels: [(0, 0, 10, 10), Face((5, 5, 50, 50), 2.0)])
    assert found == (Face((5, 5, 50, 50), 2.0), Face((0, 0, 10, 10)))


@pytest.mark.parametrize("wrong", [[(1, 2, 3)], [(0, 0, 0, 5)], [(0, 0, float("nan"), 5)], 7])
def test_a_callable_that_returns_no_boxes_is_named(wrong):
    """Three numbers, an empty box, NaN, and no list at all."""
    with pytest.raises(DataError, match="A detector must return faces, or boxes"):
        detect(PICTURE, lambda pixels: wrong)


def test_a_callable_without_description_cannot_be_recorded():
    """The message says what to add; with it, the description is the callable's own."""

    def find(pixels):
        return []

    with pytest.raises(DataError, match=r"a method describe\(\)"):
        get_detector(find).describe()
    find.describe = lambda: {"name": "mine"}
    assert get_detector(find).describe() == {"name": "mine"}


def test_a_file_that_is_no_yunet_is_refused(tmp_path):
    """A missing file, and a file that OpenCV cannot load, by the real cv2.FaceDetectorYN."""
    with pytest.raises(WeightsError, match=r"no file .*none\.onnx"):
        get_detector(f"yunet={tmp_path / 'none.onnx'}")
    (tmp_path / "wrong.onnx").write_bytes(b"no network")
    with pytest.raises(WeightsError, match=r"cannot load .*wrong\.onnx as a YuNet network"):
        get_detector(tmp_path / "wrong.onnx")


class Network:
    """Stands for cv2.FaceDetectorYN: two faces, the right eye of the person first, as YuNet has it."""

    rows = np.array(
        [
            [10, 20, 30, 40, 18, 30, 32, 31, 0, 0, 0, 0, 0, 0, 0.7],
            [50, 10, 60, 80, 95, 40, 65, 42, 0, 0, 0, 0, 0, 0, 0.9],
        ],
        dtype=np.float32,
    )
    given = None

    def setInputSize(self, size):
        self.size = size

    def detect(self, picture):
        assert picture.shape == (self.size[1], self.size[0], 3)
        Network.given = picture
        return 1, self.rows


def test_rows_of_yunet_become_faces(tmp_path, monkeypatch):
    """Box, eyes from left to right, score; RGB is handed over as BGR; a shrunk picture's places are scaled back."""
    path = tmp_path / "yunet.onnx"
    path.write_bytes(b"stand-in")
    monkeypatch.setattr(cv2.FaceDetectorYN, "create", lambda *given: Network())
    detector = get_detector(f"yunet={path}", max_side=100)
    assert isinstance(detector, YuNetDetector)
    red = np.zeros((100, 200, 3), np.uint8)
    red[..., 0] = 255
    first, second = detector(red)
    assert Network.given.shape == (50, 100, 3)
    assert Network.given[0, 0].tolist() == [0, 0, 255]
    assert first.box == (100.0, 20.0, 120.0, 160.0)
    assert first.eyes == ((130.0, 84.0), (190.0, 80.0))
    assert first.score == pytest.approx(0.9)
    assert second.box == (20.0, 40.0, 60.0, 80.0)
    described = detector.describe()
    assert described["name"] == "yunet"
    assert len(described["sha256"]) == 64
    assert str(Path(path)) not in str(described)
    monkeypatch.setattr(Network, "rows", None)
    assert detector(red) == ()
