"""fit_heads: several heads on the same folds."""

import pytest
from sklearn.naive_bayes import GaussianNB

from fusionfer.exceptions import DataError, UnknownNameError
from fusionfer.fitting import fit, fit_heads


def test_heads_are_compared_on_the_same_folds(make_features, listed):
    """Each result is that of fit alone; the best mean wins, and its model holds the selections of all."""
    features = make_features()
    params = {"nb": {"var_smoothing": 1e6}}
    result = fit_heads(features, ["bayes", "plain"], params=params, cv=3, random_state=4)
    alone = {
        "bayes": fit(features, "bayes", params=params["nb"], cv=3, random_state=4),
        "plain": fit(features, "plain", cv=3, random_state=4),
    }
    means = {}
    for name, found in alone.items():
        assert result.results[name].model.selection == found.model.selection
        means[name] = found.selector.mean_scores_[found.selector.selected_]
    assert means["plain"] > means["bayes"]
    assert result.best == "plain"
    selection = result.model.selection
    assert {name: selection["heads"][name]["scores"] for name in means} == {
        name: found.model.selection["scores"] for name, found in alone.items()
    }
    assert selection["selected"] == alone["plain"].selector.selected_
    assert selection["reason"] == (
        f"Of 2 heads plain is best ({means['plain']:.4f} on {alone['plain'].selector.selected_}), before "
        f"bayes ({means['bayes']:.4f} on {alone['bayes'].selector.selected_}). {alone['plain'].selector.reason_}"
    )
    assert result.model.training["head"] == "plain"


def test_of_equal_heads_the_first_is_kept(make_features):
    """Twins of different names score the same; the order decides, and the sentence says so."""

    class Twin(GaussianNB):
        pass

    result = fit_heads(make_features(), [GaussianNB(), Twin()], cv=3)
    assert result.best == "GaussianNB"
    assert "; of equals the first. Kept " in result.model.selection["reason"]
    assert fit_heads(make_features(), [Twin(), GaussianNB()], cv=3).best == "Twin"


def test_one_head_is_fit(make_features, listed):
    """Nothing is added where there is nothing to compare."""
    result = fit_heads(make_features(), ["plain"], cv=3)
    assert result.model.selection == fit(make_features(), "plain", cv=3).model.selection


def test_progress_names_the_head(make_features, listed):
    """With several heads each has its own bars."""
    for heads, first in [(["plain", "bayes"], "plain, left"), (["plain"], "left")]:
        whats = []
        fit_heads(make_features(), heads, cv=3, progress=lambda done, total, what: whats.append(what))  # noqa: B023
        assert whats[0] == first


@pytest.mark.parametrize(
    ("heads", "options", "error", "message"),
    [
        ([], {}, DataError, r"Name at least one head, and each once; got none\."),
        (["nb", "bayes"], {}, DataError, r"Name at least one head, and each once; got bayes, bayes\."),
        (["bayes", "plan"], {}, UnknownNameError, r"Unknown head 'plan'\. .*Did you mean 'plain'"),
        (["bayes", "plain"], {"params": {"plain": {"c": 1}}}, UnknownNameError, r"head 'plain': 'c'.*mean 'C'"),
        (["bayes"], {"params": {"plain": {}}}, UnknownNameError, r"head to set parameters of: 'plain'.*fit: bayes\."),
    ],
)
def test_wrong_heads_are_refused_before_any_work(make_features, listed, monkeypatch, heads, options, error, message):
    """Named twice, unknown, or with an unknown parameter."""
    monkeypatch.setattr(GaussianNB, "fit", None)
    with pytest.raises(error, match=message):
        fit_heads(make_features(), heads, **options)


def test_the_winner_is_weighed_against_the_other_heads(make_features, listed):
    """The evidence of the best head, with the pairs of heads, and the optimism of all that was tried."""
    result = fit_heads(make_features(), ["bayes", "plain"], cv=3)
    evidence, alone = (
        found["evidence"] for found in (result.model.selection, result.results[result.best].model.selection)
    )
    assert evidence["pairs"] == alone["pairs"]
    (pair,) = evidence["heads"]
    assert pair["first"].startswith(f"{result.best} on ")
    assert evidence["optimism"]["configurations"] == 2 * alone["optimism"]["configurations"] == 6
    assert "heads" not in alone
