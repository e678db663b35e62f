"""Class folders: which split and which label the folders of a picture say."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from fusionfer.images._complaints import Complaint, shorten
from fusionfer.images._names import split_of, stem

__all__ = ["Tree", "read_tree"]

_FER2013 = re.compile(r"(?P<usage>Training|PublicTest|PrivateTest)_\d+")


@dataclass
class Tree:
    """What the folders say of each picture; all lists run in parallel.

    Attributes
    ----------
    root : str
        The wrapping folders that were passed through, with a slash at the end; ids are relative to it.
    keys, ids, labels, splits : list of str
    strays : list of (key, reason)
        Pictures whose place says nothing certain; they stand in no other list.
    notes : list of str
    """

    root: str = ""
    keys: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    strays: list[Complaint] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_tree(paths: Sequence[str], name: str = "") -> Tree:
    """Read split and label of every picture from its folders.

    Recognised are ``class/file``, ``split/class/file`` and ``class/split/file``; folders below the class do not
    count, and pictures that lie directly in the root, or in a split, have no label. Wrapping folders are passed
    through, so that ids are the same for a folder, for a zip of its content, and for a zip of the folder itself: a
    folder is taken for a wrapper if everything lies in it, it names no split, and it holds only folders or has the
    name of the whole.

    Parameters
    ----------
    paths : sequence of str
        Pictures, relative to the root of the store, with slashes.
    name : str
        Name of the folder, or of the archive without its ending.

    Examples
    --------
    >>> tree = read_tree(["faces/train/happy/1.png", "faces/Test/sad/2.png"])
    >>> tree.ids, tree.labels, tree.splits
    (['train/happy/1.png', 'Test/sad/2.png'], ['happy', 'sad'], ['train', 'test'])
    """
    parts = [path.split("/") for path in paths]
    depth = _wrappers(parts, name)
    tree = Tree(root="".join(f"{folder}/" for folder in parts[0][:depth]) if parts else "")
    folders = [part[depth:-1] for part in parts]
    tops = {inner[0] for inner in folders if inner}
    has_splits = any(split_of(top) for top in tops)
    splits_below = not has_splits and bool(tops) and all(len(f) > 1 and split_of(f[1]) for f in folders)
    rows = []
    for path, inner in zip(paths, folders, strict=True):
        if has_splits and not (inner and split_of(inner[0])):
            tree.strays.append((path, "lies beside the split folders, in none of them"))
        elif has_splits:
            rows.append((path, split_of(inner[0]), inner[1:]))
        elif splits_below:
            rows.append((path, split_of(inner[1]), [inner[0], *inner[2:]]))
        else:
            rows.append((path, "", inner))
    _fill(tree, _without_doubled_splits(rows))
    _read_fer2013_names(tree)
    return tree


def _wrappers(parts: Sequence[Sequence[str]], name: str) -> int:
    """Return how many folders wrap everything without saying anything."""
    depth = 0
    while parts:
        tops = {part[depth] if len(part) > depth + 1 else "" for part in parts}
        top = tops.pop()
        if tops or not top or split_of(top):
            break
        only_folders = all(len(part) > depth + 2 for part in parts)
        if not only_folders and top.casefold() != name.casefold():
            break
        depth += 1
    return depth


_Row = tuple[str, str, list[str]]  # path, split, folders below the split


def _without_doubled_splits(rows: Sequence[_Row]) -> list[_Row]:
    """Pass through a second folder of the split's own name, as in ``train/train/happy``."""
    seconds = defaultdict(set)
    for _, split, folders in rows:
        seconds[split].add(folders[0] if folders else "")
    doubled = {s for s, names in seconds.items() if s and len(names) == 1 and split_of(min(names)) == s}
    return [(path, split, folders[1:] if split in doubled else folders) for path, split, folders in rows]


def _fill(tree: Tree, rows: Sequence[_Row]) -> None:
    labelled = {split for _, split, folders in rows if folders}
    for path, split, folders in rows:
        if not folders and split in labelled:
            tree.strays.append((path, "lies beside the class folders, in none of them"))
            continue
        tree.keys.append(path)
        tree.ids.append(path[len(tree.root) :])
        tree.splits.append(split)
        tree.labels.append(folders[0] if folders else "")


def _read_fer2013_names(tree: Tree) -> None:
    """Tell PublicTest from PrivateTest, which the folder release of FER-2013 keeps together under ``test``.

    Where the folders bring a validation split of their own, somebody has arranged them anew, and the folders are
    believed.
    """
    if "validation" in tree.splits:
        return
    changed: Counter[str] = Counter()
    for i, (path, split) in enumerate(zip(tree.keys, tree.splits, strict=True)):
        found = _FER2013.fullmatch(stem(path)) if split in ("test", "") else None
        by_name = split_of(found["usage"]) if found else ""
        if by_name and by_name != split and (split == "" or by_name == "validation"):
            tree.splits[i] = by_name
            changed[by_name] += 1
    if changed:
        told = shorten([f"{count:,} {split}" for split, count in sorted(changed.items())])
        tree.notes.append(f"Named as in FER-2013 (PublicTest is validation, PrivateTest is test): {told}.")
