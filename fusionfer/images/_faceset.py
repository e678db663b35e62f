"""FaceSet: what is known of each face before any is decoded, and how to get at its pixels."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from fusionfer.exceptions import DataError
from fusionfer.images._augmented import AugmentedSource, as_augmentation
from fusionfer.images._decoding import DECODER, MAX_PIXELS, decode_image

__all__ = ["SPLITS", "FaceSet", "Preparation", "Source"]

SPLITS = ("train", "validation", "test")


class Source(Protocol):
    """Where the pictures of a FaceSet lie; several threads may read at once."""

    def read(self, key: Hashable) -> bytes | np.ndarray:
        """Return one picture: the encoded file, or the pixels where they are not encoded.

        Raises
        ------
        ImageError
            If the picture is gone or cannot be read.
        """


class Preparation(Protocol):
    """What is done to each picture of a FaceSet after it was decoded."""

    def apply(self, pixels: np.ndarray, key: Any) -> np.ndarray:
        """Return the prepared pixels, uint8; `key` is what the set's source found the picture by."""

    def describe(self) -> dict[str, Any]:
        """Return all that decides the result, as JSON knows it; part of a cache's key."""


def _texts(values: Iterable[str] | None, n: int) -> np.ndarray:
    """Return `values` as an array of n strings, empty ones where there is nothing."""
    return np.array([""] * n if values is None else [str(value) for value in values], dtype=np.str_)


