"""What the names of files and folders tell: the split, the person, and whether two labels are one."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fusionfer.exceptions import DataError, unknown_name

__all__ = ["NamePattern", "find_pattern", "fold", "map_classes", "merge_spellings", "parse_classes", "split_of", "stem"]

_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "publictest": "validation",
    "test": "test",
    "testing": "test",
    "privatetest": "test",
}


def split_of(name: str) -> str:
    """Return the split that a folder, or a cell of a manifest, names; an empty string if it names none.

    Examples
    --------
    >>> split_of("Training"), split_of("VAL"), split_of("PrivateTest"), split_of("happy")
    ('train', 'validation', 'test', '')
    """
    return _SPLITS.get(name.strip().lower(), "")


def stem(path: str) -> str:
    """Return the file name without folders and without its last ending."""
    return os.path.splitext(path.rsplit("/", 1)[-1])[0]  # noqa: PTH122  (called for each of 36,000 names)


@dataclass(frozen=True)
class NamePattern:
    """How a data set names its files.

    Attributes
    ----------
    data_set : str
    regex : re.Pattern
        Matches the whole stem; its group "group" is the person, and "label", if there is one, the expression.
    labels : mapping of str to str
        Full names of abbreviated labels.
    """

    data_set: str
    regex: re.Pattern[str]
    labels: Mapping[str, str]

    def read(self, name: str) -> tuple[str, str]:
        """Return person and label that a stem names; the label is empty where the pattern has none."""
        found = self.regex.fullmatch(name)
        if found is None:
            msg = f"{name!r} is not named like {self.data_set}."
            raise ValueError(msg)
        label = found.groupdict().get("label") or ""
        return found["group"], self.labels.get(label, label)


_JAFFE_LABELS = {
    "AN": "anger",
    "DI": "disgust",
    "FE": "fear",
    "HA": "happiness",
    "NE": "neutral",
    "SA": "sadness",
    "SU": "surprise",
}

_PATTERNS = (
    # Subject, sequence, frame: S010_004_00000017.
    NamePattern("CK+", re.compile(r"(?P<group>S\d{3})_\d{3}_\d{8}"), {}),
    # Person, expression and take, number: KA.AN1.39.
    NamePattern("JAFFE", re.compile(r"(?P<group>[A-Z]{2})\.(?P<label>AN|DI|FE|HA|NE|SA|SU)\d\.\d{1,3}"), _JAFFE_LABELS),
    # Character, expression, number: aia_anger_10.
    NamePattern(
        "FERG",
        re.compile(
            r"(?P<group>aia|bonnie|jules|malcolm|mery|ray)_(?P<label>anger|disgust|fear|joy|neutral|sadness|surprise)_\d+"
        ),
        {},
    ),
)


def find_pattern(names: Sequence[str]) -> NamePattern | None:
    """Return the pattern that every one of `names` (stems) follows, or None: one stranger and none is believed.

    Examples
    --------
    >>> find_pattern(["S010_004_00000017", "S011_001_00000016"]).data_set
    'CK+'
    >>> find_pattern(["S010_004_00000017", "holiday"]) is None
    True
    """
    if not names:
        return None
    return next((p for p in _PATTERNS if all(p.regex.fullmatch(name) for name in names)), None)


def fold(label: str) -> str:
    """Return what two spellings of one label have in common: neither case nor blanks count."""
    return "".join(unicodedata.normalize("NFC", label).split()).casefold()


def merge_spellings(labels: Iterable[str]) -> dict[str, str]:
    """Return for every spelling of a label the one that stands for all: the most frequent, else the first in order.

    Examples
    --------
    >>> merge_spellings(["Happy", "happy", "happy ", "sad", "happy"])
    {'Happy': 'happy', 'happy': 'happy', 'happy ': 'happy', 'sad': 'sad'}
    """
    counts = Counter(labels)
    trimmed: Counter[str] = Counter()
    for label, count in counts.items():
        trimmed[" ".join(label.split())] += count
    chosen: dict[str, str] = {}
    for label in sorted(trimmed, key=lambda label: (-trimmed[label], label)):
        chosen.setdefault(fold(label), unicodedata.normalize("NFC", label))
    return {label: chosen[fold(label)] for label in counts}


def parse_classes(text: str) -> dict[str, str]:
    """Read which labels to rename or to drop, as it is written on the command line.

    Parameters
    ----------
    text : str
        ``old=new`` pairs with commas between; ``old=`` drops the samples of that label.

    Returns
    -------
    dict
        From old label to new label; an empty new label drops.

    Raises
    ------
    DataError
        If a pair has no ``=``, no old label, or an old label comes twice.

    Examples
    --------
    >>> parse_classes("angry=negative, sad=negative, contempt=")
    {'angry': 'negative', 'sad': 'negative', 'contempt': ''}
    """
    classes: dict[str, str] = {}
    for pair in filter(None, (pair.strip() for pair in text.split(","))):
        old, equals, new = (part.strip() for part in pair.partition("="))
        if not equals or not old or old in classes:
            fault = "names a label twice" if old in classes else "is not of the form old=new, or old= to drop"
            msg = f"{pair!r} in the classes {text!r} {fault}. Write them like angry=negative,sad=negative,contempt="
            raise DataError(msg)
        classes[old] = new
    return classes


def map_classes(labels: Iterable[str], classes: Mapping[str, str]) -> dict[str, str]:
    """Return the new name of every label; labels that `classes` does not name keep theirs.

    Parameters
    ----------
    labels : iterable of str
        Those that occur, perhaps repeatedly; empty ones are passed over.
    classes : mapping of str to str
        From old label to new label, as `parse_classes` gives it. Neither case nor blanks of an old label count.

    Returns
    -------
    dict of str to str
        Every label that occurs -> its new name; an empty name drops it.

    Raises
    ------
    UnknownNameError
        If `classes` names a label that does not occur.
    """
    occurring = {label for label in labels if label}
    known = {fold(label) for label in occurring}
    for old in classes:
        if fold(old) not in known:
            raise unknown_name("label", old, occurring)
    folded = {fold(old): new.strip() for old, new in classes.items()}
    return {label: folded.get(fold(label), label) for label in occurring}
