"""The figure of a boosting history shows the numbers it was given, and only the panels it has numbers for."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fusionfer.exceptions import DataError
from fusionfer.report import png_bytes
from fusionfer.report._boosting_figure import boosting_history_figure


@pytest.fixture
def history():
    rng = np.random.default_rng(0)
    entries = {name: rng.uniform(0.1, 2, (12, 3)) for name in ("V", "norm", "step", "gain")}
    validation = np.abs(np.arange(12) - 7.0) / 10 + 1
    return {**entries, "S": rng.normal(size=(12, 3)), "train_loss": 1 / np.arange(1, 13), "validation_loss": validation}


def test_panels_hold_the_numbers(history):
    """Every entry has its panel: losses as they are, the rest as median and range over the trees of a round."""
    figure = boosting_history_figure(history)
    panels = {axes.get_title(loc="left").partition(",")[0]: axes for axes in figure.axes}
    assert len(panels) == 6
    train, validation, best = panels["log-loss"].lines
    assert_allclose(train.get_ydata(), history["train_loss"])
    assert_allclose(validation.get_ydata(), history["validation_loss"])
    assert best.get_xydata().tolist() == [[8, 1]]
    assert best.get_label() == "1.0000 in round 8"
    assert_allclose(panels["size of a tree ||w||"].lines[0].get_ydata(), np.median(history["norm"], axis=1))
    steps = panels["size of its step"].lines[0].get_ydata()
    assert_allclose(steps, np.median(history["norm"] * history["step"], axis=1))
    band = panels["gain of a tree"].collections[0].get_paths()[0].vertices
    assert_allclose([band[:, 1].min(), band[:, 1].max()], [history["gain"].min(), history["gain"].max()])


def test_only_losses_and_a_shorter_gain(history):
    """A plain head's history has one panel; gains of the kept rounds alone are drawn as far as they go."""
    figure = boosting_history_figure({"validation_loss": history["validation_loss"]})
    assert len(figure.axes) == 1
    history["gain"] = history["gain"][:8]
    assert png_bytes(boosting_history_figure(history)) == png_bytes(boosting_history_figure(history))


def test_one_tree_a_round(history):
    """With two classes there is one tree a round: a line without a band."""
    one = {name: values[:, :1] if values.ndim == 2 else values for name, values in history.items()}
    assert not any(axes.collections for axes in boosting_history_figure(one).axes)


@pytest.mark.parametrize("empty", [{}, {"train_loss": np.zeros(0)}])
def test_nothing_to_draw(empty):
    """A history without rounds is refused with what to give instead."""
    with pytest.raises(DataError, match="There is no round in this history; give history_ of a fitted head"):
        boosting_history_figure(empty)
