"""read_faces: recognises what a path holds, and brings labels, groups and splits into order."""

from __future__ import annotations

import posixpath
import warnings
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from unicodedata import normalize

import numpy as np

from fusionfer.exceptions import DataError, FusionferWarning
from fusionfer.images._complaints import Complaint, settle, shorten
from fusionfer.images._decoding import MAX_PIXELS
from fusionfer.images._faceset import FaceSet
from fusionfer.images._fer2013 import read_fer2013
from fusionfer.images._ferplus import relabel_ferplus
from fusionfer.images._header import SUFFIXES
from fusionfer.images._labelling import map_labels, merge_labels, read_names, warn_of_divided_groups
from fusionfer.images._manifest import Columns, Table, looks_like_manifest, read_manifest, read_table
from fusionfer.images._names import fold
from fusionfer.images._splitting import parse_split, split_faces
from fusionfer.images._stores import FolderStore, Listing, Store, ZipStore, is_picture
from fusionfer.images._tree import Tree, read_tree

__all__ = ["read_faces"]

_TABLES = (".csv", ".tsv")


def read_faces(
    path: str | Path,
    *,
    split: str | None = None,
    seed: int = 0,
    labels: str | Path | None = None,
    targets: str = "majority",
    classes: Mapping[str, str] | None = None,
    path_column: str | None = None,
    label_column: str | None = None,
    split_column: str | None = None,
    group_column: str | None = None,
    allow_outside_root: bool = False,
    on_error: str = "fail",
    max_pixels: int = MAX_PIXELS,
) -> FaceSet:
    """Read a data set of faces: what there is, not yet its pixels.

    Recognised are

    - class folders, with or without train, validation and test above (or below) them, also in a ``.zip``, which is
      read in place; wrapping folders are passed through, hidden and system files ignored;
    - the official ``fer2013.csv`` (columns emotion, pixels, Usage);
    - a manifest: a CSV with columns for path and label, perhaps split and group. One that lies at the root of class
      folders wins, after having been checked against them;
    - a folder without class folders, or one picture: a set without labels.

    Persons are read from file names if all are named as in CK+, JAFFE or FERG, and PublicTest and PrivateTest from
    those of FER-2013. Labels that differ only in case or blanks become one.

    Parameters
    ----------
    path : str or Path
        Folder, ``.zip``, ``.csv``, ``.tsv`` or picture.
    split : str, optional
        ``"70/30"`` or ``"70/15/15"``: draw splits where the data bring none; see `split_faces`.
    seed : int
        Of the draw.
    labels : str or Path, optional
        FER+'s ``fer2013new.csv``, for faces of FER-2013: its labels take the place of theirs; see `relabel_ferplus`.
    targets : {"majority", "probabilistic", "multi-target"}
        With `labels`: the rule that decides which training faces have labels enough; see `relabel_ferplus`.
    classes : mapping of str to str, optional
        From label to new label; an empty new label drops its samples. See `parse_classes`.
    path_column, label_column, split_column, group_column : str, optional
        Columns of a manifest, where they have no usual names.
    allow_outside_root : bool
        Whether symbolic links, and the paths in a manifest, may leave the folder.
    on_error : {"fail", "skip"}
        Whether a sample that is named wrongly, missing or refused is an error, or left out and listed in `skipped`.
    max_pixels : int
        Pictures with more pixels are refused when they are decoded.

    Returns
    -------
    FaceSet
        In the order of the ids for folders and zips, of the rows for CSV files.

    Raises
    ------
    DataError
        If nothing is recognised, or anything is wrong; all complaints are collected into one error.
    UnknownNameError
        If `classes` names a label, or an option a column, that does not occur.

    Examples
    --------
    >>> import cv2, numpy, pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as root:
    ...     for name in ["train/happy/1.png", "train/sad/2.png", "test/sad/3.png"]:
    ...         file = pathlib.Path(root, name)
    ...         file.parent.mkdir(parents=True, exist_ok=True)
    ...         _ = cv2.imwrite(str(file), numpy.zeros((48, 48), "uint8"))
    ...     faces = read_faces(root)
    >>> faces.ids.tolist(), faces.labels.tolist(), faces.splits.tolist()
    (['test/sad/3.png', 'train/happy/1.png', 'train/sad/2.png'], ['sad', 'happy', 'sad'], ['test', 'train', 'train'])
    """
    if on_error not in ("fail", "skip"):
        msg = f"on_error must be 'fail' or 'skip'. Got {on_error!r}."
        raise DataError(msg)
    if targets != "majority" and labels is None:
        msg = f"targets={targets!r} (--targets) are made of votes: give FER+'s fer2013new.csv as labels (--labels)."
        raise DataError(msg)
    if split is not None:
        parse_split(split)  # a slip of the pen should not come out after minutes of reading
    reader = _Reader(
        columns=Columns(path_column, label_column, split_column, group_column),
        allow_outside_root=allow_outside_root,
        on_error=on_error,
        max_pixels=max_pixels,
    )
    faces = reader.read(Path(path))
    faces = merge_labels(read_names(faces))
    if labels is not None:
        faces = relabel_ferplus(faces, labels, targets)
    if classes:
        faces = map_labels(faces, classes)
    if len(faces) == 0:
        msg = f"{path} holds no face that can be used" + (
            f"; {len(faces.skipped):,} were left out." if faces.skipped else "."
        )
        raise DataError(msg)
    if split is not None:
        faces = split_faces(faces, split, seed)
    warn_of_divided_groups(faces)
    return faces


