"""Estimators in skops' format: trusted types only, and the same bytes for the same estimator."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from fusionfer.exceptions import ModelError, UntrustedTypeError
from fusionfer.heads import HEADS
from fusionfer.persistence._archive import check_members, zip_info

__all__ = ["TRUSTED_TYPES", "dump_estimator", "load_estimator", "type_name"]

#: Types of fusionfer that a model may hold, besides the estimators of scikit-learn that skops trusts: those that put
#: heads together, and the class of every listed head. Their attributes are plain values and arrays; what could harm
#: more than a wrong prediction (models of XGBoost) they check when they first use it.
TRUSTED_TYPES = (
    "fusionfer.fusion.BlockScaler",
    "fusionfer.selection.HybridSelector",
    *sorted({head.target.replace(":", ".") for head in HEADS.values()}),
)

_SCHEMA = "schema.json"
_OLDEST_PROTOCOL = 2  # what the first fusionfer wrote; skops' readers of older protocols audit less


def dump_estimator(estimator: Any) -> tuple[bytes, list[str]]:
    """Return the bytes of a fitted estimator, and the types for which loading will ask.

    Raises
    ------
    ModelError
        If it holds something that cannot be written without pickle.
    """
    skops_io = _import_skops_io()
    try:
        stored = _normalised(skops_io.dumps(estimator))
        untrusted = set(skops_io.get_untrusted_types(data=stored)) - set(TRUSTED_TYPES)
    except Exception as error:  # skops lets through whatever the type at hand raises
        msg = f"A {type_name(estimator)} cannot be saved without pickle: {type(error).__name__}: {error}"
        raise ModelError(msg) from error
    return stored, sorted(untrusted)


def load_estimator(stored: bytes, what: str, trust: Sequence[str] = ()) -> Any:
    """Build an estimator from its bytes if it holds trusted types only.

    Raises
    ------
    UntrustedTypeError
        If it holds other types; the error names them, and nothing has been built.
    ModelError
        If the bytes are no such file.
    """
    skops_io = _import_skops_io()
    trusted = [*TRUSTED_TYPES, *([trust] if isinstance(trust, str) else trust)]
    try:
        with zipfile.ZipFile(io.BytesIO(stored)) as archive:
            check_members(archive, len(stored), f"The estimator in {what}")
            protocol = json.loads(archive.read(_SCHEMA))["protocol"]
        if protocol < _OLDEST_PROTOCOL:
            msg = f"The estimator in {what} has skops protocol {protocol}; fusionfer never wrote such a file."
            raise ModelError(msg)
        untrusted = sorted(set(skops_io.get_untrusted_types(data=stored)) - set(trusted))
        if not untrusted:
            return skops_io.loads(stored, trusted=trusted)
    except ModelError:
        raise
    except Exception as error:  # a damaged or crafted file makes skops raise nearly anything
        msg = f"The estimator in {what} cannot be built: {type(error).__name__}: {error}"
        raise ModelError(msg) from error
    options = " ".join(f"--trust {name}" for name in untrusted)
    msg = f"{what} holds types that fusionfer does not know to be harmless: {', '.join(untrusted)}. In a file from "
    msg += (
        f"someone else they could run code or crash Python. If you made it, or trust its maker, repeat with {options} "
    )
    msg += "(in Python: load_model(path, trust=[...]))."
    raise UntrustedTypeError(msg)


def type_name(value: Any) -> str:
    """Return the full name of the type of `value`."""
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _normalised(stored: bytes) -> bytes:
    """Return the same skops file with counters in the place of memory addresses and random names."""
    names: dict[str, str] = {}
    ids: dict[int, int] = {}

    def renumber(node: Any) -> Any:
        if isinstance(node, list):
            return [renumber(item) for item in node]
        if not isinstance(node, dict):
            return node
        result = {key: renumber(value) for key, value in node.items()}
        if isinstance(node.get("__id__"), int):
            if node.get("__loader__") == "JsonNode":
                del result["__id__"]  # a plain value; whether two are one object is an accident
            else:
                result["__id__"] = ids.setdefault(node["__id__"], len(ids) + 1)
        if isinstance(node.get("file"), str):
            result["file"] = names.setdefault(node["file"], f"{len(names) + 1}{Path(node['file']).suffix}")
        return result

    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(stored)) as source, zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as target:
        target.writestr(zip_info(_SCHEMA), json.dumps(renumber(json.loads(source.read(_SCHEMA)))))
        for old, new in names.items():
            target.writestr(zip_info(new), source.read(old))
    return buffer.getvalue()


def _import_skops_io() -> ModuleType:
    """Return ``skops.io`` without loading torch.

    Its import walks through all of scikit-learn, where one module imports torch if it can: seconds, and hundreds of
    megabytes, that a fit from caches does not need. While None stands for torch in ``sys.modules``, that one import
    fails and is passed over. Nothing is done where torch is loaded already, or skops has been imported before. Another
    thread that imports torch for the first time in that half second would fail; the verbs of fusionfer have none.
    """
    hide = "torch" not in sys.modules and "skops.io" not in sys.modules
    if hide:
        import scipy.stats  # noqa: F401  computes while it is imported, and asks sys.modules for torch's classes

        sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        import skops.io
    finally:
        if hide:
            del sys.modules["torch"]
    return skops.io