@dataclass(frozen=True, eq=False)
class FaceSet:
    """Faces with stable ids, labels, splits and groups, decoded only when asked for.

    Attributes
    ----------
    ids : ndarray of str, shape (n,)
        Unique and stable: the posix path relative to the root in Unicode NFC, or ``fer2013:<row>``.
    labels, splits, groups : ndarray of str, shape (n,)
        Empty where unknown. Splits are "train", "validation" and "test".
        Samples of one group (a person, a sequence) are never divided between splits.
    keys : tuple
        What `source` needs to find each picture.
    source : Source
        Reads one picture.
    name : str
        Where the set came from; used in messages only.
    notes : tuple of str
        What the reader did that the user should know, one sentence each.
    skipped : tuple of (str, str)
        Id (or place) and reason of each sample that the reader left out with ``on_error="skip"``.
    max_pixels : int
        Pictures with more pixels are refused.
    decoder : str
        Name and version of the decoder and of its conversion rules; part of a cache's key.
    leaking : bool
        Whether the splits were drawn although they divide groups; figures on them come out too good.
    preparation : Preparation or None
        What is done to a picture after it was decoded (see `fusionfer.faces.prepare_faces`). Digests are of what is
        stored, whatever is done.
    """

    ids: np.ndarray
    keys: tuple[Hashable, ...] = field(repr=False)
    source: Source = field(repr=False)
    labels: np.ndarray = None  # type: ignore[assignment]
    splits: np.ndarray = None  # type: ignore[assignment]
    groups: np.ndarray = None  # type: ignore[assignment]
    name: str = "faces"
    notes: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    max_pixels: int = MAX_PIXELS
    decoder: str = DECODER
    leaking: bool = False
    preparation: Preparation | None = None

    def __post_init__(self) -> None:
        n = len(self.ids)
        put = object.__setattr__
        put(self, "ids", np.array([unicodedata.normalize("NFC", str(i)) for i in self.ids], dtype=np.str_))
        for name in ("labels", "splits", "groups"):
            put(self, name, _texts(getattr(self, name), n))
        put(self, "keys", tuple(self.keys))
        self._check()

    def _check(self) -> None:
        n = len(self.ids)
        complaints = [
            f"{len(getattr(self, name))} {name} for {n} ids"
            for name in ("keys", "labels", "splits", "groups")
            if len(getattr(self, name)) != n
        ]
        unique, counts = np.unique(self.ids, return_counts=True)
        if np.any(counts > 1):
            twice = [str(i) for i in unique[counts > 1]]
            complaints.append(f"{len(twice)} ids occur more than once (first: {', '.join(twice[:3])})")
        strange = sorted(set(self.splits.tolist()) - {"", *SPLITS})
        if strange:
            complaints.append(f"unknown splits {', '.join(strange)} (allowed: {', '.join(SPLITS)})")
        if complaints:
            msg = f"{self.name}: " + "; ".join(complaints) + "."
            raise DataError(msg)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels that occur, in alphabetical order."""
        return tuple(str(label) for label in np.unique(self.labels) if label)

    @property
    def prepared(self) -> dict[str, Any] | None:
        """What was done to the pictures, as JSON knows it; None where they are as they are stored."""
        return None if self.preparation is None else self.preparation.describe()

    def read(self, i: int) -> bytes | np.ndarray:
        """Return picture `i` as it is stored: encoded bytes, or pixels where nothing is encoded."""
        return self.source.read(self.keys[i])

    def load(self, i: int) -> tuple[np.ndarray, str]:
        """Decode picture `i`, and prepare it where the set says how.

        Returns
        -------
        pixels : ndarray of uint8, shape (height, width) or (height, width, 3)
            Grey, or RGB.
        digest : str
            SHA-256 of what is stored, 64 hexadecimal digits.

        Raises
        ------
        ImageError
            If the picture cannot be read or decoded, or is larger than `max_pixels`.
        """
        stored = self.read(i)
        pixels = decode_image(stored, max_pixels=self.max_pixels)
        if self.preparation is not None:
            pixels = self.preparation.apply(pixels, self.keys[i])
        return pixels, digest(stored)

    def digest(self, i: int) -> str:
        """SHA-256 of picture `i` as it is stored, 64 hexadecimal digits; nothing is decoded."""
        return digest(self.read(i))

    def take(self, indices: Sequence[int] | np.ndarray) -> FaceSet:
        """Return the faces at `indices` (integers, or a boolean mask of shape (n,)), in that order."""
        index = np.arange(len(self))[np.asarray(indices, dtype=None if len(indices) else np.intp)]
        return replace(
            self,
            ids=self.ids[index],
            keys=tuple(self.keys[i] for i in index),
            labels=self.labels[index],
            splits=self.splits[index],
            groups=self.groups[index],
        )

    def augmented(self, recipe: Any, copies: int, seed: int = 0) -> FaceSet:
        """Return the faces with changed copies of each: turned, zoomed, moved, mirrored, brightened.

        Copies are made when they are asked for, and are extracted and cached like other pictures; their digest is that
        of their pixels. Copy k of a face depends on the seed, its id and k alone, neither on the order of the faces nor
        on which others there are.

        Parameters
        ----------
        recipe : mapping, Augmentation, or recipe of `fusionfer.training`
            ``rotation`` in degrees, ``zoom``, ``shift`` and ``brightness`` as shares, ``flip`` and ``share`` as
            probabilities, and ``fill``; see `fusionfer.images.Augmentation`. What else a recipe says of pictures (crop,
            erasing, mixup) is of training alone.
        copies : int
            Copies of each face, at least 1.
        seed : int

        Returns
        -------
        FaceSet
            These faces, then copy 1 of each, then copy 2, and so on: ``<id>#aug<k>``, with the label and split of the
            source. A face without a group, and its copies, are given its id as their group, so that splits and folds
            keep them together.

        Raises
        ------
        DataError
            If `copies` or `seed` is no such number, values are out of range, the recipe changes nothing, or the
            pictures are prepared already.

        Examples
        --------
        >>> from fusionfer.images import generate_faces
        >>> faces = generate_faces(2, takes=1, size=32).take([0])
        >>> more = faces.augmented({"rotation": 10, "flip": 0.5}, copies=2)
        >>> more.ids.tolist()
        ['identity00/angry/take0', 'identity00/angry/take0#aug1', 'identity00/angry/take0#aug2']
        >>> more.groups.tolist()
        ['identity00', 'identity00', 'identity00']
        """
        if isinstance(copies, bool) or not isinstance(copies, int | np.integer) or copies < 1:
            msg = f"copies must be a whole number from 1, got {copies!r}."
            raise DataError(msg)
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            msg = f"seed must be a whole number from 0, got {seed!r}."
            raise DataError(msg)
        if self.preparation is not None:
            msg = "Copies are made of stored pictures: call augmented() first, and prepare the faces of the result."
            raise DataError(msg)
        source = AugmentedSource(self.source, as_augmentation(recipe), int(seed), self.max_pixels)
        names, times = self.ids.tolist(), range(int(copies) + 1)
        return replace(
            self,
            ids=np.array([f"{name}#aug{k}" if k else name for k in times for name in names], dtype=np.str_),
            keys=tuple((key, name, k) for k in times for key, name in zip(self.keys, names, strict=True)),
            source=source,
            labels=np.tile(self.labels, len(times)),
            splits=np.tile(self.splits, len(times)),
            groups=np.tile(np.where(self.groups != "", self.groups, self.ids), len(times)),
            notes=(*self.notes, f"{copies} changed copies of each of {len(self):,} faces were added with seed {seed}."),
        )


def digest(stored: bytes | np.ndarray) -> str:
    """SHA-256 of a stored picture; for bare pixels, of their shape and bytes."""
    if isinstance(stored, np.ndarray):
        head = f"{stored.dtype.str}{stored.shape}".encode()
        return hashlib.sha256(head + np.ascontiguousarray(stored).tobytes()).hexdigest()
    return hashlib.sha256(stored).hexdigest()