class _Reader:
    """The options that all kinds of data sets share, and which kind is read how."""

    def __init__(self, columns: Columns, *, allow_outside_root: bool, on_error: str, max_pixels: int) -> None:
        self.columns = columns
        self.allow_outside_root = allow_outside_root
        self.on_error = on_error
        self.max_pixels = max_pixels

    def read(self, path: Path) -> FaceSet:
        """Recognise what lies at `path` and read it."""
        try:
            if path.is_dir():
                return self._read_store(
                    FolderStore(path, allow_outside_root=self.allow_outside_root), path.resolve().name
                )
            if not path.is_file():
                msg = f"There is no file or folder {path}."
                raise DataError(msg)
            if path.suffix.lower() in _TABLES:
                return self._read_csv(path)
            if is_picture(path.name):
                self._refuse_columns(path)
                return self._faces([path.name], [path.name], FolderStore(path.parent), str(path))
            if path.suffix.lower() == ".zip" or zipfile.is_zipfile(path):
                return self._read_store(ZipStore(path), path.stem)
        except OSError as error:
            msg = f"{path} cannot be read: {error.strerror or error}."
            raise DataError(msg) from error
        msg = (
            f"{path} is nothing that is read as faces. Give a folder or .zip with a folder for each class, a .csv or "
            f".tsv, or a picture ({', '.join(sorted(SUFFIXES))})."
        )
        raise DataError(msg)

    def _faces(self, ids: Iterable[str], keys: Iterable[str], store: Store, name: str, **more: object) -> FaceSet:
        return FaceSet(
            ids=np.array(list(ids), dtype=np.str_),
            keys=tuple(keys),
            source=store,
            name=name,
            max_pixels=self.max_pixels,
            **more,  # type: ignore[arg-type]
        )

    def _refuse_columns(self, path: Path | str) -> None:
        if self.columns.given:
            msg = f"{', '.join(self.columns.given)} is for manifests, but {path} is read without one."
            raise DataError(msg)

    def _read_csv(self, path: Path) -> FaceSet:
        with open(path, "rb") as file:
            head = file.readline()
        if "pixels" in {cell.strip().strip('"').lower() for cell in head.decode("utf-8-sig", "replace").split(",")}:
            self._refuse_columns(path)
            return read_fer2013(path, on_error=self.on_error, max_pixels=self.max_pixels)
        store = FolderStore(path.parent, allow_outside_root=self.allow_outside_root)
        return self._read_manifest(read_table(path.read_bytes(), str(path)), store, "")

    def _read_manifest(self, table: Table, store: Store, prefix: str) -> FaceSet:
        return read_manifest(
            table,
            store,
            prefix,
            self.columns,
            allow_outside_root=self.allow_outside_root,
            on_error=self.on_error,
            max_pixels=self.max_pixels,
        )

    def _read_store(self, store: Store, name: str) -> FaceSet:
        """Read a folder or an archive."""
        listing = store.list()
        if not listing.pictures and not (self.on_error == "fail" and listing.refused):
            return self._read_lone_table(store, listing)
        tree = read_tree(listing.pictures, name)
        manifest = self._find_manifest(store, listing, tree.root)
        if manifest is not None:
            prefix = posixpath.dirname(manifest.name)
            table = replace(manifest, name=f"{store.name}/{manifest.name}")
            faces = self._read_manifest(table, store, f"{prefix}/" if prefix else "")
            return _check_against_folders(faces, tree)
        self._refuse_columns(store.name)
        complaints = [*listing.refused, *tree.strays]
        kept = _first_of_each(tree.ids, complaints)
        skipped = settle(store.name, complaints, self.on_error)
        return self._faces(
            (tree.ids[i] for i in kept),
            (tree.keys[i] for i in kept),
            store,
            store.name,
            labels=np.array([tree.labels[i] for i in kept], dtype=np.str_),
            splits=np.array([tree.splits[i] for i in kept], dtype=np.str_),
            notes=(*tree.notes, *_notes_on_listing(listing, tree)),
            skipped=skipped,
        )

    def _read_lone_table(self, store: Store, listing: Listing) -> FaceSet:
        """Read the CSV of a folder that holds one and no pictures, as fer2013.csv is distributed."""
        tables = [path for path in listing.others if path.lower().endswith(_TABLES)]
        if len(tables) == 1 and isinstance(store, FolderStore):
            return self._read_csv(store.root / tables[0])
        msg = f"{store.name} holds no picture (looked for {', '.join(sorted(SUFFIXES))})"
        if tables:
            msg += f", but {shorten(tables)}: give the path of that file itself, unpacked"
        elif listing.others:
            msg += f" among its {len(listing.others):,} files (first: {listing.others[0]})"
        else:
            msg += "; it is empty"
        raise DataError(msg + ".")

    def _find_manifest(self, store: Store, listing: Listing, root: str) -> Table | None:
        """Return the manifest at the root of the pictures, or in one of the folders that wrap them."""
        found = []
        for path in listing.others:
            folder = posixpath.dirname(path)
            if path.lower().endswith(_TABLES) and root.startswith(f"{folder}/" if folder else ""):
                raw = store.read(path)
                if looks_like_manifest(raw, self.columns):
                    found.append(read_table(raw, path))
        if len(found) > 1:
            names = ", ".join(table.name for table in found)
            msg = (
                f"{store.name} holds several manifests: {names}. Give the path of one of them, or move the others away."
            )
            raise DataError(msg)
        return found[0] if found else None


