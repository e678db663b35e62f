"""The faces of a replay, and what is known of them: by whose weights, which are copies, which are no faces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fusionfer.audit import audit
from fusionfer.exceptions import DataError, WeightsError, unknown_name
from fusionfer.fusion import is_among
from fusionfer.images import FaceSet, read_faces, read_ferplus, relabel_ferplus
from fusionfer.networks import read_checkpoint
from fusionfer.protocols._protocol import Protocol

__all__ = ["Material", "look_for_copies", "read_material"]

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, eq=False)
class Material:
    """Faces, and what decides which of them may stand where.

    Attributes
    ----------
    faces : FaceSet
        With labels, all of them.
    known : ndarray of bool, shape (n,)
        Faces that the weights were trained on.
    limit : int or None
        How many faces take part at most.
    seed : int
        Draws these.
    copies : tuple of tuple of str
        Ids of those faces that show one picture, exactly or nearly; empty where nobody looked for them.
    notes : tuple of str
    """

    faces: FaceSet
    known: np.ndarray
    limit: int | None
    seed: int
    copies: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def has_groups(self) -> bool:
        """Whether persons, or sequences, are known."""
        return bool(np.any(self.faces.groups != ""))

    def pool(self, known: str, train: Sequence[str] = (), test: Sequence[str] = ()) -> np.ndarray:
        """Return the faces that take part, with those that the weights know ("keep") or without ("leave-out").

        Parameters
        ----------
        known : {"keep", "leave-out"}
        train, test : sequence of str
            Splits as released. Then known faces are left out of the test alone, as training on them tells nothing
            about it; without these any face may come to be scored, and known ones take no part at all.

        Returns
        -------
        ndarray of int
            Places in `faces`, in the order of the ids, which is neither that of a file nor of a folder.
        """
        places = self.places(known, train, test)
        if self.limit is None or self.limit >= len(places):
            return places
        # Known faces take as many of the places as is their share, and the others are those that a run without known
        # faces draws first: two runs differ by what the weights know, and by as little else as can be.
        others = self.places("leave-out", train, test)
        more = places[~np.isin(places, others)]
        n_known = max(round(self.limit * len(more) / len(places)), self.limit - len(others))
        rng = np.random.default_rng(self.seed)
        unseen = others[rng.permutation(len(others))[: self.limit - n_known]]
        drawn = np.concatenate([unseen, more[rng.permutation(len(more))[:n_known]]])
        return places[np.isin(places, drawn)]

    def places(self, known: str, train: Sequence[str] = (), test: Sequence[str] = ()) -> np.ndarray:
        """Return the same without regard to `limit`."""
        offered = np.ones(len(self.faces), dtype=bool) if known == "keep" else ~self.known
        if train or test:
            trains = np.isin(self.faces.splits, list(train))
            offered = trains | (offered & np.isin(self.faces.splits, list(test)))
        places = np.flatnonzero(offered)
        return places[np.argsort(self.faces.ids[places], kind="stable")]


def read_material(
    protocol: Protocol,
    data: str | Path | FaceSet,
    *,
    labels: str | Path | None,
    weights: Mapping[str, str] | Sequence[str] | str,
    known: Sequence[str] = (),
    limit: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Material:
    """Read the faces of a protocol and find out which of them the weights know.

    Raises
    ------
    DataError
        If FER+'s file is needed and not given, or no face with a label is left.
    UnknownNameError
        If `known` names a split that no face is in.
    """
    votes_for = [
        what
        for what, needed in [
            ("its labels", protocol.data.labels == "ferplus"),
            ("the pictures that are no faces", protocol.cleaning.non_faces == "remove"),
        ]
        if needed
    ]
    if votes_for and labels is None:
        msg = (
            f"The protocol {protocol.name} takes {' and '.join(votes_for)} from FER+: give its fer2013new.csv as "
            "labels (--labels), or another protocol (data.labels = 'given', cleaning.non_faces = 'keep')."
        )
        raise DataError(msg)
    read = labels if protocol.data.labels == "ferplus" else None
    faces = data if isinstance(data, FaceSet) else read_faces(data, labels=read)
    if read is not None and faces is data:
        faces = relabel_ferplus(faces, read)
    notes = list(faces.notes)
    if (faces.labels == "").any():
        notes.append(f"{int(np.sum(faces.labels == '')):,} faces without a label are left out.")
        faces = faces.take(faces.labels != "")
    if protocol.cleaning.non_faces == "remove":
        ferplus = read_ferplus(labels)  # type: ignore[arg-type]
        no_face = ferplus.majority()[ferplus.find(faces.ids, faces.splits)] == "NF"
        notes.append(f"{int(no_face.sum()):,} pictures are left out: most annotators of FER+ call them no face.")
        faces = faces.take(~no_face)
    if not len(faces):
        msg = f"{faces.name} holds no face with a label that {protocol.name} can be run on."
        raise DataError(msg)
    of_weights = _named(faces, known) | _recorded(faces, weights, progress)
    if of_weights.any():
        # A copy of a picture that the weights know is known, in whatever split it is.
        twins = audit(faces, progress=progress, near=False).copies
        met = set(faces.ids[of_weights].tolist())
        more = {name for one in twins if met & set(one.ids) for name in one.ids}
        of_weights |= np.isin(faces.ids, list(more))
        notes.append(f"{int(of_weights.sum()):,} of {len(faces):,} faces, or their copies, have trained the weights.")
    return Material(replace(faces, notes=()), of_weights, limit, seed, notes=tuple(notes))


def look_for_copies(
    material: Material,
    known: Iterable[str],
    train: Sequence[str] = (),
    test: Sequence[str] = (),
    progress: Progress | None = None,
) -> Material:
    """Return the material with the copies among the faces of these pools (see `Material.pool`)."""
    places = np.unique(np.concatenate([material.pool(one, train, test) for one in known]))
    found = audit(material.faces.take(places), progress=progress)
    return replace(material, copies=tuple(one.ids for one in (*found.copies, *found.near)))


def _named(faces: FaceSet, known: Sequence[str]) -> np.ndarray:
    """Faces of the splits that the weights are said to be trained on."""
    there = sorted(set(faces.splits.tolist()) - {""})
    for name in known:
        if name not in there:
            raise unknown_name("split", name, there)
    return np.isin(faces.splits, list(known))


def _recorded(
    faces: FaceSet, weights: Mapping[str, str] | Sequence[str] | str, progress: Progress | None
) -> np.ndarray:
    """Faces that checkpoints say they were trained on, by the hashes of their pictures."""
    given = (
        list(weights.values()) if isinstance(weights, Mapping) else [weights] if isinstance(weights, str) else weights
    )
    prints = []
    for one in given:
        path = Path(str(one))
        if not path.is_file():  # perhaps BACKBONE=FILE
            path = Path(str(one).partition("=")[2])
        if path.is_file():
            try:
                prints.append(read_checkpoint(path)[0].trained_on)
            except WeightsError:
                continue  # weights of other programs do not say it
    seen = np.zeros(len(faces), dtype=bool)
    if not any(prints):
        return seen
    digests = []
    for i in range(len(faces)):
        digests.append(faces.digest(i))
        if progress is not None and (i + 1) % 1024 == 0:
            progress(i + 1, len(faces), "hashing pictures")
    return np.logical_or.reduce([seen, *(is_among(digests, one) for one in prints if one)])
