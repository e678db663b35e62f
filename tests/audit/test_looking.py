"""One look at each picture: digests of pixels, spans, and what cannot be read."""

import hashlib

import cv2
import numpy as np
import pytest

from fusionfer.audit._looking import look, pixel_digest
from fusionfer.images import generate_faces, read_faces
from fusionfer.memory import memory_limit


def picture(seed=0, shape=(8, 9)):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def written(root, **pictures):
    """Class folder "happy" of the named pictures: pixels are encoded by the ending, bytes are written as they are."""
    (root / "happy").mkdir(parents=True)
    for name, pixels in pictures.items():
        stem, kind = name.rsplit("_", 1)
        path = root / "happy" / f"{stem}.{kind}"
        path.write_bytes(pixels if isinstance(pixels, bytes) else cv2.imencode(f".{kind}", pixels)[1].tobytes())
    return read_faces(root)


def test_the_digest_is_of_shape_and_pixels():
    """As the formula says, written out; another shape of the same bytes is another picture."""
    pixels = picture()
    assert pixel_digest(pixels) == hashlib.sha256(b"(8, 9)" + pixels.tobytes()).hexdigest()
    assert pixel_digest(pixels.reshape(9, 8)) != pixel_digest(pixels)


def test_equal_channels_are_grey():
    """RGB with three equal channels has the digest of the grey picture; with one other value it has not."""
    pixels = picture()
    rgb = np.repeat(pixels[..., None], 3, axis=2)
    assert pixel_digest(rgb) == pixel_digest(pixels)
    rgb[0, 0, 2] ^= 1
    assert pixel_digest(rgb) != pixel_digest(pixels)


def test_formats_do_not_count(tmp_path):
    """One picture as PNG and as BMP has one digest; a JPEG of it has another."""
    pixels = picture(shape=(16, 16))
    looks = look(written(tmp_path, a_png=pixels, b_bmp=pixels, c_jpg=pixels))
    assert looks.digests[0] == looks.digests[1] == pixel_digest(pixels).encode()
    assert looks.digests[2] != looks.digests[0]


@pytest.mark.parametrize(
    ("pixels", "span"),
    [
        (np.full((20, 20), 7, np.uint8), 0),
        (np.repeat(np.arange(100, dtype=np.uint8), 4).reshape(20, 20), 98),
        (np.where(np.arange(400).reshape(20, 20) < 3, 255, 9).astype(np.uint8), 0),
        (np.where(np.arange(400).reshape(20, 20) < 5, 255, 9).astype(np.uint8), 246),
    ],
)
def test_spans_leave_out_a_hundredth(tmp_path, pixels, span):
    """Between the darkest and the brightest but a hundredth on either side; three bright dots of 400 do not count."""
    assert look(written(tmp_path, a_png=pixels)).spans.tolist() == [span]


def test_what_cannot_be_read_is_listed(tmp_path):
    """A damaged picture has no digest and no span, and its reason; progress counts it."""
    told = []
    looks = look(
        written(tmp_path, a_png=picture(), b_png=b"<html>404</html>"), progress=lambda *step: told.append(step)
    )
    assert looks.digests[1] == b""
    assert looks.spans[1] == -1
    ((at, reason),) = looks.unreadable
    assert at == 1
    assert "an HTML page" in reason
    assert told == [(2, 2, "pictures")]


def test_thumbnails_are_stretched(tmp_path):
    """A dark picture keeps its details: lowest value and step give its values back; none unless asked for."""
    steep = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8) // 4 + 3
    faces = written(tmp_path, a_png=steep)
    assert look(faces).thumbnails is None
    small = look(faces, thumbnails=True).thumbnails
    assert small.pictures.shape == (1, 32, 32)
    assert (small.pictures.min(), small.pictures.max()) == (0, 255)
    expected = cv2.resize(steep.astype(np.float32), (32, 32), interpolation=cv2.INTER_AREA)
    assert small.lowest + small.steps * small.pictures[0] == pytest.approx(expected, abs=1)


def test_thumbnails_of_colours_and_of_small_pictures(tmp_path):
    """Red, green and blue are weighed as eyes do; a picture smaller than a thumbnail is enlarged."""
    rgb = np.zeros((8, 12, 3), np.uint8)
    rgb[:, :4, 0] = rgb[:, 4:8, 1] = rgb[:, 8:, 2] = 255  # OpenCV writes blue first
    small = look(written(tmp_path, a_png=rgb), thumbnails=True).thumbnails
    grey = small.lowest + small.steps * small.pictures[0].astype(float)
    assert grey[16, [0, 16, 31]] == pytest.approx(255 * np.array([0.114, 0.587, 0.299]), abs=1.5)


def test_thumbnails_that_are_too_large_lie_in_a_file():
    """Beyond an eighth of the memory they are a map, with the same values; and leave no file behind."""
    faces = generate_faces(3, takes=1, size=48)
    held = look(faces, thumbnails=True)
    with memory_limit(8 * len(faces) * 1024 - 1):
        mapped = look(faces, thumbnails=True)
    assert held.thumbnails.pictures.base is None
    assert isinstance(mapped.thumbnails.pictures.base.base, np.memmap)
    np.testing.assert_array_equal(mapped.thumbnails.pictures, held.thumbnails.pictures)
    np.testing.assert_array_equal(mapped.digests, held.digests)
