"""Curves, ROC and the table of networks, against scikit-learn and by what is drawn."""

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from fusionfer.exceptions import DataError
from fusionfer.metrics import score
from fusionfer.report import curves_figure, png_bytes, roc_figure, roc_points, training_table


def epochs(n):
    return [
        {
            "epoch": i + 1, "train_loss": 2.0 - i / n, "validation_loss": 2.1 - i / n,
            "train_accuracy": 0.3 + i / n / 2, "validation_accuracy": 0.25 + i / n / 2,
        }
        for i in range(n)
    ]  # fmt: skip


@pytest.mark.parametrize("digits", [1, 6])
def test_roc_points_are_scikit_learns(digits):
    """The same curve as roc_curve, with many ties and with few."""
    rng = np.random.default_rng(0)
    is_class = rng.random(200) < 0.3
    proba = np.round(0.4 * is_class + 0.6 * rng.random(200), digits)
    expected = roc_curve(is_class, proba, drop_intermediate=False)
    for got, known in zip(roc_points(is_class, proba), expected, strict=True):
        np.testing.assert_allclose(got, known)


def test_the_legend_tells_the_areas():
    """Each class with the area that `score` computes by ranks; a class without samples has no curve."""
    rng = np.random.default_rng(0)
    classes = ["a", "b", "$c$", "none"]
    labels = np.array(classes[:3])[rng.integers(0, 3, 90)]
    proba = rng.dirichlet(np.ones(4), 90)
    scores = score(labels, labels, proba, classes)
    (axes,) = roc_figure(labels, proba, classes).axes
    told = [text.get_text() for text in axes.get_legend().get_texts()]
    assert told == [f"{name} ({scores.auc[k]:.3f})" for k, name in enumerate(classes[:3])]


def test_curves_hold_what_the_history_says():
    """Two panels with a line for training and one for validation of each network; accuracy in percent."""
    figure = curves_figure({"one": epochs(5), "two": epochs(3)})
    loss, accuracy = figure.axes
    assert [line.get_ydata()[0] for line in loss.lines] == [2.0, 2.1, 2.0, 2.1]
    assert [line.get_ydata()[-1] for line in accuracy.lines] == pytest.approx([70.0, 65.0, 63.333333, 58.333333])
    assert len({line.get_color() for line in loss.lines}) == 2
    (legend,) = figure.legends
    assert legend.get_texts()[3].get_text() == "two, validation"


def test_equal_numbers_are_equal_bytes():
    """No date, no state."""
    assert png_bytes(curves_figure({"one": epochs(2)})) == png_bytes(curves_figure({"one": epochs(2)}))


def test_nothing_to_draw_is_an_error():
    """No epoch; no class with samples in and out of it."""
    with pytest.raises(DataError, match="There is no epoch to draw"):
        curves_figure({"one": []})
    with pytest.raises(DataError, match="There is no ROC curve to draw"):
        roc_figure(np.array(["a", "a"]), np.eye(2), ["a", "b"])


def test_the_table_is_of_the_scores():
    """Percent with two digits, recall and sensitivity equal, an en dash where something is undefined."""
    scores = score(["a", "a", "b"], ["a", "a", "a"], classes=["a", "b"])
    table = training_table({"net-sgdm": scores}, "Validation")
    row = dict(zip(table.header, table.rows[0], strict=True))
    assert (row["accuracy"], row["recall"], row["sensitivity"], row["specificity"]) == (
        "66.67",
        "50.00",
        "50.00",
        "50.00",
    )
    assert row["precision"] == "66.67"
    assert row["weighted recall"] == "66.67"
    assert row["ROC AUC"] == "–"
