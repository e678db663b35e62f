"""Split files: which picture stands in which split, with whom it must stay, or why it is left out."""

from __future__ import annotations

import csv
import io
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from unicodedata import normalize

import numpy as np

from fusionfer.exceptions import DataError, ImageError, ReportError
from fusionfer.images._complaints import shorten
from fusionfer.images._faceset import SPLITS, FaceSet
from fusionfer.images._labelling import warn_of_divided_groups

__all__ = ["SplitFile", "read_split_file", "write_split_file"]

_HEADER = ("id", "sha256", "label", "split", "group", "reason")
_SHA256 = re.compile(r"[0-9a-f]{64}")
# Cells that spreadsheets take for formulas get an apostrophe; one that looks like having it already, another.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
_QUOTED = re.compile(r"'+[=+\-@\t\r\n]")
_LONGEST = 4096  # signs of a cell: columns are arrays, in which every row takes the room of the longest


@dataclass(frozen=True, eq=False)
class SplitFile:
    """Which split each picture of a data set is in.

    Attributes
    ----------
    ids : ndarray of str, shape (n,)
        As `FaceSet` has them, each once.
    sha256 : ndarray of str, shape (n,)
        SHA-256 of each picture as it is stored (`FaceSet.digest`); empty where unknown, which compares with nothing.
    labels : ndarray of str, shape (n,)
        What conflicting copies were judged by. They are for the reader: `apply` keeps the labels of the data.
    splits : ndarray of str, shape (n,)
        "train", "validation" or "test"; empty for a picture that is left out.
    groups : ndarray of str, shape (n,)
        Pictures of one group (copies, a person) are never divided; empty for a picture that stands for itself.
    reasons : ndarray of str, shape (n,)
        Why a picture is left out: what kind of reason, perhaps a colon and more.
    name : str
        Used in messages only.

    Raises
    ------
    DataError
        With all that is wrong with the rows.
    """

    ids: np.ndarray
    sha256: np.ndarray = field(repr=False)
    labels: np.ndarray = field(repr=False)
    splits: np.ndarray = field(repr=False)
    groups: np.ndarray = field(repr=False)
    reasons: np.ndarray = field(repr=False)
    name: str = "split file"

    def __post_init__(self) -> None:
        columns = ("ids", "sha256", "labels", "splits", "groups", "reasons")
        for name in columns:
            values = [normalize("NFC", str(value)) for value in getattr(self, name)]
            object.__setattr__(self, name, np.array(values, dtype=np.str_))
        sizes = {name: len(getattr(self, name)) for name in columns}
        if len(set(sizes.values())) > 1:
            _refuse(self.name, [", ".join(f"{size} {name}" for name, size in sizes.items())])
        _refuse(self.name, _faults(self.ids, self.sha256, self.splits, self.reasons))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def left_out(self) -> dict[str, int]:
        """How many pictures are left out for each kind of reason, the most frequent first."""
        kinds = Counter(reason.split(":")[0].strip() for reason in self.reasons[self.splits == ""].tolist())
        return dict(sorted(kinds.items(), key=lambda item: (-item[1], item[0])))

    @property
    def shared_groups(self) -> tuple[tuple[str, ...], ...]:
        """Ids of each group that has several pictures, of those that are left out, too; in the order of the file."""
        members: dict[str, list[str]] = defaultdict(list)
        for one, group in zip(self.ids.tolist(), self.groups.tolist(), strict=True):
            if group:
                members[group].append(one)
        return tuple(tuple(ids) for ids in members.values() if len(ids) > 1)

    def describe(self) -> str:
        """Say in a sentence how many pictures are in each split, and how many are left out for which reasons."""
        counts = Counter(self.splits.tolist())
        sizes = [f"{split} {counts[split]:,}" for split in SPLITS if counts[split]]
        kinds = [f"{kind} {n:,}" for kind, n in self.left_out.items()]
        out = f"; {counts['']:,} pictures are left out ({shorten(kinds)})" if counts[""] else ""
        return f"Splits of {self.name}: {', '.join(sizes) or 'none'}{out}."

    def match(self, ids: Sequence[str] | np.ndarray, sha256: Callable[[int], str], of: str) -> np.ndarray:
        """Find the row of each sample, and make sure that file and samples are of one data set.

        Parameters
        ----------
        ids : sequence of str, length m
        sha256 : callable
            Gives the digest of sample i, or an empty text where it is not known. It is asked only for samples that are
            not left out, and may raise `ImageError`.
        of : str
            What the samples are called in a message.

        Returns
        -------
        ndarray of int, shape (m,)

        Raises
        ------
        DataError
            If samples are not in the file, pictures of the file are not among the samples (other than those that it
            leaves out), or digests differ; all at once.
        """
        names = [normalize("NFC", str(one)) for one in ids]
        place = {one: row for row, one in enumerate(self.ids.tolist())}
        at = [place.get(one, -1) for one in names]
        there = set(names)
        changed, gone = [], []
        for i, row in enumerate(at):
            if row < 0 or not self.splits[row] or not self.sha256[row]:
                continue
            try:
                found = sha256(i)
            except ImageError as error:
                gone.append(str(error).rstrip("."))
                continue
            if found and found != self.sha256[row]:
                changed.append(names[i])
        wanted = self.ids[self.splits != ""].tolist()
        _refuse(
            f"{self.name} is not of {of}",
            [
                *_told([one for one in wanted if one not in there], f"of its pictures are not among {of}"),
                *_told([one for one, row in zip(names, at, strict=True) if row < 0], f"of {of} are not in it"),
                *_told(changed, "pictures have changed (another sha256)"),
                *_told(gone, "pictures cannot be read"),
            ],
            "Write a new one with `fusionfer audit DATA --clean FILE`, from the same data with the same options.",
        )
        return np.array(at, dtype=np.intp)

    def other_labels(self, rows: np.ndarray, labels: np.ndarray) -> tuple[str, ...]:
        """Say if samples in `rows` of the file have other labels there; as notes, none or one."""
        other = int(np.sum((labels != self.labels[rows]) & (self.splits[rows] != "")))
        if not other:
            return ()
        return (f"{other:,} pictures have another label in {self.name}: those of the data count.",)

    def apply(self, faces: FaceSet) -> FaceSet:
        """Return the faces with the splits and groups of the file, without those that it leaves out.

        Every picture is read, not decoded, and its hash compared.

        Parameters
        ----------
        faces : FaceSet

        Returns
        -------
        FaceSet
            In their own order, with their own labels.

        Raises
        ------
        DataError
            If the file is not of these faces, with all that differs, or it leaves all of them out.

        Warns
        -----
        FusionferWarning
            If the file has one group on both sides.
        """
        rows = self.match(faces.ids, faces.digest, faces.name)
        kept = self.splits[rows] != ""
        if not kept.any():
            msg = f"{self.name} leaves out every picture of {faces.name}."
            raise DataError(msg)
        notes = (*faces.notes, self.describe(), *self.other_labels(rows, faces.labels))
        cleaned = replace(
            faces.take(kept), splits=self.splits[rows[kept]], groups=self.groups[rows[kept]], notes=notes, leaking=False
        )
        return replace(cleaned, leaking=warn_of_divided_groups(cleaned))


