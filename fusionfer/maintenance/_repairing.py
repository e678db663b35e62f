"""Damaged rows of caches, extracted again from the pictures as they were the first time."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfer.backbones import BACKBONES, Backbone
from fusionfer.cache import (
    CacheFolder,
    Examination,
    StoredFeatures,
    damaged_blocks,
    examine,
    file_name,
    start_anew,
    start_mending,
)
from fusionfer.exceptions import CacheError, CacheFormatError, ModelError, UnknownNameError, WeightsError
from fusionfer.faces import FacePreparation, prepare_faces
from fusionfer.images import FaceSet
from fusionfer.maintenance._verifying import cache_files

if TYPE_CHECKING:
    from fusionfer.extraction import RecordedNetwork

__all__ = ["Mended", "repair"]

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Mended:
    """What `repair` did to one file.

    Attributes
    ----------
    path : Path
    samples : tuple of str
        Ids of the rows that were damaged, and are computed anew.
    identical, blocks : int
        Of so many blocks with damaged rows so many have again the checksum that was stored: equal to the bit. Both are
        0 where nothing of the file could be read.
    failed : tuple of (str, str)
        Damaged samples whose picture cannot be used, with the reason, as in an extraction that skips.
    """

    path: Path
    samples: tuple[str, ...]
    identical: int
    blocks: int
    failed: tuple[tuple[str, str], ...]


def repair(
    cache: str | Path,
    faces: FaceSet,
    *,
    weights: Mapping[str, str | Path] | None = None,
    backbones: Sequence[Backbone] = (),
    device: str = "recorded",
    timeout: float = 30.0,
    wait: float = 0.0,
    lock: bool = True,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> list[Mended]:
    """Extract the damaged rows of complete caches again, and only those.

    A repaired file replaces the damaged one when it is finished; until then nothing is changed. Everything is checked
    for all files before the first row is computed.

    Parameters
    ----------
    cache : str or Path
        A folder of caches, or one file in it.
    faces : FaceSet
        The data set; only the pictures of damaged samples are read.
    weights : mapping of str to path-like, optional
        Backbone name -> where its weights are by now; by default where the files recorded them.
    backbones : sequence of Backbone, optional
        Those with modules of one's own.
    device : str
        ``recorded``, or as in `fusionfer.extraction.extract_to_cache`.
    timeout, wait, lock, progress, stop
        As in `fusionfer.extraction.extract_to_cache`.

    Returns
    -------
    list of Mended
        One per file that was damaged.

    Raises
    ------
    CacheFormatError
        If nothing in a damaged file can be believed, and its name and the folder's other files do not lead to its key.
    CacheError
        If a file cannot be computed as it was; the fields of the key that differ are named.
    DataError
        If `faces` lacks the picture of a damaged sample, or has another one.
    WeightsError, StoreFullError, ExtractionInterrupted
    """
    path = Path(cache)
    folder = CacheFolder(path if path.is_dir() else path.parent)
    network = _Networks(
        faces, {backbone.name: backbone for backbone in backbones}, dict(weights or {}), device, timeout, progress, stop
    )
    with folder.lock(wait, required=lock, stop=stop):
        damaged = [one for one in map(examine, cache_files(path)) if one.finished and not one.sound]
        orders = [_order(one, folder, network) for one in damaged]
        if len(orders) > 1:  # a network at a time is held; so all are tried before the first is used
            for order in orders:
                network.of(order).__exit__()
        return [_mend(folder, order, network.of(order)) for order in orders]


_FACE = re.compile(r"#face\d+$")


@dataclass(frozen=True)
class _Order:
    """What is to be computed for one file: all that its key, record and rows say, known from it or from its name."""

    one: Examination
    like: StoredFeatures  # the file itself, or where nothing of it can be read, another one of the same run
    key: dict[str, Any]
    record: dict[str, Any]
    lost: np.ndarray

    @property
    def anew(self) -> bool:
        """Whether nothing of the file itself is used."""
        return self.like is not self.one.stored


@dataclass(frozen=True)
class _Networks:
    """What all networks of one repair have in common."""

    faces: FaceSet
    own: dict[str, Backbone]
    weights: dict[str, str | Path]
    device: str
    timeout: float
    progress: Progress | None
    stop: threading.Event | None

    def of(self, order: _Order) -> RecordedNetwork:
        """Load the network of one file, and prove that it is the right one."""
        from fusionfer.extraction import RecordedNetwork

        name = order.key["backbone"]
        faces = _as_recorded(order, self.faces)
        return RecordedNetwork(
            order.key, order.record, order.like.rows, order.lost, faces, backbone=self.own.get(name),
            weights=self.weights.get(name), device=self.device, timeout=self.timeout, progress=self.progress,
            stop=self.stop,
        )  # fmt: skip


def _as_recorded(order: _Order, faces: FaceSet) -> FaceSet:
    """Return the set as a file's rows were made of it: where faces had been cut out, lost rows' are again."""
    described = order.key.get("faces")
    if described is None or faces.preparation is not None:
        return faces
    lost = {str(name) for name in order.like.rows.ids[order.lost]}
    sources = {_FACE.sub("", name) for name in lost}
    several = "all" if any(_FACE.search(name) for name in lost) else "largest"
    needed = faces.take([i for i, name in enumerate(faces.ids.tolist()) if name in sources or name in lost])
    try:
        preparation = FacePreparation.from_description(described)
    except ModelError as error:
        msg = (
            f"The faces of damaged rows cannot be cut out again: {error} Give `repair` a set that "
            "`fusionfer.faces.prepare_faces` has prepared in this way, or remove the file and extract anew."
        )
        raise CacheError(msg) from error
    return prepare_faces(needed, preparation, several=several, on_error="skip")


def _order(one: Examination, folder: CacheFolder, network: _Networks) -> _Order:
    """Say what is to be computed; where nothing can be read, the name and the folder's other files have to tell."""
    if one.stored is not None and one.damaged.any():
        return _Order(one, one.stored, one.stored.key, one.stored.record, one.damaged)
    if one.stored is not None:  # sound, perhaps the only copy of what it holds
        own = file_name(one.stored.backbone, one.stored.level, one.stored.key)
        msg = (
            f"{one.path}: {one.why}. Its own name is {own}: rename it, and run `fusionfer extract` for what is missing."
        )
        raise CacheFormatError(msg)
    for path in folder.files():
        sibling = examine(path)
        if path == one.path or sibling.stored is None or not sibling.sound:
            continue
        for backbone, level in _names(one.path, network.own):
            found = _of_same_run(sibling.stored, backbone, level, network)
            if found and file_name(found[0]["backbone"], found[0]["level"], found[0]) == one.path.name:
                return _Order(one, sibling.stored, *found, np.ones(len(sibling.state), bool))
    msg = (
        f"{one.path} cannot be repaired: {one.why.rstrip('.')}. Nothing in it says what it was computed from, and no "
        "other file of this folder leads to the key in its name. If its weights are elsewhere by now, give them with "
        "--weights BACKBONE=PATH; else move it out of the folder, and `fusionfer extract` computes it anew."
    )
    raise CacheFormatError(msg)