def _first_of_each(ids: list[str], complaints: list[Complaint]) -> list[int]:
    """Return the positions of ids without repetition in NFC, ordered by id, and complain of the repeated ones."""
    seen: dict[str, int] = {}
    for i, written in enumerate(ids):
        known = normalize("NFC", written)
        if seen.setdefault(known, i) != i:
            complaints.append((known, "occurs twice, in names that differ only in how accents are encoded"))
    return [seen[known] for known in sorted(seen)]


def _notes_on_listing(listing: Listing, tree: Tree) -> list[str]:
    notes = []
    if listing.others:
        notes.append(
            f"{len(listing.others):,} files that are no pictures were passed over: {shorten(listing.others, 3)}."
        )
    by_case: dict[str, list[str]] = defaultdict(list)
    for name in tree.ids:
        by_case[name.casefold()].append(name)
    twins = [" and ".join(names) for names in by_case.values() if len(names) > 1]
    if twins:
        notes.append(f"{len(twins):,} names differ only in case, perhaps copies: {shorten(twins, 3)}.")
    return notes


def _check_against_folders(faces: FaceSet, tree: Tree) -> FaceSet:
    """Compare the labels and splits of a manifest with those of the folders; the manifest is kept, with notes."""
    place = {key: i for i, key in enumerate(tree.keys)}
    at = [place.get(str(key), -1) for key in faces.keys]
    notes: list[str] = []
    if not np.any(faces.splits != ""):
        faces = replace(faces, splits=np.array([tree.splits[i] if i >= 0 else "" for i in at]))
    for what, ours, theirs in (("label", faces.labels, tree.labels), ("split", faces.splits, tree.splits)):
        pairs = [(n, str(ours[n]), theirs[i]) for n, i in enumerate(at) if i >= 0 and ours[n] and theirs[i]]
        other = _disagreements(pairs)
        if other:
            told = [f"{faces.ids[n]} ({mine}, folder {yours})" for n, mine, yours in other]
            found = f"Manifest and folders disagree on the {what} of {len(other):,} faces"
            notes.append(f"{found}: {', '.join(told)}. The manifest counts.")
            msg = f"{faces.name}: {found}: {shorten(told)}. The manifest counts."
            warnings.warn(msg, FusionferWarning, stacklevel=2)
    unnamed = sorted(set(place) - {str(key) for key in faces.keys})
    if unnamed:
        notes.append(f"{len(unnamed):,} pictures are not in the manifest and were left out: {shorten(unnamed, 3)}.")
    return replace(faces, notes=(*faces.notes, *tree.notes, *notes))


def _disagreements(pairs: list[tuple[int, str, str]]) -> list[tuple[int, str, str]]:
    """Return the pairs of (position, manifest, folder) that differ.

    A manifest may write labels in another way throughout (numbers for names); then each is compared with the folder
    that most of its pictures lie in.
    """
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for _, mine, yours in pairs:
        counts[fold(mine)][fold(yours)] += 1
    if set(counts).isdisjoint({fold(yours) for _, _, yours in pairs}):
        meant = {mine: counter.most_common(1)[0][0] for mine, counter in counts.items()}
    else:
        meant = {mine: mine for mine in counts}
    return [pair for pair in pairs if meant[fold(pair[1])] != fold(pair[2])]