def read_split_file(path: str | Path) -> SplitFile:
    """Read a split file.

    Parameters
    ----------
    path : str or Path
        A CSV in UTF-8 with the columns ``id,sha256,label,split,group,reason``, in this order.

    Returns
    -------
    SplitFile
        Called by the name of the file.

    Raises
    ------
    DataError
        If there is no such file, or with all that is wrong in it.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        msg = f"The split file {path} cannot be read: {error.strerror or error}."
        raise DataError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"The split file {path} is not UTF-8: byte {error.start}. Save it as UTF-8."
        raise DataError(msg) from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows, faults = [], []
    try:
        header = next(reader, [])
        if tuple(header) != _HEADER:
            told = ",".join(header)[:100]
            msg = f"{path} is no split file: its first line must be {','.join(_HEADER)}, and is {told!r}."
            raise DataError(msg)
        for cells in reader:
            if len(cells) != len(_HEADER):
                faults.append(f"line {reader.line_num}: {len(cells)} cells instead of {len(_HEADER)}")
            elif max(map(len, cells)) > _LONGEST:
                faults.append(f"line {reader.line_num}: a cell of more than {_LONGEST:,} signs")
            else:
                rows.append([cell[1:] if _QUOTED.match(cell) else cell for cell in cells])
    except csv.Error as error:
        msg = f"{path}, line {reader.line_num}: {error}."
        raise DataError(msg) from error
    columns = list(zip(*rows, strict=True)) or [()] * len(_HEADER)
    ids, sha256, labels, splits, groups, reasons = (np.array(column, dtype=np.str_) for column in columns)
    _refuse(path.name, [*faults, *_faults(ids, sha256, splits, reasons)])
    return SplitFile(ids, sha256, labels, splits, groups, reasons, path.name)


def write_split_file(split_file: SplitFile, path: str | Path) -> None:
    """Write a split file: the same content gives the same bytes, and the file appears complete or not at all.

    A cell that a spreadsheet would run as a formula gets a leading apostrophe, which reading takes off again.

    Parameters
    ----------
    split_file : SplitFile
    path : str or Path
        Its folder is made if need be.

    Raises
    ------
    DataError
        If an id is no Unicode.
    ReportError
        If the file cannot be written; what was there before is unchanged.
    """
    path = Path(path)
    s = split_file
    columns = (s.ids, s.sha256, s.labels, s.splits, s.groups, s.reasons)
    text = "".join(map(_line, [_HEADER, *zip(*(column.tolist() for column in columns), strict=True)]))
    try:
        content = text.encode()
    except UnicodeEncodeError as error:
        msg = f"{s.name} cannot be written: {text[max(0, error.start - 40) : error.end]!r} is no Unicode. Rename it."
        raise DataError(msg) from error
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(content)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror or error}. What was there before is unchanged."
        raise ReportError(msg) from error


def _line(cells: Iterable[str]) -> str:
    buffer = io.StringIO()
    # This end of a line makes the writer quote cells with either of its signs.
    csv.writer(buffer, lineterminator="\r\n").writerow([f"'{cell}" if _FORMULA.match(cell) else cell for cell in cells])
    return buffer.getvalue().removesuffix("\r\n") + "\n"


def _faults(ids: np.ndarray, sha256: np.ndarray, splits: np.ndarray, reasons: np.ndarray) -> list[str]:
    """All that is wrong with the rows of a split file."""
    names = ids.tolist()
    twice = [one for one, count in Counter(names).items() if count > 1]
    unknown = sorted(set(splits.tolist()) - {"", *SPLITS})
    hashes = [one for one, sha in zip(names, sha256.tolist(), strict=True) if sha and not _SHA256.fullmatch(sha)]
    unexplained = ids[(splits == "") & (reasons == "")].tolist()
    return [
        *([] if names else ["it has no rows"]),
        *([f"{names.count('')} rows have no id"] if "" in names else []),
        *_told([one for one in twice if one], "ids occur more than once"),
        *([f"unknown splits {shorten(unknown)} (allowed: {', '.join(SPLITS)}, or nothing)"] if unknown else []),
        *_told(hashes, "sha256 are not 64 small hexadecimal digits"),
        *_told(unexplained, "pictures have neither a split nor a reason to be left out"),
    ]


def _told(ids: Sequence[str], what: str) -> list[str]:
    return [f"{len(ids):,} {what}: {shorten(ids, 3)}"] if ids else []


def _refuse(name: str, faults: Sequence[str], advice: str = "") -> None:
    if faults:
        msg = f"{name}: {'; '.join(faults)}. {advice}".rstrip()
        raise DataError(msg)
