"""Counts, sizes, brightness, contrast and mean faces against plain numpy; samples by seed; what cannot be read."""

import json
import tracemalloc

import cv2
import numpy as np
import pytest

from fusionfer.eda import _areas, _squeezed, eda, write_eda, write_figure
from fusionfer.exceptions import DataError, ReportError
from fusionfer.images import FaceSet, read_faces


class Kept:
    """A source of pictures that are in memory."""

    def __init__(self, pictures):
        self.pictures = pictures

    def read(self, key):
        return self.pictures[key]


def faces(*rows):
    """One row a sample: pixels or bytes, label, split."""
    pictures, labels, splits = zip(*((*row, "")[:3] for row in rows), strict=True)
    return FaceSet([f"{i}" for i in range(len(rows))], range(len(rows)), Kept(pictures), labels=labels, splits=splits)


def drawn(seed, *shape):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def many(n=40, side=10):
    """Grey pictures of three classes in two splits."""
    return [(drawn(i, side, side), "abc"[i % 3], ("train", "test")[i % 2]) for i in range(n)]


def test_figures_of_grey_pictures_are_those_of_numpy():
    """Mean, standard deviation and quantiles of brightness and contrast, and the mean face, each class for itself."""
    rows = many()
    found = eda(faces(*rows))
    for label in "abc":
        pictures = np.stack([pixels for pixels, one, _ in rows if one == label]).astype(float)
        assert found.mean_faces[label] == pytest.approx(pictures.mean(axis=0))
        for name, values in (("brightness", pictures.mean(axis=(1, 2))), ("contrast", pictures.std(axis=(1, 2)))):
            expected = [values.mean(), values.std(ddof=1), *np.quantile(values, [0.05, 0.5, 0.95])]
            assert getattr(found, name)[label] == pytest.approx(expected, rel=1e-5)


def test_counts():
    """Samples by split and label, splits in their order; no label is a class of its own."""
    found = eda(faces(*many(6), (drawn(1, 10, 10), "", "")))
    assert found.counts == {"": {"": 1}, "train": {"a": 1, "b": 1, "c": 1}, "test": {"a": 1, "b": 1, "c": 1}}
    assert list(found.counts) == ["", "train", "test"]
    assert found.classes == ("", "a", "b", "c")


def test_sizes_channels_and_formats(tmp_path):
    """Each is counted as it is stored; RGB with equal channels is told apart; medians are of pictures."""
    root = tmp_path / "faces" / "happy"
    root.mkdir(parents=True)
    grey, colour = drawn(0, 20, 30), drawn(1, 40, 30, 3)
    for name, pixels in (("a.png", grey), ("b.png", grey), ("c.bmp", colour), ("d.png", np.dstack([grey] * 3))):
        assert cv2.imwrite(str(root / name), pixels)
    found = eda(read_faces(tmp_path / "faces"))
    assert found.sizes == {(30, 20): 3, (30, 40): 1}
    assert list(found.sizes) == [(30, 20), (30, 40)]
    assert (found.widths, found.heights) == ((30, 30, 30), (20, 20, 40))
    assert found.channels == {"grey": 2, "RGB": 1, "RGB with equal channels": 1}
    assert found.formats == {"PNG": 3, "BMP": 1}


def test_colours_count_as_luma():
    """Brightness of RGB by the weights of BT.601, which OpenCV has too."""
    pixels = drawn(0, 12, 12, 3)
    found = eda(faces((pixels, "a")))
    grey = cv2.cvtColor(pixels.astype(np.float32), cv2.COLOR_RGB2GRAY)
    assert found.brightness["a"].mean == pytest.approx(grey.mean(), rel=1e-5)
    assert found.contrast["a"].mean == pytest.approx(grey.std(), rel=1e-5)
    assert found.mean_faces["a"] == pytest.approx(grey, rel=1e-4)
    assert found.formats == {"pixels": 1}


def test_large_colour_pictures_are_made_grey_in_parts(monkeypatch):
    """In whatever parts, the same values."""
    pixels = drawn(0, 50, 30, 3)
    whole = eda(faces((pixels, "a"))).brightness
    monkeypatch.setattr("fusionfer.eda._PART", 100)
    assert eda(faces((pixels, "a"))).brightness == whole


@pytest.mark.parametrize(("old", "new"), [(48, 24), (50, 12), (7, 3)])
def test_smaller_pictures_are_means_of_areas(old, new):
    """As OpenCV's INTER_AREA."""
    pixels = drawn(0, old, old).astype(np.float32)
    expected = cv2.resize(pixels, (new, new), interpolation=cv2.INTER_AREA)
    assert _squeezed(pixels, new, new) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("old", "new"), [(5, 5), (5, 9), (9, 5), (1, 4)])
def test_each_new_pixel_is_a_mean(old, new):
    """Shares add up to one, and each old pixel counts alike."""
    shares = _areas(old, new)
    assert shares.sum(axis=1) == pytest.approx(np.ones(new))
    assert shares.sum(axis=0) == pytest.approx(np.full(old, new / old))


