"""What is said in place of a figure are its numbers."""

from fusionfer.report._words import class_words, confusion_words, curves_words, fold_words, roc_words


def test_figures_in_words(with_gaps, selection, make_scores):
    """Shares by hand; what is undefined is a dash; the largest mistakes come first, and none is said to be none."""
    assert confusion_words(with_gaps) == (
        "Confusion matrix of 3 classes. Right: joy 75 %, fear 100 %, contempt –. "
        "Most common mistakes: joy as fear 25 %."
    )
    assert class_words(with_gaps) == "Bars, F1: joy 86 %, fear 80 %, contempt –."
    assert roc_words(with_gaps) == "ROC curves, areas: joy 0.900, fear 0.800, contempt –."
    assert fold_words(selection) == "Points, mean score: A 52.00 %, B 56.00 %, A+B 61.00 %; kept: A+B."
    loss = {"scores": {"A": [-1.5, -1.25], "B": []}, "selected": "A"}
    assert fold_words(loss) == "Points, mean score: A -1.375, B nan; kept: A."
    histories = {"a": [{"validation_accuracy": 0.5}, {"validation_accuracy": 0.25}], "b": []}
    assert curves_words(histories) == "Lines, best accuracy in validation: a 50.0 % of 2 epochs."
    assert roc_words(make_scores(["a", "b"], proba=False)) == "ROC curves, areas: ."
