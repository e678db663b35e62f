"""Parts summed up to an estimate, with a margin for what none of them foresees."""

from __future__ import annotations

from collections.abc import Iterable

from fusionfer.memory import Estimate

__all__ = ["MARGIN", "summed"]

#: Share of the parts that comes on top: measured peaks were up to 12 % above the sum of what was foreseen.
MARGIN = 0.15
_NAME = "margin"


def summed(what: str, parts: Iterable[tuple[str, int]], seconds: float, *, known: int = 0) -> Estimate:
    """Sum up what a step consists of, and put the margin on top; margins that are among the parts are left out.

    Parameters
    ----------
    what : str
        The step.
    parts : iterable of (str, int)
        Name and bytes of each; those of another estimate may be among them.
    seconds : float
    known : int
        Bytes of the parts that are not guessed, such as what is held already: they need no margin.

    Returns
    -------
    Estimate

    Examples
    --------
    >>> summed("look", [("pictures", 1000), ("programs", 1000)], 1.0, known=1000).bytes
    2150
    """
    kept = [(name, int(n)) for name, n in parts if name != _NAME]
    guessed = max(0, sum(n for _, n in kept if n > 0) - known)
    return Estimate.of(what, [*kept, (_NAME, int(MARGIN * guessed))], seconds)
