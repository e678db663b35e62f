"""live: the whole way from a video to CSV and video, against the truth; and every way in which it ends."""

import csv
import threading
import time
from unittest import mock

import cv2
import numpy as np
import pytest

from fusionfer.exceptions import DataError, StoreFullError
from fusionfer.faces import FacePreparation
from fusionfer.live import Frame, Source, VideoSource, live
from fusionfer.live import _live as module
from fusionfer.live._writing import part_of


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


class Frames(Source):
    """Frames from memory, and something that happens after them."""

    name, rate = "memory", 10.0

    def __init__(self, frames, after=None, live=False, pause=0.0):
        super().__init__()
        self.given, self.after, self.live, self.pause, self.closed = frames, after, live, pause, 0

    def frames(self):
        for number, pixels in enumerate(self.given):
            time.sleep(self.pause)
            yield Frame(number, number / self.rate, pixels, time.perf_counter())
        if self.after is not None:
            self.after()
        self.ended = "end"

    def close(self):
        self.closed += 1


@pytest.fixture(scope="module")
def read(video, classifier, preparation, tmp_path_factory):
    """The video read once: report, rows of the CSV, path of the drawn video."""
    folder = tmp_path_factory.mktemp("read")
    report = live(
        VideoSource(video), classifier, preparation, every=4, smooth=0.1, csv=folder / "out.csv",
        output=folder / "out.mp4",
    )  # fmt: skip
    return report, rows(folder / "out.csv"), folder / "out.mp4"


def test_the_csv_is_the_truth(read, truth):
    """Every frame has the one face, within the head, with the right label but near the three changes."""
    _, found, _ = read
    assert [int(row["frame"]) for row in found] == list(range(40))
    assert {row["face"] for row in found} == {"1"}
    for row in found:
        number = int(row["frame"])
        x, y = truth.place(number)
        assert x < float(row["x"]) + float(row["width"]) / 2 < x + 130
        assert y < float(row["y"]) + float(row["height"]) / 2 < y + 130
        assert float(row["time"]) == pytest.approx(number / truth.rate, abs=1e-3)
        assert float(row["happy"]) + float(row["surprise"]) == pytest.approx(1, abs=1e-5)
        if number % 10 >= 2:  # two frames after a change the time constant has passed
            assert row["label"] == truth.label(number), number
    raw = np.mean([row["label_raw"] == truth.label(int(row["frame"])) for row in found])
    assert raw >= 0.95


def test_the_smoothed_columns_are_the_smoothed_raw_ones(read):
    """The formula, run over the raw column of the CSV."""
    _, found, _ = read
    state = None
    for row in found:
        raw = float(row["happy_raw"])
        state = raw if state is None else state + (1 - np.exp(-0.1 / 0.1)) * (raw - state)
        assert float(row["happy"]) == pytest.approx(state, abs=1e-4)


