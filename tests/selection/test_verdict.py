"""Verdicts in words, for every outcome and rule."""

import pytest

from fusionfer.selection._deciding import p_text
from fusionfer.selection._verdict import conclude


def pairs(*p_values):
    """Return pairs of the hybrid with single blocks: (greater, less) each, and a pair of singles that plays no part."""
    names = "ABC"
    found = [
        {"first": "all", "second": names[i], "greater": greater, "less": less}
        for i, (greater, less) in enumerate(p_values)
    ]
    return [*found, {"first": "A", "second": "B", "greater": 0.0, "less": 1.0}]


@pytest.mark.parametrize(
    ("p_values", "kept", "rule", "outcome", "verdict"),
    [
        (
            [(0.001, 0.999), (0.04, 0.96)], "all", "greater", "hybrid",
            "Evidence for the hybrid: it beats every single block (p = 0.04; t, the larger p of 2 tests).",
        ),
        (
            [(0.02, 0.98)], "A", "greater", "hybrid",
            "Evidence for the hybrid: it beats every single block (p = 0.02; t, one test). By the means over the folds "
            "a single block is kept all the same.",
        ),
        (
            [(0.98, 0.02), (0.5, 0.5)], "A", "significant", "single",
            "Evidence for a single block: A is better than the hybrid (p = 0.04; t, Holm).",
        ),
        (
            [(0.97, 0.03), (0.5, 0.5)], "A", "significant", "open",
            "No evidence either way: that the hybrid beats every single block has p = 0.97 (t). The cheaper is kept: a "
            "single block.",
        ),
        (
            [(0.001, 0.999), (0.06, 0.94)], "all", "greater", "open",
            "No evidence either way: that the hybrid beats every single block has p = 0.06 (t). The rule 'greater' "
            "keeps the hybrid for its greater mean; a single block would be cheaper.",
        ),
        (
            [(None, None), (0.01, 0.99)], "A", "significant", "open",
            "No evidence either way, as no test can be made: the differences are the same in all folds. The cheaper is "
            "kept: a single block.",
        ),
    ],
)  # fmt: skip
def test_verdicts(p_values, kept, rule, outcome, verdict):
    """The larger p decides for the hybrid, Holm's for a single block; else nothing is known."""
    found = conclude(pairs(*p_values), "all", kept, test="t", rule=rule, alpha=0.05)
    assert (found["outcome"], found["verdict"]) == (outcome, verdict)
    assert found["p"] == (None if p_values[0][0] is None else max(greater for greater, _ in p_values))


def test_what_had_to_be_gained_is_said():
    """With min_gain both verdicts about the hybrid name it."""
    for p, words in [(0.01, "it beats every single block by more than 0.02 (p = 0.01"), (0.4, "by more than 0.02 has")]:
        found = conclude(pairs((p, 1 - p)), "all", "all", test="t", rule="greater", alpha=0.05, min_gain=0.02)
        assert words in found["verdict"]


def test_one_block():
    """Nothing to say."""
    found = conclude([], None, "A", test="t", rule="greater", alpha=0.05)
    assert found == {"outcome": "alone", "p": None, "verdict": "There is one block and nothing to compare it with."}


@pytest.mark.parametrize(
    ("p", "text"), [(1.0, "p = 1"), (0.04991, "p = 0.0499"), (0.0501, "p = 0.0501"), (0.0, "p < 0.001")]
)
def test_p_values_are_rounded_for_people(p, text):
    """Three figures, so that what is just above a level does not look like what is just below."""
    assert p_text(p) == text