def test_the_side_of_mean_faces():
    """That of the first picture that can be read, 96 at most, or what is asked for; others are squeezed into it."""
    first, second = drawn(0, 20, 30), drawn(1, 60, 60)
    found = eda(faces((b"no picture", "a"), (first, "a"), (second, "b")))
    assert {face.shape for face in found.mean_faces.values()} == {(30, 30)}
    assert found.mean_faces["b"] == pytest.approx(second.reshape(30, 2, 30, 2).mean(axis=(1, 3)))
    assert eda(faces((drawn(0, 200, 100), "a"))).mean_faces["a"].shape == (96, 96)
    assert eda(faces((first, "a")), side=8).mean_faces["a"].shape == (8, 8)


def test_samples_are_drawn_by_seed():
    """So many of each class, in their order, the same by the same seed and whatever other classes there are."""
    rows = many(60)
    found, again = eda(faces(*rows), samples=4, seed=1), eda(faces(*rows), samples=4, seed=1)
    ids = {label: [one for one, _ in some] for label, some in found.samples.items()}
    assert {label: len(some) for label, some in ids.items()} == {"a": 4, "b": 4, "c": 4}
    assert ids == {label: [one for one, _ in some] for label, some in again.samples.items()}
    assert ids != {label: [one for one, _ in some] for label, some in eda(faces(*rows), samples=4).samples.items()}
    for label, some in found.samples.items():
        for one, pixels in some:
            assert rows[int(one)][1] == label
            assert np.array_equal(pixels, rows[int(one)][0])
    alone = eda(faces(*[row if row[1] == "a" else (row[0], "b", "train") for row in rows]), samples=4, seed=1)
    assert [one for one, _ in alone.samples["a"]] == ids["a"]


def test_large_samples_are_made_smaller():
    """96 pixels on the longer side, in colour."""
    found = eda(faces((drawn(0, 300, 150, 3), "a")))
    assert found.samples["a"][0][1].shape == (96, 48, 3)


def test_equal_data_give_equal_bytes():
    """Threads or not: sums are made in the order of the samples."""
    rows = [(drawn(i, 13 + i % 5, 17), "ab"[i % 2], "") for i in range(80)]
    first, second = eda(faces(*rows), side=16), eda(faces(*rows), side=16)
    assert all(first.mean_faces[label].tobytes() == second.mean_faces[label].tobytes() for label in "ab")
    assert first.describe() == second.describe()


def test_unreadable_pictures_are_counted_and_left_out():
    """Their reason is kept; a class of nothing else has no figures, and JSON takes all."""
    found = eda(faces((drawn(0, 9, 9), "a"), (b"", "a"), (b"no picture", "b")))
    assert [one for one, _ in found.unreadable] == ["1", "2"]
    assert "empty" in found.unreadable[0][1]
    assert set(found.brightness) == set(found.mean_faces) == {"a"}
    assert found.brightness["a"].sd == 0.0
    data = json.loads(json.dumps(found.describe(), allow_nan=False))
    assert data["sizes"] == [{"width": 9, "height": 9, "pictures": 1}]
    assert data["unreadable"][1]["id"] == "2"


def test_nothing_readable_at_all():
    """Zeros and no figures instead of an error."""
    found = eda(faces((b"x", "a")))
    assert (found.widths, found.sizes, found.mean_faces) == ((0, 0, 0), {}, {})


@pytest.mark.parametrize("options", [{"samples": -1}, {"side": 0}])
def test_wrong_numbers(options):
    """What is allowed and what came."""
    with pytest.raises(DataError, match=r"samples from 0 \(got .*\) and a side from 1 pixel \(got "):
        eda(faces(*many(3)), **options)


def test_no_pictures():
    """An empty set has nothing to look at."""
    with pytest.raises(DataError, match=r"there must be a picture \(got 0\)"):
        eda(FaceSet([], [], Kept([])))


def test_progress():
    """Told at the end of each part."""
    told = []
    eda(faces(*many(5)), progress=lambda *one: told.append(one))
    assert told == [(5, 5, "pictures")]


def test_memory_grows_by_a_few_bytes_a_picture():
    """Four times the pictures, hardly more memory: what is kept of each is no picture."""

    class Made:
        def read(self, key):
            return np.full((64, 64), key % 256, np.uint8)

    def peak(n):
        tracemalloc.start()
        eda(FaceSet([f"{i}" for i in range(n)], range(n), Made(), labels=["a"] * n), samples=2)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(200)
    assert (peak(4096) - peak(1024)) / 3072 < 600  # bytes; a picture has 4,096


def test_a_page_and_a_figure(tmp_path):
    """The page stands alone beside the same in Markdown and JSON; equal data, equal bytes."""
    found = eda(faces(*many(), (b"x", "d", "test")), samples=1)
    page = write_eda(found, tmp_path / "one")
    again = write_eda(found, tmp_path / "two")
    for name in ("index.html", "report.md", "scores.json", "overview.png", "mean_faces.png", "samples_0.png"):
        assert (page.parent / name).read_bytes() == (again.parent / name).read_bytes(), name
    numbers = json.loads((page.parent / "scores.json").read_text())
    assert numbers["counts"] == found.counts
    write_figure(found, tmp_path / "deep" / "figure.png")
    pixels = cv2.imread(str(tmp_path / "deep" / "figure.png"))
    assert pixels.shape[1] > 1000
    assert pixels.std() > 20


def test_a_folder_that_cannot_be_written(tmp_path):
    """A file in its place is an error with a name."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(ReportError):
        write_eda(eda(faces(*many(3))), tmp_path / "taken")
