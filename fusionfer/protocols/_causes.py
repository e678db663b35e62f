"""What makes a protocol's figure too good, and the protocol without it: one cause switched off after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fusionfer.protocols._material import Material
from fusionfer.protocols._protocol import Protocol, change_protocol

__all__ = ["CAUSES", "Cause", "Step", "steps_to_honest"]


@dataclass(frozen=True)
class Cause:
    """One reason for figures that say nothing about new faces.

    Attributes
    ----------
    name : str
    cure : dict
        What to set instead.
    allowed : callable
        Of the protocol: whether it allows the cause.
    shows : callable
        Of the material: whether these faces can show it.
    without : str
        Why it does not show where the protocol allows it, but the faces do not.
    """

    name: str
    cure: dict[str, Any]
    allowed: Callable[[Protocol], bool]
    shows: Callable[[Material], bool] = lambda material: True
    without: str = ""


#: In the order in which they are switched off: first those that hide the others.
CAUSES = (
    Cause(
        "scoring on training faces",
        {"score.on": "test"},
        lambda protocol: protocol.score.on == "train",
    ),
    Cause(
        "weights that know the pictures",
        {"data.known": "leave-out"},
        lambda protocol: protocol.data.known == "keep",
        lambda material: bool(material.known.any()),
        "no face is known to have trained the weights",
    ),
    Cause(
        "augmented copies on both sides",
        {"augmentation.when": "after-split"},
        lambda protocol: protocol.augmentation.when == "before-split" and protocol.split.groups == "ignore",
    ),
    Cause(
        "persons on both sides",
        {"split.groups": "respect"},
        lambda protocol: protocol.split.groups == "ignore",
        lambda material: material.has_groups,
        "no person is known in these faces",
    ),
    Cause(
        "duplicates across the split",
        {"cleaning.copies": "apart", "split.groups": "respect"},
        lambda protocol: protocol.cleaning.copies == "keep",
        lambda material: bool(material.copies),
        "no picture has a copy among these faces",
    ),
    Cause(
        "selection on the test faces",
        {"choice.by": "training"},
        lambda protocol: protocol.choice.by == "test",
    ),
)


@dataclass(frozen=True)
class Step:
    """One run on the way from a protocol to the honest one.

    Attributes
    ----------
    cause : str
        What was switched off last; empty for the protocol as it is.
    protocol : Protocol
    remaining : tuple of str
        Causes that still make the figure too good.
    """

    cause: str
    protocol: Protocol
    remaining: tuple[str, ...]


def steps_to_honest(protocol: Protocol, material: Material) -> tuple[list[Step], list[str]]:
    """Return the protocol as it is, then without one cause after the other, and notes on those that cannot show."""
    found, notes = [], []
    for cause in CAUSES:
        if cause.allowed(protocol):
            if cause.shows(material):
                found.append(cause)
            else:
                notes.append(f"The protocol allows {cause.name}, but {cause.without}.")
    names = tuple(cause.name for cause in found)
    steps = [Step("", protocol, names)]
    for number, cause in enumerate(found, start=1):
        changed = change_protocol(steps[-1].protocol, cause.cure)
        steps.append(Step(cause.name, changed, names[number:]))
    return steps, notes
