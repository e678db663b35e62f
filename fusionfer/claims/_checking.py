"""Every stated figure beside what the others make of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from fusionfer.claims._intervals import Interval
from fusionfer.claims._reading import read_claims
from fusionfer.claims._rules import derive
from fusionfer.claims._stating import Paper, Statement, System

__all__ = ["Check", "Comparison", "check_claims"]


@dataclass(frozen=True)
class Comparison:
    """A claim, and what follows from the other figures.

    Attributes
    ----------
    system : str
        Of which predictions; "" where the paper speaks of one set only.
    claim : str
        Name and printed value.
    source : str
        Where it stands.
    claimed, follows : tuple of float
        From where to where: what was rounded to the claim, and what it must be. Shares from 0 to 1, or counts.
    inputs : tuple of str
        What it follows from.
    because : str
        The rule.
    misses_by : float
        Between the two, 0 where they meet: by so much the claim is wrong, whatever was rounded how.
    counts : bool
        Whether these are samples instead of shares.
    """

    system: str
    claim: str
    source: str
    claimed: tuple[float, float]
    follows: tuple[float, float]
    inputs: tuple[str, ...]
    because: str
    misses_by: float
    counts: bool = False

    @property
    def agrees(self) -> bool:
        """Whether both can be true."""
        return self.misses_by == 0


@dataclass(frozen=True)
class Check:
    """What came of testing a paper's figures against each other.

    Attributes
    ----------
    paper : Paper
    comparisons : tuple of Comparison
        All that could be made.
    """

    paper: Paper
    comparisons: tuple[Comparison, ...]

    @property
    def findings(self) -> tuple[Comparison, ...]:
        """Comparisons that do not agree, the worst first."""
        return tuple(sorted((one for one in self.comparisons if not one.agrees), key=lambda one: -one.misses_by))

    @property
    def n_figures(self) -> int:
        """How many figures are stated, cells of matrices included."""
        return sum(
            len(one.statements) + sum(len(matrix.rows) ** 2 for matrix in one.confusions) for one in self.paper.systems
        )

    def describe(self) -> dict[str, Any]:
        """All of it, as JSON knows it."""

        def shown(one: Comparison) -> dict[str, Any]:
            return {
                "of": one.system,
                "claim": one.claim,
                "source": one.source,
                "claimed": list(one.claimed),
                "follows": list(one.follows),
                "from": list(one.inputs),
                "because": one.because,
                "misses_by": one.misses_by,
            }

        return {
            "name": self.paper.name,
            "paper": self.paper.title,
            "missing": self.paper.missing,
            "n_figures": self.n_figures,
            "consistent": not self.findings,
            "findings": [shown(one) for one in self.findings],
            "agreements": [shown(one) for one in self.comparisons if one.agrees],
        }


def check_claims(paper: str | Path | Paper) -> Check:
    """Test whether the figures of a paper can all be true.

    A printed figure stands for all that could have been rounded to it: 98.96 for 98.955 to 98.965. Where a figure
    follows from others, so does an interval; if it does not meet the claimed one, no rounding explains it. Fractions
    are exact, and bounds are such that a table that was computed from any one confusion matrix is never blamed.

    Parameters
    ----------
    paper : str, path or Paper
        A name of `TABLES`, a TOML file, or what `read_claims` returned.

    Returns
    -------
    Check

    Raises
    ------
    UnknownNameError
        If there is no such table.
    DataError
        If the file cannot be read, or holds anything but figures.

    References
    ----------
    .. [1] Brown, N. J. L., Heathers, J. A. J. (2017). The GRIM test: a simple technique detects numerous anomalies in
       the reporting of results in psychology. Social Psychological and Personality Science 8(4), 363-369.
    .. [2] Opitz, J., Burst, S. (2019). Macro F1 and macro F1. arXiv:1911.03347.

    Examples
    --------
    >>> for finding in check_claims("singh-mandloi-2025").findings:
    ...     print(finding.claim, "|", finding.because, "|", f"{100 * finding.misses_by:.2f} points")
    recall 98.21 % | recall and sensitivity are one figure | 1.95 points
    """
    read = paper if isinstance(paper, Paper) else read_claims(paper)
    return Check(read, tuple(one for system in read.systems for one in _compare(system)))


def _compare(system: System) -> Iterator[Comparison]:
    stated: dict[Any, list[Statement]] = {}
    for one in system.statements:
        if one.value is not None:
            stated.setdefault(one.figure, []).append(one)
    for several in stated.values():
        for one, other in combinations(several, 2):
            because = "the same figure is stated twice"
            if one.called != other.called:
                because = f"{one.called} and {other.called} are one figure"
            yield _comparison(system, one, other.value, (f"{other.label} ({other.source})",), because)
    for derived in derive(system):
        for claim in [derived.claim] if derived.claim else stated.get(derived.figure, []):
            value = claim.value
            if value is not None and derived.values:
                nearest = min(derived.values, key=value.gap)
                yield _comparison(system, claim, nearest, derived.inputs, derived.because)


def _comparison(
    system: System, claim: Statement, follows: Interval | None, inputs: tuple[str, ...], because: str
) -> Comparison:
    claimed = claim.value
    if claimed is None or follows is None:
        msg = f"{claim.label} is undefined and cannot be compared."
        raise ValueError(msg)
    ends = tuple((float(one.low), float(one.high)) for one in (claimed, follows))
    missed, counts = float(claimed.gap(follows)), claim.figure.name in ("support", "n")
    return Comparison(system.name, claim.label, claim.source, ends[0], ends[1], inputs, because, missed, counts)
