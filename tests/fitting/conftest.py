"""Heads that take no time."""

import pytest

from fusionfer.heads import HEADS, Head


@pytest.fixture
def listed(monkeypatch):
    """Two quick heads of scikit-learn in the list: "bayes", with an alias and a search, and "plain" without."""
    entry = Head("bayes", "naive", "sklearn.naive_bayes:GaussianNB", ("nb",), {"var_smoothing": [1e-9, 1e3]})
    monkeypatch.setitem(HEADS, "bayes", entry)
    monkeypatch.setitem(HEADS, "plain", Head("plain", "logistic", "sklearn.linear_model:LogisticRegression"))
