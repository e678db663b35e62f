"""Tables and figure of what a data set looks like."""

from types import SimpleNamespace

import numpy as np
import pytest

from fusionfer.eda import Spread
from fusionfer.report import eda_figure, eda_sections, eda_tables


@pytest.fixture
def found():
    """Two classes, one of them with a name that HTML and matplotlib would act on and without readable pictures."""
    return SimpleNamespace(
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
    shown = [[len(axes.images) for axes in bottom.axes[row : row + 3]] for row in (0, 3)]
    assert shown == [[1, 1, 1], [0, 0, 0]]
    mean = bottom.axes[0].images[0].get_array()
    assert (mean.min(), mean.max()) == (0, 255)


def test_sections(found):
    """Tables and overview, then sizes, then faces by class."""
    sections = eda_sections(found)
    assert [section.title for section in sections] == ["Classes", "Pictures", "Faces"]
    sheets = sections[2].items
    assert [sheet.name for sheet in sheets] == ["mean_faces", "samples_0", "samples_1"]
    assert sheets[1].caption == "Drawn from no label."
    assert list(sheets[1].captions) == ["x", "y"]
