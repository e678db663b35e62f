"""Outputs: whole lines, videos that keep the time, full disks told, windows that may be missing."""

import csv
import shutil
from types import SimpleNamespace
from unittest import mock

import cv2
import numpy as np
import pytest

from fusionfer.exceptions import DataError, ReportError, StoreFullError
from fusionfer.faces import Face
from fusionfer.live import Frame, Reading
from fusionfer.live._drawing import draw
from fusionfer.live._writing import RESERVE, TableOutput, VideoOutput, Window, part_of

CLASSES = ("glad", "sad")


def reading(track=1, proba=(0.75, 0.25), box=(10, 12, 30, 30)):
    return Reading(track, Face(box, 2.5), "glad", np.array(proba), "sad", np.array(proba[::-1]))


def frame(number=0, time=None, size=(64, 48)):
    pixels = np.full((*size[::-1], 3), 40 * (number % 6), np.uint8)
    return Frame(number, number / 10 if time is None else time, pixels, 0.0)


def stored(path):
    capture = cv2.VideoCapture(str(path))
    found = []
    while True:
        ok, pixels = capture.read()
        if not ok:
            return found
        found.append(round(float(pixels.mean()) / 40))


def test_a_table_holds_what_was_read(tmp_path):
    """One line a face and frame, smoothed and raw; the name appears at the end."""
    table = TableOutput(tmp_path / "new" / "out.csv", CLASSES)
    table.add(frame(3), [reading(), reading(2, (0.5, 0.5))])
    table.add(frame(4), [])
    assert not table.path.exists()
    table.close()
    assert not part_of(table.path).exists()
    with table.path.open(newline="") as file:
        first, second = csv.DictReader(file)
    assert first == {
        "time": "0.3000", "frame": "3", "face": "1", "x": "10.0", "y": "12.0", "width": "30.0", "height": "30.0",
        "score": "2.500", "label": "glad", "label_raw": "sad", "glad": "0.750000", "sad": "0.250000",
        "glad_raw": "0.250000", "sad_raw": "0.750000",
    }  # fmt: skip
    assert second["face"] == "2"


def test_a_table_without_any_frame_replaces_nothing(tmp_path):
    """What was there before stays, and no part is left."""
    path = tmp_path / "out.csv"
    path.write_text("before")
    TableOutput(path, CLASSES).close()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_whole_lines(tmp_path):
    """A write that ends in the middle of a line is undone, and the error says that the disk is full."""
    table = TableOutput(tmp_path / "out.csv", CLASSES)
    table.add(frame(0), [reading()])
    whole = part_of(table.path).read_bytes()
    file = table._file
    table._file = SimpleNamespace(
        write=lambda content: file.write(content[:7]), truncate=file.truncate, close=file.close
    )
    with pytest.raises(StoreFullError, match="the disk, or your quota of it, is full"):
        table.add(frame(1), [reading()])
    table.close()
    assert table.path.read_bytes() == whole


def test_a_disk_that_is_full_from_the_start_leaves_no_part(tmp_path):
    """Not even the header could be written: nothing stays."""
    with (
        mock.patch.object(TableOutput, "_write", side_effect=StoreFullError("the disk is full")),
        pytest.raises(StoreFullError),
    ):
        TableOutput(tmp_path / "out.csv", CLASSES)
    assert list(tmp_path.iterdir()) == []


def test_a_video_keeps_the_time(tmp_path):
    """Frames that were dropped are filled with the one that came after the gap, so that the length is true."""
    video = VideoOutput(tmp_path / "out.avi", rate=10.0)
    for number in (0, 1, 4, 5):
        video.add(frame(number), frame(number).pixels)
    video.close()
    assert stored(video.path) == [0, 1, 4, 4, 4, 5]


@pytest.mark.parametrize("name", ["out.mp4", "out.avi", "out.mkv"])
def test_every_container_can_be_read_again(tmp_path, name):
    """Odd sides lose a pixel; frames of another size are fitted in; none is lost."""
    video = VideoOutput(tmp_path / name, rate=10.0)
    for number in range(6):
        one = frame(number, size=(65, 49) if number < 4 else (130, 200))
        video.add(one, one.pixels)
    video.close()
    capture = cv2.VideoCapture(str(video.path))
    assert (capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)) == (64, 48)
    assert len(stored(video.path)) == 6


def test_broken_times_fill_no_disk(tmp_path):
    """A jump of a day is filled with ten seconds at most."""
    video = VideoOutput(tmp_path / "out.avi", rate=10.0)
    video.add(frame(0), frame(0).pixels)
    video.add(frame(1, time=86400.0), frame(1).pixels)
    video.close()
    assert len(stored(video.path)) == 102


def test_a_long_gap_is_filled_once(tmp_path):
    """Frames after a jump of a day stand for their own time, and do not fill the gap again."""
    video = VideoOutput(tmp_path / "out.avi", rate=10.0)
    for number, time in enumerate((0.0, 86400.0, 86400.1, 86400.3)):
        video.add(frame(number, time=time), frame(number).pixels)
    video.close()
    assert stored(video.path) == [0, *[1] * 101, 2, 3, 3]