def test_the_drawn_video_has_every_frame(read, frames):
    """As many as came in, with the box drawn where the face is."""
    report, found, path = read
    capture = cv2.VideoCapture(str(path))
    drawn = []
    while True:
        ok, pixels = capture.read()
        if not ok:
            break
        drawn.append(pixels[..., ::-1])
    assert len(drawn) == 40
    x, y, width, height = (round(float(found[20][name])) for name in ("x", "y", "width", "height"))
    changed = np.abs(drawn[20].astype(int) - frames[20]).max(axis=2)
    edge = np.median(changed[y + 5 : y + height - 5, x])
    assert edge > 2 * np.median(changed[y + 5 : y + height - 5, x + width // 2])
    assert report.written[-1] == str(path)


def test_the_report_counts(read):
    """Frames, detections, faces, labels; times of all steps; it ended as it should."""
    report, found, _ = read
    assert (report.frames, report.dropped, report.detections, report.faces) == (40, 0, 10, 1)
    assert report.frames_with_a_face == 40
    assert sum(report.labels.values()) == len(found)
    assert set(report.steps) == {"read", "follow", "detect", "prepare", "classify", "table", "draw", "encode"}
    assert report.latency["median"] <= report.latency["p95"] <= report.latency["largest"]
    assert (report.ended, report.complete, report.skipped) == ("end", True, ())
    text = "\n".join(report.lines())
    assert "40 frames of" in text
    assert "1 face, in 40 of the frames; detected in 10" in text


def test_the_same_video_gives_the_same_csv(video, classifier, preparation, tmp_path):
    """Threads change nothing: the bytes are equal."""
    for name in "ab":
        live(VideoSource(video), classifier, preparation, csv=tmp_path / f"{name}.csv", max_seconds=1.5)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert len(rows(tmp_path / "a.csv")) == 15


def test_late_frames_are_dropped_and_counted(frames, classifier, preparation, tmp_path):
    """A live source that is faster than the classifier: what is read is newer, and the numbers add up."""
    slow = mock.Mock(wraps=classifier, engine="none", classes=classifier.classes, model=classifier.model)
    gate = threading.Event()  # the first face is classified when all frames have come
    slow.predict_proba = lambda pictures: gate.wait(20) and classifier.predict_proba(pictures)
    source = Frames(frames[:30], after=gate.set, live=True)
    report = live(source, slow, preparation, every=1, csv=tmp_path / "out.csv")
    assert report.dropped >= 20  # a few are under way in the steps
    assert report.frames + report.dropped == 30
    assert rows(tmp_path / "out.csv")[-1]["frame"] == "29"
    assert report.complete


def test_nothing_is_dropped_of_a_file(frames, classifier, preparation):
    """The same slowness, but every frame in its turn."""
    report = live(Frames(frames[:10], pause=0.0), classifier, preparation)
    assert (report.frames, report.dropped) == (10, 0)


def test_it_stops_when_asked(frames, classifier, preparation, tmp_path):
    """The frames under way are written, the files are whole, the source is closed."""
    stop = threading.Event()
    source = Frames(frames * 10)
    report = live(
        source, classifier, preparation, csv=tmp_path / "out.csv", output=tmp_path / "out.avi", stop=stop,
        progress=lambda done, total, what: stop.set() if done == 5 else None,
    )  # fmt: skip
    assert 5 <= report.frames < 20
    assert (report.ended, report.complete, source.closed) == ("stopped", True, 1)
    assert len(rows(tmp_path / "out.csv")) == report.frames
    assert cv2.VideoCapture(str(tmp_path / "out.avi")).get(cv2.CAP_PROP_FRAME_COUNT) == report.frames


def test_a_camera_that_hangs_counts_as_lost(frames, classifier, preparation, tmp_path):
    """After the patience what was written is closed, and the report says why; nobody waits for the camera."""
    gate = threading.Event()
    source = Frames(frames[:3], after=lambda: gate.wait(20), live=True, pause=0.05)
    with mock.patch.object(module, "PATIENCE", 0.3), mock.patch.object(module.Relay.close, "__defaults__", (0.1,)):
        report = live(source, classifier, preparation, csv=tmp_path / "out.csv")
    assert report.ended == "the memory gave no frame for 0.3 s"
    assert not report.complete
    assert source.closed == 0  # a thread still reads from it
    gate.set()
    assert 1 <= len(rows(tmp_path / "out.csv")) <= 3


def test_a_source_that_waits_for_its_next_frame_is_not_lost(frames, classifier, preparation):
    """A video at its own speed may stand still for longer than the patience."""
    source = Frames(frames[:2], live=True, pause=0.5)
    source.waits = True
    with mock.patch.object(module, "PATIENCE", 0.05):
        report = live(source, classifier, preparation)
    assert report.ended == "end"


def test_the_memory_of_a_long_run_is_bounded(frames, classifier, preparation):
    """Latency is told of the last frames only; the other figures are of all."""
    with mock.patch.object(module, "LATE_OVER", 2), mock.patch.object(module, "latency_of") as told:
        told.return_value = {}
        report = live(Frames(frames[:5]), classifier, preparation)
    assert report.frames == 5
    assert len(told.call_args.args[0]) == 2


@pytest.mark.parametrize("where", ["source", "detector", "classifier"])
def test_an_error_in_any_thread_closes_all(where, frames, classifier, preparation, tmp_path):
    """The error arrives with its own type; what was written before it is whole, and no thread is left."""

    def fail(*_):
        raise OSError(f"the {where} broke")

    calls = iter(range(100))
    source = Frames(frames[:6], after=fail if where == "source" else None)
    faces, reader = preparation, classifier
    if where == "detector":
        faces = FacePreparation(
            "detect", size=32, detector=lambda p: fail() if next(calls) == 3 else [(20, 40, 90, 90)]
        )
    if where == "classifier":
        reader = mock.Mock(engine="none", classes=classifier.classes, model=classifier.model)
        reader.predict_proba = lambda p: fail() if next(calls) == 3 else classifier.predict_proba(p)
    with pytest.raises(OSError, match=f"the {where} broke"):
        live(source, reader, faces, every=1, csv=tmp_path / "out.csv")
    assert len(rows(tmp_path / "out.csv")) == (6 if where == "source" else 3)
    assert source.closed == 1
    assert not [t for t in threading.enumerate() if t.name == "fusionfer-live" and t.is_alive()]


def test_a_full_disk_ends_it_with_what_is_there(frames, classifier, preparation, tmp_path):
    """The table is full at the eleventh frame: the error tells, the video of ten frames is whole."""
    add, calls = module.TableOutput.add, iter(range(100))

    def full(self, *args):
        if next(calls) == 10:
            raise StoreFullError("the disk is full")
        add(self, *args)

    with mock.patch.object(module.TableOutput, "add", full), pytest.raises(StoreFullError, match="the disk is full"):
        live(Frames(frames), classifier, preparation, csv=tmp_path / "out.csv", output=tmp_path / "out.avi")
    assert len(rows(tmp_path / "out.csv")) == 10
    assert cv2.VideoCapture(str(tmp_path / "out.avi")).get(cv2.CAP_PROP_FRAME_COUNT) == 10


def test_a_closed_window_ends_it(frames, classifier, preparation):
    """q in the third frame."""
    shown = iter(range(100))
    with mock.patch.multiple(
        cv2, namedWindow=lambda *_: None, imshow=lambda *_: None, destroyAllWindows=lambda: None,
        getWindowProperty=lambda *_: 1.0, waitKey=lambda _: ord("q") if next(shown) == 2 else -1,
    ):  # fmt: skip
        report = live(Frames(frames * 5), classifier, preparation, window=True)
    assert report.ended == "window"
    assert 3 <= report.frames < 15


def test_without_a_window_it_goes_on(frames, classifier, preparation):
    """The headless build: one note, all frames."""
    with mock.patch.object(cv2, "namedWindow", side_effect=cv2.error("not implemented")):
        report = live(Frames(frames[:4]), classifier, preparation, window=True)
    assert report.frames == 4
    (note,) = report.notes
    assert "opencv-python-headless" in note


def test_files_are_replaced_only_when_asked(frames, classifier, preparation, tmp_path):
    """The message names file and way out; nothing is touched, and the source is not read."""
    path = tmp_path / "out.csv"
    path.write_text("mine")
    source = Frames(frames[:2])
    with pytest.raises(DataError, match=r"out.csv exists. Give another csv, or overwrite=True"):
        live(source, classifier, preparation, csv=path)
    assert path.read_text() == "mine"
    live(source, classifier, preparation, csv=path, overwrite=True)
    assert len(rows(path)) == 2
    assert not part_of(path).exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output": "x.gif"}, "output must end in .avi, .mkv, .mp4, got x.gif"),
        ({"max_seconds": 0}, "max_seconds must be above 0, got 0"),
        ({"smooth": -1}, "smooth must be a time in seconds"),
        ({"keep": 0}, "keep must be a time in seconds above 0"),
        ({"every": 0}, "every must be a whole number"),
        ({"classify_every": 0}, "classify_every must be a whole number"),
        ({"output": "x.avi", "csv": "x.avi"}, "output and csv are one file: x.avi"),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(options, message, classifier, preparation, tmp_path,
                                                            monkeypatch):  # fmt: skip
    """By name, with what is allowed."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=message):
        live(Frames([]), classifier, preparation, **options)
    assert list(tmp_path.iterdir()) == []
