"""Decoding: one defined result for every kind of picture."""

import io
import struct
import threading
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from fusionfer.exceptions import ImageError
from fusionfer.images._decoding import DECODER, MAX_PIXELS, decode_image


def noise(height=20, width=30, channels=3, dtype=np.uint8):
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)


def encode(image, image_format, **options):
    file = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(file, image_format, **options)
    return file.getvalue()


@pytest.mark.parametrize("image_format", ["PNG", "BMP", "TIFF", "PPM"])
def test_colour_is_rgb(image_format):
    """Lossless colour comes back as RGB, bit for bit."""
    pixels = noise()
    np.testing.assert_array_equal(decode_image(encode(pixels, image_format)), pixels)


@pytest.mark.parametrize("image_format", ["PNG", "BMP", "TIFF", "PPM"])
def test_grey_stays_grey(image_format):
    """Fault 15: grey pictures have two dimensions."""
    pixels = noise(channels=1)
    np.testing.assert_array_equal(decode_image(encode(pixels, image_format)), pixels)


def test_grey_jpeg_has_two_dimensions_and_equal_colours_three():
    """Colour stays colour also where red, green and blue are equal."""
    grey = noise(channels=1)
    assert decode_image(encode(grey, "JPEG")).shape == (20, 30)
    assert decode_image(encode(np.dstack([grey] * 3), "PNG")).shape == (20, 30, 3)


def test_jpeg_agrees_with_pillow():
    """A JPEG differs from Pillow's decoding by rounding only."""
    smooth = cv2.GaussianBlur(noise(48, 48), (0, 0), 4)
    stored = encode(smooth, "JPEG", quality=95)
    theirs = np.asarray(Image.open(io.BytesIO(stored)).convert("RGB"), dtype=int)
    assert np.abs(decode_image(stored).astype(int) - theirs).max() <= 3


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_keep_the_high_byte(suffix, channels):
    """Fault 15: of 16 bits the high byte is kept, in all formats alike."""
    pixels = noise(channels=channels, dtype=np.uint16)
    bgr = pixels if channels == 1 else np.ascontiguousarray(pixels[..., ::-1])
    stored = cv2.imencode(suffix, bgr)[1].tobytes()
    np.testing.assert_array_equal(decode_image(stored), (pixels >> 8).astype(np.uint8))


@pytest.mark.parametrize("image_format", ["PNG", "GIF", "BMP", "TIFF"])
def test_palette_becomes_rgb(image_format):
    """Fault 15: palette colours are looked up."""
    pixels = np.zeros((4, 6, 3), dtype=np.uint8)
    pixels[:2], pixels[2:, :3] = (255, 0, 0), (10, 200, 30)
    stored = encode(Image.fromarray(pixels).quantize(4), image_format)
    np.testing.assert_array_equal(decode_image(stored), pixels)


def test_alpha_is_dropped_as_pillow_does():
    """Fault 15: alpha changes no colour, not even of invisible pixels."""
    pixels = noise(channels=4)
    stored = encode(Image.fromarray(pixels), "PNG")
    np.testing.assert_array_equal(decode_image(stored), pixels[..., :3])
    np.testing.assert_array_equal(decode_image(stored), np.asarray(Image.open(io.BytesIO(stored)).convert("RGB")))


def test_alpha_of_tiff_is_blended_with_black():
    """libtiff multiplies alpha into TIFF colours: the documented exception."""
    pixels = np.full((4, 6, 4), (200, 100, 50, 128), dtype=np.uint8)
    np.testing.assert_array_equal(decode_image(encode(pixels, "TIFF"))[0, 0], (100, 50, 25))


def test_grey_with_alpha_is_rgb():
    """Grey with alpha comes out as three equal channels."""
    pixels = np.dstack([noise(channels=1), noise(channels=1)])
    decoded = decode_image(encode(Image.fromarray(pixels, mode="LA"), "PNG"))
    np.testing.assert_array_equal(decoded, np.dstack([pixels[..., 0]] * 3))


def test_one_bit_becomes_black_and_white():
    """A picture of one bit is grey with values 0 and 255."""
    pixels = noise(channels=1) > 127
    np.testing.assert_array_equal(decode_image(encode(Image.fromarray(pixels), "PNG")), pixels * np.uint8(255))


