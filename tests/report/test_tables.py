"""Tables hold the figures of the scores, and nothing in them is acted on."""

import statistics

import pytest
from scipy.stats import t
from statsmodels.stats.proportion import proportion_confint

from fusionfer.report import (
    Table,
    class_table,
    confusion_table,
    heads_table,
    markdown_table,
    overall_table,
    selection_table,
    undefined_table,
)
from fusionfer.report._tables import figure_columns


def test_class_table_by_hand(with_gaps):
    """Every cell is the percentage worked out by hand; what is undefined is a dash, never a zero or a hyphen."""
    table = class_table(with_gaps)
    assert table.header[:4] == ("class", "samples", "accuracy", "precision")
    assert table.rows[0] == ("joy", "4", "83.3", "100.0", "75.0", "100.0", "85.7", "75.0", "85.7", "0.900")
    assert table.rows[2] == ("contempt", "0", "100.0", "–", "–", "100.0", "–", "–", "–", "–")
    assert table.rows[3][:5] == ("macro average", "6", "88.9", "83.3", "87.5")
    assert table.rows[4][:5] == ("weighted average", "6", "83.3", "88.9", "83.3")
    assert "–: undefined, and left out of the averages" in table.note
    assert {len(row) for row in table.rows} == {len(table.header)}


def test_undefined_table_gives_reasons(with_gaps, make_scores):
    """Each figure without a value is listed with its reason; without any there are no rows."""
    assert ("ROC AUC", "contempt", "no samples of this class") in undefined_table(with_gaps).rows
    assert undefined_table(make_scores(["a", "b"])).rows == ()


def test_overall_and_confusion(with_gaps, make_scores):
    """The overall figures and the counts stand as they are; without probabilities there is no area."""
    assert overall_table(with_gaps).rows[:2] == (("accuracy", "83.3 %"), ("balanced accuracy", "87.5 %"))
    assert "ROC AUC" in overall_table(with_gaps).rows[4][0]
    assert not any("ROC" in row[0] for row in overall_table(make_scores(["a", "b"], proba=False)).rows)
    assert confusion_table(with_gaps).rows[0] == ("joy", "3", "1", "0")


def test_confusion_in_percent_of_each_row(with_gaps):
    """The same matrix by rows; a class without samples has no percent."""
    table = confusion_table(with_gaps, shares=True)
    assert table.rows == (("joy", "75.0", "25.0", "0.0"), ("fear", "0.0", "100.0", "0.0"), ("contempt", "–", "–", "–"))
    assert table.title != confusion_table(with_gaps).title


def test_figures_stand_at_the_right_and_words_at_the_left():
    """Numbers with unit, sign or interval are figures; words, hashes and the first column are not."""
    rows = (("1", "−1.2", "85.9 (84.8–87.0)", "<0.001", "5af83f9c", "kept"), ("2", "–", "+1 to +2", "", "640eaa0d", ""))
    assert figure_columns(Table("", tuple("abcdef"), rows)) == (False, True, True, True, False, False)


def test_selection_table(selection, with_gaps):
    """Mean and sample standard deviation over the folds that have a score, test figures beside, the kept one marked."""
    table = selection_table(selection, {"B": with_gaps})
    spread = statistics.stdev([0.5, 0.52, 0.54])
    assert table.rows[0] == ("A", "52.00", f"{100 * spread:.2f}", "–", "–", "–", "")
    assert table.rows[1][3:] == ("83.3", "87.5", "82.9", "")
    assert table.rows[2] == ("A+B", "61.00", "1.41", "–", "–", "–", "kept")
    assert table.note.endswith("balanced accuracy in percent over 3 folds. A+B is kept: it beats both.")
    assert selection_table(selection).header == ("candidate", "mean", "spread", "choice")


def test_intervals_of_candidates(selection):
    """Those of the evidence where it has them, else the corrected t by hand; Wilson's on held-out rows."""
    weighed = {"candidates": {"A": {"interval": [0.4, 0.6]}}}
    table = selection_table({**selection, "evidence": weighed}, intervals=True)
    assert table.header == ("candidate", "mean", "spread", "95 % interval", "choice")
    assert table.rows[0][3] == "40.00 to 60.00"
    half = t.ppf(0.975, 2) * statistics.stdev([0.55, 0.56, 0.57]) * (1 / 3 + 1 / 2) ** 0.5  # Nadeau and Bengio 2003
    assert table.rows[1][3] == f"{56 - 100 * half:.2f} to {56 + 100 * half:.2f}"
    held = {"scoring": "accuracy", "held_out": 200, "scores": {"A": [0.5]}, "selected": "A"}
    low, high = proportion_confint(100, 200, method="wilson")
    assert selection_table(held, intervals=True).rows[0][3] == f"{100 * low:.2f} to {100 * high:.2f}"
    loss = {**held, "scoring": "neg_log_loss"}
    assert selection_table(loss, intervals=True).rows[0][3] == "–"


def test_searched_parameters_stand_beside_their_candidates(selection):
    """Where a search chose, the table names what; where none was made, there is no column."""
    searched = {**selection, "best_params": {"A": {"C": 0.1, "loss": "hinge"}, "B": {"C": 1.0}, "A+B": {}}}
    table = selection_table(searched)
    assert table.header == ("candidate", "mean", "spread", "parameters", "choice")
    assert [row[3] for row in table.rows] == ["C=0.1, loss=hinge", "C=1.0", ""]
    assert all(len(row) == 5 for row in table.rows)


def test_heads_table(selection):
    """A row for each head and candidate: means, what the head would keep, and the one that was kept."""
    other = {**selection, "scores": {"A": [0.7, 0.8], "B": [0.6, 0.6], "A+B": [0.5, 0.7]}, "selected": "A"}
    table = heads_table({"ecoc": selection, "softmax": other}, "softmax")
    assert table.header == ("head", "candidate", "mean", "spread", "choice")
    assert table.rows[2] == ("ecoc", "A+B", "61.00", "1.41", "its best")
    assert table.rows[3] == ("softmax", "A", "75.00", "7.07", "kept")
    assert [row[-1] for row in table.rows] == ["", "", "its best", "kept", "", ""]
    assert table.note.endswith("of the balanced accuracy in percent over 2 folds, the same for all.")
    searched = heads_table({"ecoc": selection, "softmax": {**other, "best_params": {"A": {"C": 2}}}}, "softmax")
    assert searched.header[4] == "parameters"
    assert [row[4] for row in searched.rows] == ["", "", "", "C=2", "", ""]


def test_scores_that_are_no_shares_are_not_percent():
    """A loss is shown as it is, with a true minus sign."""
    table = selection_table({"scores": {"A": [-1.5, -1.25]}, "selected": "A", "scoring": "neg_log_loss"})
    assert table.rows[0][1] == "\N{MINUS SIGN}1.375"
    assert "percent" not in table.note


HOSTILE = Table(
    "<script>x</script>", ("a|b", "*c*"), (("<img src=x onerror=y>", "[l](javascript:z)\nnext"),), "&amp; `code`"
)


@pytest.mark.parametrize("character", list("|*<[`"))
def test_markdown_is_escaped(character):
    """No sign that Markdown or HTML acts on stands unescaped in cell or title, and a cell stays on its line."""
    text = markdown_table(HOSTILE)
    cells = text.replace("| --- | --- |", "").replace("\\" + character, "")
    if character == "|":
        assert [line.count("|") for line in cells.splitlines() if line.startswith("|")] == [3, 3]
    else:
        assert character not in cells
    assert "next" in text.splitlines()[4]
