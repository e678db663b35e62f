"""Pixels on a device become what the CPU makes of them: the resizing of OpenCV, bit by bit, and the same numbers."""

import platform
from dataclasses import replace

import numpy as np
import pytest
import torch

from fusionfer.backbones import Preprocess
from fusionfer.extraction import _batches as batches
from fusionfer.extraction import extract
from fusionfer.extraction._batches import Buffers, Planes
from fusionfer.extraction._enlarging import Pixels

CPU = torch.device("cpu")
#: One grey level, where OpenCV's kernels for another processor may round otherwise.
LEVELS_OFF = 0 if platform.machine().lower() in {"x86_64", "amd64"} else 1

SHAPES = [(48, 48), (48, 48, 3), (1, 1), (1, 48, 3), (37, 91), (91, 37, 3), (112, 112), (200, 7), (224, 100, 3)]


def tensors(preprocess, pictures, n=None):
    """Return the tensors of pictures (None for a blank) by the device's way and by the CPU's."""
    both = [kind(preprocess, n or len(pictures), CPU) for kind in (Pixels, Planes)]
    for staging in both:
        for j, picture in enumerate(pictures):
            if picture is None:
                staging.blank(j)
            else:
                staging.put(picture, j)
    return [staging.on_device() for staging in both]


def noise(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [224, 96, 299])
def test_enlarged_as_opencv_does_it(size, shape):
    """Noise, in which every weight and every rounding shows, comes out as cv2.resize makes it, to the last level."""
    preprocess = Preprocess(size=size, mean=(0.0, 0.0, 0.0), std=(1 / 255, 1 / 255, 1 / 255))
    made, expected = tensors(preprocess, [noise(shape)])
    assert float((made - expected).abs().max()) <= LEVELS_OFF + 1e-4


@pytest.mark.parametrize("size", [32, 48, 224])
def test_a_batch_of_all_kinds_equals_the_cpus_to_the_bit(size):
    """Grey and colour, smaller, larger and just right, and a blank between: each in its place, with the same bits."""
    pictures = [noise(shape, i) for i, shape in enumerate([(20, 20), (20, 20, 3), (48, 48), (300, 200), (300, 10, 3)])]
    pictures.insert(2, None)
    made, expected = tensors(Preprocess(size=size), pictures)
    assert made.shape == (6, 3, size, size)
    assert made.is_contiguous(memory_format=torch.channels_last)
    assert torch.count_nonzero(made[2]) == 0
    if LEVELS_OFF == 0:
        assert torch.equal(made, expected)
    assert float((made - expected).abs().max()) <= LEVELS_OFF / 255 / min(Preprocess.std) + 1e-6


def test_neighbours_make_no_difference():
    """A picture's tensor is the same alone, among its like, and among others."""
    preprocess, picture = Preprocess(size=64), noise((48, 48))
    alone, _ = tensors(preprocess, [picture])
    among, _ = tensors(preprocess, [noise((48, 48), 1), picture, noise((9, 9), 2)])
    assert torch.equal(alone[0], among[1])


def test_memory_is_used_again_and_blanks_stay_blank():
    """The next batch leaves nothing of the one before it; a batch of blanks is zero."""
    staging = Pixels(Preprocess(size=32), 2, CPU)
    for j in range(2):
        staging.put(noise((20, 20, 3), j), j)
    first = staging.on_device().clone()
    staging.blank(0)
    staging.put(noise((9, 9)), 1)
    second = staging.on_device()
    assert torch.count_nonzero(second[0]) == 0
    assert not torch.equal(second[1], first[1])
    staging.blank(1)
    assert torch.count_nonzero(staging.on_device()) == 0


def test_only_our_own_preprocessing_goes_to_devices_as_pixels(monkeypatch):
    """On the CPU, and for what may compute anything, tensors are made on the host."""

    class Mine(Preprocess):
        pass

    made = []
    monkeypatch.setattr(batches, "Pixels", lambda *_: made.append("pixels"))
    monkeypatch.setattr(batches, "Planes", lambda *_: made.append("planes"))
    Buffers([Preprocess(size=32)], 2, CPU)
    Buffers([Preprocess(size=32), Mine(size=32)], 2, torch.device("mps"))
    assert made == ["planes", "pixels", "planes"]


def test_extraction_by_way_of_pixels_gives_the_same_bits(tmp_path, make_faces, make_backbone, monkeypatch):
    """All of an extraction, with a picture that is broken and a batch that is not full, as if on another device."""
    faces = make_faces(19, broken=[3])
    colour = noise((20, 31, 3))
    faces = replace(faces, source=type(faces.source)([*faces.source.pictures[:18], colour], [3]))
    options = {"batch_size": 8, "device": "cpu", "on_error": "skip"}
    expected = extract(faces, make_backbone(), "out", cache=tmp_path / "planes", **options)
    used = []

    def pixels(*args):
        used.append(args)
        return Pixels(*args)

    monkeypatch.setattr(batches, "Planes", pixels)
    found = extract(faces, make_backbone(), "out", cache=tmp_path / "pixels", **options)
    assert used
    assert found.ids.tolist() == expected.ids.tolist()
    np.testing.assert_allclose(found.X, expected.X, rtol=0, atol=1e-6 if LEVELS_OFF == 0 else 1e-1)
