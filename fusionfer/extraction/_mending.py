"""Rows that a cache lost, computed again as they were: the recorded network, batches, places in them and threads."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fusionfer.backbones import Backbone, Preprocess, get_backbone
from fusionfer.cache import FeatureFile, RowTable, key_differences
from fusionfer.exceptions import CacheError, DataError, DeviceMemoryError, ImageError, UnknownNameError, WeightsError
from fusionfer.extraction._continuing import on_engine
from fusionfer.extraction._extract import one_pass, watched
from fusionfer.extraction._forward import Progress, crew_of, find_device
from fusionfer.extraction._records import run_record
from fusionfer.extraction._request import block_key, weights_record
from fusionfer.images import FaceSet
from fusionfer.networks import LoadedBackbone, find_engine, find_precision, load_backbone

__all__ = ["RecordedNetwork", "key_of_same_run"]

#: What of a record tells whether rows computed now and then are equal to the bit.
_DECIDES_BITS = ("versions", "device", "threads", "engine")


class RecordedNetwork:
    """The network that computed a cache file, loaded again, and the pictures of its rows.

    Parameters
    ----------
    key, record : dict
        Of the file.
    rows : RowTable
        Of the file.
    lost : ndarray of bool, shape (n,)
        Rows to be computed; only their pictures need to be in `faces`.
    faces : FaceSet
        The data set; labels, splits and order do not matter, as those of the file count.
    backbone : Backbone, optional
        Where the file's is none of fusionfer's own.
    weights : str or Path, optional
        Where the weights are by now; by default where the record says.
    device : str
        ``recorded`` takes the device of the record, and where it is not here the one that is.
    timeout : float
        Seconds to wait for the server of published weights.
    progress, stop
        As in `extract_to_cache`.

    Raises
    ------
    CacheError
        If anything of the key would differ, or the file was not extracted from images; with the fields.
    DataError
        If a lost row's picture is not in `faces`, or is another one by now; or if the engine of the record is not
        installed here.
    WeightsError
        If the weights are nowhere to be found.
    """

    def __init__(
        self,
        key: Mapping[str, Any],
        record: Mapping[str, Any],
        rows: RowTable,
        lost: np.ndarray,
        faces: FaceSet,
        *,
        backbone: Backbone | None = None,
        weights: str | Path | None = None,
        device: str = "recorded",
        timeout: float = 30.0,
        progress: Progress | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self._stop = stop
        self._progress = watched(progress, stop)
        asked = _backbone_of(key, backbone).as_recorded(record.get("weights") or {})
        self.faces = _in_order_of(rows, lost, faces)
        self.rows = rows
        self.device = _device(device, record)
        precision = find_precision(_precision(key), self.device)
        self.engine = find_engine(
            str(record.get("engine", "torch")), self.device, own_modules=asked.module is not None, precision=precision
        )
        source, seed = (str(weights), 0) if weights is not None else _recorded_weights(asked, record)
        self.loaded = load_backbone(
            asked, [key["level"]], weights=source, seed=seed, device=self.device, precision=precision,
            progress=self._progress, timeout=timeout,
        )  # fmt: skip
        try:
            _require_key(key, self.loaded, faces)
        except CacheError:
            self.loaded.close()
            raise
        crew = crew_of([self.loaded], self.device)
        threads = record.get("threads")
        # Bits depend on the threads inside the network, so these are as they were.
        self.crew = replace(crew, threads=threads) if isinstance(threads, int) and threads > 0 else crew
        batch_size = int(record.get("batch_size", 1))
        now = run_record(self.loaded, faces, batch_size, self.device, self.crew, self.engine)
        then = {name: value for name, value in record.items() if name != "history"}
        same = all(now.get(name) == then.get(name) for name in _DECIDES_BITS)
        self.record = then if same else {**then, **{name: now[name] for name in _DECIDES_BITS}}

    def __enter__(self) -> RecordedNetwork:
        return self

    def __exit__(self, *_: object) -> None:
        self.loaded.close()

    def compute(self, job: FeatureFile) -> int:
        """Compute and commit what the file lacks; return the number of rows that have features now.

        Raises
        ------
        ExtractionInterrupted
            When asked to stop; the batches before it are kept.
        DeviceMemoryError
            If the device has no memory for the batches of the file.
        """
        name = (self.loaded.backbone.name, _level(self.loaded))
        settings: dict[str, Any] = {
            "batch_size": job.block_rows, "device": self.device, "crew": self.crew, "progress": self._progress
        }  # fmt: skip
        networks = on_engine([self.loaded], {name: job}, self.engine, **settings)
        try:
            return one_pass(self.faces, self.rows, networks, {name: job}, on_error="skip", stop=self._stop, **settings)
        except DeviceMemoryError as error:
            msg = f"{error} The file has such batches: free memory there, or give --device cpu."
            raise DeviceMemoryError(msg) from error


def key_of_same_run(
    key: Mapping[str, Any],
    record: Mapping[str, Any],
    backbone: str | Backbone,
    level: str,
    *,
    weights: str | Path | None = None,
    timeout: float = 30.0,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return key and record that another block has if it was extracted together with the one that has `key`.

    Size and decoder are those of `key`; weights are those given, else of the record if the backbone is the same, else
    random ones of its seed or ImageNet's. Whether that is so only a comparison of keys can tell.

    Raises
    ------
    CacheError
        If `key` is of features that were not extracted from images.
    WeightsError, WeightsUnavailableError, UnknownNameError
        If there are no such weights or levels.
    """
    asked = _backbone_of({**key, "backbone": getattr(backbone, "name", backbone)}, get_backbone(backbone), sized=True)
    source, seed = "imagenet", 0
    if weights is not None:
        source = str(weights)
    elif asked.name == key.get("backbone"):
        asked = asked.as_recorded(record.get("weights") or {})
        source, seed = _recorded_weights(asked, record)
    elif (recorded := record.get("weights") or {}).get("seed") is not None:
        source, seed = "none", int(recorded["seed"])
    loaded = load_backbone(asked, [level], weights=source, seed=seed, timeout=timeout)
    loaded.close()
    sha256, decoder = loaded.weights["sha256"], str(key.get("decoder"))
    theirs = block_key(loaded.backbone, level, sha256, decoder, _precision(key), key.get("faces"))
    others = {name: value for name, value in record.items() if name != "history"}
    return (
        {**theirs, "dim": loaded.dims[level]},
        {**others, "weights": weights_record(loaded.weights)},
    )