def _names(path: Path, own: Mapping[str, Backbone]) -> list[tuple[Backbone, str]]:
    """Return the backbones and levels that a file's name may mean."""
    parts = path.name.split(".")
    known = [*own.values(), *(backbone for name, backbone in BACKBONES.items() if name not in own)]
    return [
        (backbone, level)
        for backbone in known
        for level in dict.fromkeys([*backbone.levels, parts[1] if len(parts) == 4 else ""])
        if level and file_name(backbone.name, level, {}).split(".")[:2] == parts[:2]
    ]


def _of_same_run(
    stored: StoredFeatures, backbone: Backbone, level: str, network: _Networks
) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return key and record of another block of the run that gave `stored`; None if there can be none."""
    from fusionfer.extraction import key_of_same_run

    with contextlib.suppress(CacheError, WeightsError, UnknownNameError):
        return key_of_same_run(
            stored.key, stored.record, backbone, level, weights=network.weights.get(backbone.name),
            timeout=network.timeout,
        )  # fmt: skip
    return None


def _mend(folder: CacheFolder, order: _Order, network: RecordedNetwork) -> Mended:
    one = order.one
    before = {} if order.anew else damaged_blocks(one)
    with network, contextlib.ExitStack() as stack:
        if order.anew:
            job = start_anew(folder, one.path, order.key, network.record, order.like)
        else:
            job = start_mending(folder, one, network.record)
        stack.enter_context(job)
        network.compute(job)
        job.finish()
    after = examine(one.path)
    if not after.sound or after.stored is None:
        msg = f"{one.path} was repaired and is damaged again ({after.why}): the disk or the memory is failing."
        raise CacheFormatError(msg)
    crcs = after.stored.layout.map("crc32")
    ids = after.stored.rows.ids
    return Mended(
        one.path,
        tuple(str(row) for row in ids[order.lost]),
        sum(int(crcs[block]) == crc for block, crc in before.items()),
        len(before),
        tuple((str(ids[i]), why) for i, why in after.stored.reasons.items() if order.lost[i]),
    )
