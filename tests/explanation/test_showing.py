"""Figures, tables and files of explanations."""

import io

import numpy as np
import pytest

from fusionfer.exceptions import DataError, ReportError
from fusionfer.explanation import (
    ALL,
    Settings,
    class_maps_figure,
    class_maps_table,
    explain,
    explain_classes,
    explanation_figure,
    explanation_tables,
    faithfulness_table,
    write_array,
    write_figure,
)
from fusionfer.occlusion import Curves
from fusionfer.report import OcclusionPanel, occlusion_figure, png_bytes

COARSE = Settings(size=16, stride=8)


@pytest.fixture(scope="module")
def explained(face_set, classifier):
    face = face_set.load(0)[0]
    return explain(face, classifier, classes=["happy", "sad"], name="a/$x$.png", settings=COARSE, batch_size=16)


def titles(figure):
    return [axes.get_title() for axes in figure.axes]


def test_one_model_shows_each_network_and_where_they_differ(explained):
    """A row a class: the face, all networks, each alone, the first less the second; and a colour bar for each kind."""
    figure = explanation_figure([explained])
    networks = explained.views[1:]
    first = ["$x$.png", f"hidden from all, {100 * explained.proba[explained.known.index('happy')]:.1f} %"]
    rest = [*(f"hidden from {name}" for name in networks), " - ".join(networks)]
    assert titles(figure)[:5] == first + rest
    assert len(figure.axes) == 2 * 5 + 2
    maps = [np.asarray(axes.images[-1].get_array()) for axes in figure.axes[:5]]
    for v in range(3):
        assert np.array_equal(maps[1 + v], explained.maps[v, 0])
    assert maps[4] == pytest.approx(explained.maps[1, 0] - explained.maps[2, 0])
    scale = np.abs(explained.maps[:, 0]).max()
    assert f"scale ±{100 * max(scale, np.abs(maps[4]).max()):.3g}" in [text.get_text() for text in figure.texts]


def test_two_models_stand_side_by_side(explained):
    """With their names, and their difference last; other classes are refused."""
    figure = explanation_figure([explained, explained], ["trees", "lines"])
    assert titles(figure)[1].startswith("trees: hidden from all, ")
    assert titles(figure)[7] == "trees - lines"
    assert not np.asarray(figure.axes[7].images[-1].get_array()).any()
    with pytest.raises(DataError, match="need the same classes, and a name each"):
        explanation_figure([explained, explained])


def test_tables_say_what_the_maps_say(explained):
    """One table a class, with the regions of the map for all networks, densest first."""
    tables = explanation_tables(explained)
    assert [table.title.split(",")[0] for table in tables] == ["happy", "sad"]
    regions = explained.regions("happy", ALL)
    assert [row[0] for row in tables[0].rows] == [one.region for one in regions]
    assert [row[2] for row in tables[0].rows] == [f"{100 * one.share:.1f} %" for one in regions]
    assert tables[0].header[4:] == tuple(f"{view}: density" for view in explained.views[1:])
    assert f"all networks {100 * explained.drops[0, 0].max():.1f}, " in tables[0].note


def test_the_array_is_whole_and_the_same_bytes_twice(explained, tmp_path):
    """numpy reads it without pickle; writing again gives the same file."""
    write_array(tmp_path / "new" / "why.npz", explained)
    content = (tmp_path / "new" / "why.npz").read_bytes()
    read = np.load(io.BytesIO(content), allow_pickle=False)
    assert np.array_equal(read["maps"], explained.maps)
    assert np.array_equal(read["drops"], explained.drops)
    assert read["views"].tolist() == list(explained.views)
    assert read["classes"].tolist() == ["happy", "sad"]
    assert np.array_equal(read["pixels"], explained.pixels)
    write_array(tmp_path / "again.npz", explained)
    assert (tmp_path / "again.npz").read_bytes() == content


def test_the_figure_is_a_png_and_the_same_bytes_twice(explained, tmp_path):
    """Written complete or not at all."""
    write_figure(tmp_path / "why.png", explanation_figure([explained]))
    assert (tmp_path / "why.png").read_bytes() == png_bytes(explanation_figure([explained]))
    assert (tmp_path / "why.png").read_bytes()[:4] == b"\x89PNG"
    (tmp_path / "file").touch()
    with pytest.raises(ReportError, match="cannot be written"):
        write_figure(tmp_path / "file" / "why.png", explanation_figure([explained]))


def test_class_maps(face_set, classifier):
    """The figure has a row for each class with its mean face and map; the table has every region of each."""
    found = explain_classes(face_set, classifier, limit=1, settings=Settings(16, 16), batch_size=16, samples=10)
    figure = class_maps_figure(found)
    assert len(figure.axes) == 2 * 7 + 1
    assert np.array_equal(np.asarray(figure.axes[1].images[-1].get_array()), found.maps[0])
    table = class_maps_table(found)
    assert len(table.rows) == 7 * 8
    assert [row[0] for row in table.rows if row[0]] == list(found.classes)
    assert table.rows[0][2] == found.regions[0].region
    assert {row[5] for row in table.rows} == {""}  # one picture a class has no interval


def test_faithfulness_table():
    """Areas of each map under a name that says what it is."""
    line = np.linspace(0, 1, 3)
    table = faithfulness_table(
        {"map": Curves(line, line, line, 0.25, 0.75), "centre": Curves(line, line, line, 0.5, 0.5)}
    )
    assert table.rows == (("this map", "0.250", "0.750"), ("Gaussian in the middle", "0.500", "0.500"))


def test_rows_of_a_figure_must_fit():
    """Rows of different lengths are refused."""
    one = OcclusionPanel("face")
    with pytest.raises(ReportError, match="rows of one length, each with a face and a title, got 2 rows"):
        occlusion_figure([np.zeros((4, 4))] * 2, ["a", "b"], [[one], [one, one]])
