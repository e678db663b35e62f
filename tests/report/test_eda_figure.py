"""Tables and figure of what a data set looks like."""

from dataclasses import replace

import numpy as np
import pytest

from fusionfer.eda import Eda, Spread
from fusionfer.report import eda_figure, eda_sections, eda_tables


@pytest.fixture
def found():
    """Two classes, one of them with a name that HTML and matplotlib would act on and without readable pictures."""
    return Eda(
        name="set", n_samples=1205, classes=("", "$a<b>$"),
        counts={"train": {"": 1000, "$a<b>$": 200}, "test": {"": 5}},
        brightness={"": Spread(120.04, 30, 80, 121, 170)}, contrast={"": Spread(50, 9.96, 30, 49, 70)},
        widths=(10, 20, 30), heights=(11, 21, 31), sizes={(10 + k, 11): 100 - k for k in range(12)},
        channels={"grey": 1203, "RGB": 1}, formats={"PNG": 1204},
        mean_faces={"": np.linspace(100, 140, 16).reshape(4, 4)},
        samples={"": (("x", np.zeros((5, 5), np.uint8)), ("y", np.zeros((6, 5, 3), np.uint8))), "$a<b>$": ()},
        unreadable=(("z", "gone"),),
    )  # fmt: skip


def test_tables(found):
    """Counts with totals, spreads, the ten most frequent sizes and the rest together."""
    counts, spreads, pictures = eda_tables(found)
    assert counts.header == ("class", "train", "test", "all")
    assert counts.rows == (("no label", "1,000", "5", "1,005"), ("$a<b>$", "200", "0", "200"),
                           ("all", "1,200", "5", "1,205"))  # fmt: skip
    assert spreads.rows == (("no label", "120.0", "30.0", "80 to 170", "50.0", "10.0", "30 to 70"),)
    assert pictures.rows[0] == ("10 x 11 pixels", "100")
    assert pictures.rows[10:] == (("2 other sizes", "179"), ("grey", "1,203"), ("RGB", "1"), ("PNG", "1,204"),
                                  ("unreadable or left out", "1"))  # fmt: skip
    assert pictures.note == "Width 10 to 30 pixels, median 20; height 11 to 31 pixels, median 21."


def test_figure(found):
    """Bars are the counts; mean faces share one gain; a class without pictures has an empty row."""
    figure = eda_figure(found)
    top, bottom = figure.subfigs
    bars = top.axes[0]
    assert [bar.get_width() for bar in bars.patches] == [1000, 200, 5, 0]
    assert [tick.get_text() for tick in bars.get_yticklabels()] == ["no label", "$a<b>$"]
    assert not any(tick.label1.get_parse_math() for tick in bars.yaxis.get_major_ticks())
    images = bottom.axes[0].images
    assert [image.get_extent()[0] // 1 for image in images] == [0, 1, 2]  # side by side
    assert all(image.get_extent()[2] <= 1 for image in images)  # in the first row
    left, right, low, high = images[2].get_extent()
    assert (right - left) / (low - high) == pytest.approx(5 / 6)  # not squeezed
    mean = images[0].get_array()
    assert (mean.min(), mean.max()) == (0, 255)


def test_sections(found):
    """Tables and overview, then sizes, then faces by class."""
    sections = eda_sections(found)
    assert [section.title for section in sections] == ["Classes", "Pictures", "Faces"]
    sheets = sections[2].items
    assert [sheet.name for sheet in sheets] == ["mean_faces", "samples_0", "samples_1"]
    assert sheets[1].caption == "Drawn from no label."
    assert list(sheets[1].captions) == ["x", "y"]


def test_of_many_classes_the_largest_are_drawn(found):
    """Figure and sheets stop at 30 classes and say so; the table has all."""
    names = tuple(f"{k:03}" for k in range(100))
    some = tuple((name, np.zeros((4, 4), np.uint8)) for name in "ab")
    many = replace(
        found, classes=names, counts={"train": {name: 10 + (k >= 70) for k, name in enumerate(names)}}, brightness={},
        contrast={}, mean_faces={name: np.zeros((4, 4)) for name in names}, samples=dict.fromkeys(names, some),
    )  # fmt: skip
    (table, overview), _, (means, *sheets) = (section.items for section in eda_sections(many))
    assert len(table.rows) == 101
    assert overview.caption.endswith("The 30 largest of 100 classes.")
    assert means.captions == [sheet.caption[len("Drawn from ") : -1] for sheet in sheets] == list(names[70:])
    assert len(overview.figure.subfigs[1].axes[0].images) == 3 * 30


def test_nothing_can_be_read(found):
    """No width of 0 pixels is told."""
    assert eda_tables(replace(found, widths=(0, 0, 0), heights=(0, 0, 0)))[2].note == ""
