"""Features: arrays with ids, labels, splits, groups, named blocks, and the knowledge of what computed them."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfer.cache import CacheFolder, RowTable, read_feature_file, refuse_damaged
from fusionfer.exceptions import DataError, NonFiniteFeaturesError, UnknownNameError, unknown_name
from fusionfer.features._combining import choose, combine
from fusionfer.fusion import check_blocks, column_names, is_among, split_block
from fusionfer.matrices import is_mapped, take_rows

if TYPE_CHECKING:
    from fusionfer.images import SplitFile

__all__ = ["Features"]

_TEXTS = ("ids", "y", "splits", "groups", "digests")
_CHUNK = 4096  # rows hashed at a time


@dataclass(frozen=True, eq=False)
class Features:
    """Features of samples, one row each, in named blocks of columns.

    Attributes
    ----------
    ids : ndarray of str, shape (n,)
        Unique.
    X : ndarray of float32, or MappedMatrix, shape (n, d)
        What is larger than an eighth of the memory stays in its files, side by side
        (`fusionfer.matrices.MappedMatrix`): ``numpy.asarray(features.X)`` reads it. Less is an array; that of one cache
        file alone, of which all rows are wanted, is a read-only memory map.
    y, splits, groups : ndarray of str, shape (n,)
        Labels, splits and groups; empty where unknown.
    blocks : dict of str to slice
        Block name -> its columns; together they are all columns, without gap or overlap.
    provenance : dict of str to dict
        Block name -> ``{"key": ..., "record": ...}`` of its cache; empty for blocks that came from arrays.
    digests : ndarray of str, shape (n,), optional
        SHA-256 of the image files; empty where unknown.
    notes : tuple of str
        What was left out while reading, one sentence each.

    Raises
    ------
    DataError
        With all that does not fit together.

    Examples
    --------
    >>> import numpy as np
    >>> blocks = {"left": slice(0, 1), "right": slice(1, 2)}
    >>> features = Features.from_arrays(["a", "b"], np.eye(2), ["happy", "sad"], blocks)
    >>> features.block("right").ravel().tolist(), features.classes
    ([0.0, 1.0], ('happy', 'sad'))
    """

    ids: np.ndarray
    X: Any = field(repr=False)
    y: np.ndarray = field(repr=False)
    splits: np.ndarray = field(repr=False)
    groups: np.ndarray = field(repr=False)
    blocks: dict[str, slice]
    provenance: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    digests: np.ndarray = field(default=None, repr=False)  # type: ignore[arg-type]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        complaints = []
        n = len(self.ids)
        if self.digests is None:
            object.__setattr__(self, "digests", np.full(n, "", dtype=np.str_))
        if self.X.ndim != 2 or self.X.dtype != np.float32 or len(self.X) != n:
            complaints.append(f"X is {self.X.dtype} {self.X.shape} instead of float32 ({n}, columns)")
        for name in _TEXTS:
            values = getattr(self, name)
            if values.shape != (n,) or values.dtype.kind != "U":
                complaints.append(f"{name} are {values.dtype} {values.shape} instead of text ({n},)")
        twice = [str(row_id) for row_id, count in Counter(self.ids.tolist()).items() if count > 1]
        if twice:
            complaints.append(f"{len(twice)} ids occur more than once (first: {', '.join(twice[:3])})")
        if self.X.ndim == 2:
            try:
                object.__setattr__(self, "blocks", check_blocks(self.blocks, self.X.shape[1]))
            except DataError as error:
                complaints.append(str(error).rstrip("."))
        if complaints:
            msg = f"These features do not fit together: {'; '.join(complaints)}."
            raise DataError(msg)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels that occur, in alphabetical order."""
        return tuple(str(label) for label in np.unique(self.y) if label)

    @property
    def column_names(self) -> list[str]:
        """One name per column, such as ``resnet50.penultimate_0017``."""
        return [str(name) for name in column_names(self.blocks)]

    @classmethod
    def from_arrays(
        cls,
        ids: Iterable[object],
        X: np.ndarray,
        y: Iterable[object] | None = None,
        blocks: Mapping[str, slice] | None = None,
        splits: Iterable[object] | None = None,
        groups: Iterable[object] | None = None,
    ) -> Features:
        """Make features of what any extractor gave.

        Parameters
        ----------
        ids : iterable of str, length n
            Unique.
        X : array-like of shape (n, d)
            Finite numbers; kept as float32.
        y, splits, groups : iterable of str, length n, optional
            Labels, splits ("train", "validation", "test") and groups; numbers become text.
        blocks : mapping of str to slice, optional
            Block name -> its columns; by default one block named "features".

        Returns
        -------
        Features
            Without provenance.

        Raises
        ------
        DataError
            If shapes, lengths or blocks do not fit, or an id occurs twice.
        NonFiniteFeaturesError
            If X holds NaN or infinity.
        """
        texts = [str(value) for value in ids]
        n = len(texts)
        try:
            with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinity, which is refused below
                array = np.ascontiguousarray(X, dtype=np.float32)
        except (TypeError, ValueError) as error:
            msg = f"X must be an array of numbers of shape ({n}, columns): {error}."
            raise DataError(msg) from error
        if blocks is None:
            blocks = {"features": slice(0, array.shape[-1] if array.ndim == 2 else 0)}
        features = cls(
            np.array(texts, dtype=np.str_),
            array,
            _text_column(y, n),
            _text_column(splits, n),
            _text_column(groups, n),
            dict(blocks),
        )
        bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
        if len(bad):
            msg = f"X holds NaN, infinity or numbers beyond float32 in {len(bad)} rows (first: {texts[bad[0]]!r})."
            raise NonFiniteFeaturesError(msg)
        return features

    @classmethod
    def read(
        cls,
        folder: str | os.PathLike[str] | CacheFolder,
        features: Sequence[str] | Mapping[str, str] | None = None,
        *,
        verify: bool = True,
        mapped: bool | None = None,
    ) -> Features:
        """Read caches and align them by sample id.

        Parameters
        ----------
        folder : path-like or CacheFolder
            The caches of one data set.
        features : sequence of str, or mapping of str to str, optional
            Blocks to read, as ``backbone:level`` or ``backbone:level@weights``; a mapping gives each a name of one's
            own (name -> block). By default every complete cache.
        verify : bool, default=True
            Whether to compare all checksums first, which reads the files once more.
        mapped : bool, optional
            Whether `X` stays in the files, as a `fusionfer.matrices.MappedMatrix`. By default it does where it is
            larger than an eighth of what `fusionfer.memory.memory_limit` allows, or of the machine's memory.

        Returns
        -------
        Features
            The samples that have features in every block, in the order of the first; `notes` counts the others.

        Raises
        ------
        UnknownNameError
            If a name fits no cache or several, or the default finds two of one backbone.
        CacheFormatError
            If a file is damaged.
        DataError
            If the caches are of different data sets.
        """
        folder = folder if isinstance(folder, CacheFolder) else CacheFolder(folder)
        paths = choose(folder, features)
        stored = {name: read_feature_file(path) for name, path in paths.items()}
        if verify:
            for one in stored.values():
                refuse_damaged(one)
        return cls(**combine(folder.path, stored, mapped))

    def to_hdf5(self, folder: str | os.PathLike[str] | CacheFolder) -> list[Path]:
        """Write one cache file per block, so that ``fusionfer fit`` takes them whatever computed them.

        Parameters
        ----------
        folder : path-like or CacheFolder
            Made if need be.

        Returns
        -------
        list of Path
            The files, in the order of the blocks. A file that holds just this already is left as it is.

        Raises
        ------
        CacheError
            If the folder holds another data set, or cannot be written.
        """
        folder = folder if isinstance(folder, CacheFolder) else CacheFolder(folder)
        # Where no picture is known the digest is empty: such rows may stand beside any cache with the same ids.
        rows = RowTable(self.ids, self.y, self.splits, self.groups, self.digests)
        paths = []
        with folder.lock():
            for name, columns in self.blocks.items():
                backbone, level, record = _names_for(name, self.provenance.get(name))
                key = {"source": "arrays", "content_sha256": self._content_hash(columns)}
                dim = columns.stop - columns.start
                with folder.prepare(backbone, level, dim, key=key, record=record, rows=rows, block_rows=256) as job:
                    for start in range(0, len(self), job.block_rows):
                        todo = job.todo[start : start + job.block_rows]
                        if todo.any():
                            job.commit(start, np.asarray(self.X[start : start + job.block_rows, columns]), todo, {})
                    job.finish()
                paths.append(job.path)
        return paths

    def split(self, name: str) -> Features:
        """Return the rows of one split, or of several joined by "+", such as ``train+validation``.

        Raises
        ------
        UnknownNameError
            If there is no such split; with those there are, and their sizes.
        """
        counts = Counter(self.splits.tolist())
        without = counts.pop("", 0)
        wanted = name.split("+")
        if not counts:
            msg = (
                f"There is no split {name!r}: none of the {without} rows has one. "
                "`fusionfer extract --split 70/30` draws one."
            )
            raise UnknownNameError(msg)
        for one in wanted:
            if one not in counts:
                error = unknown_name("split", one, counts)
                sizes = [f"{split} ({count} rows)" for split, count in sorted(counts.items())]
                sizes += [f"no split ({without} rows)"] if without else []
                msg = f"{error} Here are: {', '.join(sizes)}. A split is drawn by `fusionfer extract --split 70/30`."
                raise UnknownNameError(msg)
        return self.take(np.isin(self.splits, wanted))

    def count(self, name: str) -> int:
        """Return how many rows one split has, or several joined by "+"; "all" for all rows, 0 where there is none."""
        return len(self) if name == "all" else int(np.isin(self.splits, name.split("+")).sum())

    def resplit(self, split_file: SplitFile) -> Features:
        """Return all rows with the splits and groups of a split file; nothing is extracted again.

        Parameters
        ----------
        split_file : SplitFile
            As `fusionfer.images.read_split_file` reads it. Pictures that it leaves out stay as rows without a split,
            which nobody trains on or scores by a split's name, but by which copies of them are recognised.

        Returns
        -------
        Features
            The same `X`; the labels stay as they are. A note says what the file did.

        Raises
        ------
        DataError
            If the file is not of these samples, with all that differs.
        """
        rows = split_file.match(self.ids, lambda i: str(self.digests[i]), "the features")
        notes = (*self.notes, split_file.describe(), *split_file.other_labels(rows, self.y))
        return replace(self, splits=split_file.splits[rows], groups=split_file.groups[rows], notes=notes)

    def take(self, indices: Sequence[int] | np.ndarray) -> Features:
        """Return the rows at `indices` (integers, or a boolean mask of shape (n,)), in that order."""
        index = np.arange(len(self))[np.asarray(indices) if len(indices) else slice(0)]
        texts = {name: getattr(self, name)[index] for name in _TEXTS}
        if len(index) and np.array_equal(index, np.arange(index[0], index[0] + len(index))):
            return replace(self, X=self.X[index[0] : index[-1] + 1], **texts)  # a view, which keeps a memory map one
        return replace(self, X=take_rows(self.X, index), **texts)

    def only(self, *names: str) -> Features:
        """Return the same rows with these blocks alone, in this order; a view if they lie side by side, or are mapped.

        Raises
        ------
        UnknownNameError
            If there is no such block.
        """
        arrays = [self.block(name) for name in names]
        columns = [self.blocks[name] for name in names]
        together = len(names) > 0 and all(a.stop == b.start for a, b in pairwise(columns))
        ends = np.cumsum([array.shape[1] for array in arrays]).tolist()
        return replace(
            self,
            X=self.X[:, columns[0].start : columns[-1].stop] if together else _joined(arrays),
            blocks={n: slice(end - a.shape[1], end) for n, a, end in zip(names, arrays, ends, strict=True)},
            provenance={name: self.provenance[name] for name in names if name in self.provenance},
        )

    def block(self, name: str) -> Any:
        """Return the columns of one block; float32, shape (n, columns of the block), mapped where `X` is.

        Raises
        ------
        UnknownNameError
            If there is no such block.
        """
        if name not in self.blocks:
            raise unknown_name("block", name, self.blocks)
        return self.X[:, self.blocks[name]]

    def block_record(self, name: str) -> dict[str, Any]:
        """Return what a model must know of a block to recognise it, or to compute it again.

        Returns
        -------
        dict
            ``backbone``, ``level``, ``dim`` (columns), ``key`` (decides whether features are the same; for a block that
            came from arrays its name alone) and ``record`` (good to know).
        """
        provenance = self.provenance.get(name, {})
        key = provenance.get("key") or {"block": name}
        columns = self.blocks[name]
        return {
            "backbone": key.get("backbone", name),
            "level": key.get("level", ""),
            "dim": columns.stop - columns.start,
            "key": key,
            "record": provenance.get("record") or {},
        }

    def weights(self, name: str) -> dict[str, Any]:
        """Return what is recorded of the weights that computed a block: name, path, sha256, metadata, and more.

        Returns
        -------
        dict
            Empty where nothing is known, as of a block that came from arrays.
        """
        record = self.block_record(name)["record"]
        while isinstance(copied := record.get("copied_from"), Mapping):  # written by `to_hdf5`, perhaps repeatedly
            record = copied.get("record") or {}
        weights = record.get("weights")
        return dict(weights) if isinstance(weights, Mapping) else {}

    def seen(self, what: str = "trained_on") -> dict[str, np.ndarray]:
        """Find the rows whose images weights have met before, by the hashes that checkpoints bring along.

        Parameters
        ----------
        what : {"trained_on", "selected_on"}
            The images that the weights were trained on, or those that told when to stop, and which weights to keep.

        Returns
        -------
        dict of str to ndarray of bool, shape (n,)
            Block -> its rows; only blocks whose weights record it. A row without a digest is never found.
        """
        names = {name: self.weights(name).get(what) for name in self.blocks}
        images = {name: known for name, known in names.items() if isinstance(known, str)}
        # Levels of one backbone have the same weights: half a megabyte of hashes is searched once.
        hashed = self.digests != ""
        found = {known: is_among(self.digests.tolist(), known) & hashed for known in set(images.values())}
        return {name: found[known] for name, known in images.items()}

    def _content_hash(self, columns: slice) -> str:
        """SHA-256 over the ids and the block's numbers: the same content is the same cache."""
        total = hashlib.sha256("\0".join(self.ids.tolist()).encode())
        for start in range(0, len(self), _CHUNK):
            total.update(np.ascontiguousarray(self.X[start : start + _CHUNK, columns], dtype="<f4").data)
        return total.hexdigest()


def _text_column(values: Iterable[object] | None, n: int) -> np.ndarray:
    return np.array([""] * n if values is None else [str(value) for value in values], dtype=np.str_)


def _names_for(block: str, known: Mapping[str, Any] | None) -> tuple[str, str, dict[str, Any]]:
    """Return backbone, level and record under which a block of this name is stored."""
    name, _, weights = block.partition("@")
    backbone, level = split_block(name)
    record: dict[str, Any] = {"weights": {"name": weights}} if weights else {}
    if known:
        record["copied_from"] = dict(known)
    return backbone, level, record


def _joined(arrays: list[Any]) -> Any:
    """Return arrays side by side: mapped ones unread, others as one array."""
    return arrays[0].beside(*arrays[1:]) if is_mapped(arrays[0]) else np.concatenate(arrays, axis=1)
