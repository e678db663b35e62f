"""The official CSV of FER-2013."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusionfer.exceptions import DataError, ImageError
from fusionfer.images._fer2013 import _parse_pixels, read_fer2013

RNG = np.random.default_rng(0)
FACES = RNG.integers(0, 256, (4, 48, 48), dtype=np.uint8)
USAGES = ["Training", "PublicTest", "PrivateTest", "Training"]


def numbers(face):
    return " ".join(map(str, face.ravel().tolist()))


def row(i, emotion=None, pixels=None, usage=None):
    return f"{i if emotion is None else emotion},{pixels or numbers(FACES[i])},{USAGES[i] if usage is None else usage}"


def write(path, rows, header="emotion,pixels,Usage", end="\n", start=b""):
    path.write_bytes(start + end.join([header, *rows, ""]).encode())
    return path


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_rows_become_faces(tmp_path, end, start):
    """Fault 16: ids, labels, splits and pixels come out, with either line end and with a byte-order mark."""
    faces = read_fer2013(write(tmp_path / "f.csv", [row(i) for i in range(4)], end=end, start=start))
    assert faces.ids.tolist() == [f"fer2013:{i}" for i in range(4)]
    assert faces.labels.tolist() == ["angry", "disgust", "fear", "happy"]
    assert faces.splits.tolist() == ["train", "validation", "test", "train"]
    for i in (3, 0, 2, 1):
        np.testing.assert_array_equal(faces.load(i)[0], FACES[i])


def test_columns_in_the_order_of_icml_face_data(tmp_path):
    """The other official file has its columns in another order and with blanks; quotes do no harm."""
    rows = [f'{i}, {USAGES[i]}, "{numbers(FACES[i])}"' for i in range(4)]
    faces = read_fer2013(write(tmp_path / "f.csv", rows, header="emotion, Usage, pixels"))
    assert faces.splits.tolist() == ["train", "validation", "test", "train"]
    np.testing.assert_array_equal(faces.load(1)[0], FACES[1])


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row(1, pixels=numbers(FACES[1]).rsplit(" ", 1)[0]), "2303 pixels instead of 2304"),
        (row(1, pixels=numbers(FACES[1]) + " 0"), "2305 pixels instead of 2304"),
        (row(1, pixels="300 " + numbers(FACES[1]).split(" ", 1)[1]), "pixel value 300 is above 255"),
        (row(1, pixels="-1 " + numbers(FACES[1]).split(" ", 1)[1]), "pixel value '-1' is no whole number"),
        (row(1, pixels="1.5 " + numbers(FACES[1]).split(" ", 1)[1]), "pixel value '1.5' is no whole number"),
        (row(1, pixels=" "), "0 pixels instead of 2304"),
        (row(1, pixels="9" * 40 + " " + numbers(FACES[1]).split(" ", 1)[1]), "is above 255"),
        (row(1, emotion="7"), "emotion '7' is not one of 0 to 6"),
        (row(1, emotion="happy"), "emotion 'happy' is not one of 0 to 6"),
        (row(1, usage=""), "Usage is missing"),
        (row(1, usage="Other"), "Usage 'Other' is not one of Training, PublicTest, PrivateTest"),
        (row(1).rsplit(",", 1)[0], "2 cells instead of 3"),
    ],
)
def test_bad_rows(tmp_path, bad, reason):
    """Fault 16: a bad row is an error with its line number, or left out and listed; the other rows keep their ids."""
    path = write(tmp_path / "f.csv", [row(0), bad, row(2)])
    with pytest.raises(DataError, match=rf"1 problem\. fer2013:1 \(line 3\): .*{reason}"):
        read_fer2013(path)
    faces = read_fer2013(path, on_error="skip")
    assert faces.ids.tolist() == ["fer2013:0", "fer2013:2"]
    np.testing.assert_array_equal(faces.load(1)[0], FACES[2])
    ((where, why),) = faces.skipped
    assert where == "fer2013:1 (line 3)"
    assert reason in why


def test_all_complaints_come_at_once(tmp_path):
    """Many bad rows make one error with their count and the first few; one row tells all its faults."""
    path = write(tmp_path / "f.csv", [row(0, emotion="9", usage="x")] + [row(1, emotion="8")] * 8)
    with pytest.raises(DataError, match=r"9 problems\. .*emotion '9'.*, Usage 'x'.*\(line 6\).*and 4 more"):
        read_fer2013(path)


@pytest.mark.parametrize(("header", "missing"), [("emotion,pixels", "usage"), ("pixels,Usage", "emotion")])
def test_missing_column(tmp_path, header, missing):
    """A file without one of the columns is refused by name, as the file of the challenge is."""
    with pytest.raises(DataError, match=f"no column {missing} "):
        read_fer2013(write(tmp_path / "f.csv", [], header=header))


def test_file_changed_after_reading(tmp_path):
    """A face whose row is not there any more is an ImageError."""
    path = write(tmp_path / "f.csv", [row(0), row(1)])
    faces = read_fer2013(path)
    write(path, [row(0)])
    with pytest.raises(ImageError, match=r"cannot be read any more"):
        faces.load(1)


@given(st.binary(max_size=40), st.integers(0, 2304))
def test_one_strange_word_spoils_a_row(strange, at):
    """Whatever bytes come among good numbers, the row is refused, or they were such numbers and blanks themselves."""
    words = [b"7"] * 2304
    words[at:at] = [strange]
    words = b" ".join(words).split()
    fine = len(words) == 2304 and all(word.isdigit() and int(word) <= 255 for word in words)
    if fine:
        assert _parse_pixels(b" ".join(words)).ravel().tolist() == [int(word) for word in words]
    else:
        with pytest.raises(ValueError, match="pixel"):
            _parse_pixels(b" ".join(words))