def _precision(key: Mapping[str, Any]) -> str:
    """Return what the network of a file computed in."""
    return str(key.get("dtype", "float32"))


def _level(loaded: LoadedBackbone) -> str:
    """Return the one level of a network."""
    (level,) = loaded.dims
    return level


def _in_order_of(rows: RowTable, lost: np.ndarray, faces: FaceSet) -> FaceSet:
    """Return the faces in the order of the file, as a picture's place in its batch matters; proven to be the same."""
    place = {face: i for i, face in enumerate(faces.ids.tolist())}
    index = [place.get(row, -1) for row in rows.ids.tolist()]
    absent = [i for i in np.flatnonzero(lost) if index[i] < 0]
    changed = [i for i in np.flatnonzero(lost) if index[i] >= 0 and _digest(faces, index[i]) != rows.digests[i]]
    complaints = [
        f"{len(some)} {what} (first: {rows.ids[some[0]]})"
        for some, what in [(absent, "are not in it"), (changed, "are other pictures by now")]
        if some
    ]
    if complaints:
        msg = (
            f"{faces.name} does not have the pictures of {len(absent) + len(changed)} damaged samples: "
            f"{'; '.join(complaints)}. Give the data as they were, or let `fusionfer extract` do what is new."
        )
        raise DataError(msg)
    keys = tuple(faces.keys[i] if i >= 0 else None for i in index)
    return replace(faces, ids=rows.ids, keys=keys, labels=rows.labels, splits=rows.splits, groups=rows.groups)


def _digest(faces: FaceSet, i: int) -> str:
    """SHA-256 of a stored picture; empty where it cannot be read, as in row tables."""
    with contextlib.suppress(ImageError):
        return faces.digest(i)
    return ""


def _device(name: str, record: Mapping[str, Any]) -> Any:
    if name != "recorded":
        return find_device(name)
    with contextlib.suppress(DataError):
        return find_device(str(record.get("device", "auto")))
    return find_device("auto")


def _backbone_of(key: Mapping[str, Any], backbone: Backbone | None, *, sized: bool = False) -> Backbone:
    """Return the record of the backbone with the recorded size; one of the user's own as it is, unless `sized`."""
    preprocess = key.get("preprocess")
    if "weights_sha256" not in key or not isinstance(preprocess, Mapping):
        msg = (
            f"{key.get('backbone')}: these features were not extracted from images by fusionfer, so they cannot be "
            "computed again from images. Write them again, as with Features.to_hdf5."
        )
        raise CacheError(msg)
    if backbone is not None and not (sized and backbone.module is None):
        return backbone
    own = backbone or get_backbone(str(key["backbone"]))
    fits = isinstance(own.preprocess, Preprocess) and isinstance(preprocess.get("size"), int)
    return own.sized(preprocess["size"]) if fits else own


def _recorded_weights(backbone: Backbone, record: Mapping[str, Any]) -> tuple[str, int]:
    """Return what `load_backbone` takes to find the recorded weights: seed, path, or published name."""
    weights = record.get("weights")
    weights = weights if isinstance(weights, Mapping) else {}
    path, name = weights.get("path"), str(weights.get("name"))
    if backbone.module is not None or weights.get("seed") is not None:
        return "none", int(weights.get("seed") or 0)
    if path and Path(path).is_file():
        return str(path), 0
    if backbone.name.startswith("timm:") and not path:
        return "imagenet", 0
    try:
        return backbone.pinned(name).name, 0
    except UnknownNameError as error:
        msg = (
            f"{backbone.name}: the weights {name} are no longer at {path}. "
            f"Give them with --weights {backbone.name}=PATH."
        )
        raise WeightsError(msg) from error


def _require_key(key: Mapping[str, Any], loaded: LoadedBackbone, faces: FaceSet) -> None:
    """Refuse what would compute other features than the file holds."""
    level = _level(loaded)
    sha256 = loaded.weights["sha256"]
    key_here = block_key(loaded.backbone, level, sha256, faces.decoder, loaded.precision, faces.prepared)
    ours = {**key_here, "dim": loaded.dims[level]}
    differences = key_differences(dict(key), ours)
    if differences:
        differing = [f"{field}: {then!r} in the file, {now!r} here" for field, (then, now) in differences.items()]
        msg = (
            f"{loaded.backbone.name}:{level} cannot be computed here as it was ({'; '.join(differing)}). "
            f"Other weights are given with --weights {loaded.backbone.name}=PATH."
        )
        raise CacheError(msg)
