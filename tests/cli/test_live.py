"""``fusionfer live``: frames in, CSV, video and a summary out; exit codes; Ctrl-C."""

import csv
import json
import os
import signal
import threading
import time

import cv2
import numpy as np
import pytest

from fusionfer.images import generate_faces
from fusionfer.images._canvas import View
from fusionfer.images._drawing import Actions, draw_face

PERSON = generate_faces(2, 1, seed=3).source.people[0]


def draw(number):
    pixels = np.full((180, 240, 3), 120, np.uint8)
    view = View(zoom=1.0, noise=1.0, grain=number, background=(120.0, 120.0, 120.0))
    pixels[20:150, 30 + 2 * number : 160 + 2 * number] = draw_face(PERSON.looks, Actions(), view, size=130)
    return pixels


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Eight frames as pictures, and as a video."""
    root = tmp_path_factory.mktemp("frames")
    (root / "pictures").mkdir()
    writer = cv2.VideoWriter(str(root / "v.avi"), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), 8.0, (240, 180))
    for number in range(8):
        pixels = draw(number)[..., ::-1].copy()
        assert cv2.imwrite(str(root / "pictures" / f"frame{number}.png"), pixels)
        writer.write(pixels)
    writer.release()
    return root


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_video_becomes_a_table_and_a_video(cli, folder, shared_model, tmp_path):
    """All frames are in both; the summary goes to stderr and nothing to stdout; existing files stay."""
    arguments = ["live", "--video", folder / "v.avi", "--model", shared_model, "--engine", "torch", "-q",
                 "--csv", tmp_path / "out.csv", "--output", tmp_path / "out.mp4"]  # fmt: skip
    outcome = cli(*arguments)
    assert (outcome.code, outcome.out) == (0, ""), outcome.err
    found = rows(tmp_path / "out.csv")
    assert [row["frame"] for row in found] == [str(i) for i in range(8)]
    shares = [sum(float(row[c]) for c in ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"))
              for row in found]  # fmt: skip
    assert np.allclose(shares, 1.0, atol=1e-4)
    assert cv2.VideoCapture(str(tmp_path / "out.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 8
    again = cli(*arguments)
    assert again.code == 1
    assert f"{tmp_path / 'out.csv'} exists. Give another --csv, or --overwrite to replace it." in again.err
    assert cli(*arguments, "--overwrite", "--max-seconds", "0.3").code == 0
    assert len(rows(tmp_path / "out.csv")) == 3


def test_pictures_give_the_summary_as_json(cli, folder, shared_model, tmp_path):
    """--images with a broken picture: the rest is read, the broken one is named, the exit code is 3."""
    (folder / "pictures" / "frame8.png").write_bytes(b"broken")
    outcome = cli("live", "--images", folder / "pictures", "--rate", 4, "--model", shared_model, "--engine", "torch",
                  "--csv", tmp_path / "o.csv", "--json", "--faces", "detect", "--smooth", 0)  # fmt: skip
    (folder / "pictures" / "frame8.png").unlink()
    assert outcome.code == 3
    report = json.loads(outcome.out)
    assert (report["frames"], report["faces"], report["ended"], report["complete"]) == (8, 1, "end", False)
    assert report["skipped"][0][0].endswith("frame8.png")
    assert "skipped" in outcome.err
    found = rows(tmp_path / "o.csv")
    assert [float(row["time"]) for row in found] == [i / 4 for i in range(8)]
    assert all(row["label"] == row["label_raw"] for row in found)


def test_without_a_window_and_files_one_line_says_so(cli, folder, shared_model):
    """The headless OpenCV of the tests has none: it goes on, and counts."""
    outcome = cli("live", "--video", folder / "v.avi", "--model", shared_model, "--engine", "torch", "--faces", "none")
    assert outcome.code == 0
    assert len([line for line in outcome.err.splitlines() if "no window" in line]) == 1
    assert "8 frames of" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "Give one of --camera, --video and --images."),
        (["--camera", "0", "--video", "x"], 2, "Give one of --camera, --video and --images."),
        (["--camera", "0", "--realtime"], 2, "--realtime plays a --video at its own speed."),
        (["--camera", "0", "--rate", "9"], 2, "--rate is for --images; cameras and videos have their own."),
        (["--video", "gone.mp4"], 1, "gone.mp4: there is no such file"),
        (["--camera", "97"], 1, "The camera 97 gives no picture"),
        (["--video", "gone.mp4", "--detector", "hair"], 1, "Unknown detector 'hair'"),
    ],
)
def test_wrong_calls(cli, shared_model, arguments, code, message):
    """One clear message each."""
    outcome = cli("live", "--model", shared_model, *arguments)
    assert outcome.code == code
    assert message in outcome.err


def test_a_signal_ends_it_with_whole_files(cli, folder, shared_model, tmp_path):
    """SIGTERM in the middle of a long video: exit code 143, whole lines, a video that can be read."""
    long = tmp_path / "long.avi"
    writer = cv2.VideoWriter(str(long), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), 8.0, (240, 180))
    for number in range(400):
        writer.write(draw(number)[..., ::-1].copy() if number < 8 else np.full((180, 240, 3), number % 200, np.uint8))
    writer.release()

    def terminate():
        for _ in range(1200):
            if (tmp_path / "o.part.mp4").exists():
                os.kill(os.getpid(), signal.SIGTERM)
                return
            time.sleep(0.05)

    watcher = threading.Thread(target=terminate)
    watcher.start()
    outcome = cli("live", "--video", long, "--realtime", "--model", shared_model, "--engine", "torch",
                  "--csv", tmp_path / "o.csv", "--output", tmp_path / "o.mp4")  # fmt: skip
    watcher.join()
    assert outcome.code == 143
    assert "what was written is whole" in outcome.err
    assert 1 <= cv2.VideoCapture(str(tmp_path / "o.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) < 400
    assert all(row["label"] and row["surprise_raw"] for row in rows(tmp_path / "o.csv"))
    assert not list(tmp_path.glob("*.part.*"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--faces", "none", "--every", 2, "--keep", 1], "--every and --keep say how faces are found and followed"),
        (["--detector", "yunet=face.onnx", "--detection-side", 240], "--detection-side is for haar"),
    ],
)
def test_options_that_would_do_nothing_are_refused(cli, shared_model, shared_faces, options, message):
    """What only means something elsewhere is wrong usage here, not silently ignored."""
    outcome = cli("live", "--images", shared_faces, "--model", shared_model, *options)
    assert outcome.code == 2
    assert message in " ".join(outcome.err.split())