def test_a_video_ends_before_the_disk_is_full(tmp_path):
    """With too little left it stops with what it has, which is whole."""
    video = VideoOutput(tmp_path / "out.mp4", rate=10.0)
    video.add(frame(0), frame(0).pixels)
    video._checked = 0.0
    with (
        mock.patch.object(shutil, "disk_usage", return_value=SimpleNamespace(free=RESERVE - 1)),
        pytest.raises(StoreFullError, match="less than 32 MB are free"),
    ):
        video.add(frame(1), frame(1).pixels)
    video.close()
    assert stored(video.path) == [0]


def test_a_video_that_lacks_frames_keeps_its_part(tmp_path):
    """OpenCV does not tell of failed writes: the frames are counted, and the name is not given."""
    video = VideoOutput(tmp_path / "out.mp4", rate=10.0)
    video.add(frame(0), frame(0).pixels)
    video.written += 3
    with pytest.raises(StoreFullError, match=r"out.part.mp4 holds 1 of 4 frames"):
        video.close()
    assert not video.path.exists()


def test_endings_and_folders_are_checked(tmp_path):
    """A container that is not known, and a folder that is a file."""
    with pytest.raises(DataError, match=r"A video must end in \.avi, \.mkv, \.mp4, got out\.gif"):
        VideoOutput(tmp_path / "out.gif", 10.0)
    (tmp_path / "file").write_text("")
    with pytest.raises(ReportError, match="cannot be written"):
        TableOutput(tmp_path / "file" / "out.csv", CLASSES)
    with pytest.raises(ReportError, match="cannot be written"):
        VideoOutput(tmp_path / "file" / "out.avi", 10.0).add(frame(), frame().pixels)


def test_no_window_is_said_and_survived():
    """The headless build has none."""
    with mock.patch.object(cv2, "namedWindow", side_effect=cv2.error("not implemented")):
        window = Window()
    assert not window.open
    assert "no window" in window.why
    window.close()


@pytest.mark.parametrize(("key", "visible", "stays"), [(-1, 1.0, True), (ord("q"), 1.0, False), (27, 1.0, False),
                                                       (-1, 0.0, False)])  # fmt: skip
def test_keys_and_the_cross_close_the_window(key, visible, stays):
    """q, Esc and a closed window end it; it is shown in BGR."""
    shown = []
    with mock.patch.multiple(
        cv2, namedWindow=lambda *_: None, imshow=lambda title, pixels: shown.append(pixels),
        waitKey=lambda _: key, getWindowProperty=lambda *_: visible, destroyAllWindows=lambda: shown.append("gone"),
    ):  # fmt: skip
        window = Window()
        window.show(np.array([[[1, 2, 3]]], np.uint8))
        window.close()
    assert window.open == stays
    assert shown[0].ravel().tolist() == [3, 2, 1]
    assert shown[1] == "gone"


def test_a_window_that_raises_is_closed():
    """Qt: asking for a window that is gone is an error of OpenCV."""
    with mock.patch.multiple(
        cv2, namedWindow=lambda *_: None, imshow=lambda *_: None, waitKey=lambda _: -1,
        getWindowProperty=mock.Mock(side_effect=cv2.error("NULL window")),
    ):  # fmt: skip
        window = Window()
        window.show(np.zeros((1, 1, 3), np.uint8))
    assert not window.open


def test_a_drawn_frame_has_box_bars_and_rate_and_spares_the_original():
    """The box is where the face is, the bar of the larger probability is longer; no other pixels change."""
    pixels = np.full((240, 320, 3), 200, np.uint8)
    before = pixels.copy()
    canvas = draw(pixels, [reading(box=(40, 60, 80, 80))], CLASSES, 12.5)
    assert (pixels == before).all()
    assert (canvas[62:139, 40] == canvas[62, 40]).all()
    assert (canvas[:30, :110] != before[:30, :110]).any()
    assert (canvas[200:] == before[200:]).all()
    none = draw(pixels, [reading(box=(40, 60, 80, 80), proba=(1.0, 0.0))], CLASSES, None)
    assert (none[:30] == before[:30]).all()
    panel = np.s_[60:110, 121:260]
    colour = canvas[62, 40]
    lengths = [(picture[panel] == colour).all(axis=2).sum(axis=1).max() for picture in (canvas, none)]
    assert 1.2 < lengths[1] / lengths[0] < 1.45  # 1.00 against 0.75


@pytest.mark.parametrize("box", [(-30, -20, 50, 50), (300, 220, 60, 60), (0, 0, 320, 240), (900, 900, 5, 5)])
def test_faces_at_the_border_can_be_drawn(box):
    """Panels and titles are moved into the picture, however small it is."""
    for shape in ((240, 320, 3), (30, 40, 3)):
        assert draw(np.zeros(shape, np.uint8), [reading(box=box)], ("zufrieden", "überrascht"), 25.0).shape == shape
