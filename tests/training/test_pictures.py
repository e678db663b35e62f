"""Pictures in memory and on demand are the same bytes."""

import numpy as np
import pytest

from fusionfer.backbones import Preprocess
from fusionfer.images import FaceSet
from fusionfer.training._pictures import Pictures


class InMemory:
    def __init__(self, pictures):
        self.pictures = pictures

    def read(self, key):
        return self.pictures[key]


def face_set(pictures):
    ids = np.array([f"p{i}" for i in range(len(pictures))])
    return FaceSet(ids, tuple(range(len(pictures))), InMemory(pictures))


@pytest.fixture
def grey():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (rng.integers(20, 60), rng.integers(20, 60)), dtype=np.uint8) for _ in range(7)]


def test_they_are_what_the_record_sees(grey):
    """Resized as `Preprocess` resizes, one channel where all are grey, with the digests of what is stored."""
    faces, said = face_set(grey), []
    pictures = Pictures(faces, 32, progress=lambda *words: said.append(words))
    assert pictures.take([3, 1]).shape == (2, 1, 32, 32)
    plain = Preprocess(32, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    for i, picture in enumerate(grey):
        assert np.array_equal(pictures.take([i])[0, 0], np.rint(plain(picture)[0] * 255))
    assert pictures.digests == tuple(faces.digest(i) for i in range(7))
    assert said[-1] == (7, 7, "decode pictures")


@pytest.mark.parametrize("place", [0, 3, 6])
def test_one_colour_picture_makes_all_three_channels(grey, place):
    """Grey ones have three equal channels then, wherever the first colour picture stands."""
    colour = np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    mixed = [*grey[:place], colour, *grey[place:]]
    pictures = Pictures(face_set(mixed), 32)
    assert pictures.channels == 3
    assert np.array_equal(pictures.take([place])[0], colour.transpose(2, 0, 1))
    other = (place + 1) % len(mixed)
    alone = Pictures(face_set([mixed[other]]), 32).take([0])
    assert np.array_equal(pictures.take([other]), np.repeat(alone, 3, axis=1))


def test_on_demand_is_the_same(grey):
    """Where they do not fit into memory they are decoded when asked for, to the same bytes."""
    kept, asked = Pictures(face_set(grey), 32), Pictures(face_set(grey), 32, max_bytes=3000)
    assert asked._kept is None
    rows = np.array([6, 0, 0, 2])
    assert np.array_equal(asked.take(rows), np.repeat(kept.take(rows), 3, axis=1))
    assert asked.digests == kept.digests
