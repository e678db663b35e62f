"""A short video of an invented person whose expression is known, and a quick classifier that reads it."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from fusionfer.faces import FacePreparation, HaarDetector
from fusionfer.images import generate_faces
from fusionfer.images._canvas import View
from fusionfer.images._drawing import Actions, draw_face

RATE, SECONDS, SIZE = 10.0, 4.0, (320, 240)
EXPRESSIONS = {"happy": Actions(cheek_up=0.9, lip_corner_up=1.0), "surprise": Actions(
    inner_brow_up=1.0, outer_brow_up=1.0, lid_wide=1.0, jaw_drop=1.0)}  # fmt: skip
PEOPLE = generate_faces(9, 1, seed=3).source.people
QUICK = HaarDetector(max_side=240, turn=0.0, min_size=40)


def head(person, expression, grain=0, side=130):
    """Draw a whole head on grey."""
    view = View(zoom=1.0, noise=2.0, grain=grain, background=(120.0, 120.0, 120.0))
    return draw_face(PEOPLE[person].looks, EXPRESSIONS[expression], view, size=side)


class PixelClassifier:
    """Logistic regression on the pixels of faces: what `live` asks of a Classifier, without networks."""

    engine = "none"

    def __init__(self, pictures, labels):
        self.calls = 0
        estimator = LogisticRegression(max_iter=200).fit(self._columns(pictures), labels)
        self.model = SimpleNamespace(estimator=estimator, blocks={})
        self.classes = tuple(estimator.classes_)

    def predict_proba(self, pictures):
        self.calls += len(pictures)
        return self.model.estimator.predict_proba(self._columns(pictures))

    @staticmethod
    def _columns(pictures):
        grey = [
            cv2.resize(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY), (16, 16), interpolation=cv2.INTER_AREA) for p in pictures
        ]
        return np.stack(grey).reshape(len(grey), -1) / 255.0


@pytest.fixture(scope="session")
def preparation():
    """Aligned faces of 32 pixels, found quickly."""
    return FacePreparation("align", detector=QUICK, size=32)


@pytest.fixture(scope="session")
def classifier(preparation):
    """Trained on seven people; the one of the video is none of them."""
    pictures, labels = [], []
    for person in range(7):
        for expression in EXPRESSIONS:
            pictures.append(preparation(head(person, expression, grain=person))[0][1])
            labels.append(expression)
    return PixelClassifier(pictures, labels)


def place(number):
    """Return where the head of the video is: its upper left corner."""
    return 20 + 3 * number, 40 + round(20 * np.sin(number / 6))


def true_label(number):
    """Return what the person of the video shows in a frame: another expression each second."""
    return sorted(EXPRESSIONS)[int(number / RATE) % 2]


def frame(number, person=8):
    """Draw one frame of the video: RGB."""
    rng = np.random.default_rng(5)
    pixels = rng.integers(100, 140, (*SIZE[::-1], 3), dtype=np.uint8)
    x, y = place(number)
    picture = head(person, true_label(number), grain=number)
    pixels[y : y + 130, x : x + 130] = picture
    return pixels


@pytest.fixture(scope="session")
def frames():
    """The frames of the video."""
    return [frame(number) for number in range(int(RATE * SECONDS))]


@pytest.fixture(scope="session")
def video(frames, tmp_path_factory):
    """The video as a file: 40 frames, 4 seconds."""
    path = tmp_path_factory.mktemp("video") / "person.avi"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), RATE, SIZE)
    for pixels in frames:
        writer.write(pixels[..., ::-1].copy())
    writer.release()
    return path


@pytest.fixture(scope="session")
def truth():
    """Return the functions that know the video: label and corner of the head by frame."""
    return SimpleNamespace(label=true_label, place=place, rate=RATE, seconds=SECONDS, size=SIZE)
