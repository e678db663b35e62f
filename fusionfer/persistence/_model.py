"""Model: a fitted classifier that knows which features it expects."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from fusionfer import __version__
from fusionfer.exceptions import ModelError
from fusionfer.matrices import is_mapped, piecewise
from fusionfer.persistence._archive import copy_hashed, file_sha256, opened, replacing

__all__ = ["Model"]


def _versions() -> dict[str, str]:
    return {
        "fusionfer": __version__,
        "scikit-learn": metadata.version("scikit-learn"),
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, eq=False)
class Model:
    """A fitted classifier together with what it expects and how it came about.

    All but the estimator is kept as JSON knows it: tuples become lists, NumPy's numbers plain ones, and NaN None.

    Attributes
    ----------
    estimator : scikit-learn classifier
        Fitted on the columns of `blocks`, side by side.
    blocks : dict of str to dict
        In column order: block name -> ``backbone``, ``level``, ``dim`` (columns), ``key`` (decides whether features are
        the same) and ``record`` (good to know), as the cache stores them.
    classes : tuple of str
        Names of the classes, in the order of ``estimator.classes_`` and of the columns of `predict_proba`.
    selection : dict
        How the blocks were chosen: candidates, their fold scores, the one selected, and why.
    training : dict
        What it was trained on: number of samples, split, head, parameters, and fingerprints of rows and groups, by
        which `fusionfer.evaluation.evaluate` recognises rows that were trained on.
    versions : dict of str to str
        Versions of fusionfer, scikit-learn, NumPy and Python that fitted it.
    created : str
        When, in ISO 8601, UTC. Give it to get the same bytes from `save_model` twice.
    weights : dict of str to dict
        Weight files that the file brings along: backbone -> ``member``, ``sha256``, ``bytes``; filled by `load_model`.
    path : Path or None
        Where it was loaded from.

    Raises
    ------
    ModelError
        If the estimator is not fitted, or has other classes or another number of columns than stated, or if something
        cannot be written as JSON.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> head = LogisticRegression().fit([[0.0, 1.0], [1.0, 0.0]], ["joy", "fear"])
    >>> block = {"backbone": "resnet34", "level": "logits", "dim": 2, "key": {"size": 48}, "record": {}}
    >>> model = Model(head, {"resnet34:logits": block}, ("fear", "joy"))
    >>> model.predict(np.array([[0.0, 1.0]]))
    array(['joy'], dtype='<U4')
    """

    estimator: Any
    blocks: dict[str, dict[str, Any]]
    classes: tuple[str, ...]
    selection: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=_versions)
    created: str = field(default_factory=_now)
    weights: dict[str, dict[str, Any]] = field(default_factory=dict)
    path: Path | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        for name in ("blocks", "selection", "training", "versions", "weights"):
            put(self, name, _plain(getattr(self, name), name))
        put(self, "classes", tuple(str(name) for name in self.classes))
        for name, block in self.blocks.items():
            kinds = {"backbone": str, "level": str, "dim": int, "key": dict, "record": dict}
            if not all(isinstance(block.get(entry), kind) for entry, kind in kinds.items()) or block["dim"] < 1:
                msg = f"Block {name!r} of a model needs backbone, level, dim (1 or more), key and record, not {block}."
                raise ModelError(msg)
        known = getattr(self.estimator, "classes_", None)
        if known is None or not callable(getattr(self.estimator, "predict", None)):
            msg = f"{type(self.estimator).__name__} is no fitted classifier: it lacks classes_ or predict."
            raise ModelError(msg)
        if tuple(str(name) for name in known) != self.classes:
            msg = f"The estimator knows the classes {', '.join(map(str, known))}; stated are {', '.join(self.classes)}."
            raise ModelError(msg)
        columns = getattr(self.estimator, "n_features_in_", self.n_columns)
        if not self.blocks or columns != self.n_columns:
            msg = f"The estimator was fitted on {columns} columns; the blocks have {self.n_columns} ({self._dims()})."
            raise ModelError(msg)

    @property
    def n_columns(self) -> int:
        """Number of columns that `predict` expects."""
        return sum(block["dim"] for block in self.blocks.values())

    def _dims(self) -> str:
        return ", ".join(f"{name}: {block['dim']}" for name, block in self.blocks.items()) or "none"

    def predict(self, X: Any) -> np.ndarray:
        """Return the class of each row.

        Parameters
        ----------
        X : ndarray of float, or MappedMatrix, shape (n, n_columns)
            The blocks side by side, in the order of `blocks`.

        Returns
        -------
        ndarray of str, shape (n,)

        Raises
        ------
        ModelError
            If `X` has another number of columns.
        """
        X = self._checked(X)
        return np.asarray(piecewise(self.estimator, X).predict(X)).astype(np.str_)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class for each row.

        Parameters
        ----------
        X : ndarray of float, or MappedMatrix, shape (n, n_columns)
            The blocks side by side, in the order of `blocks`.

        Returns
        -------
        ndarray of float, shape (n, K)
            In [0, 1], columns in the order of `classes`.

        Raises
        ------
        ModelError
            If `X` has another number of columns, or the estimator gives no probabilities.
        """
        if not hasattr(self.estimator, "predict_proba"):
            msg = f"The head {type(self.estimator).__name__} gives no probabilities; only labels can be predicted."
            raise ModelError(msg)
        X = self._checked(X)
        return np.asarray(piecewise(self.estimator, X).predict_proba(X))

    def _checked(self, X: Any) -> Any:
        X = X if is_mapped(X) else np.asarray(X)
        if X.ndim != 2 or X.shape[1] != self.n_columns:
            msg = f"The model expects {self.n_columns} columns ({self._dims()}), not an array of shape {X.shape}."
            raise ModelError(msg)
        return X

    def require(self, provenance: Mapping[str, Mapping[str, Any]]) -> None:
        """Refuse features that came about in another way than those the model was fitted on.

        Parameters
        ----------
        provenance : mapping of str to mapping
            For each block on offer its ``key``, as the cache stores it. Further entries and further blocks are fine.

        Raises
        ------
        ModelError
            If a block is missing, or a field of its key differs; all differences are listed.
        """
        complaints = []
        for name, block in self.blocks.items():
            if name not in provenance:
                complaints.append(f"{name} is missing (there is: {', '.join(provenance) or 'nothing'})")
                continue
            ours, theirs = _flat(block["key"]), _flat(_plain(provenance[name].get("key", {}), name))
            for entry in sorted(ours.keys() | theirs.keys()):
                mine, offered = ours.get(entry, "absent"), theirs.get(entry, "absent")
                if mine != offered:
                    complaints.append(f"{name}: {entry} is {mine!r} in the model, {offered!r} in the features")
        if complaints:
            msg = f"These features are not what {self.path or 'the model'} was fitted on. {'; '.join(complaints)}. "
            msg += "Extract them with the model's settings, or fit a model to them."
            raise ModelError(msg)

    def extract_weights(self, sha256: str, folder: str | Path) -> Path | None:
        """Copy a weight file that the model brings along into a folder, unless it is there already.

        Parameters
        ----------
        sha256 : str
            64 hexadecimal digits.
        folder : path
            Made if it does not exist.

        Returns
        -------
        Path or None
            ``<folder>/<sha256><ending>``, its hash checked; None if the model does not bring these weights along.

        Raises
        ------
        ModelError
            If the weights in the file are damaged, or the folder cannot be written to.
        """
        held = {entry["sha256"]: entry["member"] for entry in self.weights.values()}
        if self.path is None or sha256 not in held:
            return None
        target = Path(folder) / Path(held[sha256]).name
        if target.is_file() and file_sha256(target) == sha256:
            return target
        with opened(self.path) as (archive, _):
            if held[sha256] not in archive.namelist():
                msg = f"{self.path} was replaced after it was loaded: it no longer holds the weights {sha256}."
                raise ModelError(msg)
            with archive.open(held[sha256]) as source, replacing(target) as sink:
                if copy_hashed(source, sink) != sha256:
                    msg = f"{self.path} is damaged: the weights {sha256} in it have another hash."
                    raise ModelError(msg)
        return target


def _plain(value: Any, where: str) -> Any:
    """Return `value` as JSON knows it."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    msg = f"{where} of a model holds a {type(value).__name__}, which JSON does not know: {value!r}."
    raise ModelError(msg)


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested dictionaries as one, with dotted names."""
    if not isinstance(value, Mapping):
        return {prefix: value}
    found: dict[str, Any] = {}
    for key, item in value.items():
        found |= _flat(item, f"{prefix}.{key}" if prefix else str(key))
    return found
