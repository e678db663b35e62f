"""Sources: every frame with its number and time, and a sentence about what ends them."""

import itertools
from unittest import mock

import cv2
import numpy as np
import pytest

from fusionfer.exceptions import DataError
from fusionfer.live import CameraSource, ImagesSource, VideoSource


def test_a_video_gives_every_frame_with_its_time(video, frames, truth):
    """Numbers, times of the file, and pixels close to those that were written (JPEG loses some)."""
    source = VideoSource(video)
    found = list(source.frames())
    assert [f.number for f in found] == list(range(len(frames)))
    assert np.allclose([f.time for f in found], np.arange(len(frames)) / truth.rate, atol=1e-3)
    assert max(np.abs(f.pixels.astype(int) - p).mean() for f, p in zip(found, frames, strict=True)) < 8
    assert (source.rate, source.total, source.live, source.ended) == (truth.rate, len(frames), False, "end")


def test_realtime_goes_by_the_clock(video, truth):
    """Frames are held back until their time by the clock that is given; nothing else sleeps."""
    now = [0.0]
    slept = []

    def sleep(seconds):
        slept.append(seconds)
        now[0] += seconds

    source = VideoSource(video, realtime=True, clock=lambda: now[0], sleep=sleep)
    assert source.live
    assert len(list(source.frames())) == 40
    assert sum(slept) == pytest.approx(39 / truth.rate, abs=0.01)


def test_a_video_that_breaks_off_says_so(video, tmp_path):
    """Of a file that is cut off the frames that are there are read, and the end tells how many are missing."""
    cut = tmp_path / "cut.avi"
    cut.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    source = VideoSource(cut)
    assert 5 < len(list(source.frames())) < 30
    assert f"{cut} breaks off after" in source.ended
    assert "of 40 frames" in source.ended


@pytest.mark.parametrize("content", [b"", b"this is no video", None])
def test_what_is_no_video_is_refused(tmp_path, content):
    """An empty file, text and nothing at all, by name."""
    path = tmp_path / "bad.mp4"
    if content is not None:
        path.write_bytes(content)
    expected = "holds no video that this OpenCV can read" if content is not None else "there is no such file"
    with pytest.raises(DataError, match=expected):
        VideoSource(path)


def test_pictures_come_in_the_order_of_their_numbers(tmp_path):
    """frame10 after frame9; grey pictures become RGB; a broken one keeps its number and is listed."""
    for i in range(12):
        assert cv2.imwrite(str(tmp_path / f"frame{i}.png"), np.full((10, 12), 20 * i, np.uint8))
    (tmp_path / "frame5.png").write_bytes(b"no picture")
    source = ImagesSource(tmp_path, rate=5.0)
    found = list(source.frames())
    assert [f.number for f in found] == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11]
    assert [int(f.pixels[0, 0, 0]) for f in found] == [20 * f.number for f in found]
    assert [f.time for f in found] == [f.number / 5 for f in found]
    assert found[0].pixels.shape == (10, 12, 3)
    ((name, _),) = source.skipped
    assert name.endswith("frame5.png")


def test_an_empty_folder_and_an_impossible_rate(tmp_path):
    """Both are refused before anything is read."""
    with pytest.raises(DataError, match="There is no picture to read"):
        ImagesSource(tmp_path)
    with pytest.raises(DataError, match="rate must be above 0 frames per second, got 0"):
        ImagesSource(tmp_path, rate=0)


class Capture:
    """A camera of OpenCV that gives some frames and is unplugged then."""

    def __init__(self, n):
        self.left, self.settings, self.released = n, {}, False

    def isOpened(self):
        return True

    def read(self):
        self.left -= 1
        blue = np.zeros((4, 6, 3), np.uint8)
        blue[..., 0] = 255
        return (True, blue) if self.left >= 0 else (False, None)

    def set(self, name, value):
        self.settings[name] = value

    def get(self, name):
        return 30.0 if name == cv2.CAP_PROP_FPS else 0.0

    def release(self):
        self.released = True


def test_a_camera_until_it_is_lost():
    """All frames in RGB with times that do not go back; then a sentence; the driver is asked not to queue."""
    capture = Capture(5)
    with mock.patch.object(cv2, "VideoCapture", return_value=capture):
        source = CameraSource(0)
    found = list(source.frames())
    assert [f.number for f in found] == [0, 1, 2, 3, 4]
    assert found[0].pixels[0, 0].tolist() == [0, 0, 255]
    assert all(a.time <= b.time for a, b in itertools.pairwise(found))
    assert (source.live, source.rate, source.ended) == (True, 30.0, "the camera 0 gives no more frames")
    assert capture.settings[cv2.CAP_PROP_BUFFERSIZE] == 1
    source.close()
    assert capture.released


def test_numbers_are_cameras_and_the_rest_addresses():
    """What the command line gives as text reaches OpenCV as it wants it."""
    asked = []
    with mock.patch.object(cv2, "VideoCapture", lambda what: asked.append(what) or Capture(1)):
        CameraSource("2")
        CameraSource("rtsp://door/1")
    assert asked == [2, "rtsp://door/1"]


def test_no_camera():
    """One error says which, and what there is."""
    with pytest.raises(DataError, match=r"The camera 97 gives no picture\. Devices of this machine: "):
        CameraSource(97)
