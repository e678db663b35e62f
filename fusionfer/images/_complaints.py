"""What is wrong with a data set, collected and told once: as one error, or as a list of what was left out."""

from __future__ import annotations

from collections.abc import Sequence

from fusionfer.exceptions import DataError

__all__ = ["Complaint", "settle", "shorten"]

#: Id (or place) of a sample, and what is wrong with it.
Complaint = tuple[str, str]

_SHOWN = 5


def shorten(items: Sequence[str], shown: int = _SHOWN, separator: str = ", ") -> str:
    """Join the first few of `items`, and say how many more there are."""
    more = len(items) - shown
    return separator.join(items[:shown]) + (f"{separator}and {more:,} more" if more > 0 else "")


def settle(name: str, complaints: Sequence[Complaint], on_error: str) -> tuple[Complaint, ...]:
    """Raise if anything is wrong, or return what is left out with ``on_error="skip"``.

    Raises
    ------
    DataError
        With ``on_error="fail"``: how many complaints there are, and the first ones in full.
    """
    if complaints and on_error == "fail":
        told = shorten([f"{where}: {reason}" for where, reason in complaints], separator="; ")
        many = f"{len(complaints):,} problems" if len(complaints) > 1 else "1 problem"
        msg = f"{name}: {many}. {told}. Mend this, or leave such samples out with on_error='skip'."
        raise DataError(msg)
    return tuple(complaints)
