"""How sure is it that one candidate is better than another: differences, their intervals, and tests."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fusionfer.selection._judging import Judged
from fusionfer.statistics import (
    Resampled,
    combined_f_5x2,
    corrected_resampled_t,
    holm,
    intersection_union,
    mcnemar,
    percentile_interval,
)

__all__ = ["LEVEL", "SAMPLES", "Weighing", "beaten_by", "beats_all", "plain", "with_holm"]

LEVEL = 0.95  # of all intervals
SAMPLES = 1000  # draws of the bootstrap

T_TEST, F_TEST, MCNEMAR, BOOTSTRAP = "corrected resampled t", "5x2 cv combined F", "McNemar mid-p", "paired bootstrap"

#: How often the one-sided test at 5 % over the predictions of five folds found a difference where there was none:
#: the largest of the settings of ``python -m benchmarks.accuracy.evidence``, whose table is in docs/statistics.md.
POOLED_ERROR_RATE = 0.055


@dataclass(frozen=True, eq=False)
class Weighing:
    """What is known of candidates, each with its best parameters, and the tests that follow from it.

    Attributes
    ----------
    scores : mapping of str to ndarray of shape (n_folds,)
        Score of each candidate on each fold: the singles, and the hybrid last if there are several singles.
    test_over_train : float or None
        Held-out rows of a fold by its training rows; None with one split.
    min_gain : float
        What the hybrid must gain.
    resampled : mapping of str to ndarray of shape (samples,), or None
        Score of each candidate on rows drawn again; None where single rows say nothing.
    right : mapping of str to ndarray of bool, shape (m,), or None
        Which held-out rows each candidate got right, where accuracy is compared and rows are independent.
    halves : mapping of str to ndarray of shape (5, 2), or None
        Scores of 5x2 cross-validation, where it was asked for.
    """

    scores: Mapping[str, np.ndarray]
    test_over_train: float | None
    min_gain: float
    resampled: Mapping[str, np.ndarray] | None
    right: Mapping[str, np.ndarray] | None
    halves: Mapping[str, np.ndarray] | None = None

    @classmethod
    def of(
        cls,
        scores: Mapping[str, np.ndarray],
        test_over_train: float | None,
        min_gain: float,
        judged: Judged | None,
        drawn: Resampled | None,
        columns: Mapping[str, int],
        halves: Mapping[str, np.ndarray] | None,
    ) -> Weighing:
        """Take from all that was judged and drawn what belongs to each candidate's best point (column of `drawn`)."""
        resampled = None if drawn is None else {name: drawn.inside[:, columns[name]] for name in scores}
        right = None
        if judged is not None and judged.measure == "accuracy" and judged.groups is None:
            right = {name: judged.of_column(columns[name]) == judged.y for name in scores}
        return cls(scores, test_over_train, min_gain, resampled, right, halves)

    @property
    def hybrid(self) -> str | None:
        """The candidate that all others are parts of; None where there is one candidate."""
        return list(self.scores)[-1] if len(self.scores) > 1 else None

    @property
    def test(self) -> str | None:
        """Name of the test that decides; None where no test can be made."""
        if self.halves is not None:
            return F_TEST
        if self.test_over_train is not None:
            return T_TEST
        if self.right is not None and self.min_gain == 0:
            return MCNEMAR
        return None if self.resampled is None else BOOTSTRAP

    def candidates(self) -> dict[str, dict[str, Any]]:
        """Score and interval of each candidate."""
        return {
            name: {"score": float(values.mean()), "interval": self._interval(name, None)}
            for name, values in self.scores.items()
        }

    def pairs(self) -> list[dict[str, Any]]:
        """All pairs, those with the hybrid first, as JSON can hold them; Holm's p-values are for all of them."""
        names = list(self.scores)
        order = [(names[-1], name) for name in names[:-1]] + list(itertools.combinations(names[:-1], 2))
        return with_holm([self.pair(first, second) for first, second in order])

    def pair(self, first: str, second: str) -> dict[str, Any]:
        """Difference of two candidates, and every test of it.

        Of the hybrid ``greater`` asks for more than `min_gain`; all else, also whether it is worse, is about 0.
        """
        margin = self.min_gain if first == self.hybrid else 0.0
        differences = np.asarray(self.scores[first]) - np.asarray(self.scores[second])
        tests: dict[str, dict[str, Any]] = {}
        p_values: dict[str, tuple[float, float, float]] = {}
        if self.test_over_train is not None:
            t = corrected_resampled_t(differences, self.test_over_train, level=LEVEL)
            more = corrected_resampled_t(differences, self.test_over_train, margin=margin)
            tests[T_TEST] = {
                "statistic": t.statistic,
                "df": t.df,
                "two_sided": t.two_sided,
                "interval": [t.low, t.high],
            }
            p_values[T_TEST] = (more.greater, t.less, t.two_sided)
        if self.halves is not None:
            f = combined_f_5x2(self.halves[first] - self.halves[second])
            beyond = combined_f_5x2(self.halves[first] - self.halves[second], margin=margin)
            tests[F_TEST] = {"statistic": f.statistic, "difference": f.difference, "two_sided": f.two_sided}
            p_values[F_TEST] = (beyond.greater, f.less, f.two_sided)
        if self.resampled is not None:
            drawn = self.resampled[first] - self.resampled[second]
            p_values[BOOTSTRAP] = (_tails(drawn, margin)[0], *_tails(drawn, 0.0)[1:])
            tests[BOOTSTRAP] = {"samples": len(self.resampled[first]), "two_sided": p_values[BOOTSTRAP][2]}
        if self.right is not None:
            one, two = self.right[first], self.right[second]
            m = mcnemar(int(np.sum(one & ~two)), int(np.sum(two & ~one)))
            tests["McNemar"] = {
                "first_only": m.first_only, "second_only": m.second_only, "exact": m.exact, "mid_p": m.mid_p,
            }  # fmt: skip
            if self.test_over_train is not None:
                tests["McNemar"] |= {"pooled": True, "simulated_error_rate": POOLED_ERROR_RATE}
            p_values[MCNEMAR] = (m.greater, m.less, m.mid_p)
        greater, less, two_sided = p_values.get(self.test or "", (math.nan,) * 3)
        found = {
            "first": first, "second": second, "difference": float(differences.mean()),
            "interval": self._interval(first, second),
            "greater": greater, "less": less, "two_sided": two_sided, "tests": tests,
        }  # fmt: skip
        return plain(found)

    def _interval(self, first: str, second: str | None) -> list[float] | None:
        """Bootstrap interval of a score, or of the difference of two."""
        if self.resampled is None:
            return None
        values = self.resampled[first] - (0 if second is None else self.resampled[second])
        return list(percentile_interval(values, level=LEVEL))


