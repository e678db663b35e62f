"""What users call a cache file: ``backbone:level``, with ``@weights`` where that alone is not enough."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from fusionfer.cache._format import block_name, key8
from fusionfer.cache._layout import Layout
from fusionfer.exceptions import UnknownNameError, unknown_name

__all__ = ["block_names", "match_block", "refuse_two_of_one_backbone"]

_PREFIX = 4  # fewer digits of a hash would match by chance


def block_names(layouts: Iterable[Layout]) -> dict[str, Path]:
    """Return name -> file, each name the shortest of the three forms that means one file only."""
    layouts = list(layouts)
    forms = [_forms(layout) for layout in layouts]
    counts = Counter(form for three in forms for form in dict.fromkeys(three))
    return {
        next((form for form in three if counts[form] == 1), three[-1]): layout.path
        for three, layout in zip(forms, layouts, strict=True)
    }


def match_block(spec: str, layouts: list[Layout]) -> Path:
    """Return the one file that `spec` means, else raise UnknownNameError with the names to type."""
    meant = [layout for layout in layouts if _means(spec, layout)]
    if not meant:
        raise unknown_name("block", spec, block_names(layouts))
    if len(meant) > 1:
        names = [name for name, path in block_names(layouts).items() if path in {layout.path for layout in meant}]
        msg = f"Block {spec!r} is ambiguous. Type one of: {', '.join(sorted(names))}."
        raise UnknownNameError(msg)
    return meant[0].path


def refuse_two_of_one_backbone(folder: Path, layouts: list[Layout]) -> None:
    """Raise UnknownNameError, with the names to choose from, if two files are of one backbone."""
    counts = Counter(layout.backbone for layout in layouts)
    twice = {layout.path for layout in layouts if counts[layout.backbone] > 1}
    if twice:
        names = sorted(name for name, path in block_names(layouts).items() if path in twice)
        msg = (
            f"{folder} has more than one cache of one backbone: {', '.join(names)}. "
            "Name the blocks to use, as in --features " + ",".join(sorted(_one_each(layouts))) + "."
        )
        raise UnknownNameError(msg)


def _one_each(layouts: list[Layout]) -> list[str]:
    """The first block of each backbone, as an example to type."""
    files = {path: name for name, path in block_names(layouts).items()}
    return list({layout.backbone: files[layout.path] for layout in reversed(layouts)}.values())


def _forms(layout: Layout) -> list[str]:
    """The names of a file, shortest first; the last one is always unique in a folder."""
    name = block_name(layout.backbone, layout.level)
    weights = layout.record.get("weights")
    known_as = weights.get("name") if isinstance(weights, dict) else None
    named = [f"{name}@{known_as}"] if isinstance(known_as, str) and known_as else []
    return [name, *named, f"{name}@{key8(layout.key)}"]


def _means(spec: str, layout: Layout) -> bool:
    name = block_name(layout.backbone, layout.level)
    if spec == name or spec in _forms(layout):
        return True
    if not spec.startswith(name + "@"):
        return False
    asked = spec[len(name) + 1 :].lower()
    hashes = (str(layout.key.get("weights_sha256", "")), key8(layout.key))
    return len(asked) >= _PREFIX and any(known.startswith(asked) for known in hashes)
