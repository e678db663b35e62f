"""FER+: ten annotators' votes for each face of FER-2013, and the labels that their majority gives."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from fusionfer.exceptions import DataError, FusionferWarning, unknown_name
from fusionfer.images._ceiling import VoteCeiling, label_ceiling
from fusionfer.images._complaints import shorten
from fusionfer.images._faceset import FaceSet
from fusionfer.images._manifest import Table, read_table
from fusionfer.images._names import fold, split_of, stem
from fusionfer.images._soft_labels import SoftLabels, vote_shares

__all__ = ["FerPlus", "read_ferplus", "relabel_ferplus"]

_COLUMNS = (
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF",
)  # fmt: skip
_EMOTIONS = _COLUMNS[:8]
_USAGES = ("Training", "PublicTest", "PrivateTest")
_ANNOTATORS = 10
_VOTES = re.compile(r"[0-9]{1,2}")
_ENOUGH = 30  # faces, to tell whether labels agree

#: What FER-2013 calls otherwise.
_OTHER_NAMES = {"angry": "anger", "happy": "happiness", "sad": "sadness"}

_PATH = re.compile(r"(?P<usage>Training|PublicTest|PrivateTest)_(?P<row>\d{1,9})")
_ROW = re.compile(r"fer2013:(?P<row>\d{1,9})")


@dataclass(frozen=True, eq=False)
class FerPlus:
    """The votes of FER+ [1]_: one row for each row of the official ``fer2013.csv``, in its order.

    Attributes
    ----------
    votes : ndarray of int64, shape (n, 10)
        How many of ten annotators chose each of `columns`.
    usages : ndarray of str, shape (n,)
        "Training", "PublicTest" or "PrivateTest".
    images : ndarray of str, shape (n,)
        Names of the pictures that Microsoft's script writes (``fer0000059.png``); empty for rows that FER+ leaves out
        as no faces. They do **not** count the rows: row 60 is ``fer0000059.png``.
    columns : tuple of str
        The eight emotions (`emotions`), then "unknown" and "NF" (not a face).
    name : str
        Where the votes came from; used in messages only.

    References
    ----------
    .. [1] E. Barsoum, C. Zhang, C. Canton Ferrer and Z. Zhang, "Training deep networks for facial expression
       recognition with crowd-sourced label distribution", ICMI 2016; https://github.com/microsoft/FERPlus.
    """

    columns: ClassVar[tuple[str, ...]] = _COLUMNS
    emotions: ClassVar[tuple[str, ...]] = _EMOTIONS

    votes: np.ndarray
    usages: np.ndarray
    images: np.ndarray
    name: str = "FER+"

    def __len__(self) -> int:
        return len(self.votes)

    def majority(self) -> np.ndarray:
        """Return the label of each row by the rule "majority" of FER+'s own code.

        A choice that only one annotator made does not count. Of the votes that are left, more than half must be for
        one choice, which is the label; it may be "unknown" or "NF". That is ``_process_data`` of ``src/ferplus.py``
        in [1]_. Majority voting in the usual sense, as the paper is mostly read, takes the choice with the most votes:
        the code also strikes out single votes, and gives no label where no choice has more than half.

        Returns
        -------
        ndarray of str, shape (n,)
            One of `columns`, or empty where there is no majority.

        References
        ----------
        .. [1] Microsoft, FERPlus, the code of Barsoum et al. (ICMI 2016), https://github.com/microsoft/FERPlus.

        Examples
        --------
        >>> import numpy as np
        >>> votes = np.array([[4, 0, 0, 1, 3, 2, 0, 0, 0, 0], [5, 0, 0, 3, 1, 0, 0, 0, 1, 0], [0] * 8 + [3, 7]])
        >>> FerPlus(votes, np.array(["Training"] * 3), np.array([""] * 3)).majority().tolist()
        ['', 'neutral', 'NF']
        """
        counted = np.where(self.votes > 1, self.votes, 0)
        clear = 2 * counted.max(axis=1) > counted.sum(axis=1)
        return np.where(clear, np.array(_COLUMNS)[counted.argmax(axis=1)], "")

    def shares(self, rule: str) -> np.ndarray:
        """Return the share of each of `emotions` in each row, by one of the rules of `vote_shares`.

        Returns
        -------
        ndarray of float64, shape (n, 8)
            Rows sum to 1, or are 0 where the rule gives no label.
        """
        return vote_shares(self.votes, rule, len(_EMOTIONS))

    def soft_labels(self, faces: FaceSet, rule: str) -> SoftLabels:
        """Return the shares of those `faces` that have some, by a rule of `vote_shares` other than "majority"."""
        shares = self.shares(rule)[self.find(faces.ids, faces.splits)]
        known = shares.sum(axis=1) > 0
        return SoftLabels(tuple(faces.ids[known].tolist()), _EMOTIONS, shares[known], rule, self.name)

    def votes_for(
        self, classes: Sequence[str], ids: Iterable[str], splits: Sequence[str] | np.ndarray | None = None
    ) -> np.ndarray:
        """Return how many annotators chose each of `classes`, which may be called as FER-2013 calls them.

        Parameters
        ----------
        classes : sequence of str
            Emotions: "anger" or "angry", "happiness" or "happy", "sadness" or "sad".
        ids, splits
            As in `find`.

        Returns
        -------
        ndarray of int64, shape (len(ids), len(classes))

        Raises
        ------
        UnknownNameError
            If a class is none of `emotions`.
        DataError
            As in `find`.
        """
        names = [_OTHER_NAMES.get(fold(one), fold(one)) for one in classes]
        for name, written in zip(names, classes, strict=True):
            if name not in _EMOTIONS:
                raise unknown_name("emotion of FER+", written, [*_EMOTIONS, *_OTHER_NAMES], plural="emotions")
        return self.votes[self.find(ids, splits)][:, [_COLUMNS.index(name) for name in names]]

    def ceiling(self, classes: Sequence[str], ids: Sequence[str], **answers: Sequence[str]) -> VoteCeiling:
        """Tell how often answers to faces agree with their votes, and how often any could; see `label_ceiling`.

        Parameters
        ----------
        classes : sequence of str
            That can be answered; see `votes_for`.
        ids : sequence of str, length n
        **answers : sequence of str, length n
            By name (``predictions=...``, ``labels=...``): one of the classes for each face.

        Raises
        ------
        UnknownNameError
            If an answer is none of the classes, or a class none of `emotions`.
        DataError
            As in `find`, or if no face has two votes.
        """
        place = {str(name): k for k, name in enumerate(classes)}
        for one in sorted({str(one) for said in answers.values() for one in said} - set(place)):
            raise unknown_name("answer", one, place)
        given = {name: np.array([place[str(one)] for one in said]) for name, said in answers.items()}
        return label_ceiling(self.votes_for(classes, ids), given)

    def find(self, ids: Iterable[str], splits: Sequence[str] | np.ndarray | None = None) -> np.ndarray:
        """Return the row of each face, so that ``votes[find(faces.ids)]`` are the votes of the faces.

        Parameters
        ----------
        ids : iterable of str
            Of a `FaceSet` or of `Features`. Read are the number in ``Training_<row>``, ``PublicTest_<row>`` and
            ``PrivateTest_<row>`` (with any ending and folder) and in ``fer2013:<row>``, and names that stand in
            `images`.
        splits : sequence of str, optional
            Splits of ``fer2013:<row>``, whose names do not say their usage, to be compared with `usages`.

        Returns
        -------
        ndarray of int64, shape (len(ids),)

        Raises
        ------
        DataError
            If any id names no row, or a row of another usage.
        """
        # Four names stand in two rows. Microsoft's script writes both pictures to one file, so the later one is there.
        by_image = {stem(image): row for row, image in enumerate(self.images.tolist()) if image}
        rows: list[int] = []
        complaints: list[str] = []
        names = list(ids)
        for name, split in zip(names, [""] * len(names) if splits is None else splits, strict=True):
            try:
                rows.append(self._find_one(str(name), str(split), by_image))
            except ValueError as error:
                complaints.append(f"{name}: {error}")
        if complaints:
            msg = (
                f"{self.name}: {len(complaints):,} of {len(names):,} faces do not fit its {len(self):,} rows. "
                f"{shorten(complaints, separator='; ')}. FER+ labels the faces of FER-2013 alone, by the row of "
                "fer2013.csv in Training_<row>.png or fer2013:<row>, or by names such as fer0000059.png."
            )
            raise DataError(msg)
        return np.array(rows, dtype=np.int64)

    def _find_one(self, name: str, split: str, by_image: dict[str, int]) -> int:
        last = stem(name)
        found = _PATH.fullmatch(last) or _ROW.fullmatch(name)
        if found is None:
            if last not in by_image:
                msg = "names no row of FER-2013"
                raise ValueError(msg)
            return by_image[last]
        row = int(found["row"])
        if row >= len(self):
            msg = f"there is no row {row} (rows are 0 to {len(self) - 1})"
            raise ValueError(msg)
        said = found.groupdict().get("usage") or split
        if said and split_of(said) != split_of(self.usages[row]):
            msg = f"is of {said}, but row {row} of {self.usages[row]}"
            raise ValueError(msg)
        return row


def read_ferplus(path: str | Path) -> FerPlus:
    r"""Read the votes of FER+, ``fer2013new.csv``.

    Parameters
    ----------
    path : str or Path
        A CSV with the columns Usage, Image name (may be missing), neutral, happiness, surprise, sadness, anger,
        disgust, fear, contempt, unknown and NF, in any order; row i is of row i of ``fer2013.csv``.

    Raises
    ------
    DataError
        If the file cannot be read, lacks a column, or any row is wrong; line numbers count from 1, the header
        included. An empty line is wrong, too, as rows are known by their place.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "fer2013new.csv")
    ...     head = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
    ...     _ = path.write_text(head + "\nTraining,fer0000000.png,4,0,0,1,3,2,0,0,0,0\n")
    ...     ferplus = read_ferplus(path)
    >>> dict(zip(ferplus.columns, ferplus.votes[0].tolist()))["anger"]
    3
    """
    try:
        table = read_table(Path(path).read_bytes(), str(path))
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}."
        raise DataError(msg) from error
    at = _find_columns(table)
    complaints: list[str] = []
    votes: list[list[int]] = []
    for place, (line, cells) in enumerate(table.rows, start=2):
        if line != place:
            complaints.append(f"line {line - 1} is empty, or a row fills two: rows are known by their place")
            break
        try:
            votes.append(_read_row(cells, at, len(table.header)))
        except ValueError as error:
            complaints.append(f"line {line}: {error}")
    if not table.rows:
        complaints.append("there is no row below the header")
    if complaints:
        msg = (
            f"{path} is not as FER+ publishes it: {shorten(complaints, separator='; ')}. Take its fer2013new.csv anew."
        )
        raise DataError(msg)
    return FerPlus(
        votes=np.array(votes, dtype=np.int64),
        usages=np.array([cells[at["usage"]] for _, cells in table.rows], dtype=np.str_),
        images=np.array([cells[at["image name"]] if "image name" in at else "" for _, cells in table.rows]),
        name=str(path),
    )


def _find_columns(table: Table) -> dict[str, int]:
    """Return the positions of the columns by their names in lower case; the name of the image may be lacking."""
    at = {name.lower(): i for i, name in enumerate(table.header)}
    missing = [name for name in ("Usage", *_COLUMNS) if name.lower() not in at]
    if missing:
        msg = (
            f"{table.name} is no file of FER+: it has no column {', '.join(missing)}. fer2013new.csv has Usage, "
            f"Image name, {', '.join(_COLUMNS)}. The first line reads: {shorten([c[:100] for c in table.header], 12)}."
        )
        raise DataError(msg)
    return at


def _read_row(cells: Sequence[str], at: Mapping[str, int], width: int) -> list[int]:
    """Return the votes of a row, or raise ValueError with what is wrong with it."""
    if len(cells) != width:
        msg = f"{len(cells)} cells instead of {width}"
        raise ValueError(msg)
    usage, written = cells[at["usage"]], [cells[at[name.lower()]] for name in _COLUMNS]
    if usage not in _USAGES:
        msg = f"Usage {usage!r} is not one of {', '.join(_USAGES)}"
        raise ValueError(msg)
    votes = [int(cell) if _VOTES.fullmatch(cell) else -1 for cell in written]
    if min(votes) < 0:
        msg = f"{written[votes.index(-1)]!r} is no number of votes"
        raise ValueError(msg)
    # One row of the published file has nine.
    if not 1 <= sum(votes) <= _ANNOTATORS:
        msg = f"{sum(votes)} votes; there were {_ANNOTATORS} annotators"
        raise ValueError(msg)
    return votes


def relabel_ferplus(faces: FaceSet, path: str | Path, targets: str = "majority") -> FaceSet:
    """Give faces of FER-2013 the labels of FER+.

    The label is what the majority of the annotators chose (`FerPlus.majority`). Faces whose majority is "unknown" or
    "NF" (not a face), and those without a majority, are left out; a note says how many. Pictures, ids, splits and
    groups stay as they are; where no face has a split, the usage of the row becomes it.

    Parameters
    ----------
    faces : FaceSet
        Of FER-2013; see `FerPlus.find` for how rows are found. Relabel before you draw splits.
    path : str or Path
        FER+'s ``fer2013new.csv``.
    targets : {"majority", "probabilistic", "multi-target"}
        With another rule than the majority, faces of the split train that have shares by it (`vote_shares`) but no
        majority stay, too, labelled with the largest share. What is judged by is the majority in any case, as in FER+.

    Returns
    -------
    FaceSet
        With the labels neutral, happiness, surprise, sadness, anger, disgust, fear and contempt.

    Raises
    ------
    DataError
        If the file cannot be read, any face fits no row, or no face has a label.

    Warns
    -----
    FusionferWarning
        If faces keep their emotion no more often than by chance: then the numbers in their names are probably not
        rows of fer2013.csv.
    """
    ferplus = read_ferplus(path)
    row = ferplus.find(faces.ids, faces.splits)
    new = ferplus.majority()[row]
    splits = faces.splits
    if not np.any(splits != ""):
        splits = np.array([split_of(usage) for usage in ferplus.usages[row].tolist()], dtype=np.str_)
    added = np.zeros(len(faces), dtype=bool)
    if targets != "majority":
        shares = ferplus.shares(targets)[row]
        added = (splits == "train") & ~np.isin(new, _EMOTIONS) & (shares.sum(axis=1) > 0)
        new = np.where(added, np.array(_EMOTIONS)[shares.argmax(axis=1)], new)
    kept = np.isin(new, _EMOTIONS)
    n = f"{len(faces):,} faces"
    said = f"no majority {int(np.sum(new == '')):,}, unknown {int(np.sum(new == 'unknown')):,}, "
    said += f"not a face {int(np.sum(new == 'NF')):,}"
    if not kept.any():
        msg = f"{path} has a label for none of the {n} of {faces.name} ({said})."
        raise DataError(msg)
    note = f"Labels of FER+ by majority: {int(kept.sum()):,} of {n}; left out: {said}."
    if targets != "majority":
        note = f"{note} {int(added.sum()):,} of them train by their votes ({targets}), without a majority."
    relabelled = replace(faces, labels=new, splits=splits).take(kept)
    return replace(relabelled, notes=(*faces.notes, note, *_compare(faces.name, faces.labels[kept], new[kept])))


def _compare(name: str, old: np.ndarray, new: np.ndarray) -> list[str]:
    """Say how many faces keep their emotion, if old labels are emotions; warn if it is as if rows were mixed up."""
    folded = [fold(label) for label in old.tolist()]
    emotions = np.array([_OTHER_NAMES.get(label, label) for label in folded])
    known = np.isin(emotions, _EMOTIONS)
    before, after = emotions[known], new[known]
    n = len(before)
    if n == 0:
        return []
    kept = float(np.mean(before == after))
    chance = float(sum(np.mean(before == emotion) * np.mean(after == emotion) for emotion in _EMOTIONS))
    # Three standard deviations of the binomial; faces of one emotion alone cannot tell.
    if n >= _ENOUGH and len(set(before.tolist())) > 1 and kept < chance + 3 * np.sqrt(chance * (1 - chance) / n):
        msg = (
            f"{name}: only {kept:.1%} of the faces keep their emotion in FER+, no more than by chance ({chance:.1%}). "
            "Check that the numbers in their names are rows of fer2013.csv."
        )
        warnings.warn(msg, FusionferWarning, stacklevel=3)
    return [f"{kept:.1%} of them keep their emotion; {chance:.1%} would by chance."]
