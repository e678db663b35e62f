"""The corpus: what every attack file is, and where it is entered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ATTACKS", "GOLDEN", "HARM", "Attack", "Harm", "attack"]

GOLDEN = Path(__file__).parents[2] / "cache" / "golden-v1.h5"
HARM = "HARM"


class Harm:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path.with_name(HARM),))


@dataclass(frozen=True)
class Attack:
    """One file: how it is made, what it tries, and what the refusal says."""

    make: Callable[[Path], None]
    reader: str
    file: str
    tries: str
    said: str


ATTACKS: dict[str, Attack] = {}


def attack(reader, file, tries, said):
    """Enter the decorated function, which writes the file at a path, into the corpus."""

    def enter(make):
        ATTACKS[make.__name__] = Attack(make, reader, file, tries, said)
        return make

    return enter