def beats_all(pairs: Sequence[Mapping[str, Any]], hybrid: str) -> float | None:
    """p-value of "the hybrid beats every single block by more than min_gain"; None where there is no test."""
    parts = [pair["greater"] for pair in pairs if pair["first"] == hybrid]
    return None if None in parts else intersection_union(parts)


def beaten_by(pairs: Sequence[Mapping[str, Any]], hybrid: str) -> tuple[str, float] | None:
    """The single block that is surest to be better than the hybrid, and the p-value of that, by Holm for all."""
    ours = [pair for pair in pairs if pair["first"] == hybrid]
    if any(pair["less"] is None for pair in ours):
        return None
    values = holm([pair["less"] for pair in ours])
    least = int(np.argmin(values))
    return ours[least]["second"], float(values[least])


def with_holm(pairs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same pairs, each with the p-value that holds for all of them at once."""
    if not pairs:
        return pairs
    values = holm([1.0 if pair["two_sided"] is None else pair["two_sided"] for pair in pairs])
    for pair, value in zip(pairs, values, strict=True):
        pair["holm"] = None if pair["two_sided"] is None else float(value)
    return pairs


def _tails(values: np.ndarray, margin: float) -> tuple[float, float, float]:
    """p-values of a resampled difference: how often it falls on the other side; the observed rows count as one draw."""
    greater = (1 + np.count_nonzero(values <= margin + 1e-12)) / (1 + len(values))
    less = (1 + np.count_nonzero(values >= margin - 1e-12)) / (1 + len(values))
    return greater, less, min(1.0, 2 * min(greater, less))


def plain(value: Any) -> Any:
    """The same with None for what is not a number, as JSON has it."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
