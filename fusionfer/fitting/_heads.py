"""Several heads on the same folds, and the best of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fusionfer.exceptions import DataError, unknown_name
from fusionfer.features import Features
from fusionfer.fitting._fit import FitResult, fit, head_label
from fusionfer.heads import make_head
from fusionfer.persistence import Model
from fusionfer.selection import compare_winners

__all__ = ["HeadsResult", "fit_heads"]


@dataclass(frozen=True)
class HeadsResult:
    """Several heads, compared on the same folds.

    Attributes
    ----------
    results : dict of str to FitResult
        Head -> what `fit` gave.
    best : str
        The head whose winner has the highest mean score; of equals the one that was named first.
    model : Model
        That winner. With several heads its ``selection`` holds those of all under ``heads``, the reason names them, and
        the evidence holds the pairs of this head with the others, too.
    notes : tuple of str
        The notes of all heads, each once.
    """

    results: dict[str, FitResult]
    best: str
    model: Model
    notes: tuple[str, ...]


def fit_heads(
    features: Features,
    heads: Sequence[Any],
    *,
    params: Mapping[str, Mapping[str, Any]] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
    **options: Any,
) -> HeadsResult:
    """Run `fit` for several heads on the same folds, and find the best.

    Parameters
    ----------
    features : Features
        With labels.
    heads : sequence of str or scikit-learn classifiers
        Names of ``fusionfer.heads.HEADS``, or any classifiers; each once. A classifier is called by its class.
    params : mapping of str to mapping, optional
        Name of a head -> its parameters.
    progress : callable, optional
        Called as ``progress(done, total, what)``; with several heads `what` begins with the head.
    **options
        The other parameters of `fit`.

    Returns
    -------
    HeadsResult

    Raises
    ------
    DataError
        If no head is named, one is named twice, or as `fit` raises it.
    UnknownNameError
        As `fit` raises it, before anything is fitted.

    Notes
    -----
    The best of several heads was chosen by the folds, too, so that its mean score is a little too good;
    ``selection["evidence"]["optimism"]`` says by how much. Rows that took no part give the figure to report.
    """
    given = {head_label(head): head for head in heads}
    if len(given) < len(heads) or not given:
        msg = f"Name at least one head, and each once; got {', '.join(map(head_label, heads)) or 'none'}."
        raise DataError(msg)
    settings = {head_label(name): dict(values) for name, values in (params or {}).items()}
    for name in settings:
        if name not in given:
            raise unknown_name("head to set parameters of:", name, given, plural="heads of this fit")
    for name, head in given.items():  # a wrong name should not come out after the first head's work
        make_head(head, **settings.get(name, {}))
    several = len(given) > 1
    results = {
        name: fit(
            features, head, params=settings.get(name), progress=_prefixed(progress, name) if several else progress,
            **options,
        )
        for name, head in given.items()
    }  # fmt: skip
    means = {name: found.selector.mean_scores_[found.selector.selected_] for name, found in results.items()}
    best = max(means, key=lambda name: means[name])
    model = results[best].model
    if several:
        reason = f"{_head_reason(best, means, results)} {model.selection['reason']}"
        every = {name: found.model.selection for name, found in results.items()}
        among = compare_winners({name: found.selector for name, found in results.items()}, best)
        evidence = {**model.selection["evidence"], **among}
        model = replace(model, selection={**model.selection, "reason": reason, "evidence": evidence, "heads": every})
    notes = dict.fromkeys(note for found in results.values() for note in found.notes)
    return HeadsResult(results, best, model, tuple(notes))


def _head_reason(best: str, means: Mapping[str, float], results: Mapping[str, FitResult]) -> str:
    """Say in one sentence why this head."""
    rated = {name: f"{means[name]:.4f} on {found.selector.selected_}" for name, found in results.items()}
    others = ", ".join(f"{name} ({text})" for name, text in rated.items() if name != best)
    tie = "; of equals the first" if list(means.values()).count(means[best]) > 1 else ""
    return f"Of {len(means)} heads {best} is best ({rated[best]}), before {others}{tie}."


def _prefixed(progress: Callable[[int, int, str], None] | None, name: str) -> Callable[[int, int, str], None] | None:
    if progress is None:
        return None
    return lambda done, total, what: progress(done, total, f"{name}, {what}")
