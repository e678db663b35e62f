"""From mean scores to a winner, and to the sentence that says why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Significance", "decide", "p_text", "params_text"]


class Significance(NamedTuple):
    """What a test says of the hybrid.

    Attributes
    ----------
    holds : bool
        Whether the hybrid beats every single block at the level.
    alpha : float
        The level.
    said : str
        The p-value and the test, for the sentence.
    """

    holds: bool
    alpha: float
    said: str

    @classmethod
    def of(cls, p: float | None, test: str | None, alpha: float) -> Significance:
        """From the p-value of "the hybrid beats every single block"; None where no test could be made."""
        if p is None:
            why = "of this scoring on one split" if test is None else "where the differences do not vary"
            return cls(False, alpha, f"no test {why}")
        return cls(p <= alpha, alpha, f"{p_text(p)}, {test}")


def decide(
    means: Mapping[str, float],
    widths: Mapping[str, int],
    params: Mapping[str, Mapping[str, Any]],
    *,
    min_gain: float,
    measure: str,
    judged: str,
    significance: Significance | None = None,
) -> tuple[str, str]:
    """Choose among candidates.

    Parameters
    ----------
    means : mapping of str to float
        Mean score of each candidate: the singles, and the hybrid last if there is more than one single.
    widths : mapping of str to int
        Number of columns of each candidate.
    params : mapping of str to mapping
        Parameters that the search chose for each candidate; empty without a search.
    min_gain : float
        What the hybrid must gain over the best single.
    measure : str
        What the means are called.
    judged : str
        By what, as "over 5 folds".
    significance : Significance, optional
        What the test of the hybrid said, where it must be significantly better.

    Returns
    -------
    selected, reason : str
        The winner's name, and one sentence with figures.

    Examples
    --------
    >>> decide({"a": 0.5}, {"a": 3}, {"a": {"C": 0.1}}, min_gain=0.0, measure="mean accuracy", judged="over 5 folds")
    ('a', 'Kept a with C=0.1: the only block, mean accuracy 0.500 over 5 folds.')
    """
    figure = _figures(means)
    chosen = {name: params_text(values) for name, values in params.items()}
    # What stands in brackets behind a rival: its score, and the parameters that it was given.
    rated = {name: ", ".join(filter(None, (figure[name], chosen[name]))) for name in means}
    singles = list(means) if len(means) == 1 else list(means)[:-1]
    single = min(singles, key=lambda name: (-means[name], widths[name]))
    rest = [name for name in singles if name != single]

    def kept(name: str) -> str:
        return f"Kept {name} with {chosen[name]}" if chosen[name] else f"Kept {name}"

    if not rest:
        return single, f"{kept(single)}: the only block, {measure} {figure[single]} {judged}."
    hybrid = list(means)[-1]
    wins = means[hybrid] - means[single] > min_gain + 1e-12
    more = f"by more than {min_gain:g}"
    if significance is not None:
        wins = wins and significance.holds
        more += f" at the level of {significance.alpha:g} ({significance.said})"
    if wins:
        beaten = _listed([f"{name} ({rated[name]})" for name in singles])
        figures = f"{measure} {figure[hybrid]} {judged}"
        return hybrid, f"{kept(hybrid)}: {figures} beats {beaten} {more}."
    others = _listed([f"{name} reaches {figure[name]}{chosen[name] and f' ({chosen[name]})'}" for name in rest])
    even = [name for name in rest if means[name] == means[single]]
    tie = f"; of equals the one with fewer columns ({widths[single]})" if even else ""
    return single, (
        f"{kept(single)}: {measure} {figure[single]} {judged}; {hybrid} ({rated[hybrid]}) does not "
        f"beat {'every single block' if significance else 'it'} {more}, and {others}{tie}."
    )


def p_text(p: float) -> str:
    """Write a p-value with three figures.

    Examples
    --------
    >>> [p_text(p) for p in (0.2468, 0.0123, 0.00004)]
    ['p = 0.247', 'p = 0.0123', 'p < 0.001']
    """
    return "p < 0.001" if p < 0.001 else f"p = {float(f'{p:.3g}'):g}"


def params_text(params: Mapping[str, Any]) -> str:
    """Write parameters as they would be typed.

    Parameters
    ----------
    params : mapping of str to object
        Values by name.

    Returns
    -------
    str
        Empty if there are none.

    Examples
    --------
    >>> params_text({"C": np.float64(0.1), "loss": "hinge"})
    "C=0.1, loss='hinge'"
    """
    return ", ".join(
        f"{name}={value.item() if isinstance(value, np.generic) else value!r}" for name, value in params.items()
    )


def _figures(means: Mapping[str, float]) -> dict[str, str]:
    """Write the means with three decimals, or as many more as it takes to tell different ones apart."""
    for digits in range(3, 10):
        figures = {name: f"{mean:.{digits}f}" for name, mean in means.items()}
        if len(set(figures.values())) == len(set(means.values())):
            break
    return figures


def _listed(parts: list[str]) -> str:
    """Join as in a sentence."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