def test_cmyk_jpeg_has_the_colours_that_were_meant():
    """Fault 15: flat CMYK colours come out as their RGB, within what JPEG loses."""
    for colour in [(255, 0, 0), (0, 255, 0), (30, 60, 90), (255, 255, 255), (0, 0, 0)]:
        pixels = np.full((16, 16, 3), colour, dtype=np.uint8)
        decoded = decode_image(encode(Image.fromarray(pixels).convert("CMYK"), "JPEG", quality=100))
        assert np.abs(decoded.astype(int) - colour).max() <= 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_exif_orientation_is_applied(orientation, image_format):
    """Fault 15: all eight EXIF orientations come out as Pillow's exif_transpose turns them."""
    pixels = np.zeros((16, 32, 3), dtype=np.uint8)
    pixels[:8, :16], pixels[8:, :8] = 255, 128
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = encode(pixels, image_format, exif=exif, **({"quality": 100} if image_format == "JPEG" else {}))
    from PIL import ImageOps

    theirs = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(stored))), dtype=int)
    assert np.abs(decode_image(stored).astype(int) - theirs).max() <= 2


@pytest.mark.parametrize("image_format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_first_of_several_pictures(image_format):
    """An animation, or a file of several pages, gives its first picture."""
    frames = [Image.fromarray(np.full((8, 8, 3), value, dtype=np.uint8)) for value in (10, 100, 200)]
    options = {"lossless": True} if image_format == "WEBP" else {}
    stored = encode(frames[0], image_format, save_all=True, append_images=frames[1:], **options)
    np.testing.assert_array_equal(decode_image(stored), np.full((8, 8, 3), 10))


def test_one_pixel():
    """Fault 15: a picture of one pixel is a picture."""
    assert decode_image(encode(np.full((1, 1), 7, dtype=np.uint8), "PNG")).tolist() == [[7]]


def test_floating_point_is_refused():
    """A TIFF of floating-point numbers has no defined result and is refused."""
    with pytest.raises(ImageError, match="holds float32 numbers; allowed are 8 and 16 bits"):
        decode_image(encode(np.full((4, 6), 0.5, dtype=np.float32), "TIFF"))


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM"])
def test_every_truncation_is_refused(image_format, capfd):
    """Fault 13: a file that lacks even its last byte is an ImageError, and nothing is written to stderr by OpenCV."""
    stored = encode(noise(), image_format)
    for length in [*range(0, len(stored), 41), len(stored) - 1]:
        with pytest.raises(ImageError):
            decode_image(stored[:length])
    assert "OpenCV" not in capfd.readouterr().err


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_jpeg_filled_up_with_zeros_is_refused(options):
    """A broken download of full length, its rest zeros, is recognised as cut off."""
    stored = encode(noise(), "JPEG", **options)
    with pytest.raises(ImageError, match="cut off: its end marker is missing"):
        decode_image(stored[: len(stored) // 2] + bytes(len(stored) // 2))


def test_jpeg_with_a_tail_is_read():
    """Bytes after the end of a JPEG, as phones write them, do no harm."""
    stored = encode(noise(), "JPEG")
    np.testing.assert_array_equal(decode_image(stored + b"phone data"), decode_image(stored))


def test_flipped_byte_in_a_png_is_found():
    """A changed byte breaks the CRC of its part."""
    stored = bytearray(encode(noise(), "PNG"))
    stored[len(stored) // 2] ^= 1
    with pytest.raises(ImageError, match="checksum differs in its IDAT part"):
        decode_image(bytes(stored))


def test_enormous_picture_is_refused_before_decoding():
    """Fault 14: a 30000 x 30000 PNG is refused by its header; its 900 million pixels would take 2.7 GB."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
    stored = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    with pytest.raises(ImageError, match=r"30000 x 30000 = 900,000,000 pixels; at most 50,000,000"):
        decode_image(stored)


@pytest.mark.parametrize("small_first", [True, False])
@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "TIFF", "WEBP", "GIF"])
def test_no_second_size_gets_past_the_limit(image_format, small_first):
    """Fault 14: of two sizes in a file (two IHDR, two SOF, two tags, canvas and frame), none too large comes out."""
    stored = with_two_sizes(image_format, small_first=small_first)
    try:
        height, width = decode_image(stored, max_pixels=599).shape[:2]
    except ImageError:
        return
    assert (width, height) == (7, 5)
    assert (image_format, small_first) == ("TIFF", True)  # where the first size counts, for header and decoder alike


def with_two_sizes(image_format, *, small_first):
    """Return a picture of 30 x 20 whose file says 7 x 5 too."""
    stored = encode(
        noise(), image_format, **({"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"} if image_format == "WEBP" else {})
    )
    if image_format == "PNG":
        at, length = 8, 25
        head = b"IHDR" + struct.pack(">II", 7, 5) + stored[24:29]
        other = struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    elif image_format == "JPEG":
        at = stored.index(b"\xff\xc0")
        length = 2 + struct.unpack_from(">H", stored, at + 2)[0]
        other = stored[at : at + 5] + struct.pack(">HH", 5, 7) + stored[at + 9 : at + length]
    elif image_format == "TIFF":
        return tiff_with_two_sizes(stored, small_first=small_first)
    else:  # the canvas is smaller, or larger, than the frame
        width, height = (7, 5) if small_first else (300, 200)
        if image_format == "GIF":
            return stored[:6] + struct.pack("<HH", width, height) + stored[10:]
        return stored[:24] + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little") + stored[30:]
    own = stored[at : at + length]
    return stored[:at] + (other + own if small_first else own + other) + stored[at + length :]


def tiff_with_two_sizes(stored, *, small_first):
    """Return a TIFF with a directory that gives width and height twice."""
    first = struct.unpack_from("<I", stored, 4)[0]
    count = struct.unpack_from("<H", stored, first)[0]
    entries = []
    for at in range(first + 2, first + 2 + 12 * count, 12):
        own, tag = stored[at : at + 12], struct.unpack_from("<H", stored, at)[0]
        other = {256: [struct.pack("<HHII", 256, 4, 1, 7)], 257: [struct.pack("<HHII", 257, 4, 1, 5)]}.get(tag, [])
        entries += [*other, own] if small_first else [own, *other]
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    return stored[:4] + struct.pack("<I", len(stored)) + stored[8:] + directory


def test_what_was_decoded_is_measured_too(monkeypatch):
    """Should a header ever be read in two ways, the limit holds for the pixels that came out."""
    monkeypatch.setattr("fusionfer.images._decoding.read_header", lambda stored: ("BMP", 1, 1))
    with pytest.raises(ImageError, match="30 x 20 = 600 pixels; at most 599"):
        decode_image(encode(noise(), "BMP"), max_pixels=599)


def test_limit_is_the_last_allowed_size():
    """Exactly max_pixels pixels are decoded, one more are not; the same holds for ready pixels."""
    pixels = noise(10, 10, 1)
    for stored in (encode(pixels, "PNG"), pixels):
        assert decode_image(stored, max_pixels=100).shape == (10, 10)
        with pytest.raises(ImageError, match="at most 99 are decoded"):
            decode_image(stored, max_pixels=99)
    assert MAX_PIXELS == 50_000_000


def test_ready_pixels_pass_through():
    """Pixels that are not encoded come back as they are, and others than uint8 grey or RGB are refused."""
    pixels = noise()
    assert decode_image(pixels) is pixels
    for wrong in (pixels.astype(float), pixels[..., :2], np.zeros((0, 5), dtype=np.uint8)):
        with pytest.raises(ImageError, match="Pixels must be uint8"):
            decode_image(wrong)


def test_log_level_survives_threads():
    """Decoding bad pictures in several threads leaves OpenCV's log level as it was."""
    logging = cv2.utils.logging
    before = logging.getLogLevel()
    bad = encode(noise(), "BMP")[:-9]

    def work():
        for _ in range(50):
            with pytest.raises(ImageError):
                decode_image(bad)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert logging.getLogLevel() == before


def test_decoder_names_version_and_rules():
    """The record that caches keep names the decoder, its version and the version of the rules."""
    assert DECODER.startswith(f"opencv {cv2.__version__}, rules ")
