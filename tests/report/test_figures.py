"""Figures show what they should, nothing overlaps or leaves the page, and drawing leaves no trace."""

import io
import itertools
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from fusionfer.exceptions import UnknownNameError
from fusionfer.report import class_figure, confusion_figure, faces_figure, fold_figure, png_bytes

LONG = [f"a compound emotion with a very long name, number {k}" for k in range(20)]
NAMES = {2: ["no", "yes"], 7: ["anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"], 20: LONG}


def boxes(figure, texts):
    """Return the drawn boxes of texts, in pixels."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return [text.get_window_extent(canvas.get_renderer()) for text in texts if text.get_text()]


@pytest.mark.parametrize("K", sorted(NAMES))
def test_confusion_is_readable(make_scores, K):
    """Share and count stand in every cell; no two cells' texts touch, and no name leaves the page."""
    scores = make_scores(NAMES[K], n=4000)
    figure = confusion_figure(scores)
    axes = figure.axes[0]
    share = scores.confusion[0, 0] / scores.support[0]
    assert axes.texts[0].get_text() == f"{100 * share:.0f} %\n{scores.confusion[0, 0]:,}"
    assert len(axes.texts) == K * K
    found = boxes(figure, axes.texts)
    assert not any(a.overlaps(b) for i, a in enumerate(found) for b in found[i + 1 : i + 2])
    cell = np.ptp(axes.transData.transform([(0, 0), (0, 1)])[:, 1])
    assert max(box.height for box in found) < cell
    names = boxes(figure, axes.get_yticklabels())
    assert not any(a.overlaps(b) for a, b in itertools.pairwise(names))
    for box in [*names, *boxes(figure, axes.get_xticklabels())]:
        assert box.x0 >= -1
        assert box.y0 >= -1


def test_confusion_of_many_classes(make_scores):
    """Of more classes than can be read the cells are colours alone, and the title says so."""
    axes = confusion_figure(make_scores([f"class {k}" for k in range(41)], n=400)).axes[0]
    assert not axes.texts
    assert len(axes.images) == 1
    assert axes.get_title(loc="left") == "Share of each true class"


def test_confusion_normalisations(with_gaps):
    """Shares add up along rows, columns or in all; a class without samples is a dash; other words are refused."""
    texts = {
        how: [t.get_text() for t in confusion_figure(with_gaps, how).axes[0].texts] for how in ("true", "pred", "all")
    }
    assert texts["true"][:3] == ["75 %\n3", "25 %\n1", "0"]
    assert texts["true"][6:] == ["–", "–", "–"]
    assert texts["pred"][:2] == ["100 %\n3", "33 %\n1"]
    assert texts["all"][0] == "50 %\n3"
    with pytest.raises(UnknownNameError, match="Unknown normalisation 'rows'"):
        confusion_figure(with_gaps, "rows")


@pytest.mark.parametrize("K", sorted(NAMES))
def test_classes_are_readable(make_scores, K):
    """Every class has its bar of the height of its F1, and the names do not overlap."""
    scores = make_scores(NAMES[K])
    figure = class_figure(scores)
    axes = figure.axes[0]
    widths = [bar.get_width() for bar in axes.patches]
    np.testing.assert_allclose(widths, 100 * scores.per_class["f1"])
    names = boxes(figure, axes.get_yticklabels())
    assert not any(a.overlaps(b) for a, b in itertools.pairwise(names))
    assert min(box.x0 for box in names) >= -1


def test_undefined_classes_say_so(with_gaps):
    """A class without samples has the word instead of a bar."""
    assert [text.get_text() for text in class_figure(with_gaps).axes[0].texts] == ["undefined"]


def test_folds_show_points_mean_and_spread(selection):
    """Each candidate has its folds as points and mean ± deviation in words; the kept one says so."""
    selection["scores"]["nothing"] = [None]
    axes = fold_figure(selection).axes[0]
    assert [text.get_text() for text in axes.texts] == [
        "52.00 ± 2.00",
        "56.00 ± 1.00",
        "61.00 ± 1.41, kept",
        "no scores",
    ]
    points = axes.collections[0].get_offsets()
    np.testing.assert_allclose(points[:, 0], [50, 52, 54])
    assert axes.get_xlabel() == "balanced accuracy in percent, by fold"


def test_long_candidates_are_broken_at_the_plus_sign(selection):
    """The name of a long hybrid takes two lines, so that the figure keeps its width."""
    name = "resnet34:penultimate@own+resnet50:penultimate@IMAGENET1K_V2"
    selection.update(scores={name: [0.5, 0.6]}, selected=name)
    labels = [label.get_text() for label in fold_figure(selection).axes[0].get_yticklabels()]
    assert labels == ["resnet34:penultimate@own\n+ resnet50:penultimate@IMAGENET1K_V2"]


def test_faces():
    """Grey and colour pictures of any size stand side by side, seven to a row, in the right brightness."""
    white = np.full((48, 40), 255, np.uint8)
    pictures = [white] * 7 + [np.zeros((30, 30, 3), np.uint8)]
    figure = faces_figure(pictures, [f"joy {k}" for k in range(8)])
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == [f"joy {k}" for k in range(8)]
    edges = np.array([image.get_extent() for image in axes.images])
    assert np.all(edges[:7, 0] < edges[:7, 1])
    assert np.all(edges[:6, 1] < edges[1:7, 0])  # side by side, none over the other
    assert edges[7, 3] > edges[0, 2]  # the eighth below the first
    drawn = boxes(figure, axes.texts)
    assert not any(one.overlaps(other) for one, other in itertools.combinations(drawn, 2))
    image = np.asarray(Image.open(io.BytesIO(png_bytes(figure))).convert("L"))
    assert (image < 40).mean() > 0.03


def test_dollar_signs_are_no_formulas(make_scores, selection):
    """Names that matplotlib would take for formulas, broken ones too, are shown as they stand."""
    scores = make_scores(["$\\frac{1$", "a $x$ b"])
    selection.update(scores={"$\\frac{1$": [0.5, 0.6]}, scoring="$\\frac{$")
    for figure in (confusion_figure(scores), class_figure(scores), fold_figure(selection)):
        assert png_bytes(figure).startswith(b"\x89PNG")
    assert faces_figure([np.zeros((2, 2), np.uint8)], ["$\\frac{1$"]).axes[0].texts[0].get_parse_math() is False


def test_same_bytes_and_no_trace(make_scores):
    """Drawing twice gives the same bytes, without version or date in them, and changes no setting."""
    settings = dict(mpl.rcParams)
    first, second = (png_bytes(confusion_figure(make_scores(NAMES[2]))) for _ in range(2))
    assert first == second
    assert set(Image.open(io.BytesIO(first)).info) <= {"dpi"}
    assert dict(mpl.rcParams) == settings


def test_matplotlib_is_loaded_only_to_draw():
    """Tables for the console need no matplotlib, and figures need no pyplot."""
    code = (
        "import sys, fusionfer.report as r; from fusionfer.metrics import score; s = score(['a', 'b'], ['a', 'a'])\n"
        "r.class_table(s); print('matplotlib' in sys.modules)\n"
        "r.png_bytes(r.confusion_figure(s)); print('matplotlib' in sys.modules, 'matplotlib.pyplot' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "False"]
