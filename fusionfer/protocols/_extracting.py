"""The features of all runs of a replay, extracted once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fusionfer.extraction import extract
from fusionfer.features import Features
from fusionfer.images import FaceSet
from fusionfer.protocols._material import Material
from fusionfer.protocols._protocol import Protocol

__all__ = ["extract_once"]

Progress = Callable[[int, int, str], None]


def extract_once(
    protocol: Protocol,
    plans: Sequence[Sequence[Sequence[FaceSet]]],
    material: Material,
    weights: Any,
    cache: str | Path,
    device: str,
    progress: Progress | None,
) -> Features:
    """Extract once what any of the runs needs: the caches hold every face and every changed copy of it once."""
    every = [faces for plan in plans for arranged in plan for faces in arranged]
    keys: dict[str, tuple[FaceSet, int]] = {}
    for faces in every:
        for i, name in enumerate(faces.ids.tolist()):
            keys.setdefault(name, (faces, i))
    names = sorted(keys)
    # Where there are copies, their source reads the pictures themselves, too.
    source = next((faces for faces in every if faces.source is not material.faces.source), every[0])
    # Without splits and groups, which differ from run to run, a later replay finds the same rows.
    union = FaceSet(
        ids=np.array(names, dtype=np.str_),
        keys=tuple(_key(keys[name], source) for name in names),
        source=source.source,
        name=material.faces.name,
        max_pixels=source.max_pixels,
        decoder=source.decoder,
    )
    return extract(
        union, protocol.features.backbones, protocol.features.level, cache=cache, weights=weights,
        size=protocol.features.size or None, device=device, progress=progress,
    )  # fmt: skip


def _key(found: tuple[FaceSet, int], source: FaceSet) -> Any:
    """Return the key by which `source` reads a face that another arrangement, perhaps without copies, holds."""
    faces, i = found
    if faces.source == source.source:
        return faces.keys[i]
    return (faces.keys[i], str(faces.ids[i]), 0)
