"""``fusionfer check-claims``: the findings in words, JSON, and exit code 5 for contradictions."""

import json

import pytest

MINE = """paper = "Mine"
unit = "percent"
[[reports]]
source = "table 1"
n = 90
classes.a = { recall = 50.0, support = 40 }
classes.b = { recall = 80.0, support = %d }
accuracy = %s
"""


@pytest.fixture
def table(tmp_path):
    """Return a function that writes a table with the support of b and the accuracy."""

    def write(support, accuracy):
        path = tmp_path / "mine.toml"
        path.write_text(MINE % (support, accuracy))
        return path

    return write


def test_a_paper_by_name(cli):
    """Each contradiction with where it stands, what it must be and why; exit 5."""
    outcome = cli("check-claims", "praveen-2025")
    assert outcome.code == 5
    assert outcome.out.count(" misses by ") == 3
    assert (
        "accuracy 94 % misses by 5.05 points\n    stands in     reported accuracy, as issue 6 quotes it\n"
        in outcome.out
    )
    assert "must be       88.35 to 88.45 %: the weighted recall is the accuracy\n" in outcome.out
    assert "follows from  weighted recall 88.4 %\n" in outcome.out
    assert "Figures: 3. Comparisons: 0 agree, 3 do not." in outcome.out
    assert "Not at hand: The class report" in outcome.out


def test_a_sound_table(cli, table):
    """40 x 50 % and 50 x 80 % of 90 are 66.67 %: exit 0."""
    outcome = cli("check-claims", table(50, "66.67"))
    assert outcome.code == 0
    assert outcome.out == "Mine\n\nFigures: 6. Comparisons: 5 agree, 0 do not.\n"


def test_counts_and_shares_in_their_units(cli, table):
    """A wrong accuracy in points, a wrong support in samples."""
    assert "accuracy 66.69 % misses by 0.018 points" in cli("check-claims", table(50, "66.69")).out
    outcome = cli("check-claims", table(45, "66.67"))
    assert outcome.code == 5
    assert "samples 90 misses by 5 samples" in outcome.out
    assert "must be       85: the supports add up to the samples" in outcome.out


def test_json(cli, table):
    """Findings and agreements, with numbers."""
    data = json.loads(cli("check-claims", table(50, "66.7"), "--json").out)
    assert (data["consistent"], data["findings"], len(data["agreements"])) == (True, [], 5)
    outcome = cli("check-claims", "malik-2025", "--json")
    (one,) = json.loads(outcome.out)["findings"]
    assert outcome.code == 5
    assert (one["claim"], one["because"]) == ("recall 68.98 %", "the same figure is stated twice")
    assert one["misses_by"] == pytest.approx(0.01125)


def test_errors_are_one_line(cli, tmp_path):
    """An unknown name, and a file that is none: exit 1."""
    assert cli("check-claims", "malik").code == 1
    assert "Did you mean 'malik-2025'?" in cli("check-claims", "malik").error
    assert "cannot be read" in cli("check-claims", tmp_path / "x.toml").error
